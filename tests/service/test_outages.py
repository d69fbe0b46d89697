"""Without live leases: what goes on, what may start, and what it may use. And ends that nobody reports."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.workload import Workload
from shifter.service import Service
from shifter.views import AdmissionState, EventKind, WorkloadState
from tests.service.world import HOUR, T0, job, kinds, live_until, realtime, service


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock, realtime=realtime(2, 3))  # 4 of 16 are held back


def test_work_that_goes_on_in_an_outage_leaves_the_rest_less(made: Service, clock: ManualClock) -> None:
    made.submit([job("c", hours=16, width=8, due_h=24, interruptible=False)], "ann")
    made.cycle()
    start = made.plan().allocations[0].start
    live_until(made, clock, start + 0.2 * HOUR)
    made.submit([job("u", hours=48, width=12, deadline=start + 4.3 * HOUR)], "ann")
    clock.moment = start + 1.5 * HOUR
    c, u = made.admission("c"), made.admission("u")
    assert (c.stale, c.state, c.accelerators) == (True, AdmissionState.RUN, 8)
    assert (u.state, u.accelerators) == (AdmissionState.RUN, 4)


def test_a_plan_is_asked_for_when_an_outage_is_over(made: Service, clock: ManualClock) -> None:
    made.submit([job("u", hours=48, width=12, due_h=20)], "ann")
    made.cycle()
    asked: list[str] = []
    made.core.replan = asked.append
    clock.advance(hours=5)  # no sign of life: suspended, say
    made.heartbeat()
    assert asked == ["an outage ended"]


def test_what_would_have_begun_in_the_outage_does_not_go_on(made: Service, clock: ManualClock) -> None:
    made.submit([job("c", hours=16, width=8, due_h=30, interruptible=False)], "ann")
    made.cycle()
    clock.moment = made.plan().allocations[0].start + 0.5 * HOUR
    assert made.admission("c").state is not AdmissionState.RUN


def test_two_that_need_the_same_accelerators_at_their_latest_start_cannot_both_be_in_time(
    made: Service, clock: ManualClock
) -> None:
    made.submit([job("a", hours=24, width=12, due_h=10), job("b", hours=24, width=12, due_h=10.1)], "ann")
    made.cycle()
    assert not made.plan().unplaced, "planned, they are one after the other"
    clock.moment = T0 + 8.1 * HOUR  # and nobody was let in since T0: both need all of the twelve now
    assert sorted(made.admission(id).accelerators for id in "ab") == [0, 12]


def test_a_grant_in_an_outage_holds_the_power_limits(made: Service, clock: ManualClock) -> None:
    made.submit([job("u", hours=60, width=12, due_h=6)], "ann")
    made.cycle()
    clock.moment = T0 + 3 * HOUR
    assert made.admission("u").accelerators == 12
    # Idle draws 1.6 kW and real-time load at its quantile 3 * 0.6 kW; each more 0.6 kW.
    made.add_grid_event(GridEvent("e", "fra", T0 + 3 * HOUR, T0 + 20 * HOUR, 5.3), "olga")
    assert made.admission("u").accelerators == 3
    made.add_grid_event(GridEvent("f", "fra", T0 + 3.05 * HOUR, T0 + 20 * HOUR, 3.5), "olga")
    assert not made.admission("u").admit, "a limit that begins while a grant would hold counts"


def test_a_dependent_waits_for_late_work_also_in_an_outage(made: Service, clock: ManualClock) -> None:
    made.submit([job("p", 8, 2, due_h=5), job("d", 8, 2, due_h=12, depends_on=("p",))], "ann")
    made.cycle()
    made.progress("p", done=0.1, actor="runner")
    live_until(made, clock, T0 + 5.1 * HOUR)
    made.tick()
    assert made.workload("p").state is WorkloadState.LATE
    clock.moment = T0 + 9 * HOUR
    waiting = made.admission("d")
    assert (waiting.stale, waiting.admit) == (True, False)
    assert "depends on p" in waiting.reason
    made.progress("p", done=8, actor="runner")
    assert made.admission("d").admit


def test_a_slot_does_not_let_in_what_still_waits(made: Service, clock: ManualClock) -> None:
    made.submit([job("p", 8, 2, due_h=12), job("d", 8, 2, due_h=12, depends_on=("p",))], "ann")
    made.cycle()
    made.progress("p", done=0.1, actor="runner")
    live_until(made, clock, made.lease("d").allocations[0].start + timedelta(minutes=1))
    assert not made.admission("d").admit
    made.progress("p", done=8, actor="runner")
    assert made.admission("d").admit


def test_what_others_wait_for_is_not_forgotten(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, workloads_days=1.0)
    made.submit(
        [job("p", 8, 2, due_h=5), job("d", 8, 2, due_h=96, depends_on=("p",)), job("x", 8, 2, due_h=5)],
        "ann",
    )
    clock.moment = T0 + 40 * HOUR
    made.heartbeat()
    made.tick()
    clock.moment = T0 + 70 * HOUR
    assert made.prune()["workloads"] == 1
    assert {v.id for v in made.workloads()} == {"p", "d"}
    again = service(sqlite_url, clock)
    assert {v.id for v in again.workloads()} == {"p", "d"}
    again.core.db.close()


def test_real_time_work_without_an_amount_is_not_done_at_once(made: Service, clock: ManualClock) -> None:
    made.submit([Workload("chat", model="m", latency_slo_ms=500)], "ann")
    made.cycle()
    made.tick()
    made.progress("chat", done=5, actor="runner")
    assert made.workload("chat").state is WorkloadState.REAL_TIME
    assert made.admission("chat").admit


def test_real_time_work_ends_at_its_deadline_or_when_nobody_speaks_of_it(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, workloads_days=10.0)
    made.submit(
        [
            Workload("short", model="m", tokens=1e6, latency_slo_ms=500, deadline=T0 + HOUR),
            Workload("long", model="m", latency_slo_ms=500),
        ],
        "ann",
    )
    live_until(made, clock, T0 + 1.1 * HOUR)
    made.tick()
    assert [made.workload(n).state for n in ("short", "long")] == [
        WorkloadState.DONE,
        WorkloadState.REAL_TIME,
    ]
    assert made.workload("short").done == 0, "it is over; nobody said that it did anything"
    assert not made.admission("short").admit
    clock.advance(days=6)
    made.progress("long", done=1, actor="runner")
    clock.advance(days=6)
    made.tick()
    assert made.workload("long").state is WorkloadState.REAL_TIME
    clock.advance(days=5)
    made.tick()
    assert made.workload("long").state is WorkloadState.DONE
    assert kinds(made).count(EventKind.WORKLOAD_DONE) == 2
