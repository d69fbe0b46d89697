"""When the steps of a chain run, and what that leaves to one that is tried again: the time between its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shifter.schedule.columns import Columns
from shifter.schedule.jobs import Job
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem


@dataclass(frozen=True, eq=False)
class Order:
    """The steps of chains, and when each runs, by id."""

    after: Mapping[str, Sequence[str]]
    """What waits for each."""
    runs_us: dict[str, tuple[int, int]]
    """Its first moment and its last; none where nothing of it is planned."""

    @classmethod
    def of(cls, problem: ScheduleProblem, pieces: Iterable[Piece]) -> Order:
        """As these pieces are."""
        after: defaultdict[str, list[str]] = defaultdict(list)
        for job in problem.jobs:
            for before in job.depends_on:
                after[before].append(job.id)
        if not after:
            return cls({}, {})
        start, end = (column.tolist() for column in Columns.of(problem, pieces).span_us(len(problem.ids)))
        chained = {
            id for before, others in after.items() for id in (before, *others)
        } & problem.positions.keys()
        rows = {id: problem.positions[id] for id in chained}
        return cls(after, {id: (start[i], end[i]) for id, i in rows.items() if end[i] >= 0})

    def move(self, id: str, pieces: Sequence[Piece]) -> None:
        """A step runs as these pieces say."""
        if pieces and (id in self.after or id in self.runs_us):
            self.runs_us[id] = min(p.start_us for p in pieces), max(p.end_us for p in pieces)

    def freed_us(self, job: Job) -> int:
        """When all that a job waits for has ended, as far as it is planned."""
        ends = (self.runs_us[i][1] for i in job.depends_on if i in self.runs_us)
        return max(ends, default=job.true_start_us)

    def between(self, job: Job) -> Job:
        """The job in all the time that was asked for; a step, in what its neighbours leave of it.

        One that may not leave its part keeps it.
        """
        if (job.depends_on or job.id in self.after) and job.span_us is None:
            return job
        start_us = max(job.true_start_us, self.freed_us(job))
        end_us = min(
            [job.due_us, *(self.runs_us[i][0] for i in self.after.get(job.id, ()) if i in self.runs_us)]
        )
        return replace(job, start_us=start_us, end_us=max(start_us, end_us))
