"""Which shared limits matter to a workload: those where it runs, and those that keep it from a cheaper site."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.options import Option, option_of, options_of
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation, PowerRow
from shifter.service.core import Core
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord
from shifter.views import BindingLimit, MeanSignals

BINDS = 1e-6
"""A dual above this binds."""
MOST_LIMITS = 8
MATERIAL = 0.005
"""What a limit could cost the workload, as a share of its cost, below which it is not worth a sentence."""

Kind = Literal["capacity", "reserve", "power", "peak", "quota"]


@dataclass(frozen=True)
class Facts:
    """What the plan says about the sites and slots where a workload may run."""

    plan: Plan
    fleet: Fleet
    rows: Mapping[str, tuple[PowerRow, ...]]
    kwh: Mapping[PoolKey, float]
    """What a unit of its work takes at the least, in each pool that may run it."""
    options: Mapping[Allocation, Option]
    """How each of its allocations runs."""
    held: tuple[Allocation, ...]
    width: int
    preemptible: bool
    tenant: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, record: WorkloadRecord, core: Core, published: Published) -> Facts:
        """Of its window, as far as the plan reaches."""
        plan = published.plan
        kwh: dict[PoolKey, float] = {}
        for option in options_of(record.workload, core.fleet):
            each = option.import_kw / option.rate
            kwh[option.key] = min(each, kwh.get(option.key, each))
        held = {a: option_of(record.workload, core.fleet, a) for a in record.lease.allocations}
        rows: defaultdict[str, list[PowerRow]] = defaultdict(list)
        for row in plan.power:
            rows[row.site].append(row)
        sites = dict.fromkeys(site for site, _ in kwh)
        start = max(record.window_start, plan.created_at)
        end = min(record.window_deadline or plan.horizon.end, plan.horizon.end)
        return cls(
            plan,
            core.fleet,
            {site: tuple(rows[site]) for site in sites},
            kwh,
            {a: option for a, option in held.items() if option is not None},
            record.lease.allocations,
            record.workload.max_accelerators,
            record.workload.preemptible,
            record.workload.tenant,
            start,
            max(start, end),
        )

    def means_held(self) -> MeanSignals | None:
        """Means over what it holds, weighted by accelerators and time; None where it holds nothing."""
        if not self.held:
            return None
        return _means(
            (row, a.accelerators * _overlap_s(row, a.start, a.end))
            for a in self.held
            for row in self.rows.get(a.site, ())
        )

    def means_of_window(self) -> MeanSignals:
        """Means over its window, over the sites that may run it."""
        return _means((row, _overlap_s(row, self.start, self.end)) for of in self.rows.values() for row in of)

    def kw(self, key: PoolKey) -> float:
        """What one busy accelerator adds to the site's import [kW]."""
        site, pool = self.fleet.pools[key]
        return pool.dynamic_kw * site.pue

    def work_cost(self, key: PoolKey, row: PowerRow) -> float | None:
        """Energy and carbon of a unit of its work there and then [currency]; None where the price is unknown."""
        per_kwh = self.per_kwh(row)
        return None if per_kwh is None else per_kwh * self.kwh[key]

    def per_kwh(self, row: PowerRow) -> float | None:
        """Energy with carbon at its price [currency/kWh]; None where the price is unknown."""
        if row.price_per_mwh is None:
            return None
        per_tonne = self.fleet.objective.carbon_price_per_tonne
        return (row.price_per_mwh + (row.carbon_g_per_kwh or 0.0) / 1000 * per_tonne) / 1000

    def mean_work_cost(self) -> float | None:
        """The same over what it holds, by work done; None where it holds nothing of a known price."""
        cost = work = 0.0
        for a in self.held:
            option = self.options.get(a)
            for row in self.rows.get(a.site, ()) if option is not None else ():
                per_kwh, used = self.per_kwh(row), a.accelerators * _overlap_s(row, a.start, a.end)
                if option is not None and per_kwh is not None:
                    cost, work = cost + used * option.import_kw * per_kwh, work + used * option.rate
        return cost / work if work else None


def _overlap_s(row: PowerRow, start: datetime, end: datetime) -> float:
    return max(0.0, (min(row.end, end) - max(row.start, start)).total_seconds())


def _means(weighted: Iterable[tuple[PowerRow, float]]) -> MeanSignals:
    sums = {"price": [0.0, 0.0], "carbon": [0.0, 0.0]}
    for row, weight in weighted:
        for name, value in (("price", row.price_per_mwh), ("carbon", row.carbon_g_per_kwh)):
            if value is not None and weight > 0:
                sums[name][0] += value * weight
                sums[name][1] += weight
    price, carbon = (s / w if w else None for s, w in sums.values())
    return MeanSignals(price, carbon)


