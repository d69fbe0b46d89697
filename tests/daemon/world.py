"""A daemon on a small fleet, synthetic forecasts and a simulated clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shifter.clock import parse_clock
from shifter.daemon import Daemon
from shifter.domain.workload import Workload
from shifter.planner import Planner
from shifter.settings import Settings

START = "2026-01-10T00:00:00Z"
WAIT_S = 100.0
"""[s] A planning process leaves the processor to whoever else wants it: beside other tests, a plan takes its time."""

FLEET = """\
currency: EUR
sites:
  - name: fra
    zone: DE-LU
    jurisdiction: DE
    pools: [{name: h100, accelerator: H100, count: 16, failure_domains: 4, idle_kw: 0.1, busy_kw: 0.7}]
    resilience: {quantile: 0.99, lose_domains: 1}
"""


def settings(folder: Path, database: str | None = None, **changes: Any) -> Settings:
    """Hourly slots and a short horizon, so that a plan takes milliseconds."""
    (folder / "fleet.yaml").write_text(FLEET)
    return Settings.model_validate(
        {
            "fleet": str(folder / "fleet.yaml"),
            "database": database or f"sqlite:///{folder / 'shifter.db'}",
            "realtime": {"profile": "typical"},
            "forecasts": {"sources": [{"name": "typical"}]},
            "planning": {
                "horizon_hours": 24,
                "max_horizon_hours": 48,
                "slot_minutes": 60,
                "debounce_s": 0.1,
                **changes.pop("planning", {}),
            },
            **changes,
        }
    )


def daemon(folder: Path, speed: float = 1, planner: Planner | None = None, **changes: Any) -> Daemon:
    """Made, not started."""
    return Daemon(settings(folder, **changes), parse_clock(f"{START}x{speed:g}"), planner=planner)


def job(workload_id: str, made: Daemon, hours: float = 8.0, due_h: float = 20.0) -> Workload:
    """Deferrable work, due in `due_h` hours of the daemon's clock."""
    from datetime import timedelta

    deadline = made.clock.now() + timedelta(hours=due_h)
    return Workload(workload_id, accelerator_hours=hours, max_accelerators=4, deadline=deadline)


def until(true: Callable[[], Any], within_s: float = WAIT_S) -> Any:
    """Wait for it; fails the test when it does not come true in time."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s:g} s")
