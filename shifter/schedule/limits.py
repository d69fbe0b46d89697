r"""What keeps work from being done in time, and what one more of it would do, from the program's prices.

The program leaves an hour of work of tenant i undone at a price `P`, far above what doing it could cost: the price of
lateness, and what fairness charges for the tenant's next hour. So where work is late, the price (dual) of a limit is,
but for that cost, `P` times the hours of late work that one more unit of it would do:

    accelerators of a pool or a quota,
    kW of a site:                          sum over the slots of the window of its price / P
    a budget, a ramp limit:                its price / P
    one hour more before the deadline:     sum over the slots of that hour of most[t] * worth[t]
    one accelerator more at a time:        sum over the slots of the window of worth[t], where there is one

    worth[t] = max over ways v of  h * speed[v] - price[v,t] / P

`price[v,t]` is what an accelerator in a way pays for limits in a slot, beyond its energy: power, the peak, the quota
and the room that it takes. Where little is left of `worth`, other late work pays for the slot, which then counts as
nothing. `most[t]` is what the job could hold there if it were alone: at most its width. The last two are what the job
itself would gain, and never more than what it lacks. All hold for the first unit or so: as far as the same limits stay
in the way (the linear range). The others count hours less what doing them costs, which is at most a tenth. Work that
the program does in time, and only its shape keeps out, has none: no price says what would help.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecasts.slots import Floats
from shifter.domain.rows import LateLimit
from shifter.schedule.bound import SlotPrices, per_kw, way_price
from shifter.schedule.jobs import HOUR_US, Job, Way
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.tenants import NOBODY

LEAST_HOURS = 0.01
"""What would do less than this is not told [accelerator-hours]."""

MOST_OF_A_KIND = 2
"""Limits of one kind that are told: those that would do most."""

FREE_RATIO = 0.15
"""A slot is free to late work where this share of its price is left: above what energy, a tenth at most, leaves."""


@dataclass(frozen=True, eq=False)
class LatePrices:
    """What the program that made a plan pays for its limits, lateness and all. `problem` is at risk-adjusted prices."""

    problem: ScheduleProblem
    prices: SlotPrices
    late_hours: float = np.inf
    """Work that is late in all: no limit does more."""
    broken: Container[str] = ()
    """Budgets that real-time load alone exceeds: one more of those is for that, and not for work."""

    def limits(self, job: Job, left_hours: float) -> tuple[LateLimit, ...]:
        """The limits that keep `left_hours` of a job from being done; what would do most first.

        None where one more of anything would not reach it: of whatever real-time load alone exceeds, the next ones are
        for that load.
        """
        if not job.ways or self._could_do(job) >= job.hours * (1 - 1e-6) or self._out_of_reach(job):
            return ()
        every = (*self._shared(job), *self._own(job, left_hours))
        found = [limit for limit in every if limit.saves_accelerator_hours > LEAST_HOURS]
        found.sort(key=lambda limit: -limit.saves_accelerator_hours)
        kinds = [limit.kind for limit in found]
        return tuple(one for i, one in enumerate(found) if kinds[:i].count(one.kind) < MOST_OF_A_KIND)

    def _shared(self, job: Job) -> Iterator[LateLimit]:
        """Limits that others stand in, too."""
        problem, price = self.problem, self._late_price(job)
        inside = self._slots(job.true_start_us, job.true_end_us) > 0

        def hours(prices: Floats) -> float:
            return float(prices.sum()) / price

        def limit(
            kind: str,
            more: float,
            what: str,
            site: str | None,
            pool: str | None = None,
            name: str | None = None,
        ) -> LateLimit:
            more = min(self.late_hours, more)
            told = f"One more {what} would do {_figure(more)} accelerator-hours more of what is late."
            return LateLimit(kind, site, pool, name, more, told)

        pools = sorted({way.pool for way in job.ways})
        sites = sorted({problem.pools[p].site for p in pools})
        for p in pools:
            site, pool = problem.pools[p].key
            room, firm = (hours(of[p, inside]) for of in (self.prices.capacity, self.prices.reserve))
            kind = "reserve" if firm > room else "capacity"
            margin = " outside the redundancy margin" if kind == "reserve" else ""
            yield limit(kind, room + firm, f"accelerator of {site}/{pool}{margin} in its window", site, pool)
        for i in sites:
            name = problem.sites[i].name
            fed = inside & problem.sites[i].keeps_limit
            yield limit("power", hours(self.prices.power[i, fed]), f"kW at {name} in its window", name)
            if self.prices.ramp is not None:
                what = f"kW from slot to slot in the ramp limit of {name}"
                yield limit("ramp", hours(self.prices.ramp[i]), what, name)
        if self.prices.budget is not None:
            for budget, one in zip(problem.budgets, self.prices.budget, strict=True):
                if budget.name in self.broken:
                    continue
                yield limit("budget", hours(one), f"{budget.unit} in {budget.name}", None, name=budget.name)
        if self.prices.quota is not None and 0 <= job.tenant < problem.n_quotas:
            tenant = problem.tenants[job.tenant].name
            what = f"accelerator in the quota of tenant {tenant} in its window"
            yield limit("quota", hours(self.prices.quota[job.tenant, inside]), what, None, name=tenant)

    def _own(self, job: Job, left_hours: float) -> Iterator[LateLimit]:
        """Limits of the job itself."""
        end = max(job.true_start_us, job.true_end_us)
        worth, room = self._of_ways(job)[0], self._room_for(job)
        inside, after = self._slots(job.true_start_us, job.true_end_us), self._slots(end, end + HOUR_US)
        one_more = np.clip(room - job.max_accelerators, 0.0, 1.0)
        for kind, hours, what in (
            # Of a deadline that is past, nobody knows here by how much.
            (
                "deadline",
                (worth * self._most(job)) @ after if end > self.problem.now_us else 0.0,
                "A deadline one hour later",
            ),
            ("max_accelerators", (worth * one_more) @ inside, "One more accelerator at a time"),
        ):
            more = min(left_hours, float(hours))
            told = f"{what} would do {_figure(more)} accelerator-hours more of it."
            yield LateLimit(kind, None, None, None, more, told)

    def _out_of_reach(self, job: Job) -> bool:
        """Whether a broken budget counts what every site draws that may run it."""
        sites = {self.problem.pools[way.pool].site for way in job.ways}
        return any(
            budget.name in self.broken and all((budget.bought[i] > 0).all() for i in sites)
            for budget in self.problem.budgets
        )

    def _late_price(self, job: Job) -> float:
        """What an hour of a job costs that is not done [currency]."""
        more = 0.0 if self.prices.late is None or job.tenant < 0 else float(self.prices.late[job.tenant])
        return self.problem.lateness_price_per_hour + more

    @cached_property
    def _per_kw(self) -> Floats:
        """What a kW of work pays beyond its energy and carbon, (n_sites, n_slots) [currency]."""
        energy = [self.problem.grid.slot_hours * site.unit_cost_per_kwh for site in self.problem.sites]
        beyond: Floats = per_kw(self.problem, self.prices) - np.array(energy)
        if self.prices.work is None or self.prices.budget is None:
            return beyond
        # Where a site draws nothing, no price of a kW is its own: the next one pays for its budgets at the least.
        asked = sum(
            (
                price * budget.bought
                for price, budget in zip(self.prices.budget, self.problem.budgets, strict=True)
            ),
            self.prices.power + self.prices.peak,
        )
        bare = np.array([[site.generation_kw is None] for site in self.problem.sites])
        return np.where(bare, np.maximum(beyond, asked), beyond)

    @cached_property
    def _known(self) -> dict[tuple[tuple[Way, ...], bool, int], tuple[Floats, Floats]]:
        return {}

    def _of_ways(self, job: Job) -> tuple[Floats, Floats]:
        """`worth` of its best way in each slot, and the work that this way does in it, (n_slots,) each [h]."""
        key = job.ways, job.firm, job.tenant
        if key not in self._known:
            problem, hours, late = self.problem, self.problem.grid.slot_hours, self._late_price(job)
            quota = job.tenant if job.tenant < problem.n_quotas else NOBODY
            price = [
                way_price(problem, self._per_kw, self.prices, way, firm=job.firm, quota=quota)
                for way in job.ways
            ]
            speed = np.array([way.speed for way in job.ways])
            gain = hours * speed[:, None] - np.array(price) / late
            best, most = gain.argmax(axis=0), gain.max(axis=0)
            self._known[key] = np.where(most > FREE_RATIO * hours, most, 0.0), hours * speed[best]
        return self._known[key]

    def _could_do(self, job: Job) -> float:
        """Work that it could do in its window, at its width, in slots that are free to it [h]."""
        worth, work = self._of_ways(job)
        inside = self._slots(job.true_start_us, job.true_end_us)
        return float((work * (worth > 0) * self._most(job)) @ inside)

    def _most(self, job: Job) -> Floats:
        """What it could hold in each slot, were it alone, (n_slots,)."""
        return np.minimum(job.max_accelerators, self._room_for(job))

    def _room_for(self, job: Job) -> Floats:
        """The same of a job as wide as can be: within capacity, power limits and a hard quota."""
        problem, free = self.problem, self._free[int(job.firm)]
        counted, other = np.zeros((2, problem.grid.n_slots))
        quota = problem.quota_counts[job.tenant] if 0 <= job.tenant < problem.n_quotas else None
        for p in {way.pool for way in job.ways}:
            site = problem.sites[problem.pools[p].site]
            least_kw = min(way.import_kw for way in job.ways if way.pool == p)
            room = free[p]
            if least_kw > 0:
                headroom_kw = np.maximum(0.0, site.limit_kw - site.quantile_kw + site.own_kw)
                room = np.minimum(room, headroom_kw / least_kw)
            if quota is not None and quota[p]:
                counted += room
            else:
                other += room
        held: Floats = counted if quota is None else np.minimum(counted, problem.tenants[job.tenant].most)
        return held + other

    @cached_property
    def _free(self) -> tuple[Floats, Floats]:
        """What is free of real-time load and of what is pinned, to all work and to firm work, (n_pools, n_slots)."""
        whole, problem = Capacity.of(self.problem), self.problem
        first = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
        every, firm = (
            np.add.reduceat(room * problem.cell_share, first, axis=1) for room in (whole.any, whole.firm)
        )
        return every, np.minimum(every, firm)

    def _slots(self, start_us: int, end_us: int) -> Floats:
        """The share of each slot that lies in a window, (n_slots,)."""
        edges = np.arange(self.problem.grid.n_slots) * self.problem.slot_us
        inside = np.minimum(edges + self.problem.slot_us, end_us) - np.maximum(edges, start_us)
        share: Floats = np.clip(inside, 0, None) / self.problem.slot_us
        return share


def _figure(hours: float) -> str:
    """Three digits, or all of a whole number that has more."""
    return f"{hours:.3g}" if hours < 1000 else f"{hours:,.0f}"


def in_the_way(limits: tuple[LateLimit, ...], import_kw: float) -> str | None:
    """The kind of shared limit that counts most for work that draws `import_kw` an accelerator; None: no such limit."""
    weight = {
        "capacity": 1.0,
        "reserve": 1.0,
        "quota": 1.0,
        **dict.fromkeys(("power", "ramp"), max(import_kw, 0.0)),
    }
    shared = [one for one in limits if one.kind in weight]
    return (
        max(shared, key=lambda one: one.saves_accelerator_hours * weight[one.kind]).kind if shared else None
    )
