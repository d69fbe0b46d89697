"""The bill of what ran, at the prices and the carbon that came.

    cost = sum of import_kwh * (price_per_mwh / 1000 + carbon_price_per_tonne * carbon_g_per_kwh / 1e6)
         + demand_charge_per_kw * highest import + battery wear + own generation - export + refill

which is the contract's, with what came in the place of what was forecast, and the refill: a plan leaves its battery as
full as it found it, and many plans one after another need not. What is missing at the end of what was stored at the
start is bought at the mean cost of the last billed day, and what is over is worth what it would save then.

After the month only what its work adds is billed, so that the bills of a year's months add up; but the highest import
counts there, too, while work is under way, so that nothing is gained by putting it off beyond the month's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np

from forecasts.slots import Floats
from shifter.backtest.case import Case
from shifter.backtest.machines import TINY, Course
from shifter.domain.fleet import PoolKey, Site
from shifter.domain.grid_event import limits_in_force

DAY = timedelta(days=1)


@dataclass(eq=False)
class Storage:
    """What batteries and powered-down accelerators did, each (n_slots,): by site [kW], by pool [accelerators]."""

    charge_kw: dict[str, Floats]
    discharge_kw: dict[str, Floats]
    off: dict[PoolKey, Floats]

    @classmethod
    def idle(cls, case: Case) -> Storage:
        """Nothing."""
        n = case.grid.n_slots
        charge, discharge = ({site: np.zeros(n) for site in case.fleet.by_site} for _ in range(2))
        return cls(charge, discharge, {key: np.zeros(n) for key in case.fleet.pools})


@dataclass(frozen=True)
class SlotPower:
    """How a site's load is met in one slot [kW]."""

    import_kw: float
    export_kw: float
    generated_kw: float


