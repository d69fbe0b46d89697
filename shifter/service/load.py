"""After a start: what the store kept becomes what is served, as if nothing had been in between."""

from __future__ import annotations

from datetime import datetime, timedelta

from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.service import leases, peaks, preemption
from shifter.service.core import Core
from shifter.service.gate import FORGOTTEN
from shifter.service.heard import take_sample
from shifter.service.state import EVENTS_KEPT, Published
from shifter.store import grid_events, inputs, log, meters, plans
from shifter.store import workloads as rows
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, WorkloadState


def load(core: Core) -> None:
    """Fill the state from the store. Raises NotReady when it cannot be reached."""
    now, state = core.now(), core.state
    with core.reading() as db:
        records = rows.load(db)
        newest = plans.newest(db)
        overrides = tuple(inputs.overrides(db))
        events_told = tuple(grid_events.holding_after(db, now))
        alive_at = inputs.alive_at(db)
        counted = peaks.kept(core, meters.load(db))
        uncounted = [m.counted_to for m in counted.values()]
        since = max(now - FORGOTTEN, min([now - timedelta(seconds=core.config.guard_hold_s), *uncounted]))
        samples = inputs.telemetry_since(db, since, now - FORGOTTEN)
        last = log.last_event_id(db)
        events = log.events(db, max(0, last - EVENTS_KEPT), EVENTS_KEPT)
    freed = preemption.load(core)
    with state.changed:
        state.records = {r.id: r for r in records}
        state.published = Published(*newest) if newest else None
        state.planned_ids = frozenset(r.id for r in records if r.state is WorkloadState.PLANNED)
        # Publishing was a sign of life, too.
        state.alive_at = max((at for at in (alive_at, newest and newest[2]) if at), default=None)
        state.let_in = _let_in(core, now)
        state.overrides, state.grid_events = overrides, events_told
        state.courses = peaks.courses(state.published.plan, core.fleet) if state.published else {}
        for s in samples:
            if s.pool is not None:
                take_sample(state, s, now, timedelta(seconds=core.config.guard_hold_s))
            peaks.hear(core, counted, state.measured_import, s)
        state.meters = counted
        state.freed = freed
        state.events.extend(events)


def _let_in(core: Core, now: datetime) -> dict[str, tuple[Allocation, ...]]:
    """What runs in its slots: it began while somebody vouched for them, and was not kept out when its work was last
    counted. What ran outside of a lease is not known.
    """
    vouched = leases.vouched(core.state, core.config.lease_ttl, now)
    found = {}
    for record in core.state.records.values():
        held = leases.current(record.lease.allocations, now)
        begun = tuple(a for a in held if a.start < vouched and _runs(record, a))
        if begun and record.state in LIVE_STATES and record.decided is WorkloadClass.DEFERRABLE:
            found[record.id] = begun
    return found


def _runs(record: WorkloadRecord, a: Allocation) -> bool:
    return record.done_at <= a.start or (a.site, a.pool, a.model or "") in record.serving
