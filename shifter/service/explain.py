"""Why this class, why these slots, and what they cost against running at once: sentences with the numbers in
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shifter.domain.plan import Allocation, Plan, PowerRow, WorkloadPlan
from shifter.domain.workload import WorkloadClass, work_rates
from shifter.service.core import Core
from shifter.service.present import state_at, workload_view
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord
from shifter.views import BindingLimit, ChainLink, Explanation, MeanSignals, WorkloadView

BINDS = 1e-6
"""A dual above this binds."""
MOST_LIMITS = 8


def explain(record: WorkloadRecord, core: Core) -> Explanation:
    """See `Service.explain`."""
    view, now, published = workload_view(record, core), core.now(), core.state.published
    share = published.shares.get(record.id) if published else None
    facts = _Facts.of(record, core, published) if published else None
    held = record.lease.allocations
    in_slots = facts.means_of(held) if facts and held else None
    in_window = facts.means_of_window() if facts else None
    limits = tuple(_limits(facts)) if facts else ()
    chain = tuple(_chain(record, core, now))
    why = tuple(_why_slots(view, share, in_slots, in_window, core.fleet.currency))
    overrides = [
        o for o in core.state.overrides if o.workload_id == record.id or o.rule == record.reason.rule
    ]
    saved = share.run_now_cost - share.cost if share else None
    saved_kg = share.run_now_carbon_kg - share.carbon_kg if share else None
    synthetic = published.plan.synthetic if published else False
    sentences = [record.reason.text, *why, *(limit.text for limit in limits), *_chain_text(chain)]
    if synthetic:
        sentences.append("Prices and carbon are synthetic, made up for a demonstration.")
    return Explanation(
        workload_id=record.id,
        state=view.state,
        decided=record.decided,
        reason=record.reason,
        override=overrides[-1] if overrides else None,
        sentences=tuple(sentences),
        why_slots=why,
        in_slots=in_slots,
        in_window=in_window,
        cost=view.cost,
        run_now_cost=view.run_now_cost,
        saved=saved,
        carbon_kg=view.carbon_kg,
        run_now_carbon_kg=view.run_now_carbon_kg,
        saved_carbon_kg=saved_kg,
        currency=core.fleet.currency,
        limits=limits,
        chain=chain,
        plan_id=published.plan.plan_id if published else None,
        synthetic=synthetic,
    )


@dataclass(frozen=True)
class _Facts:
    """What the plan says about the sites and slots where a workload may run."""

    plan: Plan
    rows: Mapping[str, tuple[PowerRow, ...]]
    pools: frozenset[tuple[str, str]]
    start: datetime
    end: datetime

    @classmethod
    def of(cls, record: WorkloadRecord, core: Core, published: Published) -> _Facts:
        plan = published.plan
        pools = frozenset(work_rates(record.workload, core.fleet))
        sites = {site for site, _ in pools}
        rows: dict[str, list[PowerRow]] = {site: [] for site in sites}
        for row in plan.power:
            if row.site in sites:
                rows[row.site].append(row)
        start = max(record.window_start, plan.created_at)
        end = min(record.window_deadline or plan.horizon.end, plan.horizon.end)
        return cls(plan, {site: tuple(of) for site, of in rows.items()}, pools, start, max(start, end))

    def means_of(self, held: Iterable[Allocation]) -> MeanSignals:
        """Means over what it holds, weighted by accelerators and time."""
        return _means(
            (row, a.accelerators * _overlap_s(row, a.start, a.end))
            for a in held
            for row in self.rows.get(a.site, ())
            if row.start < a.end and row.end > a.start
        )

    def means_of_window(self) -> MeanSignals:
        """Means over its window, over the sites that may run it."""
        return _means((row, _overlap_s(row, self.start, self.end)) for of in self.rows.values() for row in of)


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


def _why_slots(
    view: WorkloadView,
    share: WorkloadPlan | None,
    in_slots: MeanSignals | None,
    in_window: MeanSignals | None,
    currency: str,
) -> Iterable[str]:
    if view.decided is WorkloadClass.REAL_TIME:
        yield "It is not shifted: capacity is held back for it, so it has no slots of its own."
        return
    if share is None:
        yield view.note
        return
    if share.reason:
        yield share.reason
    if in_slots and in_window:
        yield from _compared(in_slots, in_window, currency)
    if view.planned_start and view.planned_finish:
        saved = share.run_now_cost - share.cost
        kg = share.run_now_carbon_kg - share.carbon_kg
        yield (
            f"It costs {share.cost:.2f} {currency} and {share.carbon_kg:.1f} kg CO2e; run at once it would "
            f"cost {share.run_now_cost:.2f} {currency} and {share.run_now_carbon_kg:.1f} kg: "
            f"{_saves(saved, 2, currency)}, {_saves(kg, 1, 'kg')}."
        )
    if not view.feasible:
        yield view.note


def _saves(amount: float, digits: int, unit: str) -> str:
    word = "saved" if amount >= 0 else "more"
    return f"{abs(amount):.{digits}f} {unit} {word}"


def _compared(slots: MeanSignals, window: MeanSignals, currency: str) -> Iterable[str]:
    if slots.price_per_mwh is not None and window.price_per_mwh is not None:
        yield (
            f"Its slots have a mean price of {slots.price_per_mwh:.1f} {currency}/MWh, against "
            f"{window.price_per_mwh:.1f} over its window."
        )
    if slots.carbon_g_per_kwh is not None and window.carbon_g_per_kwh is not None:
        yield (
            f"Their mean carbon intensity is {slots.carbon_g_per_kwh:.0f} g/kWh, against "
            f"{window.carbon_g_per_kwh:.0f} over its window."
        )


Kind = Literal["capacity", "reserve", "power", "peak"]


def _limits(facts: _Facts) -> Iterable[BindingLimit]:
    """Shared limits that cost something where it may run, the dearest first."""
    duals, sites = facts.plan.duals, set(facts.rows)
    found: list[BindingLimit] = []
    by_pool: tuple[tuple[Kind, Mapping[tuple[str, str], tuple[float, ...]]], ...] = (
        ("capacity", duals.capacity),
        ("reserve", duals.reserve),
    )
    for kind, prices in by_pool:
        for (site, pool), values in prices.items():
            if (site, pool) in facts.pools:
                found += _binding(kind, site, pool, values, facts)
    by_site: tuple[tuple[Kind, Mapping[str, tuple[float, ...]]], ...] = (
        ("power", duals.power),
        ("peak", duals.peak),
    )
    for kind, of in by_site:
        for site, values in of.items():
            if site in sites:
                found += _binding(kind, site, None, values, facts)
    return sorted(found, key=lambda b: -b.mean_price * b.slots)[:MOST_LIMITS]


_TEXTS: Mapping[Kind, str] = {
    "capacity": "{place} is full in {slots} slots of its window: one is worth {price:.4f} a slot.",
    "reserve": (
        "In {slots} slots of its window {place} has no accelerator left outside the real-time reserve: "
        "one is worth {price:.4f} a slot."
    ),
    "power": "{place} is at its power limit in {slots} slots of its window: 1 kW costs {price:.4f} a slot.",
    "peak": "In {slots} slots of its window {place} sets the demand charge: a kW there costs {price:.4f}.",
}


def _binding(
    kind: Kind, site: str, pool: str | None, values: tuple[float, ...], facts: _Facts
) -> Iterable[BindingLimit]:
    rows = facts.rows[site]
    inside = [
        v
        for v, r in zip(values, rows, strict=False)
        if v > BINDS and r.start < facts.end and r.end > facts.start
    ]
    if inside:
        price = sum(inside) / len(inside)
        place = site if pool is None else f"{site}/{pool}"
        text = _TEXTS[kind].format(place=place, slots=len(inside), price=price)
        yield BindingLimit(kind, site, pool, len(inside), price, text)


def _chain(record: WorkloadRecord, core: Core, now: datetime) -> Iterable[ChainLink]:
    records = core.state.records

    def link(other: str, relation: Literal["depends_on", "needed_by"]) -> ChainLink:
        found = records.get(other)
        if found is None:
            return ChainLink(other, relation, None, None, None)
        finish = max((a.end for a in found.lease.allocations), default=None)
        return ChainLink(other, relation, state_at(found, now), finish, found.window_deadline)

    for other in record.workload.depends_on:
        yield link(other, "depends_on")
    for waiting in list(records.values()):
        if record.id in waiting.workload.depends_on:
            yield link(waiting.id, "needed_by")


def _chain_text(chain: tuple[ChainLink, ...]) -> Iterable[str]:
    for link in chain:
        state = "is not kept any more" if link.state is None else f"is {link.state}"
        finish = (
            f", planned to finish by {link.planned_finish:%Y-%m-%d %H:%M} UTC" if link.planned_finish else ""
        )
        if link.relation == "depends_on":
            yield f"It starts only after {link.workload_id}, which {state}{finish}."
        else:
            yield f"{link.workload_id} waits for it, so it must be done by then."
