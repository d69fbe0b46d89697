r"""A job's work in few long runs: at given prices, and a price for each run.

Over cells c and ways w, with a[w, c] accelerators free, a job takes all or nothing of a cell. For a value theta of an
hour of work, the best choice

    minimise  sum of a[w, c] * (price[w, c] - theta * speed[w] * hours[c]) over the cells taken  +  run price * runs

follows from one pass over the cells (Bellman 1957): at each cell the job idles or runs in one of the ways, and a new
run begins where it did not run so before, or on fewer accelerators. The least theta at which all the work is done gives
the runs; what they do too much is cut off where it costs most. For every theta that was tried, the passes are made at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.jobs import Ints, Job, Way
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece, merge_pieces

VALUES = 16
"""Values of an hour of work that are tried at once; twice, so that the last step is 1/225 of the range."""

PriceOf = Callable[[Way, bool], Floats]
"""What one accelerator costs for all of each cell, in a way, for work that is firm or not (n_cells,)."""


@dataclass(frozen=True, eq=False)
class _Cells:
    """What a job may take of each cell of its window, (n_ways, n) each; `first` is the window's first cell."""

    first: int
    count: Ints
    work: Floats
    cost: Floats
    begins: NDArray[np.bool_]
    """More accelerators than in the cell before: going on here opens a run."""


def in_runs(job: Job, ledger: Ledger, price_of: PriceOf, run_price: float) -> list[Piece] | None:
    """Pieces that do all of a plain job in what the ledger has free; None where all of it does not fit so."""
    cells = _cells(job, ledger, price_of)
    if cells is None:
        return None
    unit = cells.cost / np.where(cells.work > 0, cells.work, np.inf)
    least, most = float(unit.min()), float(unit.max()) + run_price / job.hours
    spread = max(most - least, 1e-9)
    low, high = least - 1e-6 * spread, most + 1e-3 * spread
    for _ in range(4):
        values = np.linspace(low, high, VALUES)
        came_from, last, done = _best(cells, values, run_price)
        enough = np.flatnonzero(done >= job.hours * (1 - 1e-9))
        if len(enough):
            break
        low, high = high, high + 4 * (high - low) + run_price / job.hours
    else:
        return None
    k = int(enough[0])
    if k:
        finer = np.linspace(values[k - 1], values[k], VALUES)
        came_from, last, done = _best(cells, finer, run_price)
        k = int(np.flatnonzero(done >= job.hours * (1 - 1e-9))[0])
    return _pieces(job, ledger, cells, _path(came_from, int(last[k]), k))


def _cells(job: Job, ledger: Ledger, price_of: PriceOf) -> _Cells | None:
    problem = ledger.problem
    first, last = problem.cells_of(job.start_us, job.end_us)
    if first >= last or not job.ways:
        return None
    hours = problem.cell_hours[first:last]
    count = np.array([ledger.most(job, way)[first:last] for way in job.ways])
    speed = np.array([way.speed for way in job.ways])
    work = count * speed[:, None] * hours
    if work.max(axis=0).sum() < job.hours * (1 - 1e-9):
        return None
    price = np.array([price_of(way, job.firm)[first:last] for way in job.ways])
    begins = np.ones(count.shape, dtype=bool)
    begins[:, 1:] = count[:, 1:] > count[:, :-1]
    return _Cells(first, count, work, count * price, begins)


def _best(cells: _Cells, values: Floats, run_price: float) -> tuple[NDArray[np.int8], Ints, Floats]:
    """For each value: where each cell's choice came from (n, n_ways + 1, n_values), the last choice, and the work done.

    The choice n_ways is to idle.
    """
    n_ways, n = cells.count.shape
    size, at = len(values), np.arange(len(values))
    ways = np.arange(n_ways)[:, None]
    cost, work = np.full((n_ways + 1, size), np.inf), np.zeros((n_ways + 1, size))
    cost[n_ways] = 0.0
    came_from = np.empty((n, n_ways + 1, size), dtype=np.int8)
    gain = cells.cost[:, :, None] - cells.work[:, :, None] * values
    again = np.where(cells.begins, run_price, 0.0)
    shut = cells.count == 0
    for c in range(n):
        best = cost.argmin(axis=0)
        best_cost, best_work = cost[best, at], work[best, at]
        stay = cost[:n_ways] + again[:, c, None]
        stays = stay <= best_cost + run_price
        came_from[c, :n_ways] = np.where(stays, ways, best)
        came_from[c, n_ways] = best
        work[:n_ways] = np.where(stays, work[:n_ways], best_work) + cells.work[:, c, None]
        cost[:n_ways] = np.where(stays, stay, best_cost + run_price) + gain[:, c]
        if shut[:, c].any():
            cost[:n_ways][shut[:, c]] = np.inf
        cost[n_ways], work[n_ways] = best_cost, best_work
    last = cost.argmin(axis=0)
    return came_from, last, work[last, at]


def _path(came_from: NDArray[np.int8], last: int, k: int) -> Ints:
    """The choice in each cell, (n,)."""
    choices = np.empty(len(came_from), dtype=np.int64)
    choice = last
    for c in range(len(came_from) - 1, -1, -1):
        choices[c] = choice
        choice = int(came_from[c, choice, k])
    return choices


def _pieces(job: Job, ledger: Ledger, cells: _Cells, choices: Ints) -> list[Piece]:
    edges, n_ways = ledger.problem.edges_us, len(job.ways)
    at = np.arange(len(choices))
    way = np.minimum(choices, n_ways - 1)
    runs = choices < n_ways
    work = np.where(runs, cells.work[way, at], 0.0)
    start, end = (edges[cells.first + shift : cells.first + shift + len(choices)].copy() for shift in (0, 1))
    for c, ratio, late in _cuts(choices, runs, work, cells.cost[way, at], float(work.sum()) - job.hours):
        spare = int((end[c] - start[c]) * ratio)
        if late:
            end[c] -= spare
        else:
            start[c] += spare
        runs[c] = ratio < 1
    rows = np.flatnonzero(runs)
    columns = zip(rows, way[rows], start[rows], end[rows], cells.count[way[rows], rows], strict=True)
    return merge_pieces(
        Piece(job.id, job.ways[w].pool, int(w), int(a), int(b), int(count)) for _, w, a, b, count in columns
    )


def _cuts(
    choices: Ints, runs: NDArray[np.bool_], work: Floats, cost: Floats, surplus: float
) -> list[tuple[int, float, bool]]:
    """Cells to cut by a share, at their end (else their start), dearest ends of runs first."""
    alive = runs.copy()
    unit = np.where(runs, cost / np.where(work > 0, work, 1.0), -np.inf)
    cuts: list[tuple[int, float, bool]] = []
    while surplus > 1e-9:
        goes_on = np.append(alive[1:] & (choices[1:] == choices[:-1]), False)
        went_on = np.append(False, alive[:-1] & (choices[1:] == choices[:-1]))
        ends = np.flatnonzero(alive & ~(goes_on & went_on))
        if not len(ends):
            break
        c = int(ends[np.argmax(unit[ends])])
        ratio = min(1.0, surplus / float(work[c]))
        cuts.append((c, ratio, not goes_on[c]))
        surplus -= ratio * float(work[c])
        if ratio < 1:
            break
        alive[c] = False
    return cuts