def limits(facts: Facts, cost: float) -> tuple[BindingLimit, ...]:
    """Shared limits that cost this workload something, the dearest first. `cost` is its own share of the plan.

    A limit of a site or pool in which it does not run counts only in the slots in which it would have run there
    more cheaply, or where it has no place at all.
    """
    duals = facts.plan.duals
    mine = facts.mean_work_cost()
    found: list[BindingLimit] = []
    by_pool: tuple[tuple[Kind, Mapping[PoolKey, tuple[float, ...]]], ...] = (
        ("capacity", duals.capacity),
        ("reserve", duals.reserve),
    )
    for kind, prices in by_pool:
        for key, values in prices.items():
            # What may be preempted may stand on the reserve, so that limit is none of its own.
            if key in facts.kwh and not (kind == "reserve" and facts.preemptible):
                found += _binding(kind, key[0], (key,), values, facts, mine, cost)
    by_site: tuple[tuple[Kind, Mapping[str, tuple[float, ...]]], ...] = (
        ("power", duals.power),
        ("peak", duals.peak),
    )
    for kind, of in by_site:
        for site, values in of.items():
            pools = tuple(key for key in facts.kwh if key[0] == site)
            if pools:
                found += _binding(kind, site, pools, values, facts, mine, cost)
    found += _of_quota(facts, cost)
    return tuple(sorted(found, key=lambda b: -b.mean_price * b.slots)[:MOST_LIMITS])


def _of_quota(facts: Facts, cost: float) -> Iterable[BindingLimit]:
    """Its tenant's quota, where it counts accelerators that the work may run on."""
    tenant = facts.fleet.by_tenant.get(facts.tenant)
    prices = facts.plan.duals.quota.get(facts.tenant)
    counted = [key for key in facts.kwh if tenant and tenant.counts(facts.fleet.pools[key][1].accelerator)]
    if prices is None or not counted:
        return
    rows = facts.rows[counted[0][0]]
    inside = [
        value
        for value, row in zip(prices, rows, strict=False)
        if value > BINDS and _overlap_s(row, facts.start, facts.end) > 0
    ]
    if inside and sum(inside) * facts.width >= MATERIAL * abs(cost):
        price = sum(inside) / len(inside)
        text = _QUOTA.format(
            place=facts.tenant, slots=_slots_text(len(inside)), price=_price_text(price, facts)
        )
        yield BindingLimit("quota", None, None, len(inside), price, text)


_QUOTA = (
    "The quota of tenant {place} is used up in {slots} of its window: one accelerator more of it would save {price} a "
    "slot."
)


_HERE: Mapping[Kind, str] = {
    "capacity": "{place}, {where}, is full in {slots} of its window: one accelerator more would save {price} a slot.",
    "reserve": (
        "{place}, {where}, has no accelerator left outside the real-time reserve in {slots} of its window: one more "
        "would save {price} a slot."
    ),
    "power": "{place}, {where}, is at its power limit in {slots} of its window: 1 kW more would save {price} a slot.",
    "peak": "{place}, {where}, makes its peak in {slots} of its window: each kW there costs {price} of demand charge.",
}
_ELSEWHERE: Mapping[Kind, str] = {
    "capacity": "{place} could run it more cheaply in {slots} of its window, but is full then.",
    "reserve": (
        "{place} could run it more cheaply in {slots} of its window, but has no accelerator left outside the "
        "real-time reserve then."
    ),
    "power": "{place} could run it more cheaply in {slots} of its window, but is at its power limit then.",
    "peak": (
        "{place} could run it more cheaply in {slots} of its window, but makes its peak then: each kW more costs "
        "{price} of demand charge."
    ),
}


def _binding(
    kind: Kind,
    site: str,
    pools: tuple[PoolKey, ...],
    values: tuple[float, ...],
    facts: Facts,
    mine: float | None,
    cost: float,
) -> Iterable[BindingLimit]:
    held = any((a.site, a.pool) in pools for a in facts.held)
    inside = [
        value
        for value, row in zip(values, facts.rows[site], strict=False)
        if value > BINDS and _overlap_s(row, facts.start, facts.end) > 0
        if held or mine is None or _cheaper(facts, pools, row, mine)
    ]
    if not inside:
        return
    per_accelerator = max(facts.kw(key) for key in pools) if kind in {"power", "peak"} else 1.0
    if sum(inside) * facts.width * per_accelerator < MATERIAL * abs(cost):
        return
    price = sum(inside) / len(inside)
    pool = pools[0][1] if kind in {"capacity", "reserve"} else None
    text = (_HERE if held or mine is None else _ELSEWHERE)[kind].format(
        place=site if pool is None else f"{site}/{pool}",
        where="where it runs" if held else "which may run it",
        slots=_slots_text(len(inside)),
        price=_price_text(price, facts),
    )
    yield BindingLimit(kind, site, pool, len(inside), price, text)


def _slots_text(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"


def _price_text(price: float, facts: Facts) -> str:
    return f"{price:.2f} {facts.plan.currency}" if price >= 1 else f"{price:.2g} {facts.plan.currency}"


def _cheaper(facts: Facts, pools: tuple[PoolKey, ...], row: PowerRow, mine: float) -> bool:
    costs = (facts.work_cost(key, row) for key in pools)
    return any(cost is not None and cost < mine * (1 - MATERIAL) for cost in costs)
