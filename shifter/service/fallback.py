"""Work without a live slot that must start now to meet its deadline: what it may use, and no more.

An outage (of the daemon, or of planning) costs savings first, and never real-time capacity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shifter.domain.fleet import PoolKey, Site
from shifter.domain.grid_event import limits_in_force
from shifter.domain.options import Option, options_of
from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.service import leases
from shifter.service.gate import Gate
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES

STEP = timedelta(minutes=5)
"""How long a grant holds at most: the next question may be answered otherwise."""


def fallback_grants(gate: Gate) -> dict[str, tuple[Allocation, ...]]:
    """Accelerators for every workload that is past its latest start and in no live slot, the most urgent
    first; and before them for what runs so already and may not be interrupted, in its place.

    Together they stay within what the last plan leaves outside the reserve while a grant holds, less what
    leases in force hold, and within the power limits; where no plan tells the reserve there is nothing to
    give, since unknown is not free.
    """
    published = gate.state.published
    if published is None:
        return {}
    room = _room(published, gate)
    asking: list[tuple[bool, datetime, str, WorkloadRecord]] = []
    for record in gate.live:
        if not _may_fall_back(record, gate):
            continue
        begins, piece = gate.latest_start(record), gate.running(record)
        if piece is not None:
            asking.append((False, piece.start, record.id, record))
        elif begins is not None and max(begins, record.window_start) <= gate.now:
            asking.append((True, begins, record.id, record))
    in_order = [r for *_, r in sorted(asking, key=lambda a: a[:3])]
    return {r.id: given for r in in_order if (given := _give(r, room, gate))}


def _may_fall_back(record: WorkloadRecord, gate: Gate) -> bool:
    if record.state not in LIVE_STATES or record.decided is WorkloadClass.REAL_TIME:
        return False
    if record.window_deadline is None or gate.now >= record.window_deadline:
        return False
    if gate.running(record) is not None:
        return not gate.goes_on(record)
    if gate.waits_for(record):
        return False
    if gate.stale:
        return True
    published = gate.state.published
    placed = published is not None and record.id in gate.state.planned_ids
    return not leases.clipped(record.lease.allocations, gate.now) and not (
        placed and published is not None and record.id in published.unplaced
    )


@dataclass
class _Room:
    """What is left to give: accelerators by pool, and power by site [kW]."""

    free: dict[PoolKey, int]
    kw: dict[str, float]

    def most(self, option: Option) -> int:
        """How many accelerators can still be given to run so."""
        free, each_kw, kw = self.free.get(option.key, 0), option.import_kw, self.kw[option.key[0]]
        if each_kw > 0 and math.isfinite(kw):
            free = min(free, math.floor(max(0.0, kw) / each_kw + 1e-9))
        return free

    def take(self, option: Option, count: int) -> None:
        """Give so many of them."""
        self.free[option.key] -= count
        self.kw[option.key[0]] -= count * option.import_kw


def _room(published: Published, gate: Gate) -> _Room:
    end = gate.now + STEP
    free: dict[PoolKey, int] = {}
    busy: dict[PoolKey, float] = {}
    most_held = gate.most_held(end)
    for key in gate.fleet.pools:
        rows = [r for r in (published.row_at(key, t) for t in (gate.now, end)) if r is not None]
        if published.row_at(key, gate.now) is None:
            continue
        measured, held = gate.measured(key) or 0.0, most_held.get(key, 0)
        reserved = max(measured, *(r.reserved for r in rows), 0.0)
        free[key] = max(0, math.floor(gate.count(key, end) - reserved - held + 1e-9))
        busy[key] = held + max(measured, *(r.realtime_q for r in rows), 0.0)
    return _Room(free, {s.name: _headroom_kw(s, busy, published, gate) for s in gate.fleet.sites})


def _headroom_kw(site: Site, busy: dict[PoolKey, float], published: Published, gate: Gate) -> float:
    """What the power limits leave while a grant holds [kW], real-time load being at its quantile.

    A battery that charges by the plan counts; one that discharges is no reason to give more.
    """
    limit = limits_in_force(site, gate.state.grid_events, gate.now, gate.now + STEP)
    drawn = sum(
        p.idle_kw * p.count + p.dynamic_kw * busy.get((site.name, p.name), float(p.count)) for p in site.pools
    )
    rows = (r for r in published.plan.power if r.site == site.name)
    charge = max((r.charge_kw for r in rows if r.start < gate.now + STEP and r.end > gate.now), default=0.0)
    return limit - site.pue * drawn - charge


def _give(record: WorkloadRecord, room: _Room, gate: Gate) -> tuple[Allocation, ...]:
    """As many as it may use, in its fastest options first; only one of them where it may not be split.

    At full power, since it is late as it is; but what runs already goes on as it runs.
    """
    options, piece = options_of(record.workload, gate.fleet), gate.running(record)
    since = {_run(a): a.start for a in gate.let_in(record) or ()}
    left, given = record.workload.max_accelerators, []
    end = min(gate.now + STEP, record.window_deadline or gate.now)
    for option in sorted(options, key=lambda o: (-o.rate, o.key, o.model or "")):
        run = (*option.key, option.model, option.cap_kw)
        if run != _run(piece) if piece is not None else option.cap_kw is not None:
            continue
        size = option.replica if piece is None else piece.accelerators
        count = min(left if piece is None else size, room.most(option)) // size * size
        if count > 0:
            room.take(option, count)
            left -= count
            start = min(since.get(run, gate.now), gate.now)
            given.append(Allocation(record.id, *option.key, start, end, count, option.model, option.cap_kw))
            if not record.workload.interruptible:
                break
    return tuple(given)


def _run(a: Allocation) -> tuple[str, str, str | None, float | None]:
    """Where and how an allocation runs."""
    return a.site, a.pool, a.model, a.cap_kw
