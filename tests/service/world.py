"""A small world for tests of the service: one fleet, a forecast that is a sine, a clock that is moved by
hand.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Model, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.planner import Planner
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service, ServiceConfig
from shifter.store.db import Database
from shifter.views import EventKind

T0 = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
POOL = ("fra", "h100")

FLEET = Fleet(
    "EUR",
    (
        Site(
            "fra",
            "DE-LU",
            (Pool("h100", "H100", 16, 4, 0.1, 0.7),),
            jurisdiction="DE",
            resilience=Resilience(0.99, 1),
        ),
    ),
    (Model("m", {"H100": 1000.0}, load_minutes=4),),
)


def frame(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
    """Dear by day at first, cheapest at 18:00."""
    h = np.array([(e - T0) / HOUR for e in grid.edges[:-1]])
    wave = np.sin(h / 24 * 2 * np.pi)
    return ForecastFrame.from_arrays(
        grid, "EUR", {"DE-LU": 80 + 40 * wave}, {"DE-LU": 300 + 100 * wave}, as_of=as_of
    )


def realtime(accelerators: float, quantile: float | None = None) -> Any:
    """A constant real-time load."""

    def make(grid: SlotGrid) -> RealtimeLoad:
        median = np.full(grid.n_slots, accelerators)
        high = np.full(grid.n_slots, accelerators if quantile is None else quantile)
        return RealtimeLoad(grid, {POOL: {0.5: median, 0.99: high}})

    return make


def config(**changes: Any) -> ServiceConfig:
    """Short horizons and hourly slots, so that a plan takes milliseconds; and no hold: what is measured is what is."""
    short = {"horizon_hours": 24.0, "max_horizon_hours": 48.0, "slot_minutes": 60, "guard_hold_s": 0.0}
    return ServiceConfig(**{**short, **changes})


def service(url: str, clock: ManualClock, planner: Planner | None = None, **changes: Any) -> Service:
    """A service on an upgraded database, alive."""
    database = Database(url)
    database.upgrade()
    load, fleet = changes.pop("realtime", None), changes.pop("fleet", FLEET)
    policy, alive = changes.pop("policy", None), changes.pop("alive", True)
    made = Service(
        config(**changes), fleet, database, clock, policy=policy, frame=frame, realtime=load, planner=planner
    )
    if alive:
        made.heartbeat()
    return made


def job(
    workload_id: str = "w1", hours: float = 20.0, width: int = 4, due_h: float = 30.0, **changes: Any
) -> Workload:
    """Deferrable work of `hours` accelerator-hours, due `due_h` hours after T0."""
    return Workload(
        workload_id,
        accelerator_hours=hours,
        max_accelerators=width,
        deadline=changes.pop("deadline", T0 + due_h * HOUR),
        **changes,
    )


def kinds(made: Service) -> list[EventKind]:
    """What happened, in order."""
    return [e.kind for e in made.events()]


def live_until(made: Service, clock: ManualClock, moment: datetime) -> None:
    """Let time pass with a daemon that lives: a jump without a heartbeat would be an outage."""
    while clock.now() < moment:
        clock.moment = min(moment, clock.now() + timedelta(minutes=10))
        made.heartbeat()
