r"""What one more kW, accelerator or kWh of battery would be worth, from nothing but a plan's prices.

A plan's bound is a sum in which every limit stands times its price (`schedule.bound`). So with `d` more of a limit the
same prices prove a bound that is `d * price` lower, and no plan for the same work can cost less than that:

    gain of a plan with d more  <=  d * price  +  what this plan costs above its bound

That holds for any prices, whoever made the plan; the best cost is convex in the limits, so it is no estimate but the
most that there is (Boyd and Vandenberghe 2004, 5.6.2). It is near for the first unit, and falls with each further one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats, SlotGrid
from shifter.domain.capping import import_kw
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.plan import GREEDY, Plan
from shifter.domain.plant import Battery, held_for_outage_kwh
from shifter.domain.rows import SlotRow
from shifter.domain.survival import DOMAINS, RIDE_THROUGH, own_promises
from shifter.domain.value import Energise, FleetWorth, PoolWorth, PromiseWorth, SiteWorth, Span, Worth
from shifter.realtime.reserve import held_back
from shifter.schedule.plan_prices import PlanPrices, late_hours
from shifter.schedule.promise_words import AT_MOST, FREE, NO_MONEY, Own, costs_in_words, in_words
from shifter.schedule.reasons import ReasonCode
from shifter.schedule.storage_worth import floor_cost, kwh_worth, new_kwh_worth

STEP_KW = 100.0
"""The connection that sites are compared by."""
BINDS = 1e-6
"""A limit whose price is above this binds."""
DIGITS = 9
EACH_DAY_H = 24.0

NOT_SOLVED = "No program was solved for this plan, so what one more of anything would save is not known."


def fleet_worth(plan: Plan, fleet: Fleet) -> FleetWorth:
    """What one more of each limit would save at the most, at every site of the fleet that the plan knows."""
    prices = PlanPrices.of(plan, fleet)
    known = plan.status != GREEDY or _any_price(prices)
    seen = [site for site in fleet.sites if site.name in prices.kw] if known else []
    sites = [_Site(plan, prices, site, fleet) for site in seen]
    steps = sorted(
        (step for site in sites for step in site.steps()),
        key=lambda step: (-step.late_accelerator_hours, -step.per_day),
    )
    return FleetWorth(
        plan_id=plan.plan_id,
        currency=plan.currency,
        start=max(plan.created_at, plan.horizon.start),
        end=plan.horizon.end,
        slot_start=plan.horizon.start,
        slot_minutes=plan.horizon.slot_minutes,
        above_bound=max(0.0, plan.minimised - plan.lower_bound),
        sites=tuple(site.worth() for site in sites),
        energise_next=tuple(steps),
        notes=(*_notes(plan), *(note for site in sites for note in site.notes())) if known else (NOT_SOLVED,),
    )


def only_site(worth: FleetWorth, site: str) -> FleetWorth:
    """The same of one site alone."""
    return replace(
        worth,
        sites=tuple(one for one in worth.sites if one.site == site),
        energise_next=tuple(step for step in worth.energise_next if step.site == site),
    )


class _Site:
    """One site, with what the plan says of it."""

    def __init__(self, plan: Plan, prices: PlanPrices, site: Site, fleet: Fleet) -> None:
        self.prices, self.site, self.fleet = prices, site, fleet
        self.by_plan = plan.resilience is not None
        self.late = late_hours(plan)
        self.held: defaultdict[str, list[SlotRow]] = defaultdict(list)
        for row in plan.slots:
            if row.site == site.name:
                self.held[row.pool].append(row)
        self.pools = [pool for pool in site.pools if pool.name in self.held]
        limits = [row.limit_kw for row in plan.power if row.site == site.name]
        self.limit_kw = np.array([np.inf if kw is None else kw for kw in limits])
        pinned_kw = _pinned_kw(plan, prices.grid, site)
        self.given_kw = self._without_work_kw("realtime_q") + pinned_kw
        median_kw = self._without_work_kw("realtime_p50") + pinned_kw
        relief_kw = np.minimum(self._own_kw(), median_kw + site.export_limit_kw)
        # There the limit gives way, at a price that has nothing to do with what things cost, and no work runs.
        self.over = self.given_kw - relief_kw > self.limit_kw + BINDS
        self.power = np.where(self.over, 0.0, prices.power[site.name])
        unlimited = prices.energy[site.name] + prices.peak[site.name]
        self.per_kw: Floats = np.where(self.over, unlimited, prices.kw[site.name])

    def worth(self) -> SiteWorth:
        """All of it."""
        battery = self._battery()
        return SiteWorth(
            site=self.site.name,
            kw=self._kw() if np.isfinite(self.limit_kw).any() else None,
            peak=self._of(self.prices.peak[self.site.name]) if self.site.demand_charge_per_kw > 0 else None,
            battery=None if battery is None else self._of(battery),
            new_battery=self.site.battery is None,
            pools=tuple(
                PoolWorth(pool.name, pool.count, self._accelerators(pool, 1), self._held_back(pool))
                for pool in self.pools
            ),
            promises=() if self.by_plan else tuple(self._promises()),
        )

    def steps(self) -> Iterator[Energise]:
        """What it could grow by, where that is worth something."""
        if np.isfinite(self.limit_kw).any():
            yield from _step(self.site.name, None, STEP_KW, self._kw(STEP_KW))
        for pool in self.pools:
            yield from _step(
                self.site.name, pool.name, float(pool.count), self._accelerators(pool, pool.count)
            )

    def notes(self) -> Iterator[str]:
        """What its figures leave out."""
        if self.over.any():
            slots = "1 slot" if self.over.sum() == 1 else f"{int(self.over.sum())} slots"
            yield (
                f"{self.site.name}: in {slots} what runs anyway is over the power limit. What more power would do "
                "there is not counted."
            )

    def _of(self, values: Floats, binds: NDArray[np.bool_] | None = None, late: float = 0.0) -> Worth:
        return worth_of(self.prices, values, values > BINDS if binds is None else binds, late)

    def _kw(self, more_kw: float = 1.0) -> Worth:
        late = self.late["power", self.site.name, None]
        return self._of(more_kw * self.power * self.prices.rest, late=more_kw * late)

    def _battery(self) -> Floats | None:
        hours, battery = self.prices.grid.slot_hours, self.site.battery
        if battery is None:
            return new_kwh_worth(self._stored_per_kw(), hours)
        return kwh_worth(battery, self._stored_per_kw(), self._floor_kwh(battery), hours)

    def _stored_per_kw(self) -> Floats:
        """What a kW of the battery costs over each slot, (n_slots,): its mean over the running one counts once, that of
        work by what is left of it."""
        per_kw: Floats = self.per_kw - self.power * (1.0 - self.prices.rest)
        return per_kw

    def _floor_kwh(self, battery: Battery) -> Floats:
        """What it must hold at the slots' starts, as far as it can by then, (n_slots,)."""
        carried_kw = np.zeros(len(self.limit_kw))
        for pool in self.pools:
            carried_kw += self.site.pue * pool.busy_kw * self._quantile(pool)
        hours = self.fleet.ride_through_minutes(self.site) / 60
        floor = np.maximum(battery.min_kwh, held_for_outage_kwh(self.site.ups, carried_kw, hours))
        free_kw = np.clip(self.limit_kw - self.given_kw, 0.0, battery.power_kw)
        charged = self.prices.grid.slot_hours * battery.charge_efficiency * free_kw
        gained = np.append(0.0, np.cumsum(charged)[:-1])
        reached: Floats = np.minimum(floor, battery.initial_kwh + gained)
        return reached

    def _promises(self) -> Iterator[PromiseWorth]:
        for kind in (kind for kind, site in own_promises(self.fleet) if site is self.site):
            told = self._ride_through() if kind == RIDE_THROUGH else self._margin(kind)
            cost = None if told is None else _round(max(0.0, told))
            per_day = None if cost is None else _per_day(self.prices, cost)
            text = in_words(Own(kind, self.site), self.fleet)
            costs = costs_in_words(per_day, AT_MOST, self.fleet.currency)
            if kind != RIDE_THROUGH and self._short_of_room():
                costs = (
                    f"{NO_MONEY if costs == FREE else costs}, and late work could use some of what it holds"
                )
            yield PromiseWorth(kind, cost, per_day, f"{text} {costs}")

    def _short_of_room(self) -> bool:
        """Whether work is late that more accelerators here would do."""
        limits = (
            (kind, self.site.name, pool.name) for kind in ("capacity", "reserve") for pool in self.pools
        )
        return any(self.late[limit] > 0 for limit in limits)

    def _ride_through(self) -> float | None:
        """What the battery's floor costs it; nothing where there is none: a UPS is no matter of the schedule."""
        battery = self.site.battery
        if battery is None:
            return 0.0
        return floor_cost(
            battery, self._stored_per_kw(), self._floor_kwh(battery), self.prices.grid.slot_hours
        )

    def _margin(self, kind: str) -> float:
        """What room is worth that pools keep to survive the loss of domains, or that is idle and could be shared."""
        worth = 0.0
        for pool in self.pools:
            q, kept, raised, there = self._taken(pool)
            freed = _room(there, q, q if kind == DOMAINS else raised) - _room(there, kept, raised)
            worth += float(self._at_room_prices(pool, freed).sum())
        return worth

    def _accelerators(self, pool: Pool, more: int) -> Worth:
        """Of `more` accelerators together: those that real-time load takes first bring nothing, others what is paid."""
        key = self.site.name, pool.name
        _, kept, raised, there = self._taken(pool)
        saved = self._at_room_prices(pool, _room(there + more, kept, raised) - _room(there, kept, raised))
        drawn = more * self.site.pue * pool.idle_kw * self.per_kw * self.prices.rest
        late = more * max(self.late[kind, *key] for kind in ("capacity", "reserve"))
        return self._of(saved - drawn, saved > BINDS, late)

    def _held_back(self, pool: Pool) -> Worth:
        _, kept, raised, there = self._taken(pool)
        # The margin above the quantile goes first.
        fewer = np.minimum(1.0, raised)
        fewer_kept = np.maximum(0.0, fewer - (raised - kept))
        freed = _room(there, kept - fewer_kept, raised - fewer) - _room(there, kept, raised)
        return self._of(self._at_room_prices(pool, freed))

    def _at_room_prices(self, pool: Pool, room: Floats) -> Floats:
        """What room for all work and for firm work (2, n_slots) is worth, (n_slots,)."""
        key = self.site.name, pool.name
        prices = np.array([self.prices.capacity[key], self.prices.reserve[key]])
        worth: Floats = (prices * room).sum(axis=0) * self.prices.rest
        return worth

    def _taken(self, pool: Pool) -> tuple[Floats, Floats, Floats, Floats]:
        """The load's quantile, what is kept from all work and from firm work, and all there are, (n_slots,) each."""
        q, raised = self._quantile(pool), self._unclipped_reserve(pool)
        return q, self.site.resilience.kept(q, raised), raised, self._there(pool)

    def _quantile(self, pool: Pool) -> Floats:
        return np.array([row.realtime_q for row in self.held[pool.name]])

    def _unclipped_reserve(self, pool: Pool) -> Floats:
        """What would be held back, were there as many as it takes, and what is for others' loss, (n_slots,)."""
        own = held_back(self._quantile(pool), pool.domain_sizes, self.site.resilience)
        held: Floats = np.maximum(own, [row.reserved for row in self.held[pool.name]])
        return held

    def _there(self, pool: Pool) -> Floats:
        """Accelerators that are not away, (n_slots,)."""
        return np.array([float(row.count) for row in self.held[pool.name]])

    def _without_work_kw(self, load: str) -> Floats:
        """What the site draws without deferrable work, with real-time load at this column's, (n_slots,)."""
        drawn = np.zeros(len(self.limit_kw))
        for pool in self.pools:
            rows = self.held[pool.name]
            powered = np.array([pool.powered(row.start, row.end) for row in rows])
            busy = np.array([getattr(row, load) for row in rows])
            drawn += pool.idle_kw * powered + pool.dynamic_kw * busy
        return self.site.pue * drawn

    def _own_kw(self) -> Floats:
        """By how much its own plant, and powering down, may relieve its connection, as planned with, (n_slots,)."""
        relief = np.zeros(len(self.limit_kw))
        if self.site.ramp_limit_kw_per_minute is not None:  # then it is not counted on
            return relief
        if self.site.generation is not None:
            relief += [self.site.generation.mean_kw(a, b) for a, b in pairwise(self.prices.grid.edges)]
        for pool in self.pools:
            if pool.off_kw is not None:
                spare = np.maximum(0.0, self._there(pool) - self._unclipped_reserve(pool))
                relief += self.site.pue * (pool.idle_kw - pool.off_kw) * spare
        return relief


