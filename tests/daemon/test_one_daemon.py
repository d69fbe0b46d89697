"""One daemon for each store: a second one is refused, and a dead one holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from shifter.daemon import Daemon
from shifter.errors import Conflict, InputError
from shifter.store.db import Database
from shifter.store.lock import StoreLock
from tests.conftest import PostgresCluster
from tests.daemon.world import daemon, settings, until

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.daemon.PREDECESSOR_WAIT_S", 0.3)


def test_a_second_daemon_is_refused_and_changes_nothing(tmp_path: Path, database_url: str) -> None:
    first = daemon(tmp_path, database=database_url)
    with pytest.raises(Conflict) as caught:
        daemon(tmp_path, database=database_url)
    assert str(first.database) in str(caught.value), "it says which store"
    assert "Stop the other daemon" in caught.value.hint
    first.stop()
    daemon(tmp_path, database=database_url).stop()


def test_a_refused_daemon_leaves_a_store_without_tables_alone(tmp_path: Path, sqlite_url: str) -> None:
    held = StoreLock(Database(sqlite_url))
    held.take()
    with pytest.raises(Conflict):
        daemon(tmp_path, database=sqlite_url)
    assert not (tmp_path / "shifter.db").exists()
    held.release()


def test_another_path_to_the_same_file_is_the_same_store(tmp_path: Path) -> None:
    first = daemon(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "shifter.db")
    with pytest.raises(Conflict):
        daemon(tmp_path, database=f"sqlite:///{tmp_path / 'link'}")
    first.stop()


def test_a_predecessor_that_is_just_ending_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shifter.daemon.PREDECESSOR_WAIT_S", 10.0)
    first = daemon(tmp_path)
    threading.Timer(0.5, first.stop).start()
    daemon(tmp_path).stop()


def test_one_that_could_not_be_made_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InputError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("shifter.daemon.Service", broken)
        with pytest.raises(InputError, match="broken"):
            daemon(tmp_path)
    daemon(tmp_path).stop()


def test_one_that_was_killed_holds_nothing(tmp_path: Path, database_url: str) -> None:
    command = [sys.executable, "-m", "tests.daemon.acknowledging", str(tmp_path), "run", database_url]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    with pytest.raises(Conflict):
        daemon(tmp_path, database=database_url)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until(lambda: _made(tmp_path, database_url)).stop()


def _made(folder: Path, url: str) -> Daemon | None:
    try:
        return daemon(folder, database=url)
    except Conflict:
        return None


@pytest.mark.postgres
def test_a_lock_that_the_database_lost_is_taken_again_or_told(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    url = postgres.new_database()
    made, other = daemon(tmp_path, database=url), StoreLock(Database(url))
    _end_lock_sessions(url)
    made._keep_store()
    assert made.service.health().faults == ()
    with pytest.raises(Conflict):
        other.take()

    _end_lock_sessions(url)
    other.take()
    made._keep_store()
    assert any("another daemon" in fault for fault in made.service.health().faults)
    other.release()
    until(lambda: _faults_after_a_look(made) == ())
    made.stop()


def test_a_lock_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    made = daemon(tmp_path)
    (tmp_path / "shifter.db.lock").unlink()
    made._keep_store()
    with pytest.raises(Conflict):
        daemon(tmp_path)
    made.stop()
    made._keep_store()  # a look that comes late takes nothing
    daemon(tmp_path).stop()


def _faults_after_a_look(made: Daemon) -> tuple[str, ...]:
    made._keep_store()
    return made.service.health().faults


def _end_lock_sessions(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    assert ended == [(True,)]


def test_the_command_says_so_and_exits_with_1(tmp_path: Path) -> None:
    made = daemon(tmp_path)
    config = settings(tmp_path)
    command = [sys.executable, "-m", "shifter", "run", "--fleet", str(config.fleet), "--port", "0"]
    done = subprocess.run(
        [*command, "--database", config.database], cwd=ROOT, capture_output=True, text=True, check=False
    )
    made.stop()
    assert done.returncode == 1
    assert "another daemon" in done.stderr
    assert "Traceback" not in done.stderr
