"""Solvers that fail, each in earnest: the next one is asked, the plan says so, and every limit is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.effort import Effort
from shifter.domain.fleet import Pool
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.tenant import Tenant
from shifter.errors import SolverFailed
from shifter.schedule import exact, fleet_bound, mend, scaled
from shifter.schedule import proof as proving
from shifter.schedule import schedule as scheduling
from shifter.schedule import solve as solving
from shifter.schedule.beside import Beside
from shifter.schedule.bound import lower_bound, proof_prices
from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import (
    CLARABEL,
    INTERIOR,
    INTERIOR_FIRST,
    SIMPLEX,
    SIMPLEX_FIRST,
    Rung,
    by_size,
    climb,
)
from shifter.schedule.settle import Sources
from shifter.schedule.solve import solve
from tests.schedule.build import at, cycle_inputs, site, with_tenants, work
from tests.schedule.risky import risky

STUCK = Rung("a stuck simplex", "HIGHS", {"solver": "simplex", "simplex_iteration_limit": 0})
STUCK_TOO = Rung("a stuck interior point", "HIGHS", {"solver": "ipm", "ipm_iteration_limit": 0})
MISSING = Rung("a solver that nobody has", "XPRESS", {})


def case(**over: Any) -> CycleInputs:
    pools = (Pool("p", "X", 8, busy_kw=1.0), Pool("q", "Y", 4, idle_kw=0.1, busy_kw=0.5))
    plant = site(
        pools=pools,
        power_limit_kw=8.5,
        demand_charge_per_kw=0.4,
        peak_so_far_kw=3.0,
        battery=Battery(6, 2, 0.9, 0.9, initial_kwh=2),
    )
    jobs = [
        work(
            f"w{i}",
            4 + i,
            10 + i,
            preemptible=bool(i % 3),
            max_accelerators=2 + i % 3,
            accelerators=("X", "Y"),
        )
        for i in range(9)
    ]
    prices = [40.0 + 7 * (i % 6) for i in range(24)]
    return cycle_inputs(jobs, sites=[plant], prices=prices, load={("a", "p"): {0.5: 1.2, 0.99: 2.4}}, **over)


def with_solvers(monkeypatch: pytest.MonkeyPatch, *rungs: Rung) -> None:
    """Whoever asks for solvers gets these."""
    monkeypatch.setattr(solving, "by_size", lambda *_, **__: rungs)
    for module in (exact, scaled, proving):
        monkeypatch.setattr(module, "SIMPLEX_FIRST", rungs)


@pytest.mark.parametrize("rung", [SIMPLEX, INTERIOR, CLARABEL])
def test_every_solver_finds_the_same_optimum_and_duals_that_prove_it(rung: Rung) -> None:
    problem = problem_of(case())
    found = solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=30, rungs=(rung,))
    best = solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=30)
    assert found.notes == ()
    assert cost(found) == pytest.approx(cost(best), rel=1e-6)


def test_why_a_solver_gave_no_answer_is_said_in_the_same_words_each_time() -> None:
    lost = Rung("a lost interior point", "HIGHS", {"solver": "ipm", "run_crossover": "off"})
    numbers = np.random.default_rng(0)
    rows, prices = numbers.normal(size=(20, 30)), numbers.normal(size=30)
    said = set()
    for _ in range(2):
        x = cp.Variable(30)  # badly scaled, so that it ends without a status
        whole = cp.Problem(cp.Minimize(prices @ x), [rows @ x <= 1e9, x >= -1e9, x <= 1e12])
        with pytest.raises(SolverFailed) as failure:
            climb(whole, (lost,), 10.0)
        said.add(failure.value.detail)
    assert said == {"a lost interior point gave no answer (Cannot unpack invalid solution)."}


def cost(solution: solving.Solution) -> float:
    prices = np.array([40.0 + 7 * (i % 6) for i in range(24)]) / 1000
    return float(solution.values["import"] @ prices) + 0.4 * float(solution.values["peak"][0])


@pytest.mark.parametrize("next_one", [INTERIOR, CLARABEL])
def test_where_one_fails_the_next_makes_the_plan_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, next_one: Rung
) -> None:
    plain = plan_cycle(case())
    with_solvers(monkeypatch, STUCK, next_one)
    plan = plan_cycle(case())
    assert plan.status == "optimal"
    (said,) = plan.warnings
    assert said.startswith("a stuck simplex ran out of its")
    assert said.endswith(f"{next_one.name} was used instead.")
    assert plan.cost.total == pytest.approx(plain.cost.total, rel=1e-3)
    assert plan.lower_bound == pytest.approx(plain.lower_bound, rel=1e-4)
    assert verify_plan(plan, case()) == []


def test_where_all_fail_the_error_names_each_and_why() -> None:
    problem = problem_of(case())
    rungs = (STUCK, MISSING, STUCK_TOO)
    with pytest.raises(SolverFailed) as caught:
        solve(problem, merge(problem.jobs), Capacity.of(problem), time_limit_s=30, rungs=rungs)
    first, second, third = caught.value.detail.removesuffix(".").split("; ")
    # Shares that were set, not seconds that were measured: the plan says this, and is the same each time.
    assert first == "a stuck simplex ran out of its 80 % of the time"
    assert second.startswith("a solver that nobody has gave no answer")
    assert third == "a stuck interior point ran out of the time that was left"


def test_where_the_whole_program_fails_a_coarser_one_makes_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one for exact programs is stuck; that of the coarser ones is not."""
    monkeypatch.setattr(solving, "by_size", lambda *_, **__: (STUCK, STUCK_TOO))
    jobs = [work(f"w{i}", 2 + i % 5, 10 + i % 14, max_accelerators=3) for i in range(40)]
    prices = [40.0 + 7 * (i % 6) for i in range(24)]
    inputs = cycle_inputs(jobs, sites=[site(power_limit_kw=9.0)], prices=prices)
    plan = plan_cycle(inputs)
    assert plan.status == "coarse"
    assert plan.warnings[0].startswith(
        "planned by a coarser program, after the whole program: a stuck simplex"
    )
    assert verify_plan(plan, inputs) == []
    assert 0 <= plan.relative_gap < 0.05


