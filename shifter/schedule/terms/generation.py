"""Generation behind the meter: used before the grid where it is cheaper, and curtailed at no cost where it is not.

    generated[s, t] <= available[s, t]      in the balance of the site, where it takes the place of import
    cost_per_kwh[s] * slot_hours * generated[s, t]

Its energy emits nothing. What nobody forecast is not there: `available` is 0 outside the windows that are given.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, generated_of


class GenerationTerm:
    """For each site i with a plant, the variables `generated.i` [kW]."""

    name = "generation"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Let every plant run."""
        n, hours = given.problem.grid.n_slots, given.problem.grid.slot_hours
        for i, site in enumerate(given.problem.sites):
            if site.generation_kw is not None:
                generated = generated_of(program, given.problem, i)
                program.add_cost(generated, site.generation_cost_per_kwh * hours)
                program.rows["import"].add(i * n + np.arange(n), generated, 1.0)
