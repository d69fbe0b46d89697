"""Running at once: the same work under the same limits, in order of arrival, as early as each can start.

It is what every plan is compared with: the same work, no more and no less than the plan does. It keeps capacity, the
reserve, the power and the ramp limits and hard quotas, so the comparison is with something that could really be done;
it knows no prices and no budgets, and its batteries stand still. What the sites generate is used, or exported, where
that pays. It does the work as it was asked for: by the model that was named, at full power. Work that it cannot finish
by its deadline it finishes late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import sources_at_once
from shifter.schedule.classes import by_ways
from shifter.schedule.columns import Columns
from shifter.schedule.early import run_early
from shifter.schedule.follow import Room
from shifter.schedule.jobs import Job
from shifter.schedule.lay import pieces_of
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece, merge_pieces
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import place, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import Settled, idle_batteries, settle

NAME = "run_now"


@dataclass(frozen=True, eq=False)
class RunNow:
    """Pieces, their bill, and how much of the work ends after its deadline, or not in the horizon at all [h].

    Hours are accelerator-hours of each job's fastest pool; `late_hours` includes `unfinished_hours`.
    """

    pieces: Sequence[Piece]
    settled: Settled
    late_hours: float
    unfinished_hours: float


def run_now(problem: ScheduleProblem, done_hours: Mapping[str, float]) -> RunNow:
    """Place what the plan does, `done_hours` of each job, at its earliest start or as soon as there is room.

    Work that has a shape or waits for other work goes first, one after the other; what is free of both follows.
    """
    jobs = problem.jobs
    wanted = np.array([min(job.hours, done_hours[job.id]) for job in jobs])
    chained = {id for job in jobs if job.depends_on for id in (job.id, *job.depends_on)}
    shaped = by_ways(jobs, lambda job: job.has_shaped_ways)
    order = sorted(range(len(jobs)), key=problem.ids.__getitem__)
    order.sort(key=[job.true_start_us for job in jobs].__getitem__)
    alone: list[int] = []
    together: list[int] = []
    for i in order:
        by_itself = shaped[i] or jobs[i].contiguous or jobs[i].id in chained
        (alone if by_itself else together).append(i)
    ledger = Ledger(problem, budgets=False)
    first = _one_by_one(problem, alone, wanted, ledger)
    pieces = Pieces.of(problem, first).beside(_together(problem, together, wanted, ledger))
    columns = Columns.of(problem, pieces)
    ends = np.array([job.true_end_us for job in jobs], dtype=np.int64)[columns.job]
    in_time = replace(
        columns, end_us=np.clip(columns.end_us, columns.start_us, np.maximum(ends, columns.start_us))
    )
    late = np.maximum(0.0, wanted - in_time.done_hours(len(jobs)))
    unfinished = np.maximum(0.0, wanted - columns.done_hours(len(jobs)))
    settled = settle(problem, pieces, idle_batteries(problem), sources_at_once(problem, pieces))
    return RunNow(pieces, settled, float(late.sum()), float(unfinished.sum()))


def _one_by_one(
    problem: ScheduleProblem, positions: Sequence[int], wanted: Floats, ledger: Ledger
) -> list[Piece]:
    horizon_us = int(problem.edges_us[-1])
    pieces: dict[str, list[Piece]] = {}
    unfinished: set[str] = set()
    for i in positions:
        job, hours = problem.jobs[i], float(wanted[i])
        start = max([job.true_start_us, *(_end(pieces.get(d)) for d in job.depends_on)])
        eager = replace(
            job, ways=job.as_asked, hours=hours, start_us=min(start, horizon_us), end_us=horizon_us
        )
        waits = not unfinished.isdisjoint(job.depends_on)
        placed = [] if waits or hours <= 0 else merge_pieces(place(eager, ledger, None))
        pieces[job.id] = placed
        if hours - work_hours(job, placed) > 1e-6 * hours:
            unfinished.add(job.id)
    return [piece for group in pieces.values() for piece in group]


def _together(problem: ScheduleProblem, positions: Sequence[int], wanted: Floats, ledger: Ledger) -> Pieces:
    left = ledger.left()
    room = Room.of(left, ledger.room_kw(), ledger.quota_left)
    jobs = [problem.jobs[i] for i in positions]
    asked = by_ways(jobs, lambda job: job.as_asked)
    jobs = [
        job if ways is job.ways else replace(job, ways=ways) for job, ways in zip(jobs, asked, strict=True)
    ]
    uses = run_early(problem, jobs, wanted[positions], room)
    return pieces_of(problem, jobs, uses, left)


def _end(pieces: Sequence[Piece] | None) -> int:
    return max((p.end_us for p in pieces or ()), default=0)


def earliest_finish_us(
    job: Job, own: Sequence[Piece], left_hours: float, ledger: Ledger, after_us: int = 0
) -> int | None:
    """By when the rest of a job could be done in what the plan leaves free, however late; None if not in the horizon.

    It starts at `after_us` or later. `ledger` holds the plan, and is not written to. Work that has a shape of its own
    is taken to be done anew, as a whole; other work goes on after its own pieces, which already take all that there is
    in its window.
    """
    hours, start = (left_hours, max(job.start_us, _end(own))) if job.plain else (job.hours, job.start_us)
    end = int(ledger.problem.edges_us[-1])
    eager = replace(job, hours=hours, start_us=min(max(start, after_us), end), end_us=end)
    placed = place(eager, ledger.copy(), None)
    done = work_hours(job, placed) >= hours * (1 - 1e-9)
    return max(p.end_us for p in placed) if done and placed else None
