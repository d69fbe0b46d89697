r"""What was announced, and when it moves: the price of churn, and the window that is frozen.

Somebody has read the last plan: images are pulled, nodes are warm, people have made other plans. So announced work j
stays where it is unless its own cheapest slots, at the prices of the shared limits, save more than

    churn price * accelerator-hours of j that would move,

and what is to run within `frozen_minutes` stays in any case. Both yield to limits alone: where what was announced does
not fit any more, because real-time load grew or power was cut, it moves. The price stands in the plan's cost for the
work that did move. The bound counts none of it: it holds for plans that would move everything for nothing, so that what
calm costs shows in the gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from forecasts.slots import Floats
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.rows import Allocation, Held
from shifter.schedule.bound import SlotPrices, least_costs
from shifter.schedule.columns import Columns
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.jobs import HOUR_US, Job, Running
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import work_hours
from shifter.schedule.priced import priced
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.standing import Own, chains, in_time, is_done, one_by_one, trimmed, within_limits

CHURN_RATIO = 0.005
"""Where the fleet does not say: this share of what the energy of an accelerator-hour costs on average."""

LEAST_HOURS = 1e-6
"""Less than this has not moved: it is the noise of sums [accelerator-hours]."""

MINUTE_US = 60_000_000


@dataclass(frozen=True, eq=False)
class AnnouncedWork:
    """The last plan on the problem's grid, from the moment of planning on."""

    own: Mapping[str, Sequence[Piece]]
    """Of jobs that are still to be done, in a way that they still have."""
    prices: SlotPrices
    """That proved the last plan, by slot; 0 beyond its end."""
    held: Held | None
    frozen_us: int
    """What runs before this moment is not moved."""
    price_per_hour: float
    """Of an accelerator-hour that is moved [currency]."""
    short: frozenset[str]
    """Jobs that the last plan did not find room for."""

    @classmethod
    def of(cls, problem: ScheduleProblem, announced: Announced | None, fleet: Fleet) -> AnnouncedWork | None:
        """None where nothing was announced, or on a grid of other slots."""
        if announced is None or announced.slot_minutes != problem.grid.slot_minutes:
            return None
        asked = fleet.objective.churn_cost_per_accelerator_hour
        return cls(
            _pieces(problem, announced),
            _on_grid(problem, announced),
            announced.held,
            problem.now_us + round(fleet.objective.frozen_minutes * MINUTE_US),
            CHURN_RATIO * _typical_cost_per_hour(problem) if asked is None else asked,
            frozenset(announced.short),
        )

    def fitting(self, problem: ScheduleProblem, free: Ledger | None = None) -> Own:
        """What of it can stand: inside windows, in the order of chains, no more than is left, and within limits.

        Limits are those of what is `free`; where that is not said, of a site with no more than its battery may give.
        Where not all of a job fits, what is frozen of it comes first.
        """
        return self._fitting(problem, free, self.frozen(problem, free))

    def _fitting(self, problem: ScheduleProblem, free: Ledger | None, frozen: Own) -> Own:
        found = in_time(problem, within_limits(problem, self._possible(problem), free, frozen))
        return {**frozen, **found}

    def frozen(self, problem: ScheduleProblem, free: Ledger | None = None) -> Own:
        """What is not moved for any price, as far as it can stand.

        It is what runs before the window's end. A run that has a shape is not cut there, nor is a chain that is
        announced whole: the order of its steps holds as announced, and perhaps not otherwise.
        """
        if self.frozen_us <= problem.now_us:
            return {}
        possible, soon = self._possible(problem), Own()
        for chain in chains(problem.jobs):
            early = {job.id: cut for job in chain if (cut := self._early(job, possible.get(job.id, ())))}
            if early and len(chain) > 1 and all(is_done(job, possible.get(job.id, ())) for job in chain):
                early = {job.id: possible[job.id] for job in chain}
            soon.update(early)
        return in_time(problem, within_limits(problem, soon, free, {}))

    def _possible(self, problem: ScheduleProblem) -> Own:
        """What lies inside its window, in order, and is no more than is left to do."""
        jobs = {job.id: job for job in problem.jobs}
        whole = (
            (id, pieces)
            for id, pieces in self.own.items()
            if not any(piece.accelerators % jobs[id].ways[piece.way].replica for piece in pieces)
        )
        own = {id: trimmed(jobs[id], pieces) for id, pieces in whole}
        return in_time(problem, {id: pieces for id, pieces in own.items() if pieces})

    def _early(self, job: Job, pieces: Iterable[Piece]) -> list[Piece]:
        soon = [piece for piece in pieces if piece.start_us < self.frozen_us]
        if not job.plain:
            return soon
        return [piece._replace(end_us=min(piece.end_us, self.frozen_us)) for piece in soon]

    def complete(self, problem: ScheduleProblem, free: Ledger) -> Own:
        """What of it can stand in what is `free` and does all of its job, and what is frozen.

        Where not all limits are of slots, what is frozen alone, each run as it fits beside those before it.
        """
        frozen = self.frozen(problem, free)
        if further_terms(problem):
            return in_time(problem, one_by_one(problem, frozen, free))
        jobs, own = {job.id: job for job in problem.jobs}, self._fitting(problem, free, frozen)
        whole = {id: pieces for id, pieces in own.items() if is_done(jobs[id], pieces)}
        return {**frozen, **in_time(problem, whole)}

    def staying(self, problem: ScheduleProblem, prices: SlotPrices) -> Own:
        """What need not move at these prices: all that a job has where moving it does not pay, else what is frozen."""
        frozen, jobs = self.frozen(problem), {job.id: job for job in problem.jobs}
        fitting = self._fitting(problem, None, frozen)
        own = {id: pieces for id, pieces in fitting.items() if is_done(jobs[id], pieces)}
        done = {id: work_hours(jobs[id], pieces) for id, pieces in own.items()}
        least, now = least_costs(problem, prices, done), _costs(problem, prices, own)
        found: Own = {}
        for id, pieces in own.items():
            hours = sum(piece.hours for piece in pieces)
            if now[id] - least[id] <= self.price_per_hour * hours + 1e-9:
                found[id] = pieces
        return {**frozen, **in_time(problem, {**frozen, **found})}

    def thawed(self, pieces: Iterable[Piece]) -> list[str]:
        """Jobs of which something moves, in a plan of these pieces, that was to run within the frozen window."""
        end_us = self.frozen_us
        early = {
            id: [p._replace(end_us=min(p.end_us, end_us)) for p in old if p.start_us < end_us]
            for id, old in self.own.items()
            if any(p.start_us < end_us for p in old)
        }
        new = _by_job(pieces) if early else {}
        return [id for id, old in early.items() if id in new and moved_hours(old, new[id])]

    def churn_cost(self, pieces: Iterable[Piece]) -> float:
        """What moving costs in a plan of these pieces [currency]."""
        return self.price_per_hour * sum(self._moved(pieces).values())

    def kept(self, pieces: Iterable[Piece]) -> frozenset[str]:
        """Jobs of which these pieces move nothing."""
        return frozenset(id for id, hours in self._moved(pieces).items() if hours == 0)

    def _moved(self, pieces: Iterable[Piece]) -> dict[str, float]:
        """Accelerator-hours that these pieces move, of each job that was announced and still runs."""
        new = _by_job(pieces)
        return {id: moved_hours(old, new[id]) for id, old in self.own.items() if id in new}


