"""What pieces and batteries come to: accelerators, import, money and carbon, slot by slot.

The plan's figures are computed here from what will really run, never read off the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.domain.plant import Battery
from shifter.domain.rows import Cost
from shifter.schedule.columns import Columns, slot_means
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import PricedTerm
from shifter.schedule.terms.registry import installed_terms

LEAST = 1e-9
"""Mean accelerators beyond a quota that are none: sums are rounded."""


@dataclass(frozen=True, eq=False)
class BatteryTrace:
    """Slot means [kW] and energy at each slot's start [kWh], (n_slots,)."""

    charge_kw: Floats
    discharge_kw: Floats
    stored_kwh: Floats

    @classmethod
    def of(cls, battery: Battery, charge_kw: Floats, discharge_kw: Floats, slot_hours: float) -> BatteryTrace:
        """What it stores follows from what it does."""
        gain_kw = battery.charge_efficiency * charge_kw - discharge_kw / battery.discharge_efficiency
        stored = battery.initial_kwh + np.append(0.0, np.cumsum(slot_hours * gain_kw)[:-1])
        return cls(charge_kw, discharge_kw, stored)


def idle_batteries(problem: ScheduleProblem) -> dict[int, BatteryTrace]:
    """Every battery standing still at what it holds."""
    n = problem.grid.n_slots
    return {
        i: BatteryTrace(np.zeros(n), np.zeros(n), np.full(n, float(site.battery.initial_kwh)))
        for i, site in enumerate(problem.sites)
        if site.battery is not None
    }


@dataclass(frozen=True, eq=False)
class Sources:
    """What sites do beside the work and their batteries.

    `generated_kw` and `saved_kw` (by powering down) are (n_sites, n_slots); `off` (n_pools, n_slots) are the mean
    accelerators that are powered down.
    """

    generated_kw: Floats
    saved_kw: Floats
    off: Floats

    @classmethod
    def none(cls, problem: ScheduleProblem) -> Sources:
        """Nothing at all."""
        n = problem.grid.n_slots
        generated, saved = (np.zeros((len(problem.sites), n)) for _ in range(2))
        return cls(generated, saved, np.zeros((len(problem.pools), n)))

    @property
    def relief_kw(self) -> Floats:
        """How much less the sites draw for it, (n_sites, n_slots)."""
        return self.generated_kw + self.saved_kw


@dataclass(frozen=True, eq=False)
class Settled:
    """`deferrable`, `preemptible` (n_pools, n_slots) mean accelerators; `import_kw`, `export_kw` (n_sites, n_slots).

    Of import and export, one is 0 in every slot.
    """

    deferrable: Floats
    preemptible: Floats
    import_kw: Floats
    export_kw: Floats
    cost: Cost
    carbon_kg: float
    over_quota_hours: Floats
    """Accelerator-hours beyond each quota, (n_quotas,)."""
    worth_of_import: float
    """What every kWh imported costs, carbon at its price included, were no price negative [currency]."""

    @property
    def turnover(self) -> float:
        """All that changes hands, whoever pays whom, but for fairness, which is no money [currency]."""
        bill = self.cost
        items = (
            bill.demand_charge,
            bill.battery_wear,
            bill.generation,
            bill.export,
            bill.churn,
            bill.over_quota,
        )
        return self.worth_of_import + sum(map(abs, (*items, *bill.further.values())), 0.0)

    def with_fairness(self, cost: float) -> Settled:
        """The same bill, with what fairness charges [currency]."""
        return replace(self, cost=replace(self.cost, fairness=cost)) if cost else self


@dataclass(frozen=True, eq=False)
class Usage:
    """Mean accelerators of pieces, all of them and the preemptible ones (n_pools, n_slots), and what they draw.

    `busy_kw` (n_sites, n_slots) is what they add to the sites' import [kW].
    """

    every: Floats
    preemptible: Floats
    busy_kw: Floats


def usage(problem: ScheduleProblem, columns: Columns) -> Usage:
    """What these pieces use."""
    n_pools = len(problem.pools)
    every = slot_means(problem, columns, columns.pool, columns.accelerators, n_pools)
    soft = np.where(columns.firm, 0, columns.accelerators)
    site = np.array([pool.site for pool in problem.pools], dtype=np.int64)[columns.pool]
    busy_kw = slot_means(problem, columns, site, columns.drawn_kw, len(problem.sites))
    return Usage(every, slot_means(problem, columns, columns.pool, soft, n_pools), busy_kw)


