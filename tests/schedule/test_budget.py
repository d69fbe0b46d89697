"""Budgets of carbon and money: never exceeded by work, priced, and told where real-time load alone exceeds them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Budget, Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Generation, GenerationWindow
from tests.schedule.build import START, at, cycle_inputs, site, with_budgets, work
from tests.schedule.solvers import without_solvers
from tests.schedule.spoil import codes

CLEAN_LATE = [400.0] * 12 + [100.0] * 12
CHEAP_EARLY = [20.0] * 12 + [60.0] * 12
DAY = (at(0), at(24))


def case(*jobs: Any, budgets: Any = (), **over: Any) -> CycleInputs:
    """Early hours are cheap and dirty, late ones dear and clean."""
    given = {"prices": CHEAP_EARLY, "carbon": CLEAN_LATE, **over}
    return with_budgets(cycle_inputs(jobs, **given), *budgets)


def planned(inputs: CycleInputs) -> Plan:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    return Plan.from_dict(json.loads(plan.to_json()))


def test_a_budget_of_carbon_moves_work_to_clean_hours_and_has_a_price() -> None:
    free = planned(case(work("w", 20, 24)))
    assert free.carbon_kg == pytest.approx(8.0)
    plan = planned(case(work("w", 20, 24), budgets=[Budget("carbon_kg", 5.0, *DAY)]))
    assert plan.carbon_kg == pytest.approx(5.0)
    # Half of the work moves: a kWh costs 0.04 more and saves 0.3 kg.
    assert plan.cost.total == pytest.approx(0.4 + 10 * 0.04)
    assert plan.duals.budget == pytest.approx((0.04 / 0.3,))
    # The bound is of all plans that keep the budget to within a hundred-thousandth of it.
    assert plan.relative_gap == pytest.approx(5e-5 * plan.duals.budget[0] / 0.8, rel=1e-3)
    more = planned(case(work("w", 20, 24), budgets=[Budget("carbon_kg", 6.0, *DAY)]))
    assert plan.cost.total - more.cost.total == pytest.approx(plan.duals.budget[0])


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, 1e9])
def test_another_price_of_a_budget_does_not_prove_the_bound(factor: float) -> None:
    inputs = case(work("w", 20, 24), budgets=[Budget("carbon_kg", 5.0, *DAY)])
    plan = plan_cycle(inputs)
    other = replace(plan.duals, budget=(factor * plan.duals.budget[0],))
    assert codes(replace(plan, duals=other), inputs) == {"bound", "budget"}


def test_the_plan_says_what_is_used_of_each_and_what_more_would_save() -> None:
    budgets = [Budget("carbon_kg", 5.0, *DAY), Budget("money", 9.0, *DAY)]
    plan = planned(case(work("w", 20, 24), budgets=budgets))
    [carbon, money] = plan.budgets
    assert (carbon.name, carbon.unit, carbon.limit) == ("budgets[0]", "kg CO2e", 5.0)
    assert carbon.used == pytest.approx(plan.carbon_kg)
    assert money.used == pytest.approx(plan.cost.energy)
    assert (carbon.price, money.price) == plan.duals.budget
    assert carbon.price
    assert money.price == 0
    assert "budgets" not in planned(case(work("w", 20, 24))).to_dict()


def test_work_that_would_break_it_is_unplaced_and_says_so() -> None:
    plan = planned(case(work("w", 20, 24), budgets=[Budget("carbon_kg", 1.5, *DAY)]))
    assert plan.carbon_kg == pytest.approx(1.5)
    [late] = plan.unplaced
    assert late.accelerator_hours == pytest.approx(5.0)
    assert late.reason.startswith(
        "It would break budgets[0]: the rest of it causes at least 0.5 kg CO2e, and 0 of 1.5"
    )


def test_a_budget_of_money_counts_energy_less_export() -> None:
    plan = planned(case(work("w", 20, 24), budgets=[Budget("money", 0.3, *DAY)]))
    assert plan.cost.energy == pytest.approx(0.3)
    assert "EUR" in plan.unplaced[0].reason
    evening = Generation((GenerationWindow(at(12), at(24), 0.5),))
    plant = site(generation=evening, export_limit_kw=5.0, export_price_per_mwh=60.0)
    sold = planned(case(work("w", 20, 12), budgets=[Budget("money", 0.3, *DAY)], sites=[plant]))
    assert not sold.unplaced
    assert sold.cost.export < 0
    assert sold.cost.energy + sold.cost.export <= 0.3 + 1e-6


def test_only_its_period_and_its_sites_count() -> None:
    first = Budget("carbon_kg", 1.0, at(0), at(2.5), ("a",))
    plan = planned(case(work("w", 30, 12), budgets=[first], sites=[site(), site("b")]))
    assert not plan.unplaced
    early = [a for a in plan.allocations if a.site == "a" and a.start < at(2)]
    assert (
        sum(a.accelerators * ((min(a.end, at(2)) - a.start) / (at(1) - at(0))) for a in early) <= 2.5 + 1e-6
    )


def test_real_time_load_alone_may_exceed_it_and_then_nothing_is_added() -> None:
    inputs = case(
        work("w", 4, 24),
        budgets=[Budget("carbon_kg", 3.0, at(0), at(12)), Budget("carbon_kg", 99.0, *DAY)],
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
    )
    plan = planned(inputs)
    assert not plan.unplaced
    assert all(a.start >= at(12) for a in plan.allocations)
    [told] = [w for w in plan.warnings if "budgets[0]" in w]
    assert (
        "exceeded by 1.800 kg CO2e, because real-time load and idle accelerators alone cause more than 3"
        in told
    )


def test_work_in_one_piece_and_a_large_plan_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [work(f"w{i}", 4, 24, interruptible=False, max_accelerators=4) for i in range(6)]
    plan = planned(case(*jobs, budgets=[Budget("carbon_kg", 5.0, *DAY)]))
    assert plan.carbon_kg <= 5.0 + 1e-6
    assert not plan.unplaced
    monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", 0)
    plain = [work(f"w{i}", 4, 24, max_accelerators=4) for i in range(6)]
    assert planned(case(*plain, budgets=[Budget("carbon_kg", 5.0, *DAY)])).carbon_kg <= 5.0 + 1e-6


def test_the_greedy_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_solvers(monkeypatch, coarser=True)
    jobs = [work("w", 12, 24), work("v", 6, 20, interruptible=False, max_accelerators=2)]
    plan = planned(case(*jobs, budgets=[Budget("carbon_kg", 3.0, *DAY)]))
    assert plan.status == "greedy"
    assert [budget.price for budget in plan.budgets] == [None], "no program says what more would save"
    assert plan.carbon_kg <= 3.0 + 1e-6


DEAR = Generation((GenerationWindow(at(0), at(24), 5.0),), cost_per_kwh=0.2)


@pytest.mark.parametrize("solver", [True, False])
def test_a_dear_plant_runs_where_a_budget_cannot_be_kept_without_it(
    monkeypatch: pytest.MonkeyPatch, solver: bool
) -> None:
    if not solver:
        without_solvers(monkeypatch, coarser=True)
    load = {("a", "p"): {0.5: 2.0, 0.99: 2.0}}
    over: dict[str, Any] = {"sites": [site(generation=DEAR)], "load": load}
    plan = planned(case(work("w", 8, 24), budgets=[Budget("carbon_kg", 3.0, *DAY)], **over))
    assert plan.status == ("optimal" if solver else "greedy")
    assert plan.carbon_kg <= 3.0 + 1e-6
    free = planned(case(work("w", 8, 24), budgets=[Budget("carbon_kg", 99.0, *DAY)], **over))
    assert free.cost.generation == 0


@pytest.mark.parametrize("solver", [True, False])
def test_budgets_that_pull_apart_can_all_be_kept_as_well_as_they_need_be(
    monkeypatch: pytest.MonkeyPatch, solver: bool
) -> None:
    """Where the price is negative, what saves carbon adds to a budget of money: neither can be at its least."""
    if not solver:
        without_solvers(monkeypatch, coarser=True)
    both = [Budget("carbon_kg", 0.1, *DAY), Budget("money", 0.0, *DAY)]
    for prices in ([-20.0] * 8 + [50.0] * 16, [-50.0] * 24):
        plan = planned(
            case(
                work("w", 8, 24),
                budgets=both,
                prices=prices,
                sites=[site(generation=DEAR)],
                load={("a", "p"): {0.5: 2.0, 0.99: 2.0}},
            )
        )
        assert plan.carbon_kg <= 2.0 * sum(0.001 * CLEAN_LATE[h] for h in range(24) if prices[h] < 0) + 1e-6


def test_a_plant_need_not_run_for_next_to_nothing() -> None:
    """In a slot in which energy is all but free, a budget of money gains nothing that is worth a dear kWh.

    Work there stays within the budget's tolerance, which a dear kWh would have to make good: a bound must allow for it.
    """
    prices = [50.0] * 8 + [1e-3] * 8 + [50.0] * 8
    inputs = case(
        work("w", 8, 24),
        budgets=[Budget("money", 0.0, *DAY)],
        prices=prices,
        sites=[site(generation=DEAR, export_limit_kw=3.0, export_price_per_mwh=60.0)],
        load={("a", "p"): {0.5: 9.0, 0.99: 9.0}},
    )
    plan = planned(inputs)
    assert [row.generated_kw for row in plan.power] == pytest.approx([5.0] * 8 + [0.0] * 8 + [5.0] * 8)


def test_running_at_once_knows_no_budget() -> None:
    plan = planned(case(work("w", 20, 24), budgets=[Budget("carbon_kg", 5.0, *DAY)]))
    assert plan.baseline.carbon_kg == pytest.approx(8.0)


def test_a_budget_that_is_used_up_is_no_proof_against_what_rounding_takes_of_it() -> None:
    """A slot costs so little that its work breaks the budget by less than solvers see, at a price that sees it."""
    racks = (Pool("p", "X", count=3, idle_kw=0.1, busy_kw=1.0),)
    prices = [22.656405, 17.532312, 0.025419, 0.0, 160.0, 43.0, 210.0, 267.0]
    jobs = [
        work("w", 0.27, 2.15, max_accelerators=4),
        work("v", 0.42, 3.05, max_accelerators=3, interruptible=False),
    ]
    inputs = cycle_inputs(jobs, sites=[site(pools=racks)], prices=prices, hours=8)
    used_up = Budget("money", 1e-60, START, at(5.67))
    for limited in (site(pools=racks), site(pools=racks, ramp_limit_kw_per_minute=0.084)):
        planned(with_budgets(replace(inputs, fleet=replace(inputs.fleet, sites=(limited,))), used_up))
