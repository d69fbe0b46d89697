"""What the store answers: queries on its tables, on a connection that the caller opened.

`forecasts.store` is where to ask; every question of the past carries a moment, and nothing learnt later answers it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from forecasts import tables as t
from forecasts.log import Content, Log, from_us, spoken_at, to_us, uncovered, without
from forecasts.series import ForecastSeries, Signal
from forecasts.vintage import SeriesAge, VintageInfo, info_of, series_of


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
    for row in db.execute(query.order_by(t.series.c.key)).all():
        found += _series_as_of(db, row, to_us(moment), to_us(start), to_us(end))
    return tuple(found)


def _series_as_of(
    db: Connection, series: Row[Any], moment: int, start: int, end: int
) -> list[ForecastSeries]:
    captures = db.execute(
        select(t.vintage, t.fetch.c.fetched_at_us.label("seen_us"))
        .join(t.fetch, t.fetch.c.vintage_id == t.vintage.c.id)
        .where(t.fetch.c.series_id == series.id, t.fetch.c.fetched_at_us <= moment)
        .where(t.vintage.c.first_start_us < end, t.vintage.c.last_end_us > start)
        .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
    )
    free = [(start, end)] if start < end else []
    speaking: list[tuple[Row[Any], list[tuple[int, int]]]] = []
    for capture in captures:
        if not free:
            break
        covers = capture.first_start_us, capture.last_end_us
        if pieces := list(uncovered(free, *covers)):
            speaking.append((capture, pieces))
            free = without(free, *covers)
    captures.close()
    if not speaking:
        return []
    # An interval that reaches into the window may have begun as long before it as intervals get.
    reach = max(c.longest_us for c, _ in speaking)
    log = change_log(db, series.id, start - reach, end)
    found = []
    for capture, pieces in speaking:
        content: Content = spoken_at(log, capture.id, capture.first_start_us, capture.last_end_us)
        for piece in pieces:
            part = content.clipped(*piece)
            if len(part):
                found.append(series_of(series, capture, part))
    return sorted(found, key=lambda s: s.start[0])


def change_log(db: Connection, series_id: int, first_us: int, last_us: int) -> Log:
    """The rows of the change-log for intervals that start within `[first_us, last_us)`."""
    v = t.value.c
    rows = db.execute(
        select(v.start_us, v.end_us, v.q_ppm, v.vintage_id, v.value).where(
            v.series_id == series_id, v.start_us >= first_us, v.start_us < last_us
        )
    )
    return Log.of(rows.all())


def vintage(db: Connection, vintage_id: int) -> ForecastSeries | None:
    """See `ForecastStore.read`."""
    row = db.execute(
        select(t.vintage, t.vintage.c.known_at_us.label("seen_us")).where(
            t.vintage.c.id == vintage_id, t.vintage.c.status == "accepted"
        )
    ).first()
    if row is None:
        return None
    series_row = db.execute(select(t.series).where(t.series.c.id == row.series_id)).one()
    log = change_log(db, row.series_id, row.first_start_us, row.last_end_us)
    content = spoken_at(log, row.id, row.first_start_us, row.last_end_us)
    return series_of(series_row, row, content) if len(content) else None


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
    query = _with_series(moment).limit(limit)
    for column, wanted in (
        (t.series.c.zone, zone),
        (t.series.c.signal, None if signal is None else signal.value),
        (t.series.c.source, source),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return [info_of(row) for row in db.execute(query)]


def _with_series(moment: datetime | None) -> Select[Any]:
    """Vintages beside their series, newest first, with the last time that each was seen by `moment`."""
    seen = t.fetch.c.fetched_at_us
    on = t.fetch.c.vintage_id == t.vintage.c.id
    if moment is not None:
        on &= seen <= to_us(moment)
    query = (
        select(
            t.vintage,
            t.series.c.key,
            t.series.c.source,
            t.series.c.zone,
            t.series.c.signal,
            t.series.c.unit,
            t.series.c.basis,
            func.max(seen).label("confirmed_us"),
        )
        .join(t.series, t.series.c.id == t.vintage.c.series_id)
        .outerjoin(t.fetch, on)
        .group_by(t.vintage.c.id, t.series.c.id)
        .order_by(t.vintage.c.known_at_us.desc(), t.vintage.c.id.desc())
    )
    return query if moment is None else query.where(t.vintage.c.known_at_us <= to_us(moment))


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
