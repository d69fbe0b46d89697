"""Work without a live slot that must start now to meet its deadline: what it may use, and no more.

An outage (of the daemon, or of planning) costs savings, never a deadline or real-time capacity.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from shifter.domain.fleet import PoolKey
from shifter.domain.plan import Allocation
from shifter.domain.workload import WorkloadClass, replica_size, work_rates
from shifter.service import leases
from shifter.service.gate import Gate
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES

STEP = timedelta(minutes=5)
"""How long a grant holds at most: the next question may be answered otherwise."""


def fallback_grants(gate: Gate) -> dict[str, tuple[Allocation, ...]]:
    """Accelerators for every workload that is past its latest start and in no live slot, the most urgent
    first.

    Together they stay within what the last plan leaves outside the reserve in this slot; where no plan
    tells the reserve there is nothing to give, since unknown is not free.
    """
    published = gate.state.published
    if published is None:
        return {}
    free = _free_outside_reserve(published, gate)
    urgent: list[tuple[datetime, str, WorkloadRecord]] = []
    for record in gate.live:
        if not _may_fall_back(record, gate):
            continue
        start = leases.latest_start(record, gate.fleet, gate.vouched)
        if start is not None and max(start, record.window_start) <= gate.now:
            urgent.append((start, record.id, record))
    in_order = [r for *_, r in sorted(urgent, key=lambda u: u[:2])]
    return {r.id: given for r in in_order if (given := _give(r, free, gate))}


def _may_fall_back(record: WorkloadRecord, gate: Gate) -> bool:
    if record.state not in LIVE_STATES or record.decided is WorkloadClass.REAL_TIME:
        return False
    if record.window_deadline is None or gate.now >= record.window_deadline:
        return False
    if any(is_live(gate.state.records.get(d)) for d in record.workload.depends_on):
        return False
    if gate.stale:
        return True
    published = gate.state.published
    placed = published is not None and record.id in gate.state.planned_ids
    return not leases.clipped(record.lease.allocations, gate.now) and not (
        placed and published is not None and record.id in published.unplaced
    )


def is_live(record: WorkloadRecord | None) -> bool:
    return record is not None and record.state in LIVE_STATES


def _free_outside_reserve(published: Published, gate: Gate) -> dict[PoolKey, int]:
    held = {} if gate.stale else gate.held
    free: dict[PoolKey, int] = {}
    for key, (_, pool) in gate.fleet.pools.items():
        row = published.row_at(key, gate.now)
        if row is not None:
            busy = max(row.reserved, gate.measured(key) or 0.0)
            free[key] = max(0, math.floor(pool.count - busy - held.get(key, 0) + 1e-9))
    return free


def _give(record: WorkloadRecord, free: dict[PoolKey, int], gate: Gate) -> tuple[Allocation, ...]:
    """As many as it may use, in its fastest pools first; only one pool where it may not be split."""
    rates = work_rates(record.workload, gate.fleet)
    left, given = record.workload.max_accelerators, []
    end = min(gate.now + STEP, record.window_deadline or gate.now)
    for key in sorted(rates, key=lambda k: (-rates[k], k)):
        size = replica_size(record.workload, gate.fleet, key)
        count = min(left, free.get(key, 0)) // size * size
        if count > 0:
            free[key] -= count
            left -= count
            given.append(Allocation(record.id, *key, gate.now, end, count))
            if not record.workload.interruptible:
                break
    return tuple(given)
