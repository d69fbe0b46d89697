"""Placing jobs one after the other, at given prices, within every hard limit and without a solver.

Three uses, one piece of code: what the linear program cannot express (contiguous work, replicas, load time) at the
program's own prices; the schedule when no solver answers, at energy prices; and of running at once, in order of
arrival, what has a shape or a chain (`early` has the rest).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.columns import Columns, highest_levels
from shifter.schedule.jobs import HOUR_US, Ints, Job, Way
from shifter.schedule.ledger import Ledger
from shifter.schedule.loading import load_us, loads_us
from shifter.schedule.pack import Piece
from shifter.schedule.peaks import Peaks
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.tenants import QuotaPrices

MOST_RUNS = 32
"""Work that must be loaded first is not torn into more pieces than this."""

MOST_COUNTS = 24
"""So many numbers of accelerators are tried of those that a run may have."""

NEVER = 2**62
"""More accelerators than there are."""

TIE = 1e-9
"""Costs that differ by less than this share are equal: sums are rounded."""

DONE_HOURS = 1e-9
"""Work left below this is none [accelerator-hours]."""

DONE_RATIO = 1e-4
"""A job is done when no more than this share of it is left: what rounding to whole microseconds may cost."""


@dataclass(frozen=True, eq=False)
class Prices:
    """What a cell costs: power and the room that an accelerator takes [currency].

    `per_kw` (n_sites, n_cells) is that of power over a whole slot, of which each cell is a `share` (n_cells,). `any`
    and `firm` (n_pools, n_cells) are for all of a cell, `firm` the further price of standing outside the redundancy
    margin. None in place of prices means: as early as possible, in the fastest way first.
    """

    per_kw: Floats
    share: Floats
    any: Floats
    firm: Floats
    quota: QuotaPrices | None = None
    """What an accelerator of a tenant's quota costs besides."""
    peaks: Peaks | None = None
    """What a run that raises a peak costs besides; None where that costs nothing."""

    def towards(self, other: Prices, share: float) -> Prices:
        """Prices this far from these to others; those of quotas stay."""

        def mixed(mine: Floats, theirs: Floats) -> Floats:
            return (1 - share) * mine + share * theirs

        per_kw, room, firm = (
            mixed(getattr(self, name), getattr(other, name)) for name in ("per_kw", "any", "firm")
        )
        return replace(self, per_kw=per_kw, any=room, firm=firm)

    def of(self, job: Job, way: Way, site: int) -> Floats:
        """The price of one accelerator of this job in this way, for all of each cell (n_cells,)."""
        return self.of_way(way, site, job.firm, job.tenant)

    def of_way(self, way: Way, site: int, firm: bool, tenant: int) -> Floats:
        """The same for any work of a tenant that is `firm` or not."""
        price: Floats = way.import_kw * self.per_kw[site] * self.share + self.any[way.pool]
        if self.quota is not None:
            price = price + self.quota.of(tenant, way.pool)
        return price + self.firm[way.pool] if firm else price


def place(job: Job, ledger: Ledger, prices: Prices | None) -> list[Piece]:
    """Pieces for as much of the job as fits; all of it where it does. `ledger` is written to."""
    if job.contiguous:
        piece = _run(job, ledger, prices, job.hours) or _longest_run(job, ledger, job.hours)
        return [piece] if piece else []
    if job.loads:
        return _few_runs(job, ledger, prices)
    return list(_spread(job, ledger, prices))


def top_up(
    job: Job, ledger: Ledger, own: Sequence[Piece], hours: float, prices: Prices | None = None
) -> list[Piece]:
    """Pieces for as much of `hours` more work as fits beside the job's `own`, as early as possible without prices.

    For work without a shape. `ledger` holds all pieces, its own too, and is written to.
    """
    return list(_spread(replace(job, hours=hours), ledger, prices, own))


def work_hours(job: Job, pieces: Iterable[Piece]) -> float:
    """Work that pieces do, load time taken off [accelerator-hours of the fastest pool]."""
    own = list(pieces)
    loaded = zip(own, loads_us(job, own), strict=True)
    useful = (
        max(0, p.end_us - p.start_us - load) * p.accelerators * job.ways[p.way].speed for p, load in loaded
    )
    return sum(useful) / HOUR_US


def done_hours(problem: ScheduleProblem, pieces: Iterable[Piece]) -> dict[str, float]:
    """Work that pieces do of each job of the problem."""
    done = Columns.of(problem, pieces).done_hours(len(problem.jobs))
    return dict(zip(problem.ids[: len(done)], done.tolist(), strict=True))


