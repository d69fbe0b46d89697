"""What the store answers: queries on its tables, on a connection that the caller opened.

`forecasts.store` is where to ask; every question of the past carries a moment, and nothing learnt later answers it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from forecasts import tables as t
from forecasts.content import Content, unpack
from forecasts.series import ForecastSeries, Signal
from forecasts.spans import claim, from_us, to_us
from forecasts.vintage import SeriesAge, Teller, VintageInfo, info_of


def as_of(
    db: Connection,
    zone: str,
    signal: Signal,
    moment: datetime,
    start: datetime,
    end: datetime,
    sources: Collection[str] | None,
) -> tuple[ForecastSeries, ...]:
    """See `ForecastStore.as_of`."""
    query = select(t.series).where(t.series.c.zone == zone, t.series.c.signal == signal.value)
    if sources is not None:
        query = query.where(t.series.c.source.in_(list(sources)))
    found: list[ForecastSeries] = []
    # Sorted here: databases differ in how they order text.
    for row in sorted(db.execute(query), key=lambda r: r.source):
        found += _series_as_of(db, row, to_us(moment), to_us(start), to_us(end))
    return tuple(found)


def _series_as_of(
    db: Connection, series: Row[Any], moment: int, start: int, end: int
) -> list[ForecastSeries]:
    free = [(start, end)] if start < end else []
    tell = Teller(series)
    found: list[tuple[int, ForecastSeries]] = []
    with db.execute(_TOLD, bounds(series, start, end, moment)) as seen:
        for first, last, packed, *said in chain.from_iterable(seen.partitions(_AT_ONCE)):
            if not free:
                break
            taken, free = claim(free, first, last)
            found += [(a, tell(unpack(packed, a, b), *said)) for a, b in taken]
    return [s for _, s in sorted(found, key=itemgetter(0))]


def sources(db: Connection, zone: str, signal: Signal) -> tuple[str, ...]:
    """See `ForecastStore.sources`."""
    spoke = t.series.c.unit.is_not(None)  # what was only ever refused says nothing
    query = select(t.series.c.source).where(t.series.c.zone == zone, t.series.c.signal == signal.value, spoke)
    return tuple(sorted(db.execute(query).scalars()))


_CONTENT = (t.vintage.c.first_start_us, t.vintage.c.last_end_us, t.vintage.c.content)
_SEEN = t.fetch.c.fetched_at_us.label("seen_us")
_SAID = (
    *(_SEEN, t.vintage.c.issued_at_us, t.vintage.c.kind),
    *(t.vintage.c.licence, t.vintage.c.attribution, t.vintage.c.restricted),
)
"""What a `Teller` is told, after the content."""
_AT_ONCE = 200
"""Rows fetched at once: far cheaper than one by one, and few too many where the first of them say it all."""


def captures(*columns: Any) -> Select[Any]:
    """Each time that a vintage which says anything of a span was seen, the last first; its `bounds` are to be given."""
    return (
        select(*columns)
        .join_from(t.fetch, t.vintage, t.fetch.c.vintage_id == t.vintage.c.id)
        .where(t.fetch.c.series_id == bindparam("of"))
        .where(t.fetch.c.fetched_at_us > bindparam("since"), t.fetch.c.fetched_at_us <= bindparam("until"))
        .where(t.vintage.c.first_start_us < bindparam("end"), t.vintage.c.last_end_us > bindparam("start"))
        .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
    )


def bounds(series: Row[Any], start_us: int, end_us: int, until_us: int) -> dict[str, int]:
    """For `captures` of `[start_us, end_us)` up to a moment."""
    # Whatever was said of the span was known no earlier than that: the index need be followed no farther.
    since = start_us - (series.reach_us or 0)
    return {"of": series.id, "since": since, "until": until_us, "start": start_us, "end": end_us}


# Made once: making a statement takes SQLAlchemy longer than the database takes to answer it.
_TOLD = captures(*_CONTENT, *_SAID)
_SPOKE = captures(*_CONTENT, _SEEN).limit(1)
_SEEN_AS = (
    select(t.fetch.c.fetched_at_us, t.fetch.c.vintage_id)
    .join(t.vintage, t.vintage.c.id == t.fetch.c.vintage_id)
    .where(t.fetch.c.series_id == bindparam("of"))
    .where(t.fetch.c.fetched_at_us.in_(bindparam("at_us", expanding=True)))
    .where(t.vintage.c.sha256 == bindparam("digest"))
    .order_by(t.fetch.c.fetched_at_us.desc())
    .limit(1)
)


def spoke_before(
    db: Connection, series: Row[Any], start_us: int, end_us: int, before_us: int
) -> Row[Any] | None:
    """What was last seen before `before_us` to say anything of a span."""
    return db.execute(_SPOKE, bounds(series, start_us, end_us, before_us - 1)).first()


def seen_as(db: Connection, series: Row[Any], digest: str, at_us: Collection[int]) -> tuple[int, int] | None:
    """When, at the last of some moments, and as which vintage just that was seen; None when it was not.

    A source may tell of one series in several bodies at once: each repeats its own of the time before.
    """
    row = db.execute(_SEEN_AS, {"of": series.id, "at_us": list(at_us), "digest": digest}).first()
    return None if row is None else (row.fetched_at_us, row.vintage_id)


def content_of(row: Row[Any]) -> Content:
    """What an accepted vintage says, as far as it was not pruned."""
    return unpack(row.content, row.first_start_us, row.last_end_us)


def vintage(db: Connection, vintage_id: int) -> ForecastSeries | None:
    """See `ForecastStore.read`."""
    row = db.execute(
        select(*_CONTENT, t.vintage.c.known_at_us, *_SAID[1:], t.vintage.c.series_id).where(
            t.vintage.c.id == vintage_id, t.vintage.c.status == "accepted"
        )
    ).first()
    if row is None:
        return None
    first, last, packed, *said, series_id = row
    series = db.execute(select(t.series).where(t.series.c.id == series_id)).one()
    return Teller(series)(unpack(packed, first, last), *said)


def latest(db: Connection, key: str, moment: datetime) -> ForecastSeries | None:
    """See `ForecastStore.latest`."""
    vintage_id = db.execute(
        select(t.fetch.c.vintage_id)
        .join(t.series, t.series.c.id == t.fetch.c.series_id)
        .where(t.series.c.key == key, t.fetch.c.fetched_at_us <= to_us(moment))
        .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
        .limit(1)
    ).scalar()
    return None if vintage_id is None else vintage(db, vintage_id)


def vintages(
    db: Connection,
    zone: str | None,
    signal: Signal | None,
    source: str | None,
    moment: datetime | None,
    limit: int,
) -> list[VintageInfo]:
    """See `ForecastStore.vintages`."""
    wanted = select(t.series)
    for column, value in (
        (t.series.c.zone, zone),
        (t.series.c.signal, None if signal is None else signal.value),
        (t.series.c.source, source),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    # Series by series: the index has the vintages of each in order, and of all none has.
    found = [info for row in db.execute(wanted).all() for info in _newest(db, row, moment, limit)]
    return sorted(found, key=lambda info: (info.known_at, info.id), reverse=True)[:limit]


def _newest(db: Connection, series: Row[Any], moment: datetime | None, limit: int) -> list[VintageInfo]:
    """The newest vintages of one series, each with the last time that it was seen by `moment`."""
    v = t.vintage.c
    of_one = select(*(c for c in v if c is not v.content)).where(v.series_id == series.id)
    seen = select(func.max(t.fetch.c.fetched_at_us))
    if moment is not None:
        of_one = of_one.where(v.known_at_us <= to_us(moment))
        seen = seen.where(t.fetch.c.fetched_at_us <= to_us(moment))
    newest = of_one.order_by(v.known_at_us.desc(), v.id.desc()).limit(limit).subquery()
    last = seen.where(t.fetch.c.vintage_id == newest.c.id).scalar_subquery()
    return [info_of(series, row) for row in db.execute(select(newest, last.label("confirmed_us")))]


def ages(db: Connection, now: datetime) -> list[SeriesAge]:
    """See `ForecastStore.ages`."""
    return [_age(db, series, now) for series in db.execute(select(t.series).order_by(t.series.c.key)).all()]


def _age(db: Connection, series: Row[Any], now: datetime) -> SeriesAge:
    last = db.execute(
        select(t.fetch.c.fetched_at_us, t.vintage.c.last_end_us)
        .join(t.vintage, t.vintage.c.id == t.fetch.c.vintage_id)
        .where(t.fetch.c.series_id == series.id, t.fetch.c.fetched_at_us <= to_us(now))
        .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
        .limit(1)
    ).first()
    rejected = select(func.count()).where(
        t.vintage.c.series_id == series.id,
        t.vintage.c.status == "rejected",
        t.vintage.c.known_at_us <= to_us(now),
    )
    if last is not None:
        rejected = rejected.where(t.vintage.c.known_at_us > last.fetched_at_us)
    return SeriesAge(
        series.key,
        series.source,
        series.zone,
        Signal(series.signal),
        None if last is None else from_us(last.fetched_at_us),
        None if last is None else from_us(last.last_end_us),
        None if last is None else (to_us(now) - last.fetched_at_us) / 1e6,
        db.execute(rejected).scalar_one(),
    )
