from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected
from forecasts.series import Basis, ForecastSeries, Signal
from tests.forecasts.build import T0, hours, series

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 40 + 30 * np.sin(np.arange(24) / 4)
CARBON = 300 + 90 * np.sin(np.arange(48) / 5)


def carbon(values: Any = CARBON, **more: Any) -> ForecastSeries:
    return series(values, signal=Signal.CARBON, **more)


def refused(s: ForecastSeries, *a: Any, **more: Any) -> str:
    with pytest.raises(ForecastRejected) as caught:
        check_series(s, *a, **more)
    assert caught.value.hint, "says what to do"
    assert s.key in caught.value.detail
    return caught.value.detail


def test_a_sound_vintage_passes() -> None:
    s = series(DAY)
    assert check_series(s) is s
    check_series(carbon(), series(CARBON, signal=Signal.CARBON), now=hours(2), market_tz=None)


def test_a_gap_is_named_and_not_filled() -> None:
    s = series(DAY)
    keep = np.arange(24) != 5
    gap = replace(s, start=s.start[keep], end=s.end[keep], values=s.values[keep])
    assert "between 2026-01-10T05:00:00Z and 2026-01-10T06:00:00Z" in refused(gap)


def test_a_duplicate_is_named() -> None:
    s = series(DAY)
    twice = np.insert(np.arange(24), 7, 7)
    assert "[2026-01-10T07:00:00Z, 2026-01-10T08:00:00Z) comes twice" in refused(
        replace(s, start=s.start[twice], end=s.end[twice], values=s.values[twice])
    )


def test_overlap_disorder_and_reversal() -> None:
    s = series(DAY)
    assert "overlaps" in refused(replace(s, end=s.end + np.timedelta64(1, "m")))
    assert "overlaps or precedes" in refused(replace(s, start=s.start[::-1], end=s.end[::-1]))
    assert "does not end after its start" in refused(replace(s, end=s.start))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad: float) -> None:
    values = DAY.copy()
    values[3] = bad
    assert "[2026-01-10T03:00:00Z" in refused(series(values))
    assert "0.9 quantile" in refused(series(DAY, quantiles={0.9: values}))


