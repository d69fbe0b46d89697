from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.errors import InputError
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest
from forecasts.sources.typical import BLOCK, MEASURED, TypicalOptions, TypicalSource, anomalies

NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH = (Signal.PRICE, Signal.CARBON)


def ask(
    start: datetime,
    hours: float,
    *,
    zone: str = "DE-LU",
    now: datetime | None = None,
    signal: Signal = Signal.PRICE,
    **options: object,
) -> ForecastSeries:
    source = TypicalSource(TypicalOptions.model_validate({"horizon_hours": 24 * 366, **options}))
    request = FetchRequest(zone, (signal,), start, start + hours * HOUR)
    (said,) = source.fetch(request, now=now or start)
    return said


def lag1(z: np.ndarray) -> float:
    z = z - z.mean()
    return float((z[1:] * z[:-1]).sum() / (z * z).sum())


@pytest.mark.parametrize("zone", MEASURED)
def test_statistics_are_those_measured(zone: str) -> None:
    """Over 24 made-up years; the tolerance is the sampling error of slow series."""
    want = MEASURED[zone]
    years = [anomalies(zone, zone, seed, 400_000, 400_000 + 2 * 8760) for seed in range(12)]
    price = np.concatenate([y[Signal.PRICE] for y in years])
    carbon = np.concatenate([y[Signal.CARBON] for y in years])
    assert lag1(price) == pytest.approx(want.price_lag1, abs=0.004)
    assert lag1(carbon) == pytest.approx(want.carbon_lag1, abs=0.004)
    assert np.corrcoef(price, carbon)[0, 1] == pytest.approx(want.correlation, abs=0.05)
    assert (price.mean(), carbon.mean()) == pytest.approx((0, 0), abs=0.12)
    assert (price.std(), carbon.std()) == pytest.approx((1, 1), abs=0.07)


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(-50_000, 50_000),
    length=st.integers(1, 200),
    later=st.integers(0, 150),
    zone=st.sampled_from(sorted(MEASURED)),
    signal=st.sampled_from(BOTH),
)
def test_a_value_does_not_depend_on_the_window(
    start: int, length: int, later: int, zone: str, signal: Signal
) -> None:
    wide = ask(NOW + start * HOUR, length + later, zone=zone, signal=signal)
    narrow = ask(NOW + (start + later) * HOUR, length, zone=zone, signal=signal)
    shared, i, j = np.intersect1d(wide.start, narrow.start, return_indices=True)
    assert len(shared) >= length
    assert wide.values[i].tolist() == narrow.values[j].tolist()


def test_nor_on_when_it_is_asked() -> None:
    a, b = ask(NOW, 48, now=NOW - 30 * HOUR), ask(NOW, 48, now=NOW)
    assert a.values.tolist() == b.values.tolist()
    assert a.known_at < b.known_at


def test_blocks_join_without_a_seam() -> None:
    """Steps over the seams are as large as any: a seam would be the difference of two strangers."""
    seams = range(95, 105)
    z = [anomalies("DE-LU", "DE-LU", 0, b * BLOCK - 1, b * BLOCK + 1)[Signal.PRICE] for b in seams]
    usual = np.sqrt(2 * (1 - MEASURED["DE-LU"].price_lag1))
    assert np.sqrt(np.mean(np.diff(z) ** 2)) < 2 * usual


def test_seeds_and_zones_differ() -> None:
    first = ask(NOW, 48).values
    assert not np.array_equal(first, ask(NOW, 48, seed=1).values)
    like = ask(NOW, 48, zone="FR", profiles={"FR": "DE-LU"})
    assert like.unit == "EUR/MWh"
    assert not np.array_equal(first, like.values)


def test_it_never_passes_for_the_real_grid() -> None:
    said = ask(NOW, 4)
    assert said.kind is Kind.SYNTHETIC
    assert "ynthetic" in said.attribution
    assert TypicalSource(TypicalOptions()).info.synthetic
    assert said.source == "typical"


