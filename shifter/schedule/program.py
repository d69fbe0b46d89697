"""A linear program in named blocks of sparse rows, which terms add to. No solver here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.jobs import Ints
from shifter.schedule.problem import ScheduleProblem

if TYPE_CHECKING:
    from shifter.schedule.settle import Settled

EXCESS = 1e-5
"""A limit that is broken by less [its unit] is kept: solvers have tolerances."""

Index = NDArray[np.int64]
Like = Floats | float


@dataclass(eq=False)
class Rows:
    """A block of rows `sum(coefficients) <= limit`, or `==` where `equal`."""

    equal: bool
    limit: Floats
    row: list[Index] = field(default_factory=list)
    column: list[Index] = field(default_factory=list)
    value: list[Floats] = field(default_factory=list)

    def add(self, row: Index | range, column: Index | range, value: Like) -> None:
        """Add coefficients: `value[i]` at (`row[i]`, `column[i]`). Coefficients of one place add up."""
        rows, columns = np.asarray(row, dtype=np.int64), np.asarray(column, dtype=np.int64)
        self.row.append(rows)
        self.column.append(columns)
        self.value.append(np.broadcast_to(np.asarray(value, dtype=float), rows.shape))

    def matrix(self, n_columns: int) -> sp.csr_matrix:
        """The block as a sparse matrix (n_rows, n_columns)."""
        if not self.row:
            return sp.csr_matrix((len(self.limit), n_columns))
        where = (np.concatenate(self.row), np.concatenate(self.column))
        return sp.csr_matrix((np.concatenate(self.value), where), shape=(len(self.limit), n_columns))


@dataclass(eq=False)
class LinearProgram:
    """`minimise cost @ v` under bounds and the blocks of `rows`; `columns` names blocks of variables."""

    columns: dict[str, slice] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    _lower: list[Floats] = field(default_factory=list)
    _upper: list[Floats] = field(default_factory=list)
    _cost: list[Floats] = field(default_factory=list)
    reliefs: dict[str, tuple[Index, Floats]] = field(default_factory=dict)
    """Variables that let a limit be broken, and how much of each no plan can help."""
    first_rows: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of a block most of whose rows no plan comes near: those to begin with. The others join once one is broken."""
    terms: list[str] = field(default_factory=list)
    """Names of the terms that added something."""
    n_columns: int = 0

    def variables(
        self, name: str, n: int, *, lower: Like = 0.0, upper: Like = np.inf, cost: Like = 0.0
    ) -> Index:
        """A new block of `n` variables; returns their column numbers (n,)."""
        first = self.n_columns
        self.n_columns += n
        self.columns[name] = slice(first, self.n_columns)
        for store, value in ((self._lower, lower), (self._upper, upper), (self._cost, cost)):
            store.append(np.array(np.broadcast_to(np.asarray(value, dtype=float), (n,))))
        return np.arange(first, self.n_columns, dtype=np.int64)

    def relief(self, name: str, n: int, *, price: Like, most: Like, upper: Like = np.inf) -> Index:
        """New variables by which a limit may be broken, at a price above whatever that could gain.

        `most` is what no plan can help: where real-time load alone breaks the limit. The lower bound allows that much
        for nothing, and no more; the schedule may have more of it, up to `upper`, and then says so.
        """
        columns = self.variables(name, n, upper=upper, cost=price)
        self.reliefs[name] = columns, np.array(np.broadcast_to(np.asarray(most, dtype=float), (n,)))
        return columns

    def at_most(self, name: str, limit: Floats) -> Rows:
        """A new block of rows `<= limit`."""
        self.rows[name] = Rows(False, np.asarray(limit, dtype=float))
        return self.rows[name]

    def equal(self, name: str, limit: Floats) -> Rows:
        """A new block of rows `== limit`."""
        self.rows[name] = Rows(True, np.asarray(limit, dtype=float))
        return self.rows[name]

    def index(self, name: str) -> Index:
        """Column numbers of a block of variables."""
        block = self.columns[name]
        return np.arange(block.start, block.stop, dtype=np.int64)

    def add_cost(self, columns: Index, cost: Like) -> None:
        """Add to the price of variables."""
        total = self.cost
        np.add.at(total, columns, cost)
        self._cost = [total]

    @property
    def extent(self) -> tuple[float, ...]:
        """What changes when a term adds anything."""
        entries = sum(len(part) for rows in self.rows.values() for part in rows.row)
        return self.n_columns, entries, float(np.abs(self.cost).sum())

    @property
    def lower(self) -> Floats:
        """Lower bounds (n_columns,)."""
        return np.concatenate(self._lower)

    @property
    def upper(self) -> Floats:
        """Upper bounds (n_columns,)."""
        return np.concatenate(self._upper)

    @property
    def cost(self) -> Floats:
        """Prices (n_columns,)."""
        return np.concatenate(self._cost)


