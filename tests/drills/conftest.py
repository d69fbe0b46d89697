"""A daemon with its server in this process, on a fast clock, with work that may be preempted running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shifter.api.server import ApiServer
from shifter.cli.main import main
from shifter.client import Client
from shifter.clock import SystemClock, parse_clock
from shifter.daemon import Daemon
from shifter.planner import InProcessPlanner
from shifter.settings import Settings
from tests.daemon.world import until

Serve = Callable[..., Client]
Call = Callable[..., tuple[int, Any, str]]
FLEET = """\
currency: EUR
sites:
  - name: fra
    zone: DE-LU
    jurisdiction: DE
    power_limit_kw: 40
    pools: [{name: h100, accelerator: H100, count: 32, failure_domains: 4, idle_kw: 0.1, busy_kw: 0.7}]
    resilience: {quantile: 0.99, lose_domains: 1}
  - name: ber
    zone: DE-LU
    jurisdiction: DE
    pools: [{name: h100, accelerator: H100, count: 32, failure_domains: 4, idle_kw: 0.1, busy_kw: 0.7}]
    resilience: {quantile: 0.99, lose_domains: 1}
failover_groups: [{name: de, sites: [fra, ber], within_minutes: 5}]
"""
START = "2026-01-10T00:00:00Z"
HOLD_S = 60
WORK = {
    "accelerator_hours": 78.0,
    "max_accelerators": 12,
    "preemptible": True,
    "mode": "batch",
    "accelerators": ["H100"],
}


@contextmanager
def served(folder: Path, speed: float | None, n_work: int = 2, max_age_s: float = HOLD_S) -> Iterator[Client]:
    """A client of a daemon that has a plan, and whose work is let in; no speed: on the real clock."""
    (folder / "fleet.yaml").write_text(FLEET)
    settings = Settings.model_validate(
        {
            "fleet": str(folder / "fleet.yaml"),
            "database": f"sqlite:///{folder / 'shifter.db'}",
            "realtime": {"profile": "typical"},
            "forecasts": {"sources": [{"name": "typical"}], "learn": "off"},
            "planning": {"horizon_hours": 8, "slot_minutes": 15, "debounce_s": 0.1},
            "guard": {"hold_s": HOLD_S},
            "telemetry": {"max_age_s": max_age_s},
            "leases": {"ttl_s": 300},
        }
    )
    clock = SystemClock() if speed is None else parse_clock(f"{START}x{speed:g}")
    daemon = Daemon(settings, clock, planner=InProcessPlanner())
    server = ApiServer(daemon.app(), "127.0.0.1", 0)
    try:
        daemon.start()
        with server, Client(server.url) as client:
            until(client.ready)
            deadline = daemon.clock.now() + timedelta(hours=7)  # all but the whole of it: it runs at once
            if n_work:
                client.submit(
                    [{**WORK, "id": f"w-{i}", "deadline": deadline.isoformat()} for i in range(n_work)]
                )
                until(lambda: all(client.admission(f"w-{i}")["admit"] for i in range(n_work)))
            yield client
    finally:
        daemon.stop()


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """On a clock that runs 60 times as fast as the real one."""
    with served(tmp_path_factory.mktemp("fast"), 60) as client:
        yield client


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """On the real clock, with nothing to do."""
    with served(tmp_path_factory.mktemp("real"), None, n_work=0) as client:
        yield client


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """On a clock that runs 60 times as fast as the real one, with nothing to do. What is told once is not stale before
    a drill is over.
    """
    with served(tmp_path_factory.mktemp("idle"), 60, n_work=0, max_age_s=7200) as client:
        yield client


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """`shifter drill ARGS --json`: exit code, document, words."""

    def run(*args: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["drill", *args, "--json"])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), document(shown.out), shown.err

    return run


def document(out: str) -> Any:
    """The JSON among what the daemon in this process logs."""
    begin = out.find("{\n")
    return json.JSONDecoder().raw_decode(out[begin:])[0] if begin >= 0 else None