def _spread(job: Job, ledger: Ledger, prices: Prices | None, beside: Sequence[Piece] = ()) -> Iterator[Piece]:
    """Cheapest cells first (price per work done), as many accelerators as are free, until the work is done.

    Of a cell that the window cuts, the part inside it is used.
    """
    problem = ledger.problem
    first, last = problem.cells_touched(job.start_us, job.end_us)
    cells = np.arange(first, last)
    if not len(cells) or not job.ways:
        return
    begins = np.maximum(problem.edges_us[first:last], job.start_us)
    ends = np.minimum(problem.edges_us[first + 1 : last + 1], job.end_us)
    hours = (ends - begins) / HOUR_US
    if prices is None:
        rank = [cells + (1 - way.speed) / 2 for way in job.ways]
    else:
        rank = [
            _price(problem, prices, job, way)[cells] / (way.speed * problem.cell_hours[cells])
            for way in job.ways
        ]
    own = Columns.of(problem, beside)
    used = highest_levels(problem, own, np.zeros_like(own.pool), 1)[0, first:last]
    left = job.hours
    for choice in np.argsort(np.concatenate(rank), kind="stable"):
        which, i = divmod(int(choice), len(cells))
        way, size = job.ways[which], job.ways[which].replica
        count = min(ledger.most_in(job, way, first + i), job.max_accelerators - int(used[i])) // size * size
        if count <= 0:
            continue
        rate = way.speed * float(hours[i])
        enough = int(-(-left // (rate * size))) * size
        count = min(count, max(size, enough))
        start, end = int(begins[i]), int(ends[i])
        if count * rate > left:
            end = start + int(np.ceil((end - start) * left / (count * rate)))
        used[i] += count
        left -= count * rate
        yield ledger.take(job, which, start, end, count)
        if left <= DONE_HOURS:
            return


def _price(problem: ScheduleProblem, prices: Prices, job: Job, way: Way) -> Floats:
    return prices.of(job, way, problem.pools[way.pool].site)


def _few_runs(job: Job, ledger: Ledger, prices: Prices | None) -> list[Piece]:
    """Work that must be loaded first, in as few runs as do it all: 1, 2, 4, 8 or 16 equal ones at the best prices.

    Where none of these does it all, the largest gaps are filled one after the other; what does most is kept.
    """
    best: list[Piece] = []
    done = 0.0
    for parts in (1, 2, 4, 8, 16, None):
        trial = ledger.copy()
        taken = _largest_gaps(job, trial) if parts is None else _equal_runs(job, trial, prices, parts)
        hours = work_hours(job, taken)
        if hours > done + DONE_HOURS:
            best, done = taken, hours
        if done >= job.hours - 1e-6:
            break
    for piece in best:
        ledger.take(job, piece.way, piece.start_us, piece.end_us, piece.accelerators)
    return best


def _equal_runs(job: Job, ledger: Ledger, prices: Prices | None, parts: int) -> list[Piece]:
    taken: list[Piece] = []
    while len(taken) < parts and (piece := _run(job, ledger, prices, job.hours / parts, taken)) is not None:
        taken.append(piece)
    return taken


def _largest_gaps(job: Job, ledger: Ledger) -> list[Piece]:
    taken: list[Piece] = []
    left = job.hours
    while (
        left > 1e-6
        and len(taken) < MOST_RUNS
        and (piece := _longest_run(job, ledger, left, taken)) is not None
    ):
        taken.append(piece)
        left = job.hours - work_hours(job, taken)
    return taken


def _run(
    job: Job, ledger: Ledger, prices: Prices | None, hours: float, beside: Sequence[Piece] = ()
) -> Piece | None:
    """The best single run that does `hours` of work: one way, one count, no break. None where none fits.

    A run is best when it starts or ends at a cell's edge, since prices are constant inside a cell. Of equals the
    narrowest is taken: it leaves most room, and is first to draw less.
    """
    problem = ledger.problem
    best: tuple[float, int, int, int, int] | None = None
    for which, way in enumerate(job.ways):
        most = _less_beside(problem, ledger.most(job, way), beside, job.max_accelerators)
        price = None if prices is None else np.append(0.0, np.cumsum(_price(problem, prices, job, way)))
        counts = _counts(_least(job, which, hours), int(most.max(initial=0)), way.replica)
        tries = ((count, *run) for count in counts for run in _lengths(job, which, count, hours))
        for count, length, only_us in tries:
            if length > job.end_us - job.start_us:  # of huge work, more than an array of moments could hold
                continue
            starts = _possible_starts(problem, job, most >= count, length)
            starts = starts if only_us is None else starts[starts == only_us]
            starts = starts[ledger.affords(way, count, starts, length)]
            if not len(starts):
                continue
            if prices is None or price is None:
                rank = starts.astype(float) + length
            else:
                edges = problem.edges_us.astype(float)
                rank = count * (np.interp(starts + length, edges, price) - np.interp(starts, edges, price))
                rank += _raised(ledger, prices, way, count, starts, length)
            i = int(np.argmin(rank))
            found = (float(rank[i]), int(starts[i]), which, count, length)
            if best is None or found[0] < best[0] - max(1e-12, TIE * abs(best[0])):
                best = found
    if best is None:
        return None
    _, start, which, count, length = best
    return ledger.take(job, which, start, start + length, count)


def _lengths(job: Job, which: int, count: int, hours: float) -> Iterator[tuple[int, int | None]]:
    """How long a run of so many accelerators takes for `hours` of work, begun anywhere, and where it goes on with what
    runs: and the moment that it must begin at for that."""
    way = job.ways[which]
    useful_us = int(np.ceil(hours / (count * way.speed) * HOUR_US))
    yield way.load_us + useful_us, None
    for one in job.running:
        if one.way == which and count <= one.accelerators:
            yield one.load_us + useful_us, one.start_us


def _raised(
    ledger: Ledger, prices: Prices, way: Way, count: int, start_us: Ints, length_us: int
) -> Floats | float:
    """What a run from each of these moments on costs by raising a peak [currency]."""
    if prices.peaks is None:
        return 0.0
    site, slot_us = ledger.problem.pools[way.pool].site, ledger.problem.slot_us
    return prices.peaks.cost(
        site, count * way.import_kw, slot_us, start_us, length_us, ledger.placed_kw[site]
    )


def _least(job: Job, which: int, hours: float) -> int:
    """Accelerators below which one run in the job's window does not do `hours` of work."""
    way, running = job.ways[which], [one.load_us for one in job.running if one.way == which]
    useful_us = job.end_us - job.start_us - min([way.load_us, *running])
    return int(np.ceil(hours * HOUR_US / (way.speed * useful_us) * (1 - TIE))) if useful_us > 0 else NEVER


def _counts(least: int, most: int, size: int) -> list[int]:
    """Multiples of the replica size worth trying: all when few, else spread evenly from the least to the most."""
    fewest, multiples = max(1, -(-least // size)), most // size
    if multiples - fewest < MOST_COUNTS:
        return [size * k for k in range(fewest, multiples + 1)]
    return [size * int(k) for k in np.unique(np.linspace(fewest, multiples, MOST_COUNTS).astype(int))]


def _possible_starts(problem: ScheduleProblem, job: Job, fits: np.ndarray, length: int) -> Ints:
    """Starts of a run of `length` at or before a cell's edge, inside the window, in cells that all fit."""
    edges = problem.edges_us
    starts = np.unique(np.concatenate([edges, edges - length, [job.start_us, job.end_us - length]]))
    starts = starts[(starts >= job.start_us) & (starts + length <= job.end_us)]
    blocked = np.append(0, np.cumsum(np.where(fits, 0, problem.cell_us)))
    inside = np.interp(starts + length, edges, blocked) - np.interp(starts, edges, blocked)
    possible: Ints = starts[inside < 0.5]
    return possible


def _less_beside(problem: ScheduleProblem, most: Ints, pieces: Sequence[Piece], limit: int) -> Ints:
    """What the job may still add beside its own pieces, over all its ways."""
    if not pieces:
        return most
    used = np.zeros(problem.n_cells, dtype=np.int64)
    for piece in pieces:
        first, last = problem.cells_touched(piece.start_us, piece.end_us)
        used[first:last] += piece.accelerators
    return np.minimum(most, np.maximum(0, limit - used))


def _longest_run(job: Job, ledger: Ledger, hours: float, beside: Sequence[Piece] = ()) -> Piece | None:
    """The run that does most of `hours` of work, where no run does all of it; None where there is no room at all."""
    problem = ledger.problem
    best: tuple[float, int, int, int, int] | None = None
    for which, way in enumerate(job.ways):
        most = _less_beside(problem, ledger.most(job, way), beside, job.max_accelerators)
        for count in _counts(1, int(most.max(initial=0)), way.replica):
            for start, end in _free_spans(problem, job, most >= count):
                load = load_us(job, which, start, count)
                work = min(hours, (end - start - load) * count * way.speed / HOUR_US)
                needed = load + int(np.ceil(work / (count * way.speed) * HOUR_US))
                if not ledger.affords(way, count, np.array([start]), min(end - start, needed)).all():
                    continue
                if work > 1e-6 and (best is None or work > best[0] + 1e-9):
                    best = (work, start, min(end, start + needed), which, count)
    if best is None:
        return None
    _, start, end, which, count = best
    return ledger.take(job, which, start, end, count)


def _free_spans(problem: ScheduleProblem, job: Job, fits: np.ndarray) -> Iterator[tuple[int, int]]:
    first, last = problem.cells_of(job.start_us, job.end_us)
    inside = np.zeros(problem.n_cells + 2, dtype=np.int8)
    inside[1 + first : 1 + last] = fits[first:last]
    change = np.diff(inside)
    for begin, stop in zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1), strict=True):
        yield int(problem.edges_us[begin]), int(problem.edges_us[stop])
