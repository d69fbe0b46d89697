"""What jobs answer to prices: each takes its cheapest accelerator-hours, which is a sort, for thousands at a time.

In each cell a job may idle or run in one of its ways; what pays is the lower convex hull of (work done, cost) over
them. Over cells, the hulls' segments are taken in order of price per work until the work is done. Jobs with the same
ways see the same segments and differ only in their windows and in how much they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.jobs import Ints, Way

BLOCK = 256
"""Segments looked at in one go: most jobs are done within the first ones."""

ROWS, FEW_ROWS = 4_000, 500
"""Jobs looked at in one go, so that memory stays small; or that what is looked at stays near the processor."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of the hulls of all cells in order of price per work, (n_segments,) each.

    One accelerator that takes a segment for all of its cell does `hours` more work, at `cost`, and from then on runs in
    `way` there.
    """

    hours: Floats
    cost: Floats
    cell: Ints
    way: Ints

    def where(self, chosen: NDArray[np.bool_]) -> Segments:
        """Some of them."""
        return Segments(self.hours[chosen], self.cost[chosen], self.cell[chosen], self.way[chosen])


def segments(ways: Sequence[Way], prices: Sequence[Floats], hours: Floats) -> Segments:
    """The segments of these ways, each at its price of one accelerator for all of a cell (n_cells,).

    Cells last `hours` (n_cells,). An infinite price closes a cell.
    """
    hulls = hull([(way.speed, price) for way, price in zip(ways, prices, strict=True)])
    cells = np.arange(len(hours))
    width = np.concatenate([w for w, _, _ in hulls])
    cost = np.concatenate([rise for _, rise, _ in hulls])
    way = np.concatenate([to for _, _, to in hulls])
    cell = np.tile(cells, len(hulls))
    keep = width > 0
    width, cost, way, cell = width[keep], cost[keep], way[keep], cell[keep]
    work = width * hours[cell]
    order = np.argsort(cost / work, kind="stable")
    return Segments(work[order], cost[order], cell[order], way[order])


def hull(options: Sequence[tuple[float, Floats]]) -> list[tuple[Floats, Floats, Ints]]:
    """Segments (width, rise, option reached) of the lower convex hull of (0, 0) and (speed, price) of each option.

    Prices are (n,), and so are the results. Gift wrapping, all n at once: from the current point, the next is the
    option of least slope among the faster ones. A segment of width 0 is none.
    """
    speeds, prices, which = _fastest_first(options)
    n = prices.shape[1]
    at_speed, at_price, at = np.zeros(n), np.zeros(n), np.arange(n)
    found = []
    for _ in speeds:
        width = speeds[:, None] - at_speed
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where((width > 0) & np.isfinite(prices), (prices - at_price) / width, np.inf)
        best = slope.argmin(axis=0)  # of equal slopes the first, which is the farthest
        live = np.isfinite(slope[best, at])
        new_speed = np.where(live, speeds[best], at_speed)
        new_price = np.where(live, prices[best, at], at_price)
        found.append((new_speed - at_speed, new_price - at_price, which[best, at]))
        at_speed, at_price = new_speed, new_price
    return found


def _fastest_first(options: Sequence[tuple[float, Floats]]) -> tuple[Floats, Floats, Ints]:
    """Distinct speeds, falling (n_speeds,); of each the least price, and whose it is, (n_speeds, n)."""
    speeds = np.array(sorted({speed for speed, _ in options}, reverse=True))
    least, which = [], []
    for speed in speeds:
        members = [i for i, (other, _) in enumerate(options) if other == speed]
        prices = np.array([options[i][1] for i in members])
        first = prices.argmin(axis=0)
        least.append(np.take_along_axis(prices, first[None], axis=0)[0])
        which.append(np.array(members)[first])
    return speeds, np.array(least), np.array(which)


@dataclass(frozen=True, eq=False)
class Uses:
    """What jobs use, one row a job and cell, (n,) each: `job` runs in `way` of its ways for `share` of the `cell`, on
    as many accelerators as it may use."""

    job: Ints
    way: Ints
    cell: Ints
    share: Floats

    def where(self, chosen: Ints | NDArray[np.bool_]) -> Uses:
        """Some of them."""
        return Uses(self.job[chosen], self.way[chosen], self.cell[chosen], self.share[chosen])

    @classmethod
    def together(cls, parts: Sequence[Uses]) -> Uses:
        """All rows of these, in order."""
        none = np.empty(0, dtype=np.int64)
        return cls(
            np.concatenate([none, *(p.job for p in parts)]),
            np.concatenate([none, *(p.way for p in parts)]),
            np.concatenate([none, *(p.cell for p in parts)]),
            np.concatenate([np.empty(0), *(p.share for p in parts)]),
        )


def cheapest(
    seen: Segments,
    speeds: Floats,
    cell_hours: Floats,
    hours_each: Floats,
    window: tuple[Ints, Ints],
    taken: NDArray[np.bool_] | None = None,
) -> Uses:
    """Each job's answer: where one of its accelerators does `hours_each` of work (n_jobs,) [h of its fastest way].

    `window` holds each job's first cell and the one past its last, (n_jobs,) each; `taken` (n_jobs, n_cells) closes
    further cells to single jobs. What does not fit is not in the answer. A job runs in one way in each cell: where it
    would change over inside one, it runs faster for less of it.
    """
    parts = [
        _rows(
            seen, hours_each[rows], (window[0][rows], window[1][rows]), None if taken is None else taken[rows]
        )
        for rows in slices(len(hours_each), ROWS)
    ]
    job = np.concatenate(
        [part[0] + at for part, at in zip(parts, range(0, len(hours_each), ROWS), strict=True)]
    )
    segment = np.concatenate([part[1] for part in parts])
    work = np.concatenate([part[2] for part in parts])
    place = job * len(cell_hours) + seen.cell[segment]
    order = np.lexsort((segment, place))
    place, segment, work = place[order], segment[order], work[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    if not len(first):
        return Uses.together(())
    last = np.append(first[1:], len(place)) - 1
    way = seen.way[segment[last]]
    cell = seen.cell[segment[last]]
    share = np.add.reduceat(work, first) / (speeds[way] * cell_hours[cell])
    return Uses(place[last] // len(cell_hours), way, cell, np.minimum(share, 1.0))


def slices(n: int, size: int) -> list[slice]:
    """`n` rows in parts of at most `size`; one that is empty where there are none."""
    return [slice(i, i + size) for i in range(0, n, size)] or [slice(0, 0)]


def _rows(
    seen: Segments, need: Floats, window: tuple[Ints, Ints], taken: NDArray[np.bool_] | None
) -> tuple[Ints, Ints, Floats]:
    """(job, segment, work) of what each job takes, in blocks of segments until all have enough."""
    left = need.copy()
    live = np.flatnonzero(left > 0)
    found: list[tuple[Ints, Ints, Floats]] = []
    for at in range(0, len(seen.hours), BLOCK):
        if not len(live):
            break
        block = slice(at, at + BLOCK)
        cell = seen.cell[block]
        inside = (cell >= window[0][live, None]) & (cell < window[1][live, None])
        if taken is not None:
            inside &= ~taken[live[:, None], cell]
        offered = np.where(inside, seen.hours[block], 0.0)
        before = np.cumsum(offered, axis=1)
        used = np.minimum(offered, left[live, None] - (before - offered))
        row, column = np.nonzero(used > 0)
        found.append((live[row], column + at, used[row, column]))
        left[live] -= before[:, -1]
        live = live[left[live] > 1e-12 * need[live]]
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    job, segment, work = (np.concatenate(column) for column in zip(*found, strict=True))
    return job, segment, work


def least_cost(seen: Segments, hours_each: Floats, start: Floats, end: Floats) -> Floats:
    """What `hours_each` of work (n_jobs,) with one accelerator costs at the least, in windows that may cut cells.

    `start`, `end` (n_jobs,) are in cells, which all have the same length here. Work beyond what the window holds costs
    nothing more.
    """
    parts = slices(len(hours_each), FEW_ROWS)
    costs = [_costs(seen, hours_each[rows], start[rows], end[rows]) for rows in parts]
    return np.concatenate(costs)


def offered_hours(seen: Segments, start: Floats, end: Floats) -> Floats:
    """All the work that one accelerator could do in these segments, in each window, (n_jobs,)."""
    return np.array(
        [
            float(
                (
                    np.clip(np.minimum(seen.cell + 1, b) - np.maximum(seen.cell, a), 0.0, 1.0) * seen.hours
                ).sum()
            )
            for a, b in zip(start, end, strict=True)
        ]
    )


def _costs(seen: Segments, need: Floats, start: Floats, end: Floats) -> Floats:
    left, total = need.copy(), np.zeros(len(need))
    live = np.flatnonzero(left > 0)
    for at in range(0, len(seen.hours), BLOCK):
        if not len(live):
            break
        block = slice(at, at + BLOCK)
        cell = seen.cell[block]
        share = np.minimum(cell + 1, end[live, None]) - np.maximum(cell, start[live, None])
        offered = np.clip(share, 0.0, 1.0) * seen.hours[block]
        before = np.cumsum(offered, axis=1)
        used = np.clip(left[live, None] - (before - offered), 0.0, offered)
        # Not `used @ ...`: threads would add that up in another order.
        total[live] += np.einsum("js,s->j", used, seen.cost[block] / seen.hours[block])
        left[live] -= before[:, -1]
        live = live[left[live] > 0]
    return total
