"""Budgets that real-time load alone exceeds: what is left to a plan then, and how the sites' plants can help.

A plant runs for the budgets where a kWh of it takes from one of them and adds to none (at a negative price, not buying
adds to a budget of money). Then all budgets gain by it, so that what is left of each is what all of them can keep at
the same time, whoever plans. Batteries and what may be powered down are not counted on, nor is a plant under a ramp
limit: what these can do in one slot hangs on the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.problem import ScheduleProblem


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
    for i, site in enumerate(problem.sites):
        if site.generation_kw is None or site.ramp_kw is not None or not problem.budgets:
            continue
        bought, sold = (
            np.array([getattr(budget, rate)[i] for budget in problem.budgets]) for rate in ("bought", "sold")
        )
        runs, sells = _gains(bought), _gains(bought) & _gains(sold)
        wanted_kw = runs * drawn_kw[i] + sells * site.export_limit_kw
        generated[i] = np.minimum(site.generation_kw, wanted_kw)
    return generated


def _gains(rates: Floats) -> NDArray[np.bool_]:
    """Where one of the rates (n_budgets, n_slots) is above 0 and none below, (n_slots,)."""
    gains: NDArray[np.bool_] = (rates.min(axis=0) >= 0) & (rates.max(axis=0) > 0)
    return gains
