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

import numpy as np

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.realtime.reserve import Envelope
from shifter.schedule.bound import LEAST_REST, PRICE_DIGITS, SlotPrices, proof_prices, proven
from shifter.schedule.classes import merge, n_columns
from shifter.schedule.jobs import Ints, Job
from shifter.schedule.made import Schedule
from shifter.schedule.place import DONE_RATIO
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import SIMPLEX_FIRST
from shifter.schedule.scaled import relax
from shifter.schedule.schedule import EXACT_COLUMNS
from shifter.schedule.solve import solve

LATE_RATIO = 0.3
"""The price of lateness is ten times the most that an hour of work can cost: above this share of it, it is lateness."""

WHOLE_RATIO = 1e-6
"""Of a step's work: what is less than this short of all of it is the noise of whole microseconds."""

TIE_RATIO = 1e-7
"""Bounds that differ by less than this share of the larger prove the same."""

SLACK_RATIO = 1e-5
"""Of the work that is done, this much less is asked for: else, where it just fits, lateness is in the prices again."""


def prove(
    problem: ScheduleProblem,
    made: Schedule,
    envelope: Envelope,
    done_hours: Mapping[str, float],
    *,
    time_limit_s: float,
    failed: list[str],
) -> tuple[SlotPrices, float]:
    """The prices that prove most, and the bound that they prove [currency] on all plans that do `done_hours`.

    Those of the program that made the plan are tried, where one was solved, and what else it has. A third of the time
    is for finding better ones. What failed, and so may leave the bound looser than it need be, is added to `failed`.
    """
    prices = made.prices
    free = [
        np.array([getattr(envelope[pool.key], room) for pool in problem.pools])
        for room in ("any_capacity", "firm_capacity")
    ]
    by_cell = [_beside_pinned(problem, *row) for row in zip(free, problem.pinned_levels, strict=True)]
    means = _rest_means(problem, by_cell[0]), _rest_means(problem, by_cell[1])
    done = {job.id: min(job.hours, done_hours[job.id]) for job in problem.jobs}
    problem = _bound_by_chains(problem, done)
    tried = [proof_prices(problem) if prices is None else prices, *made.further_prices]
    short = any(job.ways and done[job.id] < job.hours * (1 - DONE_RATIO) for job in problem.jobs)
    # Where no program was solved, there is little hope that this one is.
    if prices is not None and (short or _holds_lateness(problem, prices)):
        # Energy alone proves little, and more than prices that hold what relieving a physical limit would cost.
        tried += [_prices_of_done(problem, done, means, time_limit_s / 3, failed), proof_prices(problem)]
    tried = [one.map(lambda price: np.round(price, PRICE_DIGITS)) for one in tried]
    each_s = 2 / 3 * time_limit_s / len(tried)
    found = [proven(problem, one, means, done, time_limit_s=each_s, failed=failed) for one in tried]
    most = max(bound for _, bound in found)
    near = (pair for pair in found if pair[1] >= most - TIE_RATIO * max(1.0, abs(most)))
    return min(near, key=lambda pair: _total(pair[0]))


def _bound_by_chains(problem: ScheduleProblem, done: Mapping[str, float]) -> ScheduleProblem:
    """The problem in which a step ends in time for what waits for it, where all of that is done: for then it must.

    What leaves out any of that may do the step as late as its own deadline, or at any time where it has none.
    """
    waited_for = {before for job in problem.jobs for before in job.depends_on}
    if not waited_for:
        return problem
    before = {job.id: job.depends_on for job in problem.jobs}
    left = [job.id for job in problem.jobs if done[job.id] < job.hours * (1 - WHOLE_RATIO)]
    while left:
        freed = waited_for.intersection(before.get(left.pop(), ()))
        waited_for -= freed
        left += freed
    jobs = [
        replace(job, true_end_us=min(job.true_end_us, max(job.true_start_us, job.due_us)))
        if job.id in waited_for
        else job
        for job in problem.jobs
    ]
    return replace(problem, jobs=tuple(jobs))


def _total(prices: SlotPrices) -> float:
    """Of prices that prove as much, the least say what one more of a limit saves; others what one less would cost."""
    of_limits = [prices.capacity, prices.reserve, prices.power, prices.peak, prices.quota, prices.budget]
    return sum(float(one.sum()) for one in of_limits if one is not None)


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
    failed: list[str],
) -> SlotPrices:
    """The duals of the program of the work that is done; where it is too large or fails, of a coarser one."""
    slots = np.arange(problem.grid.n_slots + 1, dtype=np.int64) * problem.slot_us
    hours = {id: one * (1 - SLACK_RATIO) for id, one in done.items()}
    jobs = [_as_done(problem, job, hours[job.id]) for job in problem.jobs if hours[job.id] > 0]
    doing = replace(problem, edges_us=np.unique(np.append(slots, problem.now_us)), jobs=tuple(jobs))
    room, firm = (by_slot[:, doing.cell_slot] for by_slot in free)
    capacity = Capacity(room, firm, np.zeros((len(problem.sites), problem.grid.n_slots)))
    try:
        if n_columns(doing) <= EXACT_COLUMNS:
            solution = solve(
                doing, merge(jobs), capacity, time_limit_s=0.7 * time_limit_s, rungs=SIMPLEX_FIRST
            )
            return proof_prices(doing, solution)
    except SolverFailed as failure:
        failed.append(f"the program of the work that is done: {failure.detail}")
    try:
        return relax(doing, capacity, time_limit_s=0.3 * time_limit_s).prices
    except SolverFailed as failure:
        failed.append(f"a coarser program of the work that is done: {failure.detail}")
        return proof_prices(problem)


def _as_done(problem: ScheduleProblem, job: Job, hours: float) -> Job:
    """A job of the work that is done, in what is left of the slots that its true window touches."""
    length = problem.slot_us
    start = max(problem.now_us, job.true_start_us // length * length)
    end = -(-job.true_end_us // length) * length
    return replace(job, hours=hours, start_us=start, end_us=end)


def _beside_pinned(problem: ScheduleProblem, capacity: Floats, held: Ints) -> Floats:
    """What pinned work leaves of a capacity (n_pools, n_slots) in each cell, (n_pools, n_cells)."""
    left: Floats = np.maximum(0.0, capacity[:, problem.cell_slot] - held)
    return left


def _rest_means(problem: ScheduleProblem, by_cell: Floats) -> Floats:
    """Means over what is left of each slot, (n_pools, n_slots): before now, pinned work is not held."""
    ahead = problem.cell_share * (problem.edges_us[:-1] >= problem.now_us)
    first_cell = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    left: Floats = np.add.reduceat(by_cell * ahead, first_cell, axis=1)
    return left / np.maximum(problem.rest_share, LEAST_REST)
