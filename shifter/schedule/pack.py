"""Whole accelerators: from mean accelerators in a cell to pieces that can be run as they stand.

In a cell of length L, a job that uses u accelerators of a pool on average holds `floor(u)` for all of it and one more
for the fraction left. The fractions are laid end to end on the pool's remaining accelerators and wrapped at the cell's
end (McNaughton 1959): a fraction below 1 that wraps never meets itself. Work that may not be preempted is laid first,
on as many accelerators as there are outside the redundancy margin.

A job may be done in several ways at once, and then its fractions could meet and exceed `max_accelerators`. They are
laid first, each in the time that the job's other ways leave it. Should that not come out, the cell's fractions are
decomposed exactly into whole-numbered choices (`shifter.schedule.decompose`), which is always possible and slower.

Everything here is in whole microseconds: sums are exact and the result is the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shifter.schedule.classes import WorkClass
from shifter.schedule.decompose import Interval, Laid, Need, decompose, spare_accelerators
from shifter.schedule.jobs import HOUR_US
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.solve import Solution

SNAP = 1e-6
"""Accelerators this near to a whole number are that number: below a millionth is the solver's noise."""


class Piece(NamedTuple):
    """`accelerators` of `pool` for a job over `[start_us, end_us)`, used in its way of that index."""

    job: str
    pool: int
    way: int
    start_us: int
    end_us: int
    accelerators: int

    @property
    def hours(self) -> float:
        """Accelerator-hours that it holds, loading included."""
        return self.accelerators * (self.end_us - self.start_us) / HOUR_US


def pack(
    problem: ScheduleProblem, classes: Sequence[WorkClass], solution: Solution, capacity: Capacity
) -> list[Piece]:
    """Pieces that do the work of the solution, within `capacity` and each job's limit at every instant."""
    by_cell: defaultdict[int, list[Need]] = defaultdict(list)
    for one, (first, usage) in zip(classes, solution.usage, strict=True):
        for i in range(len(one.ways)):
            for c in np.flatnonzero(usage[i] > SNAP):
                cell = first + int(c)
                length = int(problem.cell_us[cell])
                for job in one.jobs:
                    whole, rest = divmod(_microseconds(usage[i, c] * one.share(job), length), length)
                    if whole or rest:
                        by_cell[cell].append(Need(job, i, whole, rest))
    pieces: list[Piece] = []
    for cell in sorted(by_cell):
        start, length = int(problem.edges_us[cell]), int(problem.cell_us[cell])
        needs = _within_limits(by_cell[cell], capacity, cell, length)
        pieces += [Piece(n.job.id, n.pool, n.way, start, start + length, n.whole) for n in needs if n.whole]
        laid = _lay(needs, capacity, cell, length)
        if laid is None:
            laid = list(decompose(needs, capacity, cell, length))
        pieces += [Piece(n.job.id, n.pool, n.way, start + a, start + b, 1) for n, a, b in laid]
    return merge_pieces(pieces)


def _microseconds(accelerators: float, length: int) -> int:
    """Accelerator-microseconds of a mean over a cell, whole accelerators where the solver meant them."""
    nearest = round(accelerators)
    return nearest * length if abs(accelerators - nearest) < SNAP else round(accelerators * length)


def _within_limits(needs: list[Need], capacity: Capacity, cell: int, length: int) -> list[Need]:
    """Take off the microseconds by which rounding exceeds a pool or a job: always less than its work's tolerance."""
    total: defaultdict[tuple[str, object], int] = defaultdict(int)
    kept = []
    for need in sorted(needs, key=lambda n: (not n.job.firm, n.job.id, n.pool, n.way)):
        limits: list[tuple[tuple[str, object], int]] = [
            (("job", need.job.id), need.job.max_accelerators * length),
            (("any", need.pool), int(capacity.any[need.pool, cell]) * length),
        ]
        if need.job.firm:
            limits.append((("firm", need.pool), int(capacity.firm[need.pool, cell]) * length))
        amount = min([need.whole * length + need.rest_us, *(limit - total[key] for key, limit in limits)])
        if amount > 0:
            for key, _ in limits:
                total[key] += amount
            kept.append(Need(need.job, need.way, *divmod(amount, length)))
    return kept


