"""Real-time load that outgrows the plan: who yields, who waits, who stays. And work that runs and may not stop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shifter.clock import ManualClock
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.workload import Workload
from shifter.service import Service
from shifter.views import AdmissionState, TelemetrySample, WorkloadState
from tests.service import world
from tests.service.world import FLEET, HOUR, POOL, T0, job, live_until, realtime, service

MINUTE = timedelta(minutes=1)


def plan(made: Service, *work: Workload) -> None:
    if work:
        made.submit(list(work), "ann")
    view = made.cycle()
    assert view.outcome == "published", view.error


def pass_time(made: Service, clock: ManualClock, moment: datetime) -> None:
    """A daemon's beat every ten minutes; the last one at the moment itself."""
    while clock.now() < moment:
        clock.moment = min(moment, clock.now() + 10 * MINUTE)
        made.heartbeat()
        made.tick()


def measure(made: Service, clock: ManualClock, accelerators: float) -> None:
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", accelerators)], "meter")


@pytest.mark.parametrize("interruptible", [True, False])
def test_who_has_not_begun_waits_where_real_time_load_has_grown(
    made: Service, clock: ManualClock, interruptible: bool
) -> None:
    plan(
        made,
        job("first", 8 * 2, 8, due_h=2),
        job("next", 8 * 2, 8, due_h=3, earliest_start=T0 + HOUR, interruptible=interruptible),
    )
    pass_time(made, clock, T0 + 55 * MINUTE)
    measure(made, clock, 5.0)  # 8 run, and 8 are about to begin
    pass_time(made, clock, T0 + HOUR)
    assert made.admission("first").accelerators == 8, "what runs and may not be preempted stays"
    waits = made.admission("next")
    assert waits.accelerators == (3 if interruptible else 0), "whole, where it may not be cut in two"
    if not interruptible:
        assert waits.state is AdmissionState.WAIT
        assert "no room" in waits.reason
    assert made.capacity(*POOL).deferrable_accelerators == 8 + waits.accelerators
    measure(made, clock, 0.0)
    assert made.admission("next").accelerators == 8
    measure(made, clock, 5.0)
    assert made.admission("next").accelerators == 8, "now it runs"


def test_who_is_kept_out_has_done_nothing_and_is_planned_anew(made: Service, clock: ManualClock) -> None:
    plan(
        made,
        job("first", 8 * 2, 8, due_h=2),
        job("next", 8 * 2, 8, due_h=6, earliest_start=T0 + HOUR, interruptible=False),
    )
    first = made.lease("next").allocations
    start = first[0].start
    pass_time(made, clock, start - 5 * MINUTE)
    for _ in range(4):
        measure(made, clock, 16.0)
        pass_time(made, clock, clock.now() + 5 * MINUTE)
    assert not made.admission("next").admit
    assert made.workload("next").done == 0
    plan(made)
    inputs = made.plan_inputs(made.plan().plan_id)
    assert "next" not in inputs.running
    assert made.lease("next").allocations[0].start >= clock.now()


def test_what_is_squeezed_has_done_less_than_planned(made: Service, clock: ManualClock) -> None:
    plan(made, job("soft", 8 * 3, 8, due_h=3, preemptible=True))
    pass_time(made, clock, T0 + HOUR)
    assert made.workload("soft").done == pytest.approx(8)
    measure(made, clock, 12.0)
    made.tick()  # from here on it holds four
    measure(made, clock, 12.0)
    clock.advance(minutes=5)
    made.heartbeat()
    made.tick()
    assert made.workload("soft").done == pytest.approx(8 + 4 / 12)


def test_work_that_may_not_be_cut_yields_whole(made: Service, clock: ManualClock) -> None:
    plan(made, job("soft", 8 * 2, 8, due_h=2, preemptible=True, interruptible=False))
    pass_time(made, clock, T0 + 10 * MINUTE)
    measure(made, clock, 9.0)
    assert made.admission("soft").state is AdmissionState.STOP


def test_a_report_that_takes_back_what_it_waited_for_does_not_stop_it(
    made: Service, clock: ManualClock
) -> None:
    plan(made, job("p", 4, 4, due_h=8), job("d", 16, 4, due_h=8, depends_on=("p",), interruptible=False))
    [held] = made.lease("d").allocations
    live_until(made, clock, held.start)  # p is done as planned, and nobody has said so yet
    assert made.admission("d").admit
    made.progress("p", done=2.0)
    assert made.admission("d").admit


def test_what_waits_for_others_in_its_slot_has_done_nothing(made: Service, clock: ManualClock) -> None:
    plan(made, job("p", 4, 4, due_h=8), job("d", 16, 4, due_h=8, depends_on=("p",)))
    made.progress("p", done=1.0)  # and no plan is made
    pass_time(made, clock, made.lease("d").allocations[0].start + HOUR)
    assert not made.admission("d").admit
    assert made.workload("d").done == 0


