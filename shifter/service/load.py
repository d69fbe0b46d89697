"""After a start: what the store kept becomes what is served, as if nothing had been in between."""

from __future__ import annotations

from datetime import timedelta

from shifter.service import let_in, peaks, preemption
from shifter.service.core import Core
from shifter.service.credit import is_apart
from shifter.service.gate import FORGOTTEN
from shifter.service.heard import take_sample
from shifter.service.state import EVENTS_KEPT, Published, State
from shifter.store import grid_events, inputs, log, meters, plans
from shifter.store import workloads as rows
from shifter.views import WorkloadState


def load(core: Core) -> None:
    """Fill the state from the store. Raises NotReady when it cannot be reached."""
    now, state = core.now(), core.state
    with core.reading() as db:
        records = rows.load(db)
        told = rows.let_in(db)
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
        let_in.load(core, told, now)
        state.apart = _apart(state)
        state.overrides, state.grid_events = overrides, events_told
        state.courses = peaks.courses(state.published.plan, core.fleet) if state.published else {}
        for s in samples:
            if s.pool is not None:
                take_sample(state, s, now, timedelta(seconds=core.config.guard_hold_s))
            peaks.hear(core, counted, state.measured_import, s)
        state.meters = counted
        state.freed = freed
        state.events.extend(events)


def _apart(state: State) -> frozenset[str]:
    """Workloads that did not run in what their leases held when that was kept, as the next beat counts their work.

    A piece that began or ended since is no sign of it: what was planned before counts as planned.
    """
    kept = ((state.records[i], state.kept_let_in[i]) for i in state.let_in if i in state.kept_let_in)
    return frozenset(r.id for r, told in kept if is_apart(r, told.allocations, told.at))
