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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Held
from shifter.schedule.bound import SlotPrices, least_costs
from shifter.schedule.columns import Columns
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import DONE_RATIO, work_hours
from shifter.schedule.priced import priced
from shifter.schedule.problem import HOUR_US, Job, ScheduleProblem
from shifter.schedule.settle import quota_use

CHURN_RATIO = 0.005
"""Where the fleet does not say: this share of what the energy of an accelerator-hour costs on average."""

LEAST_HOURS = 1e-6
"""Less than this has not moved: it is the noise of sums [accelerator-hours]."""

QUOTA_SLACK = 1e-6
"""Mean accelerators beyond a quota that are the noise of sums."""

SURPLUS_RATIO, SURPLUS_S = 1e-6, 1e-3
"""Work beyond what is left to do by less than this share, or so little time, stays: its end is not moved for that."""

MINUTE_US = 60_000_000

Own = dict[str, list[Piece]]
"""Pieces by job."""


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
        """
        jobs = {job.id: job for job in problem.jobs}
        whole = (
            (id, pieces)
            for id, pieces in self.own.items()
            if not any(piece.accelerators % jobs[id].ways[piece.way].replica for piece in pieces)
        )
        own = {id: _trimmed(jobs[id], pieces) for id, pieces in whole}
        kept = _in_time(problem, {id: pieces for id, pieces in own.items() if pieces})
        return _in_time(problem, _within_quotas(problem, _within_limits(problem, kept, free)))

    def complete(self, problem: ScheduleProblem, free: Ledger) -> Own:
        """What of it can stand in what is `free` and does all of its job; nothing where not all limits are of slots."""
        if further_terms(problem):
            return {}
        jobs, own = {job.id: job for job in problem.jobs}, self.fitting(problem, free)
        return _in_time(problem, {id: pieces for id, pieces in own.items() if _is_done(jobs[id], pieces)})

    def staying(self, problem: ScheduleProblem, prices: SlotPrices) -> Own:
        """What need not move at these prices: all that a job has where moving it does not pay, else what is frozen."""
        own, jobs = self.fitting(problem), {job.id: job for job in problem.jobs}
        done = {id: work_hours(jobs[id], pieces) for id, pieces in own.items()}
        least, now = least_costs(problem, prices, done), _costs(problem, prices, own)
        found: Own = {}
        for id, pieces in own.items():
            job = jobs[id]
            hours = sum(_hours(piece) for piece in pieces)
            complete = _is_done(job, pieces)
            if complete and now[id] - least[id] <= self.price_per_hour * hours + 1e-9:
                found[id] = pieces
            elif frozen := self._frozen(job, pieces, complete):
                found[id] = frozen
        return _in_time(problem, found)

    def _frozen(self, job: Job, pieces: Sequence[Piece], complete: bool) -> list[Piece]:
        soon = [piece for piece in pieces if piece.start_us < self.frozen_us]
        if not job.plain:  # cutting it would break its shape
            return list(pieces) if soon and complete else []
        return [piece._replace(end_us=min(piece.end_us, self.frozen_us)) for piece in soon]

    def churn_cost(self, pieces: Iterable[Piece]) -> float:
        """What moving costs in a plan of these pieces [currency]."""
        return self.price_per_hour * sum(self._moved(pieces).values())

    def kept(self, pieces: Iterable[Piece]) -> frozenset[str]:
        """Jobs of which these pieces move nothing."""
        return frozenset(id for id, hours in self._moved(pieces).items() if hours == 0)

    def _moved(self, pieces: Iterable[Piece]) -> dict[str, float]:
        """Accelerator-hours that these pieces move, of each job that was announced and still runs."""
        new: defaultdict[str, list[Piece]] = defaultdict(list)
        for piece in pieces:
            new[piece.job].append(piece)
        return {id: moved_hours(old, new[id]) for id, old in self.own.items() if id in new}


def moved_hours(old: Sequence[Piece], new: Sequence[Piece]) -> float:
    """Accelerator-hours of a job that are not where they were: no more than are gone, nor than are new."""
    was, is_ = (sum(_hours(piece) for piece in pieces) for pieces in (old, new))
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


def _is_done(job: Job, pieces: Sequence[Piece]) -> bool:
    return work_hours(job, pieces) >= job.hours * (1 - DONE_RATIO)


def _hours(piece: Piece) -> float:
    return piece.accelerators * (piece.end_us - piece.start_us) / HOUR_US


def _typical_cost_per_hour(problem: ScheduleProblem) -> float:
    """What the energy of a busy accelerator-hour costs, mean of all pools [currency]."""
    costs = [
        pool.import_kw * float(np.abs(problem.sites[pool.site].unit_cost_per_kwh).mean())
        for pool in problem.pools
    ]
    return float(np.mean(costs))


def _pieces(problem: ScheduleProblem, announced: Announced) -> dict[str, list[Piece]]:
    grid, slot_us = problem.grid, problem.slot_us
    pools = {pool.key: p for p, pool in enumerate(problem.pools)}
    jobs = {job.id: job for job in problem.jobs}
    found: defaultdict[str, list[Piece]] = defaultdict(list)
    for a in announced.allocations:
        job, pool = jobs.get(a.workload_id), pools.get((a.site, a.pool))
        if job is None or pool is None:
            continue
        named = (pool, a.model, a.cap_kw)
        ways = (i for i, w in enumerate(job.ways) if (w.pool, w.model, w.cap_kw) == named)
        way = next(ways, None)
        start, end = (round(grid.position(moment) * slot_us) for moment in (a.start, a.end))
        start, end = max(start, problem.now_us), min(end, grid.n_slots * slot_us)
        if way is None or start >= end:
            continue
        found[job.id].append(Piece(job.id, pool, way, start, end, a.accelerators))
    return {id: sorted(pieces) for id, pieces in found.items()}


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


def _trimmed(job: Job, pieces: Sequence[Piece]) -> list[Piece]:
    """Without the end of what does more than is left to do."""
    kept = sorted(pieces, key=lambda piece: piece.end_us)
    surplus = work_hours(job, kept) - job.hours
    while kept and surplus > max(job.hours * SURPLUS_RATIO, SURPLUS_S / 3600 * kept[-1].accelerators):
        piece = kept.pop()
        way, rate = job.ways[piece.way], piece.accelerators * job.ways[piece.way].speed
        useful_us = piece.end_us - piece.start_us - way.load_us
        if useful_us * rate <= surplus * HOUR_US:
            surplus -= max(0.0, useful_us * rate / HOUR_US)
            continue
        kept.append(piece._replace(end_us=piece.end_us - int(surplus * HOUR_US / rate)))
        break
    return sorted(kept)


def _in_time(problem: ScheduleProblem, own: Own) -> Own:
    """Pieces inside the window that was asked for. Steps of a chain keep theirs where all of it is announced, in order;
    else those whose pieces lie in the part of its time that each has now."""
    jobs = {job.id: job for job in problem.jobs}

    def inside(id: str, start_us: int, end_us: int) -> bool:
        return all(start_us <= p.start_us and p.end_us <= end_us for p in own[id])

    asked = {id for id in own if inside(id, jobs[id].true_start_us, jobs[id].due_us)}
    found = {}
    for chain in _chains(problem.jobs):
        whole = all(job.id in asked and _is_done(job, own[job.id]) for job in chain)
        in_order = whole and all(
            max(p.end_us for p in own[before]) <= min(p.start_us for p in own[job.id])
            for job in chain
            for before in job.depends_on
            if before in own
        )
        for job in chain:
            alone = len(chain) == 1 and job.id in asked
            if alone or in_order or (job.id in own and inside(job.id, job.start_us, job.end_us)):
                found[job.id] = own[job.id]
    return found


def _chains(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs that wait for one another, together; most are alone."""
    root = {job.id: job.id for job in jobs}

    def of(id: str) -> str:
        while root[id] != id:
            root[id] = id = root[root[id]]
        return id

    for job in jobs:
        for before in job.depends_on:
            if before in root:
                root[of(job.id)] = of(before)
    groups: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[of(job.id)].append(job)
    yield from groups.values()


