"""The verifier: every condition of the contract, recomputed from the plan and its inputs alone.

It shares no code with what makes plans (`problem`, `solve`, `pack`, `settle`): it reads allocations in UTC and does its
own sums. `plan_cycle` runs it on every plan before anyone sees it, and `shifter plan --verify` on any plan at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import Fleet, GridEvent, PoolKey, Site, limits_in_force
from shifter.domain.plan import Allocation, Plan
from shifter.domain.workload import Classified, load_time, replica_size, work_rates
from shifter.realtime.reserve import Envelope

SLACK = timedelta(milliseconds=1)
LEVEL_TOLERANCE = 1e-4
"""Accelerators."""
KW_TOLERANCE = 1e-3
"""kW, and as a share of large imports."""
DONE_TOLERANCE = 1e-4
"""Share of a workload's work."""
MONEY_TOLERANCE = 1e-6
"""Share of the bill."""


@dataclass(frozen=True)
class Violation:
    """A condition that does not hold: its code, what it is about, and by how much."""

    code: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}: {self.detail}"


@dataclass(frozen=True, eq=False)
class _Case:
    plan: Plan
    work: Mapping[str, Classified]
    fleet: Fleet
    frame: ForecastFrame
    envelope: Envelope
    grid_events: tuple[GridEvent, ...]
    pinned: Mapping[str, Allocation]
    """By workload: where it runs and must stay, from the moment of planning on."""

    @property
    def grid(self) -> SlotGrid:
        return self.frame.grid


def verify(
    plan: Plan,
    work: Sequence[Classified],
    *,
    fleet: Fleet,
    frame: ForecastFrame,
    envelope: Envelope,
    grid_events: tuple[GridEvent, ...] = (),
    pinned: tuple[Allocation, ...] = (),
) -> list[Violation]:
    """All violations, in a fixed order; empty for a plan that may be published.

    `work` is what was to be planned, and what is `pinned`: that must be in the plan as it stands, from the moment of
    planning to the horizon's end. It is not held to its window; and where it and real-time load alone are over a
    limit, no plan can mend it, and the plan must only not add to it.
    """
    stays = {
        a.workload_id: replace(a, start=max(a.start, plan.created_at), end=min(a.end, frame.grid.end))
        for a in pinned
    }
    case = _Case(plan, {item.workload.id: item for item in work}, fleet, frame, envelope, grid_events, stays)
    known = list(_check_known(case))
    if known:
        return known  # the rest would only repeat that names or grids do not match
    checks = (
        _check_pinned,
        _check_allocations,
        _check_work,
        _check_order,
        _check_pools,
        _check_slots,
        _check_power,
        _check_bound,
    )
    return [violation for check in checks for violation in check(case)]


def _check_known(case: _Case) -> Iterator[Violation]:
    horizon, grid = case.plan.horizon, case.grid
    if (horizon.start, horizon.end, horizon.slot_minutes) != (grid.start, grid.end, grid.slot_minutes):
        yield Violation("grid", "horizon", "the plan's horizon is not that of its inputs")
    if case.plan.currency != case.fleet.currency:
        yield Violation("currency", case.plan.currency, f"the fleet's currency is {case.fleet.currency}")
    for a in case.plan.allocations:
        if a.workload_id not in case.work:
            yield Violation("unknown_workload", a.workload_id, "is not deferrable work of these inputs")
        if (a.site, a.pool) not in case.fleet.pools:
            yield Violation("unknown_pool", f"{a.site}/{a.pool}", "is not in the fleet")


def _check_pinned(case: _Case) -> Iterator[Violation]:
    groups = _by_workload(case)
    for id, stays in case.pinned.items():
        if groups.get(id, []) != [stays]:
            yield Violation(
                "pinned", id, f"runs in {stays.site}/{stays.pool}, and the plan does not leave it there"
            )


