"""What each site drew as its meter said, in steps of five minutes: what grid events are measured by.

A step says for how much of it there was a measurement. What was not metered is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from shifter.domain.metered import STEP, Metered, Step
from shifter.store import tables as t

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Span = tuple[str, datetime, datetime, float]
"""A site, `[start, end)`, and the power [kW] that was metered for all of it."""


def add(db: Connection, spans: Iterable[Span]) -> None:
    """Count what was metered into its steps."""
    counted = in_steps(spans)
    if not counted:
        return
    sites, starts = {site for site, _ in counted}, [start for _, start in counted]
    c = t.imports.c
    near = (c.site.in_(sites), c.start >= min(starts), c.start <= max(starts))
    kept = {(r.site, r.start): (r.drawn_kwh, r.metered_s) for r in db.execute(select(t.imports).where(*near))}
    for (site, start), (kwh, seconds) in counted.items():
        before_kwh, before_s = kept.get((site, start), (0.0, 0.0))
        if (site, start) in kept:
            db.execute(delete(t.imports).where(c.site == site, c.start == start))
        row = {"site": site, "start": start, "drawn_kwh": before_kwh + kwh, "metered_s": before_s + seconds}
        db.execute(insert(t.imports), row)


def in_steps(spans: Iterable[Span]) -> Mapping[tuple[str, datetime], tuple[float, float]]:
    """What was drawn [kWh], and for how long it was metered [s], by site and the start of each step."""
    found: dict[tuple[str, datetime], tuple[float, float]] = {}
    for site, start, end, kw in spans:
        at = start
        while at < end:
            step = EPOCH + (at - EPOCH) // STEP * STEP
            until = min(end, step + STEP)
            seconds = (until - at).total_seconds()
            kwh, before = found.get((site, step), (0.0, 0.0))
            found[site, step] = kwh + kw * seconds / 3600, before + seconds
            at = until
    return found


def read(db: Connection, site: str, start: datetime, end: datetime) -> Metered:
    """What was metered in `[start, end)`, as far as steps tell."""
    c = t.imports.c
    query = select(t.imports).where(c.site == site, c.start > start - STEP, c.start < end).order_by(c.start)
    return Metered({r.start: Step(r.drawn_kwh, r.metered_s) for r in db.execute(query)})


def prune(db: Connection, before: datetime) -> int:
    """Forget what was metered before `before`; answers how many steps went."""
    return db.execute(delete(t.imports).where(t.imports.c.start < before)).rowcount
