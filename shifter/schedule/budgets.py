"""Budgets that real-time load alone exceeds: what is left to a plan then, and how the sites' plants can help.

A plant runs for the budgets where a kWh of it takes something from one of them and adds to none (at a negative price,
not buying adds to a budget of money). Then all budgets gain by it, so that what is left of each is what all of them can
keep at the same time, whoever plans. Batteries and what may be powered down are not counted on, nor is a plant under a
ramp limit: what these can do in one slot hangs on the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.problem import ScheduleProblem

LEAST_GAIN = 0.01
"""Of what a kWh of import takes from a budget where it takes most: for less, no plant need run. At prices of next to
nothing that would cost more than breaking the budget does in the program."""

TOLERANCE = 1e-5
"""A budget is kept to within this, of its unit, or of what it allows where that is more: solvers have tolerances."""


def allowed(problem: ScheduleProblem) -> Floats:
    """What each budget allows a plan, (n_budgets,): its limit, or what is used up whatever is planned."""
    most: Floats = np.maximum([budget.limit for budget in problem.budgets], used_alone(problem))
    return most


def tolerance(problem: ScheduleProblem) -> Floats:
    """By how much a plan may exceed what budgets allow it, (n_budgets,): a bound is of all such plans."""
    return TOLERANCE * np.maximum(1.0, np.abs(allowed(problem)))


def used_alone(problem: ScheduleProblem) -> Floats:
    """What each budget is used up by whatever is planned, (n_budgets,): by real-time load beside plants that run for
    the budgets, and at the most to charge batteries to their floors."""
    net_kw = problem.median_kw - run_for_budgets(problem, problem.median_kw)
    used = np.array([budget.used(net_kw) for budget in problem.budgets])
    for i, site in enumerate(problem.sites):
        if site.battery is not None:
            floor = np.minimum(
                site.battery_floor_kwh(problem.grid.n_slots), site.reachable_kwh(problem.grid.slot_hours)
            )
            missing_kwh = max(0.0, float(floor.max()) - site.battery.initial_kwh)
            dearest = np.array([max(0.0, float(budget.bought[i].max())) for budget in problem.budgets])
            used += missing_kwh / site.battery.charge_efficiency * dearest / problem.grid.slot_hours
    return used


def run_for_budgets(problem: ScheduleProblem, drawn_kw: Floats) -> Floats:
    """What plants give [kW] for what sites draw, and for export where that gains, (n_sites, n_slots) each."""
    generated = np.zeros_like(drawn_kw)
    if not problem.budgets:
        return generated
    runs, sells = (_gains(problem, rate) for rate in ("bought", "sold"))
    for i, site in enumerate(problem.sites):
        if site.generation_kw is not None and site.ramp_kw is None:
            wanted_kw = runs[i] * drawn_kw[i] + (runs[i] & sells[i]) * site.export_limit_kw
            generated[i] = np.minimum(site.generation_kw, wanted_kw)
    return generated


def _gains(problem: ScheduleProblem, rate: str) -> NDArray[np.bool_]:
    """Where a budget gains by what is not bought, or is sold, and none loses by it, (n_sites, n_slots)."""
    rates = np.array([getattr(budget, rate) for budget in problem.budgets])
    least = (
        LEAST_GAIN * np.array([budget.bought.max(initial=0.0) for budget in problem.budgets])[:, None, None]
    )
    gains: NDArray[np.bool_] = (rates.min(axis=0) >= 0) & ((rates > 0) & (rates >= least)).any(axis=0)
    return gains
