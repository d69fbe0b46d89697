"""The same problem in fewer words: a few hundred clusters of jobs on a coarser grid, small enough to solve exactly.

What a large plan needs of a solver is the prices of the shared limits, and how far each pool is used in each slot; who
uses it can be found out afterwards, job by job, at those prices (`follow`). Both change little when like jobs are added
up and half-hours become hours. How little is not assumed: the bound is computed with every job on the true grid, so
that whatever is lost here shows in the plan's gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import SLOT_MINUTES, UTC_EPOCH, Floats, SlotGrid
from shifter.schedule.classes import WorkClass
from shifter.schedule.jobs import HOUR_US, Ints
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.sites import PoolArrays, SiteArrays


@dataclass(frozen=True, eq=False)
class Coarse:
    """A problem on a coarser grid, what is free in it, and its work.

    `slot_of` (n_slots,) and `cell_of` (n_cells,) say which coarse slot and cell holds each true one.
    """

    problem: ScheduleProblem
    capacity: Capacity
    work: tuple[WorkClass, ...]
    slot_of: Ints
    cell_of: Ints
    share: float
    """A true slot's share of a coarse one."""

    @property
    def n_columns(self) -> int:
        """Variables of its work."""
        edges = self.problem.edges_us
        start, end = (
            np.array([getattr(w, f) for w in self.work], dtype=np.int64) for f in ("start_us", "end_us")
        )
        cells = np.searchsorted(edges, end) - np.searchsorted(edges, start)
        return int((cells * np.array([len(w.ways) for w in self.work], dtype=np.int64)).sum())


def coarsen(
    problem: ScheduleProblem, capacity: Capacity, work: Iterable[WorkClass], *, slot_minutes: int
) -> Coarse:
    """The problem in slots of `slot_minutes` (a multiple of its own), and this as its work."""
    factor = slot_minutes // problem.grid.slot_minutes
    length = problem.slot_us * factor
    lead = int((problem.grid.start - UTC_EPOCH).total_seconds() // 60) % slot_minutes
    before = lead // problem.grid.slot_minutes  # true slots of the first coarse one that lie before the grid
    slot_of = (np.arange(problem.grid.n_slots) + before) // factor
    n = int(slot_of[-1]) + 1
    grid = SlotGrid(problem.grid.moment(-before), slot_minutes, n)
    first = np.searchsorted(slot_of, np.arange(n))
    count = np.diff(np.append(first, len(slot_of)))

    def mean(values: Floats) -> Floats:
        averaged: Floats = np.add.reduceat(values, first) / count
        return averaged

    shift = before * problem.slot_us
    now = problem.now_us + shift
    edges = np.unique(np.append(np.arange(n + 1) * length, now))
    coarse = replace(
        problem,
        grid=grid,
        sites=tuple(_site(site, mean, factor) for site in problem.sites),
        pools=tuple(_pool(pool, mean) for pool in problem.pools),
        jobs=(),
        edges_us=edges,
        now_us=now,
        pinned=(),
        risk=None if problem.risk is None else problem.risk.averaged(first, count),
        budgets=tuple(
            replace(
                b,
                bought=np.add.reduceat(b.bought, first, axis=1),
                sold=np.add.reduceat(b.sold, first, axis=1),
            )
            for b in problem.budgets
        ),
        tenants=tuple(tenant.averaged(first, factor) for tenant in problem.tenants),
    )
    cell_of = np.searchsorted(edges, problem.edges_us[:-1] + shift, side="right") - 1
    free = _capacity(problem, capacity, cell_of, slot_of, n)
    snapped = tuple(_snapped(one, shift, length, now) for one in work)
    return Coarse(coarse, free, snapped, slot_of, cell_of, 1 / factor)


def coarsest_minutes(slot_minutes: int) -> int:
    """The longest slot that a grid of these slots may be coarsened to."""
    return max(m for m in SLOT_MINUTES if m % slot_minutes == 0)


def _site(site: SiteArrays, mean: object, factor: int) -> SiteArrays:
    assert callable(mean)
    names = ("median_kw", "quantile_kw", "ride_through_kw", "limit_kw", "price_per_kwh", "carbon_kg_per_kwh")
    series = (*names, "generation_kw", "export_price_per_kwh")
    found = {n: mean(v) for n in series if (v := getattr(site, n)) is not None}
    if site.ramp_kw is not None:
        found["ramp_kw"] = site.ramp_kw * factor
    if isinstance(site.most_saved_kw, np.ndarray):
        found["most_saved_kw"] = mean(site.most_saved_kw)
    return replace(site, **found)


def _pool(pool: PoolArrays, mean: object) -> PoolArrays:
    assert callable(mean)
    return pool if pool.spare is None else replace(pool, spare=np.array([mean(row) for row in pool.spare]))


def _capacity(
    problem: ScheduleProblem, capacity: Capacity, cell_of: Ints, slot_of: Ints, n_slots: int
) -> Capacity:
    """Means of what is free, by the time that each cell holds after now."""
    hours = problem.cell_hours * (problem.edges_us[:-1] >= problem.now_us)
    n_cells = int(cell_of[-1]) + 1
    total = np.bincount(cell_of, hours, n_cells)

    def mean(values: Ints | Floats) -> Floats:
        summed = np.array([np.bincount(cell_of, row * hours, n_cells) for row in values])
        averaged: Floats = np.divide(summed, total, out=np.zeros_like(summed), where=total > 0)
        return averaged

    count = np.bincount(slot_of, minlength=n_slots)
    placed = np.array([np.bincount(slot_of, row, n_slots) / count for row in capacity.placed_kw])
    return Capacity(mean(capacity.any), mean(capacity.firm), placed)


def _snapped(one: WorkClass, shift: int, length: int, now: int) -> WorkClass:
    """Its window on the coarse grid, at least as long as its work needs at full width."""
    start = max(now, round((one.start_us + shift) / length) * length)
    end = round((one.end_us + shift) / length) * length
    needed = min(one.hours / one.max_accelerators * HOUR_US, float(one.end_us - one.start_us + length))
    end = max(end, start + -(-int(needed) // length) * length)
    return replace(one, start_us=start, end_us=end)