def _within_limits(problem: ScheduleProblem, own: Own, free: Ledger | None) -> Own:
    """Without jobs that stand where more is announced than there is now, those with the most time first."""
    jobs = {job.id: job for job in problem.jobs}
    empty = Ledger(problem) if free is None else free
    helped = np.array([free is None and site.battery is not None for site in problem.sites])
    while True:
        ledger = empty.copy()
        ledger.hold(piece for pieces in own.values() for piece in pieces)
        over = _overdrawn(problem, ledger, empty, helped)
        if over is None:
            return own
        crowding = [
            id for id, pieces in own.items() if any(over[p.pool, _cells(problem, p)].any() for p in pieces)
        ]
        gone = set()
        for id in sorted(crowding, key=lambda i: (jobs[i].start_us - jobs[i].end_us, i)):
            ledger.release(own[id])
            gone.add(id)
            if (over := _overdrawn(problem, ledger, empty, helped)) is None:
                break
        own = {id: pieces for id, pieces in own.items() if id not in gone}


def _within_quotas(problem: ScheduleProblem, own: Own) -> Own:
    """Without jobs of tenants who hold more than a hard quota allows now, those with the most time first."""
    jobs, kept = {job.id: job for job in problem.jobs}, dict(own)
    for i, tenant in enumerate(problem.tenants[: problem.n_quotas]):
        of_tenant = [id for id in own if jobs[id].tenant == i]
        for id in sorted(of_tenant, key=lambda i: (jobs[i].start_us - jobs[i].end_us, i)):
            held = Columns.of(problem, (piece for pieces in kept.values() for piece in pieces))
            over = quota_use(problem, held)[i] > tenant.most + QUOTA_SLACK
            if not over.any():
                break
            touched = (
                slice(p.start_us // problem.slot_us, -(-p.end_us // problem.slot_us)) for p in kept[id]
            )
            if any(over[slots].any() for slots in touched):
                del kept[id]
    return kept


def _overdrawn(
    problem: ScheduleProblem, ledger: Ledger, empty: Ledger, helped: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Where pieces hold more than there is, (n_pools, n_cells), of accelerators or, but at `helped` sites, of
    power; None where nowhere."""
    over = ((ledger.any < 0) & (ledger.any < empty.any)) | ((ledger.firm < 0) & (ledger.firm < empty.firm))
    kw = (ledger.headroom_kw < -1e-6) & (ledger.headroom_kw < empty.headroom_kw)
    kw &= ~helped[:, None]
    of_pool = np.array([pool.site for pool in problem.pools], dtype=np.int64)
    over |= kw[of_pool][:, problem.cell_slot]
    return over if over.any() else None


def _cells(problem: ScheduleProblem, piece: Piece) -> slice:
    edges = problem.edges_us
    first = int(np.searchsorted(edges, piece.start_us, side="right")) - 1
    return slice(first, int(np.searchsorted(edges, piece.end_us, side="left")))


def _costs(problem: ScheduleProblem, prices: SlotPrices, own: Own) -> dict[str, float]:
    """What each job's pieces cost at these prices [currency]."""
    columns = Columns.of(problem, (piece for pieces in own.values() for piece in pieces))
    costs = np.bincount(columns.job, priced(problem, prices, columns), len(problem.positions))
    return {id: float(costs[problem.positions[id]]) for id in own}
