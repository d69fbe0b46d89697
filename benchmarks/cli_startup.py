"""How soon `shifter --help` answers, beside Python that does nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.figure import Below, Figure, Options, Tell
from benchmarks.machine import Took, measure, shifter, spread

RUNS = 10
TARGET = Below(0.3)


def run(_options: Options, tell: Tell) -> Iterator[Figure]:
    """Ten runs of each, by turns, after one that fills the caches."""
    commands = {"help": [*shifter(), "--help"], "pass": [sys.executable, "-c", "pass"]}
    measure(commands["help"])
    taken: dict[str, list[Took]] = {name: [] for name in commands}
    for i in range(RUNS):
        tell(f"run {i + 1} of {RUNS}", i / RUNS)
        for name, command in commands.items():
            took = measure(command)
            if took.exit_code != 0:
                raise RuntimeError(f"{' '.join(command)} ended with {took.exit_code}")
            taken[name].append(took)
    wall, cpu = ([getattr(t, key) for t in taken["help"]] for key in ("wall_s", "cpu_s"))
    bare_wall, bare_cpu = ([getattr(t, key) for t in taken["pass"]] for key in ("wall_s", "cpu_s"))
    peer = f"python -c pass: {spread(bare_wall)}"
    yield Figure("shifter --help, least wall", min(wall), "s", TARGET, peer)
    yield Figure("shifter --help, median wall", median(wall), "s", TARGET, peer)
    yield Figure("shifter --help, median CPU", median(cpu), "s", None, f"python -c pass: {spread(bare_cpu)}")


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("cli_startup")
