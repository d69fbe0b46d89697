r"""What would change if one job alone ran at once and all else stayed as planned: what its slots are worth.

The grid's price alone does not say why work is where it is: its kWh may come from the site's own plant, its
accelerators may be powered in any case, a budget or a quota may have no room for it at once. So each job's pieces are
taken out of the plan, and put where running at once has them:

    load'[s,t] = load[s,t] - its own kW + its kW at once - what else may then be powered down

and each slot is read again, the plant used as pays best (`_Meters`). Batteries and other work stay as they are. With no
term in use that makes a kWh cost anything else than the grid's price, that is what the bill says already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.columns import Columns, slot_shares
from shifter.schedule.jobs import Ints
from shifter.schedule.problem import BudgetArrays, ScheduleProblem
from shifter.schedule.settle import Settled, Sources, quota_use
from shifter.schedule.sites import supplies

Both = tuple[Columns, Columns]
"""Pieces in the plan, and those of the same jobs at once."""

TOLERANCE = 1e-6
"""A budget is broken by more than this share of its limit, or of its unit."""


@dataclass(frozen=True, eq=False)
class Instead:
    """Every job in its slots and at once instead, (n_jobs,) [currency], all else as planned."""

    there: Floats
    at_once: Floats
    powering: Floats
    """The part of `at_once` that accelerators make which would be powered for it, less those that are for it now."""
    budgets: Floats
    """What more of each budget it would use at once, (n_budgets, n_jobs)."""
    left: Floats
    """What the plan leaves of each budget, (n_budgets,)."""
    over_quota_hours: Floats
    """Accelerator-hours more beyond its tenant's quota."""

    def breaks(self, problem: ScheduleProblem, job: int) -> tuple[BudgetArrays, float, float] | None:
        """A budget that it would break at once, how much more of it that would take, and what is left of it."""
        for budget, more, left in zip(problem.budgets, self.budgets[:, job], self.left, strict=True):
            noise = TOLERANCE * max(1.0, abs(budget.limit))
            if more > max(0.0, left) + noise:
                return budget, float(more), float(left) if left > noise else 0.0
        return None


def instead(
    problem: ScheduleProblem,
    both: Both,
    paid: tuple[Floats, Floats],
    settled: Settled,
    sources: Sources | None,
) -> Instead:
    """`paid` is what the grid would charge for each, (n_jobs,); `settled` and `sources` are the plan's."""
    n = len(problem.jobs)
    over = _over_quota_hours(problem, both) if problem.n_quotas else np.zeros(n)
    used = np.array([budget.used(settled.import_kw - settled.export_kw) for budget in problem.budgets])
    left = np.array([budget.limit for budget in problem.budgets]) - used
    if not (problem.has_sources or problem.exporting_sites or problem.budgets):
        return Instead(*paid, np.zeros(n), np.zeros((0, n)), left, over)
    site = np.array([pool.site for pool in problem.pools], dtype=np.int64)
    moves = _Moves.of(problem, both, site, lambda columns: columns.drawn_kw)
    generated_kw = (sources or Sources.none(problem)).generated_kw
    load_kw = (settled.import_kw - settled.export_kw + generated_kw)[moves.row, moves.slot]
    saved_kw = _powered_down(problem, both, settled, moves)
    meters = _Meters(problem, moves.row, moves.slot)
    # As planned; without the job; with it at once; and that with no more and no less powered down.
    rest_kw = load_kw - moves.own
    loads_kw = load_kw, rest_kw - saved_kw[0], rest_kw + moves.at_once - saved_kw[1], rest_kw + moves.at_once
    (planned, now), (without, _), (with_it, then), (unpowered, _) = (meters.read(kw) for kw in loads_kw)
    more = [
        moves.by_job(budget.bought[moves.row, moves.slot] * (then[0] - now[0]), n)
        - moves.by_job(budget.sold[moves.row, moves.slot] * (then[1] - now[1]), n)
        for budget in problem.budgets
    ]
    return Instead(
        moves.by_job(planned - without, n),
        moves.by_job(with_it - without, n),
        moves.by_job(with_it - unpowered, n),
        np.array(more).reshape(len(problem.budgets), n),
        left,
        over,
    )


@dataclass(frozen=True, eq=False)
class _Moves:
    """An amount of each job by row (a site, a pool or a quota) and slot, in its slots and at once, (n_moves,) each."""

    job: Ints
    row: Ints
    slot: Ints
    own: Floats
    at_once: Floats

    @classmethod
    def of(
        cls,
        problem: ScheduleProblem,
        both: Both,
        row_of_pool: Ints,
        amount: Callable[[Columns], Floats | Ints],
    ) -> _Moves:
        """Slot means of an `amount` of each piece; `row_of_pool` says where the pieces of a pool count."""
        n_slots, n_rows = problem.grid.n_slots, int(row_of_pool.max()) + 1
        keys, parts = [], []
        for columns in both:
            which, slot, share = slot_shares(problem, columns)
            row = row_of_pool[columns.pool[which]]
            keys.append((columns.job[which] * n_rows + row) * n_slots + slot)
            parts.append(amount(columns)[which] * share)
        found, at = np.unique(np.concatenate(keys), return_inverse=True)
        sums = [
            np.bincount(into, part, len(found)).astype(float)
            for into, part in zip(np.split(at, [len(parts[0])]), parts, strict=True)
        ]
        place, slot = np.divmod(found, n_slots)
        return cls(*np.divmod(place, n_rows), slot, *sums)

    def by_job(self, amount: Floats, n_jobs: int) -> Floats:
        """The sum of an amount of each move, (n_jobs,)."""
        return np.bincount(self.job, amount, n_jobs)[:n_jobs].astype(float)

    def where(self, chosen: NDArray[np.bool_]) -> _Moves:
        """Some of them."""
        job, row, slot = (column[chosen] for column in (self.job, self.row, self.slot))
        return _Moves(job, row, slot, self.own[chosen], self.at_once[chosen])


