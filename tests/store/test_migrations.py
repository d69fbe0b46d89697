"""The migrations build the tables that the code uses, on both databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from shifter.errors import InputError, NotReady
from shifter.store import db
from shifter.store.db import Database
from shifter.store.migrate import config, target_metadata


def differences(database: Database) -> list[Any]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, target_metadata()))  # type: ignore[arg-type]


def test_migrations_and_metadata_agree(database_url: str) -> None:
    database = Database(database_url)
    database.upgrade()
    assert differences(database) == []
    names = set(inspect(database.engine).get_table_names())
    assert {"workloads", "plans", "cycle_inputs", "forecast_vintage", "alembic_version"} <= names
    database.upgrade()  # again: nothing to do
    database.check()
    database.close()


def test_migrations_can_be_taken_back(database_url: str) -> None:
    from alembic import command

    database = Database(database_url)
    database.upgrade()
    with database.engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    database.close()


def test_sqlite_is_durable_and_checks_foreign_keys(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.upgrade()
    with database.read() as db:
        assert db.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert (
            db.execute(text("PRAGMA synchronous")).scalar() == 2
        )  # FULL: what is acknowledged survives the power
        assert db.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert db.execute(text("PRAGMA busy_timeout")).scalar() == 10_000


def test_a_deleted_database_is_not_replaced(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    database.upgrade()
    for file in tmp_path.glob("shifter.db*"):
        file.unlink()
    with pytest.raises(NotReady, match="cannot be used"):
        database.check()
    assert not (tmp_path / "shifter.db").exists()


def test_a_file_that_is_no_database(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "shifter.db").write_text("this is a letter to my aunt, and not a database at all" * 50)
    with pytest.raises(NotReady):
        Database(sqlite_url).upgrade()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/name", "mysql"),
        ("not a url", "cannot be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_databases_that_cannot_serve(url: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Database(url)


def test_a_password_is_never_shown() -> None:
    database = Database("postgresql://me:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(database)
    with pytest.raises(NotReady) as caught:
        database.check()
    assert "hunter2" not in str(caught.value)


def test_a_transaction_happens_whole_or_not_at_all(database_url: str) -> None:
    database = Database(database_url)
    database.upgrade()
    row = text("INSERT INTO events (at, kind, data) VALUES ('2026-01-10 00:00:00', 'fault', '{}')")

    def half_way() -> None:
        with database.write() as db:
            db.execute(row)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with database.read() as db:
        assert db.execute(text("SELECT count(*) FROM events")).scalar() == 0
    database.close()


def test_a_write_does_without_an_anchor_that_cannot_be_had(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_url)
    database.upgrade()
    connect, opened = db._connect_sqlite, 0

    def second_fails(url: URL) -> sqlite3.Connection:
        nonlocal opened
        opened += 1
        if opened == 2:  # the first is the transaction's own
            raise sqlite3.OperationalError("unable to open database file")
        return connect(url)

    monkeypatch.setattr(db, "_connect_sqlite", second_fails)
    database.check()
    assert (opened, database._anchor) == (2, None)
    database.check()
    assert database._anchor is not None, "the next one has it"
    database.close()
