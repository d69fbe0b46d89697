"""One planning cycle and nothing else, measured: `python -m benchmarks.one_plan CASE_DIR [N]`, JSON on stdout.

A process of its own, so that peak memory is the cycle's. With N, only the first N workloads of the case.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cvxpy  # noqa: F401 - imported before the clock starts, as in a daemon's planner

from benchmarks.cases import read_case
from benchmarks.machine import peak_mib
from shifter.cycle import plan_cycle


def measure_plan(folder: Path, first: int | None = None) -> dict[str, Any]:
    """Wall and CPU time [s] of `plan_cycle` alone, the most memory that was held [MiB], the cost and its bound."""
    inputs = read_case(folder, first=first)
    wall, cpu = time.perf_counter(), time.process_time()
    plan = plan_cycle(inputs)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mib": peak_mib(),
        "workloads": len(inputs.submissions),
        "total": plan.cost.total,
        "lower_bound": plan.lower_bound,
        "status": plan.status,
    }


if __name__ == "__main__":
    given = [int(n) for n in sys.argv[2:3]]
    sys.stdout.write(json.dumps(measure_plan(Path(sys.argv[1]), *given)) + "\n")
