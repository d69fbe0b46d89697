"""What is to run soon stays, whatever that costs: it yields to limits alone, and then the plan says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.announced import Announced
from shifter.domain.fleet import Model
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload
from shifter.schedule import schedule as scheduling
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.spoil import codes, made_of

CHEAP_FIRST = [20.0] * 2 + [50.0] * 22
LATER = [50.0] * 10 + [1.0] * 2 + [50.0] * 12
"""Prices by which everything should rather run at hour 10."""


def next_cycle(
    inputs: CycleInputs,
    before: Plan,
    *new: Workload,
    minutes: float = 120.0,
    day: Sequence[float] | None = None,
    **over: Any,
) -> CycleInputs:
    """The next cycle, at once: moving is free but in the frozen window, and nothing is held."""
    objective = replace(inputs.fleet.objective, frozen_minutes=minutes, churn_cost_per_accelerator_hour=0.0)
    return replace(
        inputs,
        fleet=replace(inputs.fleet, objective=objective),
        frame=inputs.frame if day is None else cycle_inputs([], prices=day).frame,
        submissions=(*inputs.submissions, *(Submission(w, START) for w in new)),
        announced=Announced.of(before, inputs.now),
        hold_gap=-1,
        **over,
    )


def where(plan: Plan, id: str) -> list[tuple[float, float, int]]:
    hours = (((a.start - START), (a.end - START), a) for a in plan.allocations if a.workload_id == id)
    return sorted((s.total_seconds() / 3600, e.total_seconds() / 3600, a.accelerators) for s, e, a in hours)


def test_a_plan_that_moves_it_is_refused() -> None:
    inputs = cycle_inputs([work("w", 8, 20)])
    before = made_of(inputs, [Allocation("w", "a", "p", at(0), at(4), 2)])
    case = next_cycle(inputs, before, minutes=240)
    moved = [Allocation("w", "a", "p", at(10), at(14), 2)]
    assert codes(made_of(case, moved), case) == {"frozen"}
    assert codes(made_of(next_cycle(inputs, before, minutes=0), moved), case) == {"frozen"}
    half = [Allocation("w", "a", "p", at(0), at(2), 2), Allocation("w", "a", "p", at(10), at(12), 2)]
    assert codes(made_of(case, half), case) == {"frozen"}
    assert codes(made_of(case, half), next_cycle(inputs, before, minutes=120)) == set()


def test_late_new_work_moves_nothing_of_it() -> None:
    """New work would need all of the first two hours, in which half of the pool is promised."""
    inputs = cycle_inputs([work("old", 10, 20, max_accelerators=5)], prices=CHEAP_FIRST)
    before = plan_cycle(inputs)
    assert where(before, "old") == [(0, 2, 5)]
    plan = plan_cycle(next_cycle(inputs, before, work("new", 20, 2)))
    assert where(plan, "old") == [(0, 2, 5)]
    assert [u.workload_id for u in plan.unplaced] == ["new"]
    assert plan.unplaced[0].accelerator_hours == pytest.approx(10)
    assert not [w for w in plan.warnings if "frozen" in w]
    free = plan_cycle(next_cycle(inputs, before, work("new", 20, 2), minutes=0))
    assert not free.unplaced


def test_what_comes_behind_the_window_moves_and_leaves_the_rest_where_it_is() -> None:
    inputs = cycle_inputs([work("w", 20, 20, max_accelerators=5)], prices=[20.0] * 4 + [50.0] * 20)
    before = plan_cycle(inputs)
    assert where(before, "w") == [(0, 4, 5)]
    plan = plan_cycle(next_cycle(inputs, before, day=LATER))
    assert where(plan, "w") == [(0, 2, 5), (10, 12, 5)]


@pytest.mark.parametrize("ramp", [None, 100.0])
def test_without_a_solver_it_stays(monkeypatch: pytest.MonkeyPatch, ramp: float | None) -> None:
    inputs = cycle_inputs(
        [work("old", 15, 20)], prices=CHEAP_FIRST, sites=[site(ramp_limit_kw_per_minute=ramp)]
    )
    before = plan_cycle(inputs)
    first = where(before, "old")
    case = next_cycle(inputs, before, work("new", 10, 20), day=LATER)
    plan = plan_cycle(replace(case, time_limit_s=1e-9))
    assert plan.status == "greedy"
    assert where(plan, "old") == first
    assert not plan.unplaced


def test_large_plans_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = cycle_inputs([work("old", 15, 20)], prices=CHEAP_FIRST)
    before = plan_cycle(inputs)
    monkeypatch.setattr(scheduling, "EXACT_COLUMNS", 0)
    plan = plan_cycle(next_cycle(inputs, before, work("new", 10, 20), day=LATER))
    assert plan.status == "coarse"
    assert where(plan, "old") == where(before, "old")


def test_it_yields_to_a_limit_and_the_plan_says_so() -> None:
    inputs = cycle_inputs(
        [work("a", 8, 20, max_accelerators=4), work("b", 8, 22, max_accelerators=4)], prices=CHEAP_FIRST
    )
    before = plan_cycle(inputs)
    cut = GridEvent("cut", "a", at(0), at(2), 4.0)
    plan = plan_cycle(next_cycle(inputs, before, grid_events=(cut,)))
    assert where(plan, "a") == where(before, "a") == [(0, 2, 4)]
    assert where(plan, "b") != where(before, "b"), "of the two, that with more time yields"
    assert not plan.unplaced
    [said] = [w for w in plan.warnings if "frozen" in w]
    assert said.endswith("as announced: b.")


def test_what_is_cut_far_ahead_keeps_its_start() -> None:
    """A limit hours ahead takes the end of a run away, and nothing of what is to run soon."""
    inputs = cycle_inputs([work("w", 20, 20, max_accelerators=5)], prices=[20.0] * 4 + [50.0] * 20)
    before = plan_cycle(inputs)
    cut = GridEvent("cut", "a", at(3), at(4), 0.0)
    plan = plan_cycle(next_cycle(inputs, before, day=LATER, grid_events=(cut,)))
    assert where(plan, "w") == [(0, 2, 5), (10, 12, 5)]
    assert not [w for w in plan.warnings if "frozen" in w]


def test_a_run_that_is_loaded_is_not_cut_at_the_end_of_the_window() -> None:
    model = Model("m", {"X": 1000.0}, load_minutes=12)
    amount = 1000.0 * 3600 * 24
    job = work("m", 0, 20, accelerator_hours=None, tokens=amount, model="m", max_accelerators=6)
    inputs = cycle_inputs([job], models=[model], prices=[20.0] * 5 + [50.0] * 19)
    before = plan_cycle(inputs)
    [(start, end, count)] = where(before, "m")
    assert start < 1 < end
    plan = plan_cycle(next_cycle(inputs, before, day=LATER, minutes=60))
    assert where(plan, "m") == [(start, end, count)]


def test_a_chain_that_is_announced_whole_stays_whole() -> None:
    steps = [work("a", 4, 20, max_accelerators=4), work("b", 4, 20, max_accelerators=4, depends_on=("a",))]
    inputs = cycle_inputs(steps, prices=CHEAP_FIRST)
    before = plan_cycle(inputs)
    plan = plan_cycle(next_cycle(inputs, before, day=LATER, minutes=30))
    for id in ("a", "b"):
        assert where(plan, id) == where(before, id)


def test_what_is_frozen_in_dear_slots_says_so() -> None:
    """At once it would cost as much or more there: still it is not for cheap slots that it stays."""
    inputs = cycle_inputs([work("w", 8, 20, max_accelerators=2)], prices=[20.0] * 4 + [50.0] * 20)
    before = plan_cycle(inputs)
    assert where(before, "w") == [(0, 4, 2)]
    dear = [900.0] * 3 + [800.0] + [5.0] * 20
    plan = plan_cycle(next_cycle(inputs, before, minutes=240, day=dear))
    assert where(plan, "w") == [(0, 4, 2)]
    [told] = plan.workloads
    assert told.reason_code == "kept"
    assert "within the frozen window" in told.reason
    [free] = plan_cycle(next_cycle(inputs, before, minutes=0, day=dear)).workloads
    assert free.reason_code == "cheaper_later"


def test_what_is_announced_in_dear_slots_is_not_said_to_be_in_cheap_ones() -> None:
    """Dear as they are by now, at once would be dearer: that is not why it stays there."""
    inputs = cycle_inputs(
        [work("w", 4, 20, max_accelerators=2), work("z", 20, 1, max_accelerators=20)],
        prices=[50.0] * 2 + [20.0] * 2 + [50.0] * 20,
    )
    before = plan_cycle(inputs)
    assert where(before, "w") == [(2, 4, 2)]
    case = next_cycle(inputs, before, minutes=0, day=[900.0] * 2 + [800.0] * 2 + [500.0] * 16 + [5.0] * 4)
    objective = replace(case.fleet.objective, churn_cost_per_accelerator_hour=1.0)
    plan = plan_cycle(replace(case, fleet=replace(case.fleet, objective=objective)))
    assert where(plan, "w") == [(2, 4, 2)]
    told = next(w for w in plan.workloads if w.workload_id == "w")
    assert told.reason_code == "kept"
