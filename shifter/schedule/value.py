r"""What one more kW, accelerator or kWh of battery would be worth, from nothing but a plan's prices.

A plan's bound is a sum in which every limit stands times its price (`schedule.bound`). So with `d` more of a limit the
same prices prove a bound that is `d * price` lower, and no plan for the same work can cost less than that:

    gain of a plan with d more  <=  d * price  +  what this plan costs above its bound

That holds for any prices, whoever made the plan; the best cost is convex in the limits, so it is no estimate but the
most that there is (Boyd and Vandenberghe 2004, 5.6.2). It is near for the first unit, and falls with each further one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Fleet, Pool, PoolKey, Site
from shifter.domain.plan import GREEDY, Plan
from shifter.domain.rows import PowerRow, SlotRow
from shifter.domain.value import Energise, FleetWorth, PoolWorth, SiteWorth, Span, Worth
from shifter.schedule.plan_prices import PlanPrices
from shifter.schedule.storage_worth import kwh_worth, new_kwh_worth

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
    told = {(row.site, row.pool) for row in plan.slots}
    sites = tuple(_Site(plan, prices, site, told).worth() for site in fleet.sites if site.name in prices.kw)
    return FleetWorth(
        plan_id=plan.plan_id,
        currency=plan.currency,
        start=max(plan.created_at, plan.horizon.start),
        end=plan.horizon.end,
        slot_start=plan.horizon.start,
        slot_minutes=plan.horizon.slot_minutes,
        above_bound=max(0.0, plan.minimised - plan.lower_bound),
        sites=sites if known else (),
        energise_next=tuple(
            sorted(_steps(sites if known else ()), key=lambda e: (-e.late_accelerator_hours, -e.per_day))
        ),
        notes=tuple(_notes(plan)) if known else (NOT_SOLVED,),
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

    def __init__(self, plan: Plan, prices: PlanPrices, site: Site, told: Collection[PoolKey]) -> None:
        self.prices, self.site = prices, site
        self.pools = [pool for pool in site.pools if (site.name, pool.name) in told]
        self.late = _late_hours(plan)
        self.power: list[PowerRow] = [row for row in plan.power if row.site == site.name]
        self.held: defaultdict[str, list[SlotRow]] = defaultdict(list)
        for row in plan.slots:
            if row.site == site.name:
                self.held[row.pool].append(row)
        self.limit_kw = np.array([np.inf if row.limit_kw is None else row.limit_kw for row in self.power])

    def worth(self) -> SiteWorth:
        """All of it."""
        battery = self._battery()
        return SiteWorth(
            site=self.site.name,
            kw=self._kw() if np.isfinite(self.limit_kw).any() else None,
            peak=self._peak() if self.site.demand_charge_per_kw > 0 else None,
            battery=None if battery is None else self._of(battery),
            new_battery=self.site.battery is None,
            pools=tuple(self._pool(pool) for pool in self.pools),
        )

    def _of(self, values: Floats, binds: NDArray[np.bool_] | None = None, late: float = 0.0) -> Worth:
        return worth_of(self.prices, values, values > BINDS if binds is None else binds, late)

    def _kw(self) -> Worth:
        # Where real-time load alone is over the limit, no work runs, whatever one more kW there is.
        open_to_work = self._at_quantile_kw() <= self.limit_kw
        price = np.where(open_to_work, self.prices.power[self.site.name], 0.0)
        return self._of(price * self.prices.rest, late=self.late["power", self.site.name, None])

    def _peak(self) -> Worth:
        return self._of(self.prices.peak[self.site.name])

    def _battery(self) -> Floats | None:
        site, hours = self.site.name, self.prices.grid.slot_hours
        # Its mean over the running slot counts once, that of work by what is left of the slot.
        per_kw = self.prices.kw[site] - self.prices.power[site] * (1.0 - self.prices.rest)
        battery = self.site.battery
        if battery is None:
            return new_kwh_worth(per_kw, hours)
        carried_kw = self.site.pue * sum(pool.busy_kw * self._quantile(pool) for pool in self.pools)
        floor = np.maximum(battery.min_kwh, self.site.resilience.ride_through_minutes / 60 * carried_kw)
        free_kw = np.clip(self.limit_kw - self._at_quantile_kw(), 0.0, battery.power_kw)
        gained = np.append(0.0, np.cumsum(hours * battery.charge_efficiency * free_kw)[:-1])
        return kwh_worth(battery, per_kw, np.minimum(floor, battery.initial_kwh + gained), hours)

    def _pool(self, pool: Pool) -> PoolWorth:
        key = self.site.name, pool.name
        q, raised = self._quantile(pool), self._unclipped_reserve(pool)
        more = _room(pool.count + 1, q, raised) - _room(pool.count, q, raised)
        # Of what is reserved, the margin above the quantile goes first.
        fewer = np.minimum(1.0, raised)
        fewer_q = np.maximum(0.0, fewer - (raised - q))
        freed = _room(pool.count, q - fewer_q, raised - fewer) - _room(pool.count, q, raised)
        room = np.array([self.prices.capacity[key], self.prices.reserve[key]]) * self.prices.rest
        idle_kw = self.site.pue * pool.idle_kw
        saved = (room * more).sum(axis=0)
        drawn = idle_kw * self.prices.kw[self.site.name] * self.prices.rest
        late = max(self.late[kind, *key] for kind in ("capacity", "reserve"))
        return PoolWorth(
            pool.name,
            pool.count,
            self._of(saved - drawn, saved > BINDS, late),
            self._of((room * freed).sum(axis=0)),
        )

    def _quantile(self, pool: Pool) -> Floats:
        return np.array([row.realtime_q for row in self.held[pool.name]])

    def _unclipped_reserve(self, pool: Pool) -> Floats:
        """What would be held back, were there as many as it takes, (n_slots,)."""
        kept = 1.0 - min(1.0, self.site.resilience.lose_domains / pool.failure_domains)
        q = self._quantile(pool)
        return q / kept if kept > 0 else np.full(len(q), np.inf)

    def _at_quantile_kw(self) -> Floats:
        """What the site draws without deferrable work, with real-time load at its quantile, (n_slots,)."""
        drawn = np.zeros(len(self.limit_kw))
        for pool in self.pools:
            drawn += pool.idle_kw * pool.count + pool.dynamic_kw * self._quantile(pool)
        return self.site.pue * drawn


def _room(count: int, quantile: Floats, reserved: Floats) -> Floats:
    """What a pool leaves to all work and to firm work, (2, n_slots)."""
    return np.array([np.maximum(0.0, count - quantile), np.maximum(0.0, count - reserved)])


def worth_of(prices: PlanPrices, values: Floats, binds: NDArray[np.bool_], late: float = 0.0) -> Worth:
    """Values by slot (n_slots,) [currency] as one figure, over what is ahead and a day of it."""
    ahead_h = float(prices.rest.sum()) * prices.grid.slot_hours
    total = float(values.sum())
    return Worth(
        horizon=_round(total),
        per_day=_round(total * EACH_DAY_H / ahead_h) if ahead_h > 0 else 0.0,
        bound_hours=_round(float((binds * prices.rest).sum()) * prices.grid.slot_hours),
        binds=tuple(_spans(prices.grid, binds)),
        values=tuple(_round(float(v)) for v in values),
        late_accelerator_hours=late,
    )


def _spans(grid: SlotGrid, binds: NDArray[np.bool_]) -> Iterator[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], binds, [False]]).astype(int)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield Span(_moment(grid, first), _moment(grid, last))


def _moment(grid: SlotGrid, slot: int) -> datetime:
    return grid.start + slot * grid.slot


def _steps(sites: Iterable[SiteWorth]) -> Iterator[Energise]:
    for site in sites:
        if site.kw is not None:
            yield from _step(site.site, None, STEP_KW, site.kw)
        for pool in site.pools:
            yield from _step(site.site, pool.pool, float(pool.count), pool.accelerator)


def _step(site: str, pool: str | None, amount: float, each: Worth) -> Iterator[Energise]:
    if each.per_day > BINDS or each.late_accelerator_hours > 0:
        late = amount * each.late_accelerator_hours
        money = _round(amount * each.per_day), _round(amount * each.horizon)
        kind: Literal["power", "pool"] = "power" if pool is None else "pool"
        yield Energise(site, kind, pool, amount, *money, each.bound_hours, _round(late))


def _late_hours(plan: Plan) -> Mapping[tuple[str, str | None, str | None], float]:
    """By kind, site and pool of a limit, late work that one more of it would do: each names all that there is."""
    found: defaultdict[tuple[str, str | None, str | None], float] = defaultdict(float)
    for work in plan.unplaced:
        for limit in work.limits:
            key = limit.kind, limit.site, limit.pool
            found[key] = max(found[key], limit.saves_accelerator_hours)
    return found


def _notes(plan: Plan) -> Iterator[str]:
    late = sum(work.accelerator_hours for work in plan.unplaced)
    if late > 0:
        yield (
            f"{late:.1f} accelerator-hours of work have no place in time. The figures of money are for the work that "
            "has; what more room would do for the rest is in accelerator-hours."
        )
    if plan.synthetic:
        yield "Prices and carbon are synthetic: made up for a demonstration."


def _any_price(prices: PlanPrices) -> bool:
    every = (*prices.power.values(), *prices.peak.values(), *prices.capacity.values())
    return any(float(one.max(initial=0.0)) > 0 for one in every)


def _round(value: float) -> float:
    return round(value, DIGITS) + 0.0  # never -0.0
