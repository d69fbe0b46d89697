"""The conditions of each pool: capacity and reserve at every instant, and rows that say what the allocations do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.schedule.verify.case import LEVEL_TOLERANCE, Case, differs
from shifter.schedule.verify.columns import Columns, Levels, microseconds
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_pools(case: Case) -> Iterator[Violation]:
    """Nothing stands in real-time load at the quantile, and what may not be preempted not in the reserve; where the
    mode is strict, nothing at all."""
    own = case.columns
    firm = own.where(~case.about.soft[own.work])
    over = {
        ViolationCode.CAPACITY: over_pools(case, own, case.kept),
        ViolationCode.RESERVE: over_pools(case, firm, case.reserved),
    }
    for i, key in enumerate(case.fleet.pools):
        for code, by in over.items():
            slots = np.flatnonzero(by[i] > LEVEL_TOLERANCE)
            if len(slots):
                most = (
                    f"up to {by[i].max():.3f} accelerators too many in {len(slots)} slots from {slots[0]} on"
                )
                yield Violation(code, "/".join(key), most)


def over_pools(case: Case, members: Columns, kept: Callable[[PoolKey], Floats]) -> Floats:
    """By how much members and what is kept exceed each pool at any instant of each slot, (n_pools, n_slots).

    Where all of them are pinned no plan could do better, so that is not looked at.
    """
    over = np.zeros((len(case.fleet.pools), case.grid.n_slots))
    left = np.array([case.count(key) - kept(key) for key in case.fleet.pools])
    used = Levels.of(members, members.pool, ~case.about.pinned[members.work])
    slot, which = used.slots(case.grid)
    planned = used.part[which] > 0
    slot, which = slot[planned], which[planned]
    at = (used.row[which], slot)
    np.maximum.at(over, at, used.level[which] - left[at])
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
    own = case.columns.where(case.columns.pool == list(case.fleet.pools).index(key))
    n, count = case.grid.n_slots, case.count(key)
    start, end = (moments / microseconds(case.grid.slot) for moments in (own.start_us, own.end_us))
    now = case.grid.position(case.now)
    edges = np.unique(np.clip(np.concatenate([np.arange(n + 1), [now], start, end]), 0, n))
    slot = edges[:-1].astype(int)
    level, firm = own.accelerators.astype(float), ~case.about.soft[own.work]
    left = np.full(len(slot), np.inf)
    for kept, held in ((case.kept(key), level), (case.reserved(key), level * firm)):
        change = np.zeros(len(edges))
        np.add.at(change, np.searchsorted(edges, np.clip(start, 0, n)), held)
        np.add.at(change, np.searchsorted(edges, np.clip(end, 0, n)), -held)
        left = np.minimum(left, (count - kept)[slot] - np.cumsum(change)[:-1])
    lengths = np.where(edges[:-1] >= now - 1e-9, np.diff(edges), 0.0)
    return np.bincount(slot, np.maximum(0.0, left) * lengths, n).astype(float)


def check_slots(case: Case) -> Iterator[Violation]:
    """Each row is the mean of what the allocations do, beside the real-time load and the reserve of the inputs."""
    soft = case.mean_use(case.columns.where(case.about.soft[case.columns.work]))
    for key in case.fleet.pools:
        rows = [r for r in case.plan.slots if (r.site, r.pool) == key]
        figures: dict[str, tuple[list[float], ArrayLike]] = {
            "deferrable": ([r.deferrable for r in rows], case.used[key]),
            "preemptible": ([r.preemptible for r in rows], soft[key]),
            "reserved": ([r.reserved for r in rows], case.reserved(key)),
            "realtime_p50": ([r.realtime_p50 for r in rows], case.realtime.median(key)),
            "realtime_q": ([r.realtime_q for r in rows], case.quantile(key)),
            "count": ([r.count for r in rows], case.count(key)),
        }
        for name, (said, real) in figures.items():
            if differs(said, real, LEVEL_TOLERANCE):
                most = np.abs(np.subtract(said, real)).max()
                yield Violation(ViolationCode.SLOT_ROW, "/".join(key), f"{name} is off by up to {most:.6g}")
