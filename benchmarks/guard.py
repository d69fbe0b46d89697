"""The guard: from a measurement that is posted to the stop on the stream of events.

A real daemon in a process of its own, with its HTTP server and SQLite as operators have it, and 200 pools in which
preemptible work runs. Another process posts 1,000 measurements a second, one in each request, on connections that stay
open. Most say what the plan expects. Now and then one says that real-time load needs a whole pool: what is timed is
from sending that to reading, on the stream, that the pool's work must stop. Loads go back after that, and work returns
after a hold of a second (5 minutes by default, which does not change what is measured here).
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.figure import AtLeast, AtMost, Figure, Line, Options, Tell
from benchmarks.machine import shifter

SITES, POOLS, COUNT = 20, 10, 16
POSTS_PER_S, FOR_S, CONNECTIONS = 1000, 30.0, 24
SURGE_EVERY_S = 0.1
HOLD_S = 1.0
LIMIT_MS = 100.0
READY_S = 120.0
SEED = 11


@dataclass
class Told:
    """What was sent when, and what was heard when [s of one monotonic clock]."""

    sent: dict[str, float] = field(default_factory=dict)
    delays_ms: list[float] = field(default_factory=list)
    answers_ms: list[float] = field(default_factory=list)
    refused: int = 0


def fleet() -> str:
    """20 sites of ten pools of 16 accelerators, each pool of a kind of its own."""
    lines = ["currency: EUR", "sites:"]
    for s in range(SITES):
        lines += [f"  - name: site{s:02}", "    zone: DE-LU", "    pools:"]
        lines += [
            f"      - {{name: pool{p}, accelerator: A{s:02}-{p}, count: {COUNT}, idle_kw: 0.1, busy_kw: 0.7}}"
            for p in range(POOLS)
        ]
    return "\n".join(lines) + "\n"


def work(now: datetime) -> list[dict[str, object]]:
    """In each pool eight accelerators of preemptible work, a little more than can be done: so it runs all the time."""
    return [
        {
            "id": f"site{s:02}.pool{p}",
            "accelerator_hours": 8 * 12.5,
            "accelerators": [f"A{s:02}-{p}"],
            "max_accelerators": 8,
            "preemptible": True,
            "deadline": (now + timedelta(hours=12)).isoformat().replace("+00:00", "Z"),
        }
        for s in range(SITES)
        for p in range(POOLS)
    ]


def configure(folder: Path) -> Path:
    """Everything that the daemon reads."""
    (folder / "fleet.yaml").write_text(fleet())
    settings = {
        "port": 0,
        "fleet": "fleet.yaml",
        "database": "sqlite:///shifter.db",
        "forecasts": {"sources": [{"name": "typical"}]},
        "planning": {"horizon_hours": 12, "max_horizon_hours": 24},
        "guard": {"hold_s": HOLD_S},
    }
    path = folder / "shifter.yaml"
    path.write_text(json.dumps(settings))
    return path


class Connection:
    """One HTTP connection that stays open: a request, its answer, and the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, method: str, path: str, body: bytes = b"") -> int:
        """The status of the answer, which is read to its end."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        status, length = (await self._reader.readline()).split()[1], 0
        while (line := await self._reader.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        await self._reader.readexactly(length)
        return int(status)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection to the daemon."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def listen(port: int, told: Told, ready: asyncio.Event) -> None:
    """Read the stream of events, and time what was waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/events?kind=admission.changed HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async for line in reader:
        ready.set()
        if line.startswith(b"data: "):
            data = json.loads(line[6:])["data"]
            if data["state"] in {"stop", "wait"} and (sent := told.sent.pop(data["workload_id"], None)):
                told.delays_ms.append(1000 * (time.monotonic() - sent))


def _sample(pool: str, accelerators: float) -> bytes:
    site, name = pool.split(".")
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"site": site, "pool": name, "at": at, "realtime_accelerators": accelerators}).encode()


async def post(port: int, told: Told) -> float:
    """Post at an even pace for a while; how many a second were answered."""
    rng = Random(SEED)
    pools = [str(w["id"]) for w in work(datetime.now(UTC))]
    todo: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    async def sender() -> None:
        async with connected(port) as connection:
            while True:
                pool, load = await todo.get()
                begun = time.monotonic()
                if load == COUNT:
                    told.sent[pool] = begun
                status = await connection.send("POST", "/v1/telemetry", _sample(pool, load))
                told.answers_ms.append(1000 * (time.monotonic() - begun))
                told.refused += status != 202
                todo.task_done()

    senders = [asyncio.create_task(sender()) for _ in range(CONNECTIONS)]
    begun, n, next_surge, quiet = time.monotonic(), 0, 2.0, dict.fromkeys(pools, 0.0)
    while (passed := time.monotonic() - begun) < FOR_S:
        while n < passed * POSTS_PER_S:
            pool, load = pools[n % len(pools)], rng.uniform(1.0, 3.0)
            if passed > next_surge and passed > quiet[pool] and passed < FOR_S - 2:
                next_surge, quiet[pool], load = next_surge + SURGE_EVERY_S, passed + 5 * HOLD_S, COUNT
            todo.put_nowait((pool, load))
            n += 1
        await asyncio.sleep(0.001)
    await asyncio.wait_for(todo.join(), 30)
    rate = n / (time.monotonic() - begun)
    for task in senders:
        task.cancel()
    return rate


async def drive(port: int, told: Told) -> float:
    """Submit the work, wait until it runs, then post."""
    async with connected(port) as connection:
        body = json.dumps(work(datetime.now(UTC))).encode()
        assert await connection.send("POST", "/v1/workloads", body) in {200, 201}
    ready = asyncio.Event()
    listener = asyncio.create_task(listen(port, told, ready))
    await ready.wait()
    await asyncio.sleep(5)  # a beat: all of it has been let in, and that was told
    rate = await post(port, told)
    await asyncio.sleep(1)
    listener.cancel()
    return rate


def _port_of(process: subprocess.Popen[str]) -> int:
    ends = time.monotonic() + READY_S
    assert process.stderr is not None
    while time.monotonic() < ends:
        line = process.stderr.readline()
        if "http://" in line:
            return int(line.split("http://", 1)[1].split()[0].rstrip(".,/").rsplit(":", 1)[1])
    raise RuntimeError("the daemon did not say where it listens")


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """One daemon, one stream, one sender."""
    with tempfile.TemporaryDirectory(prefix="shifter-guard-") as name:
        path = configure(Path(name))
        process = subprocess.Popen(
            [*shifter(), "run", "--config", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=name,
        )
        try:
            tell("starting a daemon", 0.1)
            port = _port_of(process)
            assert process.stderr is not None
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            tell(f"{POSTS_PER_S} posts a second for {FOR_S:g} s", 0.3)
            told = Told()
            rate = asyncio.run(drive(port, told))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            drain.terminate()
    delays, answers = np.array(told.delays_ms), np.array(told.answers_ms)
    yield Figure(
        "posts answered", rate, "1/s", AtLeast(0.98 * POSTS_PER_S), f"{told.refused} refused", digits=0
    )
    yield Figure(
        "from a post to the stop on the stream, p99",
        float(np.quantile(delays, 0.99)),
        "ms",
        AtMost(LIMIT_MS),
        f"of {len(delays)} stops, {len(told.sent)} missed; median {np.median(delays):.1f}, most {delays.max():.1f} ms",
        digits=1,
    )
    yield Figure(
        "a post, p99",
        float(np.quantile(answers, 0.99)),
        "ms",
        beside=f"median {np.median(answers):.1f} ms",
        digits=1,
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("guard")
