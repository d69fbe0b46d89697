"""From `shifter demo` to the first plan: served by its API, and on the screen; and `shifter demo --once`."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Below, Figure, Options, Tell
from benchmarks.machine import measure, shifter, spread

RUNS = 3
TARGET = Below(10.0)
TIMEOUT_S = 120.0
POLL_S = 0.05
SIGN = "Dashboard"
"""The demo's first word to its user, printed with the first plan's figures."""


@dataclass(frozen=True)
class Seen:
    """Seconds from the start of the command."""

    served_s: float
    shown_s: float
    stopped_s: float
    """From SIGINT to its end."""
    cpu_s: float
    """CPU time from start to end, its planning process included."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def demo() -> Seen:
    """Start the demo, wait for its first plan, stop it. Raises RuntimeError when it shows none."""
    port = free_port()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # what is printed is seen when it is printed
    used = _children_cpu_s()
    with tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*shifter(), "demo", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        shown: list[float] = []
        reader = threading.Thread(target=_read, args=(process, shown, begun), daemon=True)
        reader.start()
        served: float | None = None
        try:
            while served is None or not shown:
                if process.poll() is not None or time.perf_counter() - begun > TIMEOUT_S:
                    errors.seek(0)
                    raise RuntimeError(f"the demo showed no plan: {errors.read()[-500:].strip()}")
                if served is None and _has_plan(port):
                    served = time.perf_counter() - begun
                time.sleep(POLL_S)
        finally:
            stopping = time.perf_counter()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join()
        return Seen(served, shown[0], time.perf_counter() - stopping, _children_cpu_s() - used)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(process: subprocess.Popen[str], shown: list[float], begun: float) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        shown.extend(time.perf_counter() - begun for line in lines if SIGN in line)


def _has_plan(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/plan", timeout=5) as answer:
            return bool(json.load(answer).get("plan_id"))
    except (urllib.error.URLError, OSError, ValueError):
        return False


def run(_options: Options, tell: Tell) -> Iterator[Figure]:
    """Three runs of each; the median is the figure."""
    seen, once = [], []
    for n in range(RUNS):
        tell(f"shifter demo, run {n + 1} of {RUNS}", n / RUNS)
        seen.append(demo())
        tell(f"shifter demo --once, run {n + 1} of {RUNS}", (n + 0.5) / RUNS)
        took = measure([*shifter(), "demo", "--once"])
        if took.exit_code != 0:
            raise RuntimeError(f"shifter demo --once ended with {took.exit_code}")
        once.append(took)
    cpu = [s.cpu_s for s in seen]
    for name, values in (
        ("shifter demo, plan on screen", [s.shown_s for s in seen]),
        ("shifter demo, plan served", [s.served_s for s in seen]),
    ):
        said = f"wall: {spread(values)}, max {max(values):.2f}; CPU to its end: {spread(cpu)}"
        yield Figure(name, median(values), "s", TARGET, said)
    stopped = [s.stopped_s for s in seen]
    yield Figure("shifter demo, Ctrl-C to its end", median(stopped), "s", None, f"max {max(stopped):.2f} s")
    wall, cpu = [t.wall_s for t in once], [t.cpu_s for t in once]
    said = f"wall: {spread(wall)}, max {max(wall):.2f}; CPU: {spread(cpu)}"
    yield Figure("shifter demo --once", median(wall), "s", TARGET, said)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("first_plan")
