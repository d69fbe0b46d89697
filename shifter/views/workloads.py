"""A workload as it is shown: what state it is in, what it holds, and whether it may run now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from shifter.domain.rows import Allocation
from shifter.domain.workload import Reason, Workload, WorkloadClass


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
    """The last moment at which starting at full width still meets the deadline, with the margin of planning; None
    without a deadline.
    """
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
