r"""The proof: the lower bound, computed again from the prices that the plan carries.

For any prices >= 0 of the shared limits the Lagrangian

    cost of real-time load - sum of price * what the limit leaves
        + sum over workloads of the least cost of their work at those prices
        + sum over batteries of the least cost of running them at those prices

is at most the cost of every plan that does the same work (weak duality). Each workload answers alone: in fractions, in
its own window, with no shape.

Where sites may do more than import and use batteries, or budgets bind them together, that formula would be wrong. What
the sites do for whatever load there is comes from one linear program instead (`fleet`), at the plan's `work` prices;
where it has none, load pays nothing there, which is a bound all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.domain.plant import Battery
from shifter.schedule.verify.battery import required_kwh
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.columns import microseconds, since_us
from shifter.schedule.verify.fleet import fleet_cost, is_plain, load_prices
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.money import MONEY_TOLERANCE, money_tolerance, turnover
from shifter.schedule.verify.risk import at_risk
from shifter.schedule.verify.tenants import TenantUse
from shifter.schedule.verify.violation import Violation, ViolationCode
from shifter.schedule.verify.ways import Way

AT_ONCE, STEPS_AT_ONCE = 512, 256
"""Workloads, and steps, looked at in one go, so that memory stays small."""

WHOLE_TOLERANCE = 1e-6
"""Share of a step's work that may be missing where it is planned in full: whole microseconds cost that."""

TURNOVER_RATIO = 1e-3
"""The gap is a share of the bound, or of so much of all that changes hands, where the bound is nearer to nothing."""


def check_proof(case: Case, loads: Sequence[SiteLoad], tenants: Sequence[TenantUse]) -> Iterator[Violation]:
    """Prices that are prices, a bound that they prove and the cost keeps, and the gap between the two."""
    plan = case.plan
    faults = list(_check_duals(case, tenants))
    yield from faults
    # What is minimised under risk may be far larger than the bill, and so is what rounding takes off it.
    allowed = max(money_tolerance(plan.cost), MONEY_TOLERANCE * abs(plan.minimised))
    if not plan.lower_bound <= plan.minimised + allowed:
        detail = f"the lower bound {plan.lower_bound} exceeds the cost {plan.minimised}"
        yield Violation(ViolationCode.BOUND, "plan", detail)
    elif not faults and not plan.cost.further:  # the terms of others are in their bound, and not in this one
        proven = certified(case, at_risk(case, loads), tenants)
        # What proves less than it could is no lie; rounding the prices alone may cost the tolerance.
        if not plan.lower_bound <= proven + 10 * allowed:
            detail = f"the lower bound {plan.lower_bound} exceeds what the prices prove, {proven}"
            yield Violation(ViolationCode.BOUND, "plan", detail)
    # Fairness is the same in both, and no part of what the gap is a share of.
    least = max(abs(plan.lower_bound - plan.cost.fairness), TURNOVER_RATIO * turnover(case, loads), 1e-9)
    gap = (plan.minimised - plan.lower_bound) / least
    noise = 1e-14 * (abs(plan.minimised) + abs(plan.lower_bound)) / least  # of taking off what is far larger
    if differs(plan.relative_gap, gap, (1e-6 + noise) * max(1.0, abs(gap))):
        yield Violation(ViolationCode.GAP, "plan", f"says {plan.relative_gap}, and it is {gap}")


