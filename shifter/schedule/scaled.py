"""Large plans: the prices of a coarser problem (`coarse`), which every job then answers to (`follow`, `lay`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.bound import SlotPrices, proof_prices
from shifter.schedule.coarse import Coarse, coarsen, coarsest_minutes
from shifter.schedule.follow import Room, Target, follow
from shifter.schedule.lay import pieces_of
from shifter.schedule.ledger import Ledger
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import Prices
from shifter.schedule.problem import Job, ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import SIMPLEX_FIRST
from shifter.schedule.solve import Solution, solve

CLUSTERS = 200
"""Of jobs, in the coarse problem. With 10,000 and 100,000 jobs over 8 sites the bound no longer moved from 60 and from
120 on; with fewer it fell short by 2 %."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """What the coarse optimum says of the true problem.

    `used` (n_pools, n_cells) are mean accelerators of all work, and `drawn_kw` (n_sites, n_slots) what they draw;
    `peak_kw` (n_sites,) is the highest import, infinite where it costs nothing.
    """

    prices: SlotPrices
    used: Floats
    drawn_kw: Floats
    peak_kw: Floats
    beside: Beside
    weights: Floats | None
    """Of the paths that prices may take, (n_paths,); None where no risk counts."""
    notes: tuple[str, ...] = ()
    """Which solvers failed before one did not."""


def relax(problem: ScheduleProblem, capacity: Capacity, *, time_limit_s: float) -> Relaxed:
    """The coarse problem, solved. Raises SolverFailed."""
    minutes = coarsest_minutes(problem.grid.slot_minutes)
    coarse = coarsen(problem, capacity, slot_minutes=minutes, n_clusters=CLUSTERS)
    solution = solve(
        coarse.problem,
        coarse.work,
        coarse.capacity,
        time_limit_s=time_limit_s,
        rungs=SIMPLEX_FIRST,
    )
    used, drawn_kw = _use(coarse, solution)
    imports = solution.values["import"].reshape(len(problem.sites), -1)
    charged = np.array([site.demand_charge_per_kw > 0 for site in problem.sites])
    so_far = np.array([site.peak_so_far_kw for site in problem.sites])
    return Relaxed(
        _on_true_slots(proof_prices(coarse.problem, solution), coarse),
        used[:, coarse.cell_of],
        drawn_kw[:, coarse.slot_of],
        np.where(charged, np.maximum(so_far, imports.max(axis=1)), np.inf),
        Beside.of(problem, solution.values, coarse.slot_of),
        coarse.problem.weights(solution.duals),
        solution.notes,
    )


def _on_true_slots(prices: SlotPrices, coarse: Coarse) -> SlotPrices:
    """A price per slot of an hour is half of it per half-hour."""
    return prices.map(lambda values: values[:, coarse.slot_of] * coarse.share)


def _use(coarse: Coarse, solution: Solution) -> tuple[Floats, Floats]:
    """What the work uses (n_pools, n_cells), and draws (n_sites, n_slots): less than full power where it is capped."""
    problem = coarse.problem
    used = np.zeros((len(problem.pools), problem.n_cells))
    drawn = np.zeros((len(problem.sites), problem.n_cells))
    for one, (first, levels) in zip(coarse.work, solution.usage, strict=True):
        for way, level in zip(one.ways, levels, strict=True):
            cells = slice(first, first + len(level))
            used[way.pool, cells] += level
            drawn[problem.pools[way.pool].site, cells] += way.import_kw * level
    starts = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    return used, np.add.reduceat(drawn * problem.cell_share, starts, axis=1)


def cell_prices(problem: ScheduleProblem, prices: SlotPrices) -> Prices:
    """The same prices by cell."""
    slot, share = problem.cell_slot, problem.cell_share
    cost = np.array([problem.grid.slot_hours * site.unit_cost_per_kwh for site in problem.sites])
    per_kw = (cost + prices.power + prices.peak if prices.work is None else prices.work)[:, slot]
    return Prices(per_kw, share, prices.capacity[:, slot] * share, prices.reserve[:, slot] * share)


def spread(problem: ScheduleProblem, jobs: Sequence[Job], relaxed: Relaxed, ledger: Ledger) -> Pieces:
    """Pieces for as much of these plain jobs as fits beside what `ledger` holds.

    Batteries count in the ledger; the peak is kept where the coarse optimum has it.
    """
    median = np.array([site.median_kw for site in problem.sites])
    net = np.zeros_like(median)
    for i, trace in relaxed.beside.batteries.items():
        net[i] = trace.charge_kw - trace.discharge_kw
    if relaxed.beside.sources is not None:
        net -= relaxed.beside.sources.relief_kw
    below_peak = relaxed.peak_kw[:, None] - median - net - ledger.placed_kw
    import_kw = np.minimum(ledger.room_kw(), below_peak)
    if problem.budgets:  # they are kept where no slot draws more than the coarse optimum, which keeps them
        counted = np.any([budget.bought > 0 for budget in problem.budgets], axis=0)
        import_kw = np.where(counted, np.minimum(import_kw, relaxed.drawn_kw), import_kw)
    free = ledger.left()
    room = Room.of(free, import_kw)
    at = cell_prices(problem.at_prices(relaxed.weights), relaxed.prices)
    target = Target(at, relaxed.used)
    return pieces_of(problem, jobs, follow(problem, jobs, target, room), free)
