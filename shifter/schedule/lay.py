"""From shares of cells to pieces: whole accelerators at every instant, for any number of jobs at once.

A job that uses u accelerators of a pool on average over a cell holds `floor(u)` for all of it and one more for the
rest. Where there are as many accelerators left as rests, each rest has one to itself, and lies next to the job's work
in the neighbouring cell, if there is any. Elsewhere rests are laid end to end and wrapped at the cell's end (McNaughton
1959): a rest is shorter than its cell, so that it never meets itself. Work that may not be preempted is laid first, on
as many accelerators as there are outside the redundancy margin. A job runs in one way in each cell here, so that no
further limit can be broken. All in whole microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.answer import Uses
from shifter.schedule.columns import ahead
from shifter.schedule.jobs import Ints, Job, WayColumns
from shifter.schedule.pack import merge_pieces
from shifter.schedule.pieces import Pieces
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity

SNAP_US = 2
"""Rests that are this near to nothing or to a whole cell are that."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What jobs use of cells, one row a job and cell, (n,) each; `accelerators` are means over the cell."""

    job: Ints
    way: Ints
    pool: Ints
    cell: Ints
    accelerators: Floats
    firm: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PieceTable:
    """Pieces as columns, (n,) each, sorted by job, way and start."""

    job: Ints
    way: Ints
    pool: Ints
    start_us: Ints
    end_us: Ints
    accelerators: Ints


def lay(levels: Levels, edges_us: Ints, any_count: Ints | Floats, firm_count: Ints | Floats) -> PieceTable:
    """Pieces of these levels. `any_count`, `firm_count` (n_pools, n_cells): accelerators that all, and that firm work
    may stand on."""
    length = np.diff(edges_us)[levels.cell]
    start = edges_us[:-1][levels.cell]
    amount = np.floor(levels.accelerators * length + 1e-3).astype(np.int64)
    whole, rest = np.divmod(amount, length)
    whole += rest >= length - SNAP_US
    rest = np.where((rest >= length - SNAP_US) | (rest <= SNAP_US), 0, rest)
    place = levels.pool * (len(edges_us) - 1) + levels.cell
    some = np.flatnonzero(rest)
    begin, stop, wrapped = _rests(levels, some, rest[some], place, whole, length[some], any_count, firm_count)
    full, first, over = np.flatnonzero(whole), some[~wrapped], some[wrapped]
    columns = [
        _columns(levels, full, start[full], (start + length)[full], whole[full]),
        _columns(levels, first, start[first] + begin[~wrapped], start[first] + stop[~wrapped]),
        # Time that is wrapped runs to the end of one accelerator and goes on at the start of the next.
        _columns(levels, over, start[over] + begin[wrapped], start[over] + length[over]),
        _columns(levels, over, start[over], start[over] + stop[wrapped] - length[over]),
    ]
    stacked = [np.concatenate(c) for c in zip(*columns, strict=True)]
    return _joined(PieceTable(*stacked))


def _columns(
    levels: Levels, rows: Ints, start: Ints, end: Ints, count: Ints | None = None
) -> tuple[Ints, ...]:
    """Pieces of these rows, of one accelerator where no count is given."""
    count = np.ones(len(rows), dtype=np.int64) if count is None else count
    return levels.job[rows], levels.way[rows], levels.pool[rows], start, end, count


def _rests(
    levels: Levels,
    some: Ints,
    rest: Ints,
    place: Ints,
    whole: Ints,
    length: Ints,
    any_count: Ints | Floats,
    firm_count: Ints | Floats,
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Start and end of each rest from its cell's start, and whether it is wrapped (its end is then beyond the cell)."""
    n_places = any_count.size
    any_left = any_count.ravel() - np.bincount(place, whole, n_places).astype(np.int64)
    firm = levels.firm
    firm_left = firm_count.ravel() - np.bincount(place[firm], whole[firm], n_places).astype(np.int64)
    at = place[some]
    crowded = np.bincount(at, minlength=n_places) > any_left
    crowded |= np.bincount(at[firm[some]], minlength=n_places) > firm_left
    begin = np.where(_leans_right(levels, some), length - rest, 0)
    stop = begin + rest
    wrapped = np.zeros(len(some), dtype=bool)
    packed = np.flatnonzero(crowded[at])
    if len(packed):
        order = packed[np.lexsort((levels.job[some[packed]], -rest[packed], ~firm[some[packed]], at[packed]))]
        begin[order] = ahead(at[order], rest[order]) % length[order]
        stop[order] = begin[order] + rest[order]
        wrapped[order] = stop[order] > length[order]
    return begin, stop, wrapped


def _leans_right(levels: Levels, some: Ints) -> NDArray[np.bool_]:
    """Whether the job goes on in the next cell, and was not there in the one before: its rest then lies last."""
    base = int(levels.cell.max(initial=0)) + 3
    key = (levels.job * (int(levels.way.max(initial=0)) + 1) + levels.way) * base + levels.cell
    if not len(some):
        return np.zeros(0, dtype=bool)
    known = np.sort(key)

    def there(wanted: Ints) -> NDArray[np.bool_]:
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        found: NDArray[np.bool_] = known[at] == wanted
        return found

    return there(key[some] + 1) & ~there(key[some] - 1)


def _joined(table: PieceTable) -> PieceTable:
    """In order, and pieces of one job and way that follow each other at one count as one."""
    if not len(table.job):
        return table
    order = np.lexsort((table.accelerators, table.end_us, table.start_us, table.way, table.job))
    columns = [getattr(table, f)[order] for f in ("job", "way", "pool", "start_us", "end_us", "accelerators")]
    job, way, _, start, end, count = columns
    same = (job[1:] == job[:-1]) & (way[1:] == way[:-1])
    follows = same & (start[1:] == end[:-1]) & (count[1:] == count[:-1])
    head = np.flatnonzero(np.append(True, ~follows)[: len(job)])
    last = np.append(head[1:], len(job)) - 1
    job, way, pool, start, _, count = (column[head] for column in columns)
    return PieceTable(job, way, pool, start, end[last], count)


def pieces_of(problem: ScheduleProblem, jobs: Sequence[Job], uses: Uses, free: Capacity) -> Pieces:
    """Pieces for these uses of jobs' ways, within what is `free`."""
    width = np.array([job.max_accelerators for job in jobs], dtype=float)
    ways = WayColumns.of([job.ways for job in jobs], np.array([job.firm for job in jobs], dtype=bool))
    levels = Levels(
        uses.job,
        uses.way,
        ways.pool[ways.first[uses.job] + uses.way],
        uses.cell,
        uses.share * width[uses.job],
        ways.firm[uses.job],
    )
    laid = lay(levels, problem.edges_us, free.any, free.firm)
    position = np.array([problem.positions[job.id] for job in jobs], dtype=np.int64)
    columns = (laid.pool, laid.way, laid.start_us, laid.end_us, laid.accelerators)
    pieces = Pieces(problem, position[laid.job], *columns)
    layered = np.isin(laid.job, _layered(laid))
    if not layered.any():
        return pieces
    return pieces.where(~layered).beside(merge_pieces(pieces.where(layered)))


def _layered(table: PieceTable) -> Ints:
    """Jobs that have two pieces at once in one way, or one after the other at different counts."""
    same = (table.job[1:] == table.job[:-1]) & (table.way[1:] == table.way[:-1])
    return np.unique(table.job[1:][same & (table.start_us[1:] <= table.end_us[:-1])])
