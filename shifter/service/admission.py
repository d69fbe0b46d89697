"""May it run now: the gate's answer, from the lease while it is live, and from the deadline when it is not.

Three promises, in this order:

1. Nothing deferrable is let in where real-time load is: when measured load outgrows the pool, preemptible work
   yields, and what has not begun waits. What runs and may not be preempted stays.
2. With a live lease a workload runs inside its allocations and nowhere else.
3. When nobody vouches for the plan (a stale lease, or work that no plan has placed yet), a workload waits
   until its latest start and then runs, on accelerators that are outside the reserve: an outage costs
   savings first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shifter.domain.fleet import PoolKey
from shifter.domain.moments import in_words
from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.service import leases
from shifter.service.core import Change
from shifter.service.gate import Gate
from shifter.store.workloads import WorkloadRecord
from shifter.views import Admission, AdmissionState, EventKind, WorkloadState

RETRY_S = 60.0
"""How long a gate waits where no better moment is known."""


def admission(record: WorkloadRecord, gate: Gate) -> Admission:
    """The answer for one workload at the gate's moment."""
    ended = _ended(record, gate)
    if ended is not None:
        return ended
    if record.decided is WorkloadClass.REAL_TIME:
        text = "It is real-time work: it runs as it arrives, on capacity that is reserved for it."
        return _answer(record, gate, AdmissionState.RUN, text)
    held = gate.stands_in(record)
    if held:
        return _inside(record, held, gate)
    if gate.running(record):
        return _without_plan(record, gate, "It runs, and may not be interrupted")
    if gate.stale:
        return _without_plan(record, gate, "The daemon has not renewed its leases")
    if leases.current(record.lease.allocations, gate.now):
        return _blocked(record, gate, "Its time has come")
    return _outside(record, gate)


def _ended(record: WorkloadRecord, gate: Gate) -> Admission | None:
    """Work that will not be let in, whatever the plan says."""
    if record.state is WorkloadState.CANCELLED:
        text = "It was cancelled."
    elif record.state is WorkloadState.DONE:
        left = record.done < record.workload.amount
        text = "Its time is over." if left else "All of its work is done."
    elif record.decided is WorkloadClass.REAL_TIME and record.state is not WorkloadState.LATE:
        return None
    elif record.state is WorkloadState.LATE or gate.now >= (record.window_deadline or gate.now):
        text = "Its deadline has passed with work left; a new deadline needs a new workload."
    else:
        return None
    return _answer(record, gate, AdmissionState.REJECTED, text)


def _inside(record: WorkloadRecord, held: Sequence[Allocation], gate: Gate) -> Admission:
    """It holds accelerators now; what it leaves to real-time load is taken off."""
    granted = less(held, gate.yields_of(record))
    ends = leases.holds_until(record.lease.allocations, gate.now)
    if not granted:
        ran = (
            record.done > 0 or record.id in gate.state.stopping or bool(record.serving or gate.let_in(record))
        )
        text = "Real-time load has outgrown the plan, and leaves it no room to begin in."
        if record.workload.preemptible:
            text = "Real-time load needs the accelerators it holds, and it may be preempted."
        state = AdmissionState.STOP if ran else AdmissionState.WAIT
        return _answer(record, gate, state, text, retry_after_s=RETRY_S)
    count = sum(a.accelerators for a in granted)
    lost = sum(a.accelerators for a in held) - count
    places = ", ".join(sorted({f"{a.site}/{a.pool}" for a in granted}))
    text = f"It holds {count} accelerators in {places} until {_hm(ends)}."
    if lost:
        text = f"{text} Real-time load needs {lost} of those that were planned."
    change = min([a.end for a in granted] + [a.start for a in _ahead(record, gate)], default=gate.now)
    return _answer(
        record,
        gate,
        AdmissionState.RUN,
        text,
        not_after=ends,
        retry_after_s=min((change - gate.now).total_seconds(), RETRY_S),
        allocations=granted,
    )


def _outside(record: WorkloadRecord, gate: Gate) -> Admission:
    """A live lease that does not hold now."""
    begins = leases.next_start(record.lease.allocations, gate.now)
    begun = _begun(record, gate)
    if begins is not None:
        waits = (begins - gate.now).total_seconds()
        state = AdmissionState.STOP if begun else AdmissionState.WAIT
        text = f"Its time {'is over for now; it goes on' if begun else 'begins'} at {_hm(begins)}."
        return _answer(record, gate, state, text, not_before=begins, retry_after_s=min(waits, RETRY_S))
    published = gate.state.published
    known = record.id in gate.state.planned_ids
    missing = published.unplaced.get(record.id) if published and known else None
    if missing is not None:
        text = f"No more of it could be placed: {missing.reason}"
        return _answer(record, gate, AdmissionState.REJECTED, text)
    if not known or published is None:
        return _without_plan(record, gate, "No plan holds it yet")
    return _without_plan(record, gate, "Its slots are over and it has not reported all of its work done")