def test_what_was_kept_out_loads_when_it_is_let_in(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock)
    tokens = 1000.0 * 3600 * 8 * 2
    late = Workload("t", model="m", tokens=tokens, max_accelerators=8, deadline=T0 + 2.1 * HOUR)
    plan(made, late)
    for minute in (0, 5, 10):
        pass_time(made, clock, T0 + minute * MINUTE)
        measure(made, clock, 16.0)
        made.tick()
    assert made.workload("t").done == 0
    measure(made, clock, 0.0)
    made.tick()
    pass_time(made, clock, T0 + 20 * MINUTE)
    assert made.workload("t").done / (1000 * 3600 * 8) == pytest.approx((10 - 4) / 60)


def test_after_an_outage_what_may_be_interrupted_has_to_find_room_again(
    made: Service, clock: ManualClock
) -> None:
    plan(made, job("cut", 8 * 4, 8, due_h=4), job("whole", 8 * 4, 8, due_h=4, interruptible=False))
    pass_time(made, clock, T0 + 10 * MINUTE)
    clock.advance(hours=1)  # no sign of life
    made.heartbeat()
    measure(made, clock, 4.0)
    assert made.admission("whole").accelerators == 8
    assert made.admission("cut").accelerators == 4


def test_work_that_is_behind_keeps_its_place_until_it_is_done(made: Service, clock: ManualClock) -> None:
    plan(made, job("whole", 4 * 2, 4, due_h=8, interruptible=False), job("other", 16 * 5, 16, due_h=8))
    [held] = made.lease("whole").allocations
    width = held.accelerators
    pass_time(made, clock, held.start + HOUR)
    made.progress("whole", done=0.75 * width)  # of the hour that was planned by now
    plan(made)
    [longer] = made.lease("whole").allocations
    assert replace(longer, end=held.end) == held
    assert longer.end == clock.now() + timedelta(hours=8 / width - 0.75)
    for moment in (held.end - 5 * MINUTE + 10 * i * MINUTE for i in range(4)):
        claimed = [a for name in ("whole", "other") for a in made.lease(name).allocations]
        assert sum(a.accelerators for a in claimed if a.start <= moment < a.end) <= 16
    pass_time(made, clock, held.end + 10 * MINUTE)
    assert made.admission("whole").accelerators == width
    made.progress("whole", done=8.0)
    assert made.workload("whole").state is WorkloadState.DONE


TWO_POOLS = replace(
    FLEET,
    sites=(
        replace(
            FLEET.sites[0],
            pools=(Pool("h100", "H100", 8, 4, 0.1, 0.7), Pool("h200", "H200", 8, 4, 0.1, 0.7)),
        ),
    ),
)


def test_what_runs_without_a_plan_and_may_not_be_interrupted_stays_where_it_is(
    sqlite_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "FLEET", TWO_POOLS)
    made = service(sqlite_url, clock, realtime=realtime(0, 0))
    plan(made)  # so that the reserve is known; from here on planning is down
    made.submit([job("whole", 6 * 3, 6, due_h=3.1, interruptible=False)], "ann")
    pass_time(made, clock, T0 + 10 * MINUTE)
    begun = made.admission("whole")
    assert (begun.state, begun.accelerators) == (AdmissionState.RUN, 6)
    place = [(a.site, a.pool, a.accelerators) for a in begun.allocations]
    hours = (T0 + 2 * HOUR - clock.now()) / HOUR
    made.submit([job(f"u{i}", 8 * hours, 8, due_h=2) for i in range(2)], "ann")  # more urgent, and wide
    for _ in range(6):
        pass_time(made, clock, clock.now() + 5 * MINUTE)
        goes_on = made.admission("whole")
        assert [(a.site, a.pool, a.accelerators) for a in goes_on.allocations] == place
    plan(made)  # and it is up again
    [held] = made.lease("whole").allocations
    assert [(held.site, held.pool, held.accelerators)] == place
    assert held.start <= T0 + 10 * MINUTE
    assert made.admission("whole").admit
    live_until(made, clock, T0 + 40 * MINUTE)


def test_what_begins_while_a_plan_is_made_is_left_where_it_is(
    made: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan is of the moment before: where it would move what began since, it is made anew."""
    plan(made, job("whole", 9 * 3, 9, due_h=30, interruptible=False))
    [held] = made.lease("whole").allocations
    pass_time(made, clock, held.start - timedelta(seconds=2))
    made.submit([job("urgent", 15 * 2, 16, due_h=(clock.now() - T0) / HOUR + 2.5)], "ann")
    inner, planned = made.core.planner.plan, []

    def slow(text: str, deadline_s: float) -> Plan:
        found = inner(text, deadline_s)
        planned.append(found)
        if len(planned) == 1:
            pass_time(made, clock, held.start + timedelta(seconds=1))
            assert made.admission("whole").accelerators == 9
        return found

    monkeypatch.setattr(made.core.planner, "plan", slow)
    assert made.cycle().outcome == "published"
    first, second = ([a for a in p.allocations if a.workload_id == "whole"] for p in planned)
    assert [(a.start, a.end) for a in first] != [(held.start, held.end)], "or there was nothing to overtake"
    assert [(a.start, a.end) for a in second] == [(clock.now(), held.end)]
    assert made.lease("whole").allocations == (held,)
    assert made.admission("whole").accelerators == 9
