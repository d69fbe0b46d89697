"""One engine, its transactions, and what a database that cannot be reached means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from shifter.errors import InputError, NotReady

BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 5
RETRY_AFTER_S = 5


class Database:
    """Transactions on SQLite or PostgreSQL.

    A write that returned is durable. Whatever makes the database unreachable is raised as NotReady, and
    nothing of that transaction has happened; the next transaction tries again, so that it recovers by
    itself.
    """

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine: Engine = _sqlite_engine(self.url) if self.is_sqlite else _server_engine(self.url)
        self._writer = self.engine.execution_options(shifter_write=True)
        self._anchor: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed when the block ends. Raises NotReady when the database cannot be
        reached.
        """
        with self.errors(), self._writer.begin() as connection:
            if self.is_sqlite and self._anchor is None:
                self._anchor = _anchor(self.url)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent look. Raises NotReady when the database cannot be reached."""
        with self.errors(), self.engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raises NotReady unless the database answers and takes writes."""
        with self.write() as connection:
            connection.execute(text("SELECT 1 FROM alembic_version"))

    def upgrade(self) -> None:
        """Bring the tables to this version of the product, making the database file where there is none."""
        from shifter.store.migrate import upgrade

        if self.is_sqlite and self.url.database:
            path = Path(self.url.database)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with sqlite3.connect(path) as raw:
                    raw.execute("PRAGMA journal_mode=WAL")
                raw.close()
            except (OSError, sqlite3.Error) as error:
                raise NotReady(
                    f"the database {self} cannot be opened: {error}.",
                    hint="Give a path that can be written, as sqlite:///path/to/shifter.db.",
                    field="database",
                ) from error
        with self.errors():
            upgrade(self.engine)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            anchor.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise NotReady for whatever says that the database cannot be reached; let the rest pass."""
        try:
            yield
        except (InterfaceError, DatabaseError) as error:
            if not _is_unreachable(error):
                raise
            first_line = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
            raise NotReady(
                f"the database {self} cannot be used: {first_line}",
                hint="Nothing was changed; try again.",
                retry_after_s=RETRY_AFTER_S,
            ) from error


def _is_unreachable(error: InterfaceError | DatabaseError) -> bool:
    """No connection, a lost one, a full or read-only disk, a file that is no database: not a
    mistake of ours.
    """
    if isinstance(error, InterfaceError | OperationalError) or error.connection_invalidated:
        return True
    return type(error.orig) is sqlite3.DatabaseError


def parse_url(url: str) -> URL:
    """A database URL; `postgresql://` is taken with psycopg 3. Raises InputError for another database."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "the database URL cannot be read.",
            field="database",
            hint="Write sqlite:///shifter.db, or postgresql+psycopg://user@host/name.",
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise InputError(
            f"the database {parsed.get_backend_name()} is not supported.",
            field="database",
            hint="Use sqlite or postgresql.",
        )
    return parsed.set(drivername="sqlite+pysqlite")


def _server_engine(url: URL) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )


def _sqlite_engine(url: URL) -> Engine:
    """A connection each transaction, on a file that must exist: one that was deleted is noticed, not
    replaced.
    """
    if not url.database or url.database == ":memory:":
        raise InputError(
            "a database in memory would lose what was accepted.",
            field="database",
            hint="Give a file, as sqlite:///shifter.db.",
        )
    engine = create_engine("sqlite://", poolclass=NullPool, creator=lambda: _connect_sqlite(url))
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_sqlite(url: URL) -> sqlite3.Connection:
    location = Path(url.database or "").absolute().as_uri() + "?mode=rw"
    return sqlite3.connect(location, uri=True, check_same_thread=False)


def _anchor(url: URL) -> sqlite3.Connection | None:
    """A connection that does nothing but stay open; None where it cannot be had now.

    The last one that closes moves the whole log into the database, and waits for the disk once more: with a connection
    for each transaction every commit would cost twice. That is all it is for, so no write fails for want of it.
    """
    try:
        anchor = _connect_sqlite(url)
    except sqlite3.Error:
        return None
    try:
        anchor.execute("SELECT 1 FROM sqlite_master").fetchall()  # until it has read it holds nothing open
    except sqlite3.Error:
        anchor.close()
        return None
    return anchor


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts no transaction of its own: `_begin_sqlite` does
    cursor = connection.cursor()
    # FULL, not NORMAL: in WAL mode NORMAL may lose the last commits with the power, and those were
    # acknowledged.
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that reads first and then writes fails when another wrote between.
    writes = connection.get_execution_options().get("shifter_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