class _Meters:
    """What a site's load comes to in a slot, its plant used as pays best; one row a move."""

    def __init__(self, problem: ScheduleProblem, site: Ints, slot: Ints) -> None:
        none, sites = np.zeros(problem.grid.n_slots), problem.sites

        def of_slots(values: Sequence[Floats | None]) -> Floats:
            return np.array([none if one is None else one for one in values])[site, slot]

        self._hours = problem.grid.slot_hours
        self._supplies = partial(
            supplies,
            unit_cost_per_kwh=of_slots([one.unit_cost_per_kwh for one in sites]),
            available_kw=of_slots([one.generation_kw for one in sites]),
            own_cost_per_kwh=np.array([one.generation_cost_per_kwh for one in sites])[site],
            earned_per_kwh=of_slots([one.export_price_per_kwh for one in sites]),
            export_limit_kw=np.array([one.export_limit_kw for one in sites])[site],
        )

    def read(self, load_kw: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
        """What a load costs [currency], and its import and export [kW]."""
        every = self._supplies(load_kw)
        best = every[0].argmin(axis=0)[None]
        cost, import_kw, export_kw = (np.take_along_axis(part, best, axis=0)[0] for part in every)
        return self._hours * cost, (import_kw, export_kw)


def _powered_down(
    problem: ScheduleProblem, both: Both, settled: Settled, moves: _Moves
) -> tuple[Floats, Floats]:
    """What more would be saved by powering down without the job, and with it at once, for each of its moves [kW]."""
    saved = np.zeros((2, len(moves.job)))
    if not problem.pools_that_rest:
        return saved[0], saved[1]
    n_sites, n_slots = len(problem.sites), problem.grid.n_slots
    place = (moves.job * n_sites + moves.row) * n_slots + moves.slot
    by_pool = _Moves.of(problem, both, np.arange(len(problem.pools)), lambda columns: columns.accelerators)
    firm_of = np.array([job.firm for job in problem.jobs], dtype=float)
    for p in problem.pools_that_rest:
        pool, here = problem.pools[p], by_pool.where(by_pool.row == p)
        assert pool.spare is not None
        firm = firm_of[here.job]
        every = (pool.spare[0] - settled.deferrable[p])[here.slot]
        outside = (pool.spare[1] - (settled.deferrable[p] - settled.preemptible[p]))[here.slot]
        at = np.searchsorted(place, (here.job * n_sites + pool.site) * n_slots + here.slot)
        pays_kw = pool.saved_kw * (problem.sites[pool.site].unit_cost_per_kwh[here.slot] > 0)
        off = _idle(every, outside)
        for i, less in enumerate((here.own, here.own - here.at_once)):
            np.add.at(saved[i], at, pays_kw * (_idle(every + less, outside + firm * less) - off))
    return saved[0], saved[1]


def _idle(every: Floats, outside: Floats) -> Floats:
    """What may be off: neither real-time load at its quantile and all work need it, nor the reserve and firm work."""
    return np.maximum(0.0, np.minimum(every, outside))


def _over_quota_hours(problem: ScheduleProblem, both: Both) -> Floats:
    """Of each job, accelerator-hours more beyond its tenant's quota at once, (n_jobs,)."""
    n = len(problem.jobs)
    left = np.array([tenant.left for tenant in problem.tenants[: problem.n_quotas]])
    over_kept = quota_use(problem, both[0]) - left
    quota_of = problem.quota_of
    one_row = np.zeros(len(problem.pools), dtype=np.int64)
    counted = _counted(problem, both[0]), _counted(problem, both[1])
    moves = _Moves.of(problem, counted, one_row, lambda columns: columns.accelerators)
    kept = over_kept[quota_of[moves.job], moves.slot]
    then = kept - moves.own + moves.at_once
    more = np.maximum(0.0, then) - np.maximum(0.0, kept)
    return moves.by_job(more, n) * problem.grid.slot_hours


def _counted(problem: ScheduleProblem, columns: Columns) -> Columns:
    """Those that a quota counts."""
    quota = problem.quota_of[columns.job]
    rows = np.flatnonzero(quota >= 0)
    return columns.where(rows[problem.quota_counts[quota[rows], columns.pool[rows]]])
