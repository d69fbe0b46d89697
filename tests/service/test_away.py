"""Accelerators that are away: capacity says what is there, and work yields to real-time load in what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Pool
from shifter.domain.resilience import Maintenance
from shifter.service import Service
from tests.service.world import FLEET, HOUR, T0, job, live_until, realtime, service


def house(*windows: Maintenance) -> Fleet:
    [own] = FLEET.sites
    pool = replace(own.pools[0], maintenance=windows)
    return replace(FLEET, sites=(replace(own, pools=(pool,)),))


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    away = Maintenance(T0 + HOUR, T0 + 2 * HOUR, 16)
    return service(sqlite_url, clock, fleet=house(away), realtime=realtime(0.0))


def test_a_pool_that_is_away_whole_has_nothing(made: Service, clock: ManualClock) -> None:
    made.submit([job(hours=40, width=16, due_h=4)], "ann")
    assert made.cycle().outcome == "published"
    here = made.capacity("fra", "h100")
    assert (here.count, here.deferrable_accelerators) == (16, 16)
    assert [s.count for s in made.slots("fra", "h100", T0, T0 + 3 * HOUR)] == [16, 0, 16]
    live_until(made, clock, T0 + HOUR)
    gone = made.capacity("fra", "h100")
    assert (gone.count, gone.deferrable_accelerators, gone.dispatch_budget) == (0, 0, 0.0)


def test_the_pool_is_as_it_was_before_and_after() -> None:
    pool: Pool = house(Maintenance(T0 + HOUR, T0 + 2 * HOUR, 16)).pools["fra", "h100"][1]
    assert [pool.present(T0 + n * HOUR) for n in range(3)] == [16, 0, 16]
