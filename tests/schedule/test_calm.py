"""Between two plans, what was announced stays: always where moving it does not pay, and soon whatever it pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shifter.cycle import CycleInputs, Submission, plan_cycle, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.fleet import Model, Pool
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.rows import Allocation, Held
from shifter.domain.workload import Workload
from shifter.schedule import schedule as scheduling
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.solvers import answer_with
from tests.schedule.spoil import codes, sealed

WAVES = [40.0 + 5 * ((7 * h) % 11) for h in range(24)]
JOBS = [work(f"w{i}", 6 + 3 * i, 12 + i, max_accelerators=4) for i in range(5)]
NEW = work("new", 5, 20, max_accelerators=4)


def again(
    inputs: CycleInputs, plan: Plan, *new: Workload, hold_gap: float = 0.01, **over: Any
) -> CycleInputs:
    """The next cycle: what the plan announced, and new work."""
    announced = Announced.of(plan, over.get("now", inputs.now))
    submissions = (*inputs.submissions, *(Submission(w, START) for w in new))
    return replace(inputs, submissions=submissions, announced=announced, hold_gap=hold_gap, **over)


def objective(inputs: CycleInputs, **over: Any) -> CycleInputs:
    return replace(inputs, fleet=replace(inputs.fleet, objective=replace(inputs.fleet.objective, **over)))


def prices(inputs: CycleInputs, values: Sequence[float]) -> CycleInputs:
    return replace(inputs, frame=cycle_inputs([], prices=values).frame)


def rows(plan: Plan, *ids: str) -> set[Allocation]:
    return {a for a in plan.allocations if a.workload_id in ids}


OLD = tuple(w.id for w in JOBS)


@pytest.fixture
def first() -> tuple[CycleInputs, Plan]:
    inputs = cycle_inputs(JOBS, prices=WAVES)
    return inputs, plan_cycle(inputs)


def test_one_more_workload_moves_nothing_and_no_solver_is_asked(
    first: tuple[CycleInputs, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, before = first

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the solver was asked")

    answer_with(monkeypatch, never)
    plan = plan_cycle(again(inputs, before, NEW))
    assert plan.status == "held"
    assert plan.held == Held(before.plan_id, before.relative_gap)
    assert rows(plan, *OLD) == rows(before, *OLD)
    assert sum(
        a.accelerators * ((a.end - a.start).seconds / 3600) for a in rows(plan, "new")
    ) == pytest.approx(5)
    assert plan.cost.churn == 0
    assert 0 <= plan.relative_gap <= before.relative_gap + 0.01
    third = plan_cycle(again(inputs, plan, NEW))
    assert third.held == plan.held, "the plan that was solved, not the one that holds it"


def test_a_plan_that_could_be_much_better_is_solved_anew(first: tuple[CycleInputs, Plan]) -> None:
    inputs, before = first
    changed = prices(inputs, WAVES[::-1])
    plan = plan_cycle(again(changed, before))
    fresh = plan_cycle(changed)
    assert plan.status == "optimal"
    assert plan.held is None
    assert plan.cost.churn > 0, "some of it moved, which has its price"
    assert plan.cost.total - plan.cost.churn <= fresh.cost.total * 1.01


def test_below_zero_every_cycle_is_solved_and_still_nothing_moves_for_nothing(
    first: tuple[CycleInputs, Plan],
) -> None:
    inputs, before = first
    plan = plan_cycle(again(inputs, before, NEW, hold_gap=-1))
    assert plan.status == "rounded"
    assert rows(plan, *OLD) == rows(before, *OLD)
    assert "churn" not in plan.to_dict()["cost"]


def test_a_plan_whose_work_is_in_one_piece_is_held_too_and_so_is_a_coarse_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = cycle_inputs([work("w", 20, 20, interruptible=False, max_accelerators=4)], prices=WAVES)
    for columns, status in ((scheduling.EXACT_COLUMNS, "rounded"), (0, "coarse")):
        monkeypatch.setattr(scheduling, "EXACT_COLUMNS", columns)
        before = plan_cycle(inputs)
        assert before.status == status
        assert Announced.of(before, START).held is not None


def test_the_price_of_churn_says_what_moves() -> None:
    """One hour of ten accelerators, announced at 40 a MWh; another hour turns out to cost 10 less."""
    day = [100.0] * 24
    day[5], day[9] = 40.0, 41.0
    inputs = cycle_inputs([work("w", 10, 20)], prices=day)
    before = plan_cycle(inputs)
    assert {a.start for a in before.allocations} == {at(5)}
    day[9] = 30.0
    for price, start, churn in ((0.0101, 5, 0.0), (0.0099, 9, 0.099)):
        case = objective(
            again(prices(inputs, day), before, hold_gap=-1), churn_cost_per_accelerator_hour=price
        )
        plan = plan_cycle(case)
        assert {a.start for a in plan.allocations} == {at(start)}
        assert plan.cost.churn == pytest.approx(churn)
        assert plan.lower_bound == pytest.approx(0.3, rel=1e-6), "the bound counts no churn"


def test_what_is_frozen_stays_and_what_comes_later_moves() -> None:
    day = [50.0] * 24
    day[1] = day[6] = 20.0
    inputs = cycle_inputs([work("soon", 10, 20), work("later", 10, 20)], prices=day)
    before = plan_cycle(inputs)
    changed = [80.0] * 24
    changed[12] = changed[13] = 1.0
    for minutes, hours in ((0, {12, 13}), (120, {1, 12})):
        case = objective(
            again(prices(inputs, changed), before),
            churn_cost_per_accelerator_hour=0.0,
            frozen_minutes=float(minutes),
        )
        plan = plan_cycle(case)
        held = {h for a in plan.allocations for h in range(24) if a.start <= at(h) < a.end}
        assert held == hours
        assert not plan.unplaced


def test_what_a_limit_leaves_no_room_for_moves_and_nothing_else_does(first: tuple[CycleInputs, Plan]) -> None:
    inputs, before = first
    last = max(before.allocations, key=lambda a: a.end)
    event = GridEvent("cut", "a", last.start, last.end, 0.0)
    plan = plan_cycle(again(inputs, before, grid_events=(event,)))
    struck = {a.workload_id for a in before.allocations if a.start < last.end and a.end > last.start}
    assert not plan.unplaced
    stays = set(OLD) - struck
    assert stays
    assert rows(plan, *stays) == rows(before, *stays)
    assert rows(plan, *struck) != rows(before, *struck)


def later(
    jobs: Sequence[Workload],
    now: float,
    done: dict[str, float],
    before: Plan,
    day: Sequence[float] = WAVES,
    **over: Any,
) -> CycleInputs:
    """The same day from a moment inside it on, its grid from that slot's start."""
    first = int(now)
    made = cycle_inputs(jobs, prices=day[first:], hours=24 - first, now=at(now), done=done, **over)
    grid = replace(made.frame.grid, start=at(first))
    return replace(
        made,
        frame=replace(made.frame, grid=grid),
        realtime=replace(made.realtime, grid=grid),
        announced=Announced.of(before, at(now)),
        hold_gap=0.0025,
    )