def _check_allocations(case: _Case) -> Iterator[Violation]:
    grid = case.grid
    allowed = {id: work_rates(item.workload, case.fleet) for id, item in case.work.items()}
    for a in case.plan.allocations:
        if a.workload_id in case.pinned:
            continue
        item, key = case.work[a.workload_id], (a.site, a.pool)
        subject = f"{a.workload_id} in {a.site}/{a.pool} at {a.start.isoformat()}"
        if a.end <= a.start or a.start < grid.start - SLACK or a.end > grid.end + SLACK:
            yield Violation("interval", subject, "is empty, or outside the horizon")
        if a.start < case.plan.created_at - SLACK:
            yield Violation(
                "past", subject, f"starts before the plan was made at {case.plan.created_at.isoformat()}"
            )
        if a.start < item.earliest_start - SLACK or (
            item.deadline is not None and a.end > item.deadline + SLACK
        ):
            yield Violation("window", subject, f"lies outside [{item.earliest_start}, {item.deadline})")
        if key not in allowed[a.workload_id]:
            yield Violation("pool_not_allowed", subject, "by its sites, data boundary, accelerators or model")
        if a.accelerators < 1 or a.accelerators % replica_size(item.workload, case.fleet, key):
            yield Violation("replica", subject, f"{a.accelerators} is not a whole number of replicas")


def _by_workload(case: _Case) -> dict[str, list[Allocation]]:
    groups: defaultdict[str, list[Allocation]] = defaultdict(list)
    for a in case.plan.allocations:
        groups[a.workload_id].append(a)
    return groups


def _check_work(case: _Case) -> Iterator[Violation]:
    groups, unplaced = _by_workload(case), {u.workload_id for u in case.plan.unplaced}
    for id, item in case.work.items():
        if id in case.pinned:
            continue
        own = groups.get(id, [])
        done = sum(_work_done(case, item, a) for a in own)
        due = item.deadline is None or item.deadline <= case.grid.end
        if due and done < item.remaining * (1 - DONE_TOLERANCE) and id not in unplaced:
            yield Violation(
                "not_done", id, f"{done / item.remaining:.2%} of it is planned, and it is not listed"
            )
        highest = max((level for _, _, level in _levels(own)), default=0)
        if highest > item.workload.max_accelerators:
            yield Violation(
                "max_accelerators", id, f"{highest} at once, over {item.workload.max_accelerators}"
            )
        if not item.workload.interruptible and own:
            pieces = sorted(own, key=lambda a: a.start)
            shape = {(a.site, a.pool, a.accelerators) for a in pieces}
            gap = any(b.start - a.end > SLACK for a, b in pairwise(pieces))
            if len(shape) > 1 or gap:
                yield Violation("interrupted", id, "may not be interrupted, moved or resized")


def _work_done(case: _Case, item: Classified, a: Allocation) -> float:
    rates = work_rates(item.workload, case.fleet)
    useful = max(timedelta(0), a.end - a.start - load_time(item.workload, case.fleet))
    return a.accelerators * rates.get((a.site, a.pool), 0.0) * (useful / timedelta(hours=1))


def _check_order(case: _Case) -> Iterator[Violation]:
    groups, unplaced = _by_workload(case), {u.workload_id for u in case.plan.unplaced}
    for id, own in groups.items():
        if id in case.pinned:
            continue  # it has begun
        first = min(a.start for a in own)
        for other in case.work[id].workload.depends_on:
            if other not in case.work:
                continue  # done already, or real-time: it is not this plan's to order
            last = max((a.end for a in groups.get(other, [])), default=None)
            if last is None or first < last - SLACK:
                yield Violation("order", id, f"starts before {other} ends")
            elif other in unplaced:
                yield Violation("order", id, f"is planned, but {other} is not planned in full")