@pytest.mark.parametrize("terms", [{}, {"ramp_limit_kw_per_minute": 5.0}])
def test_the_coarser_program_is_solved_first_and_serves_where_the_whole_one_fails(
    monkeypatch: pytest.MonkeyPatch, terms: dict[str, Any]
) -> None:
    monkeypatch.setattr(solving, "by_size", lambda *_, **__: (STUCK,))
    monkeypatch.setattr(scheduling, "SIMPLEX_COLUMNS", 0)
    asked: list[float] = []
    relax = scaled.relax

    def counted(problem: ScheduleProblem, capacity: Capacity, *, time_limit_s: float) -> scaled.Relaxed:
        asked.append(time_limit_s)
        return relax(problem, capacity, time_limit_s=time_limit_s)

    monkeypatch.setattr(scheduling, "relax", counted)
    jobs = [work(f"w{i}", 2 + i % 5, 10 + i % 14, max_accelerators=3) for i in range(20)]
    inputs = cycle_inputs(jobs, sites=[site(power_limit_kw=9.0, **terms)])
    if terms:
        monkeypatch.setattr(mend, "sites_beside", lambda problem, *_: Beside({}, Sources.none(problem)))
    plan = plan_cycle(inputs)
    assert plan.status == "coarse"
    assert len(asked) == 1


def test_risk_whose_program_fails_leaves_the_prices_of_the_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "by_size", lambda *_, **__: (STUCK,))
    monkeypatch.setattr(scaled, "PRIMAL_FIRST", (STUCK,))
    prices = [40.0 + 7 * (i % 6) for i in range(24)]
    given = cycle_inputs([work(f"w{i}", 4 + i, 20, max_accelerators=3) for i in range(6)], prices=prices)
    inputs = risky(given, {("Z", Signal.PRICE): 5.0}, cvar_weight=0.5)
    plan = plan_cycle(inputs)
    assert plan.status == "coarse"
    assert any("solved for the forecast alone" in line for line in plan.warnings)
    assert verify_plan(plan, inputs) == []
    assert plan.relative_gap < 0.2


def test_few_classes_over_many_slots_are_for_the_simplex() -> None:
    assert by_size(100_000, 60) == SIMPLEX_FIRST
    assert by_size(69_000, 300) == INTERIOR_FIRST
    assert by_size(100_000, 60, dense=True)[0].options["simplex_strategy"] == 4


