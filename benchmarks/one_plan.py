"""One planning cycle and nothing else, measured: `python -m benchmarks.one_plan CASE_DIR [N]`, JSON on stdout.

A process of its own, so that peak memory is the cycle's. With N, only the first N workloads of the case.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import read_case
from benchmarks.machine import apart, peak_mib
from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.plan import Plan


@dataclass(frozen=True, eq=False)
class OnePlan:
    """A plan, what `plan_cycle` alone took [s], and the most memory that the process held by then [MiB]."""

    plan: Plan
    wall_s: float
    cpu_s: float
    peak_mib: float


def timed(inputs: CycleInputs) -> OnePlan:
    """One cycle in this process."""
    import cvxpy  # noqa: F401 - before the clock starts, as in a daemon's planner

    wall, cpu = time.perf_counter(), time.process_time()
    plan = plan_cycle(inputs)
    return OnePlan(plan, time.perf_counter() - wall, time.process_time() - cpu, peak_mib())


def planned_apart(folder: Path) -> OnePlan:
    """One cycle on a case, files and all in a process of its own."""
    return apart(_of_case, folder)


def _of_case(folder: Path) -> OnePlan:
    return timed(read_case(folder))


def measure_plan(folder: Path, first: int | None = None) -> dict[str, Any]:
    """What one cycle took, its cost and its bound, as plain values."""
    inputs = read_case(folder, first=first)
    made = timed(inputs)
    return {
        "wall_s": made.wall_s,
        "cpu_s": made.cpu_s,
        "peak_mib": made.peak_mib,
        "workloads": len(inputs.submissions),
        "total": made.plan.cost.total,
        "lower_bound": made.plan.lower_bound,
        "status": made.plan.status,
    }


if __name__ == "__main__":
    given = [int(n) for n in sys.argv[2:3]]
    sys.stdout.write(json.dumps(measure_plan(Path(sys.argv[1]), *given)) + "\n")
