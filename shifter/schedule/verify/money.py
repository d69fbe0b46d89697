"""What the plan says it costs and emits, as a whole and by workload, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from datetime import datetime

import numpy as np

from forecasts.slots import Floats, isoformat_z
from shifter.domain.plan import Allocation, Cost
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.violation import Violation, ViolationCode

MONEY_TOLERANCE = 1e-6
"""Share of the bill (its parts without their signs), and currency where that is below 1; for carbon kg alike."""


def check_money(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Every figure of the bill is that of the imports."""
    plan, hours = case.plan, case.grid.slot_hours
    real = _cost(loads, hours)
    allowed = money_tolerance(real)
    for name in ("energy", "carbon", "demand_charge", "battery_wear"):
        said, is_ = getattr(plan.cost, name), getattr(real, name)
        if differs(said, is_, allowed):
            yield Violation(ViolationCode.COST, name, f"says {said:.6f}, and it is {is_:.6f}")
    kg = sum(hours * float(load.import_kw @ load.carbon_kg_per_kwh) for load in loads)
    if differs(plan.carbon_kg, kg, MONEY_TOLERANCE * max(1.0, abs(kg))):
        yield Violation(ViolationCode.CARBON_KG, "plan", f"says {plan.carbon_kg:.6f}, and it is {kg:.6f}")
    deferrable = real.demand_charge + hours * sum(float(s.busy_kw @ s.unit_cost_per_kwh) for s in loads)
    if differs(plan.deferrable_total, deferrable, allowed):
        said = f"says {plan.deferrable_total:.6f}, and it is {deferrable:.6f}"
        yield Violation(ViolationCode.DEFERRABLE_TOTAL, "plan", said)
    yield from _check_baseline(case, hours * sum(float(s.median_kw @ s.unit_cost_per_kwh) for s in loads))


def _cost(loads: Sequence[SiteLoad], hours: float) -> Cost:
    energy = carbon = demand = wear = 0.0
    for load in loads:
        total = hours * float(load.import_kw @ load.unit_cost_per_kwh)
        of_carbon = load.carbon_price_per_kg * hours * float(load.import_kw @ load.carbon_kg_per_kwh)
        energy, carbon = energy + total - of_carbon, carbon + of_carbon
        over = float(load.import_kw.max()) - load.site.peak_so_far_kw
        demand += load.site.demand_charge_per_kw * max(0.0, over)
        if load.site.battery is not None:
            wear += load.site.battery.wear_cost_per_kwh * hours * float(load.discharge_kw.sum())
    return Cost(energy, carbon, demand, wear)


def money_tolerance(cost: Cost) -> float:
    """How far a figure may be off a bill like this one [currency]."""
    size: float = sum(map(abs, astuple(cost)))
    return MONEY_TOLERANCE * max(1.0, size)


def _check_baseline(case: Case, real_time: float) -> Iterator[Violation]:
    """What it rests on: running at once is the planner's own, but whatever it is, real-time load costs the same."""
    base = case.plan.baseline
    if differs(base.total - base.deferrable_total, real_time, money_tolerance(Cost(base.total, real_time))):
        detail = (
            f"leaves {base.total - base.deferrable_total:.6f} for real-time load, which costs {real_time:.6f}"
        )
        yield Violation(ViolationCode.BASELINE, base.name, detail)
    if not 0 <= base.unfinished_accelerator_hours <= base.late_accelerator_hours + 1e-6:
        yield Violation(ViolationCode.BASELINE, base.name, "more of it is unfinished than is late")


def check_shares(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """One row a workload, and in it what its own allocations draw, cost and emit."""
    rows = {row.workload_id: row for row in case.plan.workloads}
    if len(rows) < len(case.plan.workloads) or rows.keys() != case.work.keys():
        yield Violation(ViolationCode.WORKLOAD_ROW, "workloads", "has not one row for each workload")
        return
    meter = _Meter(case, loads)
    allowed = money_tolerance(case.plan.cost)
    for id, row in rows.items():
        own = case.by_workload.get(id, [])
        moments = {
            "start": min((a.start for a in own), default=None),
            "finish": max((a.end for a in own), default=None),
        }
        figures = dict(zip(("energy_kwh", "cost", "carbon_kg"), meter.of(own).tolist(), strict=True))
        for name, moment in moments.items():
            if getattr(row, name) != moment:
                detail = f"{name} says {_moment(getattr(row, name))}, and it is {_moment(moment)}"
                yield Violation(ViolationCode.WORKLOAD_ROW, id, detail)
        for name, real in figures.items():
            if differs(getattr(row, name), real, allowed + MONEY_TOLERANCE * abs(real)):
                detail = f"{name} says {getattr(row, name):.6f}, and it is {real:.6f}"
                yield Violation(ViolationCode.WORKLOAD_ROW, id, detail)


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else isoformat_z(moment)


class _Meter:
    """Energy [kWh], cost and carbon [kg] of one more kW at each site, summed up from the start: (3, n_slots + 1)."""

    def __init__(self, case: Case, loads: Sequence[SiteLoad]) -> None:
        self.grid = case.grid
        self.step_kw = {
            (site.name, pool.name): site.pue * (pool.busy_kw - pool.idle_kw)
            for site, pool in case.fleet.pools.values()
        }
        self.sums: dict[str, Floats] = {}
        for load in loads:
            rates = np.array([np.ones(case.grid.n_slots), load.unit_cost_per_kwh, load.carbon_kg_per_kwh])
            sums = np.cumsum(rates * case.grid.slot_hours, axis=1)
            self.sums[load.site.name] = np.hstack([np.zeros((3, 1)), sums])

    def of(self, allocations: Sequence[Allocation]) -> Floats:
        """Of these allocations, (3,)."""
        total = np.zeros(3)
        for a in allocations:
            step_kw = a.accelerators * self.step_kw[a.site, a.pool]
            total += step_kw * (self._until(a.site, a.end) - self._until(a.site, a.start))
        return total

    def _until(self, site: str, moment: datetime) -> Floats:
        at = np.arange(self.grid.n_slots + 1)
        position = self.grid.position(moment)
        return np.array([np.interp(position, at, row) for row in self.sums[site]])
