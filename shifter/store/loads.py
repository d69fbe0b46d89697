"""Measured real-time load by steps of five minutes, made of its samples; and what was forecast of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, delete, insert, select

from shifter.domain.fleet import PoolKey
from shifter.realtime.measured import start_of, step_of, steps_of
from shifter.store import tables as t
from shifter.views import TelemetrySample

SAID_DAYS = 60
"""[d] How long it is kept what was said ahead."""
ROWS_AT_ONCE = 10_000

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


def count(db: Connection, samples: Iterable[TelemetrySample], since: datetime) -> None:
    """Make the steps of these samples anew, of all samples that are kept, in whatever order they came.

    A sample from before `since` counts no more: others of its step may be forgotten already.
    """
    touched: dict[PoolKey, set[int]] = {}
    for s in samples:
        if s.pool is not None and start_of(step_of(s.at)) >= since:
            touched.setdefault((s.site, s.pool), set()).add(step_of(s.at))
    for key, steps in touched.items():
        _count(db, key, steps)


def count_all(db: Connection, since: datetime) -> None:
    """The same for all samples that are kept."""
    c = t.telemetry.c
    kept = select(c.site, c.pool, c.at).where(c.at >= since, c.pool.is_not(None))
    count(db, [TelemetrySample(r.site, r.at, r.pool, 0.0) for r in db.execute(kept)], since)


def _count(db: Connection, key: PoolKey, steps: set[int]) -> None:
    c, s = t.telemetry.c, t.load_steps.c
    found = db.execute(
        select(c.at, c.realtime_accelerators).where(
            c.site == key[0],
            c.pool == key[1],
            c.at >= start_of(min(steps)),
            c.at < start_of(max(steps) + 1),
            c.realtime_accelerators.is_not(None),
        )
    )
    made = [one for one in steps_of((r[0], r[1]) for r in found) if step_of(one.start) in steps]
    of_pool = (s.site == key[0]) & (s.pool == key[1])
    numbers = sorted(steps)
    for i in range(0, len(numbers), ROWS_AT_ONCE):
        db.execute(delete(t.load_steps).where(of_pool, s.step.in_(numbers[i : i + ROWS_AT_ONCE])))
    if made:
        db.execute(
            insert(t.load_steps),
            [
                {"site": key[0], "pool": key[1], "step": step_of(one.start)}
                | {"mean": one.mean, "peak": one.peak, "samples": one.samples}
                for one in made
            ],
        )


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
    """Forget what was measured before `before`, and what was said long ago; answers how many steps went."""
    db.execute(delete(t.load_said).where(t.load_said.c.made_at < now - timedelta(days=SAID_DAYS)))
    return db.execute(delete(t.load_steps).where(t.load_steps.c.step < step_of(before))).rowcount
