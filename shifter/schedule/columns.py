"""Pieces as columns: what they use, do, draw and cost, for a million of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.jobs import HOUR_US, Ints
from shifter.schedule.loading import loads_us
from shifter.schedule.pack import Piece
from shifter.schedule.pieces import Pieces
from shifter.schedule.problem import ScheduleProblem


@dataclass(frozen=True, eq=False)
class Columns:
    """One row a piece, (n_pieces,) each; `job` counts the problem's jobs, and after them what is pinned."""

    job: Ints
    pool: Ints
    start_us: Ints
    end_us: Ints
    accelerators: Ints
    import_kw: Floats
    """Of one accelerator."""
    speed: Floats
    load_us: Ints
    firm: NDArray[np.bool_]

    @classmethod
    def of(cls, problem: ScheduleProblem, pieces: Iterable[Piece]) -> Columns:
        """The pieces in the order given."""
        table, ways = Pieces.of(problem, pieces), problem.way_columns
        at = ways.first[table.job] + table.way
        return cls(
            table.job,
            table.pool,
            table.start_us,
            table.end_us,
            table.accelerators,
            ways.import_kw[at],
            ways.speed[at],
            _loads_us(problem, table, ways.load_us[at]),
            ways.firm[table.job],
        )

    def where(self, rows: Ints) -> Columns:
        """These rows alone."""
        return Columns(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def drawn_kw(self) -> Floats:
        """What each adds to its site's import while it runs."""
        drawn: Floats = self.accelerators * self.import_kw
        return drawn

    def done_hours(self, n_jobs: int) -> Floats:
        """Work done of each job, load time taken off [accelerator-hours of its fastest way], (n_jobs,)."""
        useful = np.maximum(0, self.end_us - self.start_us - self.load_us) * self.accelerators * self.speed
        return np.bincount(self.job, useful, n_jobs)[:n_jobs] / HOUR_US

    def span_us(self, n_jobs: int) -> tuple[Ints, Ints]:
        """Start of the first and end of the last piece of each job, (n_jobs,) each; -1 where it has none."""
        first = np.full(n_jobs, np.iinfo(np.int64).max)
        last = np.full(n_jobs, -1)
        np.minimum.at(first, self.job, self.start_us)
        np.maximum.at(last, self.job, self.end_us)
        return np.where(last < 0, -1, first), last


def _loads_us(problem: ScheduleProblem, table: Pieces, load_us: Ints) -> Ints:
    """What each piece has to load, (n_pieces,): the time of its way, or what is left of that where it runs already."""
    if problem.running:
        begun = set(table.job[table.start_us == problem.now_us].tolist())
        for j in begun & problem.running.keys():
            rows = np.flatnonzero(table.job == j)
            load_us[rows] = loads_us(problem.running[j], list(table.where(rows)))
    return load_us


def ahead(place: Ints, amount: Any) -> Any:
    """Of each row, the sum of `amount` over the rows before it in the same place; rows of a place stand together."""
    before = np.cumsum(amount) - amount
    first = np.flatnonzero(np.diff(place, prepend=-1))
    return before - np.repeat(before[first], np.diff(np.append(first, len(place))))


def slot_shares(problem: ScheduleProblem, columns: Columns) -> tuple[Ints, Ints, Floats]:
    """Every slot that a piece runs in: which piece, which slot, and the share of the slot that it covers, (n,) each."""
    length = problem.slot_us
    first = columns.start_us // length
    which, slot = _spans(first, -(-columns.end_us // length))
    begin, end = columns.start_us[which], columns.end_us[which]
    overlap = np.minimum(end, (slot + 1) * length) - np.maximum(begin, slot * length)
    return which, slot, overlap / length


def highest_levels(problem: ScheduleProblem, columns: Columns, row: Ints, n_rows: int) -> Ints:
    """The most accelerators in use at any instant of each cell, summed over the pieces in a row, (n_rows, n_cells)."""
    highest = np.zeros((n_rows, problem.n_cells), dtype=np.int64)
    rows, moment = np.tile(row, 2), np.concatenate([columns.start_us, columns.end_us])
    change = np.concatenate([columns.accelerators, -columns.accelerators])
    order = np.lexsort((moment, rows))
    rows, moment = rows[order], moment[order]
    level = np.cumsum(change[order])  # each row ends at none, and the next one begins there
    lasts = np.flatnonzero((level[:-1] > 0) & (moment[1:] > moment[:-1]))
    edges = problem.edges_us
    first = np.searchsorted(edges, moment[lasts], side="right") - 1
    which, cell = _spans(first, np.searchsorted(edges, moment[lasts + 1]))
    np.maximum.at(highest, (rows[lasts][which], cell), level[lasts][which])
    return highest


def _spans(first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All whole numbers of the spans `[first, end)`, one after the other: of which span, and the number."""
    count = end - first
    which = np.repeat(np.arange(len(first)), count)
    return which, np.arange(len(which)) + (first - (np.cumsum(count) - count))[which]


def slot_means(
    problem: ScheduleProblem, columns: Columns, row: Ints, amount: Floats | Ints, n_rows: int
) -> Floats:
    """Mean over each slot of `amount` while each piece runs, summed in its `row`, (n_rows, n_slots).

    A piece raises the level at its start and lowers it at its end; a slot's mean is the level that it starts with, and
    of each change inside it the part of the slot that is left.
    """
    n_slots, length = problem.grid.n_slots, problem.slot_us
    moment = np.concatenate([columns.start_us, columns.end_us])
    change = np.concatenate([amount, -np.asarray(amount, dtype=float)])
    slot, into = np.divmod(moment, length)
    at = np.concatenate([row, row]) * (n_slots + 1) + slot
    inside = np.bincount(at, change * (1.0 - into / length), n_rows * (n_slots + 1)).reshape(
        n_rows, n_slots + 1
    )
    whole = np.bincount(at, change, n_rows * (n_slots + 1)).reshape(n_rows, n_slots + 1)
    before = np.cumsum(whole, axis=1) - whole
    means = (before + inside)[:, :n_slots]
    noise = 1e-14 * float(np.abs(amount).sum())  # of adding and taking off again
    return np.where(np.abs(means) <= noise, 0.0, means)


@dataclass(frozen=True, eq=False)
class Meter:
    """What one kW draws, costs and emits from the grid's start up to each slot's edge, by site (n_sites, n_slots + 1).

    Energy [kWh], energy and carbon at their prices [currency], and carbon [kg].
    """

    problem: ScheduleProblem
    energy_kwh: Floats
    cost: Floats
    carbon_kg: Floats

    @classmethod
    def of(cls, problem: ScheduleProblem) -> Meter:
        """A meter for the problem's sites."""
        hours = problem.grid.slot_hours

        def rates(of_sites: Sequence[Floats]) -> Floats:
            return up_to(np.array(of_sites) * hours)

        ones = np.ones(problem.grid.n_slots)
        return cls(
            problem,
            rates([ones for _ in problem.sites]),
            rates([site.unit_cost_per_kwh for site in problem.sites]),
            rates([site.carbon_kg_per_kwh for site in problem.sites]),
        )

    def read(self, columns: Columns) -> tuple[Floats, Floats, Floats]:
        """Energy [kWh], cost [currency] and carbon [kg] of each piece, (n_pieces,) each."""
        site = np.array([pool.site for pool in self.problem.pools], dtype=np.int64)[columns.pool]
        kw = columns.drawn_kw
        energy, cost, carbon = (
            kw * passed(self.problem, sums, site, columns)
            for sums in (self.energy_kwh, self.cost, self.carbon_kg)
        )
        return energy, cost, carbon


def up_to(per_slot: Floats) -> Floats:
    """What comes together from the grid's start up to each slot's edge, (n_rows, n_slots + 1)."""
    return np.hstack([np.zeros((len(per_slot), 1)), np.cumsum(per_slot, axis=1)])


def passed(problem: ScheduleProblem, sums: Floats, row: Ints, columns: Columns) -> Floats:
    """What comes together in its row of `sums` (`up_to`) while each piece runs, (n_pieces,)."""

    def at(moment_us: Ints) -> Floats:
        slot, into = np.divmod(moment_us, problem.slot_us)
        later = np.minimum(slot + 1, sums.shape[1] - 1)
        share = into / problem.slot_us
        found: Floats = sums[row, slot] * (1.0 - share) + sums[row, later] * share
        return found

    return at(columns.end_us) - at(columns.start_us)
