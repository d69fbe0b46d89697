"""Risk beside terms that have no formula in the bound: one bound for all, at the risk-adjusted prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Budget, Generation, GenerationWindow
from shifter.schedule.fleet_bound import further_terms
from tests.schedule.build import at, cycle_inputs, site, with_budgets, work
from tests.schedule.problems import problem_of
from tests.schedule.risky import risky

PRICES = [40.0] * 12 + [30.0] * 12
"""The cheap half of the day is the uncertain one."""

WIDTHS = {("Z", Signal.PRICE): [1.0] * 12 + [60.0] * 12}


def case(*budgets: Budget, **over: Any) -> CycleInputs:
    inputs = cycle_inputs([work("w", 24, 24)], sites=[site(**over)], prices=PRICES)
    risk = risky(with_budgets(inputs, *budgets), WIDTHS, cvar_weight=1.0)
    # A hedge is many runs: nothing is given for fewer of them here.
    objective = replace(risk.fleet.objective, cost_per_run=0.0)
    return replace(risk, fleet=replace(risk.fleet, objective=objective))


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


def test_a_budget_of_money_counts_forecast_prices() -> None:
    """What risk adds to a price is no money that anybody pays."""
    tight = Budget("money", 0.85, at(0), at(24))
    free, held = plan_cycle(case()), plan_cycle(inputs := case(tight))
    assert free.cost.energy > 0.85
    assert held.cost.energy == pytest.approx(0.85, abs=1e-3)
    assert not held.unplaced
    assert held.minimised == pytest.approx(held.lower_bound, rel=5e-3)
    assert verify_plan(held, inputs) == []
