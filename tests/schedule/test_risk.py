"""Uncertain prices: what they change in a plan, what a plan says of them, and that its bound holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.series import Signal
from shifter.cli.summary import uncertain
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.risk import Risk, Trust
from shifter.realtime.reserve import reserve
from shifter.schedule import schedule as scheduling
from shifter.schedule import solve as solving
from shifter.schedule.bound import lower_bound, slot_prices
from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.risk import RiskArrays
from shifter.schedule.rungs import Rung, climb
from shifter.schedule.solve import linear_program, solve
from shifter.schedule.terms import risk as risk_term
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.risky import Widths, risky
from tests.schedule.solvers import without_solvers

PRICE, CARBON = Signal.PRICE, Signal.CARBON
CALM_AND_WILD: Widths = {("C", PRICE): 2.0, ("W", PRICE): 40.0}


def two_zones(**risk: Any) -> CycleInputs:
    """Work that fits in either of two sites: the wild one is a little cheaper, as forecast."""
    sites = [site("wild", zone="W"), site("calm", zone="C")]
    prices = {"C": [52.0 + 0.01 * i for i in range(24)], "W": [50.0 + 0.01 * i for i in range(24)]}
    return risky(cycle_inputs([work("w", 100, 24)], sites=sites, prices=prices), CALM_AND_WILD, **risk)


def hours_at(plan: Plan, name: str) -> float:
    return sum(
        a.accelerators * ((a.end - a.start) / timedelta(hours=1)) for a in plan.allocations if a.site == name
    )


def busy(**risk: Any) -> CycleInputs:
    """Two zones, a battery, a demand charge, a limit, carbon at a price, work with and without a shape."""
    plant = site(
        "a",
        zone="W",
        pools=(Pool("p", "X", 8, busy_kw=1.0), Pool("q", "Y", 4, idle_kw=0.1, busy_kw=0.5)),
        power_limit_kw=8.5,
        demand_charge_per_kw=0.4,
        peak_so_far_kw=3.0,
        battery=Battery(6, 2, 0.9, 0.9, initial_kwh=2),
    )
    jobs = [
        work(f"w{i}", 4 + i, 10 + i, preemptible=bool(i % 3), max_accelerators=2 + i % 3) for i in range(8)
    ]
    jobs.append(work("whole", 6, 20, interruptible=False, max_accelerators=3))
    inputs = cycle_inputs(
        jobs,
        sites=[plant, site("b", zone="C")],
        prices={"W": [40 + 30 * np.sin(i / 3) for i in range(24)], "C": [55.0 + (i % 7) for i in range(24)]},
        carbon={"W": [300.0 + 10 * i for i in range(24)], "C": [250.0] * 24},
        carbon_price=60.0,
        load={("a", "p"): {0.5: 1.2, 0.99: 2.4}},
    )
    widths: Widths = {
        ("W", PRICE): [5.0 + 2 * i for i in range(24)],
        ("C", PRICE): 8.0,
        ("W", CARBON): 120.0,
        ("C", CARBON): 20.0,
    }
    return risky(inputs, widths, **risk)


def test_without_a_weight_bands_change_nothing() -> None:
    plain = two_zones()
    bare = risky(plain, {})
    plan = plan_cycle(plain)
    assert plan.risk is None
    assert "risk" not in plan.to_dict()
    assert plan.to_json() == plan_cycle(bare).to_json()
    assert plan.to_json() == plan_cycle(two_zones(cvar_weight=0.0, scenarios=5, seed=3)).to_json()


def test_risk_moves_work_to_the_calmer_zone_and_says_what_that_costs() -> None:
    bold, careful = plan_cycle(two_zones()), plan_cycle(two_zones(cvar_weight=0.8))
    assert hours_at(bold, "wild") == pytest.approx(100)
    assert hours_at(careful, "calm") > 90
    assert careful.risk is not None
    assert careful.cost.total > bold.cost.total
    assert careful.risk.expected == careful.cost.total
    assert careful.risk.objective == pytest.approx(0.2 * careful.cost.total + 0.8 * careful.risk.tail)
    assert careful.relative_gap == pytest.approx(0.0, abs=0.01)
    [row] = careful.workloads
    assert row.reason_code == "less_risk"
    assert "EUR less with what prices may come to" in row.reason


def test_planning_by_a_quantile_is_the_plain_plan_at_its_prices() -> None:
    """The bands are symmetric, so the ninetieth percentile is the forecast and its width."""
    careful = plan_cycle(two_zones(robust_quantile=0.9))
    inputs = two_zones()
    dearer = {
        zone: list(inputs.frame.price_per_mwh(zone) + width) for (zone, _), width in CALM_AND_WILD.items()
    }
    at_p90 = plan_cycle(cycle_inputs([work("w", 100, 24)], sites=inputs.fleet.sites, prices=dearer))
    assert careful.allocations == at_p90.allocations
    assert careful.risk is not None
    assert careful.risk.measure == "quantile"
    assert careful.risk.objective == pytest.approx(at_p90.cost.total)
    assert careful.lower_bound == pytest.approx(at_p90.lower_bound)
    assert careful.risk.prices_per_mwh["W"] == pytest.approx(dearer["W"])
    assert careful.cost.total == pytest.approx(at_p90.cost.total - 100 * 2 / 1000), (
        "the bill is at the forecast"
    )


@pytest.mark.parametrize("risk", [{"cvar_weight": 0.6}, {"cvar_weight": 1.0}, {"robust_quantile": 0.8}])
def test_a_plan_with_everything_is_verified_proven_and_the_same_again(risk: dict[str, Any]) -> None:
    inputs = busy(**risk)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.risk is not None
    assert -1e-9 <= plan.relative_gap < 0.02
    assert sum(p.weight_ratio for p in plan.risk.paths) == pytest.approx(1.0, abs=1e-6)
    assert plan_cycle(inputs).to_json() == plan.to_json()
    assert Plan.from_dict(json.loads(plan.to_json())) == plan
    assert plan_cycle(inputs_from_json(inputs_to_json(inputs))).to_json() == plan.to_json(), "as stored"


def optimum(problem: ScheduleProblem) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """What the program minimises at its optimum, on capacity in fractions or not, its imports and its duals."""
    classes, capacity = merge(problem.jobs), Capacity.of(problem)
    solution = solve(problem, classes, capacity, time_limit_s=30)
    program, _ = linear_program(problem, classes, capacity)
    values = np.concatenate([solution.values[name] for name in program.columns])
    imports = solution.values["import"].reshape(len(problem.sites), -1)
    return float(program.cost @ values), imports, dict(solution.duals)


def test_the_optimum_is_that_of_the_plain_problem_at_the_risk_adjusted_prices() -> None:
    problem = problem_of(busy(cvar_weight=0.7))
    assert problem.risk is not None
    value, _, duals = optimum(problem)
    weights = problem.risk.weights_of(duals)
    plain, _, _ = optimum(problem.at_prices(weights))
    assert plain == pytest.approx(value, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
@settings(deadline=None, max_examples=30)
def test_any_weights_of_the_measure_give_a_valid_bound(seed: int, bite: float) -> None:
    problem, best, duals = PROBLEM
    assert problem.risk is not None
    costs = np.random.default_rng(seed).standard_normal(problem.risk.n_paths)
    weights = (1 - bite) * problem.risk.even + bite * problem.risk.worst_weights(costs)
    envelope = reserve(busy().realtime, busy().fleet)
    free = [
        np.array([getattr(envelope[pool.key], kind) for pool in problem.pools])
        for kind in ("any_capacity", "firm_capacity")
    ]
    done = {job.id: job.hours for job in problem.jobs}
    bound = lower_bound(problem.at_prices(weights), slot_prices(problem, duals), (free[0], free[1]), done)
    assert bound <= best + 1e-6
    own = lower_bound(
        problem.at_prices(problem.risk.weights_of(duals)),
        slot_prices(problem, duals),
        (free[0], free[1]),
        done,
    )
    assert own == pytest.approx(best, rel=0.02)


def _solved() -> tuple[ScheduleProblem, float, dict[str, np.ndarray]]:
    problem = problem_of(busy(cvar_weight=0.7))
    value, _, duals = optimum(problem)
    return problem, value, duals


PROBLEM = _solved()


@given(
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=4, unique=True),
    st.sampled_from([0.0, 0.5, 0.9, 0.95]),
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=15)
def test_more_weight_on_the_tail_lowers_it_and_raises_the_expected_cost(
    weights: list[float], level: float, seed: int
) -> None:
    """Of the program's optima, which have no rounding to whole accelerators in them."""
    risk = {"cvar_level": level, "seed": seed, "scenarios": 8}
    fixed = problem_of(busy(cvar_weight=1.0, **risk))
    assert fixed.risk is not None
    tails, expected = [], []
    for weight in sorted(weights):
        problem = problem_of(busy(cvar_weight=max(weight, 1e-6), **risk))
        value, imports, _ = optimum(problem)
        costs = fixed.risk.costs(imports, np.zeros_like(imports), 1.0)
        tails.append(fixed.risk.tail(costs))
        expected.append(value - max(weight, 1e-6) * tails[-1])
    slack = 1e-6 * max(1.0, abs(expected[0]))
    assert all(later <= before + slack for before, later in pairwise(tails))
    assert all(later >= before - slack for before, later in pairwise(expected))


