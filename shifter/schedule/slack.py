"""What a workload's deadline costs: its best answer to the plan's prices, in its window and in longer ones.

At given prices each workload takes its cheapest accelerator-hours, which is a sort (`schedule.answer`). What that costs
is its part of the plan's bound. So with a later deadline the same prices prove a bound that is lower by the difference,
and by no more than that, beside what the plan costs above its bound, can any plan gain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.value import Slack
from shifter.domain.workload import Classified
from shifter.schedule.answer import least_cost, offered_hours, segments
from shifter.schedule.jobs import Way
from shifter.schedule.plan_prices import PlanPrices
from shifter.schedule.ways import WorkWays

HOUR = timedelta(hours=1)
NEXT_TO_NOTHING = 0.005
"""[currency] What is less than this is said to be nothing."""
DIGITS = 9


def worth_of_slack(
    plan: Plan, fleet: Fleet, work: Iterable[Classified], now: datetime | None = None
) -> tuple[Slack, ...]:
    """Of each of this deferrable work, in the order given: what its deadline costs, and what an hour more would save.

    `work` is what the plan was made for, with what is left of it `now` (default: as the plan was made). Of late work
    there are no figures: the plan's prices say nothing of being late.
    """
    asked = [item for item in work if item.deadline is not None and item.remaining > 0]
    late = {short.workload_id for short in plan.unplaced}
    held: defaultdict[str, list[Allocation]] = defaultdict(list)
    for allocation in plan.allocations:
        held[allocation.workload_id].append(allocation)
    market = _Market(
        fleet, PlanPrices.of(plan, fleet), WorkWays(fleet), max(plan.created_at, now or plan.created_at)
    )
    answers = market.answers(asked)
    currency = plan.currency
    return tuple(
        _slack(
            item, market.paid(item, held[item.workload.id]), answers[i], item.workload.id in late, currency
        )
        for i, item in enumerate(asked)
    )


def most_worth_first(slack: Iterable[Slack]) -> list[Slack]:
    """By what an hour more would save, then by what the deadline costs, those that are late last."""

    def worth(one: Slack) -> tuple[float, float, str]:
        return -(one.hour_later_saves or 0.0), -(one.deadline_costs or 0.0), one.workload_id

    return sorted(slack, key=lambda one: (one.hour_later_saves is None, *worth(one)))


def _slack(
    item: Classified, paid: float, costs: tuple[float, float, float] | None, late: bool, currency: str
) -> Slack:
    workload, deadline = item.workload, item.deadline
    assert deadline is not None
    if costs is None or late:
        text = f"{workload.id} does not fit before its deadline: what more time would do is in `unplaced`."
        return Slack(workload.id, workload.tenant, deadline, _round(paid), None, None, None, text)
    least, later, free = costs
    hour, all_of_it = max(0.0, least - later), max(0.0, least - free)
    text = _text(workload.id, hour, all_of_it, currency)
    saved = _round(hour), _round(all_of_it)
    return Slack(workload.id, workload.tenant, deadline, _round(paid), _round(least), *saved, text)


def _text(id: str, hour: float, all_of_it: float, currency: str) -> str:
    if all_of_it < NEXT_TO_NOTHING:
        return f"{id}'s deadline costs nothing: due at the horizon's end, it would not be cheaper."
    more = "nothing" if hour < NEXT_TO_NOTHING else f"at most {hour:.2f} {currency}"
    return f"{id}'s deadline costs at most {all_of_it:.2f} {currency}: an hour more saves {more}."


@dataclass(frozen=True, eq=False)
class _Market:
    """What work pays in each pool and slot."""

    fleet: Fleet
    prices: PlanPrices
    ways: WorkWays
    now: datetime
    summed: dict[tuple[object, ...], Floats] = field(default_factory=dict)
    """What was added up already."""

    @cached_property
    def keys(self) -> list[PoolKey]:
        """The fleet's pools, in their order."""
        return list(self.fleet.pools)

    def answers(self, work: list[Classified]) -> list[tuple[float, float, float] | None]:
        """What each's work costs at the least by its deadline, an hour later, and by the horizon's end.

        None where it does not fit. Work with the same ways sees the same segments.
        """
        groups: defaultdict[tuple[int, bool, str], list[int]] = defaultdict(list)
        for i, item in enumerate(work):
            _, ways = self.ways.of(item.workload)
            if ways:
                groups[id(ways), not item.workload.preemptible, self._payer(item)].append(i)
        found: list[tuple[float, float, float] | None] = [None] * len(work)
        for (_, firm, payer), members in groups.items():
            for i, costs in zip(members, self._of([work[i] for i in members], firm, payer), strict=True):
                found[i] = costs
        return found

    def _of(
        self, work: list[Classified], firm: bool, payer: str
    ) -> Iterator[tuple[float, float, float] | None]:
        grid = self.prices.grid
        fastest, ways = self.ways.of(work[0].workload)
        each = np.full(grid.n_slots, grid.slot_hours)
        seen = segments(ways, [self._price(way, firm, payer) for way in ways], each)
        most = np.array([item.workload.max_accelerators for item in work], float)
        need = np.array([item.remaining for item in work]) / fastest / most
        start = self._at(item.earliest_start for item in work)
        due = [item.deadline or grid.end for item in work]
        ends = [self._at(due), self._at(d + HOUR for d in due), np.full(len(work), float(grid.n_slots))]
        ends = [np.maximum(start, end) for end in ends]
        room = (ends[0] - start) * grid.slot_hours * max(way.speed for way in ways)
        costs = []
        for end in ends:
            wanted = need
            if any(way.load_us for way in ways):  # as in the bound: loading at a negative price is a gain
                wanted = np.maximum(need, offered_hours(seen.where(seen.cost < 0), start, end))
            costs.append(most * least_cost(seen, wanted, start, end))
        for fits, *three in zip(need <= room * (1 + 1e-9), *(c.tolist() for c in costs), strict=True):
            yield (three[0], three[1], three[2]) if fits else None

    def paid(self, item: Classified, held: Iterable[Allocation]) -> float:
        """What its allocations cost at these prices [currency]."""
        firm, payer, total = not item.workload.preemptible, self._payer(item), 0.0
        for a in held:
            if (a.site, a.pool) not in self.fleet.pools:
                continue
            up_to = self._up_to(a, firm, payer)
            begin, end = self._at((a.start, a.end))
            passed = np.interp([begin, end], np.arange(len(up_to)), up_to)
            total += a.accelerators * float(passed[1] - passed[0])
        return total

    def _up_to(self, a: Allocation, firm: bool, payer: str) -> Floats:
        """What one accelerator costs from the grid's start to each slot's, (n_slots + 1,)."""
        kind = a.site, a.pool, a.cap_kw, firm, payer
        if kind not in self.summed:
            price = self._price(self.ways.held(a), firm, payer)
            self.summed[kind] = np.append(0.0, np.cumsum(price))
        return self.summed[kind]

    def _price(self, way: Way, firm: bool, payer: str) -> Floats:
        """What one accelerator costs for all of each slot (n_slots,)."""
        key = self.keys[way.pool]
        site, pool = self.fleet.pools[key]
        price = self.prices.capacity[key]
        if site.name in self.prices.kw:
            price = way.import_kw * self.prices.kw[site.name] + price
        if firm:
            price = price + self.prices.reserve[key]
        if payer and self.fleet.by_tenant[payer].counts(pool.accelerator):
            price = price + self.prices.quota[payer]
        return price

    def _payer(self, item: Classified) -> str:
        """The tenant whose quota it counts against; "" where that has none."""
        tenant = item.workload.tenant
        return tenant if tenant in self.prices.quota and tenant in self.fleet.by_tenant else ""

    def _at(self, moments: Iterable[datetime]) -> Floats:
        """Moments in slots from the grid's start, not before what is ahead, nor after its end."""
        grid = self.prices.grid
        slots = [(max(moment, self.now) - grid.start) / grid.slot for moment in moments]
        inside: Floats = np.clip(slots, 0.0, grid.n_slots)
        return inside


def _round(value: float) -> float:
    return round(value, DIGITS) + 0.0  # never -0.0
