"""What grids ask: accepted with a baseline that is frozen then, listed, and taken back by whoever sent it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from forecasts.slots import isoformat_z
from shifter.domain.grid_event import GridEvent, check_grid_event
from shifter.domain.moments import in_words
from shifter.errors import Conflict, InputError, NotFound
from shifter.service import baselines
from shifter.service.core import Change, Core
from shifter.store import grid_events as rows
from shifter.views import EventKind


def add(core: Core, event: GridEvent, actor: str) -> GridEvent:
    """See `Service.add_grid_event`."""
    checked(core, event)
    with core.reading() as db:
        if (known := known_as(rows.find(db, event.id), event)) is not None:
            return known
    not_over(event, core.now())
    event = baselines.frozen(core, event)
    with core.change() as change:
        if (known := known_as(rows.find(change.db, event.id), event.as_asked)) is not None:
            return known
        not_over(event, change.at)
        rows.add(change.db, event, change.at, actor)
        change.set(grid_events=(*core.state.grid_events, event))
        tell_created(change, event, actor)
    return event


def checked(core: Core, event: GridEvent) -> None:
    """Raises NotFound for a site that there is not, InputError for an event that contradicts itself."""
    if event.site not in core.fleet.by_site:
        known = ", ".join(core.fleet.by_site)
        raise NotFound(f"there is no site {event.site}.", field="site", hint=f"Sites are {known}.")
    check_grid_event(event)


def not_over(event: GridEvent, now: datetime) -> None:
    """Raises InputError where its window has ended."""
    if event.end <= now:
        raise InputError(
            f"the window ended at {isoformat_z(event.end)}; it is {isoformat_z(now)}.",
            field="end",
            hint="Give one that lies ahead.",
        )


def known_as(kept: rows.Kept | None, event: GridEvent) -> GridEvent | None:
    """The same event, where it is kept already. Raises Conflict where its id is another's."""
    if kept is None:
        return None
    if event not in (kept.event, kept.event.as_asked):
        raise Conflict(
            f"{event.id} is already a grid event, with other content.",
            field="id",
            hint="Give a new one a new id.",
        )
    return kept.event


def listed(core: Core, since: datetime | None) -> list[GridEvent]:
    """See `Service.grid_events`."""
    if since is None:
        now = core.now()
        return [e for e in core.state.grid_events if e.rebound_end > now]
    with core.reading() as db:
        return rows.ending_after(db, since)


def find(core: Core, event_id: str) -> rows.Kept:
    """One that is kept. Raises NotFound."""
    with core.reading() as db:
        kept = rows.find(db, event_id)
    if kept is None:
        raise NotFound(f"there is no grid event {event_id}.", field="id", hint="Look at GET /v1/grid-events.")
    return kept


def withdraw(core: Core, event_id: str, actor: str) -> GridEvent:
    """See `Service.withdraw_grid_event`."""
    with core.writing:
        kept = find(core, event_id)
        if kept.created_by != actor[:256]:
            raise Conflict(
                f"{event_id} was told by {kept.created_by}, and is theirs to take back.",
                field="id",
                hint="Ask them, or name yourself as they did (Shifter-Actor).",
            )
        if kept.event.holds_until <= core.now():
            raise NotFound(
                f"{event_id} is over since {in_words(kept.event.holds_until)}: nothing of it is left to take back.",
                field="id",
                hint="Look at GET /v1/grid-events.",
            )
        with core.change() as change:
            over = take_back(change, kept.event, actor)
            change.set(grid_events=tuple(e for e in core.state.grid_events if e.id != event_id))
            change.replan = "grid event"
    return over


def take_back(change: Change, event: GridEvent, actor: str) -> GridEvent:
    """In this transaction: one that has begun ends now, one that lies ahead never was. What is left of it."""
    over = event.withdrawn(change.at)
    if event.start < change.at:
        rows.change(change.db, over)
    else:
        rows.drop(change.db, event.id)
    change.event(EventKind.GRID_EVENT_WITHDRAWN, **facts_of(event))
    change.audit(actor, "grid_event.withdraw", event.id, **facts_of(event))
    return over


def tell_created(change: Change, event: GridEvent, actor: str) -> None:
    """What follows where a grid event came in: who hears of it, and a new plan."""
    change.event(EventKind.GRID_EVENT_CREATED, **facts_of(event))
    detail = {key: value for key, value in facts_of(event).items() if key not in BESIDE_AUDIT}
    change.audit(actor, "grid_event.create", event.id, **detail)
    change.replan = "grid event"


BESIDE_AUDIT = ("id", "start", "end", "source")
ASKED = ("cut_kw", "cut_ratio", "notice_minutes", "ramp_kw_per_minute", "rebound_minutes")
AFTERWARDS = ("rebound_limit_kw", "rebound_ratio")


def facts_of(event: GridEvent) -> dict[str, Any]:
    """What the events about a grid event carry."""
    told = {
        "id": event.id,
        "site": event.site,
        "start": event.start,
        "end": event.end,
        "limit_kw": event.limit_kw,
        "source": event.source,
    }
    told |= {name: value for name in (*ASKED, *AFTERWARDS) if (value := getattr(event, name)) is not None}
    return told | ({} if event.frozen_baseline is None else {"baseline": event.frozen_baseline.source})
