"""Demand charge: what the highest import of the billing period costs beyond the peak already incurred.

demand_charge_per_kw * peak[s],   with   peak[s] >= import[s, t] - peak_so_far[s]   and   peak[s] >= 0
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, site_slots


class DemandChargeTerm:
    """The variables `peak` [kW above the peak so far] and the rows `peak`, for each site with a demand charge."""

    name = "demand_charge"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price the peak."""
        problem = given.problem
        charged = problem.charged_sites
        if not charged:
            return
        n = problem.grid.n_slots
        price = np.array([problem.sites[i].demand_charge_per_kw for i in charged])
        peak = program.variables("peak", len(charged), cost=price)
        so_far = np.repeat([problem.sites[i].peak_so_far_kw for i in charged], n)
        rows = program.at_most("peak", so_far)
        where = site_slots(problem, charged)
        rows.add(range(len(where)), program.index("import")[where], 1.0)
        rows.add(range(len(where)), np.repeat(peak, n), -1.0)
