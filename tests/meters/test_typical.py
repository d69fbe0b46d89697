"""Load that is made up: the same each time, within what the profile says of itself, with surges that go beyond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.slots import SlotGrid
from shifter.clock import ManualClock
from shifter.demo.scenario import bundled_fleet
from shifter.meters import Metering
from shifter.meters.typical import SURGE_EVERY, SURGE_MINUTES, TypicalMeter, made_up_load, surge_at
from shifter.realtime.profiles import typical_load
from shifter.service import Service
from tests.service.world import POOL, T0, service

FLEET = bundled_fleet()
MINUTE = timedelta(minutes=1)
START = datetime(2026, 4, 13, tzinfo=UTC)
moments = st.integers(-10_000_000, 10_000_000).map(lambda s: START + timedelta(seconds=s))


@settings(max_examples=40, deadline=None)
@given(moments, st.integers())
def test_it_is_the_same_each_time_and_never_more_than_there_is(at: datetime, seed: int) -> None:
    load = made_up_load(FLEET, at, seed)
    assert load == made_up_load(bundled_fleet(), at, seed)
    assert load.keys() == FLEET.pools.keys()
    assert all(0 < value <= FLEET.pools[key][1].count for key, value in load.items())


@settings(max_examples=40, deadline=None)
@given(moments, st.integers(0, 9))
def test_only_a_surge_goes_above_the_quantile_and_only_at_its_site(at: datetime, seed: int) -> None:
    expected = typical_load(FLEET, SlotGrid.covering(at, 5 * MINUTE, 5))
    surge = surge_at(FLEET, at, seed)
    for key, load in made_up_load(FLEET, at, seed).items():
        held = expected.at(key, FLEET.by_site[key[0]].resilience.quantile)[0]
        assert (load > held) == (surge is not None and surge[0] == key[0])


def test_around_the_median_it_spreads_as_the_profile_says() -> None:
    quiet = [START + i * 23 * MINUTE for i in range(600)]
    ratios = []
    for at in quiet:
        grid = SlotGrid.covering(at, 5 * MINUTE, 5)
        expected, load = typical_load(FLEET, grid), made_up_load(FLEET, at)
        surge = surge_at(FLEET, at)
        for key in FLEET.pools:
            if surge is None or surge[0] != key[0]:
                low, high = (expected.at(key, p)[0] for p in (0.5, 0.9))
                ratios.append(np.log(load[key] / low) / np.log(high / low))
    assert np.mean(np.array(ratios) <= 0) == pytest.approx(0.5, abs=0.05)
    assert np.mean(np.array(ratios) <= 1) == pytest.approx(0.9, abs=0.05)


def test_there_is_one_surge_every_six_hours_and_it_is_short() -> None:
    for stretch in range(8):
        begin = START + stretch * SURGE_EVERY
        minutes = [surge_at(FLEET, begin + i * MINUTE, 4) for i in range(SURGE_EVERY // MINUTE)]
        assert SURGE_MINUTES[0] - 1 <= sum(s is not None for s in minutes) <= SURGE_MINUTES[1] + 1
        assert len({s for s in minutes if s is not None}) == 1
    assert {s[0] for i in range(2880) if (s := surge_at(FLEET, START + i * MINUTE, 4))} == set(FLEET.by_site)
    assert made_up_load(FLEET, START, 1) != made_up_load(FLEET, START, 2)


def test_what_it_tells_is_the_load_of_each_pool(sqlite_url: str) -> None:
    clock = ManualClock(T0)
    made: Service = service(sqlite_url, clock)
    made.cycle()
    meter = TypicalMeter("typical", made.fleet, seed=3)
    metering = Metering(made, [meter])
    assert metering.poll(meter) == len(made.fleet.pools)
    assert made.core.state.measured[POOL].realtime_accelerators == made_up_load(made.fleet, T0, 3)[POOL]
    assert metering.poll(meter) == 0, "of one moment it is told once"
    clock.advance(seconds=10)
    assert metering.poll(meter) == len(made.fleet.pools)
    assert made.capacity(*POOL).last_sample_at == clock.now()
    assert not made.health().faults
