"""Budgets: hard limits on what the sites' imports cause in a while, in kg of CO2e or in money.

    sum over sites s, slots t of  rate[b, s, t] * import[s, t] - sold[b, s, t] * export[s, t]  <=  limit[b] + over[b]

`rate` is carbon or price times the hours of the slot that lie in the budget's period, at the sites that it counts;
`sold` is the price of export, for money. The whole import counts, real-time load's at its median too. Where that alone
exceeds the limit, beside plants that run for the budgets and with what batteries must charge (`budgets.allowed`),
`over` is what no plan is asked to help; deferrable work then has nothing left there. Any more of it is priced above
what work could gain by it, and below physical limits.

The dual of a row is what one more kg, or one more unit of currency in the budget, would save in all [currency each].
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.budgets import allowed
from shifter.schedule.program import LinearProgram, TermInputs

WORTH = 100.0
"""Against the price of lateness of the work that one unit of the budget could power where it is used up fastest."""


class BudgetTerm:
    """The rows `budget` and the variables `budget_over`, one a budget."""

    name = "budget"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Hold every budget."""
        problem = given.problem
        if not problem.budgets:
            return
        imports, exporting = program.index("import"), problem.exporting_sites
        hour_kw = max(pool.import_kw for pool in problem.pools) / problem.grid.slot_hours
        fastest = [max(1e-9, float(np.abs(b.bought).max(initial=0.0))) * hour_kw for b in problem.budgets]
        price = WORTH * problem.dearest_hour / np.array(fastest)
        limit = np.array([budget.limit for budget in problem.budgets])
        over = program.relief("budget_over", len(limit), price=price, most=allowed(problem) - limit)
        rows = program.at_most("budget", limit)
        for k, budget in enumerate(problem.budgets):
            rows.add(np.full(len(imports), k), imports, budget.bought.ravel())
            if exporting:
                sold = budget.sold[exporting].ravel()
                rows.add(np.full(len(sold), k), program.index("export"), -sold)
        rows.add(range(len(over)), over, -1.0)
