"""Work that may not be interrupted and is running: the next plan must leave it where it is.

What it runs in goes into a cycle's inputs (`CycleInputs.pinned`), and its lease stays the same, or lasts longer where
the work does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shifter.cycle import CycleInputs
from shifter.domain.fleet import Fleet
from shifter.domain.options import option_of
from shifter.domain.rows import Allocation
from shifter.service.core import Core
from shifter.service.gate import gate_of
from shifter.store.workloads import WorkloadRecord


def pieces(core: Core, records: Iterable[WorkloadRecord], now: datetime) -> tuple[Allocation, ...]:
    """What those of the records run in that may not be interrupted, one piece each, to its end.

    A piece in a pool that the fleet no longer has is none: such work is planned anew.
    """
    gate = gate_of(core, now)
    running = ((record, gate.running(record)) for record in records)
    found = (
        to_its_end(record, a, core.fleet)
        for record, a in running
        if a is not None and (a.site, a.pool) in core.fleet.pools
    )
    return tuple(a for a in found if a.start <= now < a.end)


def to_its_end(record: WorkloadRecord, a: Allocation, fleet: Fleet) -> Allocation:
    """The piece, as long as the work that was left at the last count takes in it, and its deadline allows.

    Work that is behind its plan stays for as long as it is; what is ahead of it says so when it is done.
    """
    option = option_of(record.workload, fleet, a)
    counted = record.progress_source == "reported" or a not in record.lease.allocations
    if option is None or not counted:
        return a
    since = max(record.done_at, a.start + option.load)
    end = since + timedelta(hours=record.remaining / (option.rate * a.accelerators))
    return replace(a, end=max(a.end, min(end, record.window_deadline or end)))


def kept(
    record: WorkloadRecord, held: Sequence[Allocation], inputs: CycleInputs, now: datetime
) -> Sequence[Allocation]:
    """Its lease under a plan that holds `held` for it: where it is pinned, its own piece from its own start.

    The plan's row for it begins at the moment of planning, which is no change of the lease.
    """
    return [a for a in inputs.pinned if a.workload_id == record.id and a.end > now] or held
