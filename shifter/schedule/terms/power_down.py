"""Powering down what is idle: fewer accelerators draw idle power, and the rest still hold all that is kept or runs.

    powered[p, t] >= q[p, t] + work[p, t]              work: mean accelerators of all deferrable work
    powered[p, t] >= reserved[p, t] + firm[p, t]       firm: those of work that may not be preempted
    off[p, t] = count[p] - powered[p, t]               takes pue * (idle_kw - off_kw) each off the import

These are the rows of `capacity` with what is powered in the place of what there is, so real-time load finds at once
what it may need, after the loss of domains, too. Means over a slot: an accelerator may be off for a part of it; beside
work that is placed, `resting` says how many may. What it takes to boot is not modelled.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs
from shifter.schedule.resting import idle_room


class PowerDownTerm:
    """For each pool p that may, the variables `off.p` and the rows `powered.p` and `powered_firm.p`."""

    name = "power_down"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Let idle accelerators rest."""
        problem, work = given.problem, given.work
        n, slots = problem.grid.n_slots, np.arange(problem.grid.n_slots)
        firm = given.firm[work.work_class]
        may_rest, placed = given.capacity.may_rest, given.capacity.placed
        for p, room in idle_room(problem).items():
            pool = problem.pools[p]
            off = program.variables(f"off.{p}", n, upper=np.inf if may_rest is None else may_rest[p])
            program.rows["import"].add(pool.site * n + slots, off, pool.saved_kw)
            for i, (name, counts) in enumerate(
                (("powered", work.pool == p), ("powered_firm", firm & (work.pool == p)))
            ):
                left = room[i] if placed is None else np.maximum(0.0, room[i] - placed[i, p])
                rows = program.at_most(f"{name}.{p}", left)
                rows.add(slots, off, 1.0)
                cell = work.cell[counts]
                rows.add(problem.cell_slot[cell], work.column[counts], problem.cell_share[cell])