def _levels(allocations: Iterable[Allocation]) -> Iterator[tuple[datetime, datetime, int]]:
    """The accelerators in use between one change and the next."""
    changes: defaultdict[datetime, int] = defaultdict(int)
    for a in allocations:
        changes[a.start] += a.accelerators
        changes[a.end] -= a.accelerators
    level = 0
    for moment, following in pairwise(sorted(changes)):
        level += changes[moment]
        if level:
            yield moment, following, level


def _check_pools(case: _Case) -> Iterator[Violation]:
    groups: defaultdict[PoolKey, list[Allocation]] = defaultdict(list)
    for a in case.plan.allocations:
        groups[(a.site, a.pool)].append(a)
    for key, own in groups.items():
        held = case.envelope[key]
        firm = [a for a in own if not case.work[a.workload_id].workload.preemptible]
        limits = (("capacity", own, held.quantile), ("reserve", firm, held.reserved))
        for code, members, kept in limits:
            for start, end, level in _levels(members):
                if all(a.workload_id in case.pinned for a in members if a.start <= start and a.end > start):
                    continue
                for t in _slots_between(case.grid, start, end):
                    if level + kept[t] > held.count + LEVEL_TOLERANCE:
                        free = held.count - kept[t]
                        yield Violation(
                            code, f"{key[0]}/{key[1]} slot {t}", f"{level} in use, {free:.3f} free for it"
                        )


def _slots_between(grid: SlotGrid, start: datetime, end: datetime) -> range:
    first, last = (start - grid.start) // grid.slot, -((grid.start - end) // grid.slot)
    return range(max(0, first), min(grid.n_slots, last))


def _means(
    case: _Case, allocations: Iterable[Allocation]
) -> tuple[dict[PoolKey, Floats], dict[PoolKey, Floats]]:
    """Mean accelerators by slot of all allocations, and of the preemptible ones."""
    every = {key: np.zeros(case.grid.n_slots) for key in case.fleet.pools}
    preemptible = {key: np.zeros(case.grid.n_slots) for key in case.fleet.pools}
    for a in allocations:
        for t in _slots_between(case.grid, a.start, a.end):
            slot_start = case.grid.start + t * case.grid.slot
            overlap = (min(a.end, slot_start + case.grid.slot) - max(a.start, slot_start)) / case.grid.slot
            every[(a.site, a.pool)][t] += a.accelerators * overlap
            if case.work[a.workload_id].workload.preemptible:
                preemptible[(a.site, a.pool)][t] += a.accelerators * overlap
    return every, preemptible


def _check_slots(case: _Case) -> Iterator[Violation]:
    every, preemptible = _means(case, case.plan.allocations)
    rows = {(r.site, r.pool, r.start): r for r in case.plan.slots}
    for key in case.fleet.pools:
        held = case.envelope[key]
        for t, start in enumerate(case.grid.edges[:-1]):
            row, subject = rows.get((*key, start)), f"{key[0]}/{key[1]} slot {t}"
            if row is None:
                yield Violation("slot_row", subject, "is missing")
                return
            said = np.array([row.deferrable, row.preemptible, row.reserved, row.realtime_p50])
            real = np.array([every[key][t], preemptible[key][t], held.reserved[t], held.median[t]])
            if np.abs(said - real).max() > 1e-4:
                yield Violation("slot_row", subject, f"says {said.tolist()}, and it is {real.tolist()}")


