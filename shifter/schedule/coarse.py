"""The same problem in fewer words: a few hundred clusters of jobs on a coarser grid, small enough to solve exactly.

What a large plan needs of a solver is the prices of the shared limits, and how far each pool is used in each slot; who
uses it can be found out afterwards, job by job, at those prices (`follow`). Both change little when like jobs are added
up and half-hours become hours. How little is not assumed: the bound is computed with every job on the true grid, so
that whatever is lost here shows in the plan's gap.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import SLOT_MINUTES, UTC_EPOCH, Floats, SlotGrid
from shifter.schedule.classes import WorkClass, option_sets
from shifter.schedule.jobs import HOUR_US, Ints, Job
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.sites import PoolArrays, SiteArrays
from shifter.schedule.tenants import NOBODY

ENDLESS_HOURS = 1e9

TOLD_RATIO = 0.9
"""Tenants may be told apart as long as the groups of work that make up clusters are fewer than this share of them."""


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
    problem: ScheduleProblem, capacity: Capacity, *, slot_minutes: int, n_clusters: int, tell: bool = False
) -> Coarse:
    """The problem in slots of `slot_minutes` (a multiple of its own), its jobs in at most about `n_clusters`.

    `tell`, work of different tenants is not added up, as far as that leaves clusters enough.
    """
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
    told = _told(problem, n_clusters) if tell else set()
    work = [_snapped(one, shift, length, now) for one in clusters(problem.jobs, n_clusters, told)]
    return Coarse(
        coarse, _capacity(problem, capacity, cell_of, slot_of, n), tuple(work), slot_of, cell_of, 1 / factor
    )


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


def _told(problem: ScheduleProblem, n_clusters: int) -> set[int]:
    """Tenants that stay apart: those with a quota before the others, then those that ask for more."""
    groups: defaultdict[int, set[object]] = defaultdict(set)
    for job, options in zip(problem.jobs, option_sets(problem.jobs), strict=True) if problem.tenants else ():
        groups[job.tenant].add((options, job.firm, job.open_ended))
    every = len(set().union(*groups.values()))
    order = sorted(
        range(len(problem.tenants)),
        key=lambda i: (i >= problem.n_quotas, -problem.tenants[i].asked_hours, i),
    )
    fits = np.cumsum([len(groups[i]) for i in order]) + every <= TOLD_RATIO * n_clusters
    return {i for i, one in zip(order, fits.tolist(), strict=True) if one}


def clusters(jobs: Sequence[Job], most: int, told: Collection[int] = ()) -> list[WorkClass]:
    """Jobs of like windows and widths added up, in about `most` clusters.

    Only what may run in the same ways, is equally firm, and of the same tenant where it is `told` apart, is added up at
    all. Then the cluster whose jobs are most
    unlike, by start, end and time needed, each weighted with its work, is halved, until there are enough.
    """
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, job in enumerate(jobs):
        if job.ways and job.hours > 0:
            tenant = job.tenant if job.tenant in told else NOBODY
            groups[(job.ways, job.firm, job.open_ended, tenant)].append(i)
    # As weights and as a trait, work that would take ages is as good as endless: squares of it must stay finite.
    hours = np.minimum([job.hours for job in jobs], ENDLESS_HOURS)
    width = np.array([job.max_accelerators for job in jobs], dtype=float)
    traits = np.array([[job.start_us, job.end_us] for job in jobs], dtype=float).reshape(-1, 2) / HOUR_US
    traits = np.column_stack([traits, hours / width])
    heap: list[tuple[float, int, Ints]] = []
    for group in groups.values():
        members = np.array(group, dtype=np.int64)
        heapq.heappush(heap, (-_spread(traits, hours, members), len(heap), members))
    serial = len(heap)
    while heap and len(heap) < most and heap[0][0] < 0:
        _, _, members = heapq.heappop(heap)
        for half in _halves(traits, hours, members):
            serial += 1
            heapq.heappush(heap, (-_spread(traits, hours, half), serial, half))
    return [
        _summed(jobs, traits, hours, width, members, told)
        for _, _, members in sorted(heap, key=lambda h: h[1])
    ]


def _spread(traits: Floats, hours: Floats, members: Ints) -> float:
    """How unlike the members are: work times the widest weighted standard deviation of a trait [h2]."""
    return float(hours[members].sum() * _deviations(traits, hours, members).max())


def _deviations(traits: Floats, hours: Floats, members: Ints) -> Floats:
    weight = hours[members] / hours[members].sum()
    chosen = traits[members]
    off = chosen - _mean(chosen, weight)
    deviations: Floats = np.sqrt(_mean(off * off, weight))
    return np.where(deviations > 1e-9, deviations, 0.0)


def _mean(traits: Floats, weight: Floats) -> Floats:
    """Weighted, (n_traits,). Not `weight @ traits`: threads would add that up in another order."""
    mean: Floats = (weight[:, None] * traits).sum(axis=0)
    return mean


def _halves(traits: Floats, hours: Floats, members: Ints) -> tuple[Ints, Ints]:
    trait = int(_deviations(traits, hours, members).argmax())
    order = members[np.argsort(traits[members, trait], kind="stable")]
    done = np.cumsum(hours[order])
    middle = int(np.searchsorted(done, done[-1] / 2)) + 1
    # Members that are alike in this trait stay together, unless all are on one side.
    values = traits[order, trait]
    if middle >= len(order) or values[middle - 1] == values[0]:
        middle = int(np.searchsorted(values, values[0], side="right"))
    return order[:middle], order[middle:]


def _summed(
    jobs: Sequence[Job], traits: Floats, hours: Floats, width: Floats, members: Ints, told: Collection[int]
) -> WorkClass:
    """All their work, in the window of the one that is most like all.

    A window of a real job, not the mean of theirs: half of them released now and half tomorrow are none that start at
    noon, and prices that suit such a window suit nobody.
    """
    weight = hours[members] / hours[members].sum()
    off = traits[members] - _mean(traits[members], weight)
    one = jobs[int(members[np.argmin((off * off).sum(axis=1))])]
    return WorkClass(
        jobs=tuple(jobs[i] for i in members) if told else (),
        hours=sum(jobs[i].hours for i in members),
        max_accelerators=float(width[members].sum()),
        start_us=one.start_us,
        end_us=one.end_us,
        ways=one.ways,
        firm=one.firm,
        open_ended=one.open_ended,
        tenant=one.tenant if one.tenant in told else NOBODY,
    )