@dataclass(frozen=True)
class Bill:
    """What a site paid [currency], and what stands behind it."""

    energy: float
    carbon: float
    demand_charge: float
    other: float
    """Battery wear and own generation, less what export earned."""
    refill: float
    """What it costs to have batteries as full as at the start; less than 0 where they are fuller."""
    refill_kwh: float
    """And what it would draw, or save."""
    carbon_kg: float
    """What imports caused, and the refill would."""
    import_kwh: float
    peak_kw: float
    over_power_slots: int
    base_cost: float
    """What real-time load alone would have cost in the month [currency]."""
    base_carbon_kg: float
    """And caused."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.energy + self.carbon + self.demand_charge + self.other + self.refill


def unit_costs(case: Case, site: Site) -> Floats:
    """What a kWh came to cost, carbon at its price included [currency/kWh], (n_slots,) of the grid."""
    outcome, n = case.outcomes[site.zone], case.grid.n_slots
    carbon_price = case.fleet.objective.carbon_price_per_tonne
    costs: Floats = outcome.price_per_mwh[:n] / 1e3 + carbon_price * outcome.carbon_g_per_kwh[:n] / 1e6
    return costs


def site_load_kw(case: Case, site: Site, slot: int, course: Course | None, storage: Storage | None) -> float:
    """What a site draws in a slot before its own plant [kW]; without a course, that of real-time load alone."""
    total, start = 0.0, case.grid.moment(slot)
    end = start + case.grid.slot
    for pool in site.pools:
        key, there = (site.name, pool.name), float(pool.present(start, end))
        load = float(case.measured[key][slot]) if key in case.measured else 0.0
        served = min(load, there)
        used = 0.0
        if course is not None:
            served = max(0.0, served - float(course.denied[key][slot]))
            used = float(course.used[key][slot])
        off = 0.0 if storage is None else min(float(storage.off[key][slot]), max(0.0, there - served - used))
        off_kw = pool.idle_kw if pool.off_kw is None else pool.off_kw
        total += site.pue * (
            pool.idle_kw * pool.powered(start, end) + pool.dynamic_kw * served - off * (pool.idle_kw - off_kw)
        )
    if course is not None:
        total += float(course.work_kw[site.name][slot])
    return total


def supplied(case: Case, site: Site, slot: int, load_kw: float, unit_cost: float) -> SlotPower:
    """How a load is met: by the site's own plant where that is cheaper, by the grid else; what is over is exported
    where that pays, as far as it may be."""
    start = case.grid.moment(slot)
    plant, generated, spare = site.generation, 0.0, 0.0
    if plant is not None:
        available_kw = plant.mean_kw(start, start + case.grid.slot)
        if plant.cost_per_kwh < unit_cost:
            generated = min(max(0.0, load_kw), available_kw)
        spare = available_kw - generated
    exported = 0.0
    if site.export_limit_kw > 0 and site.export_price_per_mwh is not None:
        room = max(0.0, site.export_limit_kw - max(0.0, generated - load_kw))
        if plant is not None and plant.cost_per_kwh < export_price(case, site, slot):
            exported = min(spare, room)
    net = load_kw - generated
    return SlotPower(max(0.0, net), exported + max(0.0, -net), generated + exported)


def export_price(case: Case, site: Site, slot: int) -> float:
    """What an exported kWh earned: never more than importing one cost [currency/kWh]."""
    price = float(case.outcomes[site.zone].price_per_mwh[slot])
    return min(site.export_price_per_mwh or 0.0, price) / 1e3


def settle(case: Case, course: Course, storage: Storage) -> dict[str, tuple[Bill, Mapping[str, Floats]]]:
    """The bill of each site, and its course: `import_kw`, `base_kw` (without deferrable work), (n_slots,) each."""
    return {site.name: _site(case, site, course, storage) for site in case.fleet.sites}


def _site(case: Case, site: Site, course: Course, storage: Storage) -> tuple[Bill, Mapping[str, Floats]]:
    n, hours = case.grid.n_slots, case.grid.slot_hours
    outcome, unit = case.outcomes[site.zone], unit_costs(case, site)
    objective = case.fleet.objective
    net_kw = storage.charge_kw[site.name] - storage.discharge_kw[site.name]
    with_work, without = (
        [supplied(case, site, t, _load(case, site, t, of, net_kw), float(unit[t])) for t in range(n)]
        for of in ((course, storage), None)
    )
    imported, base = (np.array([s.import_kw for s in slots]) for slots in (with_work, without))
    exported, base_export = (np.array([s.export_kw for s in slots]) for slots in (with_work, without))
    generated, base_own = (np.array([s.generated_kw for s in slots]) for slots in (with_work, without))
    tail = np.arange(n) >= case.billed_slots
    paid, sold, own = (
        np.where(tail, a - b, a) * hours
        for a, b in ((imported, base), (exported, base_export), (generated, base_own))
    )
    carbon_g = outcome.carbon_g_per_kwh[:n]
    imported_kg = float(paid @ carbon_g) / 1e3
    last_day = slice(max(0, case.billed_slots - round(DAY / case.grid.slot)), case.billed_slots)
    refill_kwh, refill = _refill(site, storage, hours, float(unit[last_day].mean()))
    counts = ~tail | (imported > base + TINY)
    peak = max(0.0, float(imported[counts].max()))
    earned = sum(export_price(case, site, t) * kwh for t, kwh in enumerate(sold) if kwh)
    wear = 0.0 if site.battery is None else site.battery.wear_cost_per_kwh
    plant = 0.0 if site.generation is None else site.generation.cost_per_kwh
    other = wear * float(storage.discharge_kw[site.name].sum()) * hours + plant * float(own.sum()) - earned
    month_hours = np.where(tail, 0.0, hours)
    base_earned = sum(
        export_price(case, site, t) * kwh for t, kwh in enumerate(base_export * month_hours) if kwh
    )
    base_cost = float((base * month_hours) @ unit) + plant * float(base_own @ month_hours) - base_earned
    base_cost += site.demand_charge_per_kw * max(0.0, float(base[: case.billed_slots].max()))
    edges = case.grid.edges
    limits = np.array([limits_in_force(site, (), a, b) for a, b in pairwise(edges)])
    bill = Bill(
        energy=float(paid @ outcome.price_per_mwh[:n]) / 1e3,
        carbon=objective.carbon_price_per_tonne * imported_kg / 1e3,
        demand_charge=site.demand_charge_per_kw * peak,
        other=other,
        refill=refill,
        refill_kwh=refill_kwh,
        carbon_kg=imported_kg + refill_kwh * float(carbon_g[last_day].mean()) / 1e3,
        import_kwh=float(paid.sum()),
        peak_kw=peak,
        over_power_slots=int((imported > limits + TINY).sum()),
        base_cost=base_cost,
        base_carbon_kg=float((base * month_hours) @ carbon_g) / 1e3,
    )
    return bill, {"import_kw": imported, "base_kw": base}


def _refill(site: Site, storage: Storage, hours: float, unit_cost: float) -> tuple[float, float]:
    """What it takes to charge what a battery lacks [kWh], and what that costs [currency]; less than 0, what it would
    give of what it holds more, and what that is worth. Where energy costs less than nothing, it is worth nothing.
    """
    if (battery := site.battery) is None:
        return 0.0, 0.0
    charged, discharged = (
        hours * float(of[site.name].sum()) for of in (storage.charge_kw, storage.discharge_kw)
    )
    missing = discharged / battery.discharge_efficiency - battery.charge_efficiency * charged
    if missing >= 0:
        kwh = missing / battery.charge_efficiency
        return kwh, kwh * max(0.0, unit_cost)
    kwh = missing * battery.discharge_efficiency
    return kwh, kwh * max(0.0, unit_cost - battery.wear_cost_per_kwh)


def _load(case: Case, site: Site, slot: int, of: tuple[Course, Storage] | None, net_kw: Floats) -> float:
    if of is None:
        return site_load_kw(case, site, slot, None, None)
    return site_load_kw(case, site, slot, *of) + float(net_kw[slot])
