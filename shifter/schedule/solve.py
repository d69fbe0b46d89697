"""The convex problem, solved: sparse rows from the terms, cvxpy on HiGHS, values and duals back by name."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.schedule.classes import WorkClass
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity, LinearProgram, Term, TermInputs, WorkColumns, site_slots
from shifter.schedule.rungs import HINT, Rung, by_size, climb
from shifter.schedule.tenants import NOBODY
from shifter.schedule.terms.registry import installed_terms

ROW_TOLERANCE = 1e-7
"""A row that waits is broken where it is exceeded by more than this share of what stands in it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """An optimum of the fractional problem.

    `values` and `duals` by block name; `usage` holds, for each class, its accelerators (n_ways of the class, n_cells
    of its window) with the first cell of the window. Duals are prices, never negative.
    """

    values: Mapping[str, Floats]
    duals: Mapping[str, Floats]
    usage: tuple[tuple[int, Floats], ...]
    balances: Mapping[str, Floats] = field(default_factory=dict)
    """Prices of what must be equal, of either sign: what one more on the left would cost."""
    excess: Mapping[str, float] = field(default_factory=dict)
    """By how much a limit is broken beyond what no plan can help, by the relief that says so."""
    notes: tuple[str, ...] = ()
    """Which solvers failed before one did not."""
    cost: float = 0.0
    """What was minimised, late work at its price [currency]."""
    relief_cost: float = 0.0
    """The part of it that is the price of limits that are broken [currency]."""


def linear_program(
    problem: ScheduleProblem,
    classes: Sequence[WorkClass],
    capacity: Capacity,
    terms: Sequence[Term] | None = None,
) -> tuple[LinearProgram, WorkColumns]:
    """The program of these classes of work on what `capacity` leaves; by the installed terms where none is given."""
    program = LinearProgram()
    work = _work_columns(program, problem, classes)
    hours = np.array([c.hours for c in classes])
    _work_rows(program, problem, classes, work, hours)
    firm, open_ended = (
        np.array([getattr(c, f) for c in classes], dtype=bool) for f in ("firm", "open_ended")
    )
    tenant = np.array([c.tenant if c.ways else NOBODY for c in classes], dtype=np.int64)
    _add_terms(program, TermInputs(problem, capacity, work, firm, hours, open_ended, tenant), terms)
    return program, work


def load_program(
    problem: ScheduleProblem, capacity: Capacity, terms: Sequence[Term] | None = None
) -> tuple[LinearProgram, WorkColumns]:
    """The same program for whatever load there may be, in place of classes of work: no work need be done.

    Class 0 may be preempted, class 1 may not. In each pool and cell either has accelerators that draw full power, and
    accelerators that draw none: between them they make up whatever real work holds and draws.
    """
    program = LinearProgram()
    pools, cells = len(problem.pools), problem.n_cells
    each = [np.arange(n, dtype=np.int64) for n in (2, 2, pools, cells)]
    firm, draws, pool, cell = (axis.ravel() for axis in np.meshgrid(*each, indexing="ij"))
    count, full_kw = (
        np.array([getattr(p, f) for p in problem.pools], dtype=float) for f in ("count", "import_kw")
    )
    column = program.variables("work", len(cell), upper=count[pool])
    work = WorkColumns(column, firm, pool, cell, np.ones(len(cell)), full_kw[pool] * draws)
    program.equal("done", np.empty(0))
    program.at_most("at_once", np.empty(0))
    nobodys = np.full(2, NOBODY)
    given = TermInputs(
        problem,
        capacity,
        work,
        np.array([False, True]),
        np.empty(0),
        np.empty(0, dtype=bool),
        nobodys,
    )
    _add_terms(program, given, terms)
    return program, work


def _add_terms(program: LinearProgram, given: TermInputs, terms: Sequence[Term] | None) -> None:
    _import_rows(program, given.problem, given.work, given.capacity)
    for term in installed_terms() if terms is None else terms:
        before = program.extent
        term.build(program, given)
        if program.extent != before:
            program.terms.append(term.name)


def _work_columns(
    program: LinearProgram, problem: ScheduleProblem, classes: Sequence[WorkClass]
) -> WorkColumns:
    owner, cell = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    ways, widths = [], []
    for k, one in enumerate(classes):
        first, last = problem.cells_of(one.start_us, one.end_us)
        for way in one.ways:
            cell.append(np.arange(first, last, dtype=np.int64))
            owner.append(np.full(last - first, k, dtype=np.int64))
            ways.append(way)
            widths.append(last - first)
    owners = np.concatenate(owner)
    limit = np.array([c.max_accelerators for c in classes] or [0], dtype=float)
    columns = program.variables("work", len(owners), upper=limit[owners] if len(owners) else 0.0)
    return WorkColumns(
        columns,
        owners,
        np.repeat(np.array([way.pool for way in ways], dtype=np.int64), widths),
        np.concatenate(cell),
        np.repeat(np.array([way.speed for way in ways], dtype=float), widths),
        np.repeat(np.array([way.import_kw for way in ways], dtype=float), widths),
    )


