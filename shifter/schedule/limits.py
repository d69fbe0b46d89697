r"""What keeps work from being done in time, and what one more of it would do, from the program's prices.

The program leaves work undone at a price `L` an hour, far above what doing it could cost. So where work is late, the
price (dual) of a limit is, but for that cost, `L` times the hours of late work that one more unit of it would do:

    accelerators of a pool, kW of a site:  sum over the slots of the window of its price / L
    a budget:                              its price / L
    one hour more before the deadline:     max[k] * sum over the slots of that hour of worth[t]
    one accelerator more at a time:        sum over the slots of the window of worth[t]

    worth[t] = max over ways v of  h * speed[v] - price[v,t] / L

`price[v,t]` is what an accelerator in a way pays for limits in a slot, beyond its energy: power, the peak, and the room
that it takes. Where little is left of `worth`, other late work pays for the slot, and it counts as nothing. The last
two are what the job itself would gain, and never more than what it lacks. All hold for the first unit or so: as far as
the same limits stay in the way (the linear range). The first two count hours less what doing them costs, which is at
most a tenth. Work that the program does in time, and only its shape keeps out, has none: no price says what would help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecasts.slots import Floats
from shifter.domain.plan import LateLimit
from shifter.schedule.bound import SlotPrices
from shifter.schedule.problem import HOUR_US, Job, ScheduleProblem, Way

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

    def limits(self, job: Job, left_hours: float) -> tuple[LateLimit, ...]:
        """The limits that keep `left_hours` of a job from being done; what would do most first."""
        if not job.ways or self._could_do(job) >= job.hours * (1 - 1e-6):
            return ()
        found = [
            limit for limit in self._every(job, left_hours) if limit.saves_accelerator_hours > LEAST_HOURS
        ]
        found.sort(key=lambda limit: -limit.saves_accelerator_hours)
        kinds = [limit.kind for limit in found]
        return tuple(one for i, one in enumerate(found) if kinds[:i].count(one.kind) < MOST_OF_A_KIND)

    def _every(self, job: Job, left_hours: float) -> Iterator[LateLimit]:
        problem, inside = self.problem, self._slots(job.true_start_us, job.true_end_us) > 0
        late = "would do {:.3g} accelerator-hours more of what is late."
        for p in sorted({way.pool for way in job.ways}):
            site, pool = problem.pools[p].key
            room, firm = (float(part[p, inside].sum()) for part in self._room)
            kind = "reserve" if firm > room else "capacity"
            margin = " outside the redundancy margin" if kind == "reserve" else ""
            told = f"One more accelerator of {site}/{pool}{margin} in its window {late.format(room + firm)}"
            yield LateLimit(kind, site, pool, None, room + firm, told)
        for i in sorted({problem.pools[way.pool].site for way in job.ways}):
            site, hours = problem.sites[i].name, float(self._power[i, inside].sum())
            yield LateLimit(
                "power", site, None, None, hours, f"One more kW at {site} in its window {late.format(hours)}"
            )
        for budget, price in zip(problem.budgets, self._budgets, strict=True):
            told = f"One more {budget.unit} in {budget.name} {late.format(price)}"
            yield LateLimit("budget", None, None, budget.name, price, told)
        worth = self._worth(job)
        end = max(job.true_start_us, job.true_end_us)
        later = job.max_accelerators * float((worth * self._slots(end, end + HOUR_US)).sum())
        wider = float((worth * self._slots(job.true_start_us, job.true_end_us)).sum())
        own = "would do {:.3g} accelerator-hours more of it."
        for kind, hours, what in (
            ("deadline", min(left_hours, later), "A deadline one hour later"),
            ("max_accelerators", min(left_hours, wider), "One more accelerator at a time"),
        ):
            yield LateLimit(kind, None, None, None, hours, f"{what} {own.format(hours)}")

    @cached_property
    def _room(self) -> tuple[Floats, Floats]:
        """Of an accelerator, and of one outside the redundancy margin besides, (n_pools, n_slots) [h]."""
        price = self.problem.lateness_price_per_hour
        return self.prices.capacity / price, self.prices.reserve / price

    @cached_property
    def _power(self) -> Floats:
        """Of a kW under the power limit, (n_sites, n_slots) [h]."""
        hours: Floats = self.prices.power / self.problem.lateness_price_per_hour
        return hours

    @cached_property
    def _budgets(self) -> list[float]:
        given = self.prices.budget
        prices = np.zeros(len(self.problem.budgets)) if given is None else given
        return [float(price) / self.problem.lateness_price_per_hour for price in prices]

    @cached_property
    def _per_kw(self) -> Floats:
        """What a kW of work pays beyond its energy and carbon, (n_sites, n_slots) [currency]."""
        if self.prices.work is None:
            return self.prices.power + self.prices.peak
        energy = [self.problem.grid.slot_hours * site.unit_cost_per_kwh for site in self.problem.sites]
        beyond: Floats = self.prices.work - np.array(energy)
        return beyond

    @cached_property
    def _known(self) -> dict[tuple[tuple[Way, ...], bool], tuple[Floats, Floats]]:
        return {}

    def _of_ways(self, job: Job) -> tuple[Floats, Floats]:
        """`worth` of its best way in each slot, and the work that this way does in it, (n_slots,) each [h]."""
        key = job.ways, job.firm
        if key not in self._known:
            hours, pools = self.problem.grid.slot_hours, self.problem.pools
            room, firm = self._room
            gain = np.array(
                [
                    hours * way.speed
                    - way.import_kw
                    * self._per_kw[pools[way.pool].site]
                    / self.problem.lateness_price_per_hour
                    - room[way.pool]
                    - (firm[way.pool] if job.firm else 0.0)
                    for way in job.ways
                ]
            )
            best = gain.argmax(axis=0)
            speed = np.array([way.speed for way in job.ways])
            most = gain.max(axis=0)
            self._known[key] = np.where(most > FREE_RATIO * hours, most, 0.0), hours * speed[best]
        return self._known[key]

    def _worth(self, job: Job) -> Floats:
        return self._of_ways(job)[0]

    def _could_do(self, job: Job) -> float:
        """Work that it could do in its window, at its width, in slots that are free to it [h]."""
        worth, work = self._of_ways(job)
        return job.max_accelerators * float(
            (work * (worth > 0) * self._slots(job.true_start_us, job.true_end_us)).sum()
        )

    def _slots(self, start_us: int, end_us: int) -> Floats:
        """The share of each slot that lies in a window, (n_slots,)."""
        edges = np.arange(self.problem.grid.n_slots) * self.problem.slot_us
        inside = np.minimum(edges + self.problem.slot_us, end_us) - np.maximum(edges, start_us)
        share: Floats = np.clip(inside, 0, None) / self.problem.slot_us
        return share


def in_the_way(limits: tuple[LateLimit, ...], import_kw: float) -> str | None:
    """The kind of shared limit that counts most for work that draws `import_kw` an accelerator; None: no such limit."""
    shared = [one for one in limits if one.kind in {"capacity", "reserve", "power"}]
    weight = {"power": max(import_kw, 0.0)}
    return (
        max(shared, key=lambda one: one.saves_accelerator_hours * weight.get(one.kind, 1.0)).kind
        if shared
        else None
    )
