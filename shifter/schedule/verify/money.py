"""What the plan says it costs and emits, as a whole and by workload, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime

import numpy as np

from forecasts.slots import Floats, isoformat_z
from shifter.domain.rows import Cost
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.churn import churn_cost
from shifter.schedule.verify.columns import microseconds, since_us
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.tenants import TenantUse
from shifter.schedule.verify.violation import Violation, ViolationCode

MONEY_TOLERANCE = 1e-6
"""Share of the bill (its parts without their signs), and currency where that is below 1; for carbon kg alike."""


def check_money(case: Case, loads: Sequence[SiteLoad], tenants: Sequence[TenantUse]) -> Iterator[Violation]:
    """Every figure of the bill is that of the imports."""
    plan, hours = case.plan, case.grid.slot_hours
    price = case.fleet.objective.fairness_cost_per_accelerator_hour
    real = replace(
        _cost(loads, hours),
        churn=churn_cost(case, loads),
        over_quota=sum(one.over_cost for one in tenants),
        fairness=sum(one.fairness_cost(price) for one in tenants),
        further=plan.cost.further,  # the word of those terms: nothing here knows them
    )
    allowed = money_tolerance(real)
    if not np.isfinite(real.further_total):
        yield Violation(ViolationCode.COST, "further", f"says {real.further_total}")
    for name in (f.name for f in fields(Cost) if f.name != "further"):
        said, is_ = getattr(plan.cost, name), getattr(real, name)
        if differs(said, is_, allowed):
            yield Violation(ViolationCode.COST, name, f"says {said:.6f}, and it is {is_:.6f}")
    kg = sum(hours * float(load.import_kw @ load.carbon_kg_per_kwh) for load in loads)
    if differs(plan.carbon_kg, kg, MONEY_TOLERANCE * max(1.0, abs(kg))):
        yield Violation(ViolationCode.CARBON_KG, "plan", f"says {plan.carbon_kg:.6f}, and it is {kg:.6f}")
    deferrable = real.demand_charge + hours * sum(float(s.busy_kw @ s.unit_cost_per_kwh) for s in loads)
    deferrable += real.over_quota + real.fairness + real.further_total
    if differs(plan.deferrable_total, deferrable, allowed):
        said = f"says {plan.deferrable_total:.6f}, and it is {deferrable:.6f}"
        yield Violation(ViolationCode.DEFERRABLE_TOTAL, "plan", said)
    yield from _check_baseline(case, loads)


def _cost(loads: Sequence[SiteLoad], hours: float) -> Cost:
    energy = carbon = demand = wear = generation = export = 0.0
    for load in loads:
        total = hours * float(load.import_kw @ load.unit_cost_per_kwh)
        of_carbon = load.carbon_price_per_kg * hours * float(load.import_kw @ load.carbon_kg_per_kwh)
        energy, carbon = energy + total - of_carbon, carbon + of_carbon
        over = float(load.import_kw.max()) - load.site.peak_so_far_kw
        demand += load.site.demand_charge_per_kw * max(0.0, over)
        if load.site.battery is not None:
            wear += load.site.battery.wear_cost_per_kwh * hours * float(load.discharge_kw.sum())
        if load.site.generation is not None:
            generation += load.site.generation.cost_per_kwh * hours * float(load.generated_kw.sum())
        export -= hours * float(load.export_kw @ load.export_price_per_kwh)
    return Cost(energy, carbon, demand, wear, generation, export)


def money_tolerance(cost: Cost) -> float:
    """How far a figure may be off a bill like this one [currency]."""
    amounts = {**vars(cost), **cost.further}
    size: float = sum(abs(amount) for name, amount in amounts.items() if name != "further")
    return MONEY_TOLERANCE * max(1.0, size)


def turnover(case: Case, loads: Sequence[SiteLoad]) -> float:
    """All that changes hands, it says, whoever pays whom, but for fairness, which is no money [currency]."""
    cost, total = case.plan.cost, 0.0
    for load in loads:
        imports = np.array([row.import_kw for row in load.rows])
        total += case.grid.slot_hours * float(imports @ np.abs(load.unit_cost_per_kwh))
    bought = {"energy", "carbon", "fairness", "further"}
    items = {**{k: v for k, v in vars(cost).items() if k not in bought}, **cost.further}
    return total + sum(map(abs, items.values()), 0.0)


def _check_baseline(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """What it rests on: running at once is the planner's own, but whatever it is, real-time load costs the same.

    Where sites generate, it costs that less what their plants save or earn, which is no more than all of it is worth.
    """
    base, hours = case.plan.baseline, case.grid.slot_hours
    real_time = hours * sum(float(load.median_kw @ load.unit_cost_per_kwh) for load in loads)
    worth = hours * sum(float(load.available_kw @ np.maximum(0.0, load.unit_cost_per_kwh)) for load in loads)
    left, allowed = base.total - base.deferrable_total, money_tolerance(Cost(base.total, real_time))
    if not real_time - worth - allowed <= left <= real_time + allowed:
        detail = f"leaves {left:.6f} for real-time load, which costs {real_time:.6f}"
        yield Violation(ViolationCode.BASELINE, base.name, detail)
    if not 0 <= base.unfinished_accelerator_hours <= base.late_accelerator_hours + 1e-6:
        yield Violation(ViolationCode.BASELINE, base.name, "more of it is unfinished than is late")


def check_shares(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """One row a workload, and in it what its own allocations draw, cost and emit."""
    rows = {row.workload_id: row for row in case.plan.workloads}
    if len(rows) < len(case.plan.workloads) or rows.keys() != case.work.keys():
        yield Violation(ViolationCode.WORKLOAD_ROW, "workloads", "has not one row for each workload")
        return
    allowed = money_tolerance(case.plan.cost)
    own = np.array([case.rows[id] for id in rows], dtype=np.int64)
    real = _shares(case, loads)[own]
    said = np.array([(r.energy_kwh, r.cost, r.carbon_kg) for r in rows.values()]).reshape(-1, 3)
    off = ~(np.abs(said - real) <= allowed + MONEY_TOLERANCE * np.abs(real))
    moved = np.zeros(len(rows), dtype=bool)
    for moments, name in zip(case.columns.span_us(len(case.work)), ("start", "finish"), strict=True):
        moved |= moments[own] != since_us(case.grid, (getattr(r, name) for r in rows.values()))
    ids = list(rows)
    for at in np.flatnonzero(off.any(axis=1) | moved).tolist():
        id, figures = ids[at], real[at]
        row, pieces = rows[id], case.own(id)
        start, finish = (
            min((a.start for a in pieces), default=None),
            max((a.end for a in pieces), default=None),
        )
        for name, moment in (("start", start), ("finish", finish)):
            if getattr(row, name) != moment:
                detail = f"{name} says {_moment(getattr(row, name))}, and it is {_moment(moment)}"
                yield Violation(ViolationCode.WORKLOAD_ROW, id, detail)
        for i in np.flatnonzero(off[at]):
            name = ("energy_kwh", "cost", "carbon_kg")[i]
            detail = f"{name} says {getattr(row, name):.6f}, and it is {figures[i]:.6f}"
            yield Violation(ViolationCode.WORKLOAD_ROW, id, detail)


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else isoformat_z(moment)


def _shares(case: Case, loads: Sequence[SiteLoad]) -> Floats:
    """Energy [kWh], cost and carbon [kg] of what each workload is allocated, (n_work, 3)."""
    columns, grid = case.columns, case.grid
    totals, edges = np.zeros((len(case.work), 3)), np.arange(grid.n_slots + 1)
    kw = columns.accelerators * case.step_kw(columns)
    start, end = (moments / microseconds(grid.slot) for moments in (columns.start_us, columns.end_us))
    site_of = np.array([[load.site.name for load in loads].index(site) for site, _ in case.fleet.pools])
    for i, load in enumerate(loads):
        here = np.flatnonzero(site_of[columns.pool] == i)
        for j, rate in enumerate((np.ones(grid.n_slots), load.unit_cost_per_kwh, load.carbon_kg_per_kwh)):
            # Of one kW, from the grid's start up to each slot's edge.
            up_to = np.append(0.0, np.cumsum(rate * grid.slot_hours))
            drawn = kw[here] * (np.interp(end[here], edges, up_to) - np.interp(start[here], edges, up_to))
            totals[:, j] += np.bincount(columns.work[here], drawn, len(totals))
    return totals
