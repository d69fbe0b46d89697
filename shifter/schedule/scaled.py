"""Large plans: the prices of a coarser problem (`coarse`), which every job then answers to (`follow`, `lay`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.errors import SolverFailed
from shifter.schedule.answer import Uses
from shifter.schedule.beside import Beside
from shifter.schedule.bound import SlotPrices, proof_prices
from shifter.schedule.clusters import Clusters, kept_apart
from shifter.schedule.coarse import Coarse, coarsen, coarsest_minutes
from shifter.schedule.follow import Room, Target, follow
from shifter.schedule.jobs import Job
from shifter.schedule.lay import pieces_of
from shifter.schedule.ledger import Ledger
from shifter.schedule.peaks import Peaks
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import Prices
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import INTERIOR_FIRST, PRIMAL_FIRST, SIMPLEX_FIRST, Rung
from shifter.schedule.solve import Solution, solve
from shifter.schedule.tenants import quota_prices

CLUSTERS = 200
"""Of jobs, in the coarse problem. With 10,000 and 100,000 jobs over 8 sites the bound no longer moved from 60 and from
120 on; with fewer it fell short by 2 %."""

FINE_COLUMNS = 100_000
"""Up to this many variables the coarse program keeps the true slots. Prices by the half-hour are worth it: 60 jobs over
336 of them (83,000 variables, 3 s) came 0.02 % above the bound in place of 2.7 % on hours."""

FINE_CLUSTERS = 100
"""Of jobs, on true slots: simplex is the faster the fewer there are."""

YIELD_LEAST = 1e-6
"""Of a cluster's work: less than this is not short."""


TOLD_CLUSTERS = 400
"""The same where tenants are told apart, which makes more groups of work."""

