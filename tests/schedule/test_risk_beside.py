"""Risk beside terms that have no formula in the bound: one bound for all, at the risk-adjusted prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Budget
from shifter.domain.plant import Generation, GenerationWindow
from shifter.schedule.fleet_bound import further_terms
from tests.schedule.build import at, cycle_inputs, site, with_budgets, work
from tests.schedule.risky import risky

PRICES = [40.0] * 12 + [30.0] * 12
"""The cheap half of the day is the uncertain one."""

WIDTHS = {("Z", Signal.PRICE): [1.0] * 12 + [60.0] * 12}


def case(*budgets: Budget, **over: Any) -> CycleInputs:
    inputs = cycle_inputs([work("w", 24, 24)], sites=[site(**over)], prices=PRICES)
    return with_free_runs(risky(with_budgets(inputs, *budgets), WIDTHS, cvar_weight=1.0))


def with_free_runs(inputs: CycleInputs) -> CycleInputs:
    """A hedge is many runs: nothing is given for fewer of them here."""
    return replace(
        inputs, fleet=replace(inputs.fleet, objective=replace(inputs.fleet.objective, cost_per_run=0.0))
    )


def test_risk_alone_has_a_formula() -> None:
    assert further_terms(problem_of(case())) == ()
    assert not plan_cycle(case()).duals.work


def test_risk_meets_its_bound_beside_a_plant() -> None:
    inputs = case(generation=Generation((GenerationWindow(at(14), at(16), 2.0),), 0.0))
    plan = plan_cycle(inputs)
    assert plan.duals.work
    assert plan.risk is not None
    assert plan.cost.energy > 20 * 0.030 + 1e-6, "it keeps out of the uncertain hours"
    assert plan.minimised == pytest.approx(plan.lower_bound, rel=2e-3)
    assert verify_plan(plan, inputs) == []


SUN = Generation((GenerationWindow(at(12), at(24), 3.0),), 0.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("export_price_per_mwh", [1000.0, 35.0])
def test_no_site_buys_and_sells_at_once_to_be_safe(seed: int, export_price_per_mwh: float) -> None:
    """On a path where power is cheap, what is sold earns no more than that either."""
    plant = site(export_limit_kw=20.0, export_price_per_mwh=export_price_per_mwh, generation=SUN)
    load = {("a", "p"): {0.5: 2.0, 0.99: 3.0}}
    inputs = cycle_inputs([work("w", 24, 12)], sites=[plant], prices=[40.0] * 24, load=load)
    few = {"cvar_level": 0.75, "scenarios": 4, "autocorrelation_hours": 1.0, "seed": seed}
    inputs = with_free_runs(risky(inputs, {("Z", Signal.PRICE): 30.0}, cvar_weight=1.0, **few))
    plan = plan_cycle(inputs)
    assert plan.relative_gap == pytest.approx(0, abs=1e-6)
    assert verify_plan(plan, inputs) == []
    assert plan.cost.export == pytest.approx(-12 * 1.0 * min(40.0, export_price_per_mwh) / 1000)
    # The bill on each path, from the paths' own prices.
    paths = inputs.fleet.objective.risk.paths(inputs.frame)
    assert paths is not None
    assert plan.risk is not None
    for told, more in zip(plan.risk.paths, paths.of("Z", Signal.PRICE, 24), strict=True):
        price = 40.0 + more
        bill = [
            row.import_kw * p - (row.export_kw or 0.0) * min(p, export_price_per_mwh)
            for row, p in zip(plan.power, price.tolist(), strict=True)
        ]
        assert told.cost == pytest.approx(sum(bill) / 1000)


def test_a_budget_of_money_counts_forecast_prices() -> None:
    """What risk adds to a price is no money that anybody pays."""
    tight = Budget("money", 0.85, at(0), at(24))
    free, held = plan_cycle(case()), plan_cycle(inputs := case(tight))
    assert free.cost.energy > 0.85
    assert held.cost.energy == pytest.approx(0.85, abs=1e-3)
    assert not held.unplaced
    assert held.minimised == pytest.approx(held.lower_bound, rel=5e-3)
    assert verify_plan(held, inputs) == []
