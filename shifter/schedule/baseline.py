"""Running at once: the same work under the same limits, in order of arrival, as early as each can start.

It is what every plan is compared with: the same work, no more and no less than the plan does. It keeps capacity, the
reserve and the power limits, so the comparison is with something that could really be done; it knows no prices, and its
batteries stand still. Work that it cannot finish by its deadline it finishes late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece, merge_pieces
from shifter.schedule.place import place, work_hours
from shifter.schedule.problem import Job, ScheduleProblem
from shifter.schedule.settle import Settled, idle_batteries, settle

NAME = "run_now"


@dataclass(frozen=True, eq=False)
class RunNow:
    """Pieces by job, their bill, and how much of the work ends after its deadline, or not in the horizon at all [h].

    Hours are accelerator-hours of each job's fastest pool; `late_hours` includes `unfinished_hours`.
    """

    pieces: Mapping[str, tuple[Piece, ...]]
    settled: Settled
    late_hours: float
    unfinished_hours: float


def run_now(problem: ScheduleProblem, done_hours: Mapping[str, float]) -> RunNow:
    """Place what the plan does, `done_hours` of each job, at its earliest start or as soon as there is room."""
    ledger = Ledger(problem)
    horizon_us = int(problem.edges_us[-1])
    pieces: dict[str, tuple[Piece, ...]] = {}
    unfinished: set[str] = set()
    late_hours = unfinished_hours = 0.0
    for job in sorted(problem.jobs, key=lambda j: (j.true_start_us, j.id)):
        hours = min(job.hours, done_hours[job.id])
        start = max([job.true_start_us, *(_end(pieces.get(d)) for d in job.depends_on)])
        eager = replace(job, hours=hours, start_us=min(start, horizon_us), end_us=horizon_us)
        waits = not unfinished.isdisjoint(job.depends_on)
        placed = [] if waits or hours <= 0 else merge_pieces(place(eager, ledger, None))
        pieces[job.id] = tuple(placed)
        in_time = [
            replace(p, end_us=min(p.end_us, job.true_end_us)) for p in placed if p.start_us < job.true_end_us
        ]
        left = max(0.0, hours - work_hours(job, placed))
        late_hours += max(0.0, hours - work_hours(job, in_time))
        unfinished_hours += left
        if left > 1e-6 * hours:
            unfinished.add(job.id)
    settled = settle(problem, [p for group in pieces.values() for p in group], idle_batteries(problem))
    return RunNow(pieces, settled, late_hours, unfinished_hours)


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
