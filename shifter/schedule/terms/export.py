"""Export: what the site feeds into the grid, up to its limit, at its price.

    - export_price[s, t] * slot_hours * export[s, t]      export[s, t] <= export_limit[s]

    export_price[s, t] = min(what is given, price[s, t])

A meter counts the difference of import and export over a slot, so a site never does both. The program needs no row for
it: doing both would gain export_price - price - carbon's price < 0 or nothing, on every path that uncertain prices may
take, too (`terms.risk`). Where the price that is given is higher
than the slot's price of import, that would fail, and the choice between the two would no longer be convex; export then
counts at the price of import, and the plan says so. It is never too optimistic.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs


class ExportTerm:
    """What export earns [currency], which is a negative cost."""

    name = "export"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price the export of every site that may."""
        problem = given.problem
        prices = [problem.sites[i].export_price_per_kwh for i in problem.exporting_sites]
        if prices:
            earned = np.concatenate([price for price in prices if price is not None])
            program.add_cost(program.index("export"), -earned * problem.grid.slot_hours)
