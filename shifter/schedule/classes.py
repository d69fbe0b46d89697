"""Work that the solver need not tell apart: one class of jobs with the same window, ways, ratio and preemptibility.

Jobs whose work divided by `max_accelerators` is equal, and which may be done in the same ways in the same window, have
the same feasible set up to scale. A class's accelerators split back in proportion to each job's `max_accelerators`
therefore do each job's work exactly and keep each job's limit: the sum of scaled copies of one convex set is that set
scaled by the sum. Nothing is lost by merging.

Ratios count as equal where they are so to a part in 10^12: what is less is how they were computed. A class's work is
split as exactly as that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.jobs import Job, Way
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.tenants import NOBODY

T = TypeVar("T")

RATIO_BITS = 41
"""Of a ratio's mantissa: what is rounded to the same differs by less than a part in 10^12."""


@dataclass(frozen=True, eq=False)
class WorkClass:
    """Jobs merged into one, and each one's share of it (the shares sum to 1)."""

    jobs: tuple[Job, ...]
    hours: float
    max_accelerators: float
    start_us: int
    end_us: int
    ways: tuple[Way, ...]
    firm: bool
    open_ended: bool
    tenant: int = NOBODY

    def share(self, job: Job) -> float:
        """The job's part of the class's accelerators."""
        return job.max_accelerators / self.max_accelerators


def by_ways(jobs: Sequence[Job], of: Callable[[Job], T]) -> list[T]:
    """`of` each job, where that hangs on nothing but its ways: jobs that share one tuple of them are asked once."""
    seen: dict[int, T] = {}
    found = []
    for job in jobs:
        key = id(job.ways)
        if key not in seen:
            seen[key] = of(job)
        found.append(seen[key])
    return found


def option_sets(jobs: Sequence[Job]) -> list[int]:
    """A number for each job's ways: equal for equal ways."""
    numbers: dict[tuple[Way, ...], int] = {}
    return by_ways(jobs, lambda job: numbers.setdefault(job.ways, len(numbers)))


def work_ratios(jobs: Sequence[Job]) -> Floats:
    """Work by `max_accelerators`, (n_jobs,) [h], to a part in 10^12 of it."""
    hours, most = (
        np.array([getattr(job, f) for job in jobs], dtype=float) for f in ("hours", "max_accelerators")
    )
    mantissa, exponent = np.frexp(hours / most)
    rounded: Floats = np.ldexp(np.round(np.ldexp(mantissa, RATIO_BITS)), exponent - RATIO_BITS)
    return rounded


def plain_and_shaped(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Jobs that are `plain`, and those that are not, each in the order given."""
    plain: list[Job] = []
    shaped: list[Job] = []
    for job, has_shape in zip(jobs, by_ways(jobs, lambda job: job.has_shaped_ways), strict=True):
        (shaped if job.contiguous or has_shape else plain).append(job)
    return plain, shaped


def merge(jobs: Sequence[Job]) -> tuple[WorkClass, ...]:
    """The classes of these jobs, in the order in which each first appears."""
    groups: defaultdict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job, options, ratio in zip(jobs, option_sets(jobs), work_ratios(jobs).tolist(), strict=True):
        groups[(job.start_us, job.end_us, options, ratio, job.firm, job.open_ended, job.tenant)].append(job)
    return tuple(
        WorkClass(
            tuple(group),
            sum(job.hours for job in group),
            sum(job.max_accelerators for job in group),
            group[0].start_us,
            group[0].end_us,
            group[0].ways,
            group[0].firm,
            group[0].open_ended,
            group[0].tenant,
        )
        for group in groups.values()
    )


def n_columns(problem: ScheduleProblem) -> int:
    """Variables of the exact program: one for each class of jobs, way and cell."""
    jobs = problem.jobs
    if not jobs:
        return 0
    start, end = (np.array([getattr(job, f) for job in jobs], dtype=np.int64) for f in ("start_us", "end_us"))
    ratio = work_ratios(jobs)
    kind = np.array(option_sets(jobs)) * 4 + np.array([2 * job.firm + job.open_ended for job in jobs])
    kind = kind * (len(problem.tenants) + 1) + np.array([job.tenant + 1 for job in jobs])
    order = np.lexsort((ratio, kind, end, start))
    differs = np.zeros(len(jobs), dtype=bool)
    differs[0] = True
    for trait in (start, end, kind, ratio):
        differs[1:] |= np.diff(trait[order]) != 0
    one = order[differs]
    edges = problem.edges_us
    cells = np.searchsorted(edges, end[one], side="right") - 1 - np.searchsorted(edges, start[one])
    ways = np.array([len(jobs[i].ways) for i in one])
    return int((np.maximum(0, cells) * ways).sum())
