"""Measured real-time load by steps of five minutes, made of its samples; and what was forecast of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, case, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from shifter.domain.fleet import PoolKey
from shifter.realtime.measured import peaks_of, step_of
from shifter.store import tables as t
from shifter.store import traffic
from shifter.views import TelemetrySample

SAID_DAYS = 60
"""[d] How long it is kept what was said ahead."""

Steps = Mapping[PoolKey, dict[int, float]]
"""The highest sample of each step, by pool and number."""


@dataclass(frozen=True)
class Said:
    """What was held at `quantile` for a pool when it was forecast: a value for every `slot_steps` steps."""

    site: str
    pool: str
    made_at: datetime
    quantile: float
    first_step: int
    slot_steps: int
    accelerators: tuple[float, ...]


def count(db: Connection, samples: Iterable[TelemetrySample]) -> None:
    """Raise the steps of these samples to them: whatever order they come in, and however often."""
    by_pool: dict[PoolKey, list[tuple[datetime, float]]] = {}
    for s in samples:
        if s.pool is not None and s.realtime_accelerators is not None:
            by_pool.setdefault((s.site, s.pool), []).append((s.at, s.realtime_accelerators))
    rows = [
        {"site": site, "pool": pool, "step": step, "peak": peak}
        for (site, pool), of in by_pool.items()
        for step, peak in peaks_of(of).items()
    ]
    if not rows:
        return
    c = t.load_steps.c
    insert_ = sqlite.insert if db.dialect.name == "sqlite" else postgresql.insert
    given = insert_(t.load_steps)
    raised = case((given.excluded.peak > c.peak, given.excluded.peak), else_=c.peak)
    db.execute(
        given.on_conflict_do_update(index_elements=[c.site, c.pool, c.step], set_={"peak": raised}), rows
    )


def count_all(db: Connection) -> None:
    """The same for all samples that are kept."""
    c = t.telemetry.c
    kept = select(c.site, c.pool, c.at, c.realtime_accelerators).where(c.realtime_accelerators.is_not(None))
    count(db, [TelemetrySample(r.site, r.at, r.pool, r.realtime_accelerators) for r in db.execute(kept)])


def highest_at(db: Connection, site: str, pool: str, start: datetime, end: datetime) -> dict[datetime, float]:
    """What is kept of a pool's samples in `[start, end)`, by their moments: of each the highest [accelerators]."""
    c = t.telemetry.c
    of_pool = (c.site == site, c.pool == pool, c.realtime_accelerators.is_not(None))
    query = select(c.at, func.max(c.realtime_accelerators).label("load"))
    query = query.where(*of_pool, c.at >= start, c.at < end).group_by(c.at)
    return {r.at: r.load for r in db.execute(query)}


def steps(db: Connection, first: int, site: str | None = None, pool: str | None = None) -> Steps:
    """What was measured from step number `first` on, by pool; of all, of a site, or of one."""
    s = t.load_steps.c
    query = select(s.site, s.pool, s.step, s.peak).where(s.step >= first)
    query = query if site is None else query.where(s.site == site)
    query = query if pool is None else query.where(s.pool == pool)
    found: dict[PoolKey, dict[int, float]] = {}
    for of_site, of_pool, step, peak in db.execute(query):
        found.setdefault((of_site, of_pool), {})[step] = peak
    return found


def is_empty(db: Connection) -> bool:
    """Whether nothing was measured yet, or nothing is kept."""
    return db.execute(select(t.load_steps.c.step).limit(1)).first() is None


def add_said(db: Connection, said: Iterable[Said]) -> None:
    """Keep what was said; what one pool was told twice at one moment counts once."""
    rows = [
        {"site": one.site, "pool": one.pool, "made_at": one.made_at, "quantile": one.quantile}
        | {"first_step": one.first_step, "slot_steps": one.slot_steps, "accelerators": list(one.accelerators)}
        for one in said
    ]
    if rows:
        db.execute(delete(t.load_said).where(t.load_said.c.made_at.in_({row["made_at"] for row in rows})))
        db.execute(insert(t.load_said), rows)


def said_since(
    db: Connection, since: datetime, site: str | None = None, pool: str | None = None
) -> list[Said]:
    """What was said since then, oldest first."""
    c = t.load_said.c
    query = select(t.load_said).where(c.made_at >= since).order_by(c.made_at, c.site, c.pool)
    query = query if site is None else query.where(c.site == site)
    query = query if pool is None else query.where(c.pool == pool)
    return [_said(r) for r in db.execute(query)]


def newest_said_at(db: Connection) -> datetime | None:
    """When it was last put down."""
    at: datetime | None = db.execute(
        select(t.load_said.c.made_at).order_by(t.load_said.c.made_at.desc()).limit(1)
    ).scalar()
    return at


def _said(r: Row[tuple[object, ...]]) -> Said:
    return Said(r.site, r.pool, r.made_at, r.quantile, r.first_step, r.slot_steps, tuple(r.accelerators))


def prune(db: Connection, before: datetime, now: datetime) -> int:
    """Forget what was measured before `before`, its traffic too, and what was said long ago; answers how many steps
    went.
    """
    traffic.prune(db, before)
    db.execute(delete(t.load_said).where(t.load_said.c.made_at < now - timedelta(days=SAID_DAYS)))
    return db.execute(delete(t.load_steps).where(t.load_steps.c.step < step_of(before))).rowcount
