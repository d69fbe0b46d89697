"""One more workload in a running daemon: how long the plan anew takes, and what it moves of what was announced."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import AtMost, Figure, Options, Skipped, Tell
from benchmarks.first_plan import free_port
from benchmarks.machine import shifter, spread
from shifter.client import Client
from shifter.errors import ShifterError

CASE = "fleet"
MORE = 5
"""Workloads that come one by one, after all others have been planned."""
TARGET = AtMost(0.5)
TIMEOUT_S = 120.0
POLL_S = 0.05


@dataclass(frozen=True)
class Replanned:
    """A plan of one more workload."""

    cycle_s: float
    answer_s: float
    """From asking to the answer with its planned finish; changes are gathered for 2 s of it."""
    moved: int
    """Workloads that no longer have the slots that were announced."""
    status: str
    gap: float


def replanned(folder: Path, kept: Path) -> tuple[float, list[Replanned]]:
    """Seconds of the cycle that first plans all but some; and what each further one brings.

    The daemon's clock starts where the case does. Raises RuntimeError where it does not plan in time.
    """
    jobs = [json.loads(line) for line in (folder / "workloads.jsonl").read_text("utf-8").splitlines()]
    start = json.loads((folder / "case.json").read_text("utf-8"))["start"]
    port = free_port()
    command = [*shifter(), "run", "--clock", start, "--port", str(port)]
    command += ["--database", f"sqlite:///{kept / 'replan.db'}"]
    for name in ("fleet.yaml", "forecasts.csv", "realtime.csv"):
        command += [f"--{Path(name).stem}", str(folder / name)]
    with (kept / "replan.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        with Client(f"http://127.0.0.1:{port}", timeout_s=TIMEOUT_S) as client:
            _until(client.ready, process)
            client.submit(jobs[:-MORE])
            _until(lambda: _planned(client, jobs[0]["id"]), process)
            first_s = client.health()["last_cycle"]["duration_s"]
            return first_s, [_one_more(client, job, process) for job in jobs[-MORE:]]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _one_more(client: Client, job: dict[str, Any], process: subprocess.Popen[bytes]) -> Replanned:
    before, asked = client.plan(), time.perf_counter()
    client.submit([job])
    _until(lambda: _planned(client, job["id"]), process)
    answer_s, after = time.perf_counter() - asked, client.plan()
    cycle_s = client.health()["last_cycle"]["duration_s"]
    return Replanned(cycle_s, answer_s, _moved(before, after), after["status"], after["relative_gap"])


def _planned(client: Client, id: str) -> bool:
    return client.workload(id)["state"] in {"planned", "running"}


def _until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    ends = time.perf_counter() + TIMEOUT_S
    while process.poll() is None and time.perf_counter() < ends:
        try:
            if true():
                return
        except ShifterError:
            pass  # it does not answer yet
        time.sleep(POLL_S)
    raise RuntimeError("the daemon did not plan in time.")


def _moved(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Of the workloads of both plans; what ran before the second was made is left out."""
    now = after["created_at"]

    def ahead(plan: dict[str, Any]) -> dict[str, set[tuple[Any, ...]]]:
        found: dict[str, set[tuple[Any, ...]]] = {}
        for a in plan["allocations"]:
            if a["end"] > now:
                row = (a["site"], a["pool"], max(a["start"], now), a["end"], a["accelerators"])
                found.setdefault(a["workload_id"], set()).add(row)
        return found

    was, is_ = ahead(before), ahead(after)
    return sum(was[id] != is_.get(id) for id in was)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """The median of the plans after one more workload each."""
    tell(CASE, 0.0)
    with tempfile.TemporaryDirectory() as kept:
        folder = options.case_or_made(CASE, Path(kept))
        if folder is None:
            raise Skipped(f"needs {CASE} among the cases: give --cases PATH, or --generator.")
        first_s, found = replanned(folder, Path(kept))
    yield Figure(f"{CASE}, all workloads at once, cycle", first_s, "s", None, "solved")
    cycles = [one.cycle_s for one in found]
    said = f"wall: {spread(cycles)}, max {max(cycles):.2f}; {', '.join(one.status for one in found)}"
    yield Figure(f"{CASE}, one more workload, cycle", median(cycles), "s", TARGET, said, 2)
    answers = [one.answer_s for one in found]
    said = "2 s of it wait for other changes"
    yield Figure(f"{CASE}, one more workload, asked to answered", median(answers), "s", None, said, 2)
    yield Figure(
        f"{CASE}, workloads moved by one more", float(max(one.moved for one in found)), "", AtMost(0)
    )
    gaps = [100 * one.gap for one in found]
    yield Figure(f"{CASE}, gap after {MORE} more", gaps[-1], "%", None, "proven by the prices held", 3)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("replan")
