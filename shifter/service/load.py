"""After a start: what the store kept becomes what is served, as if nothing had been in between."""

from __future__ import annotations

from datetime import timedelta

from shifter.service.core import Core
from shifter.service.state import EVENTS_KEPT, Published
from shifter.store import inputs, log, plans
from shifter.store import workloads as rows
from shifter.views import WorkloadState

TELEMETRY_LOOKBACK = timedelta(days=1)
"""A pool that has been silent for longer is as one that never reported."""


def load(core: Core) -> None:
    """Fill the state from the store. Raises NotReady when it cannot be reached."""
    now, state = core.now(), core.state
    with core.reading() as db:
        records = rows.load(db)
        newest = plans.newest(db)
        overrides = tuple(inputs.overrides(db))
        grid_events = tuple(inputs.grid_events(db, now))
        samples = inputs.telemetry_since(db, now - TELEMETRY_LOOKBACK)
        alive_at = inputs.alive_at(db)
        last = log.last_event_id(db)
        events = log.events(db, max(0, last - EVENTS_KEPT), EVENTS_KEPT)
    with state.changed:
        state.records = {r.id: r for r in records}
        state.published = Published(*newest) if newest else None
        state.planned_ids = frozenset(r.id for r in records if r.state is WorkloadState.PLANNED)
        state.alive_at = alive_at
        state.overrides, state.grid_events = overrides, grid_events
        for s in samples:
            if s.pool is not None:
                state.measured[s.site, s.pool] = s
            if s.import_kw is not None:
                state.measured_import[s.site] = s
        state.events.extend(events)
