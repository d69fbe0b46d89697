"""One more workload in a running daemon: how long the plan anew takes, what it moves of what was announced, and the
daemon's memory.
"""

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

from benchmarks.figure import AtMost, Figure, Options, Tell
from benchmarks.first_plan import free_port
from benchmarks.machine import family_mib, high_water_mib, shifter, spread
from shifter.client import Client
from shifter.domain.plan import HELD
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
    """Workloads that no longer have the slots that were announced and had not begun."""
    missed: int
    """Workloads that were to run by now: nobody runs them here, and they get other slots."""
    status: str
    gap: float


@dataclass
class Daemon:
    """A daemon that runs, and the most memory [MiB] that it, and it and its planning processes, were seen to hold."""

    process: subprocess.Popen[bytes]
    client: Client
    own_mib: float = 0.0
    family_mib: float = 0.0

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for something. Raises RuntimeError where it does not come in time, or the daemon has ended."""
        ends = time.perf_counter() + TIMEOUT_S
        while self.process.poll() is None and time.perf_counter() < ends:
            # Marks of a planning process that has ended are gone with it, so they are looked at again and again.
            self.own_mib = max(self.own_mib, high_water_mib(self.process.pid))
            self.family_mib = max(self.family_mib, family_mib(self.process.pid))
            try:
                if true():
                    return
            except ShifterError:
                pass  # it does not answer yet
            time.sleep(POLL_S)
        raise RuntimeError("the daemon did not plan in time.")

    def until_planned(self, id: str) -> float:
        """Wait until a workload has its slots. Seconds that the last cycle took."""
        self.until(lambda: self.client.workload(id)["state"] in {"planned", "running"})
        last: float = self.client.health()["last_cycle"]["duration_s"]
        return last


@dataclass(frozen=True)
class Found:
    """The cycle that first plans all but some, what each further one brings, and the daemon's memory."""

    first_s: float
    more: list[Replanned]
    own_mib: float
    family_mib: float


def replanned(folder: Path, kept: Path) -> Found:
    """A daemon whose clock starts where the case does. Raises RuntimeError where it does not plan in time."""
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
            daemon = Daemon(process, client)
            daemon.until(client.ready)
            client.submit(jobs[:-MORE])
            first_s = daemon.until_planned(jobs[0]["id"])
            more = [_one_more(daemon, job) for job in jobs[-MORE:]]
            return Found(first_s, more, daemon.own_mib, daemon.family_mib)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _one_more(daemon: Daemon, job: dict[str, Any]) -> Replanned:
    before, asked = daemon.client.plan(), time.perf_counter()
    daemon.client.submit([job])
    cycle_s = daemon.until_planned(job["id"])
    answer_s, after = time.perf_counter() - asked, daemon.client.plan()
    counts = moved_and_missed(before, after)
    return Replanned(cycle_s, answer_s, *counts, after["status"], after["relative_gap"])


def moved_and_missed(before: dict[str, Any], after: dict[str, Any]) -> tuple[int, int]:
    """Workloads of the first plan that do not have the same slots in the second: those to come, and those begun.

    Nobody runs work here. What of it was to run before the second plan was made has been missed, and must move.
    """
    now = after["created_at"]
    ahead = {a["workload_id"] for a in before["allocations"]}
    begun = {a["workload_id"] for a in before["allocations"] if a["start"] < now}

    def slots(plan: dict[str, Any]) -> dict[str, set[tuple[Any, ...]]]:
        found: dict[str, set[tuple[Any, ...]]] = {}
        for a in plan["allocations"]:
            row = (a["site"], a["pool"], max(a["start"], now), a["end"], a["accelerators"])
            found.setdefault(a["workload_id"], set()).update({row} if a["end"] > now else ())
        return found

    was, is_ = slots(before), slots(after)
    changed = {id for id in ahead if was[id] != is_.get(id, set())}
    return len(changed - begun), len(changed & begun)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """The median of the plans after one more workload each."""
    tell(CASE, 0.0)
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made([CASE], Path(kept))
        found = replanned(folders[CASE], Path(kept))
    more = found.more
    yield Figure(f"{CASE}, all but {MORE} at once, cycle", found.first_s, "s", None, "wall; solved")
    cycles = [one.cycle_s for one in more]
    said = f"median of {MORE}, wall: {spread(cycles)}, max {max(cycles):.2f}"
    yield Figure(f"{CASE}, one more workload, cycle", median(cycles), "s", TARGET, said)
    solved = [one.status for one in more if one.status != HELD]
    said = f"how each was planned: {', '.join(one.status for one in more)}"
    yield Figure(f"{CASE}, one more workload, solved anew", len(solved), f"of {MORE}", None, said, 0)
    answers = [one.answer_s for one in more]
    said = f"median: {spread(answers)}; 2 s of it wait for other changes"
    yield Figure(f"{CASE}, one more workload, asked to answered", median(answers), "s", None, said)
    missed = ", ".join(str(one.missed) for one in more)
    said = (
        f"at most, of those announced and not begun; with missed slots, since nobody runs work here: {missed}"
    )
    yield Figure(f"{CASE}, workloads moved by one more", max(o.moved for o in more), "", AtMost(0), said, 0)
    said = "to our bound, proven by the prices held"
    yield Figure(f"{CASE}, gap after {MORE} more", 100 * more[-1].gap, "%", None, said, 3)
    said = (
        f"the daemon and its planning process, each at its highest; the daemon alone {found.own_mib:.0f} MiB"
    )
    yield Figure(f"{CASE}, peak memory", found.family_mib, "MiB", None, said, 0)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("replan")