@pytest.mark.parametrize(("hold_gap", "found"), [(0.01, set()), (-1e-9, {"held"}), (0.001, {"held"})])
def test_a_held_plan_that_is_too_far_from_its_bound_is_found(
    first: tuple[CycleInputs, Plan], hold_gap: float, found: set[str]
) -> None:
    inputs, before = first
    case = again(inputs, before, NEW)
    plan = plan_cycle(case)
    assert plan.held is not None
    least = plan.lower_bound
    worse = before.relative_gap + 0.005
    held = replace(plan, lower_bound=plan.cost.total / (1 + worse), relative_gap=worse)
    assert held.lower_bound < least
    assert codes(held, replace(case, hold_gap=hold_gap)) == found


def test_time_goes_by_and_what_runs_goes_on(first: tuple[CycleInputs, Plan]) -> None:
    _, before = first
    for now in (0.25, 1.0, 1.7, 5.5, 9.99):
        done = {
            id: sum(
                a.accelerators * max(0.0, (min(a.end, at(now)) - a.start).total_seconds() / 3600)
                for a in rows(before, id)
                if a.start < at(now)
            )
            for id in OLD
        }
        plan = plan_cycle(later(JOBS, now, done, before))
        assert plan.status == "held"
        ahead = {replace(a, start=max(a.start, at(now))) for a in before.allocations if a.end > at(now)}
        assert set(plan.allocations) == ahead


def test_work_that_is_behind_goes_on_for_longer(first: tuple[CycleInputs, Plan]) -> None:
    """Less was done than was planned: it is added, and what was announced stays."""
    _, before = first
    behind = [replace(w, accelerator_hours=w.amount + 0.2) for w in JOBS]
    inputs = replace(cycle_inputs(behind, prices=WAVES), announced=Announced.of(before, START), hold_gap=0.02)
    plan = plan_cycle(inputs)
    assert plan.status == "held"
    assert not plan.unplaced
    assert plan.cost.churn == 0
    for id in OLD:
        for a in rows(before, id):
            assert any(
                (b.pool, b.accelerators) == (a.pool, a.accelerators) and b.start <= a.start and b.end >= a.end
                for b in rows(plan, id)
            )


