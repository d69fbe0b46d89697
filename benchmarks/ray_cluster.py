"""A Ray cluster of this machine, in a network namespace that has nothing but a loopback.

Ray dials the machine's own address whatever it is told, so that elsewhere its ports would be open to others. `inside`
says how to get into such a namespace; `Cluster` is to be used there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ADDRESS = "127.0.0.1:6379"
NAMESPACE = ("unshare", "-n")
STORE_BYTES = 90_000_000


def why_not() -> str:
    """Why there can be no cluster here; "" where there can."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed: pip install 'inference-shifter[ray]'"
    missing = [name for name in ("unshare", "ip") if shutil.which(name) is None]
    if missing:
        return f"there is no {missing[0]} on the PATH: a cluster needs a network of its own here"
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        return "`unshare -n` is not permitted: a cluster needs a network of its own here"
    return ""


def inside(module: str, *words: str) -> list[str]:
    """The command line of a module in a namespace of its own."""
    return [*NAMESPACE, sys.executable, "-m", module, *words]


class Cluster:
    """A head that does no work, and workers of one CPU each. `started_s` is how long it took to start."""

    def __init__(self, workers: int) -> None:
        self.workers, self.started_s = workers, 0.0
        self._folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))

    def __enter__(self) -> Self:
        begun = time.perf_counter()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        common = ("--disable-usage-stats", f"--object-store-memory={STORE_BYTES}")
        head = (
            "--head",
            "--port=6379",
            "--node-ip-address=127.0.0.1",
            "--include-dashboard=false",
            "--num-cpus=0",
        )
        try:
            _ray("start", *head, f"--temp-dir={self._folder}", *common)
            for _ in range(self.workers):
                _ray("start", f"--address={ADDRESS}", "--num-cpus=1", *common)
        except BaseException:
            self._end()
            raise
        self.started_s = time.perf_counter() - begun
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """End the processes of this cluster alone: those that name its folder."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(self._folder) in words and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:  # it has ended
                continue
        shutil.rmtree(self._folder, ignore_errors=True)


def _ray(*words: str) -> None:
    program = [sys.executable, "-m", "ray.scripts.scripts", *words]
    subprocess.run(program, check=True, stdout=sys.stderr, timeout=120)
