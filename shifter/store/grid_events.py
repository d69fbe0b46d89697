"""What grids ask: one row an event, what it says beside a limit as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, delete, insert, select, update

from shifter.domain.grid_event import OWN, GridEvent
from shifter.store import tables as t


@dataclass(frozen=True)
class Kept:
    """An event as it is kept: who told it, and when."""

    event: GridEvent
    created_at: datetime
    created_by: str


def from_dict(raw: dict[str, Any]) -> GridEvent:
    """The inverse of `GridEvent.to_dict`."""
    return _adapter().validate_python(raw)


@cache
def _adapter() -> TypeAdapter[GridEvent]:
    return TypeAdapter(GridEvent)


def _row(event: GridEvent) -> dict[str, Any]:
    beside = {key: value for key, value in event.to_dict().items() if key not in OWN}
    return {
        "site": event.site,
        "starts_at": event.start,
        "ends_at": event.end,
        "limit_kw": event.limit_kw,
        "holds_until": event.holds_until,
        "beside": beside or None,
    }


def _event(r: Row[Any]) -> GridEvent:
    own = GridEvent(r.id, r.site, r.starts_at, r.ends_at, r.limit_kw, r.source)
    return from_dict({**own.to_dict(), **r.beside}) if r.beside else own


def add(db: Connection, event: GridEvent, at: datetime, by: str) -> None:
    """Keep one."""
    row = {"id": event.id, "source": event.source, "created_at": at, "created_by": by[:256]}
    db.execute(insert(t.grid_events), row | _row(event))


def ending_after(db: Connection, since: datetime) -> list[GridEvent]:
    """Those whose window ends after `since`, by start."""
    e = t.grid_events.c
    query = select(t.grid_events).where(e.ends_at > since).order_by(e.starts_at, e.id)
    return [_event(r) for r in db.execute(query)]


def holding_after(db: Connection, since: datetime) -> list[GridEvent]:
    """Those that limit something after `since`, by start: also by their rebound."""
    e = t.grid_events.c
    query = select(t.grid_events).where(e.holds_until > since).order_by(e.starts_at, e.id)
    return [_event(r) for r in db.execute(query)]


def find(db: Connection, event_id: str) -> Kept | None:
    """One of them, or None."""
    r = db.execute(select(t.grid_events).where(t.grid_events.c.id == event_id)).first()
    return None if r is None else Kept(_event(r), r.created_at, r.created_by)


def told_by(db: Connection, by: str, since: datetime) -> list[GridEvent]:
    """Those that one actor told and that end after `since`, by start."""
    e = t.grid_events.c
    query = select(t.grid_events).where(e.created_by == by[:256], e.ends_at > since)
    return [_event(r) for r in db.execute(query.order_by(e.starts_at, e.id))]


def change(db: Connection, event: GridEvent) -> None:
    """Keep what is now said under its id."""
    db.execute(update(t.grid_events).where(t.grid_events.c.id == event.id).values(_row(event)))


def drop(db: Connection, event_id: str) -> None:
    """Forget one that never began."""
    db.execute(delete(t.grid_events).where(t.grid_events.c.id == event_id))
