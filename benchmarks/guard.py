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
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread

import numpy as np

from benchmarks.figure import AtLeast, AtMost, Figure, Line, Options, Tell
from benchmarks.machine import shifter

COUNT = 16
"""Accelerators of a pool."""
HOLD_S = 1.0
LIMIT_MS = 100.0
READY_S = 120.0
SEED = 11


@dataclass(frozen=True)
class Load:
    """How much is posted, to how many pools. At both ends of it no surge is posted for `calm_s`."""

    sites: int = 20
    pools: int = 10
    posts_per_s: float = 1000.0
    for_s: float = 30.0
    connections: int = 24
    surge_every_s: float = 0.1
    settle_s: float = 5.0
    """A beat: all work has been let in, and that was told."""
    calm_s: float = 2.0


@dataclass
class Told:
    """What was sent when, and what was heard when [s of one monotonic clock]."""

    sent: dict[str, float] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    """Work that was told to stop, and not to run again: by a surge, or by a plan that has it later."""
    delays_ms: list[float] = field(default_factory=list)
    answers_ms: list[float] = field(default_factory=list)
    refused: int = 0
    per_s: float = 0.0
    """Posts that were answered, a second."""


def fleet(load: Load) -> str:
    """Sites of pools of 16 accelerators, each pool of a kind of its own."""
    lines = ["currency: EUR", "sites:"]
    for s in range(load.sites):
        lines += [f"  - name: site{s:02}", "    zone: DE-LU", "    pools:"]
        lines += [
            f"      - {{name: pool{p}, accelerator: A{s:02}-{p}, count: {COUNT}, idle_kw: 0.1, busy_kw: 0.7}}"
            for p in range(load.pools)
        ]
    return "\n".join(lines) + "\n"


def work(load: Load, now: datetime) -> list[dict[str, object]]:
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
        for s in range(load.sites)
        for p in range(load.pools)
    ]


def configure(folder: Path, load: Load) -> Path:
    """Everything that the daemon reads."""
    (folder / "fleet.yaml").write_text(fleet(load))
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
    try:
        async for line in reader:
            ready.set()
            if line.startswith(b"data: "):
                data = json.loads(line[6:])["data"]
                workload, state = data["workload_id"], data["state"]
                told.stopped -= {workload}
                if state != "run":
                    told.stopped |= {workload}
                    if sent := told.sent.pop(workload, None):
                        told.delays_ms.append(1000 * (time.monotonic() - sent))
    finally:
        writer.close()


def _sample(pool: str, accelerators: float) -> bytes:
    site, name = pool.split(".")
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"site": site, "pool": name, "at": at, "realtime_accelerators": accelerators}).encode()


async def post(port: int, load: Load, told: Told) -> None:
    """Post at an even pace for a while."""
    rng = Random(SEED)
    pools = [str(w["id"]) for w in work(load, datetime.now(UTC))]
    todo: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    async def sender() -> None:
        async with connected(port) as connection:
            while True:
                pool, accelerators = await todo.get()
                begun = time.monotonic()
                if accelerators == COUNT:
                    told.sent[pool] = begun
                status = await connection.send("POST", "/v1/telemetry", _sample(pool, accelerators))
                told.answers_ms.append(1000 * (time.monotonic() - begun))
                told.refused += status != 202
                todo.task_done()

    senders = [asyncio.create_task(sender()) for _ in range(load.connections)]
    begun, n, next_surge, quiet = time.monotonic(), 0, load.calm_s, dict.fromkeys(pools, 0.0)
    while (passed := time.monotonic() - begun) < load.for_s:
        while n < passed * load.posts_per_s:
            pool, accelerators = pools[n % len(pools)], rng.uniform(1.0, 3.0)
            due = next_surge < passed < load.for_s - load.calm_s
            if due and passed > quiet[pool] and pool not in told.stopped:  # else there is nothing to stop
                next_surge, quiet[pool] = next_surge + load.surge_every_s, passed + 5 * HOLD_S
                accelerators = COUNT
            todo.put_nowait((pool, accelerators))
            n += 1
        await asyncio.sleep(0.001)
    await asyncio.wait_for(todo.join(), 30)
    told.per_s = n / (time.monotonic() - begun)
    for task in senders:
        task.cancel()


async def drive(port: int, load: Load) -> Told:
    """Submit the work, wait until it runs, then post."""
    async with connected(port) as connection:
        body = json.dumps(work(load, datetime.now(UTC))).encode()
        assert await connection.send("POST", "/v1/workloads", body) in {200, 201}
    told, ready = Told(), asyncio.Event()
    listener = asyncio.create_task(listen(port, told, ready))
    await ready.wait()
    await asyncio.sleep(load.settle_s)
    await post(port, load, told)
    await asyncio.sleep(1)
    listener.cancel()
    return told


@contextmanager
def daemon(config: Path) -> Iterator[int]:
    """One in a process of its own; the port on which it listens. Raises RuntimeError where it does not say so."""
    command = [*shifter(), "run", "--config", str(config)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=config.parent
    ) as process:
        assert process.stderr is not None
        # What it goes on to say must be read, or it would wait for that.
        rest = Thread(target=deque, args=(process.stderr, 0), daemon=True)
        try:
            port = _port_of(process.stderr)
            rest.start()
            yield port
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
            if rest.ident is not None:
                rest.join()


def _port_of(said: Iterable[str]) -> int:
    ends = time.monotonic() + READY_S
    for line in said:
        if "http://" in line:
            return int(line.split("http://", 1)[1].split()[0].rstrip(".,/").rsplit(":", 1)[1])
        if time.monotonic() > ends:
            break
    raise RuntimeError("the daemon did not say where it listens")


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """One daemon, one stream, one sender."""
    load = Load()
    with tempfile.TemporaryDirectory(prefix="shifter-guard-") as name:
        tell("starting a daemon", 0.1)
        with daemon(configure(Path(name), load)) as port:
            tell(f"{load.posts_per_s:g} posts a second for {load.for_s:g} s", 0.3)
            told = asyncio.run(drive(port, load))
    yield from figures(load, told)


def figures(load: Load, told: Told) -> Iterator[Figure]:
    """What was told, as figures. Raises RuntimeError where no stop was heard: there is nothing to time."""
    if not told.delays_ms:
        raise RuntimeError(f"of {len(told.sent)} surges no stop was heard")
    delays, answers = np.array(told.delays_ms), np.array(told.answers_ms)
    yield Figure(
        "posts answered",
        told.per_s,
        "1/s",
        AtLeast(0.98 * load.posts_per_s),
        f"{told.refused} refused",
        digits=0,
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
