"""Failover: what a lost site, or all sites of a lost zone, ran in real time is held by others, chosen with all work.

For each loss s and kind of accelerator a that is lost with it, pools p that are left, slots t:

    failover_load[s,a,t]:   sum over p of rate[a,p] * taken[s,a,p,t] + missing[s,a,t]  >=  lost[s,a,t]
    failover_held[s,p,t]:   sum over a of taken[s,a,p,t]                               <=  held[p,t]
    failover_room[p,c]:     firm work in (p,c) + held[p,t(c)]                          <=  count - q
    failover_kw[s,i,t]:     sum over pools p of site i, a of kw[p] * taken[s,a,p,t]    <=  held_kw[i,t]
    held_kw[i,t]                                                                       <=  limit - draw at q
    failover_power[i,t]:    draw of firm work in (i,t) + held_kw[i,t]                  <=  limit - draw at q + own[i,t]

One loss happens at a time, so pools hold the most of what any one takes. Preemptible work may stand in what is held,
and stops when it is needed: it is shed, and so is what charges a battery. What is held never counts on what the site's
own battery or plant gives (`own`, at the most); work may. At a site whose mode is strict, all work counts as firm. What
cannot be held is `missing`, at a price above all work. A held accelerator has a price next to nothing, so that no more
are held than it takes.

The rows are linear in work and in what is held: one convex program places both. It is solved before the schedule's
own; what it holds is then part of the reserve (`schedule.failover`), so that nothing else need know of it. The dual of
`failover_load` is what one accelerator less to be held there would save [currency].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Index, LinearProgram, TermInputs

MISSING_RATIO = 10.0
"""Against what all the work would cost that an accelerator, held where it carries least, stands in the way of."""

HELD_RATIO = 1e-4
"""Of what energy costs that an accelerator draws in a slot: the price of holding it."""

LEAST_LIMIT_KW = 1e8
"""A limit above this is none."""


@dataclass(frozen=True, eq=False)
class LostLoad:
    """One kind of accelerator that a loss takes away: `load` (n_slots,), and what pools carry of it, by their index."""

    loss: int
    load: Floats
    rates: dict[int, float]


@dataclass(frozen=True, eq=False)
class FailoverTerm:
    """The variables `taken`, `missing`, `held` and `held_kw`, and the rows above, where pools of `lost` take over.

    `room` (n_pools, n_slots) are accelerators that real-time load and pinned work leave, `headroom_kw` (n_sites,
    n_slots) what they leave of the power limit, `own_kw` (n_sites, n_slots) the most that a site could give itself;
    `strict` (n_pools,) whether all work counts as firm.
    """

    lost: Sequence[LostLoad]
    room: Floats
    headroom_kw: Floats
    own_kw: Floats
    strict: NDArray[np.bool_]
    name = "failover"

    @property
    def pools(self) -> list[int]:
        """Those that take over of any loss."""
        return sorted({p for one in self.lost for p in one.rates})

    def held_prices(self, problem: ScheduleProblem) -> Floats:
        """What it costs the program to hold an accelerator of each of `pools` for a slot [currency]."""
        typical = float(np.mean([np.abs(site.unit_cost_per_kwh).mean() for site in problem.sites]))
        kw = np.array([problem.pools[p].import_kw for p in self.pools])
        return HELD_RATIO * problem.grid.slot_hours * (typical * kw + 1e-6)

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Hold what every loss takes."""
        problem, n, pools = given.problem, given.problem.grid.n_slots, self.pools
        price = np.repeat(self.held_prices(problem), n)
        held = program.variables("held", len(price), cost=price).reshape(-1, n)
        limited = self._limited(problem)
        most_kw = self.headroom_kw[np.array(limited, dtype=np.int64)].ravel()
        held_kw = program.variables("held_kw", len(most_kw), upper=most_kw).reshape(-1, n)
        taken = self._taken(program, given)

        slots, kw = np.arange(n), np.array([pool.import_kw for pool in problem.pools])
        n_losses = len({one.loss for one in self.lost})
        by_pool = program.at_most("failover_held", np.zeros(n_losses * len(pools) * n))
        by_site = program.at_most("failover_kw", np.zeros(n_losses * len(limited) * n))
        for loss in range(n_losses):
            for k in range(len(pools)):
                by_pool.add(slots + (loss * len(pools) + k) * n, held[k], -1.0)
            for k in range(len(limited)):
                by_site.add(slots + (loss * len(limited) + k) * n, held_kw[k], -1.0)
        for (k, p), columns in taken.items():
            loss, site = self.lost[k].loss, problem.pools[p].site
            by_pool.add(slots + (loss * len(pools) + pools.index(p)) * n, columns, 1.0)
            if site in limited:
                by_site.add(slots + (loss * len(limited) + limited.index(site)) * n, columns, kw[p])
        self._beside_work(program, given, held, held_kw)

    def _limited(self, problem: ScheduleProblem) -> list[int]:
        """Sites that take over and have a power limit."""
        sites = dict.fromkeys(problem.pools[p].site for p in self.pools)
        return [i for i in sites if self.headroom_kw[i].min() < LEAST_LIMIT_KW]

    def _taken(self, program: LinearProgram, given: TermInputs) -> dict[tuple[int, int], Index]:
        """What each pool takes over of each lost load, (n_slots,) columns each, by its position and the pool."""
        n, found = given.problem.grid.n_slots, {}
        rows = program.at_most(
            "failover_load", -np.concatenate([np.empty(0), *(one.load for one in self.lost)])
        )
        least = min([1.0, *(rate for one in self.lost for rate in one.rates.values())])
        worth = given.problem.physical_price * given.problem.grid.slot_hours / least
        for k, one in enumerate(self.lost):
            missing = program.relief(f"missing.{k}", n, price=MISSING_RATIO * worth, most=0.0)
            here = np.arange(n) + k * n
            rows.add(here, missing, -1.0)
            for p, rate in one.rates.items():
                found[k, p] = program.variables(f"taken.{k}.{p}", n)
                rows.add(here, found[k, p], -rate)
        return found

    def _beside_work(self, program: LinearProgram, given: TermInputs, held: Index, held_kw: Index) -> None:
        """What is held, and work that stays beside it."""
        problem, work = given.problem, given.work
        n, cells, pools, limited = problem.grid.n_slots, problem.n_cells, self.pools, self._limited(problem)
        stays = (
            given.firm[work.work_class] | self.strict[work.pool] if len(work.column) else np.empty(0, bool)
        )
        room = program.at_most("failover_room", self.room[pools][:, problem.cell_slot].ravel())
        for k, p in enumerate(pools):
            room.add(np.arange(cells) + k * cells, held[k, problem.cell_slot], 1.0)
            own = stays & (work.pool == p)
            room.add(work.cell[own] + k * cells, work.column[own], 1.0)
        power = program.at_most(
            "failover_power", np.minimum((self.headroom_kw + self.own_kw)[limited].ravel(), 1e9)
        )
        for k, i in enumerate(limited):
            power.add(np.arange(n) + k * n, held_kw[k], 1.0)
            own = stays & np.isin(work.pool, problem.sites[i].pools)
            slot, share = problem.cell_slot[work.cell[own]], problem.cell_share[work.cell[own]]
            rest = np.maximum(problem.rest_share[slot], 1e-6)
            power.add(slot + k * n, work.column[own], work.import_kw[own] * share / rest)
