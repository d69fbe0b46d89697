"""Work under way: what is done of it, and in what it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shifter.backtest.case import HOUR_US, MICROSECOND, Case, Task
from shifter.domain.fleet import Fleet
from shifter.domain.options import Option, options_of
from shifter.domain.workload import Workload, work_left

Serving = tuple[str, str, str]
"""Site, pool, and the model that is named where the workload has alternatives."""


def serving(option: Option) -> Serving:
    """In what one runs that uses this option, whatever its cap."""
    return (*option.key, option.model or "")


@dataclass(frozen=True)
class Request:
    """That a job is to run in `[start_us, end_us)` in one of these options, each with its most accelerators.

    Which of several it is, is decided as it runs: the one that does most there. A policy that wants one gives one.
    """

    job: str
    options: tuple[tuple[Option, int], ...]
    start_us: int
    end_us: int


@dataclass(eq=False)
class Job:
    """A workload, and how far it is. Times are microseconds since the case's start."""

    task: Task
    submitted_us: int
    earliest_us: int
    deadline_us: int
    done: float = 0.0
    """In the workload's unit."""
    begun_us: int | None = None
    finished_us: int | None = None
    option: Option | None = None
    """What it runs in, where it may not be interrupted and has begun."""
    width: int = 0
    """And how many accelerators."""
    lanes: dict[Serving, list[tuple[int, int]]] = field(default_factory=dict)
    """By what it runs in: since when, how many accelerators; the last that came is the first to go."""

    @classmethod
    def of(cls, task: Task, case: Case) -> Job:
        """Nothing is done yet."""
        times = (case.us(t) for t in (task.submitted_at, task.earliest_start, task.deadline))
        submitted_us, earliest_us, deadline_us = times
        return cls(task, submitted_us, max(earliest_us, submitted_us), deadline_us)

    @property
    def workload(self) -> Workload:
        """The workload."""
        return self.task.workload

    @property
    def left(self) -> float:
        """What is left to do, in the workload's unit."""
        return work_left(self.workload.amount, self.done)

    @property
    def is_done(self) -> bool:
        """Whether all of it is done."""
        return self.finished_us is not None

    def is_open(self, at_us: int, by_id: Mapping[str, Job]) -> bool:
        """Whether it may run: inside its window, not done, and all that it waits for is done."""
        return (
            self.earliest_us <= at_us < self.deadline_us
            and not self.is_done
            and all(by_id[d].is_done for d in self.workload.depends_on if d in by_id)
        )

    def set_width(self, option: Option, accelerators: int, at_us: int) -> None:
        """From `at_us` on it has so many accelerators: those that come load, those that stay go on."""
        lane = self.lanes.setdefault(serving(option), [])
        more = accelerators - sum(n for _, n in lane)
        if more > 0:
            lane.append((at_us, more))
        while more < 0:
            since_us, n = lane.pop()
            if n + more > 0:
                lane.append((since_us, n + more))
            more += n

    def loaded(self, option: Option, at_us: int) -> tuple[int, int | None]:
        """How many of its accelerators work at a moment, and when the next one of them will; None for never."""
        load_us = option.load // MICROSECOND
        lane = self.lanes[serving(option)]
        later = [since_us + load_us for since_us, _ in lane if since_us + load_us > at_us]
        return sum(n for since_us, n in lane if since_us + load_us <= at_us), min(later, default=None)

    def run_us(self, option: Option, accelerators: int) -> int:
        """How long the rest takes, begun anew."""
        return option.load // MICROSECOND + hours_us(self.left / (option.rate * accelerators))


def hours_us(hours: float) -> int:
    """Hours in microseconds, rounded up."""
    return -int(-hours * HOUR_US // 1)


def plain_options(workload: Workload, fleet: Fleet) -> list[tuple[Option, int]]:
    """What somebody without a plan runs it in: as asked for, at full power, as wide as may be; the fastest first."""
    found = []
    for option in options_of(workload, fleet):
        if option.cap_kw is None and option.model in (None, workload.model):
            width = min(workload.max_accelerators, fleet.pools[option.key][1].count)
            if width := width // option.replica * option.replica:
                found.append((option, width))
    return sorted(found, key=lambda one: (-one[0].rate * one[1], one[0].load))


def full_hours(workload: Workload, fleet: Fleet) -> float:
    """All of its work, in accelerator-hours of its fastest option; 0 where nothing may run it."""
    rates = [option.rate for option, _ in plain_options(workload, fleet)]
    return workload.amount / max(rates) if rates else 0.0