def test_the_tail_is_the_mean_of_its_worst_outcomes() -> None:
    arrays = RiskArrays(0.5, 0.75, np.zeros((8, 1, 1)))
    costs = np.array([3.0, 9.0, 1.0, 4.0, 7.0, 2.0, 5.0, 6.0])
    assert arrays.tail(costs) == pytest.approx((9 + 7) / 2)
    assert replace(arrays, level=0.0).tail(costs) == pytest.approx(costs.mean())
    assert replace(arrays, level=0.99).tail(costs) == pytest.approx(9.0)


def test_without_quantiles_the_plan_is_plain_and_says_so() -> None:
    inputs = risky(cycle_inputs([work("w", 20, 24)]), {}, cvar_weight=0.5)
    plan = plan_cycle(inputs)
    plain = plan_cycle(cycle_inputs([work("w", 20, 24)]))
    assert (plan.risk, plan.allocations, plan.cost) == (None, plain.allocations, plain.cost)
    assert any("no quantiles are known" in w for w in plan.warnings)
    assert verify_plan(plan, inputs) == []


def test_without_a_solver_the_proof_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    without_solvers(monkeypatch)
    for risk in ({"cvar_weight": 0.8}, {"robust_quantile": 0.9}):
        plan = plan_cycle(busy(**risk))
        assert plan.status == "greedy"
        assert plan.risk is not None
        assert plan.lower_bound <= plan.risk.objective


