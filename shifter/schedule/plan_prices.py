"""A plan's prices as arrays: what a kW, an accelerator or a quota costs in each slot, as its bound counts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.plan import Plan
from shifter.domain.rows import PowerRow


@dataclass(frozen=True, eq=False)
class PlanPrices:
    """Prices by slot, (n_slots,) each, for a whole slot [currency per kW, or per accelerator]."""

    grid: SlotGrid
    rest: Floats
    """What is still ahead of each slot, as a share of it."""
    kw: Mapping[str, Floats]
    """By site that the plan knows, what a kW over the slot costs in all: energy, carbon, peak, power limit."""
    energy: Mapping[str, Floats]
    """By site, what of that is energy and carbon."""
    power: Mapping[str, Floats]
    peak: Mapping[str, Floats]
    capacity: Mapping[PoolKey, Floats]
    reserve: Mapping[PoolKey, Floats]
    """By pool; infinite of one that the plan does not know."""
    quota: Mapping[str, Floats]
    """By tenant."""

    @classmethod
    def of(cls, plan: Plan, fleet: Fleet) -> PlanPrices:
        """What a plan of this fleet says. Under risk, energy is at the risk-adjusted prices that it was planned by."""
        horizon = plan.horizon
        minutes = round((horizon.end - horizon.start).total_seconds() / 60)
        grid = SlotGrid(horizon.start, horizon.slot_minutes, minutes // horizon.slot_minutes)
        gone = (plan.created_at - grid.start) / grid.slot - np.arange(grid.n_slots)
        duals, closed = plan.duals, np.full(grid.n_slots, np.inf)
        power, peak = (
            {site.name: np.array(of.get(site.name, np.zeros(grid.n_slots)), float) for site in fleet.sites}
            for of in (duals.power, duals.peak)
        )
        told = {(row.site, row.pool): np.zeros(grid.n_slots) for row in plan.slots}
        capacity, reserve = (
            {key: np.array(of.get(key, told.get(key, closed)), float) for key in fleet.pools}
            for of in (duals.capacity, duals.reserve)
        )
        energy = {name: grid.slot_hours * per_kwh for name, per_kwh in _energy(plan, fleet).items()}
        kw = {
            name: np.array(duals.work[name], float)
            if name in duals.work
            else energy[name] + power[name] + peak[name]
            for name in energy
        }
        quota = {tenant: np.array(values, float) for tenant, values in duals.quota.items()}
        return cls(grid, 1.0 - np.clip(gone, 0.0, 1.0), kw, energy, power, peak, capacity, reserve, quota)


def _energy(plan: Plan, fleet: Fleet) -> dict[str, Floats]:
    """By site, what a kWh of import costs with carbon [currency/kWh]; of what is unknown, what the plan assumed."""
    adjusted = {} if plan.risk is None else plan.risk.prices_per_mwh
    rows: defaultdict[str, list[PowerRow]] = defaultdict(list)
    for row in plan.power:
        rows[row.site].append(row)
    known = [site for site in fleet.sites if site.name in rows]
    told = {
        name: {site: _told(of, name) for site, of in rows.items()}
        for name in ("price_per_mwh", "carbon_g_per_kwh")
    }
    price, carbon = (_assumed(of) for of in told.values())
    per_kg = fleet.objective.carbon_price_per_tonne / 1000
    return {
        site.name: np.array(adjusted[site.zone], float) / 1000
        if adjusted.get(site.zone)
        else price[site.name] / 1000 + per_kg * carbon[site.name] / 1000
        for site in known
    }


def _told(rows: list[PowerRow], name: str) -> Floats:
    return np.array([np.nan if (v := getattr(row, name)) is None else v for row in rows], float)


def _assumed(told: Mapping[str, Floats]) -> dict[str, Floats]:
    """With what nobody knows at the mean of the rest; of a site of which nothing is known, at the dearest mean."""
    means = {site: float(np.nanmean(of)) for site, of in told.items() if np.isfinite(of).any()}
    dearest = max(means.values(), default=0.0)
    return {site: np.where(np.isfinite(of), of, means.get(site, dearest)) for site, of in told.items()}


def late_hours(plan: Plan) -> Mapping[tuple[str, str | None, str | None], float]:
    """By kind, site and pool of a limit, late work that one more of it would do: each names all that there is."""
    found: defaultdict[tuple[str, str | None, str | None], float] = defaultdict(float)
    for work in plan.unplaced:
        for limit in work.limits:
            key = limit.kind, limit.site, limit.pool
            found[key] = max(found[key], limit.saves_accelerator_hours)
    return found
