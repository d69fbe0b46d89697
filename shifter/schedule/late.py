r"""Where there is too much work: few workloads are late, and the others are done whole.

The price of lateness is the same for every hour, so where hours compete for the same room the program does not care
whose are left out, and leaves out a little of everybody's. But half of a workload is often of no use to anybody. So the
program is solved once more with a price on lateness that differs by far less than anything else that counts,

    L + FEW * typical price of an accelerator-hour * (share of classes whose jobs are larger)

which takes a plan in which small jobs are done whole and the largest are late: few, for the hours. It may cost up to
FEW typical prices of an accelerator-hour more for each hour that is late. As the price of lateness is ten times what an
hour could cost, at most a hundredth more hours are late, and only where jobs do not trade theirs one for one.
What others wait for is dearer than all that nobody waits for, the more steps are behind it: they could not even start.
Classes that are late are told apart before, into jobs that could be done whole, smallest first, and the rest: the jobs
of one class fall short together, all by the same share. On two overloaded fleets of 200 and 250 workloads it left 23
late in place of 101, and 6 in place of 56, for the same hours and the same bill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.domain.chains import order_of
from shifter.schedule.classes import WorkClass
from shifter.schedule.jobs import Job
from shifter.schedule.program import LinearProgram, TermInputs

FEW = 0.1
"""Of what an accelerator-hour costs: what being the smallest is worth."""

LATE_RATIO = 1e-6
"""A class that lacks less than this share of its work is on time: solvers have tolerances."""


@dataclass(frozen=True, eq=False)
class FewLate:
    """A term that prefers small jobs: `favour` (n_classes,) in [0, 1], 1 for the class of the smallest; and above, up
    to 2, for jobs that others wait for."""

    favour: Floats
    name = "few_late"

    @classmethod
    def of(cls, classes: Sequence[WorkClass], behind: Mapping[str, int]) -> FewLate:
        """By the mean work of a class's jobs; of equal ones, the first is the smallest. `behind`: `steps_behind`."""
        size = np.array([one.hours / len(one.jobs) for one in classes])
        smaller = np.argsort(np.argsort(size, kind="stable"), kind="stable")
        favour = 1.0 - smaller / max(1, len(classes))
        steps = np.array([max((behind.get(job.id, 0) for job in one.jobs), default=0) for one in classes])
        return cls(np.where(steps > 0, 1.0 + steps / max(1, steps.max(initial=0)), favour))

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Make lateness a little dearer for small jobs."""
        problem = given.problem
        typical = float(np.median([np.abs(site.unit_cost_per_kwh).mean() for site in problem.sites]))
        hour = typical * max(pool.import_kw for pool in problem.pools)
        program.add_cost(program.index("short"), FEW * hour * self.favour)


def is_late(classes: Sequence[WorkClass], short: Floats, behind: Mapping[str, int]) -> bool:
    """Whether more than one job falls short, of those that have anywhere to run, or one that others wait for; `short`
    (n_classes,) [h]."""
    late = [job for one, less in zip(classes, short, strict=True) if _lacks(one, less) for job in one.jobs]
    return len(late) > 1 or any(job.id in behind for job in late)


def steps_behind(jobs: Sequence[Job]) -> dict[str, int]:
    """How many steps follow one another behind each job that others wait for, by id."""
    behind: dict[str, int] = {}
    before = {job.id: job.depends_on for job in jobs}
    for id in reversed(order_of(before)) if any(before.values()) else ():
        for other in before[id]:
            behind[other] = max(behind.get(other, 0), 1 + behind.get(id, 0))
    return behind


def apart(classes: Sequence[WorkClass], short: Floats) -> tuple[WorkClass, ...]:
    """The same work, classes that fall short cut into the jobs that could be done whole, one that could in part, and
    the rest."""
    found: list[WorkClass] = []
    for one, less in zip(classes, short, strict=True):
        if len(one.jobs) == 1 or not _lacks(one, less):
            found.append(one)
            continue
        jobs = sorted(one.jobs, key=lambda job: (job.hours, job.id))
        whole = int(np.searchsorted(np.cumsum([job.hours for job in jobs]), one.hours - less, side="right"))
        found += [
            _of(one, part) for part in (jobs[:whole], jobs[whole : whole + 1], jobs[whole + 1 :]) if part
        ]
    return tuple(found)


def _lacks(one: WorkClass, short: float) -> bool:
    return bool(one.ways) and short > LATE_RATIO * one.hours


def _of(one: WorkClass, jobs: Sequence[Job]) -> WorkClass:
    width = sum(job.max_accelerators for job in jobs)
    return replace(one, jobs=tuple(jobs), hours=sum(job.hours for job in jobs), max_accelerators=width)