def _check_duals(case: Case, tenants: Sequence[TenantUse]) -> Iterator[Violation]:
    duals, n = case.plan.duals, case.grid.n_slots
    by_pool, by_site = (duals.capacity, duals.reserve), (duals.power, duals.peak)
    known = all(key in case.fleet.pools for rows in by_pool for key in rows)
    known &= all(key in case.fleet.by_site for rows in by_site for key in rows)
    known &= all(key in case.fleet.by_site for key in duals.work)
    values = [row for rows in (*by_pool, *by_site) for row in rows.values()]
    signed = list(duals.work.values())
    if not known or any(len(row) != n for row in (*values, *signed)):
        yield Violation(
            ViolationCode.DUALS, "plan", "prices are not one a slot of the fleet's pools and sites"
        )
    elif not all(np.isfinite(v) for row in signed for v in row):
        yield Violation(ViolationCode.DUALS, "plan", "a price of work is no number")
    elif not all(0 <= v < np.inf for row in values for v in row):
        yield Violation(ViolationCode.DUALS, "plan", "a price of a limit is negative")
    if len(duals.budget) != len(case.fleet.objective.budgets) or not all(
        0 <= v < np.inf for v in duals.budget
    ):
        yield Violation(ViolationCode.DUALS, "plan", "prices of budgets are not one each, never negative")
    quotas = {one.tenant.name for one in tenants if one.left is not None}
    if duals.quota.keys() != quotas or not all(
        len(row) == n and all(0 <= v < np.inf for v in row) for row in duals.quota.values()
    ):
        detail = "prices of quotas are not one a slot for each tenant that has one, never negative"
        yield Violation(ViolationCode.DUALS, "plan", detail)
    for name, row in duals.peak.items():
        site = case.fleet.by_site.get(name)
        if site is not None and sum(row) > site.demand_charge_per_kw * (1 + 1e-6) + 1e-6:
            yield Violation(ViolationCode.DUALS, name, "the peak's prices exceed the demand charge")


def certified(case: Case, loads: Sequence[SiteLoad], tenants: Sequence[TenantUse]) -> float:
    """The bound [currency] on every plan that does of each workload what this one does."""
    hours, none = case.grid.slot_hours, np.zeros(case.grid.n_slots)
    rest = 1 / case.rest_ratio  # all that work can still hold of each slot
    duals, quotas = case.plan.duals, _QuotaPrices.of(case, tenants)
    fairness = case.fleet.objective.fairness_cost_per_accelerator_hour
    # What is not done is the same in every such plan, and so is what fairness charges for it.
    total = sum((one.fairness_cost(fairness) for one in tenants), 0.0)
    for one in tenants:
        if one.left is not None:
            total -= float(quotas.rows[one.tenant.name] @ one.bounded)
    if duals.work or not is_plain(case.fleet):
        paid = load_prices(case)
        per_kw_of = {key: paid.per_kw[key[0]] for key in paid.room}
        firm_room = {key: paid.room[key] + paid.reserve[key] for key in paid.room}
        prices = _Prices(per_kw_of, dict(paid.room), firm_room, quotas)
        return total + fleet_cost(case, loads, paid) + _work_cost(case, prices)
    prices = _Prices({}, {}, {}, quotas)
    for load in loads:
        site = load.site
        power, peak = (np.array(d.get(site.name, none)) for d in (duals.power, duals.peak))
        limited = np.isfinite(load.limit_kw)
        power = np.where(limited, power, 0.0)
        peak *= min(1.0, site.demand_charge_per_kw / peak.sum()) if peak.sum() > 0 else 0.0
        base_kw = load.median_kw + load.pinned_kw
        per_kw = hours * load.unit_cost_per_kwh + power + peak
        # Where real-time load alone is over the limit, nothing is left of it.
        left_kw = np.maximum(0.0, np.where(limited, load.limit_kw - load.given_kw(case), 0.0))
        total += float(hours * load.unit_cost_per_kwh @ base_kw - power @ (left_kw * rest))
        total += float(peak @ (base_kw - site.peak_so_far_kw))
        if site.battery is not None:
            total += _battery_cost(case, load, site.battery, per_kw - power * (1 - rest))
        for pool in site.pools:
            key = (site.name, pool.name)
            room, reserve = (np.array(d.get(key, none)) for d in (duals.capacity, duals.reserve))
            total -= float(room @ (case.any_room[key] * rest))
            total -= float(reserve @ (case.firm_room[key] * rest))
            prices.per_kw[key], prices.any[key], prices.firm[key] = per_kw, room, room + reserve
    return total + _work_cost(case, prices)


@dataclass(frozen=True, eq=False)
class _QuotaPrices:
    """Of each tenant with a quota: its price, (n_slots,), and the pools that it counts."""

    rows: dict[str, Floats]
    counted: dict[str, set[PoolKey]]

    @classmethod
    def of(cls, case: Case, tenants: Sequence[TenantUse]) -> _QuotaPrices:
        """As the plan has them; what may be exceeded at a price is worth no more."""
        rows: dict[str, Floats] = {}
        counted: dict[str, set[PoolKey]] = {}
        for one in tenants:
            if one.left is not None:
                most = np.inf if one.price is None else one.price * case.grid.slot_hours
                rows[one.tenant.name] = np.minimum(case.plan.duals.quota[one.tenant.name], most)
                pools = case.fleet.pools.items()
                counted[one.tenant.name] = {key for key, (_, p) in pools if one.tenant.counts(p.accelerator)}
        return cls(rows, counted)


