"""Too much work: few are late, the others are whole, and the bound is tight all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.schedule import proof as proving
from shifter.schedule import schedule as scheduling
from shifter.schedule.classes import merge
from shifter.schedule.late import FewLate, apart, is_late
from shifter.schedule.program import Capacity
from shifter.schedule.solve import solve
from tests.schedule.build import at, cycle_inputs, site, work


def overloaded(seed: int = 1, jobs: int = 24) -> CycleInputs:
    """Two pools, one under a power limit, and half as much work again as they can do."""
    rng = np.random.default_rng(seed)
    pools = (Pool("p", "X", 8, 1, 0.0, 1.0), Pool("q", "Y", 6, 1, 0.1, 0.6))
    load = {("a", "p"): {0.5: 1.3, 0.99: 2.6}, ("a", "q"): {0.5: 0.4, 0.99: 0.7}}
    given = []
    for i in range(jobs):
        start, length = rng.uniform(0, 12), rng.uniform(4, 12)
        given.append(
            work(
                f"w{i}", float(rng.uniform(3, 22)), start + length, earliest_start=at(start),
                max_accelerators=int(rng.integers(2, 8)), preemptible=bool(rng.integers(2)),
                accelerators=(("X",), ("X", "Y"))[rng.integers(2)],
            )
        )  # fmt: skip
    prices = rng.uniform(20, 90, 24).tolist()
    return cycle_inputs(given, sites=[site(pools=pools, power_limit_kw=9.0)], prices=prices, load=load)


def hours_late(plan: Plan) -> float:
    return sum(u.accelerator_hours for u in plan.unplaced)


def test_as_much_is_done_as_without_the_preference_and_fewer_are_late() -> None:
    inputs = overloaded()
    problem = problem_of(inputs)
    plain = solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=60)
    late = int((plain.values["short"] > 1e-6).sum())
    plan = plan_cycle(inputs)
    assert hours_late(plan) == pytest.approx(float(plain.values["short"].sum()), rel=1e-3)
    assert 0 < len(plan.unplaced) < late
    assert verify_plan(plan, inputs) == []


def test_jobs_of_one_class_are_whole_or_late_and_not_all_a_little() -> None:
    """Eight equal jobs, room for five and a half."""
    plan = plan_cycle(cycle_inputs([work(f"w{i}", 20, 11, max_accelerators=10) for i in range(8)]))
    done = {w.workload_id: w.finish for w in plan.workloads}
    assert len(plan.unplaced) == 3
    assert sorted(u.accelerator_hours for u in plan.unplaced) == pytest.approx([10, 20, 20], rel=1e-3)
    assert sum(finish is None for finish in done.values()) == 2


def test_classes_that_fall_short_are_cut_without_losing_anything() -> None:
    problem = problem_of(
        cycle_inputs([work(f"w{i}", 8 + 2 * i, 4, max_accelerators=4 + i) for i in range(6)])
    )
    classes = merge(problem.jobs)
    assert len(classes) == 1
    short = np.array([classes[0].hours - 25.0])
    assert is_late(classes, short, {})
    told = apart(classes, short)
    assert [len(one.jobs) for one in told] == [2, 1, 3]
    assert sum(one.hours for one in told) == pytest.approx(classes[0].hours)
    assert sum(one.max_accelerators for one in told) == pytest.approx(classes[0].max_accelerators)
    favour = FewLate.of(told, {}).favour
    assert favour[0] > favour[1] > favour[2]
    assert apart(classes, np.zeros(1)) == classes


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=12)
def test_the_bound_of_an_overloaded_plan_is_near_and_never_above_it(seed: int) -> None:
    plan = plan_cycle(overloaded(seed))
    assert plan.lower_bound <= plan.cost.total + 1e-6
    # What floors of capacity cost a fleet of fourteen accelerators, most of them used all day.
    assert plan.relative_gap < 0.1


def test_where_nothing_is_floored_the_bound_is_the_cost() -> None:
    """Whole capacity, windows of whole slots: the program of the work that is done is the plan's own."""
    jobs = [work(f"w{i}", 30 + i, 6 + i, max_accelerators=8) for i in range(6)]
    pools = (Pool("p", "X", 8, busy_kw=1.0),)
    inputs = cycle_inputs(jobs, sites=[site(pools=pools)], prices=[40.0 + i for i in range(24)])
    plan = plan_cycle(inputs)
    assert plan.unplaced
    assert plan.lower_bound == pytest.approx(plan.cost.total, rel=1e-6)


def test_no_work_that_just_fits_spoils_the_bound() -> None:
    """Nothing is late, and not an hour is free: the price of lateness stands in the program's prices."""
    plan = plan_cycle(replace(cycle_inputs([work("w", 95, 10)]), now=at(0.5)))
    assert not plan.unplaced
    assert 0 <= plan.relative_gap < 0.02


def test_a_battery_and_a_peak_beside_too_much_work() -> None:
    pools = (Pool("p", "X", 10, 1, 0.4, 1.4),)
    battery = Battery(20, 3, 0.9, 0.9, initial_kwh=5)
    plant = site(pools=pools, demand_charge_per_kw=2.0, power_limit_kw=13.0, battery=battery)
    jobs = [work(f"w{i}", 30, 10 + i) for i in range(6)]
    inputs = cycle_inputs(jobs, sites=[plant], prices=[20.0 + 60 * (h % 5) for h in range(24)])
    plan = plan_cycle(inputs)
    assert plan.unplaced
    assert 0 <= plan.relative_gap < 0.01


def test_a_coarse_plan_of_too_much_work_has_a_near_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scheduling, proving):
        monkeypatch.setattr(module, "EXACT_COLUMNS", 0)
    inputs = overloaded(jobs=60)
    plan = plan_cycle(inputs)
    assert plan.status == "coarse"
    assert plan.unplaced
    assert 0 <= plan.relative_gap < 0.1
    assert verify_plan(plan, inputs) == []


def test_what_is_done_is_the_same_whatever_the_order_of_the_work() -> None:
    inputs = overloaded()
    turned = replace(inputs, submissions=tuple(reversed(inputs.submissions)))
    first, second = plan_cycle(inputs), plan_cycle(turned)
    assert hours_late(first) == pytest.approx(hours_late(second), rel=1e-3)
    assert plan_cycle(inputs).to_json() == first.to_json()
