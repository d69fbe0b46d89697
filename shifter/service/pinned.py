"""Work that may not be interrupted and is running: the next plan must leave it where it is.

What it holds goes into a cycle's inputs as it stands (`CycleInputs.pinned`), and its lease stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from shifter.cycle import CycleInputs
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.service import leases
from shifter.store.workloads import WorkloadRecord


def pieces(records: Iterable[WorkloadRecord], fleet: Fleet, now: datetime) -> tuple[Allocation, ...]:
    """What those of the records hold that have begun and may not be interrupted, one piece each.

    A piece in a pool that the fleet no longer has is none: such work is planned anew.
    """
    running = (_running_piece(record, now) for record in records)
    return tuple(a for a in running if a is not None and (a.site, a.pool) in fleet.pools)


def _running_piece(record: WorkloadRecord, now: datetime) -> Allocation | None:
    if record.workload.interruptible or record.decided is WorkloadClass.REAL_TIME:
        return None
    held = leases.current(record.lease.allocations, now)
    return held[0] if held and held[0].start < now else None


def kept(
    record: WorkloadRecord, held: Sequence[Allocation], inputs: CycleInputs, now: datetime
) -> Sequence[Allocation]:
    """Its lease under a plan that holds `held` for it: where it is pinned, its own piece from its own start.

    The plan's row for it begins at the moment of planning, which is no change of the lease.
    """
    own = [a for a in inputs.pinned if a.workload_id == record.id and a.end > now]
    return [a for a in own if a in record.lease.allocations] or held
