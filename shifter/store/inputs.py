"""What operators and meters tell: overrides, telemetry; and that the daemon lives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, insert, or_, select, update

from shifter.domain.workload import Override, WorkloadClass
from shifter.store import tables as t
from shifter.store.forget import forget_oldest
from shifter.views import TelemetrySample


def add_override(db: Connection, override: Override) -> None:
    """Keep an operator's decision; a later one for the same subject replaces it, None lifts it."""
    row = {"at": override.at, "by": override.by[:256], "reason": override.reason}
    row |= {"decided": override.decided and str(override.decided)}
    db.execute(insert(t.overrides), {**row, "workload_id": override.workload_id, "rule": override.rule})


def overrides(db: Connection) -> list[Override]:
    """Those in force, oldest first: the last of each subject. None lifts that of a workload, and switches off
    a rule.
    """
    last: dict[tuple[str | None, str | None], Override] = {}
    for r in db.execute(select(t.overrides).order_by(t.overrides.c.id)):
        key = (r.workload_id, r.rule)
        last.pop(key, None)
        if r.decided is not None or r.rule is not None:
            decided = None if r.decided is None else WorkloadClass(r.decided)
            last[key] = Override(decided, r.by, r.at, r.reason, r.workload_id, r.rule)
    return list(last.values())


def save_alive(db: Connection, at: datetime) -> None:
    """Keep the daemon's last sign of life: what was planned after it was vouched for by nobody."""
    if db.execute(update(t.heartbeat).where(t.heartbeat.c.id == 1).values(alive_at=at)).rowcount == 0:
        db.execute(insert(t.heartbeat), {"id": 1, "alive_at": at})


def alive_at(db: Connection) -> datetime | None:
    """The daemon's last sign of life that was kept."""
    at: datetime | None = db.execute(select(t.heartbeat.c.alive_at)).scalar()
    return at


def add_telemetry(db: Connection, samples: Iterable[TelemetrySample]) -> None:
    """Keep what was measured."""
    rows = [
        {
            "at": s.at,
            "site": s.site,
            "pool": s.pool,
            "realtime_accelerators": s.realtime_accelerators,
            "import_kw": s.import_kw,
            "available_accelerators": s.available_accelerators,
        }
        for s in samples
    ]
    if rows:
        db.execute(insert(t.telemetry), rows)


def telemetry_since(db: Connection, since: datetime, newest_since: datetime) -> list[TelemetrySample]:
    """What was measured after `since`, and of each pool and site the newest of each kind: after `newest_since`, but how
    many accelerators there are however long ago that was. Oldest first.
    """
    c = t.telemetry.c
    newest = []
    for kind in (c.realtime_accelerators, c.available_accelerators, c.import_kw):
        of_kind = (
            kind.is_not(None)
            if kind is c.available_accelerators
            else kind.is_not(None) & (c.at > newest_since)
        )
        # By when it was measured, and not by when it came: a sample may come late.
        place = func.row_number().over(partition_by=(c.site, c.pool), order_by=(c.at.desc(), c.id.desc()))
        ranked = select(c.id, place.label("place")).where(of_kind).subquery()
        newest.append(c.id.in_(select(ranked.c.id).where(ranked.c.place == 1)))
    wanted = or_(c.at > since, *newest)
    query = select(t.telemetry).where(wanted).order_by(c.at, c.id)
    return [
        TelemetrySample(r.site, r.at, r.pool, r.realtime_accelerators, r.import_kw, r.available_accelerators)
        for r in db.execute(query)
    ]


def prune_telemetry(db: Connection, before: datetime, most: int) -> int:
    """Forget what was measured before `before`, the `most` oldest of it, but not what accelerators there are; answers
    how many samples went."""
    return forget_oldest(db, t.telemetry, before, most, t.telemetry.c.available_accelerators.is_(None))
