"""What the service answers: frozen values whose field names are the contract's, and how they become JSON.

The API, the CLI and the dashboard serialise these and nothing else. `to_plain(view)` makes plain JSON values:
datetimes end in Z, mappings and tuples become objects and arrays, and `decided` is written as `class` (which
Python keeps for itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from forecasts.slots import isoformat_z
from shifter.domain.fleet import STRICT, Name, NonNegative, Utc
from shifter.domain.plan import Allocation
from shifter.domain.workload import Override, Reason, Workload, WorkloadClass


class WorkloadState(StrEnum):
    """Where a workload is in its life."""

    ACCEPTED = "accepted"  # durable, and not yet in a published plan
    PLANNED = "planned"  # in the plan, not inside one of its allocations now (also when it is unplaced)
    RUNNING = "running"  # inside one of its allocations now
    DONE = "done"  # all of its work is done
    CANCELLED = "cancelled"  # withdrawn by whoever submitted it
    LATE = "late"  # its deadline has passed with work left
    REAL_TIME = "real_time"  # never shifted: it runs as it arrives, beside the plan


LIVE_STATES = frozenset(
    {WorkloadState.ACCEPTED, WorkloadState.PLANNED, WorkloadState.RUNNING, WorkloadState.REAL_TIME}
)
"""States that are not an end; `late` is an end too, unless a progress report says that it was finished."""


class AdmissionState(StrEnum):
    """What a gate does with a workload at this moment."""

    WAIT = "wait"  # not now; `not_before` says when, where that is known
    RUN = "run"  # inside an allocation of a live lease (or at its latest start when the lease is stale)
    STOP = "stop"  # it was let in, and its time is over: yield the accelerators
    REJECTED = "rejected"  # it will not be let in: done, cancelled, late, or nothing of it could be placed


ProgressSource = Literal["planned", "reported"]
"""`planned`: no report yet, so what was planned counts as done. `reported`: whoever runs it says so."""


@dataclass(frozen=True)
class WorkloadView:
    """One workload: its class, its state, its progress, and its share of the plan."""

    id: str
    tenant: str
    state: WorkloadState
    decided: WorkloadClass
    reason: Reason
    amount: float
    """Work in all, in `unit`."""
    unit: str
    """`tokens` or `accelerator_hours`."""
    done: float
    """Work done so far, in `unit`."""
    progress_ratio: float
    """`done / amount`, 0..1."""
    progress_source: ProgressSource
    submitted_at: datetime
    earliest_start: datetime | None
    """Of its window, after its chain is taken into account."""
    deadline: datetime | None
    """Of its window, after its chain is taken into account."""
    latest_start: datetime | None
    """The last moment at which starting at full width still meets the deadline; None without a deadline."""
    planned_start: datetime | None
    planned_finish: datetime | None
    cost: float | None
    """Currency, energy and carbon price of its share of the plan; None before there is one."""
    carbon_kg: float | None
    run_now_cost: float | None
    """The same, had it run at once."""
    run_now_carbon_kg: float | None
    feasible: bool
    """Whether all of it can be done in time, by the current plan (True before there is one)."""
    unplaced_accelerator_hours: float
    earliest_feasible_deadline: datetime | None
    """Where it is not feasible: the earliest deadline that would work; None also when it is beyond the
    horizon.
    """
    note: str
    """One sentence for a person: what happens next, or why not."""
    workload: Workload
    """As it was submitted."""


@dataclass(frozen=True)
class Submitted(WorkloadView):
    """A workload as submitting it answers."""

    created: bool
    """False: it was there already with the same content, and nothing changed."""


@dataclass(frozen=True)
class Lease:
    """A workload's slots: held until `valid_until`, and after it the workload's `latest_start` rules.

    `version` counts this workload's changes only: it grows exactly when its allocations do change. `stale` is
    True when `valid_until` has passed: the daemon no longer vouches for these slots.
    """

    workload_id: str
    version: int
    valid_until: datetime
    latest_start: datetime | None
    plan_id: str | None
    """The plan that its current allocations come from; None when no plan held it yet."""
    stale: bool
    allocations: tuple[Allocation, ...]


@dataclass(frozen=True)
class Admission:
    """May it run now. `admit` is True exactly when `state` is `run`."""

    workload_id: str
    admit: bool
    state: AdmissionState
    not_before: datetime | None
    """When it is next let in, where that is known."""
    not_after: datetime | None
    """When it has to be off again: the end of the contiguous time that it holds."""
    retry_after_s: float
    """Ask again after so many seconds of the daemon's clock."""
    version: int
    valid_until: datetime
    accelerators: int
    """How many it may use now, over all pools. For real-time work: 0, which here means that nothing limits
    it.
    """
    allocations: tuple[Allocation, ...]
    """The allocations it stands in now."""
    reason: str
    stale: bool = False


@dataclass(frozen=True)
class MeanSignals:
    """Time-weighted means over some slots; None where the forecast is missing."""

    price_per_mwh: float | None
    carbon_g_per_kwh: float | None