def _work_rows(
    program: LinearProgram,
    problem: ScheduleProblem,
    classes: Sequence[WorkClass],
    work: WorkColumns,
    hours: Floats,
) -> None:
    """`done`: each class's work is done. `at_once`: over several ways, no more accelerators than it may use."""
    done = program.equal("done", hours)
    done.add(work.work_class, work.column, work.speed * problem.cell_hours[work.cell])

    several = np.array([len(c.ways) > 1 for c in classes], dtype=bool)
    chosen = several[work.work_class] if len(classes) else np.empty(0, dtype=bool)
    pairs, row = np.unique(work.work_class[chosen] * problem.n_cells + work.cell[chosen], return_inverse=True)
    limit = np.array([classes[k].max_accelerators for k in pairs // max(1, problem.n_cells)], dtype=float)
    program.at_most("at_once", limit).add(row, work.column[chosen], np.ones(len(row)))


def _import_rows(
    program: LinearProgram, problem: ScheduleProblem, work: WorkColumns, capacity: Capacity
) -> None:
    """`import[s, t] - export[s, t] - what work draws (- charge + discharge + generated) == all else, at the median`.

    Each kWh exported earns at most what importing it costs (`SiteArrays.export_price_per_kwh`), so to do both at once
    gains nothing; `settle` counts the difference alone.
    """
    n = problem.grid.n_slots
    imports = program.variables("import", len(problem.sites) * n)
    base = np.concatenate([site.median_kw for site in problem.sites]) + capacity.placed_kw.ravel()
    balance = program.equal("import", base)
    balance.add(range(len(imports)), imports, 1.0)
    if exporting := problem.exporting_sites:
        limit = np.repeat([problem.sites[i].export_limit_kw for i in exporting], n)
        balance.add(
            site_slots(problem, exporting), program.variables("export", len(limit), upper=limit), -1.0
        )
    site = np.array([pool.site for pool in problem.pools], dtype=np.int64)
    row = site[work.pool] * n + problem.cell_slot[work.cell]
    balance.add(row, work.column, -work.import_kw * problem.cell_share[work.cell])


def solve(
    problem: ScheduleProblem,
    classes: Sequence[WorkClass],
    capacity: Capacity,
    *,
    time_limit_s: float,
    terms: Sequence[Term] | None = None,
    rungs: Sequence[Rung] | None = None,
) -> Solution:
    """The cheapest fractional schedule, by the first of the solvers `rungs` that finds it (by size, where None).

    Raises SolverFailed when none gives an optimum within the time limit, and where memory is too short.
    """
    try:
        program, _ = linear_program(problem, classes, capacity, terms)
        found = optimum(program, program.cost, program.upper, time_limit_s=time_limit_s, rungs=rungs)
    except MemoryError as error:
        raise SolverFailed("there was too little memory for the program.", hint=HINT) from error
    equal = {name: program.rows[name].equal for name in found.duals}
    return Solution(
        values={name: found.values[block] for name, block in program.columns.items()},
        duals={name: np.maximum(0.0, y) for name, y in found.duals.items() if not equal[name]},
        usage=_usage(problem, classes, found.values[program.columns["work"]]),
        balances={name: y for name, y in found.duals.items() if equal[name]},
        excess={
            name: float((found.values[columns] - most).max(initial=0.0))
            for name, (columns, most) in program.reliefs.items()
        },
        notes=found.notes,
        cost=float(program.cost @ found.values),
        relief_cost=sum(
            float(program.cost[columns] @ found.values[columns]) for columns, _ in program.reliefs.values()
        ),
    )


@dataclass(frozen=True, eq=False)
class Optimum:
    """The values (n_columns,) of least cost, and each block's duals: of `cost @ v + sum of dual @ (left - right)`."""

    values: Floats
    duals: Mapping[str, Floats]
    notes: tuple[str, ...]


def optimum(
    program: LinearProgram,
    cost: Floats,
    upper: Floats,
    *,
    time_limit_s: float,
    rungs: Sequence[Rung] | None = None,
) -> Optimum:
    """The program's optimum at these prices and upper bounds. Raises SolverFailed where there is none in time.

    Rows that may wait join once one of them is broken, and it is solved again: what keeps them
    all is the optimum of all.
    """
    import cvxpy as cp

    ends = time.monotonic() + time_limit_s
    if rungs is None:
        rungs = by_size(program.n_columns, len(program.rows["done"].limit), dense=bool(program.first_rows))
    blocks = {name: rows for name, rows in program.rows.items() if len(rows.limit)}
    left = {name: rows.matrix(program.n_columns) for name, rows in blocks.items()}
    inside = {name: program.first_rows.get(name, np.ones(len(b.limit), bool)) for name, b in blocks.items()}
    v = cp.Variable(program.n_columns, bounds=[program.lower, upper])
    notes: tuple[str, ...] = ()
    while True:
        constraints = {}
        for name, rows in blocks.items():
            own, most = left[name][inside[name]] @ v, rows.limit[inside[name]]
            constraints[name] = own == most if rows.equal else own <= most
        whole = cp.Problem(cp.Minimize(cost @ v), list(constraints.values()))
        notes += climb(whole, rungs, ends - time.monotonic())
        values = np.asarray(v.value)
        broken = {name: _broken(left[name] @ values, blocks[name].limit) for name in program.first_rows}
        if not any((broken[name] & ~inside[name]).any() for name in broken):
            break
        inside.update({name: inside[name] | broken[name] for name in broken})
    duals = {name: np.zeros(len(rows.limit)) for name, rows in blocks.items()}
    for name, constraint in constraints.items():
        duals[name][inside[name]] = constraint.dual_value
    return Optimum(values, duals, tuple(dict.fromkeys(notes)))


def _broken(left: Floats, limit: Floats) -> NDArray[np.bool_]:
    """Rows that are exceeded by more than the solver's tolerance."""
    over: NDArray[np.bool_] = left - limit > ROW_TOLERANCE * (1.0 + np.abs(left))
    return over


def _usage(
    problem: ScheduleProblem, classes: Sequence[WorkClass], work: Floats
) -> tuple[tuple[int, Floats], ...]:
    usage = []
    position = 0
    for one in classes:
        first, last = problem.cells_of(one.start_us, one.end_us)
        size = (last - first) * len(one.ways)
        usage.append((first, work[position : position + size].reshape(len(one.ways), last - first)))
        position += size
    return tuple(usage)