@dataclass(frozen=True, eq=False)
class Capacity:
    """Whole accelerators still free, (n_pools, n_cells), and what is already placed, as import [kW] (n_sites, n_slots).

    `any` bounds all deferrable work, `firm` the part that may not be preempted.
    """

    any: Ints | Floats
    firm: Ints | Floats
    placed_kw: Floats
    placed: Floats | None = None
    """Mean accelerators of what is already placed, all of it and what is firm, (2, n_pools, n_slots); None: nothing."""
    may_rest: Mapping[int, Floats] | None = None
    """Where all work is placed: mean accelerators that may be powered down, by pool, (n_slots,) each."""
    of_quotas: Floats | None = None
    """Mean accelerators of what is already placed that each quota counts, (n_quotas, n_slots); None: nothing."""
    short_hours: Floats | None = None
    """Of each tenant's work that is already placed, what is not done, (n_tenants,) [h]; None: nothing."""

    @classmethod
    def of(cls, problem: ScheduleProblem) -> Capacity:
        """All that the reserve and pinned work leave; nothing where they alone are over the power limit."""
        slot = problem.cell_slot
        open_slots = np.array([site.keeps_limit for site in problem.sites])

        def of_cells(capacity: str, held: Ints) -> Ints:
            rows = [getattr(pool, capacity) * open_slots[pool.site] for pool in problem.pools]
            whole: Ints = np.array(rows, dtype=np.int64).reshape(len(rows), -1)[:, slot]
            left: Ints = np.maximum(0, whole - held)
            return left

        return cls(
            of_cells("any_capacity", problem.pinned_levels[0]),
            of_cells("firm_capacity", problem.pinned_levels[1]),
            np.zeros((len(problem.sites), problem.grid.n_slots)),
        )


@dataclass(frozen=True, eq=False)
class WorkColumns:
    """The variables of the work: accelerators of a class in one of its ways in a cell, each (n_variables,)."""

    column: Index
    work_class: Index
    pool: Index
    cell: Index
    speed: Floats
    """Work per accelerator-hour, against the class's fastest way."""
    import_kw: Floats
    """What one accelerator adds to the site's import [kW]."""


@dataclass(frozen=True, eq=False)
class TermInputs:
    """What a term may look at when it adds its rows."""

    problem: ScheduleProblem
    capacity: Capacity
    work: WorkColumns
    firm: NDArray[np.bool_]
    """Per class: its work may not be preempted."""
    hours: Floats
    """Per class: its work [accelerator-hours of the fastest pool]."""
    open_ended: NDArray[np.bool_]
    """Per class: its deadline lies beyond the horizon."""
    tenant: Ints
    """Per class: whose work it is, or -1 where that does not matter."""


class Term(Protocol):
    """One price or limit of the schedule, in one file: an entry point of the group `shifter.terms`."""

    name: str

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Add variables, rows and prices. Called once; no term may rely on another having been called before it.

        What lets a limit be broken is a `relief`. The same rows are built once more for the lower bound, for whatever
        load there may be in place of classes of work (`load_program`).

        Every program has the variables `work`, `import` (n_sites * n_slots, [kW], site-major) and, where sites may,
        their `export`, and the rows `done` (a class's work), `at_once` (its accelerators) and `import` (the balance of
        import less export).
        """


@runtime_checkable
class PricedTerm(Term, Protocol):
    """A term whose cost is none of the plan's own figures: that of somebody else, who says in the plan what it costs.

    It stands in `cost.further` by the term's name, and in the total. A term that only limits something has a bill of 0:
    so a plan says that a term stands behind its bound which the verifier does not know.
    """

    def bill(self, problem: ScheduleProblem, settled: Settled) -> float:
        """What its variables cost at the least in the program, for what will really run [currency].

        Less would make the bound exceed the cost, and the plan be rejected; more would be in the gap.
        """


def short_of(program: LinearProgram, given: TermInputs) -> Index:
    """The variables `short`, work of each class that is not done [h]: made by the first term that asks for them."""
    if "short" in program.columns:
        return program.index("short")
    short = program.variables("short", len(given.hours), upper=given.hours)
    program.rows["done"].add(range(len(short)), short, 1.0)
    return short


def generated_of(program: LinearProgram, problem: ScheduleProblem, i: int) -> Index:
    """The variables `generated.i`, what a site's plant gives [kW]: made by the first term that asks for them; none
    where it has no plant."""
    available_kw = problem.sites[i].generation_kw
    if available_kw is None:
        return np.empty(0, dtype=np.int64)
    name = f"generated.{i}"
    if name in program.columns:
        return program.index(name)
    return program.variables(name, problem.grid.n_slots, upper=available_kw)


def site_slots(problem: ScheduleProblem, sites: Sequence[int]) -> Index:
    """Positions in a site-major (n_sites * n_slots,) block of all slots of `sites`."""
    n = problem.grid.n_slots
    return np.concatenate(
        [np.arange(i * n, (i + 1) * n, dtype=np.int64) for i in sites] or [np.empty(0, np.int64)]
    )


def net_import(
    rows: Rows, program: LinearProgram, problem: ScheduleProblem, sites: Sequence[int], factor: float = 1.0
) -> None:
    """Add `factor` times import less export of `sites` to a block of rows, one for each of their slots, site-major."""
    where = site_slots(problem, sites)
    rows.add(range(len(where)), program.index("import")[where], factor)
    n, exporting = problem.grid.n_slots, problem.exporting_sites
    for k, i in enumerate(sites):
        if i in exporting:
            first = exporting.index(i) * n
            rows.add(range(k * n, (k + 1) * n), program.index("export")[first : first + n], -factor)
