"""Capacity with the reserve, in whole accelerators, in every cell c of pool p:

    capacity:  sum of all work in (p, c)                 <= count - q
    reserve:   sum of work that may not be preempted     <= count - reserved

Only preemptible work may stand in the redundancy margin `reserved - q`; nothing stands in q.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs


class CapacityTerm:
    """The rows `capacity` and `reserve`, (n_pools * n_cells,) each, pool-major."""

    name = "capacity"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Bound the accelerators in use."""
        work = given.work
        row = work.pool * given.problem.n_cells + work.cell
        program.at_most("capacity", given.capacity.any.ravel().astype(float)).add(row, work.column, 1.0)
        firm = given.firm[work.work_class]
        rows = program.at_most("reserve", given.capacity.firm.ravel().astype(float))
        rows.add(row[firm], work.column[firm], np.ones(int(firm.sum())))
