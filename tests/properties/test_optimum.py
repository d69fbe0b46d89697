"""More room is never dearer, and the bound that a plan proves is never above what anybody could pay.

The optimum is that of the program of all work, by SciPy. Steps of chains are taken without their `depends_on`: how a
chain's slack is shared out is a choice, made anew where a window changes, and no part of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from benchmarks.cases import rates_of
from benchmarks.naive_model import NaiveModel
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool, PowerCap, Site
from shifter.domain.plan import Plan
from shifter.domain.plant import Generation, GenerationWindow
from shifter.domain.tenant import Tenant
from shifter.domain.workload import Workload
from shifter.schedule.classes import merge
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.solve import linear_program
from tests.properties.test_plans import cases
from tests.properties.test_terms_together import everything
from tests.schedule.build import at, with_budgets, with_tenants

SETTINGS = settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a plan takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

CASES = st.one_of(cases(), everything())
"""Half of them with uncertain prices, power caps and alternatives."""

FEWER = settings(SETTINGS, max_examples=25)
"""For what plans each case and solves it once more."""


def optimum(problem: ScheduleProblem, *, helpless_pays: bool = True) -> float:
    """The least cost of the fractional schedule, lateness at its price [currency].

    What no plan can help has a price in the program; unless `helpless_pays`, it has none here, as in a plan's bill.
    """
    program, _ = linear_program(problem, merge(problem.jobs), Capacity.of(problem))
    cost, upper = program.cost.copy(), program.upper.copy()
    for columns, most in program.reliefs.values() if not helpless_pays else ():
        cost[columns], upper[columns] = 0.0, most
    blocks = {equal: [b for b in program.rows.values() if b.equal is equal] for equal in (False, True)}
    matrices = {
        e: sp.vstack([b.matrix(program.n_columns) for b in rows]).toarray() for e, rows in blocks.items()
    }
    limits = {e: np.concatenate([b.limit for b in rows]) for e, rows in blocks.items()}
    found = linprog(
        cost,
        A_ub=matrices[False],
        b_ub=limits[False],
        A_eq=matrices[True],
        b_eq=limits[True],
        bounds=list(zip(program.lower, upper, strict=True)),
        method="highs",
    )
    assert found.status == 0, found.message
    assert found.fun is not None
    return float(found.fun)


def without_chains(inputs: CycleInputs) -> CycleInputs:
    """The same work, each for itself."""
    return each(inputs, lambda w: replace(w, depends_on=()))


def each(inputs: CycleInputs, change: Callable[[Workload], Workload]) -> CycleInputs:
    """The inputs with every workload changed."""
    changed = tuple(replace(s, workload=change(s.workload)) for s in inputs.submissions)
    return replace(inputs, submissions=changed)


def never_dearer(inputs: CycleInputs, wider: CycleInputs) -> None:
    """The optimum of `wider` is at most that of `inputs`, at one price of lateness and for the same work."""
    problem, with_more = problem_of(inputs), problem_of(wider)
    # More slack may turn real-time work into work to be planned, which is other work and not more room.
    assume([job.id for job in problem.jobs] == [job.id for job in with_more.jobs])
    # What is asked for is what fairness measures by: with more slack, less of it may be due.
    asked = [tenant.asked_hours for tenant in problem.tenants]
    tenants = [replace(t, asked_hours=h) for t, h in zip(with_more.tenants, asked, strict=True)]
    price = problem.lateness_price_per_hour
    with_more = replace(with_more, lateness_price_per_hour=price, tenants=tuple(tenants))
    before, after = optimum(problem), optimum(with_more)
    assert after <= before + 1e-7 * (1 + abs(before))


@given(CASES.map(without_chains), st.integers(1, 6))
@SETTINGS
def test_more_accelerators_never_raise_the_optimum(inputs: CycleInputs, more: int) -> None:
    """Idle ones draw nothing here: those that do would rightly cost something."""

    def grown(extra: int) -> CycleInputs:
        sites = tuple(
            replace(s, pools=tuple(replace(p, count=p.count + extra, idle_kw=0.0) for p in s.pools))
            for s in inputs.fleet.sites
        )
        return replace(inputs, fleet=replace(inputs.fleet, sites=sites))

    never_dearer(grown(0), grown(more))


@given(CASES.map(without_chains), st.floats(1.0, 3.0))
@SETTINGS
def test_more_power_never_raises_the_optimum(inputs: CycleInputs, ratio: float) -> None:
    sites = tuple(
        replace(s, power_limit_kw=None if s.power_limit_kw is None else ratio * s.power_limit_kw)
        for s in inputs.fleet.sites
    )
    events = tuple(replace(e, limit_kw=ratio * (e.limit_kw or 0.0)) for e in inputs.grid_events)
    never_dearer(inputs, replace(inputs, fleet=replace(inputs.fleet, sites=sites), grid_events=events))
    never_dearer(inputs, replace(inputs, grid_events=()))


@given(CASES.map(without_chains), st.integers(0, 300), st.integers(0, 300))
@SETTINGS
def test_more_slack_never_raises_the_optimum(inputs: CycleInputs, earlier: int, later: int) -> None:
    def widened(w: Workload) -> Workload:
        assert w.earliest_start is not None
        assert w.deadline is not None
        return replace(
            w,
            earliest_start=w.earliest_start - timedelta(minutes=earlier),
            deadline=w.deadline + timedelta(minutes=later),
        )

    never_dearer(inputs, each(inputs, widened))


@given(CASES.map(without_chains))
@SETTINGS
def test_a_wider_boundary_never_raises_the_optimum(inputs: CycleInputs) -> None:
    # Hours of work that no pool may run are counted at an accelerator that need not be there: another unit.
    placeable = tuple(s for s in inputs.submissions if rates_of(s.workload, inputs.fleet))
    inputs = replace(inputs, submissions=placeable)
    assume(any(s.workload.data_boundary for s in placeable))
    never_dearer(inputs, each(inputs, lambda w: replace(w, data_boundary=None)))


@given(CASES.map(without_chains), st.integers(1, 6))
@SETTINGS
def test_more_width_never_raises_the_optimum(inputs: CycleInputs, more: int) -> None:
    # What a replica was too large for asks for nothing, and does so when it may run: fairness then measures by more.
    inputs = with_tenants(inputs, *inputs.fleet.tenants)
    never_dearer(inputs, each(inputs, lambda w: replace(w, max_accelerators=w.max_accelerators + more)))


@given(CASES.map(without_chains), st.floats(0, 6), st.floats(0, 1))
@SETTINGS
def test_a_higher_quota_or_a_lower_price_of_it_never_raises_the_optimum(
    inputs: CycleInputs, more: float, ratio: float
) -> None:
    assume(any(tenant.quota_accelerators is not None for tenant in inputs.fleet.tenants))

    def wider(tenant: Tenant) -> Tenant:
        quota, price = tenant.quota_accelerators, tenant.over_quota_cost_per_accelerator_hour
        if quota is None:
            return tenant
        less = None if price is None else ratio * price
        return replace(tenant, quota_accelerators=quota + more, over_quota_cost_per_accelerator_hour=less)

    fleet = replace(inputs.fleet, tenants=tuple(wider(tenant) for tenant in inputs.fleet.tenants))
    never_dearer(inputs, replace(inputs, fleet=fleet))


def of_sites(inputs: CycleInputs, change: Callable[[Site], Site]) -> CycleInputs:
    """The inputs with every site changed."""
    sites = tuple(change(site) for site in inputs.fleet.sites)
    return replace(inputs, fleet=replace(inputs.fleet, sites=sites))


@given(CASES.map(without_chains), st.floats(1, 3), st.floats(0, 10))
@SETTINGS
def test_a_larger_budget_never_raises_the_optimum(inputs: CycleInputs, ratio: float, more: float) -> None:
    budgets = inputs.fleet.objective.budgets
    assume(budgets)
    larger = [replace(budget, limit=ratio * budget.limit + more) for budget in budgets]
    never_dearer(inputs, with_budgets(inputs, *larger))
    never_dearer(inputs, with_budgets(inputs))


@given(CASES.map(without_chains), st.floats(0.001, 0.2), st.floats(1, 20))
@SETTINGS
def test_a_wider_ramp_never_raises_the_optimum(inputs: CycleInputs, least: float, ratio: float) -> None:
    def ramped(site: Site, factor: float) -> Site:
        return replace(site, ramp_limit_kw_per_minute=factor * (site.ramp_limit_kw_per_minute or least))

    never_dearer(of_sites(inputs, lambda s: ramped(s, 1.0)), of_sites(inputs, lambda s: ramped(s, ratio)))


@given(CASES.map(without_chains), st.floats(1, 3), st.floats(0, 10), st.floats(0, 0.1))
@SETTINGS
def test_more_generation_never_raises_the_optimum(
    inputs: CycleInputs, ratio: float, more: float, cost: float
) -> None:
    def with_plant(site: Site, ratio: float, more: float) -> Site:
        plant = site.generation or Generation((GenerationWindow(at(1), at(5), 0.5),), cost)
        windows = tuple(replace(w, available_kw=ratio * w.available_kw + more) for w in plant.windows)
        return replace(site, generation=replace(plant, windows=windows))

    never_dearer(
        of_sites(inputs, lambda s: with_plant(s, 1.0, 0.0)),
        of_sites(inputs, lambda s: with_plant(s, ratio, more)),
    )


@given(CASES.map(without_chains), st.floats(0, 10), st.floats(0, 10))
@SETTINGS
def test_a_higher_export_limit_never_raises_the_optimum(
    inputs: CycleInputs, least: float, more: float
) -> None:
    def exporting(site: Site, more: float) -> Site:
        limit, price = site.export_limit_kw or least, site.export_price_per_mwh
        return replace(
            site, export_limit_kw=limit + more, export_price_per_mwh=40.0 if price is None else price
        )

    never_dearer(
        of_sites(inputs, lambda s: exporting(s, 0.0)), of_sites(inputs, lambda s: exporting(s, more))
    )


@given(CASES.map(without_chains), st.floats(0.05, 0.95), st.floats(0.05, 1))
@SETTINGS
def test_a_power_cap_point_more_never_raises_the_optimum(
    inputs: CycleInputs, share: float, throughput: float
) -> None:
    def capped(pool: Pool) -> Pool:
        cap = PowerCap(pool.idle_kw + share * pool.dynamic_kw, throughput)
        return replace(pool, power_caps=(*pool.power_caps, cap))

    never_dearer(inputs, of_sites(inputs, lambda s: replace(s, pools=tuple(map(capped, s.pools)))))


def objective_of(plan: Plan) -> float:
    """What a plan minimises: its cost, or where prices are uncertain what they may come to."""
    return plan.cost.total if plan.risk is None else plan.risk.objective


def proven(inputs: CycleInputs) -> None:
    """The plan keeps the contract, and what it proves is no more than it comes to."""
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    objective = objective_of(plan)
    assert plan.lower_bound <= objective + 1e-6 * (1 + abs(objective))
    gap = (objective - plan.lower_bound) / max(abs(plan.lower_bound - plan.cost.fairness), 1e-9)
    # A share of the bound, or of more than that where it is next to nothing.
    assert plan.relative_gap <= gap + 1e-6 * (1 + abs(gap))


@given(cases())
@SETTINGS
def test_the_certified_bound_is_never_above_the_cost_of_the_plan(inputs: CycleInputs) -> None:
    proven(inputs)


@given(everything())
@FEWER
def test_nor_is_it_under_uncertain_prices_with_power_caps_and_alternatives(inputs: CycleInputs) -> None:
    proven(inputs)


def easy(inputs: CycleInputs) -> CycleInputs:
    """A tenth of the work, due within the horizon, on any number of accelerators and loaded in no time.

    So nearly all of it can be done. What is loaded draws power and does no work, which at negative prices earns what a
    program knows nothing of; a replica larger than a workload may use keeps it from pools that the naive model allows.
    """
    end = inputs.frame.grid.end
    models = tuple(replace(m, load_minutes=0.0, accelerators_per_replica={}) for m in inputs.fleet.models)

    def less(w: Workload) -> Workload:
        assert w.deadline is not None
        part = {
            "tokens": w.tokens and 0.1 * w.tokens,
            "hours": w.accelerator_hours and 0.1 * w.accelerator_hours,
        }
        return replace(
            w,
            tokens=part["tokens"],
            alternatives=tuple(replace(a, tokens=0.1 * a.tokens) for a in w.alternatives),
            accelerator_hours=part["hours"],
            deadline=min(w.deadline, end),
            depends_on=(),
        )

    return each(replace(inputs, fleet=replace(inputs.fleet, models=models)), less)


@given(CASES.map(easy))
@FEWER
def test_the_optimum_of_the_program_lies_between_the_bound_and_the_plan(inputs: CycleInputs) -> None:
    problem = problem_of(inputs)
    # What real-time load draws over the limit has a price in the program, and none in the plan.
    assume(all((site.quantile_kw <= site.limit_kw).all() for site in problem.sites))
    plan, least = plan_cycle(inputs), optimum(problem, helpless_pays=False)
    assume(not plan.unplaced)
    # Work counts as done when a ten-thousandth of it is left, and an hour costs at most a tenth of being late.
    rounding = 1e-4 * sum(job.hours for job in problem.jobs) * problem.lateness_price_per_hour / 10
    assert plan.lower_bound <= least + rounding + 1e-6
    assert least <= objective_of(plan) + rounding + 1e-6


def plain(inputs: CycleInputs) -> CycleInputs:
    """Pools, connections and batteries alone, from a slot's start on, which is what the naive model knows.

    Of a slot that is running it takes the whole room of pools and power, where only the rest of it is there.
    """
    sites = tuple(
        replace(
            site,
            pools=tuple(replace(pool, off_kw=None) for pool in site.pools),
            generation=None,
            export_limit_kw=0.0,
            export_price_per_mwh=None,
            ramp_limit_kw_per_minute=None,
        )
        for site in inputs.fleet.sites
    )
    objective = replace(inputs.fleet.objective, budgets=())
    fleet = replace(inputs.fleet, sites=sites, objective=objective)
    return with_tenants(replace(inputs, fleet=fleet, now=inputs.frame.grid.start))


@given(cases().map(easy).map(plain))
@FEWER
def test_the_bound_is_never_above_the_optimum_of_a_model_that_shares_no_code(inputs: CycleInputs) -> None:
    planned = {job.id for job in problem_of(inputs).jobs}
    assume(planned and planned == {s.workload.id for s in inputs.submissions})
    plan = plan_cycle(inputs)
    assume(not plan.unplaced)
    naive = NaiveModel(inputs).problem
    naive.solve(solver="HIGHS")
    assume(naive.status == "optimal")  # it knows no overload of what cannot be moved
    assert plan.lower_bound <= float(naive.value) + 1e-6 * (1 + abs(float(naive.value)))
