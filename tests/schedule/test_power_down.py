"""Idle accelerators that are powered down: as many as are neither kept for real-time load nor hold work."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation
from tests.schedule.build import at, cycle_inputs, site, work


def case(*jobs: Any, **over: Any) -> CycleInputs:
    given: dict[str, Any] = {"failure_domains": 2, "idle_kw": 0.4, "busy_kw": 1.0, "off_kw": 0.1}
    pool = Pool("p", "X", 10, **{**given, **over})
    plant = site(pools=(pool,), pue=1.5, resilience=Resilience(0.99, lose_domains=1))
    return cycle_inputs(jobs, sites=[plant], load={("a", "p"): {0.5: 1.0, 0.99: 2.0}})


def planned(inputs: CycleInputs) -> Plan:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    return Plan.from_dict(json.loads(plan.to_json()))


def test_what_is_idle_is_off_and_what_is_in_reserve_is_not() -> None:
    """Of 10, real-time load at its quantile keeps 2, and 4 to survive the loss of half."""
    plan = planned(case())
    assert {row.off for row in plan.slots} == {6.0}
    assert plan.power[0].import_kw == pytest.approx(1.5 * (10 * 0.4 + 0.6 * 1.0 - 6 * 0.3))
    assert plan.cost.total == pytest.approx(plan.lower_bound, rel=1e-6)


def test_preemptible_work_runs_on_what_is_powered_for_the_reserve() -> None:
    """Two stand in the margin beside what is kept anyway, and cost no idle power; a firm one costs it."""
    soft = planned(case(work("w", 48, 24, max_accelerators=2)))
    assert {row.off for row in soft.slots} == {6.0}
    firm = planned(case(work("w", 48, 24, max_accelerators=2, preemptible=False)))
    assert {row.off for row in firm.slots} == {4.0}


def test_work_pays_for_what_it_keeps_powered() -> None:
    """So it is worth more to fill up the margin all day than to run at once in the cheapest hours."""
    inputs = case(work("w", 48, 24, max_accelerators=10))
    plan = planned(inputs)
    assert {row.off for row in plan.slots} == {6.0}
    assert max(row.deferrable for row in plan.slots) == pytest.approx(2.0)
    assert plan.duals.work
    assert plan.relative_gap < 1e-6


def test_a_pool_that_may_not_be_powered_down_is_not() -> None:
    plan = planned(case(off_kw=None))
    assert {row.off for row in plan.slots} == {None}
    assert not plan.duals.work
    assert "off" not in plan.to_dict()["slots"][0]


def test_what_runs_and_stays_keeps_its_accelerators() -> None:

    inputs = case(work("w", 12, 24, interruptible=False, max_accelerators=4))
    held = Allocation("w", "a", "p", at(-1), at(2.5), 4)
    plan = planned(replace(inputs, pinned=(held,)))
    assert [row.off for row in plan.slots][:4] == [pytest.approx(x) for x in (4.0, 4.0, 5.0, 6.0)]


def test_of_the_running_slot_only_the_rest_is_off() -> None:
    inputs = case()

    late = replace(inputs, now=at(0.25))
    plan = planned(late)
    assert [row.off for row in plan.slots][:2] == [pytest.approx(4.5), pytest.approx(6.0)]
