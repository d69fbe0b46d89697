"""Quotas while jobs ask for room in turns (`follow`): what is left of each, what it costs, who may borrow and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.columns import ahead
from shifter.schedule.jobs import Ints, Job
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.tenants import FREE, NOBODY, QuotaPrices

LEAST = 1e-9
"""Accelerators below which nothing is left of a quota [mean of a slot]."""


class Quotas:
    """What is left of each quota, `left` (n_quotas, n_slots), which is written to, and what these jobs use of it.

    `of` (n_jobs,) says whose quota each job counts against, or -1.
    """

    def __init__(self, problem: ScheduleProblem, jobs: Sequence[Job], hours: Floats, left: Floats) -> None:
        self.problem, self.left = problem, left
        tenant = np.array([job.tenant for job in jobs], dtype=np.int64)
        self.of = np.where(tenant < problem.n_quotas, tenant, NOBODY)
        self._hours = hours
        self._used = np.zeros_like(left)
        self._asked = np.zeros(problem.n_quotas)

    def counted(self, one: Job) -> NDArray[np.bool_] | None:
        """Pools that its tenant's quota counts, (n_pools,); None where it has none."""
        return self.problem.quota_counts[one.tenant] if 0 <= one.tenant < self.problem.n_quotas else None

    def shut(self, one: Job) -> NDArray[np.bool_]:
        """Where a job's quota leaves nothing, (n_pools, n_cells), or (1, 1) where it has none."""
        counted = self.counted(one)
        if counted is None:
            return np.zeros((1, 1), dtype=bool)
        full: NDArray[np.bool_] = (self.left[one.tenant] <= LEAST)[self.problem.cell_slot]
        return counted[:, None] & full

    def admit(self, one: Job, pool: Ints, cell: Ints, amount: Floats) -> Floats:
        """What of these means over cells, of jobs like this one, the quota has room for, first come first served."""
        counted = self.counted(one)
        if counted is None:
            return amount
        wanted = np.where(counted[pool], amount * self.problem.cell_share[cell], 0.0)
        given = in_turn(self.problem.cell_slot[cell], wanted, self.left[one.tenant])
        admitted: Floats = amount * np.divide(given, wanted, out=np.ones_like(wanted), where=wanted > 0)
        return admitted

    def hold(self, one: Job, pool: Ints, cell: Ints, amount: Floats) -> None:
        """Take these means over cells, or give them back where they are negative."""
        counted = self.counted(one)
        if counted is not None:
            mean = np.where(counted[pool], amount * self.problem.cell_share[cell], 0.0)
            np.subtract.at(self.left[one.tenant], self.problem.cell_slot[cell], mean)
            np.add.at(self._used[one.tenant], self.problem.cell_slot[cell], mean)

    def nudged(
        self, prices: QuotaPrices | None, target: Floats, whole: Floats, turn: Ints
    ) -> QuotaPrices | None:
        """Prices as those of pools are: moved by `whole` (n_cells,) where use is ahead by a whole `target`.

        What is due of a quota is its share of its own jobs' hours, of which those of this turn ask now. Where nothing
        is known to follow, of a tenant that the coarse problem does not tell apart, they stay.
        """
        if prices is None:
            return None
        n, of = self.problem.n_quotas, self.of
        total = np.maximum(LEAST, np.bincount(of[of >= 0], self._hours[of >= 0], n))
        now = turn[of[turn] >= 0]
        of_turn = np.bincount(of[now], self._hours[now], n)
        due = (self._asked + 0.5 * of_turn) / total
        self._asked += of_turn
        scale = np.maximum(target, 0.1 * np.maximum(1.0, target.max(axis=1, keepdims=True)))
        known = target.any(axis=1, keepdims=True)
        ahead_by = np.where(known, self._used - due[:, None] * target, 0.0) / scale
        return replace(prices, per_cell=prices.per_cell + whole * ahead_by[:, self.problem.cell_slot])

    def close(self, target: Floats) -> None:
        """Let nobody borrow of whose use the optimum says nothing: only what finds no room otherwise will."""
        for i in self._unknown(target):
            self.left[i] = np.maximum(0.0, self.left[i] - FREE)

    def opened(self, prices: QuotaPrices | None, target: Floats) -> QuotaPrices | None:
        """Let them, and say the prices at which they do."""
        if prices is None:
            return None
        per_cell = prices.per_cell.copy()
        for i in self._unknown(target):
            self.left[i] += FREE
            per_cell[i] = self.problem.tenants[i].over_price * self.problem.cell_hours
        return replace(prices, per_cell=per_cell)

    def _unknown(self, target: Floats) -> list[int]:
        quotas = self.problem.tenants[: self.problem.n_quotas]
        return [i for i, tenant in enumerate(quotas) if not tenant.hard and not target[i].any()]


def in_turn(place: Ints, amount: Floats, free: Floats) -> Floats:
    """What each gets of `amount` where `free[place]` is handed out in the order given."""
    order = np.argsort(place, kind="stable")
    ordered, wanted = place[order], amount[order]
    given = np.empty_like(amount)
    given[order] = np.clip(free[ordered] - ahead(ordered, wanted), 0.0, wanted)
    return given
