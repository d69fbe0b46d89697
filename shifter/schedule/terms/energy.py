"""Energy: every kWh imported, at its price.

    sum over sites s, slots t of  price[s, t] * slot_hours * import[s, t]

Prices may be negative; import may not (see `import` in `solve`), so the term stays bounded.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs


class EnergyTerm:
    """Cost of energy [currency]."""

    name = "energy"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price the import of every site and slot."""
        problem = given.problem
        price = np.concatenate([site.price_per_kwh for site in problem.sites])
        program.add_cost(program.index("import"), price * problem.grid.slot_hours)
