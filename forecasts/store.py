"""What was known when: a bitemporal, append-only store of forecast vintages over SQLAlchemy Core.

Every question carries a `moment`, and nothing that was learnt later answers it. At each instant of delivery
the newest capture that covers it speaks; a capture that was missed is a gap in what we knew, never taken for
"unchanged". A body that repeats what was seen last of its intervals writes no vintage, only the fact that it was
seen again. What a vintage says is kept whole, packed by `forecasts.content`, so that any is read without another.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, bindparam, delete, insert, select, update

from forecasts import questions
from forecasts import tables as t
from forecasts.checks import check_structure
from forecasts.content import Content, digest_of, unpack
from forecasts.errors import ForecastRejected
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.spans import to_us
from forecasts.tables import metadata
from forecasts.vintage import AppendResult, SeriesAge, VintageInfo, vintage_row

__all__ = ["AppendResult", "ForecastStore", "SeriesAge", "VintageInfo", "metadata"]

# Made once: making a statement takes SQLAlchemy longer than the database takes to carry it out.
_LOCK = (
    update(t.series).where(t.series.c.key == bindparam("of")).values(key=t.series.c.key).returning(t.series)
)
_NEW_VINTAGE = insert(t.vintage).returning(t.vintage.c.id)
_NEW_FETCH = insert(t.fetch)


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
            done = []
            for one in series:
                locked[one.key] = row = self._agree_on_meaning(db, locked[one.key], one)
                done.append(self._append(db, row, one))
            return done

    def _append(self, db: Connection, row: Row[Any], series: ForecastSeries) -> AppendResult:
        content = Content.of(series)
        digest = digest_of(series, content)
        known_at = to_us(series.known_at)
        before = questions.spoke_before(db, row, content.first_us, content.last_us, known_at)
        moments = [known_at] if before is None else [known_at, before.seen_us]
        if (seen := questions.seen_as(db, row, digest, moments)) is not None:
            seen_us, vintage_id = seen
            if seen_us == known_at:
                return AppendResult(series.key, "duplicate", vintage_id, 0)
            self._record_fetch(db, row.id, vintage_id, known_at)
            return AppendResult(series.key, "unchanged", vintage_id, 0)
        n_changed = content.changed_since(None if before is None else questions.content_of(before))
        vintage_id = self._insert_vintage(
            db, row.id, {"n_changed": n_changed, "sha256": digest, **vintage_row(series, content)}
        )
        self._record_fetch(db, row.id, vintage_id, known_at)
        return AppendResult(series.key, "new", vintage_id, n_changed)

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
            series_id = self._lock_series(db, source, zone, signal).id
            row = {
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
            return self._insert_vintage(db, series_id, row)

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

    def sources(self, zone: str, signal: Signal) -> tuple[str, ...]:
        """Who ever said anything of it."""
        with self.engine.connect() as db:
            return questions.sources(db, zone, signal)

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
        """Forget delivery before `before`; answers how many intervals went or were cut. The only deletion.

        It goes by delivery, not by age of knowledge: what a vintage says of the days kept stays exact. Plans are
        reproduced from inputs of their own, whatever is pruned here.
        """
        at = to_us(before)
        v = t.vintage.c
        with self._write() as db:
            # A deletion first: SQLite lets no one write after a read who was overtaken by another writer.
            self._forget(db, v.first_start_us.is_(None) & (v.known_at_us < at))  # rejected
            begun = select(v.first_start_us, v.last_end_us, v.content).where(v.first_start_us < at)
            with db.execute(begun) as rows:
                gone = sum(len(unpack(r.content, r.first_start_us, min(r.last_end_us, at))) for r in rows)
            # What is over goes; what is not goes on from there, and needs no packing anew: its coverage says so.
            self._forget(db, (v.first_start_us < at) & (v.last_end_us <= at))
            db.execute(update(t.vintage).where(v.first_start_us < at).values(first_start_us=at))
            kept = select(v.series_id).where(v.series_id == t.series.c.id)
            db.execute(delete(t.series).where(~kept.exists()))
        return gone

    def _forget(self, db: Connection, old: ColumnElement[bool]) -> None:
        v = t.vintage.c
        db.execute(delete(t.fetch).where(t.fetch.c.vintage_id.in_(select(v.id).where(old))))
        db.execute(delete(t.vintage).where(old))

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

    def _lock_series(self, db: Connection, source: str, zone: str, signal: Signal) -> Row[Any]:
        """The series' row, locked until the transaction ends: one appender at a time."""
        key = f"{source}:{zone}:{signal}"
        if (row := db.execute(_LOCK, {"of": key}).first()) is not None:
            return row
        new = {"key": key, "source": source, "zone": zone, "signal": signal.value}
        return db.execute(insert(t.series).returning(t.series), new).one()

    def _agree_on_meaning(self, db: Connection, row: Row[Any], series: ForecastSeries) -> Row[Any]:
        """The series' row once it means and reaches what `series` does. Raises ForecastRejected where it may not."""
        basis = None if series.basis is None else series.basis.value
        if row.unit is not None and (row.unit, row.basis) != (series.unit, basis):
            raise ForecastRejected(
                f"{series.key}: it is kept in {row.unit} ({row.basis}), and this is {series.unit} ({basis}).",
                field=str(series.signal),
                hint="Two that differ are never mixed: give the source another name if the change is meant.",
                series=series.key,
            )
        reach_us = int(series.end[-1].astype("datetime64[us]").astype(int)) - to_us(series.known_at)
        if row.reach_us is not None and reach_us <= row.reach_us:
            return row
        means = {"unit": series.unit, "basis": basis, "reach_us": reach_us}
        query = update(t.series).where(t.series.c.id == row.id).values(**means).returning(t.series)
        return db.execute(query).one()

    def _insert_vintage(self, db: Connection, series_id: int, said: dict[str, Any]) -> int:
        row = {"series_id": series_id, **said}
        return int(db.execute(_NEW_VINTAGE, row).scalar_one())

    def _record_fetch(self, db: Connection, series_id: int, vintage_id: int, at_us: int) -> None:
        row = {"series_id": series_id, "vintage_id": vintage_id, "fetched_at_us": at_us}
        db.execute(_NEW_FETCH, row)
