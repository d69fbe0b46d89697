"""Running work that may not be interrupted, replanned all the time: no accelerator is given away twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Model, Pool
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.service import Service, ServiceConfig, leases
from shifter.store.db import Database
from shifter.views import WorkloadState
from tests.service.world import FLEET, HOUR, T0, config, frame, job

TWO_POOLS = replace(
    FLEET,
    sites=(
        replace(
            FLEET.sites[0],
            pools=(Pool("p1", "H100", 10, 1, 0.1, 0.7), Pool("p2", "H100", 10, 1, 0.1, 0.7)),
            resilience=Resilience(0.99, 0),
        ),
    ),
    models=(Model("m", {"H100": 1000.0}, load_minutes=20),),
)


def made(path: Path, clock: ManualClock, settings: ServiceConfig) -> Service:
    database = Database(f"sqlite:///{path}/x.db")
    database.upgrade()
    service = Service(settings, TWO_POOLS, database, clock, frame=frame)
    service.heartbeat()
    return service


def leased(service: Service, pool: str) -> int:
    now = service.core.now()
    records = [r for r in service.core.state.records.values() if r.state is not WorkloadState.DONE]
    held = [a for r in records for a in leases.current(r.lease.allocations, now)]
    return sum(a.accelerators for a in held if a.pool == pool)


def test_replanned_every_five_minutes_to_its_end(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    service = made(tmp_path, clock, config())
    load_h = 1 / 3
    running = Workload(
        "c",
        model="m",
        tokens=1000.0 * 3600 * 9 * (4 - load_h),
        max_accelerators=9,
        interruptible=False,
        deadline=T0 + 4.5 * HOUR,
    )
    waits = job("d", hours=9, width=9, due_h=6, depends_on=("c",))
    service.submit([running, waits], "ann")
    assert service.cycle().outcome == "published"
    (first,) = service.lease("c").allocations
    slots = service.lease("d").allocations
    assert min(a.start for a in slots) >= first.end
    n = 0
    while clock.now() < first.end + HOUR:
        clock.moment += timedelta(minutes=5)
        service.heartbeat()
        service.tick()
        if clock.now() < first.end - timedelta(minutes=10) and n < 12:
            n += 1
            due = (clock.now() - T0) / HOUR + 1.5
            service.submit([job(f"n{n}", hours=4, width=10, due_h=due)], "ann")
        view = service.cycle()
        assert view.outcome == "published", view.error
        plan = service.plan()
        inputs = service.plan_inputs(plan.plan_id)
        assert verify_plan(plan, inputs) == []
        if first.start < clock.now() < first.end:
            assert service.lease("c").allocations == (first,)
            assert inputs.pinned == (first,)
            assert [a.end for a in plan.allocations if a.workload_id == "c"] == [first.end]
            assert plan_cycle(inputs).plan_id  # a replay plans, too
        if clock.now() < first.end + HOUR / 2:
            held = service.lease("d").allocations
            assert held
            assert min(a.start for a in held) >= first.end
            assert not [u for u in plan.unplaced if u.workload_id == "d"]
        for pool in ("p1", "p2"):
            assert leased(service, pool) <= 10
    assert service.workload("c").state is WorkloadState.DONE
