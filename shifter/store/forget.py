"""Old rows go some at a time, the oldest first: of tables in which there may be millions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, select


def forget_oldest(
    db: Connection, table: Table, before: datetime, most: int, *also: ColumnElement[bool]
) -> int:
    """Delete what is older than `before` by the table's `at`, and meets `also`; at most so many rows. Answers how many
    went."""
    c = table.c
    old = select(c.id).where(c.at < before, *also).order_by(c.at).limit(most)
    return db.execute(delete(table).where(c.id.in_(old))).rowcount
