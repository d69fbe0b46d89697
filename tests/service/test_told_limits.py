"""What real-time load alone breaks is told: in /healthz, and in `shifter status`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.cli import status
from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.plant import Battery
from shifter.service import Service
from shifter.views import TelemetrySample
from tests.service.world import FLEET, HOUR, T0, job, realtime, service

ALONE = "fra: real-time load alone exceeds the power limit in force by up to"


@pytest.fixture
def made(sqlite_url: str) -> Iterator[Service]:
    made = service(sqlite_url, ManualClock(T0), realtime=realtime(2, 3))
    made.submit([job()], "ann")
    made.cycle()
    yield made
    made.core.db.close()


def _without_carbon(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
    unknown = np.full(grid.n_slots, np.nan)
    price = np.full(grid.n_slots, 80.0)
    return ForecastFrame.from_arrays(grid, "EUR", {"DE-LU": price}, {"DE-LU": unknown}, as_of=as_of)


def _told(made: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    with ApiServer(create_app(made), port=0) as server:
        status.status(url=server.url)
    told = capsys.readouterr()
    return told.out + told.err


def test_a_limit_below_real_time_load_is_a_fault_until_it_is_over(
    made: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made.health().status == "ok"
    assert "exceeds" not in _told(made, capsys, monkeypatch)
    made.add_grid_event(GridEvent("cut", "fra", T0, T0 + 2 * HOUR, 0.5), "olga")
    made.cycle()
    health = made.health()
    assert health.status == "degraded"
    # Idle draws 1.6 kW and real-time load at its quantile 3 * 0.6 kW.
    assert [f for f in health.faults if f.startswith(f"{ALONE} 2.9 kW in 2 slots")]
    told = _told(made, capsys, monkeypatch)
    assert "degraded" in told
    assert told.count(ALONE) == 1, "it is a fault, and not said again as a warning"
    assert "2.8 of 0.5, over" in told
    made.core.clock.moment = T0 + 2 * HOUR  # type: ignore[attr-defined]
    made.heartbeat()
    made.cycle()
    assert made.health().status == "ok"
    assert "over" not in _told(made, capsys, monkeypatch)


def test_a_spike_of_measured_load_over_a_limit_is_a_fault(made: Service) -> None:
    made.add_grid_event(GridEvent("cut", "fra", T0, T0 + 2 * HOUR, 5.0), "olga")
    made.cycle()
    assert made.health().status == "ok"
    made.telemetry([TelemetrySample("fra", T0, "h100", 12.0)], "meter")
    made.cycle()
    assert [f for f in made.health().faults if f.startswith(ALONE)]


def test_a_limit_that_the_battery_keeps_is_no_fault(sqlite_url: str) -> None:
    """Idle draws 1.6 kW and real-time load at its quantile 3 * 0.6 kW: 0.4 more than the limit, for two hours."""
    (site,) = FLEET.sites
    fleet = replace(FLEET, sites=(replace(site, battery=Battery(2.0, 2.0, 1.0, 1.0, 1.0)),))
    made = service(sqlite_url, ManualClock(T0), realtime=realtime(2, 3), fleet=fleet)
    event = GridEvent("cut", "fra", T0 + HOUR, T0 + 3 * HOUR, 3.0)
    assert made.quote_grid_event(event).met
    made.add_grid_event(event, "olga")
    made.cycle()
    assert made.health().faults == ()
    # Two hours at 1.2 kW are more than it has.
    made.add_grid_event(replace(event, id="deep", limit_kw=2.2), "olga")
    made.cycle()
    assert [f for f in made.health().faults if f.startswith(ALONE) and "beyond what the battery gives" in f]
    made.core.db.close()


def test_other_warnings_of_the_plan_are_lines_and_no_faults(
    sqlite_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service(sqlite_url, ManualClock(T0))
    made.core.frame = _without_carbon
    made.cycle()
    (warning,) = made.plan().warnings
    assert made.health().status == "ok"
    assert _told(made, capsys, monkeypatch).count(f"warning: {warning}") == 1
    made.core.db.close()
