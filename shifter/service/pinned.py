"""Work that may not be interrupted and is running: the next plan must leave it where it is.

A plan knows only the future. So such work enters a snapshot with the window, the site and the width that it
holds, and with what is left of its run as the work left: the only place that is left for it is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shifter.cycle import CycleInputs, Submission
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Allocation
from shifter.domain.workload import Override, WorkloadClass, load_time, work_rates
from shifter.service import leases
from shifter.store.workloads import WorkloadRecord

FIT = 1 - 1e-6
"""Of the time that is left which its work fills, so that rounding never makes it too long."""


def running_piece(record: WorkloadRecord, now: datetime) -> Allocation | None:
    """What it holds now, where it has begun and may not be interrupted; None otherwise."""
    if record.workload.interruptible or record.decided is WorkloadClass.REAL_TIME:
        return None
    held = leases.current(record.lease.allocations, now)
    begun = held and held[0].start < now
    return held[0] if begun else None


def submission(record: WorkloadRecord, piece: Allocation, fleet: Fleet, now: datetime) -> Submission:
    """It as a snapshot holds it, pinned to the piece."""
    workload = record.workload
    accelerator = fleet.pools[piece.site, piece.pool][1].accelerator
    rate = work_rates(workload, fleet).get((piece.site, piece.pool), 0.0)
    left = max(timedelta(0), piece.end - now - load_time(workload, fleet)) / timedelta(hours=1)
    fixed = replace(
        workload,
        earliest_start=now,
        deadline=piece.end,
        sites=(piece.site,),
        max_accelerators=piece.accelerators,
        accelerators=(accelerator,) if workload.tokens is None else workload.accelerators,
        depends_on=(),
    )
    done = max(0.0, workload.amount - rate * piece.accelerators * left * FIT)
    return Submission(fixed, record.submitted_at, done)


def override(record: WorkloadRecord, now: datetime) -> Override:
    """It stays deferrable, though the pinned window leaves it no slack."""
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
