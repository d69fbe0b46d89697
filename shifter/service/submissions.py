"""What people and programs tell about workloads: submit, cancel, progress, override. Durable before it is
answered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from forecasts.slots import isoformat_z, to_utc
from shifter.classify.overrides import check_override
from shifter.classify.rules import classify
from shifter.cycle import Submission
from shifter.domain.chains import check_chains
from shifter.domain.workload import Override, Reason, Workload, WorkloadClass, work_left
from shifter.errors import Conflict, InputError
from shifter.service import leases, pinned, preemption
from shifter.service.core import Change, Core
from shifter.service.present import workload_view
from shifter.store import inputs as told
from shifter.store import workloads as rows
from shifter.store.workloads import WorkloadRecord, content_hash
from shifter.views import LIVE_STATES, EventKind, WorkloadState, WorkloadView

UNWORDED = Reason("", "")
"""Of what is decided in the same transaction."""


def submit(core: Core, workloads: Sequence[Workload], actor: str) -> list[WorkloadView]:
    """See `Service.submit`."""
    with core.change() as change:
        new = _new_ones(core, workloads, change.at)
        if new:
            records = _accepted(core, new, change.at, actor)
            mine = [records[w.id] for w in new]
            new_ids = {w.id for w in new}
            rows.add(change.db, mine)
            rows.save(change.db, [r for r in records.values() if r.id not in new_ids])
            change.put(records.values())
            change.replan = "submission"
            for record in mine:
                change.event(
                    EventKind.WORKLOAD_ACCEPTED,
                    workload_id=record.id,
                    tenant=record.workload.tenant,
                    **{"class": str(record.decided)},
                )
                change.audit(
                    actor,
                    "workload.submit",
                    record.id,
                    content_hash=record.content_hash,
                    rule=record.reason.rule,
                    **{"class": str(record.decided)},
                )
    if new:
        _wait_for_plan(core, [w.id for w in new])
    return [workload_view(core.record(w.id), core) for w in workloads]


def cancel(core: Core, workload_id: str, actor: str) -> WorkloadView:
    """See `Service.cancel`."""
    with core.change() as change:
        record = core.record(workload_id)
        if record.state is WorkloadState.CANCELLED:
            return workload_view(record, core)
        if record.state is WorkloadState.DONE:
            raise Conflict(
                f"{workload_id} is done.", field="id", hint="There is nothing left to cancel.", state="done"
            )
        needed_by = sorted(r.id for r in _live(core) if workload_id in r.workload.depends_on)
        if needed_by:
            raise Conflict(
                f"{workload_id} is needed by {', '.join(needed_by[:5])}.",
                field="id",
                hint="Cancel what depends on it first.",
                needed_by=needed_by,
            )
        ended = end(core, record, WorkloadState.CANCELLED, change.at)
        rows.save(change.db, [ended])
        rows.save_leases(change.db, [ended])
        change.put([ended])
        change.event(EventKind.WORKLOAD_CANCELLED, workload_id=workload_id, by=actor)
        change.audit(actor, "workload.cancel", workload_id, done=ended.done)
        change.replan = "cancellation"
    return workload_view(ended, core)


def progress(
    core: Core,
    workload_id: str,
    *,
    done: float | None,
    remaining: float | None,
    at: datetime | None,
    accelerators: int | None,
    actor: str,
) -> WorkloadView:
    """See `Service.progress`."""
    with core.change() as change:
        record = core.record(workload_id)
        amount = record.workload.amount
        reported = _reported(amount, done, remaining)
        moment = change.at if at is None else to_utc(at)
        if moment > change.at:
            raise InputError(
                f"{isoformat_z(moment)} has not come yet.",
                field="at",
                hint="Report what is done, not what will be.",
            )
        if record.state is WorkloadState.CANCELLED:
            raise Conflict(f"{workload_id} was cancelled.", field="id", hint="Stop it.", state="cancelled")
        if accelerators is not None:
            preemption.hear(core, change, workload_id, accelerators, moment)
        old = record.progress_source == "reported" and moment < record.done_at
        if old or record.state is WorkloadState.DONE:
            return workload_view(record, core)
        updated = replace(
            record,
            done=reported,
            done_at=moment,
            progress_source="reported",
            serving=leases.serving_at(record, change.at),
        )
        if amount > 0 and work_left(amount, reported) == 0:
            updated = end(core, updated, WorkloadState.DONE, change.at)
            change.event(EventKind.WORKLOAD_DONE, workload_id=workload_id, progress_source="reported")
            rows.save_leases(change.db, [updated])
        rows.save(change.db, [updated])
        change.put([updated])
        change.audit(actor, "workload.progress", workload_id, done=reported, at=moment)
        change.replan = "progress"
    return workload_view(updated, core)


def override(
    core: Core,
    actor: str,
    *,
    decided: WorkloadClass | None,
    reason: str,
    workload_id: str | None,
    rule: str | None,
) -> Override:
    """See `Service.override`."""
    if not reason.strip():
        raise InputError("an override needs a reason.", field="reason", hint="Say why, for the audit.")
    with core.change() as change:
        made = Override(decided, actor, change.at, reason, workload_id, rule)
        check_override(made, core.policy)
        if workload_id is not None:
            core.record(workload_id)
        told.add_override(change.db, made)
        in_force = tuple(told.overrides(change.db))
        change.set(overrides=in_force, worded=in_force)
        changed = reclassified(core, _live(core), in_force, change.at)
        rows.save(change.db, changed)
        rows.save_leases(change.db, changed)
        change.put(changed)
        detail: dict[str, Any] = {"class": None if decided is None else str(decided), "reason": reason}
        change.audit(actor, "override.set", workload_id or f"rule:{rule}", changed=len(changed), **detail)
        change.replan = "override"
    return made


def end(core: Core, record: WorkloadRecord, state: WorkloadState, now: datetime) -> WorkloadRecord:
    """The record as it ends: what was done so far stays, and it holds nothing from now on."""
    credited = replace(
        record,
        done=record.workload.amount if state is WorkloadState.DONE else core.done(record),
        done_at=max(now, record.done_at),
        serving={},
        ended_at=now,
    )
    if leases.clipped(record.lease.allocations, now):
        credited = leases.renewed(credited, (), record.lease.plan_id or "", credited.done, now)
    return replace(credited, state=state, serving={})


def reclassified(
    core: Core, records: Iterable[WorkloadRecord], overrides: Sequence[Override], now: datetime
) -> list[WorkloadRecord]:
    """Those of the records whose class, reason or window is not what the policy says now, as it should be.

    A reason is that of when it was decided: where neither class nor window is another, nor what operators said, its
    words are not looked for again. That would be most of what a new plan does while everything else has to wait.
    """
    before = list(records)
    given = [Submission(r.workload, r.submitted_at, core.done(r)) for r in before]
    running = {a.workload_id: a.end for a in pinned.pieces(core, before, now)}
    found = classify(given, core.policy, core.fleet, now, overrides, running)
    changed = []
    worded = overrides is core.state.worded
    for record, c in zip(before, found, strict=True):
        same = (record.decided, record.window_start, record.window_deadline) == (
            c.decided,
            c.earliest_start,
            c.deadline,
        )
        if worded and same and record.reason is not UNWORDED:
            continue
        after = replace(
            record,
            decided=c.decided,
            reason=c.reason,
            window_start=c.earliest_start,
            window_deadline=c.deadline,
        )
        if c.decided is not record.decided:
            moved = c.decided is WorkloadClass.REAL_TIME
            state = WorkloadState.REAL_TIME if moved else WorkloadState.ACCEPTED
            after = replace(leases.renewed(after, (), "", core.done(after), now), state=state)
        if after != record:
            changed.append(after)
    return changed


def _new_ones(core: Core, workloads: Sequence[Workload], now: datetime) -> list[Workload]:
    """Those that are not here yet, checked; the rest are here with the same content."""
    new: dict[str, tuple[str, Workload]] = {}
    for i, workload in enumerate(workloads):
        where = f"[{i}]." if len(workloads) > 1 else ""
        known = core.state.records.get(workload.id)
        key = content_hash(workload)
        before = known.content_hash if known else new.get(workload.id, ("",))[0]
        if before not in ("", key):
            raise Conflict(
                f"{workload.id} is already a workload, with other content.",
                field=f"{where}id",
                hint="Give new work a new id; to change a workload, cancel it and submit another.",
                workload_id=workload.id,
            )
        if not before:
            _check(core, workload, where, now)
            new[workload.id] = (key, workload)
    added = [workload for _, workload in new.values()]
    if len(core.state.records) + len(added) > core.config.max_workloads:
        raise Conflict(
            f"the daemon keeps at most {core.config.max_workloads} workloads.",
            hint="Wait until some are done.",
        )
    check_chains(added, core.state.records)
    for workload in added:
        for i, other in enumerate(workload.depends_on):
            known = core.state.records.get(other)
            if known is not None and known.state is WorkloadState.CANCELLED:
                raise InputError(
                    f"{workload.id} depends on {other}, which was cancelled.",
                    field=f"{workload.id}.depends_on[{i}]",
                    hint="Take it out of depends_on, or submit that work again under a new id.",
                )
    return added


def _check(core: Core, workload: Workload, where: str, now: datetime) -> None:
    from shifter.files.workloads import check_workload

    try:
        check_workload(workload, core.fleet)
    except InputError as error:
        if not where:
            raise
        field = where + (error.field or "id")
        raise InputError(error.detail, hint=error.hint, field=field, also=error.also) from error
    if workload.deadline is not None and workload.deadline <= now:
        raise InputError(
            f"the deadline {isoformat_z(workload.deadline)} has passed: it is {isoformat_z(now)}"
            f"{' on the simulated clock' if core.clock.simulated else ''}.",
            field=f"{where}deadline",
            hint="Give one that lies ahead.",
        )


def _accepted(core: Core, new: Sequence[Workload], now: datetime, actor: str) -> dict[str, WorkloadRecord]:
    """Records of the new workloads, and of those here whose class or window they change (their chains)."""
    fresh = {
        w.id: WorkloadRecord(
            workload=w,
            content_hash=content_hash(w),
            submitted_at=now,
            submitted_by=actor[:256],
            state=WorkloadState.ACCEPTED,
            decided=WorkloadClass.DEFERRABLE,
            reason=UNWORDED,
            window_start=now,
            window_deadline=None,
            done_at=now,
        )
        for w in new
    }
    chained = any(w.depends_on for w in new)
    others = _live(core) if chained else ()
    changed = reclassified(core, (*others, *fresh.values()), core.state.overrides, now)
    return fresh | {r.id: r for r in changed}


def _live(core: Core) -> tuple[WorkloadRecord, ...]:
    return tuple(r for r in core.state.records.values() if r.state in LIVE_STATES)


def _reported(amount: float, done: float | None, remaining: float | None) -> float:
    if (done is None) is (remaining is None):
        raise InputError(
            "give either done or remaining.", field="done", hint="Both are in the workload's unit."
        )
    name, value = ("done", done) if done is not None else ("remaining", remaining)
    assert value is not None
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{value:g} is no amount of work.", field=name, hint="Give a number of 0 or more.")
    if name == "remaining" and value > amount:
        raise InputError(
            f"{value:g} is more than the {amount:g} of the whole workload.",
            field=name,
            hint="Report in the workload's unit.",
        )
    return min(amount, value) if name == "done" else amount - value


def _wait_for_plan(core: Core, ids: Sequence[str]) -> None:
    """Until a plan knows them all, a cycle that did fails, or `admission_wait_s` has passed."""
    state, ends = core.state, time.monotonic() + core.config.admission_wait_s
    waiting = {i for i in ids if core.state.records[i].decided is WorkloadClass.DEFERRABLE}
    if not waiting or not core.has_daemon:
        return
    with state.changed:
        before = state.last_cycle
        while not waiting <= state.planned_ids:
            failed = state.last_cycle is not before and state.last_cycle is not None
            if failed and state.last_cycle is not None and state.last_cycle.outcome != "published":
                return
            left = ends - time.monotonic()
            if left <= 0 or not state.changed.wait(left):
                return


__all__ = ["Change", "cancel", "end", "override", "progress", "reclassified", "submit"]
