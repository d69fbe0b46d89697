"""The benchmark of the guard, small: what it times was posted and heard, of a real daemon and of one by the clock."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import guard
from benchmarks.figure import Figure
from benchmarks.guard import COUNT, Load, Told, configure, daemon, drive, figures
from shifter.api.server import ApiServer
from shifter.clock import SystemClock
from shifter.daemon import Daemon
from shifter.planner import InProcessPlanner
from shifter.settings import load_settings

SMALL = Load(
    sites=2, pools=2, posts_per_s=100, for_s=1.5, connections=4, surge_every_s=0.05, settle_s=1.0, calm_s=0.3
)
ANSWER_S, STOP_S = 0.01, 0.05


def test_each_surge_is_heard_of_a_real_daemon_and_fills_the_figures(tmp_path: Path) -> None:
    settings = load_settings(configure(tmp_path, SMALL), {"planning.debounce_s": 0.1})
    made = Daemon(settings, SystemClock(), planner=InProcessPlanner())
    made.start()
    try:
        with ApiServer(made.app(), port=0) as server:
            told = asyncio.run(drive(server.port, SMALL))
    finally:
        made.stop()
    answered, stop, post = figures(SMALL, told)
    assert told.sent == {}  # each was heard
    assert len(told.delays_ms) == 4  # a pool is left alone for a while after a surge
    assert 0 < min(told.delays_ms) <= max(told.delays_ms) < 2000 * SMALL.for_s
    assert stop.measured == pytest.approx(np.quantile(told.delays_ms, 0.99))
    assert stop.beside.startswith("of 4 stops, 0 missed; ")
    assert len(told.answers_ms) == pytest.approx(SMALL.posts_per_s * SMALL.for_s, rel=0.05)
    assert post.measured == pytest.approx(np.quantile(told.answers_ms, 0.99))
    assert answered.measured is not None
    assert 0 < answered.measured <= 1.05 * SMALL.posts_per_s
    assert answered.beside == "0 refused"


class ByTheClock:
    """Takes work, answers each measurement after 10 ms, every tenth with 503, and tells of a stop 50 ms after a surge,
    but for the pools that it passes over. Between it tells of what is no stop, and of a stop of other work.
    """

    def __init__(self, passed_over: Sequence[str] = ()) -> None:
        self.passed_over = passed_over
        self.surges: list[str] = []
        self.posts = 0
        self._stream: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                length = 0
                while (line := await reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if b"/v1/events?kind=admission.changed" in head:
                    self._stream = writer
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n: here\n\n")
                else:
                    status = await self._answer(head, json.loads(await reader.readexactly(length)))
                    writer.write(f"HTTP/1.1 {status} It\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: dict[str, object]) -> int:
        if b"/v1/workloads" in head:
            assert len(body) == SMALL.sites * SMALL.pools
            return 201
        self.posts += 1
        refused = self.posts % 10 == 0
        if body["realtime_accelerators"] == COUNT:
            task = asyncio.create_task(self._stop(f"{body['site']}.{body['pool']}"))
            self._tasks.add(task)
        await asyncio.sleep(ANSWER_S)
        return 503 if refused else 202

    async def _stop(self, workload: str) -> None:
        self.surges.append(workload)
        self._tell("run", workload)
        self._tell("stop", "other")
        await asyncio.sleep(STOP_S)
        if workload not in self.passed_over:
            self._tell("stop", workload)
            self._tell("wait", workload)

    def _tell(self, state: str, workload: str) -> None:
        assert self._stream is not None
        said = json.dumps({"data": {"state": state, "workload_id": workload}})
        self._stream.write(f"event: admission.changed\ndata: {said}\n\n".encode())


def of(server: ByTheClock, load: Load) -> Told:
    async def driven() -> Told:
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            return await drive(listening.sockets[0].getsockname()[1], load)

    return asyncio.run(driven())


def test_a_stop_is_timed_once_from_its_post_and_one_that_is_not_told_is_missed() -> None:
    load = replace(SMALL, for_s=1.0, settle_s=0.0)
    server = ByTheClock(passed_over=("site01.pool1",))
    told = of(server, load)
    assert sorted(server.surges) == ["site00.pool0", "site00.pool1", "site01.pool0", "site01.pool1"]
    assert list(told.sent) == ["site01.pool1"]
    assert len(told.delays_ms) == 3
    assert all(1000 * STOP_S <= delay < 1000 * STOP_S + 500 for delay in told.delays_ms)
    assert min(told.answers_ms) >= 1000 * ANSWER_S
    answered, stop, post = figures(load, told)
    assert stop.beside.startswith("of 3 stops, 1 missed; ")
    assert stop.measured is not None
    assert stop.measured >= 1000 * STOP_S
    assert (told.refused, answered.beside) == (server.posts // 10, f"{server.posts // 10} refused")
    assert len(told.answers_ms) == server.posts
    assert post.measured is not None
    assert post.measured >= 1000 * ANSWER_S


class AllLater(ByTheClock):
    """By a plan, one pool's work is for later, as is told with the first measurement."""

    async def _answer(self, head: bytes, body: dict[str, object]) -> int:
        if self.posts == 0 and b"/v1/telemetry" in head:
            self._tell("stop", "site00.pool1")
        return await super()._answer(head, body)


def test_where_no_work_runs_there_is_nothing_to_stop() -> None:
    server = AllLater()
    told = of(server, replace(SMALL, for_s=1.0, settle_s=0.0))
    assert sorted(server.surges) == ["site00.pool0", "site01.pool0", "site01.pool1"]
    assert (len(told.delays_ms), told.sent) == (3, {})


def test_where_no_stop_is_heard_there_is_nothing_to_time() -> None:
    with pytest.raises(RuntimeError, match="of 2 surges no stop was heard"):
        list(figures(SMALL, Told(sent={"a": 1.0, "b": 2.0})))


def test_too_few_posts_and_too_long_a_tail_miss_their_targets() -> None:
    told = Told(delays_ms=[10.0] * 98 + [250.0] * 2, answers_ms=[5.0], per_s=97.0)
    found: list[Figure] = list(figures(SMALL, told))
    assert [f.met for f in found] == [False, False, None]
    assert [f.met for f in figures(SMALL, replace(told, delays_ms=[10.0], per_s=98.0))] == [True, True, None]


TALKS = """
import itertools, sys, time
for i in itertools.count():
    print("shifter at http://127.0.0.1:4321 tells this again and again", file=sys.stderr, flush=i < 10)
    open("told", "w").write(str(i)) if i % 1000 == 0 else None
"""


def test_what_a_daemon_says_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "shifter", lambda: [sys.executable, "-c", TALKS])
    told = tmp_path / "told"
    with daemon(tmp_path / "shifter.yaml") as port:
        assert port == 4321
        ends = time.monotonic() + 10
        while not (told.exists() and int(told.read_text() or 0) > 5000):  # a pipe holds far less
            assert time.monotonic() < ends
            time.sleep(0.01)


def test_a_daemon_that_does_not_start_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "shifter", lambda: [sys.executable, "-c", "raise SystemExit(2)"])
    with pytest.raises(RuntimeError, match="did not say where it listens"), daemon(tmp_path / "shifter.yaml"):
        pass
