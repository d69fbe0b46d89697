"""Column types that mean the same on both databases."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, Text, TypeDecorator

from forecasts.slots import to_utc

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A growing id; SQLite only numbers columns of type INTEGER by itself."""


class UtcTime(TypeDecorator[datetime]):
    """An aware moment. PostgreSQL keeps `timestamptz`; SQLite keeps text in UTC that sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses a naive moment: a time without a zone is a guess."""
        if value is None:
            return None
        utc = to_utc(value)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """Plain JSON values as text, with sorted keys: the same value is the same text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """None stays NULL."""
        return None if value is None else dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The values again."""
        return None if value is None else json.loads(value)


def compressed(text: str) -> bytes:
    """As `GzText` keeps it, without a time stamp: the same text is the same bytes."""
    return gzip.compress(text.encode(), compresslevel=5, mtime=0)


class GzText(TypeDecorator[str]):
    """Long text, compressed. Who must not hold a transaction up meanwhile gives it `compressed` already."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | bytes | None, dialect: Dialect) -> bytes | None:
        """Compressed."""
        return compressed(value) if isinstance(value, str) else value

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """The text again."""
        return None if value is None else gzip.decompress(value).decode()


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Raises ValueError for what JSON cannot say."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
