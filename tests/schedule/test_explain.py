"""Why the plan is as it is, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.announced import Announced
from shifter.domain.fleet import Budget, Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Generation, GenerationWindow
from shifter.domain.resilience import Resilience
from shifter.domain.rows import WorkloadPlan
from shifter.domain.tenant import Tenant
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.baseline import run_now
from shifter.schedule.explain import Context, explain_workloads
from shifter.schedule.pack import Piece
from shifter.schedule.settle import settle
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work

HOUR_US = 3_600_000_000
DEAR_AT_FIRST = [100.0] * 2 + [10.0] * 22
CHEAP_AT_FIRST = [10.0] * 2 + [100.0] * 22
DEAR_AT_NOON = [40.0] * 12 + [60.0] * 3 + [40.0] * 9
SUN = Generation((GenerationWindow(at(12), at(15), 10.0),), 0.0)


def row(plan: Plan, id: str = "w") -> WorkloadPlan:
    [found] = [w for w in plan.workloads if w.workload_id == id]
    return found


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        (
            DEAR_AT_FIRST,
            "slots cost 10.00 EUR/MWh with carbon, its window 17.50 EUR/MWh on average; saves 1.80 EUR",
        ),
        (CHEAP_AT_FIRST, "Costs 1.80 EUR more than at once"),
        ([50.0] * 24, "its slots cost 50.00 EUR/MWh with carbon, its window 50.00 EUR/MWh on average."),
    ],
)
def test_money_is_told_in_the_fleets_currency(prices: list[float], told: str) -> None:
    problem = problem_of(cycle_inputs([work("w", 20, 24)], prices=prices))
    pieces = [Piece("w", 0, 0, 20 * HOUR_US, 22 * HOUR_US, 10)]
    done, plan = {"w": 20.0}, Context(settle(problem, pieces, {}))
    [explained] = explain_workloads(problem, pieces, done, run_now(problem, done), "EUR", plan)
    assert told in explained.reason


def test_one_accelerator_is_one() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 4, max_accelerators=1)]))
    assert (
        plan.unplaced[0].reason == "At 1 accelerator it needs 20.0 h, and 4.0 h are left until its deadline."
    )


@pytest.mark.parametrize("others", [0, 1])
def test_work_on_the_sites_own_power_is_not_said_to_cost_more(others: int) -> None:
    """At noon the grid is dearer, and the sun is free: with another job for it, too, which gains as much."""
    jobs = [work("w", 30, 20), *(work(f"v{i}", 30, 10) for i in range(others))]
    plan = plan_cycle(cycle_inputs(jobs, sites=[site(generation=SUN)], prices=DEAR_AT_NOON))
    sunny = [w for w in plan.workloads if w.start and at(12) <= w.start]
    assert {w.reason_code for w in sunny} == {"own_generation"}
    told = "all else as planned, it costs 0.00 EUR there and would cost 1.20 EUR at once."
    assert any(told in w.reason for w in sunny)


def test_work_that_is_cheaper_on_the_grid_and_on_the_sun_is_told_of_the_sun() -> None:
    prices = [60.0] * 12 + [59.0] * 3 + [60.0] * 9
    plan = plan_cycle(cycle_inputs([work("w", 20, 20)], sites=[site(generation=SUN)], prices=prices))
    assert row(plan).reason_code == "own_generation"
    cheap = [60.0] * 12 + [20.0] * 3 + [60.0] * 9
    plan = plan_cycle(cycle_inputs([work("w", 20, 20)], sites=[site(generation=SUN)], prices=cheap))
    assert row(plan).reason_code == "cheaper_later"


def test_work_on_accelerators_that_are_on_anyway() -> None:
    """From noon on the margin of real-time load is powered, and work that may be preempted may stand in it."""
    pool = Pool("p", "X", 10, failure_domains=5, idle_kw=0.9, busy_kw=1.0, off_kw=0.0)
    plant = site(pools=(pool,), resilience=Resilience(0.99, lose_domains=1))
    inputs = cycle_inputs(
        [work("w", 3, 20, max_accelerators=1)], sites=[plant], prices=[40.0] * 12 + [41.0] * 12
    )
    load = {("a", "p"): {q: np.array([0.0] * 12 + [4.0] * 12) for q in (0.5, 0.99)}}
    plan = plan_cycle(replace(inputs, realtime=RealtimeLoad(inputs.frame.grid, load)))
    assert (row(plan).start or at(0)) >= at(12)
    assert row(plan).reason_code == "powered_anyway"
    assert "it costs 0.01 EUR there and would cost 0.12 EUR at once" in row(plan).reason


def budgeted(limit: float, **over: Any) -> CycleInputs:
    given: dict[str, Any] = {"prices": DEAR_AT_NOON[::-1], "carbon": [300.0] * 12 + [100.0] * 12}
    return with_budgets(
        cycle_inputs([work("w", 20, 20)], **{**given, **over}), Budget("carbon_kg", limit, at(0), at(24))
    )


def test_work_that_waits_for_a_budget_says_so() -> None:
    """No more of the budget would save anything: its price is 0, and still it is what keeps the work from now."""
    waits = row(plan_cycle(budgeted(2.0)))
    assert waits.reason_code == "within_budget"
    assert waits.reason == (
        "Moved to keep budgets[0]: at once it would use 4 kg CO2e more, and 0 of 2 are left."
    )
    assert row(plan_cycle(budgeted(7.0))).reason_code == "no_gain"


@pytest.mark.parametrize("price", [None, 0.3])
def test_work_that_waits_for_its_tenants_quota_says_so(price: float | None) -> None:
    jobs = [work(id, 10, due, tenant="t", max_accelerators=5) for id, due in (("first", 2), ("then", 4))]
    plan = plan_cycle(with_tenants(cycle_inputs(jobs), Tenant("t", 1.0, 5.0, None, price)))
    later = row(plan, "then")
    assert later.start == at(2)
    # Under a hard quota, running at once waits for it, too.
    assert later.reason_code == ("no_gain" if price is None else "within_quota")
    assert price is None or "10 accelerator-hours more beyond it, for 3.00 EUR" in later.reason


def test_work_that_waits_for_the_peak_says_so_where_prices_are_equal() -> None:
    jobs = [work("w", 20, 24), work("v", 20, 2)]
    plant = site(demand_charge_per_kw=2.0, pools=(Pool("p", "X", 20, 1, 0.0, 1.0),))
    plan = plan_cycle(cycle_inputs(jobs, sites=[plant]))
    assert row(plan).reason_code == "made_room"
    assert row(plan).reason.startswith("Costs no more than at once")


def test_work_that_stays_because_it_was_announced_says_so() -> None:
    inputs = cycle_inputs([work("w", 20, 24)], prices=[40.0] * 20 + [30.0] * 4)
    before = plan_cycle(inputs)
    changed = replace(
        inputs,
        frame=cycle_inputs([], prices=[40.0] * 20 + [40.5] * 4).frame,
        announced=Announced.of(before, inputs.now),
        hold_gap=-1.0,
    )
    objective = replace(inputs.fleet.objective, churn_cost_per_accelerator_hour=0.01)
    plan = plan_cycle(replace(changed, fleet=replace(inputs.fleet, objective=objective)))
    assert row(plan).start == row(before).start
    assert row(plan).reason_code == "kept"
    assert "0.01 EUR more than at once" in row(plan).reason
