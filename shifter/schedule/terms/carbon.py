"""Carbon at a price: every kg of CO2e that the import causes.

sum over sites s, slots t of  carbon_price * carbon[s, t] * slot_hours * import[s, t]
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs


class CarbonTerm:
    """Cost of carbon [currency]."""

    name = "carbon"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price the carbon of every site and slot."""
        problem = given.problem
        price = np.concatenate([site.carbon_price_per_kg * site.carbon_kg_per_kwh for site in problem.sites])
        program.add_cost(program.index("import"), price * problem.grid.slot_hours)
