r"""Every job placed at the prices of the shared limits, so that together they follow the relaxed optimum.

At optimal prices each job's own cheapest answer is part of an optimum, but many answers tie, and all jobs taking the
same one would leave some of the dear capacity unused. So they answer in turns, and the price of each cell is nudged by
how far its use is behind or ahead of what the optimum has there:

    price[p, c] + NUDGE * typical price * (used[p, c] - done so far * target[p, c]) / target[p, c]

Ties, and only ties, then break towards what is still missing. Every turn keeps the limits: in a cell that too many ask
for, those with the least room to move come first, and the others ask again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.answer import Uses, cheapest, segments
from shifter.schedule.borrow import Quotas, in_turn
from shifter.schedule.classes import option_sets
from shifter.schedule.clusters import ENDLESS_HOURS
from shifter.schedule.jobs import HOUR_US, Ints, Job, Way, WayColumns
from shifter.schedule.place import Prices
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity

NUDGE = 0.02
"""Of a typical price, where a cell is behind by all that the optimum has there. Above some thousandths, gaps of 10,000
jobs differed by less than a tenth from 0.005 to 0.1."""

TURNS = 400
"""In which many jobs ask."""

MOST_AT_ONCE = 640
"""Jobs that ask in one turn, which makes more turns of very many: of a million, 2,500 at once came 1.0 % above the
bound, and 625 came 0.5 %."""

ROUNDS = 8
"""How often those that did not get what they asked for ask again within a turn."""

TIGHT_RATIO = 0.5
"""Jobs that need more than this share of their window at full width go before the others."""

SHORT_RATIO = 0.1
"""And so does this share of all jobs, those with the shortest windows."""

MOVES = 5
"""How often others are moved for what found no room."""

BLOCK = 20_000
"""Uses looked at in one go, of those that could make room: the first ones are mostly enough."""

LEAST = 1e-9
"""Accelerators or kW below which nothing is free [mean of a cell]."""


PriceOf = Callable[[Way, bool, int], Floats]
"""What one accelerator costs in each cell (n_cells,), in a way, for work that is firm or not, of a tenant."""


@dataclass(frozen=True, eq=False)
class Target:
    """What to follow: prices, mean accelerators of all work in each cell, (n_pools, n_cells), and of what each quota
    counts in each slot, (n_quotas, n_slots)."""

    prices: Prices
    used: Floats
    of_quotas: Floats


@dataclass(eq=False)
class Room:
    """What is still free: mean accelerators of each cell (n_pools, n_cells), import (n_sites, n_slots) [kW], and mean
    accelerators of each quota (n_quotas, n_slots)."""

    any: Floats
    firm: Floats
    import_kw: Floats
    quota: Floats

    @classmethod
    def of(cls, free: Capacity, import_kw: Floats, quota: Floats) -> Room:
        """What of this is free to begin with; endless import as far more than anything draws."""
        kw = np.clip(import_kw, 0.0, 1e12)
        return cls(free.any.astype(float), free.firm.astype(float), kw, np.maximum(0.0, quota))


def follow(problem: ScheduleProblem, jobs: Sequence[Job], target: Target, room: Room) -> Uses:
    """Where each of these plain jobs runs; `room` is written to. What does not fit is left out."""
    hours = np.array([job.hours for job in jobs])
    asking = _Asking(problem, jobs, hours, room)
    asking.quotas.close(target.of_quotas)
    per_kw = target.prices.per_kw[asking.site_of]
    import_kw = np.array([pool.import_kw for pool in problem.pools])
    share = problem.cell_share
    typical = float(np.median(import_kw[:, None] * per_kw + target.prices.any / share)) * share
    scale = np.maximum(target.used, 0.1 * np.maximum(1.0, room.any))
    total, asked = max(float(hours.sum()), LEAST), 0.0
    for turn in _mixed_turns(asking.tight, np.array([job.end_us - job.start_us for job in jobs])):
        of_turn = float(hours[turn].sum())
        due = (asked + 0.5 * of_turn) / total
        nudge = NUDGE * typical * (asking.used - due * target.used) / scale
        quota = asking.quotas.nudged(target.prices.quota, target.of_quotas, NUDGE * typical, turn)
        prices = replace(target.prices, any=target.prices.any + nudge, quota=quota)
        asking.turn(turn, partial(_price, prices, asking.site_of))
        asked += of_turn
    opened = asking.quotas.opened(target.prices.quota, target.of_quotas)
    asking.make_room(partial(_price, replace(target.prices, quota=opened), asking.site_of))
    return asking.uses()


def _price(prices: Prices, site_of: Ints, way: Way, firm: bool, tenant: int) -> Floats:
    return prices.of_way(way, int(site_of[way.pool]), firm, tenant)


def kw_share(problem: ScheduleProblem) -> Floats:
    """The share of its slot that power in a cell counts for, (n_cells,): of the running slot, of what is left of it."""
    gone = (problem.now_us % problem.slot_us) / problem.slot_us
    running = problem.cell_slot == problem.now_us // problem.slot_us
    share: Floats = problem.cell_share * np.where(running, 1.0 / (1.0 - gone), 1.0)
    return share


def _mixed_turns(tight: Floats, window_us: Ints) -> Iterator[Ints]:
    """Jobs that have little room to move first; then all others, in turns that are each a mix of all."""
    if not len(tight):
        return
    order = np.argsort(-tight, kind="stable")
    size = min(max(1, -(-len(order) // TURNS)), MOST_AT_ONCE)
    bound = (tight > TIGHT_RATIO) | (window_us <= np.quantile(window_us, SHORT_RATIO))
    first, others = order[bound[order]], order[~bound[order]]
    for at in range(0, len(first), size):
        yield first[at : at + size]
    turns = -(-len(others) // size)
    for k in range(turns):
        yield others[k::turns]


class _Asking:
    """Jobs that ask for room in turns: what each still has to do, and what is free."""

    def __init__(self, problem: ScheduleProblem, jobs: Sequence[Job], hours: Floats, room: Room) -> None:
        self.problem, self.room = problem, room
        self.width = np.array([job.max_accelerators for job in jobs], dtype=float)
        self.needed = hours / self.width
        self.left = self.needed.copy()
        edges = problem.edges_us
        start, end = (
            np.array([getattr(job, f) for job in jobs], dtype=np.int64) for f in ("start_us", "end_us")
        )
        self.first = np.searchsorted(edges, start, side="left")
        self.last = np.searchsorted(edges, end, side="right") - 1
        # What would take ages is as tight as can be: the product must stay finite.
        least_us = np.minimum(self.left, ENDLESS_HOURS) * HOUR_US
        self.tight = least_us / np.maximum(1, end - start)
        ways = np.array(option_sets(jobs), dtype=np.int64)
        self.kind = ways * 2 + np.array([job.firm for job in jobs], dtype=np.int64)
        self.quotas = Quotas(problem, jobs, hours, room.quota)
        self.kind += (self.quotas.of + 1) * (2 * int(ways.max(initial=0)) + 2)
        kinds, first = np.unique(self.kind, return_index=True)
        self.like = {int(k): jobs[int(i)] for k, i in zip(kinds, first, strict=True)}
        columns = WayColumns.of([job.ways for job in jobs], np.empty(0, dtype=bool))
        self.way_of, self.pool_of = columns.first, columns.pool
        self.used = np.zeros_like(room.any)
        self.found: list[Uses] = []
        self.site_of = np.array([pool.site for pool in problem.pools])
        self.kw_share = kw_share(problem)

    def uses(self) -> Uses:
        """All that was given so far."""
        return Uses.together(self.found)

    def turn(self, jobs: Ints, price_of: PriceOf) -> None:
        """Let these jobs ask."""
        for kind in np.unique(self.kind[jobs]):
            one = self.like[int(kind)]
            if one.ways:
                prices = [price_of(way, one.firm, one.tenant) for way in one.ways]
                self._place(jobs[self.kind[jobs] == kind], one, prices)

    def make_room(self, price_of: PriceOf) -> None:
        """Move others for jobs that found too little room in their windows: those with the longest windows."""
        for _ in range(MOVES):
            short = np.flatnonzero(self.left > 1e-6 * self.needed)
            if not len(short):
                return
            uses = self.uses()
            in_the_way = self._in_the_way(short, uses)
            anew = in_the_way.copy()
            anew[short] = True  # what they hold already would not know of what they get
            self._give_back(uses, anew)
            for jobs in (short, np.flatnonzero(in_the_way)):
                self.turn(jobs[np.argsort(-self.tight[jobs], kind="stable")], price_of)

    def _in_the_way(self, short: Ints, uses: Uses) -> NDArray[np.bool_]:
        """Jobs that hold twice what each of these lacks, where it could run, (n_jobs,)."""
        moved = np.zeros(len(self.left), dtype=bool)
        choice = (self.last - self.first)[uses.job]
        can_move = (self.tight <= TIGHT_RATIO)[uses.job] & (self.left <= 1e-6 * self.needed)[uses.job]
        rows = np.flatnonzero(can_move)
        held = uses.where(rows[np.argsort(-choice[rows], kind="stable")])
        pool = self.pool_of[self.way_of[held.job] + held.way]
        hours = held.share * self.width[held.job] * self.problem.cell_hours[held.cell]
        for job in short:
            wanted, found = 2.0 * self.left[job] * self.width[job], 0.0
            own = np.zeros(len(self.problem.pools), dtype=bool)
            own[[way.pool for way in self.like[int(self.kind[job])].ways]] = True
            for at in range(0, len(held.job), BLOCK):
                part = slice(at, at + BLOCK)
                cell = held.cell[part]
                here = (cell >= self.first[job]) & (cell < self.last[job]) & own[pool[part]]
                sums = np.cumsum(np.append(found, hours[part][here]))[1:]
                enough = int(np.searchsorted(sums, wanted)) + 1
                moved[held.job[part][here][:enough]] = True
                if enough <= len(sums):
                    break
                found = float(sums[-1]) if len(sums) else found
        return moved

    def _give_back(self, uses: Uses, moved: NDArray[np.bool_]) -> None:
        """Take these jobs' uses back, as if they had not asked yet."""
        gone = moved[uses.job]
        for kind in np.unique(self.kind[moved]):
            chosen = gone & (self.kind[uses.job] == kind)
            self._hold(uses.where(chosen), self.like[int(kind)], -1.0)
        self.left[moved] = self.needed[moved]
        self.found = [uses.where(~gone)]

    def _place(self, jobs: Ints, one: Job, price: Sequence[Floats]) -> None:
        """Place jobs that are all like this one."""
        problem, room, ways = self.problem, self.room, one.ways
        speeds = np.array([way.speed for way in ways])
        taken = np.zeros((len(jobs), problem.n_cells), dtype=bool)
        waiting = np.arange(len(jobs))
        for _ in range(ROUNDS):
            powered = room.import_kw[self.site_of][:, problem.cell_slot] > LEAST
            free = np.minimum(room.any, room.firm) if one.firm else room.any
            shut = (free <= LEAST) | ~powered | self.quotas.shut(one)
            open_prices = [np.where(shut[way.pool], np.inf, p) for way, p in zip(ways, price, strict=True)]
            seen = segments(ways, open_prices, problem.cell_hours)
            ids = jobs[waiting]
            window = (self.first[ids], self.last[ids])
            asked = cheapest(seen, speeds, problem.cell_hours, self.left[ids], window, taken[waiting])
            if not len(asked.job):
                return
            taken[waiting[asked.job], asked.cell] = True
            asked = replace(asked, job=ids[asked.job])
            given = self._admit(asked, one, free)
            some = given > LEAST
            self._take(Uses(asked.job[some], asked.way[some], asked.cell[some], given[some]), one)
            waiting = waiting[self.left[ids] > 1e-9 * self.needed[ids]]
            if not len(waiting):
                return

    def _admit(self, asked: Uses, one: Job, free: Floats) -> Floats:
        """The share of its cell that each may have, first come first served, by accelerators, power and quota."""
        problem = self.problem
        pool, import_kw = _of_way(one.ways, asked)
        amount = asked.share * self.width[asked.job]
        given = in_turn(pool * problem.n_cells + asked.cell, amount, free.ravel())
        drawn = given * import_kw * self.kw_share[asked.cell]
        place = self.site_of[pool] * problem.grid.n_slots + problem.cell_slot[asked.cell]
        allowed = in_turn(place, drawn, self.room.import_kw.ravel())
        ratio = np.divide(allowed, drawn, out=np.ones_like(drawn), where=drawn > 0)
        kept: Floats = self.quotas.admit(one, pool, asked.cell, given * ratio) / self.width[asked.job]
        return kept

    def _take(self, uses: Uses, one: Job) -> None:
        self._hold(uses, one, 1.0)
        speeds = np.array([way.speed for way in one.ways])
        np.subtract.at(
            self.left, uses.job, uses.share * speeds[uses.way] * self.problem.cell_hours[uses.cell]
        )
        self.found.append(uses)

    def _hold(self, uses: Uses, one: Job, sign: float) -> None:
        problem, room = self.problem, self.room
        pool, import_kw = _of_way(one.ways, uses)
        amount = sign * uses.share * self.width[uses.job]
        self.quotas.hold(one, pool, uses.cell, amount)
        for held in (room.any, room.firm) if one.firm else (room.any,):
            np.subtract.at(held, (pool, uses.cell), amount)
        np.add.at(self.used, (pool, uses.cell), amount)
        drawn = amount * import_kw * self.kw_share[uses.cell]
        np.subtract.at(room.import_kw, (self.site_of[pool], problem.cell_slot[uses.cell]), drawn)


def _of_way(ways: Sequence[Way], uses: Uses) -> tuple[Ints, Floats]:
    """Pool and power of each use."""
    pools = np.array([way.pool for way in ways], dtype=np.int64)
    return pools[uses.way], np.array([way.import_kw for way in ways])[uses.way]
