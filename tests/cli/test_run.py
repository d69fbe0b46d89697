"""`shifter run` on files: it serves, keeps what it accepted through a restart, and stops when asked."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from shifter.cli.serve import announce, gone_back
from shifter.clock import parse_clock
from shifter.settings import load_settings
from tests.cli.helpers import DATA, command, environment, shifter

Ask = Callable[..., Any]
FILES = (
    *("--fleet", str(DATA / "fleet.yaml")),
    *("--forecasts", str(DATA / "forecasts.csv")),
    *("--realtime", str(DATA / "realtime.csv")),
    *("--clock", "2026-01-10T00:00:00Zx10"),
)


@contextmanager
def running(folder: Path, *args: str) -> Iterator[str]:
    """A daemon in a process of its own, to its graceful end; its URL."""
    said = folder / "stderr.txt"
    with said.open("w") as words:
        process = subprocess.Popen(
            command("run", *FILES, "--database", f"sqlite:///{folder / 'store.db'}", "--port", "0", *args),
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            env=environment(SHIFTER_PLANNING__HORIZON_HOURS="12"),
        )
        try:
            yield _url(process, said)
        finally:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said.read_text()
    assert told == "", "words are on stderr"
    assert "SIMULATED TIME" in said.read_text()
    assert f"store in the file {folder / 'store.db'}" in said.read_text()
    assert "Stopped." in said.read_text()


def _url(process: subprocess.Popen[str], said: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for line in said.read_text().splitlines():
            if line.startswith("shifter at "):
                return line.split()[-1]
        assert process.poll() is None, said.read_text()
        time.sleep(0.05)
    raise AssertionError(said.read_text())


def test_it_serves_and_forgets_nothing(tmp_path: Path, ask: Ask) -> None:
    with running(tmp_path) as url:
        at = ("--url", url)
        views = ask("submit", str(DATA / "workloads.jsonl"), *at)
        assert {v["id"]: v["class"] for v in views} == {
            "embed": "deferrable",
            "evals": "deferrable",
            "chat": "real_time",
        }
        health = requests.get(f"{url}/healthz", timeout=10).json()
        assert health["simulated_clock"]
        assert not health["synthetic"]
        shown = ask("forecasts", "show", "--zone", "DE-LU", "--for", "6h", *at)
        assert shown["signals"]
    with running(tmp_path) as url:
        assert {v["id"] for v in ask("workloads", "--url", url)} == {"embed", "evals", "chat"}


def test_a_clock_that_begins_before_the_store_ended_is_told_with_what_to_do() -> None:
    ended = datetime(2026, 1, 10, 10, 20, tzinfo=UTC)
    again = parse_clock("2026-01-10T00:00:00Zx60")
    told = gone_back(ended, again)
    assert told.startswith("The store was last written at 2026-01-10T10:20:00Z, and it is 2026-01-10T00:0")
    assert told.endswith("Go on with --clock 2026-01-10T10:20:00Zx60, or take another --database.")
    assert gone_back(None, again) == gone_back(again.now(), again) == ""
    assert gone_back(ended, parse_clock("2026-01-10T10:20:00Zx60")) == ""
    ahead = datetime.now(UTC) + timedelta(hours=2)
    assert gone_back(ahead, parse_clock(None)).endswith(
        "Set this machine's clock, or take another --database."
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--clock", "yesterday"), "clock"),
        (("--fleet", "/nowhere.yaml"), "/nowhere.yaml"),
        (("--database", "mysql://x"), "database"),
        (("--host", "no host"), "--host: cannot listen on no host"),
        (("--realtime", "/nowhere.csv"), "/nowhere.csv"),
        (("--forecasts", "/nowhere.csv"), "/nowhere.csv"),
    ],
)
def test_a_wrong_start_is_told_and_exits_2(args: tuple[str, ...], told: str, tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path / 'store.db'}")
    done = shifter("run", *FILES, *database, "--port", "0", *args, timeout_s=20)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_each_source_is_greeted_by_its_own_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tariff = "{name: tariff, options: {currency: EUR, timezone: UTC, price_per_mwh: 50}}"
    vendor = "{name: tariff, shadow: true, options: {name: vendor, currency: EUR, timezone: UTC, price_per_mwh: 60}}"
    file = tmp_path / "shifter.yaml"
    file.write_text(f"forecasts:\n  sources:\n    - {tariff}\n    - {vendor}\n    - {{name: typical}}\n")
    announce("http://here", load_settings(file, environ={}), simulated="")
    assert "forecasts from tariff, vendor (shadow), typical\n" in capsys.readouterr().err
    announce("http://here", load_settings(None, environ={}), simulated="")
    assert "forecasts from none: prices and carbon are unknown" in capsys.readouterr().err
