"""A workload as it is shown: its record, its lease and its share of the current plan, at one moment."""

from __future__ import annotations

from datetime import datetime

from shifter.domain.moments import by_in_words
from shifter.domain.rows import Allocation, Unplaced
from shifter.domain.workload import WorkloadClass
from shifter.service import leases
from shifter.service.admission import less
from shifter.service.core import Core
from shifter.service.gate import Gate, gate_of
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, Lease, WorkloadState, WorkloadView


def state_at(record: WorkloadRecord, now: datetime) -> WorkloadState:
    """Its state at this moment: a planned workload runs while it is inside an allocation."""
    if record.state is WorkloadState.PLANNED and leases.current(record.lease.allocations, now):
        return WorkloadState.RUNNING
    return record.state


def listing(
    core: Core,
    state: WorkloadState | None,
    tenant: str | None,
    decided: WorkloadClass | None,
    limit: int,
    after: str | None,
) -> list[WorkloadView]:
    """See `Service.workloads`. Raises NotFound for an `after` that is not here."""
    now = core.now()
    found = sorted(core.state.records.values(), key=lambda r: (r.submitted_at, r.id), reverse=True)
    if after is not None:
        last = core.record(after)
        found = [r for r in found if (r.submitted_at, r.id) < (last.submitted_at, last.id)]
    wanted = (
        r
        for r in found
        if (tenant is None or r.workload.tenant == tenant)
        and (decided is None or r.decided is decided)
        and (state is None or state_at(r, now) is state)
    )
    return [workload_view(r, core) for _, r in zip(range(limit), wanted, strict=False)]


def workload_view(record: WorkloadRecord, core: Core) -> WorkloadView:
    """Everything about one workload."""
    now, published = core.now(), core.state.published
    gone = record.state is WorkloadState.CANCELLED
    share = published.shares.get(record.id) if published and not gone else None
    missing = published.unplaced.get(record.id) if published and record.state in LIVE_STATES else None
    amount = record.workload.amount
    done = core.done(record)
    held = record.lease.allocations
    starts = [*record.serving.values(), *(a.start for a in held)] if held else []
    state = state_at(record, now)
    return WorkloadView(
        id=record.id,
        tenant=record.workload.tenant,
        state=state,
        decided=record.decided,
        reason=record.reason,
        amount=amount,
        unit=record.workload.unit,
        done=done,
        progress_ratio=min(1.0, done / amount) if amount else 0.0,
        progress_source=record.progress_source,
        submitted_at=record.submitted_at,
        earliest_start=record.window_start,
        deadline=record.window_deadline,
        latest_start=gate_of(core).latest_start(record),
        planned_start=min(starts, default=None),
        planned_finish=max((a.end for a in held), default=None),
        cost=share.cost if share else None,
        carbon_kg=share.carbon_kg if share else None,
        run_now_cost=share.run_now_cost if share else None,
        run_now_carbon_kg=share.run_now_carbon_kg if share else None,
        feasible=missing is None and state is not WorkloadState.LATE,
        unplaced_accelerator_hours=missing.accelerator_hours if missing else 0.0,
        earliest_feasible_deadline=missing.earliest_feasible_deadline if missing else None,
        note=_note(record, state, missing),
        workload=record.workload,
    )


def lease_view(record: WorkloadRecord, gate: Gate) -> Lease:
    """Its lease."""
    return Lease(
        workload_id=record.id,
        version=record.lease.version,
        valid_until=gate.until,
        latest_start=gate.latest_start(record),
        plan_id=record.lease.plan_id,
        stale=gate.stale,
        allocations=_left(record, gate),
    )


def _left(record: WorkloadRecord, gate: Gate) -> tuple[Allocation, ...]:
    """What it holds, less what it leaves to real-time load now."""
    taken = gate.yields_of(record)
    if not taken:
        return record.lease.allocations
    held = leases.current(record.lease.allocations, gate.now)
    return tuple(
        sorted((*less(held, taken), *(a for a in record.lease.allocations if a not in held)), key=_when)
    )


def _when(a: Allocation) -> tuple[datetime, str, str]:
    return a.start, a.site, a.pool


def _note(record: WorkloadRecord, state: WorkloadState, missing: Unplaced | None) -> str:
    if state is WorkloadState.DONE:
        return "All of its work is done."
    if state is WorkloadState.CANCELLED:
        return "It was cancelled."
    if state is WorkloadState.LATE:
        return "Its deadline has passed with work left."
    if record.decided is WorkloadClass.REAL_TIME:
        return "It runs as it arrives, on capacity that is reserved for real-time load."
    if missing is not None:
        return _cannot(missing)
    held = record.lease.allocations
    if not held:
        return "It is accepted; the next plan places it."
    return f"It is planned to finish by {by_in_words(max(a.end for a in held))}."


def _cannot(missing: Unplaced) -> str:
    text = (
        f"{missing.accelerator_hours:.1f} accelerator-hours cannot be done by its deadline: {missing.reason}"
    )
    text = text if text.endswith(".") else text + "."
    if missing.earliest_feasible_deadline is None:
        return f"{text} No deadline within the horizon would work."
    return f"{text} A deadline of {by_in_words(missing.earliest_feasible_deadline)} would work."
