"""The bound that a plan carries, and the prices that prove it.

The prices of the program that made the plan prove it where all work is done with room to spare. Where work falls short,
or only just does not, the price of lateness is in them, and the bound is of another program: of plans that do what this
one does, in capacity that is not floored to whole accelerators. At the price of lateness, each fraction of one that the
floor cut off counts a thousand times what it is worth. So that other program is solved, too: the work that is done, in
the windows that were asked for, in all that is free, by slot. Its duals are the best prices there are, but for windows
that end inside slots (strong duality), whatever made the plan. Any prices are valid, and the best bound wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter

import numpy as np

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.realtime.reserve import Envelope
from shifter.schedule.bound import PRICE_DIGITS, SlotPrices, proof_prices, proven
from shifter.schedule.classes import merge
from shifter.schedule.place import DONE_RATIO
from shifter.schedule.problem import Ints, Job, ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import SIMPLEX_FIRST
from shifter.schedule.scaled import relax
from shifter.schedule.schedule import EXACT_COLUMNS, Schedule, n_columns
from shifter.schedule.solve import solve

LATE_RATIO = 0.3
"""The price of lateness is ten times the most that an hour of work can cost: above this share of it, it is lateness."""


def prove(
    problem: ScheduleProblem,
    made: Schedule,
    envelope: Envelope,
    done_hours: Mapping[str, float],
    *,
    time_limit_s: float,
) -> tuple[SlotPrices, float]:
    """The prices that prove most, and the bound that they prove [currency] on all plans that do `done_hours`.

    Those of the program that made the plan are tried, where one was solved, and what else it has.
    """
    prices = made.prices
    free = [
        np.array([getattr(envelope[pool.key], room) for pool in problem.pools])
        for room in ("any_capacity", "firm_capacity")
    ]
    by_cell = [_beside_pinned(problem, *row) for row in zip(free, problem.pinned_levels, strict=True)]
    means = _slot_means(problem, by_cell[0]), _slot_means(problem, by_cell[1])
    done = {job.id: min(job.hours, done_hours[job.id]) for job in problem.jobs}
    tried = [proof_prices(problem) if prices is None else prices, *made.further_prices]
    short = any(job.ways and done[job.id] < job.hours * (1 - DONE_RATIO) for job in problem.jobs)
    # Where no program was solved, there is little hope that this one is.
    if prices is not None and (short or _holds_lateness(problem, prices)):
        # Energy alone proves little, and more than prices that hold what relieving a physical limit would cost.
        tried += [_prices_of_done(problem, done, means, time_limit_s), proof_prices(problem)]
    tried = [one.map(lambda price: np.round(price, PRICE_DIGITS)) for one in tried]
    return max((proven(problem, one, means, done) for one in tried), key=itemgetter(1))


def _holds_lateness(problem: ScheduleProblem, prices: SlotPrices) -> bool:
    """Whether a price is above what can come of costs alone."""
    most = LATE_RATIO * problem.lateness_price_per_hour * problem.grid.slot_hours
    widest_kw = max(pool.import_kw for pool in problem.pools)
    power = prices.power if prices.work is None else prices.work
    quota = 0.0 if prices.quota is None else float(prices.quota.max(initial=0.0))
    dearest = max(
        float(prices.capacity.max()), float(prices.reserve.max()), widest_kw * float(power.max()), quota
    )
    return dearest > most


def _prices_of_done(
    problem: ScheduleProblem,
    done: Mapping[str, float],
    free: tuple[Floats, Floats],
    time_limit_s: float,
) -> SlotPrices:
    """The duals of the program of the work that is done; where it is too large or fails, of a coarser one."""
    edges = np.arange(problem.grid.n_slots + 1, dtype=np.int64) * problem.slot_us
    problem = replace(problem, edges_us=edges)
    jobs = [_as_done(problem, job, done[job.id]) for job in problem.jobs if done[job.id] > 0]
    doing = replace(problem, jobs=tuple(jobs))
    capacity = Capacity(*free, np.zeros((len(problem.sites), problem.grid.n_slots)))
    try:
        if n_columns(doing) <= EXACT_COLUMNS:
            solution = solve(
                doing, merge(jobs), capacity, time_limit_s=0.7 * time_limit_s, rungs=SIMPLEX_FIRST
            )
            return proof_prices(doing, solution)
    except SolverFailed:
        pass
    try:
        return relax(doing, capacity, time_limit_s=0.3 * time_limit_s).prices
    except SolverFailed:
        return proof_prices(problem)


def _as_done(problem: ScheduleProblem, job: Job, hours: float) -> Job:
    """A job of the work that is done, in the slots that its true window touches."""
    length = problem.slot_us
    start, end = job.true_start_us // length * length, -(-job.true_end_us // length) * length
    return replace(job, hours=hours, start_us=start, end_us=end)


def _beside_pinned(problem: ScheduleProblem, capacity: Floats, held: Ints) -> Floats:
    """What pinned work leaves of a capacity (n_pools, n_slots) in each cell, (n_pools, n_cells)."""
    left: Floats = np.maximum(0.0, capacity[:, problem.cell_slot] - held)
    return left


def _slot_means(problem: ScheduleProblem, by_cell: Floats) -> Floats:
    first_cell = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    means: Floats = np.add.reduceat(by_cell * problem.cell_share, first_cell, axis=1)
    return means