def test_nights_weekends_and_seasons_show() -> None:
    """Means over many years are those of the typical days."""
    winter = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
    days = np.mean([ask(winter, 24, seed=k).values for k in range(60)], axis=0)
    assert days[18:20].mean() > days[2:4].mean() + 20
    sunday = np.mean([ask(winter - 24 * HOUR, 24, seed=k).values for k in range(60)], axis=0)
    assert sunday.mean() < days.mean()
    noon = {
        month: np.mean(
            [
                ask(datetime(2026, month, 7, 20, tzinfo=UTC), 1, zone="CAISO-NP15", seed=k).values
                for k in range(60)
            ]
        )
        for month in (4, 9)
    }
    assert noon[4] < noon[9]  # the spring sun of California


def test_texas_has_a_long_tail_and_everyone_stays_within_the_caps() -> None:
    winters = np.concatenate(
        [ask(datetime(2026, 1, 1, tzinfo=UTC), 59 * 24, zone="ERCOT", seed=k).values for k in range(20)]
    )
    assert winters.min() > 0
    assert np.median(winters) < 100
    assert 1000 < winters.max() <= 9000
    berlin = ask(datetime(2026, 1, 1, tzinfo=UTC), 8760).values
    assert (berlin < 0).any()
    assert berlin.min() >= -500


def test_the_horizon_and_the_hours_it_touches() -> None:
    source = TypicalSource(TypicalOptions(horizon_hours=24))
    (said,) = source.fetch(FetchRequest("GB", (Signal.PRICE,), NOW, NOW + 90 * HOUR), now=NOW)
    assert len(said) == 24
    assert said.start[0] == np.datetime64("2026-11-23T10:00")  # NOW is 10:20
    assert source.fetch(FetchRequest("GB", BOTH, NOW + 30 * HOUR, NOW + 31 * HOUR), now=NOW) == []


def test_forecast_error_grows_with_the_lead_and_belongs_to_the_issue() -> None:
    truth = ask(NOW, 96).values
    wrong = [
        ask(NOW, 96, forecast_error=0.5, seed=0, now=NOW + k * timedelta(minutes=1)).values for k in (0, 30)
    ]
    assert wrong[0].tolist() == wrong[1].tolist(), "one issue an hour"
    assert wrong[0][0] == truth[0]
    other = ask(NOW, 96, forecast_error=0.5, now=NOW - 5 * HOUR).values
    assert not np.array_equal(wrong[0], other)
    errors = np.array(
        [
            ask(NOW, 96, forecast_error=0.5, now=NOW, seed=k).values - ask(NOW, 96, now=NOW, seed=k).values
            for k in range(80)
        ]
    )
    spread = errors.std(axis=0)
    assert spread[:6].mean() < spread[20:28].mean() < spread[80:].mean()


@pytest.mark.parametrize("seed", [4, 7])
def test_large_errors_are_no_frozen_forecast(seed: int) -> None:
    """Where little carbon is left an error takes less of it, and never all: each issue is one that checks accept."""
    january = datetime(2026, 1, 5, tzinfo=UTC)
    for k in range(0, 7 * 24, 2):
        said = ask(january + k * HOUR, 168, signal=Signal.CARBON, forecast_error=0.8, seed=seed)
        assert said.values.min() >= 5.0


def test_another_forecaster_errs_otherwise_about_the_same_year() -> None:
    truth = ask(NOW, 96).values
    ours, theirs = (ask(NOW, 96, forecast_error=0.5, forecaster=k).values - truth for k in (0, 1))
    assert abs(np.corrcoef(ours[1:], theirs[1:])[0, 1]) < 0.9
    assert np.array_equal(ask(NOW, 96, forecaster=1).values, truth)
    assert np.array_equal(
        ask(NOW, 96, forecast_error=0.5, forecaster=0).values, ask(NOW, 96, forecast_error=0.5).values
    )


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="no typical zone 'NL'"):
        TypicalSource(TypicalOptions(profiles={"FR": "NL"}))
    with pytest.raises(ValueError):
        TypicalOptions(forecast_error=-1)