def test_work_goes_where_the_forecast_can_be_trusted() -> None:
    """The wild zone's forecast promises a cheap night; where it has no skill, that is worth nothing."""
    prices = {"C": [48.0] * 24, "W": [30.0] * 12 + [90.0] * 12}
    inputs = cycle_inputs(
        [work("w", 60, 24)], sites=[site("calm", zone="C"), site("wild", zone="W")], prices=prices
    )
    doubted = risky(inputs, {}, trust=(Trust(PRICE, 0, 0.1, zone="W"),))
    plan = plan_cycle(doubted)
    assert hours_at(plan_cycle(inputs), "wild") == pytest.approx(60)
    assert hours_at(plan, "calm") == pytest.approx(60)
    assert verify_plan(plan, doubted) == []
    assert any("zone W price: 24 of 24 slots are discounted" in w for w in plan.warnings)
    wild = [r.price_per_mwh for r in plan.power if r.site == "wild"]
    assert wild == pytest.approx([60 - 3.0] * 12 + [60 + 3.0] * 12)


def test_a_band_far_above_the_bill_is_no_reason_to_reject() -> None:
    """What is minimised is then far larger than the bill, and so is what rounding takes off its bound."""
    jobs = [work("w", 80, 20), work("v", 40, 20, preemptible=False), work("late", 400, 10)]
    load = {("a", "p"): {0.5: 1.0, 0.99: 2.0}}
    plain = cycle_inputs(jobs, prices=[30.0 + 5 * (i % 5) for i in range(24)], load=load)
    inputs = risky(plain, {("Z", PRICE): 1e15}, cvar_weight=0.5)
    plan = plan_cycle(inputs)
    assert plan.minimised > 1e12 * plan.cost.total
    assert verify_plan(plan, inputs) == []


