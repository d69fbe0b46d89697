"""Work that may not be interrupted and is running: the next plan must leave it where it is.

Its piece goes into the snapshot as `CycleInputs.running`, and the plan takes it as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shifter.cycle import CycleInputs
from shifter.domain.plan import Allocation
from shifter.domain.workload import Override, WorkloadClass
from shifter.service import leases
from shifter.store.workloads import WorkloadRecord

NEARLY_ALL_RATIO = 1 - 1e-6
"""Of its work that running work counts as having done at most, so that it is in every plan until its piece ends."""


def running_piece(record: WorkloadRecord, now: datetime) -> Allocation | None:
    """What it holds now, where it has begun and may not be interrupted; None otherwise."""
    if record.workload.interruptible or record.decided is WorkloadClass.REAL_TIME:
        return None
    held = leases.current(record.lease.allocations, now)
    begun = held and held[0].start < now
    return held[0] if begun else None


def override(record: WorkloadRecord, now: datetime) -> Override:
    """It stays deferrable, whatever the policy says by now."""
    text = "it is running and may not be interrupted"
    return Override(WorkloadClass.DEFERRABLE, "shifter", now, text, workload_id=record.id)


def kept(
    record: WorkloadRecord, held: Sequence[Allocation], inputs: CycleInputs, now: datetime
) -> Sequence[Allocation]:
    """Its lease under a plan that holds `held` for it: its own piece, to the end, whatever the plan says."""
    piece = running_piece(record, inputs.now)
    if piece is None or piece.end <= now:
        return held
    return (piece,)
