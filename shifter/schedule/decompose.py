"""Fractions of accelerators in one cell, decomposed exactly into whole-numbered choices, one after the other in time.

The limits of jobs (over their ways) and of pools (over jobs, and over those that may not be preempted) are two laminar
families, so the polytope of what may run has whole vertices, and any fractional point inside is a mix of them: a
preemptive open shop can always be scheduled (Gonzalez and Sahni 1976; Birkhoff 1946 for the square case).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shifter.schedule.jobs import Ints, Job
from shifter.schedule.program import Capacity

Mask = NDArray[np.bool_]
Interval = tuple[int, int]
CRUMB_US = 50
"""Less than this is rounding [us]: it is never worth a slice of its own."""


@dataclass(frozen=True)
class Need:
    """What a job uses in one of its ways in one cell: whole accelerators, and `rest_us` of one more."""

    job: Job
    way: int
    whole: int
    rest_us: int

    @property
    def pool(self) -> int:
        """Whose accelerators they are."""
        return self.job.ways[self.way].pool


Laid = tuple[Need, int, int]
"""(what for, from, to) of one accelerator, in microseconds from the cell's start."""


def spare_accelerators(needs: Sequence[Need]) -> dict[str, int]:
    """How many fractions each job may run at once, beside its whole accelerators."""
    spare = {n.job.id: n.job.max_accelerators for n in needs}
    for need in needs:
        spare[need.job.id] -= need.whole
    return spare


def decompose(needs: Sequence[Need], capacity: Capacity, cell: int, length: int) -> Iterator[Laid]:
    """Time slices, each a whole-numbered choice of fractions that keeps every limit.

    At each step, limits whose remaining fractions fill all the time left must be met exactly (they are tight); a vertex
    that meets them runs until another limit becomes tight or a fraction is used up.
    """
    rests = [n for n in needs if n.rest_us]
    left = np.array([n.rest_us for n in rests], dtype=np.int64)
    groups = _limit_groups(rests, needs, capacity, cell)
    now = 0
    while now < length and (left > CRUMB_US).any():
        remaining = length - now
        chosen = _whole_choice(left, groups, remaining)
        if not chosen.any():
            return
        step = int(left[chosen].min())
        for members, limit in groups:
            slack = limit * remaining - int(left[members].sum())
            unused = limit - int(chosen[members].sum())
            if unused > 0 and slack > CRUMB_US:
                step = min(step, slack // unused)
        waiting = remaining - left[~chosen & (left > CRUMB_US)]
        step = min(max(min(step, int(waiting.min(initial=step))), CRUMB_US), remaining)
        for i in np.flatnonzero(chosen):
            yield rests[i], now, now + min(step, int(left[i]))
        left[chosen] = np.maximum(0, left[chosen] - step)
        now += step


def _limit_groups(
    rests: Sequence[Need], needs: Sequence[Need], capacity: Capacity, cell: int
) -> list[tuple[Mask, int]]:
    """Each limit as (which fractions it bounds, how many of them may run at once)."""
    groups: list[tuple[Mask, int]] = []
    for job, spare in spare_accelerators(needs).items():
        groups.append((np.array([n.job.id == job for n in rests]), spare))
    for pool in sorted({n.pool for n in rests}):
        inside = [n for n in needs if n.pool == pool]
        anything = int(capacity.any[pool, cell]) - sum(n.whole for n in inside)
        firm = int(capacity.firm[pool, cell]) - sum(n.whole for n in inside if n.job.firm)
        groups.append((np.array([n.pool == pool for n in rests]), anything))
        groups.append((np.array([n.pool == pool and n.job.firm for n in rests]), firm))
    return [(members, limit) for members, limit in groups if members.any()]


def _whole_choice(left: Ints, groups: Sequence[tuple[Mask, int]], remaining: int) -> Mask:
    """Fractions to run now: as many as possible, with every tight limit met exactly."""
    from scipy.optimize import linprog

    rows = np.array([members.astype(float) for members, _ in groups])
    most = np.array([limit for _, limit in groups], dtype=float)
    # A limit is tight when its fractions fill the time left; so is a single fraction that does.
    tight = [int(left[members].sum()) >= limit * remaining - CRUMB_US for members, limit in groups]
    live = (left > CRUMB_US).astype(float)
    must = np.where(left >= remaining - CRUMB_US, live, 0.0)
    weight = -(1.0 + left / max(1, int(left.max())))
    result = linprog(
        weight,
        A_ub=rows,
        b_ub=most,
        A_eq=rows[tight] if any(tight) else None,
        b_eq=most[tight] if any(tight) else None,
        bounds=list(zip(must, live, strict=True)),
        method="highs-ds",
    )
    if result.status != 0:  # rounding made a limit look tight that is not: keep the limits, and lose a crumb
        result = linprog(
            weight, A_ub=rows, b_ub=most, bounds=[(0.0, high) for high in live], method="highs-ds"
        )
    return np.asarray(result.x) > 0.5