def moved_hours(old: Sequence[Piece], new: Sequence[Piece]) -> float:
    """Accelerator-hours of a job that are not where they were: no more than are gone, nor than are new."""
    was, is_ = (sum(piece.hours for piece in pieces) for pieces in (old, new))
    moved = min(was, is_) - _common_hours(old, new)
    return moved if moved > LEAST_HOURS else 0.0


def _common_hours(old: Sequence[Piece], new: Sequence[Piece]) -> float:
    """Accelerator-hours that both hold, in the same way at the same time."""
    total = 0
    for way in {piece.way for piece in old} & {piece.way for piece in new}:
        changes: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        for side, pieces in enumerate((old, new)):
            for piece in pieces:
                if piece.way == way:
                    changes[piece.start_us][side] += piece.accelerators
                    changes[piece.end_us][side] -= piece.accelerators
        level, since = [0, 0], 0
        for moment in sorted(changes):
            total += min(level) * (moment - since)
            level, since = [a + b for a, b in zip(level, changes[moment], strict=True)], moment
    return total / HOUR_US


def _by_job(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    found: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        found[piece.job].append(piece)
    return found


def _typical_cost_per_hour(problem: ScheduleProblem) -> float:
    """What the energy of a busy accelerator-hour costs, mean of all pools [currency]."""
    costs = [
        pool.import_kw * float(np.abs(problem.sites[pool.site].unit_cost_per_kwh).mean())
        for pool in problem.pools
    ]
    return float(np.mean(costs))


def with_running(problem: ScheduleProblem, announced: Announced | None) -> ScheduleProblem:
    """The problem, its jobs knowing what they run in at the moment of planning, and what is left of loading it."""
    if announced is None:
        return problem
    now = problem.grid.start + timedelta(microseconds=problem.now_us)
    running: defaultdict[str, dict[int, Running]] = defaultdict(dict)
    for piece in _on_time(problem, (a for a in announced.allocations if a.start < now)):
        if load_us := problem.ways[piece.job][piece.way].load_us:
            begun = running[piece.job].get(piece.way)
            count, left_us = (0, 0) if begun is None else (begun.accelerators, begun.load_us)
            left_us = max(left_us, piece.start_us + load_us - problem.now_us)
            running[piece.job][piece.way] = Running(
                piece.way, problem.now_us, count + piece.accelerators, left_us
            )
    if not running:
        return problem
    jobs = (
        replace(job, running=tuple(of[way] for way in sorted(of))) if (of := running.get(job.id)) else job
        for job in problem.jobs
    )
    return replace(problem, jobs=tuple(jobs))


def _pieces(problem: ScheduleProblem, announced: Announced) -> dict[str, list[Piece]]:
    found: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in _on_time(problem, announced.allocations):
        found[piece.job].append(piece._replace(start_us=max(piece.start_us, problem.now_us)))
    return {id: sorted(pieces) for id, pieces in found.items()}


def _on_time(problem: ScheduleProblem, allocations: Iterable[Allocation]) -> Iterator[Piece]:
    """What was announced from now on of jobs that are still to be done, in ways that they still have. What runs begins
    where it began."""
    grid, slot_us = problem.grid, problem.slot_us
    pools = {pool.key: p for p, pool in enumerate(problem.pools)}
    jobs = {job.id: job for job in problem.jobs}
    for a in allocations:
        job, pool = jobs.get(a.workload_id), pools.get((a.site, a.pool))
        if job is None or pool is None:
            continue
        named = (pool, a.model, a.cap_kw)
        ways = (i for i, w in enumerate(job.ways) if (w.pool, w.model, w.cap_kw) == named)
        way = next(ways, None)
        start, end = (round(grid.position(moment) * slot_us) for moment in (a.start, a.end))
        end = min(end, grid.n_slots * slot_us)
        if way is not None and max(start, problem.now_us) < end:
            yield Piece(job.id, pool, way, start, end, a.accelerators)


def _on_grid(problem: ScheduleProblem, announced: Announced) -> SlotPrices:
    """The announced prices on the problem's slots. Any prices prove something; those of slots gone by are left out."""
    n = problem.grid.n_slots
    shift = round(problem.grid.position(announced.start))

    def row(values: Sequence[float]) -> Floats:
        at = np.arange(n) - shift
        inside = (at >= 0) & (at < len(values))
        found = np.zeros(n)
        found[inside] = np.array(values)[at[inside]]
        return found

    duals = announced.duals
    by_pool = [
        [prices.get(pool.key, ()) for pool in problem.pools] for prices in (duals.capacity, duals.reserve)
    ]
    by_site = [[prices.get(site.name, ()) for site in problem.sites] for prices in (duals.power, duals.peak)]
    capacity, reserve, power, peak = (
        np.array([row(values) for values in rows]) for rows in (*by_pool, *by_site)
    )
    for i, site in enumerate(problem.sites):
        power[i] = np.where(np.isfinite(site.limit_kw), power[i], 0.0)
        peak[i] *= min(1.0, site.demand_charge_per_kw / max(float(peak[i].sum()), 1e-12))
    return SlotPrices(capacity, reserve, power, peak)


def _costs(problem: ScheduleProblem, prices: SlotPrices, own: Own) -> dict[str, float]:
    """What each job's pieces cost at these prices [currency]."""
    columns = Columns.of(problem, (piece for pieces in own.values() for piece in pieces))
    costs = np.bincount(columns.job, priced(problem, prices, columns), len(problem.positions))
    return {id: float(costs[problem.positions[id]]) for id in own}