def test_the_summary_tells_what_prices_may_come_to() -> None:
    told = uncertain(plan_cycle(two_zones(cvar_weight=0.5)).to_dict()["risk"], "EUR")
    assert "Over 100 paths of price and carbon: 5." in told
    assert "in the worst 10 %" in told
    quantile = uncertain(plan_cycle(two_zones(robust_quantile=0.9)).to_dict()["risk"], "EUR")
    assert "planned for prices at which it costs 5." in quantile


def test_the_page_names_every_setting_and_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/concepts/uncertainty.md").read_text(encoding="utf-8")
    for setting in fields(Risk):
        default = {None: "null", (): "none"}.get(getattr(Risk(), setting.name), getattr(Risk(), setting.name))
        shown = f"{default:g}" if isinstance(default, float) else default
        assert f"| `{setting.name}` | {shown} |" in page


def test_paths_that_join_once_they_bind_make_the_same_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(busy(cvar_weight=0.7, scenarios=40))
    classes, capacity = merge(problem.jobs), Capacity.of(problem)
    solves: list[float] = []

    def counted(whole: Any, rungs: Sequence[Rung], time_limit_s: float) -> tuple[str, ...]:
        solves.append(time_limit_s)
        return climb(whole, rungs, time_limit_s)

    monkeypatch.setattr(solving, "climb", counted)

    def least(first: Sequence[int]) -> float:
        solves.clear()
        monkeypatch.setattr(risk_term, "_dearest", lambda *_: np.isin(np.arange(40), first))
        program, _ = linear_program(problem, classes, capacity)
        found = solving.optimum(program, program.cost, program.upper, time_limit_s=30)
        assert found.duals["risk"].shape == (40,)
        assert (program.rows["risk"].matrix(program.n_columns) @ found.values).max() < 1e-6
        return float(program.cost @ found.values)

    every = least(range(40))
    assert len(solves) == 1
    assert least(range(4)) == pytest.approx(every, rel=1e-7)
    assert len(solves) > 1


@pytest.mark.parametrize("risk", [{"cvar_weight": 0.7, "scenarios": 20}, {"robust_quantile": 0.9}])
def test_a_plan_too_large_to_be_solved_exactly_counts_risk_too(
    monkeypatch: pytest.MonkeyPatch, risk: dict[str, Any]
) -> None:
    exact = plan_cycle(busy(**risk))
    monkeypatch.setattr(scheduling, "EXACT_COLUMNS", 0)
    coarse = plan_cycle(busy(**risk))
    assert exact.risk is not None
    assert coarse.risk is not None
    assert verify_plan(coarse, busy(**risk)) == []
    assert coarse.lower_bound <= exact.risk.objective + 1e-6
    assert coarse.lower_bound == pytest.approx(exact.lower_bound, rel=0.02)
    assert hours_at(plan_cycle(two_zones()), "wild") == pytest.approx(100)
    assert hours_at(plan_cycle(two_zones(**risk)), "calm") > 90