@pytest.mark.parametrize("shape", [{}, {"interruptible": False}])
def test_without_time_for_any_solver_there_is_a_plan_all_the_same(shape: dict[str, Any]) -> None:
    inputs = cycle_inputs(
        [work(f"w{i}", 20, 9 + i, **shape) for i in range(6)], sites=[site(power_limit_kw=9.0)]
    )
    plan = plan_cycle(replace(inputs, time_limit_s=1e-9))
    assert plan.status == "greedy"
    assert plan.allocations
    assert verify_plan(plan, inputs) == []
    assert plan.lower_bound <= plan.cost.total + 1e-9


@pytest.mark.parametrize("effort", [Effort.COARSE, Effort.GREEDY])
def test_less_may_be_asked_for_after_a_process_died(effort: Effort) -> None:
    plan = plan_cycle(case(), effort)
    assert plan.status == effort.value
    assert "the planning process ended in the midst of it" in plan.warnings[0]
    assert verify_plan(plan, case()) == []


def test_nothing_is_called_optimal_that_a_heuristic_placed() -> None:
    statuses = [
        plan_cycle(cycle_inputs([work("w", 20, 24, **shape)], prices=[30.0 + h for h in range(24)])).status
        for shape in ({}, {"interruptible": False})
    ]
    assert statuses == ["optimal", "rounded"]


def sunny(**over: Any) -> CycleInputs:
    """A plant has no formula in the bound: what the sites do is a program there."""
    sun = Generation((GenerationWindow(at(8), at(16), 5.0),))
    return cycle_inputs([work("w", 30, 20)], sites=[site(generation=sun)], **over)


def test_a_bound_that_no_solver_finds_holds_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def fails(*_: Any, time_limit_s: float, **__: Any) -> None:
        asked.append(time_limit_s)
        raise SolverFailed("a stuck solver ended as unknown.")

    plain = plan_cycle(inputs := replace(sunny(), time_limit_s=10.0))
    monkeypatch.setattr(fleet_bound, "optimum", fails)
    plan = plan_cycle(inputs)
    assert plan.lower_bound < plain.lower_bound
    assert plan.allocations == plain.allocations
    (said,) = [w for w in plan.warnings if "solver" in w]
    assert said == (
        "the bound may be looser than it need be: what sites could do beside the work: a stuck solver ended as unknown."
    )
    # Of the time that there is, the proof has a share, however many prices are tried.
    assert 0 < sum(asked) <= 0.3 * 10.0


def test_a_battery_without_an_optimum_in_time_is_told() -> None:
    problem = problem_of(case())
    free = np.array([pool.any_capacity for pool in problem.pools], dtype=float)
    done = {job.id: job.hours for job in problem.jobs}
    failed: list[str] = []
    loose = lower_bound(problem, proof_prices(problem), (free, free), done, time_limit_s=0.0, failed=failed)
    assert loose < lower_bound(problem, proof_prices(problem), (free, free), done)
    (said,) = failed
    assert said.startswith("what the battery of a could do: HiGHS' simplex ran out of its")


def test_prices_of_the_work_that_is_done_are_told_where_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise SolverFailed("a stuck solver ended as unknown.")

    monkeypatch.setattr(proving, "solve", fails)
    monkeypatch.setattr(proving, "relax", fails)
    plan = plan_cycle(cycle_inputs([work(f"w{i}", 30, 9) for i in range(5)]))
    assert plan.unplaced
    said = [w for w in plan.warnings if w.startswith("the bound may be looser than it need be: ")]
    assert ["a coarser" in w for w in said] == [False, True]


def test_tenants_that_could_not_be_told_apart_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scaled.relax

    def fails_to_tell(*args: Any, tell: bool = False, **over: Any) -> Any:
        if tell:
            raise SolverFailed("a stuck solver ended as unknown.")
        return whole(*args, **over)

    monkeypatch.setattr(scheduling, "relax", fails_to_tell)
    monkeypatch.setattr(scheduling, "EXACT_COLUMNS", 0)
    jobs = [replace(work(f"w{i}", 30, 9), tenant="A") for i in range(5)]
    plan = plan_cycle(with_tenants(cycle_inputs(jobs), Tenant("A", 1.0, 2.0)))
    assert plan.status == "coarse"
    assert any("telling them apart failed: a stuck solver" in w for w in plan.warnings)
