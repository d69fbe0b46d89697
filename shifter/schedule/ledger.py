"""What is free, and what has been placed in it: whole accelerators in every cell, and power in every slot."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.columns import Columns, highest_levels, slot_shares
from shifter.schedule.jobs import Ints, Job, Way
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity

TINY = 1e-12
"""A kW that takes less than this of a budget takes nothing of it."""


class Ledger:
    """Free accelerators and power, and what has been placed in them."""

    def __init__(self, problem: ScheduleProblem, *, budgets: bool = True) -> None:
        self.problem = problem
        self._budgets = problem.budgets if budgets else ()
        whole = Capacity.of(problem)
        self.any, self.firm = whole.any.copy(), whole.firm.copy()
        self.placed_kw = whole.placed_kw.copy()
        self.headroom_kw = np.array([site.limit_kw - site.quantile_kw for site in problem.sites])
        self.beside_kw = np.zeros_like(self.placed_kw)
        self.placed = np.zeros((2, len(problem.pools), problem.grid.n_slots))
        self.of_quotas = np.zeros((problem.n_quotas, problem.grid.n_slots))
        self.quota_left = np.array([tenant.most for tenant in problem.tenants[: problem.n_quotas]])
        gone_us = problem.now_us % problem.slot_us
        self._rest_us = np.full(problem.grid.n_slots, float(problem.slot_us))
        if gone_us:  # in the running slot, power is counted over what is left of it
            self._rest_us[problem.now_us // problem.slot_us] -= gone_us

    def copy(self) -> Ledger:
        """A ledger with the same free room, to try things in."""
        twin = copy.copy(self)
        twin.any, twin.firm = self.any.copy(), self.firm.copy()
        twin.placed_kw, twin.headroom_kw = self.placed_kw.copy(), self.headroom_kw.copy()
        twin.placed, twin.beside_kw = self.placed.copy(), self.beside_kw.copy()
        twin.quota_left, twin.of_quotas = self.quota_left.copy(), self.of_quotas.copy()
        return twin

    def hold(self, pieces: Iterable[Piece]) -> None:
        """Take what pieces placed elsewhere hold: in each cell, their highest level at any instant."""
        self._book(Columns.of(self.problem, pieces), 1)

    def release(self, pieces: Iterable[Piece]) -> None:
        """Give back what one job's pieces, held together before, hold."""
        self._book(Columns.of(self.problem, pieces), -1)

    def _book(self, pieces: Columns, sign: int) -> None:
        firm = pieces.where(np.flatnonzero(pieces.firm))
        self.any -= sign * highest_levels(self.problem, pieces, pieces.pool, len(self.any))
        self.firm -= sign * highest_levels(self.problem, firm, firm.pool, len(self.firm))
        self._draw(pieces, sign)

    def hold_beside(self, beside: Beside) -> None:
        """Take what sites draw beside the work, and give what they draw less."""
        net_kw = beside.net_kw(self.problem)
        self.headroom_kw -= net_kw
        self.beside_kw += net_kw

    def room_kw(self) -> Floats:
        """By how much import may rise in every slot at once, or in any of them, (n_sites, n_slots)."""
        room: Floats = self.headroom_kw
        if self.problem.ramped_sites:
            room = room.copy()
            for i in self.problem.ramped_sites:
                room[i] = self._site_room_kw(i)
        return room

    def _site_room_kw(self, i: int) -> Floats:
        """What a ramp limit leaves: a rise of at most this much keeps it towards both neighbours, whatever they do.

        net'[t+1] - net'[t] = net[t+1] - net[t] + rise[t+1] - rise[t], and no rise is negative.
        """
        site = self.problem.sites[i]
        room: Floats = self.headroom_kw[i]
        if site.ramp_kw is None:
            return room
        change = np.diff(site.median_kw + self.placed_kw[i] + self.beside_kw[i])
        rise, fall = site.ramps_kw
        ramp: Floats = np.minimum(np.append(np.inf, rise - change), np.append(fall + change, np.inf))
        kept: Floats = np.minimum(room, ramp)
        return kept

    def _slot_room_kw(self, i: int) -> Floats:
        """By how much a site's import may rise in any one slot, (n_slots,): budgets count what others use."""
        room = self._site_room_kw(i)
        for budget, left in zip(self._budgets, self.budgets_left(), strict=True):
            rate = budget.bought[i]
            rise = np.full(len(rate), np.inf)
            rise[rate > TINY] = max(0.0, left) / rate[rate > TINY]
            room = np.minimum(room, rise)
        return room

    def budgets_left(self) -> list[float]:
        """What is left of every budget, negative where real-time load alone exceeds it."""
        if not self._budgets:
            return []
        net_kw = self.problem.median_kw + self.placed_kw + self.beside_kw
        return [budget.limit - budget.used(net_kw) for budget in self._budgets]

    def affords(self, way: Way, accelerators: int, start_us: Ints, length_us: int) -> NDArray[np.bool_]:
        """Whether budgets leave room for a run in this way from each of these moments on."""
        problem, site = self.problem, self.problem.pools[way.pool].site
        fits = np.ones(len(start_us), dtype=bool)
        edges = np.arange(problem.grid.n_slots + 1, dtype=float) * problem.slot_us
        for budget, left in zip(self._budgets, self.budgets_left(), strict=True):
            up_to = np.append(0.0, np.cumsum(np.maximum(0.0, budget.bought[site])))
            used = np.interp(start_us + length_us, edges, up_to) - np.interp(start_us, edges, up_to)
            fits &= accelerators * way.import_kw * used <= max(0.0, left) + 1e-9
        return fits

    def left(self) -> Capacity:
        """What is still free, with what has been placed as import."""
        return Capacity(
            np.maximum(0, self.any),
            np.maximum(0, self.firm),
            self.placed_kw,
            self.placed,
            of_quotas=self.of_quotas,
        )

    def _counted(self, tenant: int, pool: int) -> bool:
        """Whether a tenant's work in a pool counts against a quota."""
        problem = self.problem
        return 0 <= tenant < problem.n_quotas and bool(problem.quota_counts[tenant, pool])

    def _quota_count(self, tenant: int) -> Ints:
        """Accelerators that a tenant's quota leaves, if they run for all that is left of each slot, (n_slots,)."""
        slots = self.quota_left[tenant] * self.problem.slot_us / self._rest_us
        whole: Ints = np.minimum(slots + 1e-9, 1e9).astype(np.int64)
        return whole

    def most(self, job: Job, way: Way) -> Ints:
        """The most accelerators the job may add in each cell, (n_cells,)."""
        pool = way.pool
        free = np.minimum(self.any[pool], self.firm[pool]) if job.firm else self.any[pool]
        if way.import_kw > 0:
            headroom_kw = self._slot_room_kw(self.problem.pools[pool].site)[self.problem.cell_slot]
            free = np.minimum(free, np.minimum(headroom_kw / way.import_kw + 1e-9, 1e9).astype(np.int64))
        if self._counted(job.tenant, pool):
            free = np.minimum(free, self._quota_count(job.tenant)[self.problem.cell_slot])
        usable: Ints = np.maximum(0, np.minimum(free, job.max_accelerators)) // way.replica * way.replica
        return usable

    def most_in(self, job: Job, way: Way, cell: int) -> int:
        """`most` for one cell."""
        pool = way.pool
        free = int(min(self.any[pool, cell], self.firm[pool, cell]) if job.firm else self.any[pool, cell])
        if way.import_kw > 0:
            headroom_kw = self._slot_room_kw(self.problem.pools[pool].site)[self.problem.cell_slot[cell]]
            free = min(free, int(min(headroom_kw / way.import_kw + 1e-9, 1e9)))
        if self._counted(job.tenant, pool):
            free = min(free, int(self._quota_count(job.tenant)[self.problem.cell_slot[cell]]))
        return max(0, free)

    def take(self, job: Job, way: int, start_us: int, end_us: int, accelerators: int) -> Piece:
        """Place a piece. Cells that it touches are taken whole; power by the time it really runs."""
        problem, pool = self.problem, job.ways[way].pool
        first, last = problem.cells_touched(start_us, end_us)
        self.any[pool, first:last] -= accelerators
        if job.firm:
            self.firm[pool, first:last] -= accelerators
        piece = Piece(job.id, pool, way, start_us, end_us, accelerators)
        self._draw(Columns.of(problem, [piece]), 1)
        return piece

    def _draw(self, pieces: Columns, sign: int) -> None:
        """Count what pieces draw, in the running slot over what is left of it, and their parts of quotas."""
        problem = self.problem
        which, slot, share = slot_shares(problem, pieces)
        site = np.array([pool.site for pool in problem.pools], dtype=np.int64)[pieces.pool]
        drawn_kw = (sign * pieces.accelerators * pieces.import_kw)[which]
        used = (sign * pieces.accelerators)[which] * share
        at, firm = (site[which], slot), pieces.firm[which]
        np.add.at(self.placed_kw, at, drawn_kw * share)
        np.add.at(self.placed[0], (pieces.pool[which], slot), used)
        np.add.at(self.placed[1], (pieces.pool[which][firm], slot[firm]), used[firm])
        of_rest = np.minimum(1.0, share * problem.slot_us / self._rest_us[slot])
        np.subtract.at(self.headroom_kw, at, drawn_kw * of_rest)
        if problem.n_quotas:
            quota, pool = problem.quota_of[pieces.job][which], pieces.pool[which]
            counted = np.flatnonzero(quota >= 0)
            counted = counted[problem.quota_counts[quota[counted], pool[counted]]]
            np.add.at(self.of_quotas, (quota[counted], slot[counted]), used[counted])
            np.subtract.at(self.quota_left, (quota[counted], slot[counted]), used[counted])
