"""Ramp limit: how much a site's exchange with the grid may change from one slot's mean to the next.

    -ramp[s] - down[s, t]  <=  net[s, t + 1] - net[s, t]  <=  ramp[s] + up[s, t]        net = import - export

`ramp` is the limit per minute times the minutes of a slot. Work and batteries keep it, up and down. Where real-time
load alone ramps more, nothing may ramp beyond that, and the other way no more than the limit: `up` or `down` is what no
plan can help there, and any more of it is priced above whatever work could gain by it over the whole horizon. Before
the first slot nothing is known, so nothing is limited.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, site_slots

WORTH = 2.0
"""Against what all the work that one kW more could power would cost if it were late."""


class RampLimitTerm:
    """For each site i with a limit, the rows `ramp_up.i` and `ramp_down.i`, and variables [kW] to break them by:
    `ramp_up_over.i` and `ramp_down_over.i`."""

    name = "ramp_limit"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Hold every site's limit."""
        problem = given.problem
        n = problem.grid.n_slots
        least_kw = min((pool.import_kw for pool in problem.pools if pool.import_kw > 0), default=1.0)
        price = WORTH * problem.physical_price * n * problem.grid.slot_hours / least_kw
        for i in problem.ramped_sites:
            site = problem.sites[i]
            assert site.ramp_kw is not None
            columns = [(program.index("import")[site_slots(problem, [i])], 1.0)]
            if i in problem.exporting_sites:
                first = problem.exporting_sites.index(i) * n
                columns.append((program.index("export")[first : first + n], -1.0))
            for name, sign, most in zip(("ramp_up", "ramp_down"), (1.0, -1.0), site.ramps_kw, strict=True):
                over = program.relief(f"{name}_over.{i}", n - 1, price=price, most=most - site.ramp_kw)
                rows = program.at_most(f"{name}.{i}", np.full(n - 1, site.ramp_kw))
                for column, into in columns:
                    rows.add(range(n - 1), column[1:], sign * into)
                    rows.add(range(n - 1), column[:-1], -sign * into)
                rows.add(range(n - 1), over, -1.0)
