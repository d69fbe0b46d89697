"""A realtime.csv that is replaced by one with a hole: no new plan, and the last good one stands."""

from __future__ import annotations

from pathlib import Path

from forecasts.slots import SlotGrid, isoformat_z
from shifter.clock import ManualClock
from shifter.files import read_known_realtime
from shifter.realtime.load import RealtimeLoad
from shifter.views import EventKind
from tests.service.world import FLEET, HOUR, T0, job, kinds, service


def _write(file: Path, *spans: tuple[float, float]) -> None:
    rows = (f"fra,h100,{isoformat_z(T0 + a * HOUR)},{isoformat_z(T0 + b * HOUR)},4,6\n" for a, b in spans)
    file.write_text("site,pool,start,end,accelerators_p50,accelerators_p99\n" + "".join(rows))


def test_a_hole_fails_the_cycle_and_the_last_good_plan_stands(sqlite_url: str, tmp_path: Path) -> None:
    file, clock = tmp_path / "realtime.csv", ManualClock(T0)

    def known(grid: SlotGrid) -> RealtimeLoad:
        return read_known_realtime(file, grid, FLEET, clock.now())

    made = service(sqlite_url, clock, realtime=known)
    made.submit([job()], "ann")
    _write(file, (0, 24), (24, 72))
    made.cycle()
    good = made.plan()
    _write(file, (0, 9), (21, 72))
    made.cycle()
    assert made.plan().plan_id == good.plan_id
    assert kinds(made).count(EventKind.CYCLE_FAILED) == 1
    health = made.health()
    assert health.status == "degraded"
    told = f"{file}:3 start: no row of fra/h100 covers 2026-01-10T09:00:00Z to 2026-01-10T21:00:00Z."
    assert any(told in f for f in health.faults), health.faults
    made.core.db.close()
