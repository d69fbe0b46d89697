r"""The bound where a term is in use that has no closed form in it: one for all terms, of the prices of work alone.

Whatever a plan's sites do (batteries, generation, export, what is switched off), it pays for work only through how many
accelerators the work holds and how much power it draws. Let F(load) be the least that the fleet's own side can cost for
such a load: the minimum, over everything but the work, of all the terms' costs under all the terms' rows. Then for any
prices pi of the load, one value each per pool or site and slot,

    cost of a plan  >=  F(its load)  =  F(load) - pi @ load + sum over jobs of pi @ load of the job
                    >=  min over loads of (F(load) - pi @ load)  +  sum over jobs of least pi @ load for its work

The first part is a linear program that the terms' own files build (`solve.load_program`), over slots and with whatever
load there is room for; the second is `bound`'s sort, job by job. At the prices that the schedule's own program pays
for work the two sides meet (strong duality; Boyd and Vandenberghe 2004, 5.2.3), but for capacity, fractional here.
What a limit may be broken by where real-time load alone breaks it is free here, so that the bound holds there, too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.schedule.budgets import tolerance
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity, LinearProgram
from shifter.schedule.solve import Solution, load_program, optimum

CLOSED_FORM = frozenset(
    {"battery", "capacity", "carbon", "demand_charge", "energy", "lateness", "power_limit", "risk"}
)
"""Terms that `bound` knows by formula; risk by the prices that it amounts to (`ScheduleProblem.at_prices`)."""


def further_terms(problem: ScheduleProblem) -> tuple[str, ...]:
    """Names of the terms in use that have no closed form in the bound."""
    by_slot = _by_slot(problem)
    program, _ = load_program(by_slot, _whatever(by_slot))
    return tuple(name for name in program.terms if name not in CLOSED_FORM)


def load_prices(problem: ScheduleProblem, solution: Solution) -> tuple[Floats, Floats, Floats]:
    """What the program pays for load in each cell, for all of it, read off the duals of whichever rows it stands in.

    Per accelerator, and what one more that may not be preempted pays beyond that, (n_pools, n_cells) each, never
    negative; and per kW drawn, of either sign, (n_sites, n_cells).
    """
    program, work = load_program(problem, _whatever(problem))
    price = program.cost
    for name, rows in program.rows.items():
        dual = solution.balances.get(name, solution.duals.get(name))
        if dual is not None and len(dual) == len(rows.limit):
            price = price + rows.matrix(program.n_columns).T @ dual
    shape = (2, 2, len(problem.pools), problem.n_cells)
    idle, busy = price[work.column].reshape(shape).swapaxes(0, 1)
    room = np.maximum(0.0, idle[0])
    per_kw = np.zeros((len(problem.sites), problem.n_cells))
    for i, site in enumerate(problem.sites):
        widest = max(site.pools, key=lambda p: problem.pools[p].import_kw)
        if problem.pools[widest].import_kw > 0:
            per_kw[i] = (busy[0, widest] - idle[0, widest]) / problem.pools[widest].import_kw
    return room, np.maximum(0.0, idle[1] - idle[0]), per_kw


def fleet_cost(
    problem: ScheduleProblem,
    per_kw: Floats,
    room: Floats,
    firm: Floats,
    capacity: tuple[Floats, Floats],
    *,
    time_limit_s: float,
    failed: list[str],
) -> tuple[float, Floats]:
    """The least of what the fleet's own side costs less what the load pays [currency], or a bound where it is not
    found in time, and then `failed` is told why; and what one more unit of each budget would save there, (n_budgets,).

    With budgets at these prices in place of their rows the least is the same (strong duality), which proves them.

    Prices are per slot: `per_kw` (n_sites, n_slots), `room` and `firm` (n_pools, n_slots). `capacity` holds what the
    reserve leaves to all work and to firm work, as means over whole slots, in fractions, (n_pools, n_slots) each.
    """
    by_slot = _by_slot(problem)
    placed = np.zeros((len(problem.sites), problem.grid.n_slots))
    program, work = load_program(by_slot, Capacity(*capacity, placed))
    cost, upper = _in_bound(program)
    site = np.array([pool.site for pool in problem.pools])[work.pool]
    pays = work.import_kw * per_kw[site, work.cell] + room[work.pool, work.cell]
    pays += firm[work.pool, work.cell] * (work.work_class == 1)
    cost[work.column] -= pays
    if problem.budgets:
        program.rows["budget"].limit += tolerance(problem)
    free = np.zeros(len(problem.budgets))
    try:
        found = optimum(program, cost, upper, time_limit_s=time_limit_s)
    except SolverFailed as failure:
        failed.append(f"what sites could do beside the work: {failure.detail}")
        return _loosest(by_slot, program, cost, upper), free
    return float((cost * found.values).sum()), np.maximum(0.0, found.duals.get("budget", free))


def _whatever(problem: ScheduleProblem) -> Capacity:
    """What is free stands on the right of rows: where only their left is asked for, any will do."""
    free = np.zeros((len(problem.pools), problem.n_cells))
    return Capacity(free, free, np.zeros((len(problem.sites), problem.grid.n_slots)))


def _by_slot(problem: ScheduleProblem) -> ScheduleProblem:
    """The same fleet without work, each slot one cell."""
    edges = np.arange(problem.grid.n_slots + 1, dtype=np.int64) * problem.slot_us
    return replace(problem, edges_us=edges, jobs=())


def _in_bound(program: LinearProgram) -> tuple[Floats, Floats]:
    """Costs and upper bounds in the bound: what no plan can help is free, and no more of it is to be had."""
    cost, upper = program.cost.copy(), program.upper.copy()
    for columns, most in program.reliefs.values():
        cost[columns], upper[columns] = 0.0, most
    return cost, upper


def _loosest(problem: ScheduleProblem, program: LinearProgram, cost: Floats, upper: Floats) -> float:
    """Every variable at its cheapest, whatever the others do; no site imports more than all that it has can draw."""
    most = upper.copy()
    for i, site in enumerate(problem.sites):
        draws_kw = sum(problem.pools[p].count * problem.pools[p].import_kw for p in site.pools)
        draws_kw += 0.0 if site.battery is None else site.battery.power_kw
        slots = program.index("import")[i * problem.grid.n_slots : (i + 1) * problem.grid.n_slots]
        most[slots] = site.median_kw + draws_kw + site.export_limit_kw
    gains = cost < 0
    return float((cost * np.where(gains, most, program.lower)).sum())
