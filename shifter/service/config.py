"""What the service must be told, as plain values: it knows no settings object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class ServiceConfig:
    """Numbers of the service. Seconds of the daemon's clock, except where `real` is said."""

    horizon_hours: float = 48.0
    max_horizon_hours: float = 168.0
    slot_minutes: int = 30
    cycle_deadline_s: float = 60.0
    """Real seconds a cycle may take."""
    deadline_margin_s: float = 0.0
    hold_gap: float = 0.0025
    """See `CycleInputs.hold_gap`."""
    lease_ttl_s: float = 900.0
    admission_wait_s: float = 10.0
    """Real seconds that submitting waits for the plan that holds the new work."""
    share_restricted: bool = False
    """Whether forecasts whose licence forbids passing them on are handed out."""
    telemetry_max_age_s: float = 300.0
    """A pool that reported and then fell silent for longer is stale."""
    guard_hold_s: float = 300.0
    """How long measured real-time load must have been lower before work that yielded to it comes back."""
    max_workloads: int = 1_000_000
    """Live workloads at one time."""
    quote_options: int = 5
    plans_days: float = 30.0
    events_days: float = 30.0
    audit_days: float = 365.0
    forecasts_days: float = 730.0
    telemetry_days: float = 7.0
    load_days: float = 400.0
    workloads_days: float = 90.0
    """How long ended workloads are kept."""

    @property
    def lease_ttl(self) -> timedelta:
        """How long a lease holds after the last sign of life."""
        return timedelta(seconds=self.lease_ttl_s)
