"""Large plans: the prices of a coarser problem (`coarse`), which every job then answers to (`follow`, `lay`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.bound import SlotPrices, slot_prices
from shifter.schedule.classes import WorkClass
from shifter.schedule.coarse import Coarse, coarsen, coarsest_minutes
from shifter.schedule.follow import Room, Target, follow
from shifter.schedule.lay import pieces_of
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import Prices
from shifter.schedule.problem import Job, ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.settle import BatteryTrace
from shifter.schedule.solve import Solution, solve

CLUSTERS = 200
"""Of jobs, in the coarse problem. With 10,000 and 100,000 jobs over 8 sites the bound no longer moved from 60 and from
120 on; with fewer it fell short by 2 %."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """What the coarse optimum says of the true problem.

    `used` (n_pools, n_cells) are mean accelerators of all work; `peak_kw` (n_sites,) is the highest import, infinite
    where it costs nothing.
    """

    prices: SlotPrices
    used: Floats
    peak_kw: Floats
    batteries: dict[int, BatteryTrace]
    weights: Floats | None
    """Of the paths that prices may take, (n_paths,); None where no risk counts."""


def relax(problem: ScheduleProblem, capacity: Capacity, *, time_limit_s: float) -> Relaxed:
    """The coarse problem, solved. Raises SolverFailed."""
    minutes = coarsest_minutes(problem.grid.slot_minutes)
    coarse = coarsen(problem, capacity, slot_minutes=minutes, n_clusters=CLUSTERS)
    solution = solve(
        coarse.problem, coarse.work, coarse.capacity, time_limit_s=time_limit_s, method="simplex"
    )
    imports = solution.values["import"].reshape(len(problem.sites), -1)
    charged = np.array([site.demand_charge_per_kw > 0 for site in problem.sites])
    so_far = np.array([site.peak_so_far_kw for site in problem.sites])
    return Relaxed(
        _on_true_slots(slot_prices(coarse.problem, solution.duals), coarse),
        _used(coarse, coarse.work, solution)[:, coarse.cell_of],
        np.where(charged, np.maximum(so_far, imports.max(axis=1)), np.inf),
        _batteries(problem, coarse, solution),
        coarse.problem.weights(solution.duals),
    )


def _on_true_slots(prices: SlotPrices, coarse: Coarse) -> SlotPrices:
    """A price per slot of an hour is half of it per half-hour."""
    return SlotPrices(
        *(
            values[:, coarse.slot_of] * coarse.share
            for values in (prices.capacity, prices.reserve, prices.power, prices.peak)
        )
    )


def _used(coarse: Coarse, work: Sequence[WorkClass], solution: Solution) -> Floats:
    used = np.zeros((len(coarse.problem.pools), coarse.problem.n_cells))
    for one, (first, levels) in zip(work, solution.usage, strict=True):
        for way, level in zip(one.ways, levels, strict=True):
            used[way.pool, first : first + len(level)] += level
    return used


def _batteries(problem: ScheduleProblem, coarse: Coarse, solution: Solution) -> dict[int, BatteryTrace]:
    """Means are held over the coarse slot, and what is stored follows from them."""
    traces = {}
    for i, site in enumerate(problem.sites):
        if site.battery is not None:
            charge, discharge = (
                np.where((kw := solution.values[f"{name}.{i}"]) > 1e-9, kw, 0.0)[coarse.slot_of]
                for name in ("charge", "discharge")
            )
            traces[i] = BatteryTrace.of(site.battery, charge, discharge, problem.grid.slot_hours)
    return traces


def cell_prices(problem: ScheduleProblem, prices: SlotPrices) -> Prices:
    """The same prices by cell."""
    slot, share = problem.cell_slot, problem.cell_share
    cost = np.array([problem.grid.slot_hours * site.unit_cost_per_kwh for site in problem.sites])
    per_kw = (cost + prices.power + prices.peak)[:, slot]
    return Prices(per_kw, share, prices.capacity[:, slot] * share, prices.reserve[:, slot] * share)


def spread(problem: ScheduleProblem, jobs: Sequence[Job], relaxed: Relaxed, ledger: Ledger) -> list[Piece]:
    """Pieces for as much of these plain jobs as fits beside what `ledger` holds.

    Batteries count in the ledger; the peak is kept where the coarse optimum has it.
    """
    median = np.array([site.median_kw for site in problem.sites])
    net = np.zeros_like(median)
    for i, trace in relaxed.batteries.items():
        net[i] = trace.charge_kw - trace.discharge_kw
    below_peak = relaxed.peak_kw[:, None] - median - net - ledger.placed_kw
    import_kw = np.clip(np.minimum(ledger.headroom_kw, below_peak), 0.0, 1e12)
    free = ledger.left()
    room = Room(free.any.astype(float), free.firm.astype(float), import_kw)
    at = cell_prices(problem.at_prices(relaxed.weights), relaxed.prices)
    target = Target(at, relaxed.used)
    return pieces_of(problem, jobs, follow(problem, jobs, target, room), free)