@dataclass(frozen=True)
class BindingLimit:
    """A shared limit that costs something in the slots where the workload may run."""

    kind: Literal["capacity", "reserve", "power", "peak"]
    site: str
    pool: str | None
    slots: int
    """In how many slots of its window the limit binds."""
    mean_price: float
    """Mean of the dual over these slots, currency per accelerator (capacity, reserve) or kW (power, peak) and
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


@dataclass(frozen=True)
class Capacity:
    """Flat numbers for autoscalers and gates, at this moment. Stale reads as no free capacity."""

    site: str
    pool: str
    deferrable_accelerators: int
    """What deferrable work may hold now, by the plan and by what real-time load was last measured to need."""
    reserved_accelerators: float
    """What is held back for real-time load now, redundancy included; the whole pool where nobody knows."""
    realtime_accelerators: float
    """Measured where telemetry is fresh, else the load at the site's quantile; the whole pool where nobody
    knows.
    """
    dispatch_budget: float
    """`deferrable_accelerators / count`, 0..1."""
    count: int
    version: int
    """Of the plan: grows with every plan that is published."""
    valid_until: datetime
    stale: bool


@dataclass(frozen=True)
class SlotView:
    """What one pool holds in one slot [accelerators, means over the slot]."""

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
    free: float
    """What is neither held back for real-time load nor held by deferrable work, for work that may not be
    preempted.
    """


class EventKind(StrEnum):
    """The closed list of what `GET /v1/events` tells."""

    PLAN_PUBLISHED = "plan.published"
    PLAN_REJECTED = "plan.rejected"
    CYCLE_FAILED = "cycle.failed"
    WORKLOAD_ACCEPTED = "workload.accepted"
    WORKLOAD_CANCELLED = "workload.cancelled"
    WORKLOAD_DONE = "workload.done"
    WORKLOAD_LATE = "workload.late"
    ADMISSION_CHANGED = "admission.changed"
    GRID_EVENT_CREATED = "grid_event.created"
    FORECAST_INGESTED = "forecast.ingested"
    FORECAST_REJECTED = "forecast.rejected"
    SOURCE_FAILED = "source.failed"
    SOURCE_RECOVERED = "source.recovered"
    TELEMETRY_STALE = "telemetry.stale"
    FAULT = "fault"


@dataclass(frozen=True)
class Event:
    """Something that happened; `id` only ever grows."""

    id: int
    at: datetime
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True)
class AuditEntry:
    """Who did or decided what, when, from which inputs."""

    id: int
    at: datetime
    actor: str
    action: str
    """`workload.submit`, `workload.cancel`, `workload.progress`, `override.set`, `plan.publish`, …"""
    subject: str
    """The workload's, plan's or event's id."""
    inputs_id: str | None
    """Of the snapshot the decision was made from; `GET /v1/plans/{id}/inputs` replays it."""
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class TelemetrySample:
    """What was measured at a site: real-time accelerators in use in a pool, or the site's import."""

    __pydantic_config__ = STRICT

    site: Name
    at: Utc
    pool: Name | None = None
    realtime_accelerators: NonNegative | None = None
    """In use by real-time load, in `pool`, which must then be given."""
    import_kw: NonNegative | None = None
    """Measured grid import of the site [kW]."""


@dataclass(frozen=True)
class CycleView:
    """The last planning cycle, whether it went well or not."""

    at: datetime
    duration_s: float
    """Real seconds, not the simulated clock's."""
    outcome: Literal["published", "rejected", "failed"]
    trigger: str
    plan_id: str | None = None
    error: str = ""


@dataclass(frozen=True)
class SourceView:
    """One forecast source and how it does."""

    name: str
    up: bool
    zones: tuple[str, ...] = ()
    last_success_at: datetime | None = None
    last_attempt_at: datetime | None = None
    failures: int = 0
    """In a row, since the last success."""
    error: str = ""


@dataclass(frozen=True)
class Health:
    """Whether it does its work: `ok`, `degraded` (it serves, and something is wrong), `failing` (it cannot
    serve).
    """

    status: Literal["ok", "degraded", "failing"]
    now: datetime
    simulated_clock: bool
    speed: float
    plan_id: str | None
    plan_age_s: float | None
    last_cycle: CycleView | None
    sources: tuple[SourceView, ...]
    database: Literal["ok", "unreachable"]
    faults: tuple[str, ...]
    version: str
    synthetic: bool
    """Whether the current plan stands on made-up prices or carbon."""
    started_at: datetime | None = None
    workloads: Mapping[str, int] = field(default_factory=dict)
    """How many, by state."""
    next_replan_at: datetime | None = None
    """When the next plan begins, if nothing causes one before; None where nothing plans by itself."""


def to_plain(view: Any) -> Any:
    """Plain JSON values of a view, or of anything made of views; `decided` becomes `class`.

    >>> to_plain(MeanSignals(81.5, None))
    {'price_per_mwh': 81.5, 'carbon_g_per_kwh': None}
    """
    if is_dataclass(view) and not isinstance(view, type):
        plain = getattr(view, "to_dict", None)
        if plain is not None:
            return plain()
        return {
            ("class" if f.name == "decided" else f.name): to_plain(getattr(view, f.name))
            for f in fields(view)
        }
    if isinstance(view, datetime):
        return isoformat_z(view)
    if isinstance(view, Mapping):
        return {str(k): to_plain(v) for k, v in view.items()}
    if isinstance(view, list | tuple | set | frozenset):
        return [to_plain(v) for v in view]
    if isinstance(view, StrEnum):
        return str(view)
    return view
