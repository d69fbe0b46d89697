"""What arrived at pools, by model, in the steps of five minutes in which measured load is kept.

A step keeps all models of one sample, its highest: the sum over models is the step's accelerators only where they were
counted together, and sized again they give them again. The highest rate of each model by itself may never have come at
one time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, tuple_

from shifter.realtime.measured import step_of
from shifter.store import tables as t
from shifter.views import ModelTraffic

StepKey = tuple[str, str, int]
"""Site, pool and number of a step."""

AT_ONCE = 500
"""Steps that one question names."""


@dataclass(frozen=True)
class SizedTraffic:
    """What arrived for a model, and what it was sized to."""

    traffic: ModelTraffic
    accelerators: float
    sizing: str
    """A fingerprint of how: the same sizes the same traffic to as many accelerators."""


@dataclass(frozen=True)
class Arrived:
    """All that arrived at a pool, by model."""

    site: str
    pool: str
    at: datetime
    models: tuple[SizedTraffic, ...]


Steps = Mapping[StepKey, tuple[SizedTraffic, ...]]
"""All models of the highest sample of each step, by name."""


def accelerators(models: Iterable[SizedTraffic]) -> float:
    """What they were sized to, together."""
    return sum(m.accelerators for m in models)


def count(db: Connection, arrived: Iterable[Arrived]) -> None:
    """Raise the steps of these to them: whatever order they come in, and however often."""
    best: dict[StepKey, tuple[SizedTraffic, ...]] = {}
    for one in arrived:
        key = (one.site, one.pool, step_of(one.at))
        models = _ordered(one.models)
        if key not in best or _height(models) > _height(best[key]):
            best[key] = models
    if not best:
        return
    c = t.load_traffic.c
    kept: dict[StepKey, tuple[SizedTraffic, ...]] = {}
    named = list(best)
    for i in range(0, len(named), AT_ONCE):
        there = tuple_(c.site, c.pool, c.step).in_(named[i : i + AT_ONCE])
        kept |= _read(db, select(t.load_traffic).where(there))
    raised = {k: models for k, models in best.items() if k not in kept or _height(models) > _height(kept[k])}
    gone = [{"of_site": k[0], "of_pool": k[1], "of_step": k[2]} for k in raised if k in kept]
    if gone:
        names = (
            c.site == bindparam("of_site"),
            c.pool == bindparam("of_pool"),
            c.step == bindparam("of_step"),
        )
        db.execute(delete(t.load_traffic).where(*names), gone)
    if raised:
        db.execute(insert(t.load_traffic), list(_rows(raised)))


def steps(
    db: Connection, first: int, end: int, site: str | None = None, pool: str | None = None
) -> dict[StepKey, tuple[SizedTraffic, ...]]:
    """What arrived in the steps `[first, end)`; at all pools, at those of a site, or of a name."""
    c = t.load_traffic.c
    query = select(t.load_traffic).where(c.step >= first, c.step < end)
    query = query if site is None else query.where(c.site == site)
    query = query if pool is None else query.where(c.pool == pool)
    return _read(db, query)


def sized_otherwise(db: Connection, first: int, sizings: Collection[str]) -> Steps:
    """What arrived from step `first` on, where a model was sized by another fingerprint than these; with all models."""
    c = t.load_traffic.c
    used = db.execute(select(c.sizing).where(c.step >= first).distinct()).scalars()
    others = [sizing for sizing in used if sizing not in sizings]
    if not others:
        return {}
    theirs = select(c.site, c.pool, c.step).where(c.step >= first, c.sizing.in_(others)).distinct().subquery()
    same = (c.site == theirs.c.site) & (c.pool == theirs.c.pool) & (c.step == theirs.c.step)
    return _read(db, select(t.load_traffic).join(theirs, same))


def prune(db: Connection, before: datetime) -> int:
    """Forget what arrived before `before`; answers how many rows went."""
    return db.execute(delete(t.load_traffic).where(t.load_traffic.c.step < step_of(before))).rowcount


def _ordered(models: Iterable[SizedTraffic]) -> tuple[SizedTraffic, ...]:
    return tuple(sorted(models, key=lambda m: m.traffic.model))


def _height(models: tuple[SizedTraffic, ...]) -> tuple[Any, ...]:
    """By what one sample of a step is higher than another: accelerators; where replicas are whole many are the same
    there, so tokens a second, of which more need more by any sizing; and then anything that tells two apart.
    """
    tokens = sum(
        m.traffic.requests_per_s * ((m.traffic.prompt_tokens or 0.0) + (m.traffic.output_tokens or 0.0))
        for m in models
    )
    rest = [(m.sizing, *(_least(getattr(m.traffic, name)) for name in _TRAFFIC)) for m in models]
    return accelerators(models), tokens, rest


def _least(value: str | float | None) -> str | float:
    """A length that was not told is before all others."""
    return -1.0 if value is None else value


_TRAFFIC = tuple(f.name for f in fields(ModelTraffic))


def _rows(of: Steps) -> Iterator[dict[str, Any]]:
    for (site, pool, step), models in of.items():
        for m in models:
            place = {"site": site, "pool": pool, "step": step}
            yield place | asdict(m.traffic) | {"accelerators": m.accelerators, "sizing": m.sizing}


def _read(db: Connection, query: Select[Any]) -> dict[StepKey, tuple[SizedTraffic, ...]]:
    found: dict[StepKey, list[SizedTraffic]] = {}
    for r in db.execute(query):
        traffic = ModelTraffic(*(getattr(r, name) for name in _TRAFFIC))
        found.setdefault((r.site, r.pool, r.step), []).append(SizedTraffic(traffic, r.accelerators, r.sizing))
    return {key: _ordered(models) for key, models in found.items()}
