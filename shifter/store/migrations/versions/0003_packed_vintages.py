"""A vintage is kept whole and packed, where a row was kept for each value that it changed.

What the change-log says: of each interval start and quantile the row of the highest vintage, up to the one asked for,
within that one's coverage; a value of NULL withdraws. It is replayed in that order, a block of vintages at a time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from forecasts.content import Content, pack, unpack

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BLOCK = 200
"""Vintages read at once."""

meta = sa.MetaData()
_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
series = sa.Table(
    "forecast_series", meta, sa.Column("id", _id, primary_key=True), sa.Column("reach_us", sa.BigInteger)
)
vintage = sa.Table(
    "forecast_vintage",
    meta,
    sa.Column("id", _id, primary_key=True),
    sa.Column("series_id", _id),
    sa.Column("status", sa.String(10)),
    sa.Column("known_at_us", sa.BigInteger),
    sa.Column("first_start_us", sa.BigInteger),
    sa.Column("last_end_us", sa.BigInteger),
    sa.Column("longest_us", sa.BigInteger),
    sa.Column("content", sa.LargeBinary),
)
fetch = sa.Table("forecast_fetch", meta, sa.Column("vintage_id", _id))
value = sa.Table(
    "forecast_value",
    meta,
    sa.Column("series_id", _id),
    sa.Column("start_us", sa.BigInteger),
    sa.Column("q_ppm", sa.Integer),
    sa.Column("vintage_id", _id),
    sa.Column("end_us", sa.BigInteger),
    sa.Column("value", sa.Double),
)


class Standing:
    """What the change-log of one series says after some vintage: (end, value) by start and quantile."""

    def __init__(self) -> None:
        self.said: dict[int, dict[int, tuple[int, float]]] = {}
        self.starts: list[int] = []

    def write(self, start_us: int, q_ppm: int, end_us: int, said: float | None) -> None:
        """One row of the log."""
        if start_us not in self.said:
            self.said[start_us] = {}
            insort(self.starts, start_us)
        if said is None:
            self.said[start_us].pop(q_ppm, None)
        else:
            self.said[start_us][q_ppm] = end_us, said

    def within(self, first_us: int, last_us: int) -> dict[tuple[int, int], tuple[int, float]]:
        """What stands of the intervals that begin in `[first_us, last_us)`, by start and quantile, in order."""
        span = slice(bisect_left(self.starts, first_us), bisect_left(self.starts, last_us))
        return {(s, q): told for s in self.starts[span] for q, told in sorted(self.said[s].items())}

    def content(self, first_us: int, last_us: int) -> Content | None:
        """What a vintage of that coverage says; None where all of it was pruned."""
        by_q: dict[int, list[tuple[int, int, float]]] = {}
        for (start, q), (end, said) in self.within(first_us, last_us).items():
            by_q.setdefault(q, []).append((start, end, said))
        if not by_q:
            return None
        edges = [start for start, _, _ in by_q[0]] + [by_q[0][-1][1]]
        bands = {q: np.array([said for _, _, said in rows]) for q, rows in sorted(by_q.items())}
        return Content(np.array(edges, dtype=np.int64), bands)


def blocks(db: sa.Connection) -> Iterator[tuple[int, list[Any]]]:
    """Accepted vintages of one series, in the order in which they were appended, some at a time."""
    for series_id in db.execute(sa.select(series.c.id)).scalars().all():
        last = -1
        while rows := db.execute(
            sa.select(vintage)
            .where(vintage.c.series_id == series_id, vintage.c.status == "accepted", vintage.c.id > last)
            .order_by(vintage.c.id)
            .limit(BLOCK)
        ).all():
            last = rows[-1].id
            yield series_id, list(rows)


def upgrade() -> None:
    op.add_column(
        "forecast_series",
        sa.Column(
            "reach_us",
            sa.BigInteger(),
            nullable=True,
            comment="no vintage reaches farther beyond when it was known; NULL: as unit",
        ),
    )
    op.add_column(
        "forecast_vintage",
        sa.Column("content", sa.LargeBinary(), nullable=True, comment="packed; NULL when rejected"),
    )
    db = op.get_bind()
    reach = sa.select(sa.func.max(vintage.c.last_end_us - vintage.c.known_at_us)).where(
        vintage.c.series_id == series.c.id, vintage.c.status == "accepted"
    )
    db.execute(sa.update(series).values(reach_us=reach.scalar_subquery()))
    for _, some in groupby(blocks(db), key=lambda block: block[0]):
        standing = Standing()
        for series_id, vintages in some:
            _pack(db, standing, series_id, vintages)
    op.drop_index(op.f("ix_forecast_value_vintage_id"), table_name="forecast_value")
    op.drop_table("forecast_value")
    op.drop_column("forecast_vintage", "longest_us")
    op.create_index(
        op.f("ix_forecast_vintage_first_start_us"), "forecast_vintage", ["first_start_us"], unique=False
    )
    _comments("intervals when it was appended", "values that the one before it did not say")


def _pack(db: sa.Connection, standing: Standing, series_id: int, vintages: list[Any]) -> None:
    """Fill in the content of some vintages that follow one another, and go on from what they say."""
    rows = db.execute(
        sa.select(value)
        .where(value.c.vintage_id.between(vintages[0].id, vintages[-1].id), value.c.series_id == series_id)
        .order_by(value.c.vintage_id)
    ).all()
    log = {key: list(own) for key, own in groupby(rows, key=lambda r: r.vintage_id)}
    packed, empty = [], []
    for v in vintages:
        for r in log.get(v.id, ()):
            standing.write(r.start_us, r.q_ppm, r.end_us, r.value)
        content = standing.content(v.first_start_us, v.last_end_us)
        if content is None:
            empty.append(v.id)
        else:
            packed.append({"of": v.id, "first_us": content.first_us, "packed": pack(content)})
    if packed:
        db.execute(
            sa.update(vintage)
            .where(vintage.c.id == sa.bindparam("of"))
            .values(first_start_us=sa.bindparam("first_us"), content=sa.bindparam("packed")),
            packed,
        )
    if empty:
        db.execute(sa.delete(fetch).where(fetch.c.vintage_id.in_(empty)))
        db.execute(
            sa.delete(value).where(value.c.vintage_id.in_(empty))
        )  # withdrawals, which say nothing now
        db.execute(sa.delete(vintage).where(vintage.c.id.in_(empty)))


def downgrade() -> None:
    op.add_column(
        "forecast_vintage",
        sa.Column("longest_us", sa.BigInteger(), nullable=True, comment="length of the longest interval"),
    )
    op.create_table(
        "forecast_value",
        sa.Column("series_id", _id, autoincrement=False, nullable=False),
        sa.Column("start_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "q_ppm",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="0: the value; else a quantile",
        ),
        sa.Column("vintage_id", _id, autoincrement=False, nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True, comment="NULL: withdrawn"),
        sa.ForeignKeyConstraint(
            ["series_id"], ["forecast_series.id"], name=op.f("fk_forecast_value_series_id_forecast_series")
        ),
        sa.ForeignKeyConstraint(
            ["vintage_id"],
            ["forecast_vintage.id"],
            name=op.f("fk_forecast_value_vintage_id_forecast_vintage"),
        ),
        sa.PrimaryKeyConstraint(
            "series_id", "start_us", "q_ppm", "vintage_id", name=op.f("pk_forecast_value")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_forecast_value_vintage_id"), "forecast_value", ["vintage_id"], unique=False)
    db = op.get_bind()
    for _, some in groupby(blocks(db), key=lambda block: block[0]):
        standing = Standing()
        for series_id, vintages in some:
            for v in vintages:
                _log(db, standing, series_id, v)
    op.drop_index(op.f("ix_forecast_vintage_first_start_us"), table_name="forecast_vintage")
    op.drop_column("forecast_vintage", "content")
    op.drop_column("forecast_series", "reach_us")
    _comments(None, "rows that this vintage wrote")


def _log(db: sa.Connection, standing: Standing, series_id: int, v: Any) -> None:
    """The rows that a vintage adds to the change-log."""
    content = unpack(v.content, v.first_start_us, v.last_end_us)
    edges = content.edges_us.tolist()
    says = {
        (start, q): (end, said)
        for q, band in content.bands.items()
        for start, end, said in zip(edges[:-1], edges[1:], band.tolist(), strict=True)
    }
    stands = standing.within(v.first_start_us, v.last_end_us)
    rows = [
        {
            "series_id": series_id,
            "vintage_id": v.id,
            "start_us": start,
            "q_ppm": q,
            "end_us": end,
            "value": said,
        }
        for (start, q), (end, said) in (
            *((key, told) for key, told in says.items() if stands.get(key) != told),
            *((key, (end, None)) for key, (end, _) in stands.items() if key not in says),
        )
    ]
    for row in rows:
        standing.write(row["start_us"], row["q_ppm"], row["end_us"], row["value"])
    if rows:
        db.execute(sa.insert(value), rows)
    longest = int(np.diff(content.edges_us).max())
    db.execute(sa.update(vintage).where(vintage.c.id == v.id).values(longest_us=longest))


def _comments(n_values: str | None, n_changed: str | None) -> None:
    """What two columns mean; SQLite keeps no comments."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for name, comment in (("n_values", n_values), ("n_changed", n_changed)):
        op.alter_column(
            "forecast_vintage", name, existing_type=sa.Integer(), existing_nullable=False, comment=comment
        )
