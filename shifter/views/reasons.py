"""Why a workload was decided and placed as it was, and what it would cost otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shifter.domain.value import Slack
from shifter.domain.workload import Override, Reason, WorkloadClass
from shifter.views.workloads import WorkloadState


@dataclass(frozen=True)
class MeanSignals:
    """Time-weighted means over some slots; None where the forecast is missing."""

    price_per_mwh: float | None
    carbon_g_per_kwh: float | None


@dataclass(frozen=True)
class BindingLimit:
    """A shared limit that costs something in the slots where the workload may run."""

    kind: Literal["capacity", "reserve", "power", "peak", "quota"]
    site: str | None
    """None for the quota of its tenant, which is of all sites."""
    pool: str | None
    slots: int
    """In how many slots of its window the limit binds."""
    mean_price: float
    """Mean of the dual over these slots, currency per accelerator (capacity, reserve, quota) or kW (power, peak) and
    slot.
    """
    text: str


@dataclass(frozen=True)
class ChainLink:
    """Another workload that this one depends on, or that depends on it."""

    workload_id: str
    relation: Literal["depends_on", "needed_by"]
    state: WorkloadState | None
    planned_finish: datetime | None
    deadline: datetime | None


@dataclass(frozen=True)
class Explanation:
    """Why this class, why these slots, and what it costs against running now."""

    workload_id: str
    state: WorkloadState
    decided: WorkloadClass
    reason: Reason
    override: Override | None
    sentences: tuple[str, ...]
    """The whole explanation for a person, in order."""
    why_slots: tuple[str, ...]
    in_slots: MeanSignals | None
    """Means over the slots that it holds, weighted by accelerators."""
    in_window: MeanSignals | None
    """Means over its whole window, over the sites that may run it."""
    cost: float | None
    run_now_cost: float | None
    saved: float | None
    carbon_kg: float | None
    run_now_carbon_kg: float | None
    saved_carbon_kg: float | None
    currency: str
    limits: tuple[BindingLimit, ...]
    chain: tuple[ChainLink, ...]
    plan_id: str | None
    synthetic: bool
    """Whether prices or carbon are made up for a demonstration."""
    run_now_demand_charge: float | None = None
    """What running it at once would add to the demand charge, currency, were all else as planned; in no other
    figure here, since the charge is on the peak that all work makes together. None before there is a plan.
    """
    slack: Slack | None = None
    """What its deadline costs, and what an hour more would save; None where the plan shifts nothing of it."""


@dataclass(frozen=True)
class QuoteOption:
    """What it would cost, were this its deadline."""

    deadline: datetime
    finish: datetime | None
    cost: float
    """Its share of the plan that holds it, in currency; the figure that submitting it would answer."""
    carbon_kg: float
    feasible: bool
    unplaced_accelerator_hours: float
    run_now_cost: float | None
    """The same, had it run at once; None where running at once would not meet this deadline."""
    run_now_carbon_kg: float | None
    marginal_cost: float
    """The whole plan's cost with it less without it, in currency: also what it pushes others to pay."""
    marginal_carbon_kg: float


@dataclass(frozen=True)
class Quote:
    """Cost, carbon and finish against the deadline, by the same `plan_cycle`, without submitting."""

    options: tuple[QuoteOption, ...]
    earliest_feasible_deadline: datetime | None
    decided: WorkloadClass
    reason: Reason
    currency: str
    as_of: datetime
    synthetic: bool = False
