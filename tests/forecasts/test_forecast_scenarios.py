"""Bands and paths: what the quantiles of a frame say of what may come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.bands import bands_of
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.scenarios import PathRules, at_quantile, scenario_paths
from forecasts.series import PLANNED, Kind, Signal
from forecasts.slots import Floats, SlotGrid

START = datetime(2026, 1, 10, tzinfo=UTC)
RULES = PathRules(12, 0, 6.0, 0.5, 0.5)
PRICE, CARBON = Signal.PRICE, Signal.CARBON
NAN = float("nan")


def frame(
    quantiles: Mapping[tuple[str, Signal], Mapping[float, Sequence[float] | float]],
    zones: Sequence[str] = ("A",),
    n: int = 48,
    start: datetime = START,
) -> ForecastFrame:
    """Prices of 50 and carbon of 300, hour by hour; quantiles as deviations from that."""
    plain = ForecastFrame.from_arrays(
        SlotGrid(start, 60, n), "EUR", {z: [50.0] * n for z in zones}, {z: [300.0] * n for z in zones}
    )

    def with_bands(s: SignalFrame) -> SignalFrame:
        given = quantiles.get((s.zone, s.signal), {})
        return replace(s, quantiles={p: s.values + np.asarray(v, dtype=float) for p, v in given.items()})

    return replace(plain, signals=tuple(with_bands(s) for s in plain.signals))


def cleared(made: ForecastFrame, slots: slice) -> ForecastFrame:
    """The same with prices that are cleared in some slots."""

    def with_kinds(s: SignalFrame) -> SignalFrame:
        kinds = np.array(s.kind, dtype=object)
        if s.signal is PRICE:
            kinds[slots] = Kind.CLEARED
        return replace(s, kind=tuple(kinds))

    return replace(made, signals=tuple(with_kinds(s) for s in made.signals))


def price_at(made: ForecastFrame, score: float) -> Floats:
    bands, _ = bands_of(made)
    return bands["A", PRICE].at(np.full((1, made.grid.n_slots), score))[0]


def test_a_band_is_linear_in_the_normal_score_and_goes_on_as_a_normal_does() -> None:
    made = frame({("A", PRICE): {0.1: -10, 0.9: 20}})
    p90 = 1.2815515655446004
    for score, deviation in ((0.0, 0.0), (p90, 20.0), (-p90, -10.0), (p90 / 2, 10.0), (2 * p90, 40.0)):
        assert price_at(made, score) == pytest.approx(deviation)


def test_one_quantile_tells_both_sides() -> None:
    made = frame({("A", PRICE): {0.9: 20}})
    assert price_at(made, -1.2815515655446004) == pytest.approx(-20.0)


def test_a_median_of_its_own_is_where_it_is_told() -> None:
    assert price_at(frame({("A", PRICE): {0.1: -10, 0.5: 3, 0.9: 20}}), 0.0) == pytest.approx(3.0)


def test_quantiles_that_cross_are_put_in_order() -> None:
    assert price_at(frame({("A", PRICE): {0.1: 4, 0.9: -4}}), 1.0).min() > 0


def test_slots_without_quantiles_take_those_of_the_day_before() -> None:
    day = [float(i) for i in range(24)]
    made = price_at(frame({("A", PRICE): {0.9: [*day, *[NAN] * 24]}}), 1.2815515655446004)
    assert made[24:] == pytest.approx(day)


def test_what_is_cleared_does_not_move() -> None:
    made = price_at(cleared(frame({("A", PRICE): {0.9: 20}}), slice(0, 10)), 1.2815515655446004)
    assert made == pytest.approx([0.0] * 10 + [20.0] * 38)


def test_a_zone_without_quantiles_is_no_calmer_than_the_widest() -> None:
    bands, said = bands_of(frame({("A", PRICE): {0.9: 20}, ("B", PRICE): {0.9: 5}}, zones=["A", "B", "C"]))
    assert bands["C", PRICE].width == pytest.approx(bands["A", PRICE].width)
    assert said == (
        "zone C price: no quantiles; the widest band of the other zones is assumed.",
        "no zone's carbon has quantiles: it is taken as certain.",
    )


def test_a_zone_that_is_cleared_throughout_needs_none() -> None:
    made = cleared(frame({}), slice(None))
    bands, said = bands_of(made)
    assert not bands
    assert said == ("no zone's carbon has quantiles: it is taken as certain.",)


@given(
    st.integers(2, 40),
    st.integers(0, 1000),
    st.floats(0, 60),
    st.floats(0, 600),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.sampled_from([0.5, 6.0, 48.0]),
)
@settings(deadline=None, max_examples=40)
def test_paths_have_the_forecast_as_their_mean_and_stay_the_same(
    count: int, seed: int, low: float, high: float, with_carbon: float, with_zones: float, hours: float
) -> None:
    made = frame({("A", PRICE): {0.1: -low, 0.9: high}, ("A", CARBON): {0.1: -high, 0.9: low}}, ["A", "B"])
    rules = PathRules(count, seed, hours, with_carbon, with_zones)
    paths = scenario_paths(made, rules)
    assert set(paths.offsets) == {(z, s) for z in "AB" for s in PLANNED}
    for (zone, signal), offsets in paths.offsets.items():
        assert offsets.shape == (count, 48)
        assert offsets.mean(axis=0) == pytest.approx(np.zeros(48), abs=1e-9 * (1 + low + high))
        if signal is CARBON:
            assert (made.carbon_g_per_kwh(zone) + offsets).min() >= -1e-9
    again = scenario_paths(made, rules)
    assert all(np.array_equal(paths.offsets[k], again.offsets[k]) for k in paths.offsets)


def test_a_band_s_quantiles_are_those_of_the_paths() -> None:
    made = frame({("A", PRICE): {0.1: -10, 0.9: 20}})
    offsets = scenario_paths(made, replace(RULES, count=200)).offsets["A", PRICE]
    shift = -offsets.mean()
    for p, told in ((0.1, -10.0), (0.5, 0.0), (0.9, 20.0)):
        mean_shift = np.quantile(offsets, 0.5, axis=0)  # recentring moves the median off the forecast
        assert np.quantile(offsets, p, axis=0) - mean_shift == pytest.approx([told] * 48, abs=0.6)
    assert shift == pytest.approx(0.0, abs=1e-9)


def test_paths_remember_and_follow_each_other_as_they_are_told_to() -> None:
    made = frame({(z, s): {0.1: -10, 0.9: 10} for z in ("A", "B") for s in PLANNED}, zones=["A", "B"], n=336)
    paths = scenario_paths(made, PathRules(200, 1, 12.0, 0.6, 0.3)).offsets

    def like(one: Floats, other: Floats) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    price = paths["A", PRICE]
    assert like(price[:, 1:], price[:, :-1]) == pytest.approx(np.exp(-1 / 12), abs=0.02)
    assert like(price[:, 12:], price[:, :-12]) == pytest.approx(np.exp(-1), abs=0.05)
    assert like(price, paths["A", CARBON]) == pytest.approx(0.6, abs=0.06)
    assert like(price, paths["B", PRICE]) == pytest.approx(0.3, abs=0.06)


def test_a_later_plan_goes_on_with_the_same_paths() -> None:
    told = {("A", PRICE): {0.1: -10, 0.9: 10}}
    first = scenario_paths(frame(told), RULES).offsets["A", PRICE]
    later = scenario_paths(frame(told, start=START + timedelta(hours=5)), RULES).offsets["A", PRICE]
    assert np.array_equal(first[:, 5:], later[:, :43])


def test_a_new_zone_leaves_the_paths_of_others_as_they_are() -> None:
    told = {("A", PRICE): {0.1: -10, 0.9: 10}}
    alone, beside = (scenario_paths(frame(told, zones), RULES) for zones in (["A"], ["A", "B"]))
    assert np.array_equal(alone.offsets["A", PRICE], beside.offsets["A", PRICE])


def test_another_seed_draws_other_paths() -> None:
    made = frame({("A", PRICE): {0.1: -10, 0.9: 10}})
    one, other = (scenario_paths(made, replace(RULES, seed=s)).offsets["A", PRICE] for s in (0, 1))
    assert not np.allclose(one, other)


def test_the_path_at_a_quantile_is_the_band_s() -> None:
    made = frame({("A", PRICE): {0.1: -10, 0.9: 20}})
    paths = at_quantile(made, 0.9)
    assert paths.count == 1
    assert paths.of("A", CARBON, 48).tolist() == [[0.0] * 48]
    assert paths.of("A", PRICE, 48)[0] == pytest.approx([20.0] * 48)
