"""What happened (events) and who did it (audit): two lists that only grow, until they are pruned by age."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from shifter.store import tables as t
from shifter.store.forget import forget_oldest
from shifter.views import AuditEntry, Event, EventKind, to_plain

Happened = tuple[EventKind, Mapping[str, Any]]
"""An event before it has an id: its kind and its data."""


def add_events(db: Connection, at: datetime, happened: Iterable[Happened]) -> list[Event]:
    """Keep events, in order; answers them with their ids, which only ever grow."""
    told = [(kind, to_plain(data)) for kind, data in happened]
    if not told:
        return []
    rows = [{"at": at, "kind": str(kind), "data": body} for kind, body in told]
    query = insert(t.events).returning(t.events.c.id, sort_by_parameter_order=True)
    ids = db.execute(query, rows).scalars().all()
    return [Event(key, at, kind, body) for key, (kind, body) in zip(ids, told, strict=True)]


def events(db: Connection, after_id: int, limit: int) -> list[Event]:
    """Events with a larger id, oldest first."""
    query = select(t.events).where(t.events.c.id > after_id).order_by(t.events.c.id).limit(limit)
    return [Event(r.id, r.at, EventKind(r.kind), r.data) for r in db.execute(query)]


def newest_events(db: Connection, count: int, kinds: Collection[str] = ()) -> list[Event]:
    """The last `count` events, of all kinds or of some, oldest first."""
    query = select(t.events).order_by(t.events.c.id.desc()).limit(count)
    if kinds:
        query = query.where(t.events.c.kind.in_([str(kind) for kind in kinds]))
    return [Event(r.id, r.at, EventKind(r.kind), r.data) for r in db.execute(query)][::-1]


def last_event_id(db: Connection) -> int:
    """The largest id so far; 0 when nothing happened yet."""
    return int(db.execute(select(func.coalesce(func.max(t.events.c.id), 0))).scalar_one())


@dataclass(frozen=True)
class Deed:
    """An audit entry before it has an id."""

    actor: str
    action: str
    subject: str
    inputs_id: str | None
    detail: Mapping[str, Any]


def add_audit(db: Connection, at: datetime, deeds: Iterable[Deed]) -> None:
    """Keep who did or decided what, to what, when, and from which inputs."""
    rows = [
        {
            "at": at,
            "actor": d.actor[:256],
            "action": d.action,
            "subject": d.subject[:256],
            "inputs_id": d.inputs_id,
            "detail": to_plain(d.detail),
        }
        for d in deeds
    ]
    if rows:
        db.execute(insert(t.audit), rows)


def audit(db: Connection, subject: str | None, after_id: int, limit: int) -> list[AuditEntry]:
    """Entries with a larger id, oldest first; of one subject, or of all."""
    query = select(t.audit).where(t.audit.c.id > after_id).order_by(t.audit.c.id).limit(limit)
    if subject is not None:
        query = query.where(t.audit.c.subject == subject)
    return [
        AuditEntry(r.id, r.at, r.actor, r.action, r.subject, r.inputs_id, r.detail) for r in db.execute(query)
    ]


def prune_events(db: Connection, before: datetime, most: int) -> int:
    """Forget what happened earlier, the `most` oldest of it; answers how many entries went."""
    return forget_oldest(db, t.events, before, most)


def prune_audit(db: Connection, before: datetime, most: int) -> int:
    """The same of who did it."""
    return forget_oldest(db, t.audit, before, most)
