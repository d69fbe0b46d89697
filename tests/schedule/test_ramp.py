"""A ramp limit: from slot to slot, up and down, whoever places the work; real-time load alone may break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.realtime.load import RealtimeLoad
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.solvers import without_solvers

CHEAP_NOON = [80.0] * 10 + [10.0] * 4 + [80.0] * 10


def case(*jobs: Any, kw_an_hour: float = 2.0, **over: Any) -> CycleInputs:
    plant = site(ramp_limit_kw_per_minute=kw_an_hour / 60, **over)
    return cycle_inputs(jobs, sites=[plant], prices=CHEAP_NOON)


def planned(inputs: CycleInputs) -> Plan:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    return plan


def ramps(plan: Plan) -> Any:
    return np.abs(np.diff([row.import_kw for row in plan.power]))


def test_work_climbs_to_the_cheap_hours_and_down_again() -> None:
    plan = planned(case(work("w", 30, 24)))
    imports = [row.import_kw for row in plan.power]
    assert ramps(plan).max() == pytest.approx(2.0)
    # A pyramid: 4.5, 6.5, 7 and 5 kW in the cheap hours, and up to them 0.5 and 2.5, and from them 3 and 1.
    assert sum(imports[10:14]) == pytest.approx(23.0)
    assert plan.cost.total == pytest.approx(plan.lower_bound, rel=1e-5)
    free = planned(cycle_inputs([work("w", 30, 24)], sites=[site()], prices=CHEAP_NOON))
    assert ramps(free).max() > 5


def test_a_battery_keeps_it_and_helps_to() -> None:
    plan = planned(case(work("w", 30, 24), battery=Battery(20, 5, 1.0, 1.0, initial_kwh=10)))
    assert ramps(plan).max() <= 2.0 + 1e-6
    assert any(row.charge_kw for row in plan.power)


def test_work_in_one_piece_keeps_it() -> None:
    jobs = [work(f"w{i}", 6, 24, interruptible=False, max_accelerators=4) for i in range(4)]
    plan = planned(case(*jobs))
    assert ramps(plan).max() <= 2.0 + 1e-6
    assert not plan.unplaced


def test_the_greedy_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_solvers(monkeypatch)
    plan = planned(case(work("w", 12, 24), work("v", 6, 20, interruptible=False, max_accelerators=2)))
    assert plan.status == "greedy"
    assert ramps(plan).max() <= 2.0 + 1e-6


def test_real_time_load_may_break_it_and_nothing_may_add_to_that() -> None:
    inputs = case(work("w", 30, 24))
    steps = np.array([0.0] * 8 + [5.0] * 8 + [0.0] * 8)
    load = RealtimeLoad(inputs.frame.grid, {("a", "p"): {0.5: steps, 0.99: steps}})
    plan = planned(replace(inputs, realtime=load))
    assert ramps(plan)[[7, 15]].max() <= 5.0 + 1e-6
    assert np.delete(ramps(plan), [7, 15]).max() <= 2.0 + 1e-6
    [told] = [w for w in plan.warnings if "ramps" in w]
    assert "up to 3.0 kW more than the limit, 2 times" in told


@pytest.mark.parametrize("solver", [True, False])
def test_real_time_load_that_rises_gives_nothing_leave_to_fall(
    monkeypatch: pytest.MonkeyPatch, solver: bool
) -> None:
    """Work would be cheapest in the hour before real-time load rises by 4 kW, and to stop there."""
    if not solver:
        without_solvers(monkeypatch)
    inputs = case(work("w", 32, 24))
    steps = np.array([0.0] * 14 + [4.0] * 10)
    load = RealtimeLoad(inputs.frame.grid, {("a", "p"): {0.5: steps, 0.99: steps}})
    plan = planned(replace(inputs, realtime=load))
    change = np.diff([row.import_kw for row in plan.power])
    assert change.min() >= -2.0 - 1e-6
    assert change[13] <= 4.0 + 1e-6
    assert np.delete(change, 13).max() <= 2.0 + 1e-6
    if solver:
        assert plan.cost.total == pytest.approx(plan.lower_bound, rel=1e-6)


def test_a_large_plan_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", 0)
    jobs = [work(f"w{i}", 2 + i, 18 + i, max_accelerators=3) for i in range(6)]
    assert ramps(planned(case(*jobs))).max() <= 2.0 + 1e-6