def test_loaded_work_is_not_moved_for_being_cut_at_now() -> None:
    model = Model("m", {"X": 1000.0}, load_minutes=12)
    amount = 1000.0 * 3600 * 20
    job = work("m", 0, 20, accelerator_hours=None, tokens=amount, model="m", max_accelerators=10)
    day = [10.0 if 10 <= h < 13 else 50.0 for h in range(24)]
    before = plan_cycle(cycle_inputs([job], models=[model], prices=day))
    [own] = before.allocations
    now = (own.start - START).total_seconds() / 3600 + 1.2
    done = {"m": 1000.0 * 3600 * own.accelerators}
    plan = plan_cycle(replace(later([job], now, done, before, day, models=[model]), hold_gap=0.1))
    [row] = plan.allocations
    assert (row.pool, row.start, row.accelerators) == (own.pool, at(now), own.accelerators)
    assert abs((row.end - own.end).total_seconds()) < 1


def test_what_is_left_of_a_run_may_be_shorter_than_its_load() -> None:
    """Less is done than was thought, and what is announced of it from now on does nothing."""
    model = Model("m", {"X": 1000.0}, load_minutes=12)
    job = work("m", 0, 20, accelerator_hours=None, tokens=3.6e7, model="m", max_accelerators=10)
    before = plan_cycle(cycle_inputs([job], models=[model], prices=[10.0] * 4 + [50.0] * 20))
    [own] = before.allocations
    now = (own.end - START).total_seconds() / 3600 - 0.1
    day = [10.0] * 4 + [50.0] * 20
    plan = plan_cycle(later([job], now, {"m": 1.8e7}, before, day, models=[model]))
    assert plan.unplaced == ()


def test_a_chain_keeps_its_order_whatever_stays() -> None:
    steps = [work("a", 12, 20, max_accelerators=4), work("b", 12, 20, max_accelerators=4, depends_on=("a",))]
    inputs = cycle_inputs(steps, prices=WAVES)
    before = plan_cycle(inputs)
    third = work("c", 8, 20, max_accelerators=4, depends_on=("b",))
    for values in (WAVES, WAVES[::-1]):
        plan = plan_cycle(again(prices(inputs, values), before, third))
        assert not plan.unplaced
        spans = [
            (min(a.start for a in rows(plan, id)), max(a.end for a in rows(plan, id)))
            for id in ("a", "b", "c")
        ]
        assert spans[0][1] <= spans[1][0]
        assert spans[1][1] <= spans[2][0]
    kept = plan_cycle(again(inputs, before, NEW))
    assert rows(kept, "a", "b") == rows(before, "a", "b")


@pytest.mark.parametrize(("now", "behind"), [(2.5, 0.2), (3.5, 0.5)])
def test_a_step_that_is_behind_goes_on_no_longer_than_until_the_next_begins(
    now: float, behind: float
) -> None:
    """The first step runs narrow beside other work, then wider, up to the hour in which the second begins."""
    steps = [work("a", 14, 20, max_accelerators=8), work("b", 12, 20, max_accelerators=4, depends_on=("a",))]
    jobs = [*steps, work("x", 21, 3, max_accelerators=7, preemptible=False)]
    day = [10.0 + 5 * h for h in range(24)]
    before = plan_cycle(cycle_inputs(jobs, prices=day))
    ends = max(a.end for a in rows(before, "a"))
    assert ends == min(a.start for a in rows(before, "b")) > at(now)

    done = {
        w.id: sum(
            a.accelerators * (min(a.end, at(now)) - a.start).total_seconds() / 3600
            for a in rows(before, w.id)
            if a.start < at(now)
        )
        for w in jobs
    }
    done["a"] -= behind
    left = [w for w in jobs if done[w.id] < w.amount]
    inputs = replace(later(left, now, done, before, day), hold_gap=0.05)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert not plan.unplaced
    assert max(a.end for a in rows(plan, "a")) <= min(a.start for a in rows(plan, "b"))


def test_nobody_is_late_for_the_sake_of_calm() -> None:
    """All that could stay stands in the way of urgent work, which has nowhere else to go."""
    day = [50.0] * 24
    day[0] = day[1] = 10.0
    inputs = cycle_inputs([work("easy", 20, 20)], prices=day)
    before = plan_cycle(inputs)
    assert max(a.end for a in before.allocations) == at(2)
    urgent = work("urgent", 20, 2)
    case = objective(again(inputs, before, urgent), churn_cost_per_accelerator_hour=1000.0)
    plan = plan_cycle(case)
    assert not plan.unplaced
    assert plan.cost.churn == pytest.approx(20_000.0)


