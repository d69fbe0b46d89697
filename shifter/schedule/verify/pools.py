"""The conditions of each pool: capacity and reserve at every instant, and rows that say what the allocations do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.domain.plan import Allocation
from shifter.schedule.verify.case import (
    LEVEL_TOLERANCE,
    Case,
    differs,
    levels,
    mean_use,
    positions,
    slots_between,
)
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_pools(case: Case) -> Iterator[Violation]:
    """Nothing stands in real-time load at the quantile, and what may not be preempted not in the reserve."""
    groups: defaultdict[PoolKey, list[Allocation]] = defaultdict(list)
    for a in case.plan.allocations:
        groups[(a.site, a.pool)].append(a)
    for key, own in groups.items():
        firm = [a for a in own if not case.work[a.workload_id].workload.preemptible]
        limits = (
            (ViolationCode.CAPACITY, own, case.quantile(key)),
            (ViolationCode.RESERVE, firm, case.reserved(key)),
        )
        for code, members, kept in limits:
            over = _over(case, key, members, kept)
            slots = np.flatnonzero(over > LEVEL_TOLERANCE)
            if len(slots):
                most = (
                    f"up to {over.max():.3f} accelerators too many in {len(slots)} slots from {slots[0]} on"
                )
                yield Violation(code, "/".join(key), most)


def _over(case: Case, key: PoolKey, members: list[Allocation], kept: Floats) -> Floats:
    """By how much members and what is kept exceed the pool at any instant of each slot.

    Where all of them are pinned no plan could do better, so that is not looked at.
    """
    over = np.zeros(case.grid.n_slots)
    count = case.fleet.pools[key][1].count
    for start, end, level, of_plan in levels(members, case.pinned):
        if of_plan:
            slots = slots_between(case.grid, start, end)
            at = slice(slots.start, slots.stop)
            over[at] = np.maximum(over[at], level + kept[at] - count)
    return over


def check_powered_down(case: Case) -> Iterator[Violation]:
    """What is powered down is idle: neither real-time load, its reserve nor work stands on it, at any instant."""
    for key, (_, pool) in case.fleet.pools.items():
        off, subject = case.off[key], "/".join(key)
        if pool.off_kw is None:
            if any((r.site, r.pool) == key and r.off is not None for r in case.plan.slots):
                yield Violation(ViolationCode.POWERED_DOWN, subject, "may not be powered down")
            continue
        over = off - _idle(case, key)
        if not ((off >= -LEVEL_TOLERANCE) & (over <= LEVEL_TOLERANCE)).all():
            detail = f"from {off.min():.3f} to {over.max():.3f} accelerators more than are idle"
            yield Violation(ViolationCode.POWERED_DOWN, subject, detail)


def _idle(case: Case, key: PoolKey) -> Floats:
    """Accelerators that are idle and not kept, from now on: the mean over each slot of what every instant leaves."""
    own = [a for a in case.plan.allocations if (a.site, a.pool) == key]
    n, count = case.grid.n_slots, case.fleet.pools[key][1].count
    start, end = (positions(case.grid, [getattr(a, f) for a in own]) for f in ("start", "end"))
    now = case.grid.position(case.now)
    edges = np.unique(np.clip(np.concatenate([np.arange(n + 1), [now], start, end]), 0, n))
    slot = edges[:-1].astype(int)
    level = np.array([a.accelerators for a in own], dtype=float)
    firm = np.array([not case.work[a.workload_id].workload.preemptible for a in own], dtype=float)
    left = np.full(len(slot), np.inf)
    for kept, held in ((case.quantile(key), level), (case.reserved(key), level * firm)):
        change = np.zeros(len(edges))
        np.add.at(change, np.searchsorted(edges, np.clip(start, 0, n)), held)
        np.add.at(change, np.searchsorted(edges, np.clip(end, 0, n)), -held)
        left = np.minimum(left, count - kept[slot] - np.cumsum(change)[:-1])
    lengths = np.where(edges[:-1] >= now - 1e-9, np.diff(edges), 0.0)
    return np.bincount(slot, np.maximum(0.0, left) * lengths, n).astype(float)


def check_slots(case: Case) -> Iterator[Violation]:
    """Each row is the mean of what the allocations do, beside the real-time load and the reserve of the inputs."""
    soft = mean_use(case, (a for a in case.plan.allocations if case.work[a.workload_id].workload.preemptible))
    for key, (_, pool) in case.fleet.pools.items():
        rows = [r for r in case.plan.slots if (r.site, r.pool) == key]
        figures: dict[str, tuple[list[float], ArrayLike]] = {
            "deferrable": ([r.deferrable for r in rows], case.used[key]),
            "preemptible": ([r.preemptible for r in rows], soft[key]),
            "reserved": ([r.reserved for r in rows], case.reserved(key)),
            "realtime_p50": ([r.realtime_p50 for r in rows], case.realtime.median(key)),
            "realtime_q": ([r.realtime_q for r in rows], case.quantile(key)),
            "count": ([r.count for r in rows], pool.count),
        }
        for name, (said, real) in figures.items():
            if differs(said, real, LEVEL_TOLERANCE):
                most = np.abs(np.subtract(said, real)).max()
                yield Violation(ViolationCode.SLOT_ROW, "/".join(key), f"{name} is off by up to {most:.6g}")
