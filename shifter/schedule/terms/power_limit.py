"""Power limits: the substation, the contract, a curtailment notice.

    power[s, t]:  import[s, t] - export[s, t] + (draw of real-time load at q, less that at its median)  <=  limit[s, t]

In the slot that holds `now`, work can only run in what is left of the slot, so its import there is counted at the rate
at which it runs rather than averaged over a slot that is partly gone. Where real-time load alone exceeds the limit,
deferrable work gets nothing, and `overload` says by how much: the limit is the operator's to relax, never ours.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, Rows, TermInputs, net_import

OVERLOAD_PRICE_RATIO = 100.0
"""Against the price of lateness: no work is worth an overload."""


class PowerLimitTerm:
    """The rows `power` (one for each limited site and slot), and the variables `overload` [kW]."""

    name = "power_limit"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Hold every limit."""
        problem = given.problem
        limited = problem.limited_sites
        if not limited:
            return
        limit = np.concatenate([problem.sites[i].limit_kw for i in limited])
        margin = np.concatenate([problem.sites[i].quantile_kw - problem.sites[i].median_kw for i in limited])
        # Beyond any import, rather than infinite: solvers dislike infinite right-hand sides.
        headroom = np.where(np.isfinite(limit), limit - margin, 1e9)
        rows = program.at_most("power", headroom)
        net_import(rows, program, problem, limited)

        base = np.concatenate([problem.sites[i].quantile_kw for i in limited])
        over = np.flatnonzero(base > limit)
        price = OVERLOAD_PRICE_RATIO * problem.physical_price
        most = (base - limit)[over]
        overload = program.relief("overload", len(over), price=price, most=most, upper=most)
        rows.add(over, overload, -1.0)
        self._count_rest_of_slot(rows, given, {site: k for k, site in enumerate(limited)})

    @staticmethod
    def _count_rest_of_slot(rows: Rows, given: TermInputs, position: dict[int, int]) -> None:
        problem, work = given.problem, given.work
        gone = (problem.now_us % problem.slot_us) / problem.slot_us
        if not gone:
            return
        slot = problem.now_us // problem.slot_us
        pools = problem.pools
        for site, k in position.items():  # what is placed already runs in the rest of the slot, too
            placed_kw = given.capacity.placed_kw[site, slot]
            rows.limit[k * problem.grid.n_slots + slot] -= placed_kw * (1 / (1 - gone) - 1)
        here = [
            j
            for j in np.flatnonzero(problem.cell_slot[work.cell] == slot)
            if pools[work.pool[j]].site in position
        ]
        share = problem.cell_share[work.cell[here]]
        row = (
            np.array([position[pools[p].site] for p in work.pool[here]], dtype=np.int64)
            * problem.grid.n_slots
            + slot
        )
        rows.add(row, work.column[here], work.import_kw[here] * share * (1 / (1 - gone) - 1))
