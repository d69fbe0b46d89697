"""What happens as time passes: signs of life, work that ends, admissions that change, meters that fall
silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shifter.domain.workload import WorkloadClass, work_left
from shifter.errors import NotReady
from shifter.service import guard, leases, let_in, peaks
from shifter.service.admission import admission, tell_changed
from shifter.service.core import Core
from shifter.service.credit import credited, is_apart, ran_in
from shifter.service.gate import gate_of
from shifter.service.submissions import end
from shifter.store import announcements, imports, inputs, loads, log, plans
from shifter.store import workloads as rows
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, Admission, AdmissionState, EventKind, WorkloadState

FAR = timedelta(days=1)
AT_ONCE = 5_000
"""Rows that are forgotten in one transaction."""
PAUSE_S = 0.01
"""[real s] Between two of them: who waits for the lock would else come too late for it each time."""


def heartbeat(core: Core) -> None:
    """The daemon lives: leases are renewed.

    After an outage, what was planned in it is not taken for done: nobody was let in then. Raises NotReady
    where that cannot be written; leases stay stale until it can.
    """
    now, before, ttl = core.now(), core.state.alive_at, core.config.lease_ttl
    if before is not None and now > before + ttl:
        _skip_outage(core, before + ttl, now)
    with core.state.changed:
        core.state.alive_at = now


def keep_alive_at(core: Core) -> None:
    """Write the last sign of life, a few times in the life of a lease, for whoever starts after a crash."""
    alive, kept = core.state.alive_at, core.state.alive_kept_at
    if alive is None or (kept is not None and alive - kept < core.config.lease_ttl / 3):
        return
    with core.change() as change:
        inputs.save_alive(change.db, alive)
        change.set(alive_kept_at=alive)


def _skip_outage(core: Core, start: datetime, end_at: datetime) -> None:
    with core.change() as change:
        peaks.settle(core, change)
        skipped = [
            replace(r, done=leases.done_at(r, core.fleet, start), done_at=end_at, serving={})
            for r in core.state.records.values()
            if r.state in LIVE_STATES and r.progress_source == "planned" and r.lease.allocations
        ]
        rows.save(change.db, skipped)
        change.put(skipped)
        inputs.save_alive(change.db, end_at)
        change.set(alive_kept_at=end_at, alive_at=end_at)
        change.event(EventKind.FAULT, subject="outage", since=start, until=end_at, over=True)
        change.replan = "an outage ended"
    # What may be interrupted stopped when its lease ran out: where it begins again, it has to find room.
    with core.writing:
        whole = {r.id for r in core.state.records.values() if not r.workload.interruptible}
        core.state.let_in = {i: a for i, a in core.state.let_in.items() if i in whole}


def tick(core: Core) -> None:
    """End what is done or late, and tell what changed.

    Raises NotReady when the store cannot be reached; the next tick does it then.
    """
    now = core.now()
    ended = [r for r in list(core.state.records.values()) if _has_ended(core, r, now)]
    try:
        if ended:
            _end(core, ended)
        peaks.settle_ended(core)
    finally:  # whatever becomes of that: real-time load waits for no store
        guard.look(core)
    tell_admissions(core)
    _tell_silence(core)
    keep_alive_at(core)


def _has_ended(core: Core, record: WorkloadRecord, now: datetime) -> bool:
    if record.state not in LIVE_STATES:
        return False
    if record.decided is WorkloadClass.DEFERRABLE and now >= _deadline(record, now + FAR):
        return True
    return _finished(core, record) or _real_time_is_over(core, record, now)


def _finished(core: Core, record: WorkloadRecord) -> bool:
    """All of its work is done. Work without an amount is never finished by what is done of it."""
    amount = record.workload.amount
    return amount > 0 and work_left(amount, core.done(record)) == 0


def _real_time_is_over(core: Core, record: WorkloadRecord, now: datetime) -> bool:
    """Its own deadline has passed, or nobody has spoken of it for as long as ended work is kept."""
    if record.decided is not WorkloadClass.REAL_TIME:
        return False
    spoken = max(record.submitted_at, record.done_at) + timedelta(days=core.config.workloads_days)
    return now >= min(record.workload.deadline or spoken, spoken)


def _deadline(record: WorkloadRecord, never: datetime) -> datetime:
    """Its own deadline, or the one that its chain hands it."""
    return record.workload.deadline or record.window_deadline or never


def _end(core: Core, candidates: list[WorkloadRecord]) -> None:
    with core.change() as change:
        done_now = []
        for old in candidates:
            record = core.state.records.get(old.id)
            if record is None or not _has_ended(core, record, change.at):
                continue
            done = core.done(record)
            over = _real_time_is_over(core, record, change.at)
            finished = _finished(core, record)
            state = WorkloadState.DONE if finished or over else WorkloadState.LATE
            kind = EventKind.WORKLOAD_LATE if state is WorkloadState.LATE else EventKind.WORKLOAD_DONE
            ended = end(core, record, state, change.at)
            done_now.append(ended if finished else replace(ended, done=done))
            change.event(kind, workload_id=record.id, done=done, amount=record.workload.amount)
        rows.save(change.db, done_now)
        rows.save_leases(change.db, done_now)
        change.put(done_now)
        change.replan = "work ended"


def tell_admissions(core: Core, *, of_running: bool = False) -> None:
    """Work out admissions, as a gate would that asks now: tell what changed, and credit what was let in. Raises
    NotReady.

    All of them at each beat; `of_running`: of what was last told to run, which a new plan may have at another time.
    Nobody changes anything meanwhile: what is written follows from what is there.
    """
    with core.writing:
        gate, state = gate_of(core), core.state
        told = state.admitted
        if of_running:
            told = {i: s for i, s in told.items() if s is AdmissionState.RUN}
        flexible = [
            r for r in gate.live if r.decided is WorkloadClass.DEFERRABLE and (not of_running or r.id in told)
        ]
        # What was told to wait, and is real-time work since, has to hear that it runs.
        since = [r for r in gate.live if r.decided is WorkloadClass.REAL_TIME and r.id in told]
        answers = {r.id: admission(r, gate) for r in (*flexible, *since)}
        apart = frozenset(r.id for r in flexible if is_apart(r, answers[r.id].allocations, gate.now))
        did = [
            credited(r, ran_in(r, state), gate)
            for r in flexible
            if r.progress_source == "planned" and r.id in state.apart | apart
        ]
        changed = _changed_admissions(told, answers)
        rest = {*state.let_in, *state.admitted, *state.apart} - told.keys() if of_running else frozenset()
        seen: dict[str, Any] = {
            "let_in": {i: a for i, a in state.let_in.items() if i in rest}
            | {r.id: answers[r.id].allocations for r in flexible},
            "apart": apart | state.apart & rest,
            "admitted": {i: s for i, s in state.admitted.items() if i in rest}
            | {i: a.state for i, a in answers.items()},
        }
        new = let_in.not_kept(state, flexible, seen["let_in"], gate.now)
        if not did and not changed:
            for name, value in seen.items():
                setattr(state, name, value)
            if not new:
                return
        with core.change() as change:
            rows.save(change.db, did)
            change.put(did)
            let_in.keep(change, state, new)
            for workload_id, now in changed.items():
                record, answer = state.records.get(workload_id), answers.get(workload_id)
                before = state.admitted.get(workload_id, AdmissionState.WAIT)
                version = 0 if record is None else record.lease.version
                left = 0 if answer is None else answer.accelerators
                tell_changed(change, gate, workload_id, now, before, version, left)
            change.set(**seen)


def _changed_admissions(
    told: Mapping[str, AdmissionState], answers: Mapping[str, Admission]
) -> dict[str, AdmissionState]:
    now = {i: a.state for i, a in answers.items()}
    for gone in told.keys() - now.keys():
        if told[gone] is AdmissionState.RUN:
            now[gone] = AdmissionState.REJECTED  # it ended while it was let in: whoever runs it must hear
    return {i: s for i, s in now.items() if s is not told.get(i, AdmissionState.WAIT)}


def _tell_silence(core: Core) -> None:
    gate = gate_of(core)
    silent = frozenset(key for key in core.state.measured if gate.silent(key))
    if silent == core.state.telemetry_stale:
        return
    with core.change() as change:
        for site, pool in sorted(silent - core.state.telemetry_stale):
            last = core.state.measured[site, pool].at
            change.event(EventKind.TELEMETRY_STALE, site=site, pool=pool, last_at=last)
        change.set(telemetry_stale=silent)


def prune(core: Core) -> dict[str, int]:
    """Forget what is older than its retention; answers how much of each went. Raises NotReady."""
    config, now = core.config, core.now()

    def before(days: float) -> datetime:
        return now - timedelta(days=days)

    limit = before(config.workloads_days)
    with core.change() as change:
        old = {r.id for r in core.state.records.values() if r.ended_at is not None and r.ended_at < limit}
        live = (r for r in core.state.records.values() if r.state in LIVE_STATES)
        awaited = old.intersection(d for r in live for d in r.workload.depends_on)
        gone = {
            "workloads": rows.prune(change.db, limit, awaited),
            "plans": plans.prune(change.db, before(config.plans_days)),
            "load_steps": loads.prune(change.db, before(config.load_days), now),
            "announcements": announcements.prune(change.db, before(config.load_days)),
            "imports": imports.prune(change.db, before(config.audit_days)),
        }
        change.forgotten = old - awaited
        change.set(grid_events=tuple(e for e in core.state.grid_events if e.holds_until > now))
    gone["log"] = sum(
        _in_parts(core, partial(forget, before=before(days)))
        for forget, days in ((log.prune_events, config.events_days), (log.prune_audit, config.audit_days))
    )
    gone["telemetry"] = _in_parts(core, partial(inputs.prune_telemetry, before=before(config.telemetry_days)))
    try:
        with core.db.errors():
            gone["forecast_values"] = core.forecasts.prune(before(config.forecasts_days))
    except NotReady as error:
        core.lost_database(error)
    return gone


def _in_parts(core: Core, forget: Callable[..., int]) -> int:
    """Forget some rows at a time: there may be millions, and a stop waits for no more than a part of them."""
    total = 0
    while True:
        with core.change() as change:
            gone = forget(change.db, most=AT_ONCE)
        total += gone
        if gone < AT_ONCE:
            return total
        time.sleep(PAUSE_S)