def _room(count: Floats, kept: Floats, reserved: Floats) -> Floats:
    """What a pool leaves to all work and to firm work, (2, n_slots)."""
    return np.array([np.maximum(0.0, count - kept), np.maximum(0.0, count - reserved)])


def worth_of(prices: PlanPrices, values: Floats, binds: NDArray[np.bool_], late: float = 0.0) -> Worth:
    """Values by slot (n_slots,) [currency] as one figure, over what is ahead and a day of it."""
    total = float(values.sum())
    return Worth(
        horizon=_round(total),
        per_day=_per_day(prices, total),
        bound_hours=_round(float((binds * prices.rest).sum()) * prices.grid.slot_hours),
        binds=tuple(_spans(prices.grid, binds)),
        values=tuple(_round(float(v)) for v in values),
        late_accelerator_hours=late,
    )


def _per_day(prices: PlanPrices, total: float) -> float:
    ahead_h = float(prices.rest.sum()) * prices.grid.slot_hours
    return _round(total * EACH_DAY_H / ahead_h) if ahead_h > 0 else 0.0


def _spans(grid: SlotGrid, binds: NDArray[np.bool_]) -> Iterator[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], binds, [False]]).astype(int)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield Span(_moment(grid, first), _moment(grid, last))


def _moment(grid: SlotGrid, slot: int) -> datetime:
    return grid.start + slot * grid.slot