def _check_power(case: _Case) -> Iterator[Violation]:
    every, _ = _means(case, case.plan.allocations)
    stays, _ = _means(case, case.pinned.values())
    totals = dict.fromkeys(("energy", "carbon", "demand_charge", "battery_wear"), 0.0)
    carbon_kg = 0.0
    for site in case.fleet.sites:
        rows = [r for r in case.plan.power if r.site == site.name]
        if [r.start for r in rows] != case.grid.edges[:-1]:
            yield Violation("power_row", site.name, "rows are missing or out of order")
            continue
        charge, discharge = np.array([r.charge_kw for r in rows]), np.array([r.discharge_kw for r in rows])
        median, quantile, busy = _site_kw(case, site, every)
        imports = median + busy + charge - discharge
        tolerance = KW_TOLERANCE * np.maximum(1.0, np.abs(imports) / 1000)
        if (np.abs(np.array([r.import_kw for r in rows]) - imports) > tolerance).any():
            yield Violation("import", site.name, "import_kw is not what the allocations draw")
        given = quantile + _site_kw(case, site, stays)[2]
        yield from _check_limit(case, site, given, quantile + busy - given, charge - discharge)
        if (imports < -KW_TOLERANCE).any():
            yield Violation("export", site.name, f"down to {imports.min():.3f} kW")
        yield from _check_battery(case, site, charge, discharge, np.array([r.stored_kwh for r in rows]))
        hours = case.grid.slot_hours
        price, carbon = (
            _known(case.frame.price_per_mwh(site.zone)),
            _known(case.frame.carbon_g_per_kwh(site.zone)),
        )
        kg = float((imports * hours * carbon).sum() / 1000)
        carbon_kg += kg
        totals["energy"] += float((imports * hours * price).sum() / 1000)
        totals["carbon"] += kg * case.fleet.objective.carbon_price_per_tonne / 1000
        totals["demand_charge"] += site.demand_charge_per_kw * max(
            0.0, float(imports.max()) - site.peak_so_far_kw
        )
        if site.battery is not None:
            totals["battery_wear"] += site.battery.wear_cost_per_kwh * float(discharge.sum()) * hours
    scale = max(1.0, sum(abs(v) for v in totals.values()))
    for name, value in totals.items():
        if abs(getattr(case.plan.cost, name) - value) > MONEY_TOLERANCE * scale:
            yield Violation("cost", name, f"says {getattr(case.plan.cost, name):.6f}, and it is {value:.6f}")
    if abs(case.plan.carbon_kg - carbon_kg) > MONEY_TOLERANCE * max(1.0, carbon_kg):
        yield Violation("carbon_kg", "plan", f"says {case.plan.carbon_kg:.6f}, and it is {carbon_kg:.6f}")


def _known(values: Floats) -> Floats:
    """Unknown values at the mean of the known ones, 0 where none is: what the contract's cost counts them as here."""
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)


def _site_kw(case: _Case, site: Site, every: Mapping[PoolKey, Floats]) -> tuple[Floats, Floats, Floats]:
    """Import of idle and real-time load at the median, the same at the quantile, and of deferrable work [kW]."""
    median, quantile, busy = (np.zeros(case.grid.n_slots) for _ in range(3))
    for pool in site.pools:
        held, idle = case.envelope[(site.name, pool.name)], pool.idle_kw * pool.count
        step = pool.busy_kw - pool.idle_kw
        median += site.pue * (idle + step * held.median)
        quantile += site.pue * (idle + step * held.quantile)
        busy += site.pue * step * every[(site.name, pool.name)]
    return median, quantile, busy


def _check_limit(
    case: _Case, site: Site, quantile: Floats, busy: Floats, battery_kw: Floats
) -> Iterator[Violation]:
    edges = case.grid.edges
    for t in range(case.grid.n_slots):
        limit = limits_in_force(site, case.grid_events, edges[t], edges[t + 1])
        drawn = quantile[t] + busy[t] + battery_kw[t]
        # Real-time load, with what runs and stays, may exceed a limit: that is a fault of the site, which the plan
        # must not add to.
        if drawn > limit + KW_TOLERANCE and (
            busy[t] > 1e-6 or battery_kw[t] > KW_TOLERANCE or quantile[t] <= limit
        ):
            yield Violation(
                "power_limit", f"{site.name} slot {t}", f"{drawn:.3f} kW at the quantile, limit {limit:.3f}"
            )


