"""What of announced work can stand: inside its windows, in the order of chains, and within the limits of now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shifter.schedule.columns import Columns
from shifter.schedule.jobs import HOUR_US, Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.loading import loads_us
from shifter.schedule.pack import Piece
from shifter.schedule.place import DONE_RATIO, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import quota_use

QUOTA_SLACK = 1e-6
"""Mean accelerators beyond a quota that are the noise of sums."""

SURPLUS_RATIO, SURPLUS_S = 1e-6, 1e-3
"""Work beyond what is left to do by less than this share, or so little time, stays: its end is not moved for that."""

Own = dict[str, list[Piece]]
"""Pieces by job."""


def is_done(job: Job, pieces: Iterable[Piece]) -> bool:
    """Whether these pieces do all of a job."""
    return work_hours(job, pieces) >= job.hours * (1 - DONE_RATIO)


def trimmed(job: Job, pieces: Sequence[Piece]) -> list[Piece]:
    """Without the end of what does more than is left to do."""
    kept = sorted(pieces, key=lambda piece: piece.end_us)
    surplus = work_hours(job, kept) - job.hours
    while kept and surplus > max(job.hours * SURPLUS_RATIO, SURPLUS_S / 3600 * kept[-1].accelerators):
        load_us = loads_us(job, kept)[-1]
        piece = kept.pop()
        rate = piece.accelerators * job.ways[piece.way].speed
        useful_us = piece.end_us - piece.start_us - load_us
        if useful_us * rate <= surplus * HOUR_US:
            surplus -= max(0.0, useful_us * rate / HOUR_US)
            continue
        kept.append(piece._replace(end_us=piece.end_us - int(surplus * HOUR_US / rate)))
        break
    return sorted(kept)


def in_time(problem: ScheduleProblem, own: Own) -> Own:
    """Pieces inside the window that was asked for. Steps of a chain keep theirs where all of it is announced, in order;
    else those whose pieces lie in the part of its time that each has now."""
    jobs = {job.id: job for job in problem.jobs}

    def inside(id: str, start_us: int, end_us: int) -> bool:
        return all(start_us <= p.start_us and p.end_us <= end_us for p in own[id])

    asked = {id for id in own if inside(id, jobs[id].true_start_us, jobs[id].due_us)}
    found = {}
    for chain in chains(problem.jobs):
        whole = all(job.id in asked and is_done(job, own[job.id]) for job in chain)
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


def chains(jobs: Sequence[Job]) -> Iterator[list[Job]]:
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


def within_limits(problem: ScheduleProblem, own: Own, free: Ledger | None, least: Own) -> Own:
    """Without what stands where more is announced than there is now, of jobs with the most time first.

    Of a job that yields, its `least` stays, which must have room.
    """
    return _within_quotas(problem, _within_slots(problem, own, free, least), least)


def one_by_one(problem: ScheduleProblem, own: Own, free: Ledger) -> Own:
    """What fits beside that before it, whatever else is placed: also where a limit is not one of slots."""
    jobs, ledger, kept = {job.id: job for job in problem.jobs}, free.copy(), Own()
    for id, pieces in own.items():
        trial = ledger.copy()
        for piece in pieces:
            way, length_us = jobs[id].ways[piece.way], piece.end_us - piece.start_us
            room = trial.most(jobs[id], way)[_cells(problem, piece)].min()
            afforded = trial.affords(way, piece.accelerators, np.array([piece.start_us]), length_us).all()
            if room < piece.accelerators or not afforded:
                break
            trial.hold([piece])
        else:
            kept[id], ledger = pieces, trial
    return kept


def _within_slots(problem: ScheduleProblem, own: Own, free: Ledger | None, least: Own) -> Own:
    empty, kept = Ledger(problem) if free is None else free, dict(own)
    helped = np.array([free is None and site.battery is not None for site in problem.sites])
    while True:
        ledger = empty.copy()
        ledger.hold(piece for pieces in kept.values() for piece in pieces)
        over = _overdrawn(problem, ledger, empty, helped)
        if over is None:
            return kept
        crowding = [
            id for id, pieces in kept.items() if any(over[p.pool, _cells(problem, p)].any() for p in pieces)
        ]
        for id in _most_time_first(problem, crowding, kept, least):
            ledger.release(kept[id])
            _yield(kept, id, least)
            ledger.hold(kept.get(id, ()))
            if (over := _overdrawn(problem, ledger, empty, helped)) is None:
                break


def _most_time_first(problem: ScheduleProblem, ids: Iterable[str], kept: Own, least: Own) -> list[str]:
    """In the order in which they yield: those that stand at their `least` after all others."""
    jobs = {job.id: job for job in problem.jobs}
    return sorted(ids, key=lambda i: (kept[i] == least.get(i), jobs[i].start_us - jobs[i].end_us, i))


def _yield(kept: Own, id: str, least: Own) -> None:
    if id in least and kept[id] != least[id]:
        kept[id] = least[id]
    else:
        del kept[id]


def _within_quotas(problem: ScheduleProblem, own: Own, least: Own) -> Own:
    jobs, kept = {job.id: job for job in problem.jobs}, dict(own)
    for i, tenant in enumerate(problem.tenants[: problem.n_quotas]):
        for id in _most_time_first(problem, [id for id in own if jobs[id].tenant == i], kept, least):
            held = Columns.of(problem, (piece for pieces in kept.values() for piece in pieces))
            over = quota_use(problem, held)[i] > tenant.most + QUOTA_SLACK
            if not over.any():
                break
            touched = (
                slice(p.start_us // problem.slot_us, -(-p.end_us // problem.slot_us)) for p in kept[id]
            )
            if any(over[slots].any() for slots in touched):
                _yield(kept, id, least)
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
    return slice(*problem.cells_touched(piece.start_us, piece.end_us))
