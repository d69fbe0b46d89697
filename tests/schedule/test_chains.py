"""Plans of chains: each step gets the time that it needs, in slots that are cheap, and the bound stays below."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Model, Pool, Site
from shifter.domain.options import least_run, shortest_run
from shifter.domain.plan import Plan
from shifter.domain.workload import Alternative, Workload
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.jobs import HOUR_US
from shifter.schedule.order import Order
from shifter.schedule.pack import Piece
from tests.schedule.build import START, at, cycle_inputs, site, work


def two_pools() -> Site:
    return site(pools=tuple(Pool(name, "X", count=10, idle_kw=0.0, busy_kw=1.0) for name in "pr"))


def spans(plan: Plan) -> dict[str, tuple[float, float]]:
    """From when to when each workload is planned [h from the start]."""
    hours = timedelta(hours=1)
    return {
        row.workload_id: ((row.start - START) / hours, (row.finish - START) / hours)
        for row in plan.workloads
        if row.start is not None and row.finish is not None
    }


# Steps that may use several pools at once ------------------------------------------------------------------


def over_both_pools(deadline: float) -> CycleInputs:
    steps = [work("a", 20, deadline, max_accelerators=20)]
    steps.append(work("b", 20, deadline, max_accelerators=20, depends_on=("a",)))
    return cycle_inputs(steps, sites=[two_pools()], prices=[0, 0] + [100] * 22)


def test_a_bound_knows_that_a_step_may_use_all_pools_at_once() -> None:
    """Both steps can be done in the two hours that cost nothing."""
    assert plan_cycle(over_both_pools(6)).lower_bound <= 1e-9


def test_a_chain_that_only_fits_over_all_pools_is_planned() -> None:
    plan = plan_cycle(over_both_pools(2))
    assert plan.unplaced == ()
    assert plan.cost.total == pytest.approx(0)
    assert spans(plan) == {"a": (0, 1), "b": (1, 2)}


def run(w: Workload, *pools: Pool, models: tuple[Model, ...] = ()) -> timedelta | None:
    return least_run(w, cycle_inputs([], sites=[site(pools=pools)], models=models).fleet)


def test_least_time_over_pools_takes_the_best_of_each() -> None:
    llm = Model("m", {"X": 1000, "Y": 500}, accelerators_per_replica={"X": 4})
    pools = Pool("p", "X", count=7), Pool("q", "Y", count=10), Pool("r", "Z", count=10)

    def tokens(most: int, **over: Any) -> Workload:
        return work(
            "w", 0, 20, accelerator_hours=None, tokens=3600 * 1000, model="m", max_accelerators=most, **over
        )

    # One replica of four in p, and two slower ones in q, that count half.
    assert run(tokens(6), *pools, models=(llm,)) == timedelta(hours=1 / 5)
    # More than q holds do not help, nor the rest of p, which is no whole replica.
    assert run(tokens(20), *pools, models=(llm,)) == timedelta(hours=1 / 9)
    # Without a break it runs in one pool: the ten of q are faster than the four of p.
    assert run(tokens(20, interruptible=False), *pools, models=(llm,)) == timedelta(hours=1 / 5)
    assert run(tokens(3), pools[0], models=(llm,)) is None


def test_least_time_counts_what_loads_sooner_from_then_on() -> None:

    models = Model("m", {"X": 1000}, load_minutes=60), Model("small", {"Y": 1000}, load_minutes=6)
    pools = Pool("p", "X", count=2), Pool("q", "Y", count=1)
    w = work("w", 0, 20, accelerator_hours=None, tokens=3600 * 1000 * 1.9, model="m", max_accelerators=9)
    w = replace(w, alternatives=(Alternative("small", 3600 * 1000 * 1.9),))
    # The small one alone until an hour is over, which does 0.9 of 1.9; then all three.
    assert run(w, *pools, models=models) == timedelta(hours=1 + 1 / 3)
    fleet = cycle_inputs([], sites=[site(pools=pools)], models=models).fleet
    assert shortest_run(w, fleet) == timedelta(hours=1.95)


# Steps with progress ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deadline", [4, 6])
def test_a_step_that_is_nearly_done_does_not_hold_up_the_next_for_all_of_its_time(deadline: float) -> None:
    steps = [work("a", 40, 20, max_accelerators=10), work("b", 10, deadline, depends_on=("a",))]
    day = [20.0] * 4 + [50.0] * 20
    plan = plan_cycle(cycle_inputs(steps, now=at(0.5), done={"a": 39.0}, prices=day))
    assert plan.unplaced == ()
    assert spans(plan)["b"][0] < 4


# What binds a step -----------------------------------------------------------------------------------------

CHEAP_LATER = [90, 80, 70] + [10] * 21


def test_no_deadline_binds_a_step_whose_chain_cannot_be_done() -> None:
    """It is planned for what may never run, and the gap says what that costs: after 03:00 it costs 0.1."""
    steps = [replace(work("a", 10, 24, mode="batch"), deadline=None)]
    steps.append(work("b", 10, 3, depends_on=("a",), sites=("nowhere",)))
    plan = plan_cycle(cycle_inputs(steps, prices=CHEAP_LATER))
    assert [late.workload_id for late in plan.unplaced] == ["b"]
    assert plan.lower_bound == pytest.approx(0.1)


def test_a_step_that_no_pool_may_run_does_not_hurry_one_with_a_deadline() -> None:
    steps = [work("a", 10, 24), work("b", 10, 3, depends_on=("a",), sites=("nowhere",))]
    plan = plan_cycle(cycle_inputs(steps, prices=CHEAP_LATER))
    assert plan.cost.total == pytest.approx(0.1)


def test_a_chain_that_is_done_in_full_binds_its_steps() -> None:
    """The first must end at 02:00, though nobody gave it a deadline; so the bound need not allow for later."""
    steps = [replace(work("a", 10, 24), deadline=None), work("b", 10, 3, depends_on=("a",))]
    plan = plan_cycle(cycle_inputs(steps, prices=CHEAP_LATER))
    assert plan.unplaced == ()
    assert plan.lower_bound == pytest.approx(1.5)


# Where a chain's time is cut -------------------------------------------------------------------------------


def pair(deadline: float) -> list[Workload]:
    return [work("a", 10, deadline), work("b", 10, deadline, depends_on=("a",))]


def busy_until(hours: int, inputs: CycleInputs) -> CycleInputs:
    """The same beside real-time load that takes all accelerators at first."""
    load = np.where(np.arange(inputs.frame.grid.n_slots) < hours, 10.0, 0.0)
    return replace(inputs, realtime=RealtimeLoad(inputs.frame.grid, {("a", "p"): {0.5: load, 0.99: load}}))


def test_both_steps_run_in_the_cheapest_hours_wherever_they_are() -> None:
    plan = plan_cycle(cycle_inputs(pair(24), prices=[100] * 22 + [10, 10]))
    assert spans(plan) == {"a": (22, 23), "b": (23, 24)}
    assert plan.cost.total == pytest.approx(0.2)
    assert plan.status == "rounded"


def test_steps_get_the_time_in_which_there_is_room() -> None:
    plan = plan_cycle(busy_until(2, cycle_inputs(pair(4))))
    assert plan.unplaced == ()
    assert spans(plan) == {"a": (2, 3), "b": (3, 4)}


def test_three_steps_share_what_is_cheap_at_the_end() -> None:
    steps = [*pair(24), work("c", 5, 24, depends_on=("b",))]
    plan = plan_cycle(cycle_inputs(steps, prices=[100] * 20 + [30, 20, 10, 10]))
    # The first and the second may both begin at half past: 5 of 10 at 20, and all else at 10.
    assert plan.cost.total == pytest.approx(0.1 + 0.05 + 0.1 + 0.05)


def test_what_several_steps_wait_for_is_done_for_the_first_of_them() -> None:
    steps = [*pair(24), work("c", 10, 12, depends_on=("a",)), work("d", 10, 24, depends_on=("b", "c"))]
    plan = plan_cycle(cycle_inputs(steps, prices=[50, 50, 10, 10] + [50] * 18 + [10, 10]))
    assert plan.unplaced == ()
    assert plan.cost.total == pytest.approx(0.4)


@pytest.mark.parametrize(
    "model", [Model("m", {"X": 1000.0}, load_minutes=30), Model("m", {"X": 1000.0}, {"X": 4})]
)
def test_steps_with_a_shape_get_parts_that_hold_it(model: Model) -> None:
    over = {"accelerator_hours": None, "tokens": 3600 * 8000.0, "model": "m", "max_accelerators": 8}
    steps = [work("a", 0, 24, **over), work("b", 0, 24, depends_on=("a",), interruptible=False, **over)]
    plan = plan_cycle(cycle_inputs(steps, models=[model], prices=[100] * 20 + [10] * 4))
    assert plan.unplaced == ()
    assert spans(plan)["a"][0] >= 20


def test_parts_leave_a_margin_before_the_deadline() -> None:
    inputs = replace(cycle_inputs(pair(24), prices=[100] * 20 + [10] * 4), deadline_margin_s=3600.0)
    plan = plan_cycle(inputs)
    assert spans(plan)["b"][1] <= 23
    assert plan.cost.total == pytest.approx(0.2)


def test_a_step_that_is_due_for_others_says_so() -> None:
    """It could be done by its own deadline, but then what waits for it could not."""
    plan = plan_cycle(busy_until(3, cycle_inputs(pair(4))))
    first, second = plan.unplaced
    assert first.reason.endswith("It must end by 2026-01-10T03:00:00Z, for what waits for it.")
    assert first.earliest_feasible_deadline == at(4)
    assert second.earliest_feasible_deadline == at(5)
    assert "must end by" not in second.reason


def test_a_step_that_fell_short_is_tried_between_its_neighbours() -> None:
    """Its part of the time has no room for its shape; the time before the next step does."""
    inputs = cycle_inputs(pair(10))
    problem = problem_of(inputs)
    jobs = {
        job.id: replace(job, start_us=start * HOUR_US, end_us=end * HOUR_US, span_us=(0, 10 * HOUR_US))
        for job, start, end in zip(problem.jobs, (0, 1), (1, 5), strict=True)
    }
    problem = replace(problem, jobs=tuple(jobs.values()))
    order = Order.of(problem, [Piece("b", 0, 0, 4 * HOUR_US, 5 * HOUR_US, 10)])
    a, b = (order.between(job) for job in problem.jobs)
    assert (a.start_us, a.end_us) == (0, 4 * HOUR_US)
    order.move("a", [Piece("a", 0, 0, 2 * HOUR_US, 3 * HOUR_US, 10)])
    b = order.between(jobs["b"])
    assert (b.start_us, b.end_us) == (3 * HOUR_US, 10 * HOUR_US)
    kept = order.between(replace(jobs["b"], span_us=None))
    assert (kept.start_us, kept.end_us) == (1 * HOUR_US, 5 * HOUR_US)


def test_what_others_wait_for_is_not_what_is_late() -> None:
    """Of two that do not both fit, the larger one would be late; here another step could not start then."""
    steps = [work("a", 20, 2), work("b", 10, 4, depends_on=("a",))]
    plan = plan_cycle(cycle_inputs([*steps, work("x", 10, 2)]))
    assert [late.workload_id for late in plan.unplaced] == ["x"]


def test_chains_that_crowd_one_another_are_cut_beside_one_another() -> None:
    """Alone, each would run in the two cheapest hours; together they fill four."""
    steps = [
        replace(step, id=f"{step.id}{i}", depends_on=tuple(f"{other}{i}" for other in step.depends_on))
        for i in range(2)
        for step in pair(6)
    ]
    plan = plan_cycle(cycle_inputs(steps, prices=[50, 40, 30, 20, 10, 10] + [90] * 18))
    assert plan.unplaced == ()
    assert plan.cost.total == pytest.approx(0.3 + 0.2 + 0.1 + 0.1)
