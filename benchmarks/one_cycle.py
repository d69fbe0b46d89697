"""One planning cycle, measured: `python -m benchmarks.one_cycle CASE_DIR`, JSON on stdout.

A process of its own, so that peak memory is the cycle's and nobody else's. After it, HiGHS alone on the same
linear program: the matrices are built once, and only its own run is timed.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cvxpy  # noqa: F401 - a daemon's planner has imported it before its first plan
import highspy
import numpy as np
import scipy.sparse as sp

from benchmarks.cases import read_case
from benchmarks.machine import peak_mib
from shifter.cycle import plan_cycle, problem_of
from shifter.schedule.classes import merge
from shifter.schedule.program import Capacity, LinearProgram
from shifter.schedule.rungs import by_size
from shifter.schedule.solve import linear_program


@dataclass(frozen=True)
class Measured:
    """Times [s], memory [MiB] at its highest: after the imports, and after the cycle."""

    workloads: int
    columns: int
    rows: int
    cycle_wall_s: float
    cycle_cpu_s: float
    highs_wall_s: float
    highs_cpu_s: float
    highs_status: str
    imports_mib: float
    cycle_mib: float


def highs_alone(program: LinearProgram) -> tuple[float, float, str]:
    """Wall and CPU time of HiGHS on the program, as the schedule asks it to solve, and its status."""
    matrix = sp.vstack([rows.matrix(program.n_columns) for rows in program.rows.values()], format="csr")
    upper = np.concatenate([rows.limit for rows in program.rows.values()])
    equal = np.concatenate([np.full(len(rows.limit), rows.equal) for rows in program.rows.values()])
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = program.n_columns, len(upper)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = np.where(equal, upper, -np.inf), upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    solver: Any = highspy.Highs  # its stubs leave the constructor untyped
    highs = solver()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    first, *_ = by_size(program.n_columns, len(program.rows["done"].limit))
    highs.setOptionValue("solver", str(first.options["solver"]))
    highs.passModel(lp)
    wall, cpu = time.perf_counter(), time.process_time()
    highs.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall, cpu, highs.modelStatusToString(highs.getModelStatus())


def measure_cycle(folder: Path) -> Measured:
    """The cycle of a case, then HiGHS alone on its first linear program (all work, relaxed)."""
    inputs = read_case(folder)
    imports_mib = peak_mib()
    wall, cpu = time.perf_counter(), time.process_time()
    plan_cycle(inputs)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cycle_mib = peak_mib()
    problem = problem_of(inputs)
    program, _ = linear_program(problem, merge(problem.jobs), Capacity.of(problem))
    alone_wall, alone_cpu, status = highs_alone(program)
    rows = sum(len(rows.limit) for rows in program.rows.values())
    return Measured(
        len(inputs.submissions),
        program.n_columns,
        rows,
        wall,
        cpu,
        alone_wall,
        alone_cpu,
        status,
        imports_mib,
        cycle_mib,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure_cycle(Path(sys.argv[1])))) + "\n")
