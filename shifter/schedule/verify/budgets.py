"""Budgets: what imports cause in a period, against the limit, or against what real-time load alone causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Budget
from shifter.schedule.verify.battery import required_kwh
from shifter.schedule.verify.case import Case
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.violation import Violation, ViolationCode

LEAST_GAIN = 0.01
"""A plant need not run for less of a budget than this share of what a kWh of import takes where it takes most."""
TOLERANCE = 1e-5
"""Of the budget's unit, and of its limit's share where that is above 1."""


def check_budgets(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """None is exceeded; where real-time load and pinned work alone exceed it, by no more than they do."""
    for i, budget in enumerate(case.fleet.objective.budgets):
        used = used_of(case, budget, loads)
        most = allowed(case, budget, loads)
        if used > most:
            detail = f"{used:.6f} {budget.kind}, and {most:.6f} is the most"
            yield Violation(ViolationCode.BUDGET, f"budgets[{i}]", detail)


def check_budget_rows(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """What the plan says of each budget: which it is, its limit, what is used of it, and its price in `duals`."""
    budgets, said = case.fleet.objective.budgets, case.plan.budgets
    if [row.name for row in said] != [f"budgets[{i}]" for i in range(len(budgets))]:
        yield Violation(ViolationCode.BUDGET, "budgets", "are not those of the fleet")
        return
    for i, (row, budget) in enumerate(zip(said, budgets, strict=True)):
        used = used_of(case, budget, loads)
        unit = "kg CO2e" if budget.kind == "carbon_kg" else case.fleet.currency
        if row.unit != unit:
            yield Violation(ViolationCode.BUDGET, row.name, f"counts in {row.unit}, and it is of {unit}")
        duals = case.plan.duals.budget
        figures = [("limit", row.limit, budget.limit), ("used", row.used, used)]
        if row.price is not None:
            figures.append(("price", row.price, duals[i] if i < len(duals) else np.nan))
        for name, figure, real in figures:
            if not abs(figure - real) <= TOLERANCE * max(1.0, abs(real)):
                yield Violation(ViolationCode.BUDGET, row.name, f"{name} says {figure}, and it is {real}")


def used_of(case: Case, budget: Budget, loads: Sequence[SiteLoad]) -> float:
    """What imports use up of a budget, less what exports give back [its unit]."""
    used = 0.0
    for load in loads:
        bought, sold = budget_rates(case, budget, load)
        used += float(bought @ load.import_kw - sold @ load.export_kw)
    return used


def allowed(case: Case, budget: Budget, loads: Sequence[SiteLoad]) -> float:
    """Its limit; or what real-time load and pinned work cause beside plants that run for the budgets, and to charge
    batteries to their floors, if that is more. With the tolerance: the bound is of all plans that are accepted."""
    given = 0.0
    dearest = [
        max(0.0, *(budget_rates(case, b, load)[0].max() for load in loads))
        for b in case.fleet.objective.budgets
    ]
    for load in loads:
        (bought, sold), net_kw = budget_rates(case, budget, load), _alone_kw(case, load, dearest)
        given += float(bought @ np.maximum(0.0, net_kw) - sold @ np.maximum(0.0, -net_kw))
        if (battery := load.site.battery) is not None:
            missing_kwh = max(0.0, float(required_kwh(case, load, battery).max()) - battery.initial_kwh)
            highest = max(0.0, float(bought.max())) / case.grid.slot_hours
            given += missing_kwh / battery.charge_efficiency * highest
    most = max(budget.limit, given)
    return most + TOLERANCE * max(1.0, abs(most))


def _alone_kw(case: Case, load: SiteLoad, dearest: Sequence[float]) -> Floats:
    """What real-time load and pinned work exchange with the grid, (n_slots,) [kW].

    The site's plant runs, and its rest is sold, where that takes from a budget and adds to none: so all of them can be
    kept together. Next to the `dearest` kW of import for each budget it must be worth it. What a ramp limit leaves of a
    plant is nothing to count on.
    """
    drawn_kw = load.median_kw + load.pinned_kw
    if load.site.ramp_limit_kw_per_minute is not None:
        return drawn_kw
    budgets = case.fleet.objective.budgets
    bought, sold = ([budget_rates(case, budget, load)[way] for budget in budgets] for way in (0, 1))

    def gains(rates: Sequence[Floats]) -> Any:
        some = [(rate > 0) & (rate >= LEAST_GAIN * most) for rate, most in zip(rates, dearest, strict=True)]
        return np.any(some, axis=0) & (np.min(rates, axis=0) >= 0)

    runs = gains(bought)
    wanted_kw = runs * drawn_kw + (runs & gains(sold)) * load.site.export_limit_kw
    alone: Floats = drawn_kw - np.minimum(load.available_kw, wanted_kw)
    return alone


def budget_rates(case: Case, budget: Budget, load: SiteLoad) -> tuple[Floats, Floats]:
    """What a kW of import uses up in each slot, and what a kW of export gives back, (n_slots,) each."""
    share = np.array([budget.share(a, b) for a, b in pairwise(case.grid.edges)])
    share = share * case.grid.slot_hours * budget.counts(load.site.name)
    if budget.kind == "carbon_kg":
        return share * load.carbon_kg_per_kwh, np.zeros(case.grid.n_slots)
    return share * load.price_per_kwh, share * load.export_price_per_kwh