def _check_battery(
    case: _Case, site: Site, charge: Floats, discharge: Floats, stored: Floats
) -> Iterator[Violation]:
    battery = site.battery
    if battery is None:
        if charge.any() or discharge.any():
            yield Violation("battery", site.name, "has none")
        return
    hours = case.grid.slot_hours
    gain = hours * (charge * battery.charge_efficiency - discharge / battery.discharge_efficiency)
    after = stored + gain
    if (
        abs(stored[0] - battery.initial_kwh) > KW_TOLERANCE
        or np.abs(stored[1:] - after[:-1]).max(initial=0) > 1e-3
    ):
        yield Violation("battery_balance", site.name, "stored energy is not what charge and discharge leave")
    if after[-1] < battery.initial_kwh - KW_TOLERANCE:
        yield Violation("battery_end", site.name, f"ends at {after[-1]:.3f} kWh, below the start")
    load_kw = sum(
        (site.pue * p.busy_kw * case.envelope[(site.name, p.name)].quantile for p in site.pools),
        np.zeros(case.grid.n_slots),
    )
    floor = np.maximum(battery.min_kwh, site.resilience.ride_through_minutes / 60 * load_kw)
    short = np.minimum(floor, _reachable_kwh(case, site)) - stored
    if (short > 1e-3).any():
        yield Violation(
            "battery_floor", site.name, f"{short.max():.3f} kWh short of a floor that it could hold"
        )
    over = max(
        charge.max() - battery.power_kw, discharge.max() - battery.power_kw, stored.max() - battery.energy_kwh
    )
    if over > KW_TOLERANCE or min(charge.min(), discharge.min(), stored.min()) < -KW_TOLERANCE:
        yield Violation("battery_limits", site.name, "power or energy outside its limits")


def _reachable_kwh(case: _Case, site: Site) -> Floats:
    """The most that the battery could hold at each slot's start, charged as fast as the limits allow from the start."""
    battery = site.battery
    assert battery is not None
    edges = case.grid.edges
    _, quantile, pinned_kw = _site_kw(case, site, _means(case, case.pinned.values())[0])
    stored, most = battery.initial_kwh, np.zeros(case.grid.n_slots)
    for t in range(case.grid.n_slots):
        most[t] = stored
        given_kw = quantile[t] + pinned_kw[t]
        if (
            edges[t] < case.plan.created_at
        ):  # pinned work that began or ends in the running slot: at its full draw
            given_kw = quantile[t] + _at_full_draw_kw(case, site)
        free_kw = limits_in_force(site, case.grid_events, edges[t], edges[t + 1]) - given_kw
        charge_kw = min(battery.power_kw, max(0.0, free_kw))
        gain = case.grid.slot_hours * battery.charge_efficiency * charge_kw
        stored = min(battery.energy_kwh, stored + gain)
    return most


def _at_full_draw_kw(case: _Case, site: Site) -> float:
    dynamic = {pool.name: pool.busy_kw - pool.idle_kw for pool in site.pools}
    own = (a for a in case.pinned.values() if a.site == site.name)
    return site.pue * sum(a.accelerators * dynamic[a.pool] for a in own)


def _check_bound(case: _Case) -> Iterator[Violation]:
    plan = case.plan
    values = [*plan.duals.capacity.values(), *plan.duals.reserve.values(), *plan.duals.power.values()]
    if any(v < 0 for row in [*values, *plan.duals.peak.values()] for v in row):
        yield Violation("duals", "plan", "a price of a limit is negative")
    for site in case.fleet.sites:
        total = sum(plan.duals.peak.get(site.name, ()))
        if total > site.demand_charge_per_kw * (1 + 1e-6) + 1e-6:
            yield Violation("duals", site.name, "the peak's prices exceed the demand charge")
    if plan.lower_bound > plan.cost.total + 1e-6 * max(1.0, abs(plan.cost.total)):
        yield Violation(
            "bound", "plan", f"the lower bound {plan.lower_bound} exceeds the cost {plan.cost.total}"
        )
