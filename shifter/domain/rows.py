"""What a plan consists of: its rows, its money, and the prices that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from forecasts.slots import isoformat_z


def _if_used(default: Any) -> Any:
    """A field that `plan.json` leaves out where it has its default throughout: what it speaks of is not in use."""
    return field(default=default, metadata={"if_used": True})


@dataclass(frozen=True)
class Cost:
    """Money of a plan, in the fleet's currency."""

    energy: float = 0.0
    carbon: float = 0.0
    demand_charge: float = 0.0
    battery_wear: float = 0.0
    generation: float = _if_used(0.0)
    export: float = _if_used(0.0)
    """What export earns, as a negative cost."""
    churn: float = _if_used(0.0)
    """What it is worth not to move announced work, for the work that this plan moves."""
    over_quota: float = _if_used(0.0)
    """What tenants pay for what they use beyond their quotas."""
    fairness: float = _if_used(0.0)
    """What it costs that work which is late is late for these tenants: see `terms.fairness`."""
    further: Mapping[str, float] = field(default_factory=dict, metadata={"if_used": True})
    """What the terms of others cost, by their names: see `PricedTerm`."""

    @property
    def total(self) -> float:
        """All of it."""
        plain = self.energy + self.carbon + self.demand_charge + self.battery_wear
        own = self.generation + self.export + self.churn
        return plain + own + (self.over_quota + self.fairness) + self.further_total

    @property
    def further_total(self) -> float:
        """What the terms of others cost together."""
        return sum(self.further.values(), 0.0)


@dataclass(frozen=True)
class Horizon:
    """The planning grid of a plan."""

    start: datetime
    end: datetime
    slot_minutes: int


@dataclass(frozen=True, slots=True)
class SlotRow:
    """What one pool holds in one slot [accelerators, means over the slot]; `deferrable` includes `preemptible`.

    `off` of the pool's idle ones are powered down, where that may be.
    """

    site: str
    pool: str
    start: datetime
    end: datetime
    realtime_p50: float
    realtime_q: float
    reserved: float
    deferrable: float
    preemptible: float
    count: int
    off: float | None = _if_used(None)


@dataclass(frozen=True, slots=True)
class PowerRow:
    """What one site draws in one slot; price and carbon are None where nobody knows them.

    `generated_kw` and `export_kw` are there for sites that have a plant, or may export.
    """

    site: str
    start: datetime
    end: datetime
    import_kw: float
    limit_kw: float | None
    charge_kw: float
    discharge_kw: float
    stored_kwh: float
    price_per_mwh: float | None
    carbon_g_per_kwh: float | None
    generated_kw: float | None = _if_used(None)
    export_kw: float | None = _if_used(None)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A whole number of accelerators of a pool, constant over `[start, end)`."""

    workload_id: str
    site: str
    pool: str
    start: datetime
    end: datetime
    accelerators: Annotated[int, Field(le=10_000_000)]
    model: str | None = None
    """What it runs, of a workload that gives alternatives; else None, and not said."""
    cap_kw: float | None = None
    """What each accelerator is capped to [kW]; None, and not said, at full power."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is None is left out."""
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return {k: isoformat_z(v) if isinstance(v, datetime) else v for k, v in given.items()}


@dataclass(frozen=True)
class LateLimit:
    """A limit that keeps work from being done in time, and how much more of it one more unit would do.

    `kind` and its unit: `capacity`, `reserve` (an accelerator of the pool, in the workload's window), `power` (a kW of
    the site, in its window), `ramp` (a kW more from any slot to the next, at the site), `budget` (a unit of the budget
    `name`), `quota` (an accelerator in that of the tenant `name`, in its window), `deadline` (an hour later),
    `max_accelerators` (one more at a time). The last two count the workload's own, the others all late work that would
    be done.
    """

    kind: str
    site: str | None
    pool: str | None
    name: str | None
    saves_accelerator_hours: float
    """Less what doing them costs, at the price of lateness; true of the first unit or so."""
    text: str


@dataclass(frozen=True)
class Unplaced:
    """Work that cannot be done in time: how much, why, and the earliest deadline that would work.

    That deadline is None when it lies beyond the horizon. `limits` are what is in the way, from the program's prices;
    empty where they say nothing of it.
    """

    workload_id: str
    accelerator_hours: float
    reason: str
    earliest_feasible_deadline: datetime | None
    limits: tuple[LateLimit, ...] = _if_used(())


@dataclass(frozen=True)
class Duals:
    """Prices of the shared limits, >= 0, currency per accelerator or kW and slot; each value (n_slots,).

    `capacity` and `reserve` by (site, pool); `power` and `peak` by site. `work`, by site, is there where a term is in
    use that the bound has no formula for: what a kW that work draws costs in all, which may be negative.
    """

    capacity: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    reserve: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    power: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    peak: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    work: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    budget: tuple[float, ...] = ()
    """What one more unit of each budget of the fleet would save, in their order."""
    quota: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By tenant, of those with a quota: what one more accelerator of it would save in each slot."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = {
            "capacity": [_pool_row(k, v) for k, v in self.capacity.items()],
            "reserve": [_pool_row(k, v) for k, v in self.reserve.items()],
            "power": [_site_row(k, v) for k, v in self.power.items()],
            "peak": [_site_row(k, v) for k, v in self.peak.items()],
        }
        if self.work:
            rows["work"] = [_site_row(k, v) for k, v in self.work.items()]
        if self.quota:
            rows["quota"] = [{"tenant": k, "values": list(v)} for k, v in self.quota.items()]
        return rows | ({"budget": list(self.budget)} if self.budget else {})

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Duals:
        """The inverse of `to_dict`."""
        return cls(
            {(r["site"], r["pool"]): tuple(r["values"]) for r in raw["capacity"]},
            {(r["site"], r["pool"]): tuple(r["values"]) for r in raw["reserve"]},
            {r["site"]: tuple(r["values"]) for r in raw["power"]},
            {r["site"]: tuple(r["values"]) for r in raw["peak"]},
            {r["site"]: tuple(r["values"]) for r in raw.get("work", ())},
            tuple(raw.get("budget", ())),
            {r["tenant"]: tuple(r["values"]) for r in raw.get("quota", ())},
        )


def _pool_row(key: tuple[str, str], values: tuple[float, ...]) -> dict[str, Any]:
    return {"site": key[0], "pool": key[1], "values": list(values)}


def _site_row(site: str, values: tuple[float, ...]) -> dict[str, Any]:
    return {"site": site, "values": list(values)}


@dataclass(frozen=True)
class Baseline:
    """The same work run at once, under the same limits: what the plan is compared with."""

    name: str
    total: float
    carbon_kg: float
    peak_kw: float
    late_accelerator_hours: float = 0.0
    """Work that running at once would finish after its deadline, or not within the horizon."""
    unfinished_accelerator_hours: float = 0.0
    """The part of it that would not be done within the horizon, and so is not in `total`."""
    deferrable_total: float = 0.0
    """The part of `total` that deferrable work causes."""


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """One workload's share of the plan, next to running it at once."""

    workload_id: str
    start: datetime | None
    finish: datetime | None
    energy_kwh: float
    cost: float
    carbon_kg: float
    run_now_cost: float
    run_now_carbon_kg: float
    run_now_finish: datetime | None
    reason_code: str
    reason: str


@dataclass(frozen=True)
class Held:
    """The last plan that was solved, and how far it was from its bound.

    A plan that keeps what was announced is proven by the prices of that plan.
    """

    plan_id: str
    relative_gap: float