QUOTA_CLUSTERS = 120
"""And where they have quotas, whose rows tie the pools together: such a program takes five times as long."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """What the coarse optimum says of the true problem.

    `used` (n_pools, n_cells) are mean accelerators of all work, and `drawn_kw` (n_sites, n_slots) what they draw.
    """

    prices: SlotPrices
    used: Floats
    drawn_kw: Floats
    peaks: Peaks
    beside: Beside
    weights: Floats | None
    """Of the paths that prices may take, (n_paths,); None where no risk counts."""
    of_quotas: Floats
    """Mean accelerators that each quota counts, (n_quotas, n_slots)."""
    yielding: frozenset[str] = frozenset()
    """Jobs that ask after all others: those that fall short where shortage is spread fairly."""
    notes: tuple[str, ...] = ()
    """Which solvers failed before one did not."""


def relax(
    problem: ScheduleProblem,
    capacity: Capacity,
    *,
    time_limit_s: float,
    tell: bool = False,
    fine: bool = True,
) -> Relaxed:
    """The coarse problem, solved: on the true slots where that is small enough, and `fine`, else on hours.

    Unless tenants are to `tell` apart, it knows nothing of quotas and fairness. Raises SolverFailed.
    """
    ends = time.monotonic() + time_limit_s
    quotas = tell and problem.n_quotas > 0
    n_clusters = QUOTA_CLUSTERS if quotas else TOLD_CLUSTERS if tell else CLUSTERS
    clusters = Clusters(problem.jobs, kept_apart(problem, n_clusters) if tell else ())
    finest = _on_slots(problem, capacity, clusters, tell=tell) if fine and not quotas else None
    on_hours = coarsen(
        problem,
        capacity,
        clusters.about(n_clusters),
        slot_minutes=coarsest_minutes(problem.grid.slot_minutes),
    )
    coarse = on_hours if finest is None else finest
    rungs = INTERIOR_FIRST if quotas else SIMPLEX_FIRST
    if problem.risk is not None and problem.risk.n_paths > 1:
        # With all their paths such programs may take long: prices at which paths weigh the same are better than none.
        plain = replace(on_hours, problem=replace(on_hours.problem, risk=None))
        sure = _solved(problem, plain, rungs, 0.5 * time_limit_s, tell)
        try:
            return _solved(problem, coarse, PRIMAL_FIRST, ends - time.monotonic(), tell)
        except SolverFailed as failure:
            why = f"the coarser program was solved for the forecast alone, after {failure.detail}"
            return replace(sure, weights=problem.weights({}), notes=(*sure.notes, why))
    if coarse is not on_hours:
        with suppress(SolverFailed):
            return _solved(problem, coarse, rungs, 0.5 * time_limit_s, tell)
    return _solved(problem, on_hours, rungs, ends - time.monotonic(), tell)


def _on_slots(
    problem: ScheduleProblem, capacity: Capacity, clusters: Clusters, *, tell: bool
) -> Coarse | None:
    """The problem in fewer words on its own slots; None where that is too large, or they are hours anyhow."""
    own = problem.grid.slot_minutes
    if own == coarsest_minutes(own):
        return None
    work = clusters.about(TOLD_CLUSTERS if tell else FINE_CLUSTERS)
    finest = coarsen(problem, capacity, work, slot_minutes=own)
    return finest if finest.n_columns <= FINE_COLUMNS else None


def _solved(
    problem: ScheduleProblem, coarse: Coarse, rungs: Sequence[Rung], time_limit_s: float, tell: bool
) -> Relaxed:
    """What its optimum says of the true problem. Raises SolverFailed."""
    solution = solve(coarse.problem, coarse.work, coarse.capacity, time_limit_s=time_limit_s, rungs=rungs)
    used, drawn_kw, of_quotas = _use(coarse, solution)
    imports_kw = solution.values["import"].reshape(len(problem.sites), -1)
    beside = Beside.of(problem, solution.values, coarse.slot_of)
    return Relaxed(
        _on_true_slots(proof_prices(coarse.problem, solution), coarse),
        used[:, coarse.cell_of],
        drawn_kw[:, coarse.slot_of],
        Peaks.of(problem, imports_kw, beside),
        beside,
        coarse.problem.weights(solution.duals),
        of_quotas[:, coarse.slot_of],
        _yielding(coarse, solution) if tell and problem.fairness_price_per_hour > 0 else frozenset(),
        solution.notes,
    )


def _yielding(coarse: Coarse, solution: Solution) -> frozenset[str]:
    """Of each cluster that the coarse optimum leaves short, about as much work as is missing: what can move most."""
    found: list[str] = []
    for one, short in zip(coarse.work, solution.values["short"].tolist(), strict=True):
        missing = short - YIELD_LEAST * one.hours
        for job in sorted(one.jobs, key=lambda j: (j.start_us - j.end_us, j.id)):
            if missing <= job.hours / 2:
                break
            found.append(job.id)
            missing -= job.hours
    return frozenset(found)


def _on_true_slots(prices: SlotPrices, coarse: Coarse) -> SlotPrices:
    """A price per slot of an hour is half of it per half-hour. A kW from hour to hour is half of one from half-hour to
    half-hour."""
    ramp = None if prices.ramp is None else prices.ramp / coarse.share
    return replace(prices.map(lambda values: values[:, coarse.slot_of] * coarse.share), ramp=ramp)


def _use(coarse: Coarse, solution: Solution) -> tuple[Floats, Floats, Floats]:
    """What the work uses (n_pools, n_cells), and draws (n_sites, n_slots): less than full power where it is capped.

    And what of it each quota counts, (n_quotas, n_slots).
    """
    problem = coarse.problem
    of_quotas = np.zeros((problem.n_quotas, problem.n_cells))
    used = np.zeros((len(problem.pools), problem.n_cells))
    drawn = np.zeros((len(problem.sites), problem.n_cells))
    for one, (first, levels) in zip(coarse.work, solution.usage, strict=True):
        for way, level in zip(one.ways, levels, strict=True):
            cells = slice(first, first + len(level))
            used[way.pool, cells] += level
            drawn[problem.pools[way.pool].site, cells] += way.import_kw * level
            if 0 <= one.tenant < problem.n_quotas and problem.quota_counts[one.tenant, way.pool]:
                of_quotas[one.tenant, cells] += level
    starts = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    drawn_kw, of_slots = (
        np.add.reduceat(mean * problem.cell_share, starts, axis=1) for mean in (drawn, of_quotas)
    )
    return used, drawn_kw, of_slots


def cell_prices(problem: ScheduleProblem, prices: SlotPrices) -> Prices:
    """The same prices by cell."""
    slot, share = problem.cell_slot, problem.cell_share
    cost = np.array([problem.grid.slot_hours * site.unit_cost_per_kwh for site in problem.sites])
    per_kw = (cost + prices.power + prices.peak if prices.work is None else prices.work)[:, slot]
    quota = quota_prices(problem, prices.quota)
    return Prices(per_kw, share, prices.capacity[:, slot] * share, prices.reserve[:, slot] * share, quota)


def spread(problem: ScheduleProblem, jobs: Sequence[Job], relaxed: Relaxed, ledger: Ledger) -> Pieces:
    """Pieces for as much of these plain jobs as fits beside what `ledger` holds.

    Batteries count in the ledger; the peak is kept where the coarse optimum has it.
    """
    import_kw = np.minimum(ledger.room_kw(), relaxed.peaks.left_kw - ledger.placed_kw)
    if problem.budgets:
        import_kw = np.minimum(import_kw, _within_budgets(problem, relaxed, ledger))
    free = ledger.left()
    room = Room.of(free, import_kw, ledger.quota_left)
    at = cell_prices(problem.at_prices(relaxed.weights), relaxed.prices)
    target = Target(at, relaxed.used, relaxed.of_quotas)
    first = [job for job in jobs if job.id not in relaxed.yielding]
    uses = follow(problem, first, target, room)
    if len(first) == len(jobs):
        return pieces_of(problem, jobs, uses, free)
    last = [job for job in jobs if job.id in relaxed.yielding]
    after = follow(problem, last, target, room)
    after = replace(after, job=after.job + len(first))
    return pieces_of(problem, first + last, Uses.together([uses, after]), free)


def _within_budgets(problem: ScheduleProblem, relaxed: Relaxed, ledger: Ledger) -> Floats:
    """What more work may draw in each slot so that every budget is kept, (n_sites, n_slots) [kW].

    It is what the coarse optimum draws, which keeps them, less what is placed already. That may stand in other slots
    than there, which cost a budget more: then less is left, where a kW takes most of it.
    """
    counted = np.any([budget.bought > 0 for budget in problem.budgets], axis=0)
    most_kw = np.where(counted, np.maximum(0.0, relaxed.drawn_kw - ledger.placed_kw), np.inf)
    for budget, left in zip(problem.budgets, ledger.budgets_left(), strict=True):
        dearest_first = np.argsort(-budget.bought, axis=None, kind="stable")
        dearest_first = dearest_first[budget.bought.flat[dearest_first] > 0]
        used = budget.bought.flat[dearest_first] * most_kw.flat[dearest_first]
        over = used.sum() - max(0.0, left)
        kept = np.clip(np.cumsum(used) - over, 0.0, used)
        most_kw.flat[dearest_first] = kept / budget.bought.flat[dearest_first]
    return most_kw
