"""The typical real-time load, and what a measurement does to a forecast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.slots import SLOT_MINUTES, SlotGrid
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.profiles import MeasuredLoad, apply_measured, time_zone, typical_load
from shifter.realtime.reserve import reserve

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
FLEET = Fleet(
    "EUR",
    (
        Site("big", "DE-LU", (Pool("h100", "H100", 256), Pool("l40s", "L40S", 64)), tier="central"),
        Site(
            "mid", "GB", (Pool("h100", "H100", 64),), tier="regional", resilience=Resilience(quantile=0.999)
        ),
        Site("far", "CAISO_NP15", (Pool("l40s", "L40S", 16),), tier="edge"),
    ),
)
KEYS = list(FLEET.pools)


@given(st.integers(0, 400), st.sampled_from(KEYS), st.sampled_from(SLOT_MINUTES))
def test_a_slot_has_the_same_load_in_every_window(
    offset: int, key: tuple[str, str], slot_minutes: int
) -> None:
    week = SlotGrid(MONDAY, slot_minutes, 500)
    part = SlotGrid(week.edges[offset], slot_minutes, 20)
    whole, some = typical_load(FLEET, week).quantiles[key], typical_load(FLEET, part).quantiles[key]
    for p, values in some.items():
        assert np.allclose(values, whole[p][offset : offset + 20], atol=1e-9)


def test_long_slots_are_means_of_short_ones() -> None:
    fine = typical_load(FLEET, SlotGrid(MONDAY, 5, 288)).quantiles[KEYS[0]][0.99]
    coarse = typical_load(FLEET, SlotGrid(MONDAY, 60, 24)).quantiles[KEYS[0]][0.99]
    assert np.allclose(fine.reshape(24, 12).mean(axis=1), coarse)


@pytest.mark.parametrize("share", [0.0, 0.45, 1.0, 3.0])
def test_quantiles_are_in_order_and_never_above_the_pool(share: float) -> None:
    load = typical_load(FLEET, SlotGrid(MONDAY, 30, 336), share=share)
    for key, (_, pool) in FLEET.pools.items():
        assert list(load.quantiles[key]) == [0.5, 0.9, 0.99, 0.999]  # with the one that a site asks for
        stacked = np.stack(list(load.quantiles[key].values()))
        assert np.all(np.diff(stacked, axis=0) >= 0)
        assert stacked.min() >= 0
        assert stacked.max() <= pool.count
    assert set(reserve(load, FLEET)) == set(KEYS)


def test_the_day_is_the_site_s_own_and_the_edge_is_peakier() -> None:
    load = typical_load(FLEET, SlotGrid(MONDAY, 60, 24))
    peaks, ratios = {}, {}
    for key, (site, _) in FLEET.pools.items():
        median = load.median(key)
        local = (MONDAY + int(np.argmax(median)) * timedelta(hours=1)).astimezone(time_zone(site))
        peaks[key], ratios[site.tier] = local.hour, median.max() / median.min()
    assert all(12 <= hour <= 17 for hour in peaks.values())
    assert ratios["edge"] > ratios["regional"] > ratios["central"] > 1.3


def test_weekends_are_lower() -> None:
    load = typical_load(FLEET, SlotGrid(MONDAY, 60, 24 * 7))
    for key in KEYS:
        days = load.median(key).reshape(7, 24).max(axis=1)
        assert days[5:].max() < days[:5].min()


def test_a_seed_makes_another_load_and_the_same_seed_the_same() -> None:
    grid = SlotGrid(MONDAY, 30, 48)
    one, again, other = (typical_load(FLEET, grid, seed=seed).median(KEYS[0]) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_zones_that_nobody_knows_are_in_utc() -> None:
    pools = (Pool("p", "H100", 8),)
    assert time_zone(Site("s", "NOWHERE", pools)).key == "UTC"
    assert time_zone(Site("s", "NOWHERE", pools, jurisdiction="FR")).key == "Europe/Paris"


# Measurements ----------------------------------------------------------------------------------------------

GRID = SlotGrid(MONDAY, 30, 48)
KEY = ("big", "h100")
FORECAST = RealtimeLoad(GRID, {KEY: {0.5: np.full(48, 20.0), 0.99: np.full(48, 35.0)}})


def after(
    accelerators: float, *, age_minutes: float = 0, key: tuple[str, str] = KEY, **options: Any
) -> RealtimeLoad:
    now = MONDAY + timedelta(minutes=15)
    found = MeasuredLoad(accelerators, now - timedelta(minutes=age_minutes))
    return apply_measured(FORECAST, {key: found}, now, **options)


def test_more_than_expected_raises_the_near_slots_and_fades() -> None:
    load = after(60)
    median, high = load.median(KEY), load.at(KEY, 0.99)
    assert median[0] == pytest.approx(60)
    assert np.all(np.diff(median) < 0)
    assert median[-1] == pytest.approx(20, abs=0.01)
    assert high[-1] == pytest.approx(35, abs=0.01)
    half_life = after(60, half_life=timedelta(minutes=30)).median(KEY)
    assert half_life[1] == pytest.approx(20 + 40 / 2)  # the middle of the second slot is half an hour away
    assert np.all(high[1:] > median[1:])


@given(st.floats(0, 500), st.floats(-1, 60), st.booleans())
def test_no_measurement_lowers_a_forecast_or_exceeds_the_pool(
    accelerators: float, age_minutes: float, capped: bool
) -> None:
    load = after(accelerators, age_minutes=age_minutes, fleet=FLEET if capped else None)
    for p, values in FORECAST.quantiles[KEY].items():
        assert np.all(load.quantiles[KEY][p] >= values)
        assert np.all(load.quantiles[KEY][p] >= load.quantiles[KEY][0.5] - 1e-9)
        if capped:
            assert load.quantiles[KEY][p].max() <= 256


@pytest.mark.parametrize(
    ("accelerators", "age_minutes"),
    [(60, 16), (60, -2), (float("nan"), 0), (float("inf"), 0), (-5, 0), (10, 0)],
)
def test_what_is_stale_absurd_or_lower_changes_nothing(accelerators: float, age_minutes: float) -> None:
    load = after(accelerators, age_minutes=age_minutes)
    assert all(np.array_equal(load.quantiles[KEY][p], q) for p, q in FORECAST.quantiles[KEY].items())


def test_load_where_none_was_forecast_is_held_back_too() -> None:
    load = after(12, key=("mid", "h100"))
    assert load.median(("mid", "h100"))[0] == pytest.approx(12)
    assert load.at(("mid", "h100"), 0.999)[0] == pytest.approx(12)
    assert np.array_equal(load.median(KEY), FORECAST.median(KEY))
