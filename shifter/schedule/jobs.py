"""Work as the schedule sees it: jobs, the ways to do each, and what is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.tenants import NOBODY

Ints = NDArray[np.int64]

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Way:
    """One way to do a job's work: in which pool, how fast, at what power, in what shape.

    A job may have several in one pool; they share the pool's accelerators and the job's `max_accelerators`.
    """

    pool: int
    speed: float
    """Rate against the job's fastest way, in (0, 1]."""
    import_kw: float
    """What one busy accelerator adds to the site's import [kW]."""
    replica: int = 1
    """It runs on multiples of this many accelerators."""
    load_us: int = 0
    """From allocated to serving: the first part of each piece, which draws power and does no work."""
    model: str | None = None
    """What it runs, of work that may be done by several models."""
    cap_kw: float | None = None
    """What one accelerator is capped to [kW]; None where it is not."""


@dataclass(frozen=True)
class Running:
    """What a job runs in at the moment of planning, of work that must be loaded first: it has been, or partly."""

    way: int
    start_us: int
    """The moment of planning: a piece that begins there goes on with it."""
    accelerators: int
    load_us: int
    """What is left of loading it."""


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """What the schedule sees of a deferrable workload.

    `hours` is the work left in accelerator-hours of the fastest of the `ways` to do it. `[start_us, end_us)` is the
    window to plan in; `true_start_us` and `true_end_us` are the one that was asked for, to the horizon's end where it
    has no deadline of its own, which the lower bound is computed with. Jobs with equal ways share one tuple, so that
    many jobs are cheap to make and to tell apart.
    """

    id: str
    hours: float
    ways: tuple[Way, ...]
    start_us: int
    end_us: int
    true_start_us: int
    true_end_us: int
    max_accelerators: int
    firm: bool
    contiguous: bool = False
    depends_on: tuple[str, ...] = ()
    open_ended: bool = False
    """Its deadline lies beyond the horizon: what does not fit is planned later, and is not late."""
    due_us: int = 0
    """By when it must be done, so that what waits for it can be done too."""
    span_us: tuple[int, int] | None = None
    """Of a step of a chain: all the time that the others may leave it. Its window is its part of that, and may be cut
    anew with theirs (`parts`). None of other work, and of steps that keep their part."""
    tenant: int = NOBODY
    """Whose work it is, where that matters: an index of the problem's tenants."""
    running: tuple[Running, ...] = ()
    """At most one for each of the ways."""

    @property
    def plain(self) -> bool:
        """Whether it may run on any number of accelerators, be stopped and resumed at no loss."""
        return not (self.contiguous or self.has_shaped_ways)

    @property
    def has_shaped_ways(self) -> bool:
        """Whether there is a way in which it must be loaded first, or runs in replicas of several accelerators."""
        return any(way.load_us or way.replica > 1 for way in self.ways)

    @property
    def as_asked(self) -> tuple[Way, ...]:
        """The first of its ways: those by the model that was asked for, at full power."""
        named = [(way.model, way.cap_kw) for way in self.ways]
        same = sum(name == named[0] for name in named)
        return self.ways if same == len(named) else self.ways[:same]

    @property
    def loads(self) -> bool:
        """Whether there is a way in which it must be loaded first."""
        return any(way.load_us for way in self.ways)

    @property
    def least_us(self) -> float:
        """No plan does all of it in less time than this."""
        loads = [way.load_us for way in self.ways] + [one.load_us for one in self.running]
        return min(loads, default=0) + self.hours / self.max_accelerators * HOUR_US


@dataclass(frozen=True, eq=False)
class Pinned:
    """What a running workload that may not be interrupted holds, whatever is planned beside it.

    From `now` on, clipped to the horizon. Its power is part of the sites' `median_kw` and `quantile_kw`.
    """

    id: str
    way: Way
    start_us: int
    end_us: int
    accelerators: int
    firm: bool
    tenant: int = NOBODY

    @property
    def pool(self) -> int:
        """The pool that it runs in."""
        return self.way.pool


@dataclass(frozen=True, eq=False)
class WayColumns:
    """Ways of many jobs; those of job j begin at `first[j]`. `firm` is by job."""

    first: Ints
    pool: Ints
    speed: Floats
    import_kw: Floats
    load_us: Ints
    firm: NDArray[np.bool_]

    @classmethod
    def of(cls, groups: Sequence[tuple[Way, ...]], firm: NDArray[np.bool_]) -> WayColumns:
        """Equal groups are kept once."""
        known: dict[int, int] = {}
        ways: list[Way] = []
        first = np.empty(len(groups), dtype=np.int64)
        for j, group in enumerate(groups):
            at = known.get(id(group))
            if at is None:
                at = known[id(group)] = len(ways)
                ways += group
            first[j] = at
        pool, load_us = (np.array([getattr(w, f) for w in ways], dtype=np.int64) for f in ("pool", "load_us"))
        speed, import_kw = (
            np.array([getattr(w, f) for w in ways], dtype=float) for f in ("speed", "import_kw")
        )
        return cls(first, pool, speed, import_kw, load_us, firm)