@dataclass(frozen=True, eq=False)
class _Prices:
    """Of each pool, (n_slots,): a kW of its site, and an accelerator of what may be preempted and of what may not."""

    per_kw: dict[PoolKey, Floats]
    any: dict[PoolKey, Floats]
    firm: dict[PoolKey, Floats]
    quotas: _QuotaPrices

    def of(self, way: Way, soft: bool, tenant: str | None) -> Floats:
        """An accelerator of a tenant that has a quota, or of any other, that runs in this way for a whole slot."""
        price: Floats = way.step_kw * self.per_kw[way.key] + (self.any if soft else self.firm)[way.key]
        if tenant is not None and way.key in self.quotas.counted[tenant]:
            price = price + self.quotas.rows[tenant]
        return price


@dataclass(frozen=True, eq=False)
class _Steps:
    """What one accelerator can do in each slot, cheapest work first: (n_steps, n_slots) hours of work, and their cost.

    Steps of a slot are the convex envelope of its pools' (work, cost) and of idling.
    """

    work: Floats
    cost: Floats

    @classmethod
    def of(cls, rates: Floats, prices: Floats) -> _Steps:
        """`rates` (n_pools,) per hour, `prices` (n_pools, n_slots) for a whole slot."""
        at_rate, at_price = (np.zeros(prices.shape[1]) for _ in range(2))
        work, cost = [], []
        for _ in rates:
            more = rates[:, None] - at_rate
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = np.where(more > 0, (prices - at_price) / more, np.inf)
            best = slope.argmin(axis=0)
            live = np.isfinite(slope.min(axis=0))
            to_rate = np.where(live, rates[best], at_rate)
            to_price = np.where(live, prices[best, np.arange(len(best))], at_price)
            work.append(to_rate - at_rate)
            cost.append(to_price - at_price)
            at_rate, at_price = to_rate, to_price
        return cls(np.array(work), np.array(cost))

    def cheapest_first(self, slot_hours: float) -> tuple[Floats, Floats, Floats]:
        """Work [h], cost and slot of every step, in order of cost per work, (n,) each."""
        slot = np.tile(np.arange(self.work.shape[1]), len(self.work))
        work, cost = self.work.ravel() * slot_hours, self.cost.ravel()
        some = work > 0
        order = np.argsort(cost[some] / work[some], kind="stable")
        return work[some][order], cost[some][order], slot[some][order].astype(float)


def _work_cost(case: Case, prices: _Prices) -> float:
    """Each workload's cheapest way to do what is planned of it, summed. Those of one kind see the same steps."""
    about = case.about
    work = np.where(about.pinned, 0.0, np.minimum(about.remaining, case.done_work))
    # Of how many accelerators it may use, no more matters than whether that is one replica.
    largest = max((n for m in case.fleet.models for n in m.accelerators_per_replica.values()), default=1)
    width = np.minimum(about.most, largest)
    names = list(prices.quotas.rows)
    numbers = {name: i for i, name in enumerate(names)}
    quota = np.full(len(case.work), -1)
    if names:
        quota[:] = [numbers.get(item.workload.tenant, -1) for item in case.work.values()]
    order = np.lexsort((about.soft, width, about.kind, quota))
    order = order[work[order] > 0]
    alike = np.all([np.diff(trait[order]) == 0 for trait in (about.kind, width, about.soft, quota)], axis=0)
    ids, total = list(case.work), 0.0
    start, end = _windows(case)
    for members in np.split(order, np.flatnonzero(~alike) + 1) if len(order) else ():
        ways, soft = case.usable(ids[members[0]]), bool(about.soft[members[0]])
        if not ways:
            continue
        of_quota = names[quota[members[0]]] if quota[members[0]] >= 0 else None
        fastest = max(way.rate for way in ways)
        ratios = np.array([way.rate / fastest for way in ways])
        steps = _Steps.of(ratios, np.array([prices.of(way, soft, of_quota) for way in ways]))
        loads = any(way.load > timedelta(0) for way in ways)
        for at in range(0, len(members), AT_ONCE):
            some = members[at : at + AT_ONCE]
            need = work[some] / fastest / about.most[some]
            costs = _cost_of(steps, need, (start[some], end[some]), loads, case.grid.slot_hours)
            total += float(about.most[some] @ costs)
    return total


