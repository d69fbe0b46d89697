"""What was known when: a bitemporal, append-only store of forecast vintages over SQLAlchemy Core.

Every question carries a `moment`, and nothing that was learnt later answers it. At each instant of delivery
the newest capture that covers it speaks; a capture that was missed is a gap in what we knew, never taken for
"unchanged". A body that repeats the one before it writes no vintage, only the fact that it was seen again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update

from forecasts import questions
from forecasts import tables as t
from forecasts.checks import check_structure
from forecasts.errors import ForecastRejected
from forecasts.log import Content, changes, to_us
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.tables import metadata
from forecasts.vintage import (
    AppendResult,
    SeriesAge,
    VintageInfo,
    digest_of,
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

    def append_all(
        self, series: Sequence[ForecastSeries], *, within: Connection | None = None
    ) -> list[AppendResult]:
        """Add all of them, in their order, or none. Raises what `append` does, and then nothing was stored.

        `within`: the caller's transaction on this database, for what must stand or fall with them.
        """
        for s in series:
            check_structure(s)
        with self._write(within) as db:
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
        log = questions.change_log(db, series_id, content.first_us, content.last_us)
        changed = changes(content, log)
        vintage_id = self._insert_vintage(
            db, series_id, series, content, n_changed=len(changed), digest=digest
        )
        if changed:
            db.execute(insert(t.value), [value_row(series_id, vintage_id, c) for c in changed])
        self._record_fetch(db, series_id, vintage_id, known_at)
        return AppendResult(series.key, "new", vintage_id, len(changed))

    def record_rejection(
        self,
        *,
        source: str,
        zone: str,
        signal: Signal,
        known_at: datetime,
        reason: str,
        within: Connection | None = None,
    ) -> int:
        """Remember that a vintage was refused and why; answers its id. It never answers a question.

        `within` as in `append_all`.
        """
        with self._write(within) as db:
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
        with self.engine.connect() as db:
            return questions.as_of(db, zone, signal, moment, start, end, sources)

    def read(self, vintage_id: int) -> ForecastSeries | None:
        """One accepted vintage as it was appended; None when there is none (never was, rejected, or pruned).

        This is what a plan that names its vintages is reproduced from.
        """
        with self.engine.connect() as db:
            return questions.vintage(db, vintage_id)

    def latest(self, key: str, moment: datetime) -> ForecastSeries | None:
        """The newest vintage of `source:zone:signal` known at `moment`, whole; None when there is none."""
        with self.engine.connect() as db:
            return questions.latest(db, key, moment)

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
        with self.engine.connect() as db:
            return questions.vintages(db, zone, signal, source, moment, limit)

    def ages(self, now: datetime) -> list[SeriesAge]:
        """Every series with the age of its newest accepted capture at `now`, and rejections since."""
        with self.engine.connect() as db:
            return questions.ages(db, now)

    def prune(self, before: datetime) -> int:
        """Forget delivery before `before`; answers how many values went. The only deletion there is.

        It goes by delivery, not by age of knowledge: what a vintage says of the days kept stays exact.
        """
        at = to_us(before)
        with self._write() as db:
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

    @contextmanager
    def _write(self, within: Connection | None = None) -> Iterator[Connection]:
        """A transaction of our own, or the caller's.

        Of the caller's we take no lock of ours: it may hold the database's, which one who has ours waits for.
        """
        if within is not None:
            yield within
            return
        with self._writing, self.engine.begin() as db:
            yield db

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
