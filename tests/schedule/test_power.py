"""Batteries and power limits: what a battery must hold comes first, and the running slot is counted as it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shifter.cycle import plan_cycle
from shifter.domain.fleet import Pool
from shifter.domain.grid_event import GridEvent
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.solvers import without_solvers
from tests.schedule.spoil import codes

RIDE_THROUGH = Resilience(0.99, ride_through_minutes=60)
LOAD = {("a", "p"): {0.5: 1.0, 0.99: 2.0}}


def test_a_floor_that_the_limit_keeps_the_battery_from_does_not_spoil_the_proof() -> None:
    """It must hold 2 kWh and gains 0.1 a slot at most, so no plan can; the bound must not count on one that does."""
    plant = site(battery=Battery(10, 5, 1.0, 1.0), resilience=RIDE_THROUGH, power_limit_kw=2.1)
    inputs = cycle_inputs([work("w", 1, 20)], sites=[plant], load=LOAD)
    plan = plan_cycle(inputs)
    stored = [r.stored_kwh for r in plan.power]
    assert stored == pytest.approx(np.minimum(2.0, 0.1 * np.arange(24)))
    assert plan.lower_bound <= plan.cost.total
    assert plan.relative_gap < 0.05


@pytest.mark.parametrize("shape", [{}, {"interruptible": False}])
def test_work_leaves_a_battery_the_power_to_charge_up_to_its_floor(shape: dict[str, Any]) -> None:
    """It must hold 6 kWh as soon as it can; the work would like all of the power."""
    plant = site(
        battery=Battery(10, 5, 1.0, 1.0),
        resilience=Resilience(0.99, ride_through_minutes=180),
        power_limit_kw=8.0,
    )
    load = {("a", "p"): {0.5: 2.0, 0.99: 2.0}}
    plan = plan_cycle(cycle_inputs([work("w", 24, 4, **shape)], sites=[plant], load=load))
    stored = [r.stored_kwh for r in plan.power]
    assert stored[1] == pytest.approx(5.0)
    assert stored[2] >= 6.0 - 1e-6
    assert plan.unplaced  # 24 hours would need all of the power until 4


def test_a_battery_is_not_emptied_below_its_minimum_to_relieve_an_overload() -> None:
    plant = site(battery=Battery(10, 5, 1.0, 1.0, initial_kwh=6, min_kwh=5))
    event = GridEvent("e", "a", at(2), at(5), 0.5)
    plan = plan_cycle(cycle_inputs([], sites=[plant], load=LOAD, events=[event], slot_minutes=15))
    assert min(r.stored_kwh for r in plan.power) >= 5 - 1e-6
    assert any("exceeds the power limit" in said for said in plan.warnings)


@pytest.mark.parametrize("solver", [True, False])
def test_in_the_running_slot_work_is_counted_as_it_runs_whatever_its_shape(
    monkeypatch: pytest.MonkeyPatch, solver: bool
) -> None:
    """A quarter of the slot is left. Four kW are four kW, though their mean over the whole slot is one."""
    jobs = [work("whole", 0.5, 1, interruptible=False, max_accelerators=2), work("rest", 2, 1)]
    inputs = cycle_inputs(jobs, sites=[site(power_limit_kw=4.0)], now=at(0.75))
    if not solver:
        without_solvers(monkeypatch)
    plan = plan_cycle(inputs)
    assert codes(plan, inputs) == set()
    assert sum(a.accelerators for a in plan.allocations if a.start <= at(0.8) < a.end) <= 4
    assert "rest" in {u.workload_id for u in plan.unplaced}


def test_work_of_two_pools_and_a_battery_share_one_limit() -> None:
    """What is tried once more takes no power that a battery was to have."""
    pools = (Pool("p", "X", 4, busy_kw=1.0), Pool("q", "X", 4, busy_kw=0.8))
    plant = site(
        pools=pools, battery=Battery(4, 1, 0.9, 0.9, 0.4, 0.2), power_limit_kw=3.0, resilience=RIDE_THROUGH
    )
    jobs = [work(f"w{i}", 6 + i, 6 + i, max_accelerators=3, interruptible=i % 2 == 0) for i in range(5)]
    load = {("a", "p"): {0.5: 0.5, 0.99: 1.0}}
    inputs = cycle_inputs(jobs, sites=[plant], load=load, prices=[20.0 + 90 * (i % 4) for i in range(24)])
    plan = plan_cycle(inputs)
    assert codes(plan, inputs) == set()
    assert plan.status == "rounded"
