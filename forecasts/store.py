"""What was known when: a bitemporal, append-only store of forecast vintages over SQLAlchemy Core.

Every question carries a `moment`, and nothing that was learnt later answers it. At each instant of delivery
the newest capture that covers it speaks; a capture that was missed is a gap in what we knew, never taken for
"unchanged". A body that repeats the one before it writes no vintage, only the fact that it was seen again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from forecasts import tables as t
from forecasts.checks import check_structure
from forecasts.errors import ForecastRejected
from forecasts.log import (
    Content,
    Log,
    changes,
    from_us,
    spoken_at,
    to_us,
    uncovered,
    without,
)
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.tables import metadata
from forecasts.vintage import (
    AppendResult,
    SeriesAge,
    VintageInfo,
    digest_of,
    info_of,
    series_of,
    value_row,
    vintage_row,
)

__all__ = ["AppendResult", "ForecastStore", "SeriesAge", "VintageInfo", "metadata"]


class ForecastStore:
    """The store in the database behind `engine`; the tables are `forecasts.store.metadata`.

    One store may be used from several threads; several processes may append to one PostgreSQL.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = threading.Lock()

    def create_tables(self) -> None:
        """Make the tables where they are not yet; a deployment does it with its migrations instead."""
        metadata.create_all(self.engine)

    def append(self, series: ForecastSeries) -> AppendResult:
        """Add what a source said. Raises ForecastRejected for gaps, NaN, and a unit or basis that changed.

        `series.known_at` may lie before that of vintages already stored (an archive imported later).
        """
        (result,) = self.append_all([series])
        return result

    def append_all(self, series: Sequence[ForecastSeries]) -> list[AppendResult]:
        """Add all of them, in their order, or none. Raises what `append` does, and then nothing was stored."""
        for s in series:
            check_structure(s)
        with self._writing, self.engine.begin() as db:
            # Locked in one order, whoever appends: two that hold each other's next row would wait for ever.
            parts = {s.key: (s.source, s.zone, s.signal) for s in series}
            locked = {key: self._lock_series(db, *parts[key]) for key in sorted(parts)}
            return [self._append(db, locked[s.key], s) for s in series]

    def _append(self, db: Connection, series_id: int, series: ForecastSeries) -> AppendResult:
        content = Content.of(series)
        digest = digest_of(series, content)
        known_at = to_us(series.known_at)
        self._agree_on_meaning(db, series_id, series)
        seen = db.execute(
            select(t.fetch.c.vintage_id)
            .join(t.vintage, t.vintage.c.id == t.fetch.c.vintage_id)
            .where(t.fetch.c.series_id == series_id, t.fetch.c.fetched_at_us == known_at)
            .where(t.vintage.c.sha256 == digest)
        ).scalar()
        if seen is not None:
            return AppendResult(series.key, "duplicate", seen, 0)
        newest = db.execute(
            select(t.vintage.c.id, t.vintage.c.sha256)
            .where(t.vintage.c.series_id == series_id, t.vintage.c.status == "accepted")
            .order_by(t.vintage.c.id.desc())
            .limit(1)
        ).first()
        if newest is not None and newest.sha256 == digest:
            self._record_fetch(db, series_id, newest.id, known_at)
            return AppendResult(series.key, "unchanged", newest.id, 0)
        log = self._log(db, series_id, content.first_us, content.last_us)
        changed = changes(content, log)
        vintage_id = self._insert_vintage(
            db, series_id, series, content, n_changed=len(changed), digest=digest
        )
        if changed:
            db.execute(insert(t.value), [value_row(series_id, vintage_id, c) for c in changed])
        self._record_fetch(db, series_id, vintage_id, known_at)
        return AppendResult(series.key, "new", vintage_id, len(changed))

    def record_rejection(
        self, *, source: str, zone: str, signal: Signal, known_at: datetime, reason: str
    ) -> int:
        """Remember that a vintage was refused and why; answers its id. It never answers a question."""
        with self._writing, self.engine.begin() as db:
            series_id = self._lock_series(db, source, zone, signal)
            row = {
                "series_id": series_id,
                "known_at_us": to_us(known_at),
                "status": "rejected",
                "kind": Kind.MISSING.value,
                "n_values": 0,
                "n_changed": 0,
                "sha256": "",
                "licence": "",
                "attribution": "",
                "restricted": False,
                "reason": reason,
            }
            return int(db.execute(insert(t.vintage).returning(t.vintage.c.id), row).scalar_one())

    def as_of(
        self,
        zone: str,
        signal: Signal,
        moment: datetime,
        start: datetime,
        end: datetime,
        *,
        sources: Collection[str] | None = None,
    ) -> tuple[ForecastSeries, ...]:
        """What was known at `moment` about `[start, end)`: series clipped to it, one or more a source.

        Those of one source do not overlap: each instant is told by the newest capture, with `known_at` not
        after `moment`, that covers it. `known_at` of a series is that capture's. `sources` None asks all.
        """
        query = select(t.series).where(t.series.c.zone == zone, t.series.c.signal == signal.value)
        if sources is not None:
            query = query.where(t.series.c.source.in_(list(sources)))
        found: list[ForecastSeries] = []
        with self.engine.connect() as db:
            for row in db.execute(query.order_by(t.series.c.key)).all():
                found += self._series_as_of(db, row, to_us(moment), to_us(start), to_us(end))
        return tuple(found)

    def read(self, vintage_id: int) -> ForecastSeries | None:
        """One accepted vintage as it was appended; None when there is none (never was, rejected, or pruned).

        This is what a plan that names its vintages is reproduced from.
        """
        with self.engine.connect() as db:
            row = db.execute(
                select(t.vintage, t.vintage.c.known_at_us.label("seen_us")).where(
                    t.vintage.c.id == vintage_id, t.vintage.c.status == "accepted"
                )
            ).first()
            if row is None:
                return None
            series_row = db.execute(select(t.series).where(t.series.c.id == row.series_id)).one()
            log = self._log(db, row.series_id, row.first_start_us, row.last_end_us)
            content = spoken_at(log, row.id, row.first_start_us, row.last_end_us)
            return series_of(series_row, row, content) if len(content) else None

    def latest(self, key: str, moment: datetime) -> ForecastSeries | None:
        """The newest vintage of `source:zone:signal` known at `moment`, whole; None when there is none."""
        with self.engine.connect() as db:
            vintage_id = db.execute(
                select(t.fetch.c.vintage_id)
                .join(t.series, t.series.c.id == t.fetch.c.series_id)
                .where(t.series.c.key == key, t.fetch.c.fetched_at_us <= to_us(moment))
                .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
                .limit(1)
            ).scalar()
        return None if vintage_id is None else self.read(vintage_id)

    def vintages(
        self,
        *,
        zone: str | None = None,
        signal: Signal | None = None,
        source: str | None = None,
        moment: datetime | None = None,
        limit: int = 100,
    ) -> list[VintageInfo]:
        """The newest vintages, accepted and rejected, newest first; with `moment`, those known then."""
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
            .limit(limit)
        )
        for column, wanted in (
            (t.series.c.zone, zone),
            (t.series.c.signal, None if signal is None else signal.value),
            (t.series.c.source, source),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if moment is not None:
            query = query.where(t.vintage.c.known_at_us <= to_us(moment))
        with self.engine.connect() as db:
            return [info_of(row) for row in db.execute(query)]

    def ages(self, now: datetime) -> list[SeriesAge]:
        """Every series with the age of its newest accepted capture at `now`, and rejections since."""
        ages = []
        with self.engine.connect() as db:
            for s in db.execute(select(t.series).order_by(t.series.c.key)).all():
                last = db.execute(
                    select(t.fetch.c.fetched_at_us, t.vintage.c.last_end_us)
                    .join(t.vintage, t.vintage.c.id == t.fetch.c.vintage_id)
                    .where(t.fetch.c.series_id == s.id, t.fetch.c.fetched_at_us <= to_us(now))
                    .order_by(t.fetch.c.fetched_at_us.desc(), t.fetch.c.id.desc())
                    .limit(1)
                ).first()
                rejected = select(func.count()).where(
                    t.vintage.c.series_id == s.id,
                    t.vintage.c.status == "rejected",
                    t.vintage.c.known_at_us <= to_us(now),
                )
                if last is not None:
                    rejected = rejected.where(t.vintage.c.known_at_us > last.fetched_at_us)
                ages.append(
                    SeriesAge(
                        s.key,
                        s.source,
                        s.zone,
                        Signal(s.signal),
                        None if last is None else from_us(last.fetched_at_us),
                        None if last is None else from_us(last.last_end_us),
                        None if last is None else (to_us(now) - last.fetched_at_us) / 1e6,
                        db.execute(rejected).scalar_one(),
                    )
                )
        return ages

    def prune(self, before: datetime) -> int:
        """Forget delivery before `before`; answers how many values went. The only deletion there is.

        It goes by delivery, not by age of knowledge: what a vintage says of the days kept stays exact.
        """
        at = to_us(before)
        with self._writing, self.engine.begin() as db:
            gone = db.execute(delete(t.value).where(t.value.c.start_us < at)).rowcount
            old = select(t.vintage.c.id).where(
                (t.vintage.c.last_end_us <= at)
                | ((t.vintage.c.status == "rejected") & (t.vintage.c.known_at_us < at))
            )
            db.execute(delete(t.fetch).where(t.fetch.c.vintage_id.in_(old)))
            db.execute(delete(t.vintage).where(t.vintage.c.id.in_(old)))
            kept = select(t.vintage.c.series_id).distinct()
            db.execute(delete(t.series).where(t.series.c.id.not_in(kept)))
        return gone

    def _series_as_of(
        self, db: Connection, series: Row[Any], moment: int, start: int, end: int
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
        log = self._log(db, series.id, start - reach, end)
        found = []
        for capture, pieces in speaking:
            content = spoken_at(log, capture.id, capture.first_start_us, capture.last_end_us)
            for piece in pieces:
                part = content.clipped(*piece)
                if len(part):
                    found.append(series_of(series, capture, part))
        return sorted(found, key=lambda s: s.start[0])

    def _log(self, db: Connection, series_id: int, first_us: int, last_us: int) -> Log:
        v = t.value.c
        rows = db.execute(
            select(v.start_us, v.end_us, v.q_ppm, v.vintage_id, v.value).where(
                v.series_id == series_id, v.start_us >= first_us, v.start_us < last_us
            )
        )
        return Log.of(rows.all())

    def _lock_series(self, db: Connection, source: str, zone: str, signal: Signal) -> int:
        """The series' id, its row locked until the transaction ends: one appender at a time."""
        key = f"{source}:{zone}:{signal}"
        same = update(t.series).where(t.series.c.key == key).values(key=key)
        if db.execute(same).rowcount == 0:
            row = {"key": key, "source": source, "zone": zone, "signal": signal.value}
            db.execute(insert(t.series), row)
        return int(db.execute(select(t.series.c.id).where(t.series.c.key == key)).scalar_one())

    def _agree_on_meaning(self, db: Connection, series_id: int, series: ForecastSeries) -> None:
        row = db.execute(select(t.series).where(t.series.c.id == series_id)).one()
        basis = None if series.basis is None else series.basis.value
        if row.unit is None:
            meaning = {"unit": series.unit, "basis": basis}
            db.execute(update(t.series).where(t.series.c.id == series_id).values(**meaning))
        elif (row.unit, row.basis) != (series.unit, basis):
            raise ForecastRejected(
                f"{series.key}: it is kept in {row.unit} ({row.basis}), and this is {series.unit} ({basis}).",
                field=str(series.signal),
                hint="Two that differ are never mixed: give the source another name if the change is meant.",
                series=series.key,
            )

    def _insert_vintage(
        self,
        db: Connection,
        series_id: int,
        series: ForecastSeries,
        content: Content,
        *,
        n_changed: int,
        digest: str,
    ) -> int:
        row = {
            "series_id": series_id,
            "n_changed": n_changed,
            "sha256": digest,
            **vintage_row(series, content),
        }
        return int(db.execute(insert(t.vintage).returning(t.vintage.c.id), row).scalar_one())

    def _record_fetch(self, db: Connection, series_id: int, vintage_id: int, at_us: int) -> None:
        row = {"series_id": series_id, "vintage_id": vintage_id, "fetched_at_us": at_us}
        db.execute(insert(t.fetch), row)