def quota_use(problem: ScheduleProblem, columns: Columns) -> Floats:
    """Mean accelerators of these pieces that each quota counts, (n_quotas, n_slots)."""
    if not problem.n_quotas:
        return np.zeros((0, problem.grid.n_slots))
    tenant = problem.quota_of[columns.job]
    counted = np.flatnonzero(tenant >= 0)
    counted = counted[problem.quota_counts[tenant[counted], columns.pool[counted]]]
    some = columns.where(counted)
    return slot_means(problem, some, tenant[counted], some.accelerators, problem.n_quotas)


def over_quota_hours(problem: ScheduleProblem, columns: Columns) -> Floats:
    """Accelerator-hours beyond each quota, of these pieces beside what is pinned, (n_quotas,)."""
    if not problem.n_quotas:
        return np.zeros(0)
    used = quota_use(problem, columns)
    over = used - np.array([one.left for one in problem.tenants[: problem.n_quotas]])
    hours: Floats = np.where(over > LEAST, over, 0.0).sum(axis=1) * problem.grid.slot_hours
    return hours


def pinned_pieces(problem: ScheduleProblem) -> list[Piece]:
    """What is pinned, as pieces."""
    return [Piece(p.id, p.pool, 0, p.start_us, p.end_us, p.accelerators) for p in problem.pinned]


def settle(
    problem: ScheduleProblem,
    pieces: Iterable[Piece],
    batteries: Mapping[int, BatteryTrace],
    sources: Sources | None = None,
) -> Settled:
    """The bill of these pieces, and of what is pinned, with these batteries (by site) and sources."""
    columns = Columns.of(problem, pieces)
    used = usage(problem, columns)
    over_hours = over_quota_hours(problem, columns)
    borrowed = [
        hours * tenant.over_price
        for tenant, hours in zip(problem.tenants, over_hours.tolist(), strict=False)
        if not tenant.hard
    ]
    hours = problem.grid.slot_hours
    imports, exports = (np.zeros((len(problem.sites), problem.grid.n_slots)) for _ in range(2))
    own = Sources.none(problem) if sources is None else sources
    energy = carbon = demand = wear = carbon_kg = generation = export = worth = 0.0
    for i, site in enumerate(problem.sites):
        imports[i] = site.median_kw + used.busy_kw[i] - own.relief_kw[i]
        if i in batteries:
            imports[i] += batteries[i].charge_kw - batteries[i].discharge_kw
            assert site.battery is not None
            wear += site.battery.wear_cost_per_kwh * float(batteries[i].discharge_kw.sum()) * hours
        if site.export_price_per_kwh is not None:
            imports[i], exports[i] = np.maximum(0.0, imports[i]), np.maximum(0.0, -imports[i])
            export -= hours * float((exports[i] * site.export_price_per_kwh).sum())
        generation += site.generation_cost_per_kwh * hours * float(own.generated_kw[i].sum())
        kwh = imports[i] * hours
        energy += float((kwh * site.price_per_kwh).sum())
        worth += float((kwh * np.abs(site.unit_cost_per_kwh)).sum())
        kg = float((kwh * site.carbon_kg_per_kwh).sum())
        carbon_kg += kg
        carbon += kg * site.carbon_price_per_kg
        demand += site.demand_charge_per_kw * max(0.0, float(imports[i].max()) - site.peak_so_far_kw)
    # Sites' power holds that of pinned work already; its accelerators are added here.
    more = usage(problem, Columns.of(problem, pinned_pieces(problem)))
    settled = Settled(
        used.every + more.every,
        used.preemptible + more.preemptible,
        imports,
        exports,
        Cost(energy, carbon, demand, wear, generation, export, over_quota=sum(borrowed, 0.0)),
        carbon_kg,
        over_hours,
        worth,
    )
    further = {
        t.name: float(t.bill(problem, settled)) for t in installed_terms() if isinstance(t, PricedTerm)
    }
    return replace(settled, cost=replace(settled.cost, further=further)) if further else settled
