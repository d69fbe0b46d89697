"""Leases and admission: the plan while it is vouched for, the deadline when it is not, real-time load always
first.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.domain.fleet import Model
from shifter.domain.grid_event import GridEvent
from shifter.domain.workload import Alternative, Workload
from shifter.errors import NotFound
from shifter.service import Service
from shifter.views import AdmissionState, EventKind, TelemetrySample, WorkloadState
from tests.service.world import FLEET, HOUR, POOL, T0, job, kinds, live_until, realtime, service

TWO_MODELS = replace(FLEET, models=(*FLEET.models, Model("m-int8", {"H100": 4000.0}, load_minutes=4)))


def planned(made: Service, *work: object) -> None:
    made.submit(list(work), "ann")  # type: ignore[arg-type]
    assert made.cycle().outcome == "published"


def test_a_version_counts_this_workloads_changes_only(made: Service, clock: ManualClock) -> None:
    planned(made, job("a", 4), job("b", 4))
    assert made.lease("a").version == made.lease("b").version == 1
    clock.advance(minutes=3)
    made.cycle()
    assert made.lease("a").version == 1, "the same slots from a new plan are the same lease"
    assert made.lease("a").plan_id != made.plan().plan_id
    made.cancel("b", "ann")
    made.cycle()
    assert (made.lease("a").version, made.lease("b").version) == (1, 2)


def test_a_lease_holds_while_the_daemon_lives_and_is_stale_after(made: Service, clock: ManualClock) -> None:
    planned(made, job())
    lease = made.lease("w1")
    assert (lease.valid_until, lease.stale) == (T0 + timedelta(minutes=15), False)
    clock.advance(minutes=16)
    assert made.lease("w1").stale
    made.heartbeat()
    assert not made.lease("w1").stale
    assert made.lease("w1").latest_start == T0 + 25 * HOUR


def test_admission_through_the_life_of_a_workload(made: Service, clock: ManualClock) -> None:
    planned(made, job(hours=4, width=4))  # one hour at the cheapest time
    [held] = made.lease("w1").allocations
    before = made.admission("w1")
    assert (before.state, before.admit, before.not_before) == (AdmissionState.WAIT, False, held.start)
    live_until(made, clock, held.start)
    made.tick()
    inside = made.admission("w1")
    assert (inside.state, inside.accelerators, inside.not_after) == (AdmissionState.RUN, 4, held.end)
    assert inside.allocations == (held,)
    assert inside.version == 1
    live_until(made, clock, held.end)
    made.tick()
    after = made.admission("w1")
    assert (after.state, after.admit) == (AdmissionState.REJECTED, False)
    assert "done" in after.reason
    told = [e.data["state"] for e in made.events() if e.kind is EventKind.ADMISSION_CHANGED]
    assert told == ["run", "rejected"]


def test_what_a_new_plan_has_later_is_told_to_stop_with_it(made: Service, clock: ManualClock) -> None:
    """And not at the next beat: until then it would run where others begin. What was asked for between stays said."""
    planned(made, job("soft", 16 * 4, 16, due_h=24))
    live_until(made, clock, made.lease("soft").allocations[0].start)
    made.tick()
    assert made.admission("soft").state is AdmissionState.RUN
    clock.advance(minutes=1)
    made.heartbeat()
    made.submit([job("between", 1, 1, due_h=24)], "ann")
    assert made.admission("between").state is AdmissionState.WAIT
    now = clock.now()
    planned(made, job("urgent", 16, 16, due_h=(now - T0) / HOUR + 1.2))
    [told] = [e.data for e in made.events() if e.kind is EventKind.ADMISSION_CHANGED][1:]
    assert (told["workload_id"], told["state"], told["before"]) == ("soft", "stop", "run")
    assert made.core.state.let_in == {"soft": (), "between": ()}
    made.tick()
    last = [e.data for e in made.events() if e.kind is EventKind.ADMISSION_CHANGED][2:]
    assert [(t["workload_id"], t["state"]) for t in last] == [("urgent", "run")]


def test_a_pause_between_two_pieces_says_stop(made: Service, clock: ManualClock) -> None:
    # A limit that leaves nothing for two hours cuts the only time it can run in two.
    made.add_grid_event(GridEvent("g", "fra", T0 + 2 * HOUR, T0 + 4 * HOUR, 1.6), "ann")
    planned(made, job(hours=4 * 4, width=4, due_h=6))
    live_until(made, clock, T0 + timedelta(hours=2, minutes=30))
    answer = made.admission("w1")
    assert answer.state is AdmissionState.STOP
    assert answer.not_before == T0 + 4 * HOUR
    assert 1 <= answer.retry_after_s <= 60


def test_cancelled_and_unplaced_work_is_rejected(made: Service) -> None:
    made.add_grid_event(GridEvent("g", "fra", T0, T0 + 48 * HOUR, 1.6), "grid")  # idle draws as much
    planned(made, job("none"), job("gone"))
    made.cancel("gone", "ann")
    assert made.admission("gone").state is AdmissionState.REJECTED
    answer = made.admission("none")
    assert answer.state is AdmissionState.REJECTED
    assert "could be placed" in answer.reason


def test_real_time_work_always_runs(made: Service, clock: ManualClock) -> None:
    made.submit([job("chat", latency_slo_ms=500.0)], "ann")
    clock.advance(hours=1)
    answer = made.admission("chat")
    assert (answer.state, answer.allocations) == (AdmissionState.RUN, ())


def test_without_a_plan_work_waits_until_its_latest_start_and_then_needs_to_know_the_reserve(
    made: Service, clock: ManualClock
) -> None:
    made.submit([job(hours=20, width=4, due_h=10)], "ann")
    waiting = made.admission("w1")
    assert (waiting.state, waiting.not_before) == (AdmissionState.WAIT, T0 + 5 * HOUR)
    clock.moment = T0 + 6 * HOUR
    made.heartbeat()
    answer = made.admission("w1")
    assert answer.state is AdmissionState.WAIT, "no plan ever told the reserve, and unknown is not free"
    assert "nothing is free" in answer.reason


def test_an_outage_costs_savings_never_the_deadline_nor_the_reserve(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, realtime=realtime(4, 6))  # 6 / (1 - 1/4) = 8 of 16 are held back
    planned(made, job("a", 30, 6, due_h=22), job("b", 30, 6, due_h=23))
    stale_at = T0 + 16 * HOUR  # the daemon's last sign of life was at T0
    clock.moment = stale_at
    assert made.lease("a").stale
    for name in ("a", "b"):
        answer = made.admission(name)
        assert (answer.state, answer.stale) in {(AdmissionState.WAIT, True), (AdmissionState.STOP, True)}
        assert answer.not_before == made.lease(name).latest_start, "not the plan any more: the latest start"
    clock.moment = T0 + timedelta(hours=21, minutes=45)
    granted = {name: made.admission(name) for name in ("a", "b")}
    running = [a for a in granted.values() if a.admit]
    assert running, "past its latest start it runs"
    assert sum(a.accelerators for a in running) <= 8, "and never in the reserve"
    assert made.capacity(*POOL).deferrable_accelerators == 0


def test_measured_load_beyond_the_plan_takes_from_preemptible_work_only(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock)
    planned(
        made,
        job("firm", 8 * 6, 8, due_h=6.2),
        job("soft", 8 * 6, 8, due_h=6.2, preemptible=True),
    )
    clock.advance(hours=1)
    made.heartbeat()
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", 5.0)], "meter")
    firm, soft = made.admission("firm"), made.admission("soft")
    assert (firm.accelerators, soft.accelerators) == (8, 3)
    assert made.capacity(*POOL).deferrable_accelerators == 11
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", 8.0)], "meter")
    assert made.admission("soft").state is AdmissionState.STOP
    assert made.admission("firm").admit
    capacity = made.capacity(*POOL)
    assert (capacity.deferrable_accelerators, capacity.realtime_accelerators) == (8, 8.0)


def test_capacity_is_flat_and_stale_never_reads_as_free(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, realtime=realtime(4, 6))
    blind = made.capacity(*POOL)
    assert (blind.stale, blind.deferrable_accelerators, blind.dispatch_budget) == (True, 0, 0.0)
    assert (blind.reserved_accelerators, blind.realtime_accelerators) == (16.0, 16.0), (
        "unknown is not zero demand"
    )
    planned(made, job(hours=8 * 6, width=8, due_h=6.2))
    clock.advance(minutes=10)
    seen = made.capacity(*POOL)
    assert not seen.stale
    assert seen.deferrable_accelerators == 8
    assert seen.reserved_accelerators == pytest.approx(8)
    assert seen.dispatch_budget == 0.5
    assert (seen.realtime_accelerators, seen.version) == (6.0, 1)
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", 3.0)], "meter")
    assert made.capacity(*POOL).realtime_accelerators == 3.0
    clock.advance(minutes=6)
    made.heartbeat()
    made.tick()
    silent = made.capacity(*POOL)
    assert (silent.stale, silent.dispatch_budget) == (True, 0.5)
    assert silent.realtime_accelerators == 6.0, "a meter that fell silent is neither free capacity nor a lull"
    assert EventKind.TELEMETRY_STALE in kinds(made)
    assert made.health().status == "degraded"
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", 3.0)], "meter")
    assert not made.capacity(*POOL).stale
    clock.advance(hours=1)
    assert made.capacity(*POOL).stale, "nobody renewed the leases"
    with pytest.raises(NotFound):
        made.capacity("fra", "none")


def test_work_that_may_not_be_interrupted_stays_where_it_runs(made: Service, clock: ManualClock) -> None:
    planned(made, job("whole", 24, 4, due_h=8, interruptible=False))
    [held] = made.lease("whole").allocations
    live_until(made, clock, held.start + timedelta(minutes=100))
    made.submit([job(f"x{i}", 30, 16, due_h=9) for i in range(3)], "ann")
    assert made.cycle().outcome == "published"
    assert made.lease("whole").version == 1
    assert made.admission("whole").admit
    mine = [a for a in made.plan().allocations if a.workload_id == "whole"]
    assert [(a.start, a.accelerators) for a in mine] == [(clock.now(), 4)]
    assert abs(mine[0].end - held.end) < timedelta(seconds=1), "and the plan knows that it is there"
    others = [a for v in made.workloads() if v.id != "whole" for a in made.lease(v.id).allocations]
    for moment in (clock.now() + i * timedelta(minutes=10) for i in range(24)):
        at_once = sum(a.accelerators for a in (*others, held) if a.start <= moment < a.end)
        assert at_once <= 16


def test_a_piece_that_goes_on_under_a_new_plan_is_not_loaded_again(made: Service, clock: ManualClock) -> None:
    work = job("tokens", due_h=2.6)
    made.submit(
        [type(work)("t", model="m", tokens=1000 * 3600 * 8.0, max_accelerators=4, deadline=T0 + 2.6 * HOUR)],
        "a",
    )
    for _ in range(8):  # a new plan every ten minutes, each of which would lose four of them to loading
        made.cycle()
        clock.advance(minutes=10)
        made.heartbeat()
    view = made.workload("t")
    hours = (80 - 4) / 60
    assert view.done / (1000 * 3600) == pytest.approx(4 * hours, rel=0.02)


def test_a_plan_every_two_minutes_loads_once(made: Service, clock: ManualClock) -> None:
    """With four minutes to load, and not one to spare, the work is in time, and its slots stay what they were."""
    work = Workload(
        "t", model="m", tokens=1000 * 3600 * 4.0 * (120 - 4) / 60, max_accelerators=4, deadline=T0 + 2 * HOUR
    )
    planned(made, work)
    version = made.lease("t").version
    for minutes in range(2, 40, 2):
        live_until(made, clock, T0 + timedelta(minutes=minutes))
        made.cycle()
        plan = made.plan()
        assert plan.unplaced == ()
        assert [(a.start, a.end) for a in plan.allocations] == [(clock.now(), T0 + 2 * HOUR)]
        again = plan_cycle(made.plan_inputs(plan.plan_id))
        assert replace(again, inputs_id=plan.inputs_id).to_json() == plan.to_json()
    assert made.lease("t").version == version
    live_until(made, clock, T0 + 2 * HOUR)
    assert made.workload("t").done == pytest.approx(work.amount)


def test_what_was_planned_in_an_outage_is_not_taken_for_done(database_url: str, clock: ManualClock) -> None:
    first = service(database_url, clock)
    planned(first, job(hours=4 * 6, width=4, due_h=8))
    live_until(first, clock, T0 + HOUR)
    first.tick()  # keeps the last sign of life
    before = first.workload("w1").done
    first.core.db.close()
    clock.advance(hours=2)  # killed; nobody let anything in
    second = service(database_url, clock)  # with its first heartbeat
    after = second.workload("w1").done
    assert after - before <= 4 * 0.25 + 1e-6, "readers followed the plan until their lease ended, no longer"
    assert second.cycle().outcome == "published"
    left = sum(a.accelerators * ((a.end - a.start) / HOUR) for a in second.lease("w1").allocations)
    assert left == pytest.approx(24 - after, rel=1e-3), "the rest is planned again"
    second.core.db.close()


def test_killed_before_its_first_sign_of_life_was_kept_it_has_vouched_for_its_last_plan_only(
    sqlite_url: str, clock: ManualClock
) -> None:
    first = service(sqlite_url, clock)
    planned(first, job(hours=4 * 6, width=4, due_h=6))  # it has to run from now on
    first.core.db.close()
    clock.advance(hours=3)
    second = service(sqlite_url, clock)
    assert second.workload("w1").done == pytest.approx(4 * 0.25), "the plan's lease held for 15 minutes"
    second.core.db.close()


def test_the_latest_start_keeps_the_margin_of_planning(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, deadline_margin_s=900.0)
    planned(made, job(hours=20, width=4, due_h=30))
    starts = T0 + 25 * HOUR - timedelta(minutes=15)
    assert made.lease("w1").latest_start == made.workload("w1").latest_start == starts
    clock.moment = starts - timedelta(minutes=1)  # no sign of life since T0
    assert made.admission("w1").not_before == starts
    clock.moment = starts
    assert made.admission("w1").admit


def test_progress_counts_in_the_works_own_unit_whatever_model_runs(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, fleet=TWO_MODELS)
    tokens = 4 * 3600e3  # four accelerator-hours as asked; half of that by the other
    work = Workload(
        "w1",
        model="m",
        tokens=tokens,
        alternatives=(Alternative("m-int8", 2 * tokens),),
        deadline=T0 + 20 * HOUR,
        max_accelerators=1,
    )
    planned(made, work)
    [held] = made.lease("w1").allocations
    assert (held.model, held.end - held.start) == ("m-int8", timedelta(hours=2, minutes=4))
    live_until(made, clock, held.start + HOUR)
    made.tick()
    loaded = 56 / 60  # of an hour
    assert made.workload("w1").done == pytest.approx(loaded * 2 * 3600e3)
    live_until(made, clock, held.end)
    made.tick()
    assert made.workload("w1").state is WorkloadState.DONE


def test_one_more_workload_leaves_the_leases_of_all_others_as_they_are(
    made: Service, clock: ManualClock
) -> None:
    """A plan anew moves nothing that was announced; time that goes by meanwhile is no change either."""
    made.submit([job(f"w{i}", hours=6.0 + i) for i in range(6)], "ann")
    made.cycle()
    before = {r.id: r.lease for r in made.core.state.records.values()}
    for i in range(3):
        live_until(made, clock, clock.now() + timedelta(minutes=10))
        made.submit([job(f"new{i}", hours=3.0)], "ann")
        assert made.cycle().outcome == "published"
        plan = made.plan()
        assert plan.status == "held"
        assert plan.held is not None
        assert {id: made.core.state.records[id].lease for id in before} == before
        assert made.lease(f"new{i}").allocations
    plan = made.plan()
    replayed = made.plan_inputs(plan.plan_id)
    assert replace(plan_cycle(replayed), inputs_id=plan.inputs_id) == plan