def test_for_urgent_work_only_those_move_that_stand_in_its_way() -> None:
    """Moving is dear beyond any gain. One urgent job needs the one hour in which another is announced."""
    later = [work(f"later{i}", 10, 20, earliest_start=at(3)) for i in range(5)]
    day = [10.0] + [50.0] * 9 + [20.0] * 5 + [50.0] * 9
    inputs = cycle_inputs([work("early", 10, 6), *later], prices=day)
    before = plan_cycle(inputs)
    day[3:8] = [10.0] * 5
    case = objective(prices(inputs, day), churn_cost_per_accelerator_hour=100.0)
    plan = plan_cycle(again(case, before, work("urgent", 10, 1)))
    assert not plan.unplaced
    assert plan.cost.churn == pytest.approx(1000.0), "the ten hours of one job"
    assert rows(plan, *(w.id for w in later)) == rows(before, *(w.id for w in later))


def test_without_a_solver_the_announced_slots_stand(first: tuple[CycleInputs, Plan]) -> None:
    inputs, before = first

    case = again(prices(inputs, WAVES[::-1]), before, NEW, hold_gap=-1)
    plan = plan_cycle(replace(case, time_limit_s=1e-9))
    assert plan.status == "greedy"
    assert rows(plan, *OLD) == rows(before, *OLD)
    assert not plan.unplaced
    next_one = Announced.of(plan, START)
    assert next_one.held is None, "a plan that nobody solved is not held"


def test_a_battery_is_run_anew_beside_what_stays() -> None:
    stored = site(battery=Battery(20, 5, initial_kwh=10), power_limit_kw=12.0, demand_charge_per_kw=0.1)
    inputs = cycle_inputs(JOBS, sites=[stored], prices=WAVES)
    before = plan_cycle(inputs)
    plan = plan_cycle(again(inputs, before, NEW))
    assert plan.status == "held"
    assert rows(plan, *OLD) == rows(before, *OLD)
    assert any(row.discharge_kw > 0 for row in plan.power)


def test_work_that_was_short_before_is_no_reason_to_solve(first: tuple[CycleInputs, Plan]) -> None:
    impossible = work("impossible", 100, 2, max_accelerators=4)
    inputs = cycle_inputs([*JOBS, impossible], prices=WAVES)
    before = plan_cycle(inputs)
    assert [u.workload_id for u in before.unplaced] == ["impossible"]
    plan = plan_cycle(again(inputs, before, NEW))
    assert plan.status == "held"
    assert [u.workload_id for u in plan.unplaced] == ["impossible"]


def test_a_fleet_that_lost_a_pool_moves_what_ran_there() -> None:
    two = site(pools=(Pool("p", "X", 6, 1, 0.0, 1.0), Pool("q", "X", 6, 1, 0.0, 1.0)))
    inputs = cycle_inputs(JOBS, sites=[two], prices=WAVES)
    before = plan_cycle(inputs)
    assert any(a.pool == "q" for a in before.allocations)
    one = cycle_inputs(JOBS, sites=[replace(two, pools=two.pools[:1])], prices=WAVES)
    plan = plan_cycle(replace(one, announced=Announced.of(before, START), hold_gap=0.0025))
    assert not plan.unplaced
    other_grid = cycle_inputs(JOBS, sites=[two], prices=[p for p in WAVES for _ in "12"], slot_minutes=30)
    assert not plan_cycle(replace(other_grid, announced=Announced.of(before, START))).unplaced


def test_large_plans_keep_what_was_announced_too(
    first: tuple[CycleInputs, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, before = first
    monkeypatch.setattr(scheduling, "EXACT_COLUMNS", 0)
    plan = plan_cycle(again(inputs, before, NEW, hold_gap=-1))
    assert plan.status == "coarse"
    assert not plan.unplaced
    assert len(rows(plan, *OLD) & rows(before, *OLD)) >= 0.5 * len(rows(before, *OLD))


def test_a_replay_of_the_text_is_the_same_plan(first: tuple[CycleInputs, Plan]) -> None:
    inputs, before = first
    case = again(inputs, before, NEW)
    text = inputs_to_json(case)
    read = inputs_from_json(text)
    assert inputs_to_json(read) == text
    assert plan_cycle(read).to_json() == plan_cycle(case).to_json()


def test_a_plan_that_lies_about_what_it_holds_or_moves_is_refused(first: tuple[CycleInputs, Plan]) -> None:
    inputs, before = first
    case = again(inputs, before, NEW)
    plan = plan_cycle(case)
    assert verify_plan(plan, case) == []
    assert codes(sealed(replace(plan, held=Held("another", 0.0))), case) == {"held"}
    assert codes(sealed(replace(plan, status="optimal")), case) == {"held"}
    moved = again(prices(inputs, WAVES[::-1]), before)
    free = plan_cycle(moved)
    cheaper = replace(free, cost=replace(free.cost, churn=0.0))
    assert "cost" in codes(sealed(cheaper), moved)