def _without_plan(record: WorkloadRecord, gate: Gate, why: str) -> Admission:
    """No live slots: wait until the latest start, then run on what is free outside the reserve."""
    start = gate.latest_start(record)
    state = AdmissionState.STOP if _begun(record, gate) else AdmissionState.WAIT
    if start is None:
        return _answer(
            record,
            gate,
            AdmissionState.REJECTED,
            "Nothing in the fleet can run it before its deadline." if record.window_deadline else why + ".",
        )
    start = max(start, record.window_start)
    runs = gate.running(record) is not None
    if gate.now < start and not runs:
        text = f"{why}; without a plan it starts at {_hm(start)}, the latest that meets its deadline."
        waits = (start - gate.now).total_seconds()
        return _answer(record, gate, state, text, not_before=start, retry_after_s=min(waits, RETRY_S))
    if gate.waits_for(record) and not runs:
        return _blocked(record, gate, why)
    granted = gate.grants.get(record.id, ())
    late = "" if runs else ", it is past its latest start"
    if not granted:
        text = f"{why}{late}, and nothing is free outside the real-time reserve."
        return _answer(record, gate, state, text, retry_after_s=RETRY_S)
    text = f"{why}{late}: it runs outside the real-time reserve to meet its deadline."
    return _answer(
        record,
        gate,
        AdmissionState.RUN,
        text,
        not_after=granted[0].end,
        retry_after_s=RETRY_S,
        allocations=granted,
    )


def _blocked(record: WorkloadRecord, gate: Gate, why: str) -> Admission:
    """What it depends on has to be done first, however late that is."""
    state = AdmissionState.STOP if _begun(record, gate) else AdmissionState.WAIT
    text = f"{why}, and it depends on {', '.join(gate.waits_for(record))}."
    return _answer(record, gate, state, text, retry_after_s=RETRY_S)


def tell_changed(
    change: Change,
    gate: Gate,
    workload_id: str,
    state: AdmissionState,
    before: AdmissionState,
    version: int,
    accelerators: int,
) -> None:
    """The event: a gate would now answer otherwise than `before`. `version` is its lease's."""
    record = gate.state.records.get(workload_id)
    change.event(
        EventKind.ADMISSION_CHANGED,
        workload_id=workload_id,
        state=str(state),
        before=str(before),
        version=version,
        accelerators=accelerators,
        yields=0 if record is None else sum(gate.yields_of(record).values()),
    )


def less(held: Sequence[Allocation], yielded: Mapping[PoolKey, int]) -> tuple[Allocation, ...]:
    """What is left of what is held where so many are left to others."""
    kept: list[Allocation] = []
    left = dict(yielded)
    for a in held:
        gives = min(left.get((a.site, a.pool), 0), a.accelerators)
        if gives:
            left[a.site, a.pool] -= gives
        if a.accelerators > gives:
            kept.append(replace(a, accelerators=a.accelerators - gives))
    return tuple(kept)


def _begun(record: WorkloadRecord, gate: Gate) -> bool:
    """Whether it may be running, so that whoever runs it must be told to stop."""
    if record.done > 0 or record.serving:
        return True
    return any(a.start < gate.now for a in record.lease.allocations)


def _ahead(record: WorkloadRecord, gate: Gate) -> list[Allocation]:
    return [a for a in record.lease.allocations if a.start > gate.now]


def _answer(
    record: WorkloadRecord,
    gate: Gate,
    state: AdmissionState,
    reason: str,
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    retry_after_s: float = RETRY_S,
    allocations: tuple[Allocation, ...] = (),
) -> Admission:
    return Admission(
        workload_id=record.id,
        admit=state is AdmissionState.RUN,
        state=state,
        not_before=not_before,
        not_after=not_after,
        retry_after_s=max(1.0, math.ceil(retry_after_s)),
        version=record.lease.version,
        valid_until=gate.until,
        accelerators=sum(a.accelerators for a in allocations),
        allocations=allocations,
        reason=reason,
        stale=gate.stale,
    )


def _hm(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else in_words(moment)
