r"""Each step of a chain gets its own part of the chain's time, cut where the steps cost least at given prices.

What is planned in parts that do not overlap keeps the order, without a constraint between jobs. Let `cost[j](a, b)` be
what step j pays at the least for its work between two moments, alone, at the prices of the shared limits: a sort
(`answer`), in the room that there is. What it cannot do there counts as late, and with it all that waits for it. Then

    best[j](b) = min over a of  cost[j](a, b) + sum of best[i](a) over all i that j waits for

is the least that j and all before it pay to be done by b, and the parts are where that minimum is. For chains, and
where steps come together, that is exact at these prices, at the edges of cells (every few of them, where there are
many). What several steps wait for counts by an equal share with each of them, and must be done for the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from forecasts.slots import Floats
from shifter.domain.chains import order_of
from shifter.schedule.answer import Segments, least_cost, segments
from shifter.schedule.jobs import HOUR_US, Ints, Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.place import DONE_RATIO, Prices, place
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.standing import chains

MOMENTS = 96
"""Up to about this many moments are looked at to cut a chain's time at."""

TIE = 1e-9
"""Parts whose costs differ by less than this share cost the same."""


def with_spans(problem: ScheduleProblem) -> ScheduleProblem:
    """The problem in which each step has all the time that its chain may leave it: its optimum may break the order."""
    if not has_parts(problem):
        return problem
    jobs = (job if job.span_us is None else _between(job, *job.span_us) for job in problem.jobs)
    return replace(problem, jobs=tuple(jobs))


def has_parts(problem: ScheduleProblem) -> bool:
    """Whether there are steps whose parts may be moved."""
    return any(job.span_us is not None for job in problem.jobs)


def parted(problem: ScheduleProblem, at: Prices, free: Ledger) -> ScheduleProblem:
    """The problem in which steps of chains have the parts that cost least at these prices, in what is free.

    One chain after the other, those with the least slack first, each in the room that those before it leave.
    """
    if not has_parts(problem):
        return problem
    found: dict[str, Job] = {}
    left = free.copy()
    several = (chain for chain in chains(problem.jobs) if len(chain) > 1)
    movable = [chain for chain in several if any(job.span_us is not None for job in chain)]
    for chain in sorted(movable, key=_slack_us):
        own = _cut(chain, _Asking(problem, at, left))
        found.update(own)
        for job in own.values():
            place(job, left, at)
    return replace(problem, jobs=tuple(found.get(job.id, job) for job in problem.jobs))


def _slack_us(chain: Sequence[Job]) -> float:
    """What all a chain's time is longer than its steps one after the other."""
    windows = [job.span_us or (job.start_us, job.end_us) for job in chain]
    length_us = max(end for _, end in windows) - min(start for start, _ in windows)
    return length_us - sum(job.least_us for job in chain)


def _between(job: Job, start_us: int, end_us: int) -> Job:
    return replace(job, start_us=start_us, end_us=max(start_us, end_us))


