"""What lets go of its announced slots where work would be late for them: few jobs, and never what is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shifter.schedule.jobs import HOUR_US, Job
from shifter.schedule.pack import Piece
from shifter.schedule.place import DONE_RATIO, done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.standing import Own

FREED_RATIO = 2.0
"""So many times the hours that fall short are let go of first: not all of them are where they help."""


def short_hours(problem: ScheduleProblem, pieces: Iterable[Piece]) -> dict[str, float]:
    """Work that pieces do not do, of jobs that lack some [accelerator-hours of the fastest way]."""
    done = done_hours(problem, pieces)
    lacking = {job.id: job.hours * (1 - DONE_RATIO) - done[job.id] for job in problem.jobs}
    return {id: hours for id, hours in lacking.items() if hours > 0}


def released(problem: ScheduleProblem, stays: Own, frozen: Own, short: Mapping[str, float]) -> Iterator[Own]:
    """What stays, less and less of it: without a few that stand where work that is `short` could run, without all of
    these, and then what is frozen alone."""
    jobs = {job.id: job for job in problem.jobs}
    late = [jobs[id] for id in short]
    crowding = {id: hours for id, own in stays.items() if (hours := _in_the_way(own, late)) > 0}
    # Those with the most time to be elsewhere first.
    order = sorted(crowding, key=lambda id: (jobs[id].start_us - jobs[id].end_us, id))
    wanted, few = FREED_RATIO * sum(short.values()), set[str]()
    for id in order:
        if wanted <= 0:
            break
        few.add(id)
        wanted -= crowding[id]
    last = stays
    for gone in (few, set(order), set(stays)):
        kept = {id: frozen.get(id, []) if id in gone else own for id, own in stays.items()}
        kept = {id: own for id, own in kept.items() if own}
        if kept != last:
            yield kept
        last = kept


def _in_the_way(own: list[Piece], late: list[Job]) -> float:
    """Accelerator-hours that pieces hold where any of these jobs could run."""
    held = 0.0
    for piece in own:
        spans = [
            (max(piece.start_us, job.true_start_us), min(piece.end_us, job.due_us))
            for job in late
            if any(way.pool == piece.pool for way in job.ways)
        ]
        held += piece.accelerators * max((end - start for start, end in spans), default=0) / HOUR_US
    return max(0.0, held)
