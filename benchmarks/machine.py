"""Measuring commands: wall and CPU time of a child process and all that it waited for; our own peak memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


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


def peak_mib() -> float:
    """The most memory [MiB] that this process has held.

    Where there is one, from the kernel's own account of the process as it is now: `ru_maxrss` survives an exec,
    and so would count what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return (
            next(int(x.split()[1]) for x in status.read_text().splitlines() if x.startswith("VmHWM:")) / 2**10
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


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
