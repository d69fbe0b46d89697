r"""Every job placed at the prices of the shared limits, so that together they follow the relaxed optimum.

At optimal prices each job's own cheapest answer is part of an optimum, but many answers tie, and all jobs taking the
same one would leave some of the dear capacity unused. So they answer in turns, and the price of each cell is nudged by
how far its use is behind or ahead of what the optimum has there:

    price[p, c] + NUDGE * typical price * (used[p, c] - done so far * target[p, c]) / target[p, c]

Ties, and only ties, then break towards what is still missing. Every turn keeps the limits: in a cell that too many ask
for, those with the least room to move come first, and the others ask again elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.answer import Uses, cheapest, segments
from shifter.schedule.classes import option_sets
from shifter.schedule.place import Prices
from shifter.schedule.problem import HOUR_US, Ints, Job, ScheduleProblem

NUDGE = 0.02
TURNS = 400
ROUNDS = 8
TIGHT = .7
LEAST = 1e-9
"""Accelerators below which nothing is free [mean of a cell]."""


@dataclass(frozen=True, eq=False)
class Target:
    """What to follow: prices, and mean accelerators of all work in each cell, (n_pools, n_cells)."""

    prices: Prices
    used: Floats


@dataclass(eq=False)
class Room:
    """What is still free: mean accelerators of each cell (n_pools, n_cells), and import (n_sites, n_slots) [kW]."""

    any: Floats
    firm: Floats
    import_kw: Floats


def follow(problem: ScheduleProblem, jobs: Sequence[Job], target: Target, room: Room) -> Uses:
    """Where each of these plain jobs runs; `room` is written to. What does not fit is left out."""
    return _Turns(problem, jobs, target, room).run()


class _Turns:
    def __init__(self, problem: ScheduleProblem, jobs: Sequence[Job], target: Target, room: Room) -> None:
        self.problem, self.target, self.room = problem, target, room
        self.width = np.array([job.max_accelerators for job in jobs], dtype=float)
        self.hours = np.array([job.hours for job in jobs])
        self.left = self.hours / self.width
        edges = problem.edges_us
        self.first = np.searchsorted(edges, [job.start_us for job in jobs], side="left")
        self.last = np.searchsorted(edges, [job.end_us for job in jobs], side="right") - 1
        window_us = np.array([max(1, job.end_us - job.start_us) for job in jobs])
        self.tight = self.left * HOUR_US / window_us
        ways = np.array(option_sets(jobs), dtype=np.int64)
        firm = np.array([job.firm for job in jobs], dtype=bool)
        self.kind = ways * 2 + firm
        self.ways = {int(k): jobs[int(i)].ways for k, i in zip(*np.unique(self.kind, return_index=True), strict=True)}
        self.used = np.zeros_like(room.any)
        self.done_hours = 0.0
        self.found: list[Uses] = []
        self.site_of = np.array([pool.site for pool in problem.pools])
        share = problem.cell_share
        per_kw = target.prices.per_kw[self.site_of]
        import_kw = np.array([pool.import_kw for pool in problem.pools])
        self.typical = float(np.median(import_kw[:, None] * per_kw + target.prices.any / share)) * share
        self.kw_share = share * self._running_slot()

    def _running_slot(self) -> Floats:
        """Power in the running slot is counted over what is left of it, (n_cells,)."""
        problem = self.problem
        gone = (problem.now_us % problem.slot_us) / problem.slot_us
        running = problem.cell_slot == problem.now_us // problem.slot_us
        return np.where(running, 1.0 / (1.0 - gone), 1.0)

    def run(self) -> Uses:
        for jobs in self._turns():
            self._turn(jobs)
        if not self.found:
            return Uses(*(np.empty(0, np.int64),) * 3, np.empty(0))
        return Uses(*(np.concatenate([getattr(u, f) for u in self.found]) for f in ("job", "way", "cell", "share")))

    def _turns(self) -> Iterator[Ints]:
        """Jobs that have little room to move first; then all others, in turns that are each a mix of all."""
        order = np.argsort(-self.tight, kind="stable")
        size = max(1, -(-len(order) // TURNS))
        n_tight = int(np.count_nonzero(self.tight > TIGHT))
        for at in range(0, n_tight, size):
            yield order[at : min(at + size, n_tight)]
        others = order[n_tight:]
        turns = -(-len(others) // size)
        for k in range(turns):
            yield others[k::turns]

    def _turn(self, jobs: Ints) -> None:
        hours = float(self.hours[jobs].sum())
        due = (self.done_hours + 0.5 * hours) / float(self.hours.sum())
        self.done_hours += hours
        scale = np.maximum(self.target.used, 0.1 * np.maximum(1.0, self.room.any + self.used))
        nudge = NUDGE * self.typical * (self.used - due * self.target.used) / scale
        prices = replace(self.target.prices, any=self.target.prices.any + nudge)
        for kind in np.unique(self.kind[jobs]):
            self._place(jobs[self.kind[jobs] == kind], int(kind), prices)

    def _place(self, jobs: Ints, kind: int, prices: Prices) -> None:
        ways, firm = self.ways[kind], bool(kind % 2)
        if not ways:
            return
        problem, room = self.problem, self.room
        price = [prices.of_way(way, self.site_of[way.pool], firm) for way in ways]
        speeds = np.array([way.speed for way in ways])
        pools = np.array([way.pool for way in ways])
        import_kw = np.array([way.import_kw for way in ways])
        taken = np.zeros((len(jobs), problem.n_cells), dtype=bool)
        waiting = np.arange(len(jobs))
        for _ in range(ROUNDS):
            by_power = room.import_kw[self.site_of][:, problem.cell_slot] > 1e-9
            free = np.minimum(room.any, room.firm) if firm else room.any
            shut = (free <= LEAST) | ~by_power
            open_prices = [np.where(shut[way.pool], np.inf, p) for way, p in zip(ways, price, strict=True)]
            seen = segments(ways, open_prices, problem.cell_hours)
            ids = jobs[waiting]
            asked = cheapest(
                seen, speeds, problem.cell_hours, self.left[ids], (self.first[ids], self.last[ids]), taken[waiting]
            )
            if not len(asked.job):
                return
            taken[waiting[asked.job], asked.cell] = True
            given = self._admit(asked, self.width[ids], pools, import_kw, free)
            keep = given > 0
            uses = Uses(ids[asked.job[keep]], asked.way[keep], asked.cell[keep], given[keep])
            self.found.append(uses)
            work = uses.share * speeds[uses.way] * problem.cell_hours[uses.cell]
            np.subtract.at(self.left, uses.job, work)
            self._take(uses, pools, import_kw, firm)
            waiting = waiting[self.left[ids] > 1e-9 * self.hours[ids] / self.width[ids]]
            if not len(waiting):
                return

    def _admit(self, asked: Uses, width: Floats, pools: Ints, import_kw: Floats, free: Floats) -> Floats:
        """The share of its cell that each may have, first come first served, by accelerators and by power."""
        problem = self.problem
        amount = asked.share * width[asked.job]
        pool = pools[asked.way]
        place = pool * problem.n_cells + asked.cell
        given = _in_turn(place, amount, free.ravel())
        drawn = given * import_kw[asked.way] * self.kw_share[asked.cell]
        grid = self.site_of[pool] * problem.grid.n_slots + problem.cell_slot[asked.cell]
        allowed = _in_turn(grid, drawn, self.room.import_kw.ravel())
        ratio = np.divide(allowed, drawn, out=np.ones_like(drawn), where=drawn > 0)
        kept: Floats = given * ratio / width[asked.job]
        return np.where(kept > 1e-9, kept, 0.0)

    def _take(self, uses: Uses, pools: Ints, import_kw: Floats, firm: bool) -> None:
        problem, room = self.problem, self.room
        amount = uses.share * self.width[uses.job]
        pool = pools[uses.way]
        for held in (room.any, room.firm) if firm else (room.any,):
            np.subtract.at(held, (pool, uses.cell), amount)
        np.add.at(self.used, (pool, uses.cell), amount)
        drawn = amount * import_kw[uses.way] * self.kw_share[uses.cell]
        np.subtract.at(room.import_kw, (self.site_of[pool], problem.cell_slot[uses.cell]), drawn)


def _in_turn(place: Ints, amount: Floats, free: Floats) -> Floats:
    """What each gets of `amount` where `free[place]` is handed out in the order given."""
    order = np.argsort(place, kind="stable")
    ordered, wanted = place[order], amount[order]
    total = np.cumsum(wanted)
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    start = np.repeat((total - wanted)[first], np.diff(np.append(first, len(ordered))))
    given = np.empty_like(amount)
    given[order] = np.clip(free[ordered] - (total - wanted - start), 0.0, wanted)
    return given