def test_shapes_units_and_bases() -> None:
    assert "holds no interval" in refused(series([]))
    assert "23 entries for 24" in refused(replace(series(DAY), end=series(DAY).end[:-1]))
    assert "unit 'EUR/kWh'" in refused(series(DAY, unit="EUR/kWh"))
    assert "average or marginal" in refused(carbon(basis=None))
    assert "no time zone" in refused(series(DAY, known_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_quantiles() -> None:
    check_series(series(DAY, quantiles={0.1: DAY - 5, 0.5: DAY, 0.9: DAY + 5}))
    assert "cross at 0.9" in refused(series(DAY, quantiles={0.1: DAY, 0.9: DAY - 1}))
    assert "not a probability" in refused(series(DAY, quantiles={90: DAY}))


@pytest.mark.parametrize("value", [-1001.0, 20001.0])
def test_prices_out_of_range(value: float) -> None:
    values = DAY.copy()
    values[9] = value
    assert "[2026-01-10T09:00:00Z" in refused(series(values))


def test_what_is_out_of_range_depends_on_the_currency() -> None:
    tariff = DAY * 1000  # forint a MWh, by 36 to 70 a kWh
    check_series(series(tariff, unit="HUF/MWh"))
    check_series(series(DAY * 600, unit="JPY/MWh"))
    check_series(series(np.full(24, 20_300.0), unit="AUD/MWh"))
    assert "outside -1000 to 20000" in refused(series(tariff, unit="EUR/MWh"))
    assert "outside -500000 to 1e+07" in refused(series(tariff * 1000, unit="HUF/MWh"))


class TestWhenItWasIssued:
    def test_clocks_may_differ_a_little(self) -> None:
        check_series(series(DAY, known_at=T0, issued_at=T0 + timedelta(minutes=5)))
        said = refused(series(DAY, known_at=T0, issued_at=T0 + timedelta(minutes=6)))
        assert "issued at 2026-01-10T00:06:00Z, and it is only 2026-01-10T00:00:00Z" in said

    def test_an_old_reply_does_not_undo_a_newer_one(self) -> None:
        stored = series(DAY, known_at=T0, issued_at=hours(-1))
        for issued_at in (None, hours(-1), T0):
            check_series(series(DAY, known_at=hours(1), issued_at=issued_at), stored)
        check_series(series(DAY, known_at=hours(1), issued_at=hours(-9)), series(DAY))
        said = refused(series(DAY + 1, known_at=hours(1), issued_at=hours(-2)), stored)
        assert "before the one that is stored, of 2026-01-09T23:00:00Z" in said


def test_carbon_out_of_range() -> None:
    assert "outside 0 to 2500" in refused(carbon(CARBON * 10))
    assert "outside 0 to 2500" in refused(carbon(CARBON - 400))


def test_unit_and_basis_may_not_change() -> None:
    assert "unit changed from EUR/MWh to GBP/MWh" in refused(series(DAY, unit="GBP/MWh"), series(DAY))
    assert "basis changed from average to marginal" in refused(carbon(basis=Basis.MARGINAL), carbon())


class TestMixedUpUnits:
    def test_prices_per_kwh_against_the_same_intervals(self) -> None:
        assert "a thousandth of" in refused(series(DAY / 1000), series(DAY))
        assert "a thousand times" in refused(series(DAY), series(DAY / 1000))

    def test_prices_per_kwh_against_yesterday(self) -> None:
        tomorrow = series(DAY * 1.1 / 1000, start=hours(24))
        assert "prices per kWh" in refused(tomorrow, series(DAY))

    def test_prices_per_kwh_against_a_declared_level(self) -> None:
        assert "prices per kWh" in refused(series(DAY / 1000), typical_level=60)
        check_series(series(DAY / 1000))  # no evidence, no refusal

    def test_prices_per_kwh_in_a_small_coin(self) -> None:
        yen = DAY * 300
        assert "below 400 JPY/MWh" in refused(
            series(yen / 1000, unit="JPY/MWh", start=hours(24)), series(yen, unit="JPY/MWh")
        )

    @pytest.mark.parametrize("signal", [Signal.LOAD, Signal.WIND, Signal.SOLAR])
    def test_kilowatts(self, signal: Signal) -> None:
        """That of a signal which is no price and no carbon has factors of a thousand, too."""
        power: dict[str, Any] = {"signal": signal, "unit": "MW"}
        check_series(series(DAY * 11, **power), series(DAY * 10, **power))
        assert "a thousand times" in refused(series(DAY * 1000, **power), series(DAY, **power))

    def test_cents_per_kwh(self) -> None:
        assert "a tenth of" in refused(series(DAY / 10), series(DAY))

    def test_pounds_for_grams(self) -> None:
        assert "2.2 times" in refused(carbon(CARBON * 2.2046), carbon())
        assert "1/2.2" in refused(carbon(CARBON / 2.2046 * 1.02), carbon())

    def test_a_windless_forecast_is_not_pounds(self) -> None:
        ramp = np.linspace(1.2, 3.0, 48)  # about 2.2 times in the middle, but no constant
        check_series(carbon(CARBON * ramp), carbon())

    @given(st.lists(st.floats(-60, 1.9), min_size=24, max_size=24))
    def test_low_and_negative_days_are_legal(self, values: list[float]) -> None:
        values[3] = min(values[3], -3.0)
        check_series(series(values, start=hours(24)), series(DAY), typical_level=60)

    @pytest.mark.parametrize(
        "low",
        [
            np.zeros(24),
            np.full(24, 0.01),
            np.full(24, -0.01),
            np.r_[np.zeros(18), np.full(6, 0.05)],
            np.r_[np.full(20, -1.5), np.full(4, 1.9)],
        ],
    )
    def test_long_zero_prices_are_legal(self, low: np.ndarray) -> None:
        check_series(series(low), series(DAY))
        check_series(series(low, start=hours(24)), series(DAY))
        check_series(series(low), typical_level=80)

    def test_prices_that_were_low_already_are_no_evidence(self) -> None:
        hydro = np.linspace(5, 9, 24)
        check_series(series(hydro / 1000, start=hours(24)), series(hydro))

    def test_a_revision_by_half_is_legal(self) -> None:
        check_series(series(DAY / 2), series(DAY))
        check_series(series(DAY * 3), series(DAY))


class TestFrozenCarbon:
    def test_a_day_that_stands_still_is_refused(self) -> None:
        stuck = CARBON.copy()
        stuck[10:34] = 251
        said = refused(carbon(stuck))
        assert "2026-01-10T10:00:00Z to 2026-01-11T10:00:00Z" in said

    def test_less_than_a_day_is_fine_and_so_are_prices(self) -> None:
        almost = CARBON.copy()
        almost[10:33] = 251
        check_series(carbon(almost))
        check_series(series(np.full(72, 31.0)))  # a fixed tariff

    def test_it_can_be_allowed(self) -> None:
        check_series(carbon(np.full(48, 30.0)), flat_carbon=None)


class TestMarketDays:
    def day(self, start: datetime, n: int, step_minutes: int = 60) -> ForecastSeries:
        return series(np.arange(float(n)), start=start, step_minutes=step_minutes)

    @pytest.mark.parametrize(
        ("start", "right", "wrong"),
        [
            (datetime(2026, 3, 28, 23, tzinfo=UTC), 23, 24),  # spring change
            (datetime(2026, 10, 24, 22, tzinfo=UTC), 25, 24),  # autumn change
            (datetime(2026, 6, 1, 22, tzinfo=UTC), 24, 23),
        ],
    )
    def test_hours_and_quarters(self, start: datetime, right: int, wrong: int) -> None:
        check_series(self.day(start, right), market_tz=BERLIN)
        check_series(self.day(start, 4 * right, 15), market_tz=BERLIN)
        assert "market day" in refused(self.day(start, wrong), market_tz=BERLIN)
        assert "market day" in refused(self.day(start, 4 * wrong, 15), market_tz=BERLIN)

    def test_the_message_counts(self) -> None:
        said = refused(self.day(datetime(2026, 10, 24, 22, tzinfo=UTC), 96, 15), market_tz=BERLIN)
        assert "2026-10-25 of Europe/Berlin has 25 hours" in said
        assert "96 of 100 steps" in said

    def test_the_first_day_may_have_begun(self) -> None:
        check_series(self.day(datetime(2026, 6, 2, 9, tzinfo=UTC), 13 + 24), market_tz=BERLIN)


def test_what_has_ended_is_refused() -> None:
    s = series(DAY)
    check_series(s, now=hours(24) - timedelta(seconds=1))
    assert "ended at 2026-01-11T00:00:00Z, before now" in refused(s, now=hours(24))
    check_series(s)  # an archive


def test_the_error_is_readable() -> None:
    with pytest.raises(ForecastRejected) as caught:
        check_series(series([1.0, np.nan], start=T0))
    assert str(caught.value).startswith("price: test:DE-LU:price: the value of [2026-01-10T01:00:00Z")
