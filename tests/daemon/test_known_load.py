"""A realtime.csv that ends before the horizon: the plan ends there and says so, and what is not known is never free."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from forecasts.slots import isoformat_z
from shifter.clock import ManualClock
from shifter.daemon import Daemon
from shifter.domain.workload import Workload
from shifter.planner import InProcessPlanner
from shifter.views import WorkloadState
from tests.daemon.world import settings
from tests.service.world import HOUR, T0

LITTLE = timedelta(milliseconds=20)


class World:
    """A daemon that is stepped by hand, with hourly slots, a horizon of 24 h and a file of real-time load."""

    def __init__(self, folder: Path, hours: float) -> None:
        self.file = folder / "realtime.csv"
        self.known(hours)
        self.clock = ManualClock(T0 + LITTLE)
        made = settings(folder, realtime={"path": str(self.file)}, admission={"wait_s": 0})
        self.made = Daemon(made, self.clock, planner=InProcessPlanner())
        for poller in self.made._pollers:
            poller.poll()

    def known(self, hours: float, start: datetime = T0) -> None:
        row = f"fra,h100,{isoformat_z(start)},{isoformat_z(start + hours * HOUR)},4,6\n"
        self.file.write_text(f"site,pool,start,end,accelerators_p50,accelerators_p99\n{row}")

    def plan(self) -> tuple[str, ...]:
        """The faults after a cycle."""
        self.made.service.heartbeat()
        self.made.service.cycle("test")
        return self.made.service.health().faults

    @property
    def end(self) -> datetime:
        return self.made.service.plan().horizon.end


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, hours=24)
    yield made
    made.made.stop()


def job(
    workload_id: str, due_h: float, start_h: float | None = None, after: tuple[str, ...] = ()
) -> Workload:
    return Workload(
        workload_id,
        accelerator_hours=8.0,
        max_accelerators=4,
        deadline=T0 + due_h * HOUR,
        earliest_start=None if start_h is None else T0 + start_h * HOUR,
        depends_on=after,
    )


def test_a_file_of_exactly_the_horizon_is_enough(world: World) -> None:
    assert world.plan() == ()
    assert world.end == T0 + 24 * HOUR, "not the 25th slot, of which only some milliseconds were asked for"
    assert not [w for w in world.made.service.plan().warnings if "Real-time" in w]


def test_a_file_that_ends_early_cuts_the_plan_and_is_seen_until_it_is_mended(world: World) -> None:
    world.plan()
    world.clock.advance(hours=20)
    text = "Real-time load is known to 2026-01-11T00:00:00Z; the plan ends there."
    assert world.plan() == (text,)
    assert world.made.service.health().status == "degraded"
    assert text in world.made.service.plan().warnings
    assert world.end == T0 + 24 * HOUR
    world.known(72)
    assert world.plan() == ()
    assert world.end == T0 + 45 * HOUR


def test_work_due_later_is_planned_within_what_is_known(world: World) -> None:
    world.made.service.submit([job("soon", 12), job("far", 40)], "ann")
    assert world.plan() == (), "the horizon itself is known: nothing is wrong"
    plan = world.made.service.plan()
    assert world.end == T0 + 24 * HOUR
    assert not plan.unplaced
    assert {a.workload_id for a in plan.allocations} == {"soon", "far"}
    assert max(a.end for a in plan.allocations) <= world.end
    [warning] = [w for w in plan.warnings if "Real-time" in w]
    assert warning.endswith("the plan ends there. One workload due later is planned to be done by then.")


def test_work_that_begins_later_waits_and_what_depends_on_it_too(world: World) -> None:
    world.made.service.submit([job("later", 40, start_h=30), job("after", 46, after=("later",))], "ann")
    world.plan()
    assert not world.made.service.plan().unplaced, "it is not too late: it cannot be planned yet"
    assert {v.state for v in world.made.service.workloads()} == {WorkloadState.ACCEPTED}
    world.known(72)
    world.plan()
    plan = world.made.service.plan()
    ends = {i: max(a.end for a in plan.allocations if a.workload_id == i) for i in ("later", "after")}
    assert T0 + 30 * HOUR < ends["later"] < ends["after"]


def test_less_than_a_slot_is_no_plan_and_the_last_one_stands(world: World) -> None:
    world.plan()
    before = world.made.service.plan().plan_id
    world.clock.advance(hours=22, minutes=59)
    world.known(23.5)
    world.plan()
    last = world.made.service.plan().plan_id
    assert last != before
    world.clock.advance(minutes=15)
    faults = world.plan()
    assert any("2026-01-10T23:00:00Z is not covered" in f for f in faults), faults
    assert world.made.service.plan().plan_id == last
    assert world.made.service.health().last_cycle.outcome == "failed"  # type: ignore[union-attr]


def test_what_is_past_of_the_first_slot_need_not_be_known(world: World) -> None:
    world.clock.advance(minutes=20)
    world.known(48, start=T0 + timedelta(minutes=15))
    assert world.plan() == ()
    assert world.made.service.plan().slots[0].realtime_q == 6


def test_a_quote_looks_further_and_changes_no_fault(world: World) -> None:
    world.clock.advance(hours=20)
    faults = world.plan()
    assert len(faults) == 1
    quoted = world.made.service.quote(job("q", 60), [T0 + 23 * HOUR, T0 + 60 * HOUR])
    assert [o.feasible for o in quoted.options] == [True, True]
    assert world.made.service.health().faults == faults
