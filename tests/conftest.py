"""What every test may use: databases of both kinds, each test its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog

UNPRIVILEGED = ("postgres", "nobody")
"""Who runs the server where we are root, which PostgreSQL refuses."""


def _bin_dir() -> Path | None:
    """Where PostgreSQL's programs are; Debian keeps them off the path."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if (p / "initdb").exists() and (p / "pg_ctl").exists()), None)


class PostgresCluster:
    """A PostgreSQL server in a folder of its own, on a Unix socket only; made fast, not durable."""

    def __init__(self, bin_dir: Path, folder: Path) -> None:
        self.bin_dir, self.folder = bin_dir, folder
        self.user = getpass.getuser()
        if os.geteuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            owner = next(known[name] for name in UNPRIVILEGED if name in known)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self.user = owner.pw_name
        self._run(
            "initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"
        )

    def start(self) -> None:
        """Serve; returns when it takes connections."""
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run(
            "pg_ctl", "-D", f"{self.folder}/data", "-o", options, "-l", f"{self.folder}/log", "-w", "start"
        )

    def stop(self) -> None:
        """Stop at once, as a crash would: nobody is asked to leave first."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """An empty database; its URL."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(
            f"user=postgres dbname=postgres host={self.folder}", autocommit=True
        ) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def _run(self, program: str, *args: str) -> None:
        command = [str(self.bin_dir / program), *args]
        if self.user != getpass.getuser():
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout[-2000:]}")


_cluster: PostgresCluster | None = None


def _the_cluster() -> PostgresCluster:
    """One server for the whole run, started when the first test needs it."""
    global _cluster  # noqa: PLW0603 - one a process
    if _cluster is None:
        bin_dir = _bin_dir()
        if bin_dir is None:
            pytest.skip("there is no PostgreSQL server here (initdb was not found)")
        if os.geteuid() == 0 and shutil.which("runuser") is None:
            pytest.skip("PostgreSQL refuses root, and runuser was not found")
        made = PostgresCluster(bin_dir, Path(tempfile.mkdtemp(prefix="shifter-pg-")))
        made.start()
        _cluster = made
    return _cluster


def pytest_unconfigure() -> None:
    """The server goes with the run."""
    if _cluster is not None:
        with contextlib.suppress(RuntimeError):
            _cluster.stop()
        shutil.rmtree(_cluster.folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _short_tracebacks() -> None:
    """Of what a test has go wrong. By itself structlog prints every variable of every frame, which takes seconds."""
    *first, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*first, plain])


@pytest.fixture
def postgres() -> PostgresCluster:
    """The server of this run."""
    return _the_cluster()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shifter.db'}"
    else:
        yield _the_cluster().new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty SQLite database, where the kind makes no difference."""
    return f"sqlite:///{tmp_path / 'shifter.db'}"