def _cut(chain: Sequence[Job], asking: _Asking) -> dict[str, Job]:
    """The steps of a chain in their parts, by id. The part of one that has no span stays as it is."""
    jobs = {job.id: job for job in chain}
    before = {job.id: [i for i in job.depends_on if i in jobs] for job in chain}
    after: defaultdict[str, list[str]] = defaultdict(list)
    for id, others in before.items():
        for other in others:
            after[other].append(id)
    order = order_of(before)
    behind = dict.fromkeys(order, 0.0)  # hours of all that waits for each
    for id in reversed(order):
        behind[id] = sum((jobs[j].hours + behind[j] for j in after[id]), 0.0)
    moments = asking.moments(chain)
    none, totals, best = np.zeros(len(moments)), dict[str, Floats](), dict[str, Floats]()
    for id in order:
        paid = sum((best[i] / len(after[i]) for i in before[id]), none)
        first = paid if before[id] else paid[:1]
        last = moments if after[id] else moments[-1:]
        cost = asking.costs(jobs[id], moments[: len(first)], last, behind[id])
        totals[id] = first[:, None] + cost
        best[id] = totals[id].min(axis=0)
    ends = dict.fromkeys(order, len(moments) - 1)
    for id in reversed(order):
        total = totals[id][:, min(ends[id], totals[id].shape[1] - 1)]
        cheapest = np.flatnonzero(total <= total.min() + TIE * (1 + abs(total.min())))
        start = int(cheapest[len(cheapest) // 2])
        if jobs[id].span_us is None:
            start = min(start, asking.last_by(moments, jobs[id].start_us))
        for other in before[id]:
            ends[other] = min(ends[other], start)
    found: dict[str, Job] = {}
    for id in order:
        job = jobs[id]
        if job.span_us is not None:
            start_us, end_us = job.span_us
            start_us = max([start_us, *(found[i].end_us for i in before[id])])
            job = _between(job, start_us, min(end_us, int(asking.problem.edges_us[moments[ends[id]]])))
        found[id] = job
    return found


@dataclass(frozen=True, eq=False)
class _Asking:
    """What steps pay at the least, alone. Moments are counted in edges of cells."""

    problem: ScheduleProblem
    at: Prices
    free: Ledger
    known: dict[object, tuple[Segments, Floats]] = field(default_factory=dict)

    def moments(self, chain: Sequence[Job]) -> Ints:
        """Where a chain's time may be cut: edges of its steps' windows, and every few of those of cells between."""
        own = np.unique([self._window(job) for job in chain])
        step = -(-(own[-1] - own[0]) // MOMENTS)
        every: Ints = np.unique(np.concatenate([own, np.arange(own[0], own[-1], max(1, step))]))
        return every

    def last_by(self, moments: Ints, us: int) -> int:
        """The last of these moments that is no later."""
        found = int(np.searchsorted(self.problem.edges_us[moments], us, side="right")) - 1
        return max(0, found)

    def _window(self, job: Job) -> tuple[int, int]:
        return self.problem.cells_of(*(job.span_us or (job.start_us, job.end_us)))

    def costs(self, job: Job, starts: Ints, ends: Ints, hours_behind: float) -> Floats:
        """What a step pays from each of the starts to each of the ends, as far as its window goes, (n_starts, n_ends).

        It leaves undone what has no room there, and then the `hours_behind` it, too.
        """
        first, last = self._window(job)
        begin, end = np.maximum(starts, first)[:, None], np.minimum(ends, last)[None, :]
        begin, end = np.broadcast_arrays(begin, np.maximum(begin, end))
        pairs, where = np.unique(np.stack([begin.ravel(), end.ravel()], axis=1), axis=0, return_inverse=True)
        seen, up_to = self._seen(job)
        need = job.hours / job.max_accelerators + min((w.load_us for w in job.ways), default=0) / HOUR_US
        begin, end = pairs.T
        short = np.maximum(0.0, need - (up_to[end] - up_to[begin]))
        late = job.max_accelerators * short + np.where(short > DONE_RATIO * need, hours_behind, 0.0)
        paid = least_cost(seen, np.full(len(pairs), need), begin.astype(float), end.astype(float))
        cost = job.max_accelerators * paid + self.problem.price_of_leaving_undone(job.open_ended) * late
        shaped: Floats = cost[where.ravel()].reshape(len(starts), len(ends))
        return shaped

    def _seen(self, job: Job) -> tuple[Segments, Floats]:
        """What one of a job's accelerators may do in each cell, and all of that up to each edge, (n_cells + 1,) [h].

        Where there is room for fewer, each has that share of the cell, in its cheapest way: of several pools that have
        room for some each, all count as the cheapest.
        """
        key = job.ways, job.firm, job.tenant, job.max_accelerators, job.contiguous
        if key not in self.known:
            problem, n = self.problem, self.problem.n_cells
            room = np.array([self.free.most(job, way) for way in job.ways]).reshape(len(job.ways), n)
            width = room.max(axis=0, initial=0) if job.contiguous else _together(job, room)
            share = np.minimum(1.0, width / job.max_accelerators)
            sites = (problem.pools[way.pool].site for way in job.ways)
            every = [self.at.of(job, way, site) * share for way, site in zip(job.ways, sites, strict=True)]
            prices = [np.where(most > 0, price, np.inf) for most, price in zip(room, every, strict=True)]
            seen = _none() if not job.ways else segments(job.ways, prices, problem.cell_hours * share)
            done = np.bincount(seen.cell, seen.hours, n)
            self.known[key] = seen, np.append(0.0, np.cumsum(done))
        return self.known[key]


def _together(job: Job, room: Ints) -> Ints:
    """Accelerators that a job may have in all its pools at once, (n_cells,); `room` is by way."""
    of_pool: dict[int, Ints] = {}
    for way, most in zip(job.ways, room, strict=True):
        of_pool[way.pool] = np.maximum(most, of_pool.get(way.pool, 0))
    every: Ints = np.sum(list(of_pool.values()), axis=0)
    return every


def _none() -> Segments:
    nothing = np.empty(0)
    return Segments(nothing, nothing, nothing.astype(np.int64), nothing.astype(np.int64))