def _cost_of(
    steps: _Steps, need: Floats, window: tuple[Floats, Floats], loads: bool, slot_hours: float
) -> Floats:
    """What one accelerator of each workload costs at the least: it takes the cheapest steps of its window until it has
    done the hours that it needs, (n_work,)."""
    work, cost, slot = steps.cheapest_first(slot_hours)
    start, end = window
    total = np.zeros(len(need))
    unmet = np.arange(len(need))
    for at in range(0, len(work), STEPS_AT_ONCE):
        part = slice(at, at + STEPS_AT_ONCE)
        inside = np.minimum(slot[part] + 1, end[unmet, None]) - np.maximum(slot[part], start[unmet, None])
        share = np.clip(inside, 0.0, 1.0)
        offered = share * work[part]
        before = np.cumsum(offered, axis=1) - offered
        taken = np.clip(need[unmet, None] - before, 0.0, offered)
        if loads:  # loading draws power and does no work: at negative prices, that is a gain
            taken = np.where(cost[part] < 0, offered, taken)
        total[unmet] += taken @ (cost[part] / work[part])
        need[unmet] -= offered.sum(axis=1)
        unmet = unmet[(need[unmet] > 0) | (loads and cost[part][-1] < 0)]
        if not len(unmet):
            break
    return total


def _windows(case: Case) -> tuple[Floats, Floats]:
    """From when each may run, and until when, in slots of the grid, (n_work,) each.

    Its chain's deadline binds where all that waits for it is planned in full, and so is in every plan that does this
    work. Else what binds is its own, if any.
    """
    about, slot_us = case.about, microseconds(case.grid.slot)
    now, end = since_us(case.grid, (case.now, case.grid.end))
    start = np.maximum(about.earliest_us, now)
    last = np.minimum(about.own_deadline_us, end)
    rows = _rows_before_whole_chains(case)
    last[rows] = np.minimum(last[rows], about.deadline_us[rows])
    return start / slot_us, np.maximum(start, last) / slot_us


def _rows_before_whole_chains(case: Case) -> list[int]:
    """Steps of which all that waits for them, at any distance, is planned in full."""
    steps = {id: item.workload.depends_on for id, item in case.work.items() if id not in case.pinned}
    waited_for = {other for others in steps.values() for other in others} & steps.keys()
    whole = case.done_work >= case.about.remaining * (1 - WHOLE_TOLERANCE)
    unfinished = [id for id in steps if not whole[case.rows[id]]] if waited_for else []
    while unfinished:
        freed = waited_for.intersection(steps[unfinished.pop()])
        waited_for -= freed
        unfinished += freed
    return [case.rows[id] for id in waited_for]


def _battery_cost(case: Case, load: SiteLoad, battery: Battery, per_kw: Floats) -> float:
    """The least that the battery could cost at these prices of import, alone: a small linear program."""
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, hstack

    n, hours = case.grid.n_slots, case.grid.slot_hours
    least = np.append(required_kwh(case, load, battery), battery.initial_kwh)
    most = np.full(n + 1, float(battery.energy_kwh))
    least[0] = most[0] = battery.initial_kwh
    # Charge, discharge and stored energy:  stored[t+1] - stored[t] = hours * (what charge gains - what discharge takes)
    one, change = eye_array(n), eye_array(n, n + 1, k=1) - eye_array(n, n + 1)
    gain = hours * battery.charge_efficiency
    balance: Any = hstack([-gain * one, hours / battery.discharge_efficiency * one, change]).tocsr()
    found: Any = linprog(
        np.concatenate([per_kw, battery.wear_cost_per_kwh * hours - per_kw, np.zeros(n + 1)]),
        A_eq=balance,
        b_eq=np.zeros(n),
        bounds=[(0.0, battery.power_kw)] * (2 * n)
        + [(a, b) for a, b in np.column_stack([least, most]).tolist()],
        method="highs",
    )
    if found.status == 0:
        return float(found.fun)
    # More than it could ever earn: a bound all the same.
    return -2 * battery.power_kw * float(np.abs(per_kw).sum())
