"""What pieces and batteries come to: accelerators, import, money and carbon, slot by slot.

The plan's figures are computed here from what will really run, never read off the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Battery
from shifter.domain.plan import Cost
from shifter.schedule.columns import Columns, slot_means
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem


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
class Settled:
    """`deferrable`, `preemptible` (n_pools, n_slots) mean accelerators; `import_kw` (n_sites, n_slots)."""

    deferrable: Floats
    preemptible: Floats
    import_kw: Floats
    cost: Cost
    carbon_kg: float


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


def pinned_pieces(problem: ScheduleProblem) -> list[Piece]:
    """What is pinned, as pieces."""
    return [Piece(p.id, p.pool, 0, p.start_us, p.end_us, p.accelerators) for p in problem.pinned]


def slot_shares(problem: ScheduleProblem, piece: Piece) -> tuple[slice, Floats]:
    """The slots that a piece touches, and the share of each that it covers."""
    length = problem.slot_us
    first, last = piece.start_us // length, -(-piece.end_us // length)
    starts = np.arange(first, last) * length
    overlap = np.minimum(piece.end_us, starts + length) - np.maximum(piece.start_us, starts)
    return slice(first, last), overlap / length


def settle(
    problem: ScheduleProblem,
    pieces: Iterable[Piece],
    batteries: Mapping[int, BatteryTrace],
) -> Settled:
    """The bill of these pieces, and of what is pinned, with these batteries (by site)."""
    used = usage(problem, Columns.of(problem, pieces))
    hours = problem.grid.slot_hours
    imports = np.zeros((len(problem.sites), problem.grid.n_slots))
    energy = carbon = demand = wear = carbon_kg = 0.0
    for i, site in enumerate(problem.sites):
        imports[i] = site.median_kw + used.busy_kw[i]
        if i in batteries:
            imports[i] += batteries[i].charge_kw - batteries[i].discharge_kw
            assert site.battery is not None
            wear += site.battery.wear_cost_per_kwh * float(batteries[i].discharge_kw.sum()) * hours
        kwh = imports[i] * hours
        energy += float(kwh @ site.price_per_kwh)
        kg = float(kwh @ site.carbon_kg_per_kwh)
        carbon_kg += kg
        carbon += kg * site.carbon_price_per_kg
        demand += site.demand_charge_per_kw * max(0.0, float(imports[i].max()) - site.peak_so_far_kw)
    # Sites' power holds that of pinned work already; its accelerators are added here.
    more = usage(problem, Columns.of(problem, pinned_pieces(problem)))
    return Settled(
        used.every + more.every,
        used.preemptible + more.preemptible,
        imports,
        Cost(energy, carbon, demand, wear),
        carbon_kg,
    )
