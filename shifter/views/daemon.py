"""What happened, who did it, and how the daemon does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from forecasts.heeded import PLANNED_BY


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
    GRID_EVENT_CHANGED = "grid_event.changed"
    GRID_EVENT_WITHDRAWN = "grid_event.withdrawn"
    GRID_NOTICE = "grid.notice"
    FORECAST_INGESTED = "forecast.ingested"
    FORECAST_REJECTED = "forecast.rejected"
    SOURCE_FAILED = "source.failed"
    SOURCE_RECOVERED = "source.recovered"
    TELEMETRY_STALE = "telemetry.stale"
    GUARD_YIELDED = "guard.yielded"
    GUARD_RETURNED = "guard.returned"
    GUARD_FREED = "guard.freed"
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
    next_due_at: datetime | None = None
    """When it is asked next: something new may have been published by then."""
    stale: str = ""
    """What it has not said for far too long, though it answers; "" where nothing is amiss."""
    shadow: bool = False
    """Whether it is on trial: kept and scored, and nothing is planned by it."""


@dataclass(frozen=True)
class ShareView:
    """How much one source counts, or one of our models."""

    name: str
    ratio: tuple[float | None, ...]
    """[0..1] At each of the lead times; null where the outcome was known already."""


@dataclass(frozen=True)
class LearntView:
    """What was learnt of one signal of a zone: how far each source is believed, and our models beside them."""

    zone: str
    signal: str
    planned_by: bool
    """Whether plans are made by it; false where `forecasts.learn` is `shadow`, and for a candidate."""
    made_for: datetime | None = None
    """The moment whose knowledge it was made from; null where nothing was learnt yet."""
    rounds: int = 0
    """Days of which what would have been said could be held against what came."""
    lead_hours: tuple[int, ...] = ()
    """[h] After `made_for`, of each share."""
    sources: tuple[ShareView, ...] = ()
    """By source, and `our models` together, which fill in what is left."""
    models: tuple[ShareView, ...] = ()
    """Of our models, each one's share."""
    note: str = ""
    """Why nothing was learnt, or what went wrong last time; "" where all is well."""
    name: str = PLANNED_BY
    """What it is on record as: `shifter`, or `shifter:candidate` where the rules are those of `forecasts.candidate`."""


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
    peak_so_far_kw: Mapping[str, float] = field(default_factory=dict)
    """By site, the highest slot-mean import of this calendar month (UTC) so far [kW]: a demand charge for it is due
    already.
    """
    guard_hold_s: float = 300.0
    """[s] How long measured load must have been lower before work that yielded to it comes back."""
    telemetry_max_age_s: float = 300.0
    """[s] A pool that reported and then fell silent for longer is stale."""