def _step(site: str, pool: str | None, amount: float, all_of_it: Worth) -> Iterator[Energise]:
    if all_of_it.per_day > BINDS or all_of_it.late_accelerator_hours > 0:
        kind: Literal["power", "pool"] = "power" if pool is None else "pool"
        money = all_of_it.per_day, all_of_it.horizon
        late = _round(all_of_it.late_accelerator_hours)
        yield Energise(site, kind, pool, amount, *money, all_of_it.bound_hours, late)


def _pinned_kw(plan: Plan, grid: SlotGrid, site: Site) -> Floats:
    """What work that goes on as it stands draws in the slots that it is in, (n_slots,)."""
    pools = {pool.name: pool for pool in site.pools}
    running = {row.workload_id for row in plan.workloads if row.reason_code == ReasonCode.RUNNING}
    drawn = np.zeros(grid.n_slots)
    for a in plan.allocations if running else ():
        if a.workload_id in running and a.site == site.name and a.pool in pools:
            first, last = (a.start - grid.start) / grid.slot, (a.end - grid.start) / grid.slot
            touched = slice(max(0, int(np.floor(first))), max(0, int(np.ceil(last))))
            drawn[touched] += a.accelerators * import_kw(site, pools[a.pool], a.cap_kw)
    return drawn


def _notes(plan: Plan) -> Iterator[str]:
    late = sum(work.accelerator_hours for work in plan.unplaced)
    if late > 0:
        yield (
            f"{late:.1f} accelerator-hours of work have no place in time. The figures of money are for the work that "
            "has; what more room would do for the rest is in accelerator-hours."
        )
    if plan.resilience is not None:
        yield (
            "What failover groups hold stays where it is held in all figures: planned anew it may move, and save more."
        )
    if plan.synthetic:
        yield "Prices and carbon are synthetic: made up for a demonstration."


def _any_price(prices: PlanPrices) -> bool:
    every = (*prices.power.values(), *prices.peak.values(), *prices.capacity.values())
    return any(float(one.max(initial=0.0)) > 0 for one in every)


def _round(value: float) -> float:
    return round(value, DIGITS) + 0.0  # never -0.0
