"""Work that is not done in time: as much of it as possible is planned, and what is said of the rest is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shifter.cycle import plan_cycle
from shifter.domain.fleet import Budget, Model, Pool
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.schedule import build
from tests.schedule.build import START, at, cycle_inputs, site, work


def hours(plan: Plan, id: str) -> float:
    held = (a for a in plan.allocations if a.workload_id == id)
    return sum(a.accelerators * (a.end - a.start).total_seconds() / 3600 for a in held)


def test_the_part_of_a_window_that_a_trim_cut_off_is_used_where_nothing_else_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows are trimmed to whole slots in large programs; here the others leave room in the odd minutes only."""
    monkeypatch.setattr(build, "EXACT_SIZE", 0)
    jobs = [work("w", 4, 2.75), work("all", 20, 2)]
    plan = plan_cycle(cycle_inputs(jobs))
    assert plan.unplaced == ()
    assert hours(plan, "w") == pytest.approx(4)


def test_a_margin_before_the_deadline_is_used_where_nothing_else_is_left() -> None:
    jobs = [work("w", 4, 2.5), work("all", 20, 2)]
    plan = plan_cycle(replace(cycle_inputs(jobs), deadline_margin_s=1800.0))
    assert plan.unplaced == ()


def test_room_that_a_dropped_step_leaves_goes_to_who_fell_short() -> None:
    """`then` cannot start, because `first` is not done: its accelerators are free for `w`."""
    jobs = [
        work("first", 30, 4, max_accelerators=5),
        work("then", 40, 8, depends_on=("first",)),
        work("w", 10, 8, earliest_start=at(6)),
    ]
    plan = plan_cycle(cycle_inputs(jobs))
    assert [u.workload_id for u in plan.unplaced] == ["first", "then"]
    assert hours(plan, "w") == pytest.approx(10)


def test_what_waits_could_be_done_after_what_it_waits_for() -> None:
    """There is no power in the first hour, so `first` needs a third one."""
    jobs = [
        work("first", 20, 2),
        work("then", 10, 4, depends_on=("first",)),
        work("last", 10, 6, depends_on=("then",)),
    ]
    plan = plan_cycle(cycle_inputs(jobs, events=[GridEvent("e", "a", at(0), at(1), 0.0)]))
    first, then, last = (u.earliest_feasible_deadline for u in plan.unplaced)
    assert first is not None
    assert then is not None
    assert last is not None
    assert first >= at(3)
    assert then >= first + timedelta(hours=1)
    assert last >= then + timedelta(hours=1)


def test_what_waits_for_work_that_nothing_may_run_has_no_deadline_that_would_do() -> None:
    jobs = [work("first", 10, 4, accelerators=("Y",)), work("then", 10, 8, depends_on=("first",))]
    plan = plan_cycle(cycle_inputs(jobs))
    assert [u.earliest_feasible_deadline for u in plan.unplaced] == [None, None]


def test_hours_of_work_that_no_pool_may_run_are_those_of_the_model() -> None:
    """Tokens are not hours: they are counted at the fastest accelerator that the model knows."""
    model = Model("m", {"Y": 1000.0, "X": 500.0})
    job = work("w", 0, 8, accelerator_hours=None, tokens=1000.0 * 3600 * 5, model="m", data_boundary=("FR",))
    (late,) = plan_cycle(cycle_inputs([job], sites=[site()], models=[model])).unplaced
    assert late.accelerator_hours == pytest.approx(5)


def test_of_what_real_time_load_alone_exceeds_one_more_does_nothing_and_is_not_told() -> None:
    """30 kW of real-time load under a limit of 10: up to there, each kW more is for that load."""
    plant = site(power_limit_kw=10.0, pools=(Pool("p", "X", 40, 1, 0.0, 1.0),))
    load = {("a", "p"): {0.5: 30.0, 0.99: 30.0}}
    plan = plan_cycle(cycle_inputs([work("w", 40, 4)], sites=[plant], load=load))
    [late] = plan.unplaced
    assert late.accelerator_hours == pytest.approx(40)
    assert [one.kind for one in late.limits if one.kind == "power"] == []
    some = plan_cycle(
        cycle_inputs([work("w", 40, 4)], sites=[replace(plant, power_limit_kw=33.0)], load=load)
    )
    [late] = some.unplaced
    [power] = [one for one in late.limits if one.kind == "power"]
    assert power.saves_accelerator_hours == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("limit", [1.0, 200.0])
def test_nothing_more_does_more_than_all_that_is_late(limit: float) -> None:
    plant = site(pools=(Pool("p", "X", 40, 1, 0.5, 1.0),))
    inputs = cycle_inputs([work("w", 40, 1), work("v", 60, 1)], sites=[plant], prices=[50.0] * 24)
    budgets = (Budget("money", limit / 1000, START, at(24)),)
    objective = replace(inputs.fleet.objective, budgets=budgets)
    plan = plan_cycle(replace(inputs, fleet=replace(inputs.fleet, objective=objective)))
    late = sum(one.accelerator_hours for one in plan.unplaced)
    told = [one for row in plan.unplaced for one in row.limits]
    assert late > 0
    assert all(one.saves_accelerator_hours <= late for one in told)
    assert not [one for one in told if one.kind == "budget"], "idle accelerators alone exceed it"


def test_of_a_deadline_that_is_long_past_an_hour_more_is_not_told() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 5, -9000, earliest_start=at(-9100))]))
    [late] = plan.unplaced
    assert "past" in late.reason
    assert [one.kind for one in late.limits if one.kind == "deadline"] == []


def test_real_time_load_beyond_its_pool_is_told() -> None:
    plant = site(pools=(Pool("p", "X", 10, 1, 0.0, 1.0),))
    load = {("a", "p"): {0.5: 24.5, 0.99: 34.8}}
    plan = plan_cycle(cycle_inputs([work("w", 4, 20)], sites=[plant], load=load))
    assert any(
        "a/p: real-time load needs up to 34.8 accelerators" in w and "there are 10" in w
        for w in plan.warnings
    )
