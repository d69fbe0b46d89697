"""The plan: who runs where and when, in whole accelerators, what it costs, and the prices that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from math import isclose
from typing import Any

from forecasts.slots import isoformat_z


@dataclass(frozen=True)
class Cost:
    """Money of a plan, in the fleet's currency."""

    energy: float = 0.0
    carbon: float = 0.0
    demand_charge: float = 0.0
    battery_wear: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.energy + self.carbon + self.demand_charge + self.battery_wear


@dataclass(frozen=True)
class Horizon:
    """The planning grid of a plan."""

    start: datetime
    end: datetime
    slot_minutes: int


@dataclass(frozen=True)
class SlotRow:
    """What one pool holds in one slot [accelerators, means over the slot]; `deferrable` includes `preemptible`."""

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


@dataclass(frozen=True)
class PowerRow:
    """What one site draws in one slot; price and carbon are None where nobody knows them."""

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


@dataclass(frozen=True)
class Allocation:
    """A whole number of accelerators of a pool, constant over `[start, end)`."""

    workload_id: str
    site: str
    pool: str
    start: datetime
    end: datetime
    accelerators: int


@dataclass(frozen=True)
class Unplaced:
    """Work that cannot be done in time: how much, why, and the earliest deadline that would work.

    That deadline is None when it lies beyond the horizon.
    """

    workload_id: str
    accelerator_hours: float
    reason: str
    earliest_feasible_deadline: datetime | None


@dataclass(frozen=True)
class Duals:
    """Prices of the shared limits, >= 0, currency per accelerator or kW and slot; each value (n_slots,).

    `capacity` and `reserve` by (site, pool); `power` and `peak` by site.
    """

    capacity: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    reserve: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    power: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    peak: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


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


@dataclass(frozen=True)
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
class Plan:
    """See `plan.json` in the contract; the further fields explain it."""

    plan_id: str
    inputs_id: str
    created_at: datetime
    horizon: Horizon
    currency: str
    cost: Cost
    carbon_kg: float
    lower_bound: float
    relative_gap: float
    baseline: Baseline
    slots: tuple[SlotRow, ...]
    power: tuple[PowerRow, ...]
    allocations: tuple[Allocation, ...]
    duals: Duals
    unplaced: tuple[Unplaced, ...]
    workloads: tuple[WorkloadPlan, ...] = ()
    deferrable_total: float = 0.0
    status: str = "optimal"
    warnings: tuple[str, ...] = ()
    synthetic: bool = False

    def to_dict(self) -> dict[str, Any]:
        """`plan.json` of the contract, as plain JSON values in a fixed order."""
        raw = {f.name: getattr(self, f.name) for f in fields(self)}
        raw["cost"] = {**_plain(self.cost), "total": self.cost.total}
        raw["duals"] = {
            "capacity": [_pool_row(k, v) for k, v in self.duals.capacity.items()],
            "reserve": [_pool_row(k, v) for k, v in self.duals.reserve.items()],
            "power": [{"site": k, "values": list(v)} for k, v in self.duals.power.items()],
            "peak": [{"site": k, "values": list(v)} for k, v in self.duals.peak.items()],
        }
        plain: dict[str, Any] = _plain(raw)
        return plain

    def to_json(self) -> str:
        """The same plan is the same text, byte for byte."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    def content_id(self) -> str:
        """What `plan_id` must be: a hash of all else that the plan says, but for `inputs_id`, which comes later."""
        body = json.dumps(replace(self, plan_id="", inputs_id="").to_dict(), separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`.

        Raises pydantic's ValidationError where a field is missing or of another type, and ValueError where the cost's
        total is not the sum of its items: here it follows from them, and nothing later would see it.
        """
        from pydantic import TypeAdapter

        body = dict(raw)
        body["cost"] = {k: v for k, v in raw["cost"].items() if k != "total"}
        duals = raw["duals"]
        body["duals"] = Duals(
            {(r["site"], r["pool"]): tuple(r["values"]) for r in duals["capacity"]},
            {(r["site"], r["pool"]): tuple(r["values"]) for r in duals["reserve"]},
            {r["site"]: tuple(r["values"]) for r in duals["power"]},
            {r["site"]: tuple(r["values"]) for r in duals["peak"]},
        )
        plan = TypeAdapter(cls).validate_python(body)
        total = raw["cost"].get("total", plan.cost.total)
        if not isinstance(total, float | int) or not isclose(
            total, plan.cost.total, rel_tol=1e-9, abs_tol=1e-6
        ):
            raise ValueError(f"the cost's total says {total}, and its items add up to {plan.cost.total}")
        return plan


def _pool_row(key: tuple[str, str], values: tuple[float, ...]) -> dict[str, Any]:
    return {"site": key[0], "pool": key[1], "values": list(values)}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, datetime):
        return isoformat_z(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
