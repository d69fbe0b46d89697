"""Quotas: how many accelerators a tenant's deferrable work uses, mean of each slot, in the pools that its quota counts.

    quota[i, t]:  sum over its classes k, ways v in counted pools, cells c in t of  w[c] * x[k,v,c]  - over[i, t]
                      <=  quota[i] * (what is left of slot t) - what its pinned work holds
    over_price[i] * slot_hours * over[i, t]

A hard quota has no `over`: where pinned work alone holds more, nothing else of the tenant runs there. Where borrowing
has a price, it is paid for pinned work too.

The dual of a row is what one more accelerator in that slot would save [currency]; of a quota that may be exceeded it is
at most the price of doing so.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs


class QuotaTerm:
    """The rows `quota` (n_quotas * n_slots,), and for each tenant i that may borrow the variables `over_quota.i`."""

    name = "quota"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Hold every quota."""
        problem, work = given.problem, given.work
        tenant = given.tenant[work.work_class]
        counted = np.flatnonzero((tenant >= 0) & (tenant < problem.n_quotas))
        counted = counted[problem.quota_counts[tenant[counted], work.pool[counted]]]
        if not len(counted):
            return
        n, quotas = problem.grid.n_slots, problem.tenants[: problem.n_quotas]
        used = np.zeros((len(quotas), n)) if given.capacity.of_quotas is None else given.capacity.of_quotas
        left = [
            np.maximum(0.0, one.left - own) if one.hard else one.left - own
            for one, own in zip(quotas, used, strict=True)
        ]
        rows = program.at_most("quota", np.concatenate(left))
        cell = work.cell[counted]
        rows.add(
            tenant[counted] * n + problem.cell_slot[cell], work.column[counted], problem.cell_share[cell]
        )
        for i, one in enumerate(quotas):
            if not one.hard:
                price = one.over_price * problem.grid.slot_hours
                rows.add(np.arange(n) + i * n, program.variables(f"over_quota.{i}", n, cost=price), -1.0)
