r"""Fairness: where not all work can be done, whose work is late.

Of a tenant i whose work that is due takes A[i] hours, the part that is not done is cut into equal steps, each dearer
than the one before:

    fairness[i]:  sum over its due classes k of short[k]  <=  sum over steps j of unfair[i, j]
    unfair[i, j] <= A[i] / STEPS
    price * weight[i] * (j + 1/2) / STEPS * unfair[i, j]

So an hour costs more, the more of a tenant's work is late already: shares of late work, times weights, are levelled to
within a step. An hour late costs the price of lateness besides, whoever it is of.

The dual of a row is what fairness charges for that tenant's next hour [currency per accelerator-hour].
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, short_of
from shifter.schedule.tenants import STEPS, fairness_prices


class FairnessTerm:
    """The variables `unfair` (n_tenants * STEPS,) [accelerator-hours] and the rows `fairness` (n_tenants,)."""

    name = "fairness"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price every tenant's shortfall."""
        problem = given.problem
        if problem.fairness_price_per_hour == 0 or not (given.tenant >= 0).any():
            return
        due = np.flatnonzero((given.tenant >= 0) & ~given.open_ended)
        n = len(problem.tenants)
        step_hours = np.repeat([tenant.asked_hours / STEPS for tenant in problem.tenants], STEPS)
        step_hours[STEPS - 1 :: STEPS] = (
            np.inf
        )  # all that is asked for may be late, however its sum is rounded
        price = fairness_prices(problem).ravel()
        unfair = program.variables("unfair", n * STEPS, upper=step_hours, cost=price)
        lacking = np.zeros(n) if given.capacity.short_hours is None else given.capacity.short_hours
        rows = program.at_most("fairness", -lacking)
        rows.add(given.tenant[due], short_of(program, given)[due], 1.0)
        rows.add(np.repeat(np.arange(n), STEPS), unfair, -1.0)
