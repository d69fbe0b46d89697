"""Events: from memory while it holds them, from the store where they lie further back."""

from __future__ import annotations

import time
from collections.abc import Collection

from shifter.service.core import Core
from shifter.store import log
from shifter.views import Event


def events(core: Core, after_id: int, limit: int) -> list[Event]:
    """See `Service.events`."""
    kept = list(core.state.events)
    if kept and kept[0].id <= after_id + 1:
        return [e for e in kept if e.id > after_id][:limit]
    with core.reading() as db:
        return log.events(db, after_id, limit)


def newest_events(core: Core, count: int, kinds: Collection[str]) -> list[Event]:
    """See `Service.newest_events`."""
    kept = list(core.state.events)
    wanted = [e for e in kept if not kinds or e.kind in kinds]
    if count == 0 or len(wanted) >= count or (kept and kept[0].id == 1):
        return wanted[max(0, len(wanted) - count) :] if count else []
    with core.reading() as db:
        return log.newest_events(db, count, kinds)


def wait(core: Core, after_id: int, timeout_s: float) -> bool:
    """Until there is an event with a larger id, or `timeout_s` real seconds have passed; whether there is one."""
    state, ends = core.state, time.monotonic() + timeout_s
    with state.changed:
        while not (state.events and state.events[-1].id > after_id):
            left = ends - time.monotonic()
            if left <= 0 or not state.changed.wait(left):
                return False
    return True
