"""Work that nobody reports on, credited with what it was let into, where that is not what its lease holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shifter.domain.rows import Allocation
from shifter.service import leases
from shifter.service.gate import Gate
from shifter.service.state import State
from shifter.store.workloads import WorkloadRecord


def is_apart(record: WorkloadRecord, let_in: Iterable[Allocation], now: datetime) -> bool:
    """Whether what it is let into is something else than its lease holds at that moment."""
    return places(let_in) != places(leases.current(record.lease.allocations, now))


def ran_in(record: WorkloadRecord, state: State) -> tuple[Allocation, ...]:
    """What it ran in since its work was last counted: what it was let into where that was apart from what its lease
    held, and else what that held, with a slot that began since anybody asked.
    """
    if record.id in state.apart:
        return state.let_in.get(record.id, ())
    return record.lease.allocations


def credited(record: WorkloadRecord, ran_in: tuple[Allocation, ...], gate: Gate) -> WorkloadRecord:
    """With what it did up to now, having run where it says; only what was vouched for counts."""
    if record.progress_source != "planned":
        return record
    ran = replace(record, lease=replace(record.lease, allocations=ran_in))
    done, serving = leases.done_at(ran, gate.fleet, gate.vouched), leases.serving_at(ran, gate.now)
    return replace(record, done=done, done_at=max(gate.now, record.done_at), serving=serving)


def places(allocations: Iterable[Allocation]) -> list[leases.Place]:
    """Where these are and how wide, in one order."""
    return sorted(leases.place(a) for a in allocations)
