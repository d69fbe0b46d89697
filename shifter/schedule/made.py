"""What all ways to plan hand on: a schedule, what is known of prices, what is still to be placed beside what stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from forecasts.slots import Floats
from shifter.domain.rows import Held
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.bound import SlotPrices
from shifter.schedule.jobs import Job
from shifter.schedule.pack import Piece
from shifter.schedule.place import Prices, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import BatteryTrace, Sources
from shifter.schedule.standing import Own, is_done


@dataclass(frozen=True, eq=False)
class Schedule:
    """Pieces of whole accelerators, what the batteries do, and the prices that prove it.

    `status` is that of the plan (`Plan.status`); `warnings` says why it is not a better one that was tried. `prices`
    are those of the program that was solved, None where none was.
    """

    pieces: Sequence[Piece]
    batteries: Mapping[int, BatteryTrace]
    prices: SlotPrices | None
    status: str
    warnings: tuple[str, ...] = ()
    weights: Floats | None = None
    """Of the paths that prices may take, (n_paths,): with `prices` they prove the plan. None: as likely as they are."""
    sources: Sources | None = None
    held: Held | None = None
    """The plan whose prices these are, where what it announced stands."""
    further_prices: tuple[SlotPrices, ...] = ()
    """Other prices that may prove more."""


@dataclass(eq=False)
class Known:
    """What the last program that was solved says: of what cells cost, and of what proves a plan. None before."""

    at: Prices | None = None
    proof: SlotPrices | None = None
    weights: Floats | None = None

    def learn(self, at: Prices, proof: SlotPrices, weights: Floats | None) -> None:
        """For whoever comes next, also after a failure."""
        self.at, self.proof, self.weights = at, proof, weights


def still_to_place(problem: ScheduleProblem, announced: AnnouncedWork | None, stays: Own) -> list[Job]:
    """What is still to be placed beside what stays. Announced work that moves does so behind the frozen window."""
    if announced is None:
        return list(problem.jobs)
    rest = []
    for job in problem.jobs:
        own = stays.get(job.id)
        if own is None:
            later = _behind(announced, job)
            rest.append(later if later.least_us <= later.end_us - later.start_us else job)
        elif not (is_done(job, own) or job.contiguous):
            rest.append(replace(_behind(announced, job, own), hours=job.hours - work_hours(job, own)))
    return rest


def _behind(announced: AnnouncedWork, job: Job, own: Sequence[Piece] = ()) -> Job:
    """The job behind the frozen window and what stays of it, where it was announced."""
    if job.id not in announced.own:
        return job
    after_us = max([job.start_us, announced.frozen_us, *(piece.end_us for piece in own)])
    return replace(job, start_us=min(after_us, job.end_us))
