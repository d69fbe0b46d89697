"""Measuring commands: wall and CPU time of a child process and all that it waited for; memory at its highest, that of
others and our own.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10
"""Of the kernel's `ru_maxrss`."""


@dataclass(frozen=True)
class Took:
    """What a command took."""

    wall_s: float
    cpu_s: float
    exit_code: int


def measure(command: Sequence[str]) -> Took:
    """Run a command to its end, its output thrown away."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    return Took(wall_s, used.ru_utime + used.ru_stime, process.returncode)


@dataclass(frozen=True)
class Watched:
    """What a command took and said. `stopped` says which limit it passed: `time`, `memory`, or none."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    exit_code: int
    out: str
    err: str
    stopped: str = ""

    @property
    def last_word(self) -> str:
        """The last line of what it said on stderr."""
        return (self.err.strip().splitlines() or ["no output"])[-1]


LOOK_S = 0.05


def watch(command: Sequence[str], *, time_limit_s: float, memory_limit_mib: float = float("inf")) -> Watched:
    """Run a command in a process of its own, and end it when it passes a limit.

    Its memory is the kernel's high-water mark of resident memory, of it and of what it starts, looked at many times
    a second. What it holds in its last moments may be missed; where there is no /proc it is what the kernel says of it
    at the end.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT)
        peak, stopped = 0.0, ""
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            wall_s = time.perf_counter() - begun
            if pid:
                break
            peak = max(peak, family_mib(process.pid))
            if not stopped and (wall_s > time_limit_s or peak > memory_limit_mib):
                stopped = "time" if wall_s > time_limit_s else "memory"
                process.kill()
            time.sleep(LOOK_S)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Watched(
            wall_s,
            used.ru_utime + used.ru_stime,
            peak or used.ru_maxrss / _PER_MIB,
            process.returncode,
            out.read(),
            err.read(),
            stopped,
        )


def high_water_mib(pid: int) -> float:
    """The most memory [MiB] that a process has held; 0 where that cannot be known: no /proc, or it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 2**10 for x in lines if x.startswith("VmHWM:")), 0.0)


def _children(pid: int) -> list[int]:
    try:
        lists = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for text in lists for child in text.split()]


def family_mib(pid: int) -> float:
    """High-water marks [MiB] of a process and all that it started and that still live, summed."""
    return high_water_mib(pid) + sum(family_mib(child) for child in _children(pid))


def apart(call: Callable[..., T], *arguments: Any) -> T:
    """What `call(*arguments)` gives in a fresh process, which holds nothing that others have left in this one."""
    # Spawned, not forked: solvers and threads do not survive a fork.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def peak_mib() -> float:
    """The most memory [MiB] that this process has held.

    Where there is one, from the kernel's own account of the process as it is now: `ru_maxrss` survives an exec,
    and so would count what the parent held when it started us.
    """
    return high_water_mib(os.getpid()) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PER_MIB


def shifter() -> list[str]:
    """The installed command, or the same by way of the interpreter."""
    script = Path(sysconfig.get_path("scripts")) / "shifter"
    return [str(script)] if script.exists() else [sys.executable, "-m", "shifter.cli.main"]


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Least and median of repeated measurements: on a shared machine the least is nearest to the truth."""
    return f"min {min(values):.{digits}f}, median {median(values):.{digits}f} {unit}"


def about() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }
