"""One daemon for each store: a lock that the operating system or the database gives back when its process dies."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shifter.errors import Conflict, NotReady
from shifter.store.db import CONNECT_TIMEOUT_S, Database

LOOK_EVERY_S = 0.2
ADVISORY_KEY = 0x5348_4946
"""Ours among the advisory locks of a PostgreSQL database ("SHIF"); the second key is the schema's."""


class StoreLock:
    """The right to be the store's daemon; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock: _Lock = (
            _FileLock(Path(database.url.database or "")) if database.is_sqlite else _SessionLock(database.url)
        )
        self._one = threading.Lock()
        self._released = False

    def take(self, wait_s: float = 0.0) -> None:
        """Take it, waiting that long [s] for who has it; take it again where it was lost; else do nothing.

        Raises Conflict where another daemon has it, NotReady where the store cannot be reached.
        """
        ends = time.monotonic() + wait_s
        while not self._taken():
            if time.monotonic() >= ends:
                raise Conflict(
                    f"another daemon runs on the store {self._database}.",
                    hint="Stop the other daemon, or give this one a database of its own.",
                    field="database",
                )
            time.sleep(LOOK_EVERY_S)

    def release(self) -> None:
        """Give it back, for good."""
        with self._one:
            self._released = True
            self._lock.release()

    def _taken(self) -> bool:
        with self._one, self._database.errors():
            try:
                return self._released or self._lock.take()
            except OSError as error:
                raise NotReady(
                    f"the database {self._database} cannot be opened: {error}.",
                    hint="Give a path that can be written, as sqlite:///path/to/shifter.db.",
                    field="database",
                ) from error


class _Lock(Protocol):
    def take(self) -> bool:
        """Whether it is ours, now or already."""

    def release(self) -> None:
        """No longer ours."""


class _FileLock:
    """A lock on a file beside the database. The file stays: were it removed, two could hold one each."""

    def __init__(self, database: Path) -> None:
        file = database.resolve()  # another path to the same file is the same store
        self._path = file.with_name(f"{file.name}.lock")
        self._handle: int | None = None

    def take(self) -> bool:
        if self._handle is not None and self._is_there(self._handle):
            return True
        if self._handle is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self.release()
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None

    def _is_there(self, handle: int) -> bool:
        """Whether the file of that name is still the one that we hold: who deleted it let another in."""
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except FileNotFoundError:
            return False


class _SessionLock:
    """An advisory lock of PostgreSQL, on a connection of its own: it is held as long as that lives."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # or the connection would stand in a transaction for ever
            # A network that swallows everything must not hold up `release` for a quarter of an hour.
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 10_000},
        )
        self._connection: Connection | None = None

    def take(self) -> bool:
        if self._connection is not None:
            with suppress(DBAPIError):  # it is lost, and the lock with it
                self._connection.scalar(text("SELECT 1"))
                return True
            self.release()
        connection = self._engine.connect()
        try:
            # A host that vanished without a word must not hold it for the two hours that are the default.
            for setting, value in (("idle", 10), ("interval", 5), ("count", 3)):
                connection.execute(text(f"SET tcp_keepalives_{setting} = {value}"))
            taken = connection.scalar(
                text("SELECT pg_try_advisory_lock(:key, hashtext(current_schema()))"), {"key": ADVISORY_KEY}
            )
        except BaseException:
            connection.close()
            raise
        if not taken:
            connection.close()
            return False
        self._connection = connection
        return True

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):  # it may be lost already
                connection.close()
