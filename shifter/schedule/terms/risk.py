r"""Risk: what uncertain prices add to the cost, as conditional value at risk (Rockafellar and Uryasev 2000).

On path k, one of K equally likely ones, a kWh costs `offset[k, s, t]` more than forecast, and the plan

    D[k] = sum over sites s, slots t of  slot_hours * (offset[k, s, t] * import[s, t] - earned[k, s, t] * export[s, t])

more than expected. There a kWh of export earns `earned` more than at the forecast: on each path it is worth what is
given or that path's price of import, whichever is less. So on no path, and at no weights of them, does a site gain by
buying and selling at once. The mean of the worst `1 - level` of these is the least, over `eta`, of

    eta + sum over k of excess[k] / (K * (1 - level)),     excess[k] >= D[k] - eta,   excess[k] >= 0

and `weight` of it is added: with paths whose mean is the forecast, `(1 - weight) * expected + weight * CVaR` of the
whole bill, since what costs the same on every path (peak, wear) passes through.

The duals of the rows `risk`, over `weight`, are weights q of the paths: they sum to 1, each at most `1 / (K * (1 -
level))`. For every such q, CVaR is at least `sum of q[k] * D[k]`, and it is equal at the optimum's own. So the
problem is the plain one at the prices `forecast + weight * sum of q[k] * offset[k]`, and its Lagrangian at any q is a
lower bound. Where there is one path only, as where a quantile is planned by, that is all that there is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import LinearProgram, TermInputs
from shifter.schedule.risk import RiskArrays

FIRST_TAILS = 2.0
"""The solver begins with this many times the paths that the tail holds, those that are dearest with all accelerators
busy. A path has a dense row over all sites and slots, and few of them ever bind."""


class RiskTerm:
    """The variables `risk_level` (eta) and `risk_excess`, and the rows `risk`, one a path [currency]."""

    name = "risk"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Price the tail."""
        risk = given.problem.risk
        if risk is None:
            return
        columns, n = program.index("import"), risk.n_paths
        per_kw = given.problem.grid.slot_hours * risk.offsets_per_kwh.reshape(n, -1)
        exporting = given.problem.exporting_sites
        if exporting and risk.export_offsets_per_kwh is not None:
            earned = risk.export_offsets_per_kwh[:, exporting].reshape(n, -1)
            columns = np.append(columns, program.index("export"))
            per_kw = np.hstack([per_kw, -given.problem.grid.slot_hours * earned])
        if n == 1:
            program.add_cost(columns, risk.weight * per_kw[0])
            return
        eta = program.variables("risk_level", 1, lower=-np.inf, cost=risk.weight)
        excess = program.variables("risk_excess", n, cost=risk.weight / (n * (1.0 - risk.level)))
        rows = program.at_most("risk", np.zeros(n))
        rows.add(np.repeat(np.arange(n), len(columns)), np.tile(columns, n), per_kw.ravel())
        rows.add(range(n), np.repeat(eta, n), -1.0)
        rows.add(range(n), excess, -1.0)
        program.first_rows["risk"] = _dearest(given.problem, risk)


def _dearest(problem: ScheduleProblem, risk: RiskArrays) -> NDArray[np.bool_]:
    """The paths that cost most where all sites are busy, (n_paths,): the tail holds at least the weights' sum."""
    full_kw = problem.median_kw.copy()
    for pool in problem.pools:
        full_kw[pool.site] += pool.count * pool.import_kw
    costs = risk.costs(full_kw, np.zeros_like(full_kw), problem.grid.slot_hours)
    first = np.zeros(risk.n_paths, dtype=bool)
    first[np.argsort(-costs, kind="stable")[: int(np.ceil(FIRST_TAILS / risk.most))]] = True
    return first
