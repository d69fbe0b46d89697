"""The forecast store's tables. Times are microseconds since 1970 in UTC, intervals half-open.

forecast_series    what is forecast: one row a source, zone and signal
forecast_vintage   one row a body that differs from the one before it, or that was rejected; what it says is
                   packed by `forecasts.content`, of which only the part within the coverage still counts
forecast_fetch     one row each time a vintage was seen, first or again unchanged: what "known at" means
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is an INTEGER, which there holds 64 bits anyway.
_Id = BigInteger().with_variant(Integer(), "sqlite")

series = Table(
    "forecast_series",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("key", String(300), nullable=False, comment="source:zone:signal"),
    Column("source", String(100), nullable=False),
    Column("zone", String(100), nullable=False),
    Column("signal", String(20), nullable=False),
    Column("unit", String(20), comment="canonical; NULL until a vintage is accepted"),
    Column("basis", String(20), comment="carbon only: average | marginal"),
    Column(
        "reach_us", BigInteger, comment="no vintage reaches farther beyond when it was known; NULL: as unit"
    ),
    UniqueConstraint("key"),
    Index(None, "zone", "signal"),
)

vintage = Table(
    "forecast_vintage",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("series_id", _Id, ForeignKey("forecast_series.id"), nullable=False),
    Column("known_at_us", BigInteger, nullable=False, comment="when it was first seen"),
    Column("issued_at_us", BigInteger, comment="when the source says it was issued; NULL when it does not"),
    Column("status", String(10), nullable=False, comment="accepted | rejected"),
    Column("kind", String(10), nullable=False),
    Column("first_start_us", BigInteger, comment="coverage [first_start, last_end); NULL when rejected"),
    Column("last_end_us", BigInteger),
    Column("n_values", Integer, nullable=False, comment="intervals when it was appended"),
    Column("n_changed", Integer, nullable=False, comment="values that the one before it did not say"),
    Column("sha256", String(64), nullable=False, comment="of what it says; '' when rejected"),
    Column("licence", Text, nullable=False),
    Column("attribution", Text, nullable=False),
    Column("restricted", Boolean, nullable=False),
    Column("reason", Text, nullable=False, comment="why it was rejected"),
    Column("content", LargeBinary, comment="packed; NULL when rejected"),
    CheckConstraint("status IN ('accepted', 'rejected')", name="status"),
    Index(None, "series_id", "known_at_us"),
    Index(None, "first_start_us"),
)

fetch = Table(
    "forecast_fetch",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("series_id", _Id, ForeignKey("forecast_series.id"), nullable=False),
    Column("vintage_id", _Id, ForeignKey("forecast_vintage.id"), nullable=False),
    Column("fetched_at_us", BigInteger, nullable=False),
    Index(None, "series_id", "fetched_at_us"),
    Index(None, "vintage_id"),
)
