"""What jobs answer to prices: each takes its cheapest accelerator-hours, which is a sort, for thousands at a time.

In each cell a job may idle or run in one of its ways; what pays is the lower convex hull of (work done, cost) over
them. Over cells, the hulls' segments are taken in order of price per work until the work is done. Jobs with the same
ways see the same segments and differ only in their windows and in how much they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.problem import Ints, Way

BLOCK = 256
"""Segments looked at in one go: most jobs are done within the first ones."""

ROWS = 4_000
"""Jobs looked at in one go, so that memory stays small."""


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

    Prices are (n,), and so are the results. Gift wrapping, all n at once: from the current point, the next is the option
    of least slope among the faster ones; of equal slopes, the farthest. A segment of width 0 is none.
    """
    speeds = np.array([speed for speed, _ in options])
    prices = np.array([price for _, price in options])
    n = prices.shape[1]
    at_speed, at_price = np.zeros(n), np.zeros(n)
    found = []
    for _ in options:
        width = speeds[:, None] - at_speed
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where((width > 0) & np.isfinite(prices), (prices - at_price) / width, np.inf)
        least = slope.min(axis=0)
        farthest = np.where(slope <= least + 1e-15 * np.abs(least), width, -np.inf)
        best = farthest.argmax(axis=0)
        live = np.isfinite(least)
        new_speed = np.where(live, speeds[best], at_speed)
        new_price = np.where(live, prices[best, np.arange(n)], at_price)
        found.append((new_speed - at_speed, new_price - at_price, best))
        at_speed, at_price = new_speed, new_price
    return found


@dataclass(frozen=True, eq=False)
class Uses:
    """What jobs use, one row a job and cell, (n,) each: `job` runs in `way` of its ways for `share` of the `cell`, on
    as many accelerators as it may use."""

    job: Ints
    way: Ints
    cell: Ints
    share: Floats


def cheapest(
    seen: Segments,
    speeds: Floats,
    cell_hours: Floats,
    hours_each: Floats,
    window: tuple[Ints, Ints],
    taken: np.ndarray | None = None,
) -> Uses:
    """Each job's answer: where one of its accelerators does `hours_each` of work (n_jobs,) [h of its fastest way].

    `window` holds each job's first cell and the one past its last, (n_jobs,) each; `taken` (n_jobs, n_cells) closes
    further cells to single jobs. What does not fit is not in the answer. A job runs in one way in each cell: where it
    would change over inside one, it runs faster for less of it.
    """
    parts = [
        _rows(seen, hours_each[rows], (window[0][rows], window[1][rows]), None if taken is None else taken[rows])
        for rows in _slices(len(hours_each), ROWS)
    ]
    job = np.concatenate([part[0] + at for part, at in zip(parts, range(0, len(hours_each), ROWS), strict=True)])
    segment = np.concatenate([part[1] for part in parts])
    work = np.concatenate([part[2] for part in parts])
    place = job * len(cell_hours) + seen.cell[segment]
    order = np.lexsort((segment, place))
    place, segment, work = place[order], segment[order], work[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    if not len(first):
        empty = np.empty(0, dtype=np.int64)
        return Uses(empty, empty, empty, np.empty(0))
    last = np.append(first[1:], len(place)) - 1
    way = seen.way[segment[last]]
    cell = seen.cell[segment[last]]
    share = np.add.reduceat(work, first) / (speeds[way] * cell_hours[cell])
    return Uses(place[last] // len(cell_hours), way, cell, np.minimum(share, 1.0))


def _slices(n: int, size: int) -> list[slice]:
    return [slice(i, i + size) for i in range(0, n, size)] or [slice(0, 0)]


def _rows(
    seen: Segments, need: Floats, window: tuple[Ints, Ints], taken: np.ndarray | None
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
