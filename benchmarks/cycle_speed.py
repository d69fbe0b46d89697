"""How long a planning cycle takes and what memory it needs, beside HiGHS alone on the same linear program."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figure import CASES, Figure, Options, Tell, left_out

RUNS = 3
TIMEOUT_S = 900.0


def measured(folder: Path) -> dict[str, Any]:
    """One run in a fresh process (`benchmarks.one_cycle`). Raises RuntimeError where it fails."""
    command = [sys.executable, "-m", "benchmarks.one_cycle", str(folder.resolve())]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=root)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{folder.name}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def best_of(name: str, runs: Sequence[dict[str, Any]]) -> Iterator[Figure]:
    """The quickest of some runs by CPU time, for the machine may be shared."""
    best = min(runs, key=lambda r: r["cycle_cpu_s"])
    alone = min(runs, key=lambda r: r["highs_cpu_s"])
    ratio = best["cycle_cpu_s"] / alone["highs_cpu_s"]
    said = (
        f"{best['cycle_cpu_s']:.2f} s CPU = {ratio:.1f} × HiGHS alone ({alone['highs_cpu_s']:.2f} s CPU, "
        f"{alone['highs_wall_s']:.2f} s wall); {best['workloads']} workloads, "
        f"{best['columns']:,} columns, {best['rows']:,} rows"
    )
    yield Figure(f"{name}, cycle, wall", best["cycle_wall_s"], "s", beside=said)
    said = f"{best['imports_mib']:.0f} MiB before the cycle, for the imports"
    yield Figure(f"{name}, peak memory", best["cycle_mib"], "MiB", beside=said, digits=0)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Three runs of each case."""
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made(CASES, Path(kept))
        for i, (name, folder) in enumerate(folders.items()):
            runs = []
            for n in range(RUNS):
                tell(f"{name}, run {n + 1} of {RUNS}", (i + n / RUNS) / len(folders))
                runs.append(measured(folder))
            yield from best_of(name, runs)
    yield from left_out(CASES, folders)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("cycle_speed")