def _lay(needs: Sequence[Need], capacity: Capacity, cell: int, length: int) -> list[Laid] | None:
    """Every fraction on an accelerator of its pool, or None where this order of laying leaves no room for one."""
    spare = spare_accelerators(needs)
    parts: defaultdict[str, int] = defaultdict(int)
    for need in needs:
        parts[need.job.id] += bool(need.rest_us)
    taken: defaultdict[str, list[Interval]] = defaultdict(list)
    laid: list[Laid] = []
    for pool in sorted({n.pool for n in needs}):
        inside = [n for n in needs if n.pool == pool]
        free = int(capacity.any[pool, cell]) - sum(n.whole for n in inside)
        firm = int(capacity.firm[pool, cell]) - sum(n.whole for n in inside if n.job.firm)
        fractions = sum(1 for n in inside if n.rest_us)  # each opens at most one more accelerator
        machines: list[list[Interval]] = [[(0, length)] for _ in range(min(free, fractions))]
        order = sorted(
            inside, key=lambda n: (not n.job.firm, parts[n.job.id] < 2, -n.rest_us, n.job.id, n.way)
        )
        for need in order:
            left = need.rest_us
            for machine in machines[:firm] if need.job.firm else machines:
                if left == 0:
                    break
                if machine:
                    times = _take(machine, left, _at_limit(taken[need.job.id], spare[need.job.id]))
                    left -= sum(b - a for a, b in times)
                    taken[need.job.id] += times
                    laid += [(need, a, b) for a, b in times]
            if left:
                return None
    return laid


def _at_limit(taken: list[Interval], spare: int) -> list[Interval]:
    """When a job already runs as many fractions as it may."""
    if len(taken) < spare:
        return []
    changes = sorted([(a, 1) for a, _ in taken] + [(b, -1) for _, b in taken])
    level, since, blocked = 0, 0, []
    for moment, change in changes:
        if level >= spare and moment > since:
            blocked.append((since, moment))
        level += change
        since = moment
    return blocked


def _take(machine: list[Interval], amount: int, blocked: list[Interval]) -> list[Interval]:
    """Take up to `amount` of a machine's free time outside `blocked` (sorted), earliest first, off the machine."""
    taken: list[Interval] = []
    kept: list[Interval] = []
    for free in machine:
        start, end = free
        for a, b in [*blocked, (end, end)]:
            usable = min(max(a, start), end)
            use = min(amount, usable - start)
            if use > 0:
                taken.append((start, start + use))
                amount -= use
                start += use
            if start < min(b, end):  # what is blocked here, or no longer needed, stays free
                stop = min(max(b, start), end) if amount else end
                kept.append((start, stop))
                start = stop
    machine[:] = kept
    return taken


def merge_pieces(pieces: Iterable[Piece]) -> list[Piece]:
    """The same accelerators at every instant in fewer, longer pieces.

    Per job and way the level over time is cut into layers: a rise opens one, a fall closes the one opened last. Layers
    that open and close together are one piece.
    """
    changes: defaultdict[tuple[str, int, int], defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for piece in pieces:
        level = changes[(piece.job, piece.pool, piece.way)]
        level[piece.start_us] += piece.accelerators
        level[piece.end_us] -= piece.accelerators
    merged: list[Piece] = []
    for (job, pool, way), level in changes.items():
        open_layers: list[tuple[int, int]] = []
        for moment in sorted(level):
            change = level[moment]
            if change > 0:
                open_layers.append((moment, change))
            while change < 0:
                start, count = open_layers.pop()
                closed = min(count, -change)
                merged.append(Piece(job, pool, way, start, moment, closed))
                change += closed
                if count > closed:
                    open_layers.append((start, count - closed))
    return sorted(merged)
