"""What operators announced of real-time load: one row an announcement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from shifter.realtime.announcement import Announcement
from shifter.store import tables as t


@dataclass(frozen=True)
class Kept:
    """An announcement as it is kept: who made it, and when."""

    announcement: Announcement
    created_at: datetime
    created_by: str


def _kept(r: Row[Any]) -> Kept:
    announcement = Announcement(
        r.id, r.name, r.starts_at, r.ends_at, r.factor, r.added_accelerators, r.site, r.pool
    )
    return Kept(announcement, r.created_at, r.created_by)


def add(db: Connection, announcement: Announcement, at: datetime, by: str) -> Kept:
    """Keep one."""
    a, kept = announcement, Kept(announcement, at, by[:256])
    row = {
        "id": a.id,
        "name": a.name,
        "starts_at": a.start,
        "ends_at": a.end,
        "factor": a.factor,
        "added_accelerators": a.added_accelerators,
        "site": a.site,
        "pool": a.pool,
        "created_at": at,
        "created_by": kept.created_by,
    }
    db.execute(insert(t.announcements).values(row))
    return kept


def ending_after(db: Connection, since: datetime | None = None) -> list[Kept]:
    """Those whose window ends after `since`, or all that are kept, by start."""
    a = t.announcements.c
    query = select(t.announcements).order_by(a.starts_at, a.id)
    if since is not None:
        query = query.where(a.ends_at > since)
    return [_kept(r) for r in db.execute(query)]


def find(db: Connection, announcement_id: str) -> Kept | None:
    """One of them, or None."""
    r = db.execute(select(t.announcements).where(t.announcements.c.id == announcement_id)).first()
    return None if r is None else _kept(r)


def drop(db: Connection, announcement_id: str) -> None:
    """Forget one."""
    db.execute(delete(t.announcements).where(t.announcements.c.id == announcement_id))


def prune(db: Connection, before: datetime) -> int:
    """Forget those that ended before; how many."""
    return db.execute(delete(t.announcements).where(t.announcements.c.ends_at < before)).rowcount
