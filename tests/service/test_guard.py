"""The guard: real-time load that outgrows the plan is made room for at once, and work comes back without fluttering."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Model, Pool, Site
from shifter.domain.grid_event import GridEvent
from shifter.domain.workload import Workload
from shifter.errors import NotReady
from shifter.service import Service
from shifter.service.level import STEPS, Level
from shifter.store import workloads as rows
from shifter.views import AdmissionState, EventKind, TelemetrySample
from tests.service.world import FLEET, HOUR, POOL, T0, job, kinds, live_until, realtime, service

MINUTE = timedelta(minutes=1)
HOLD = timedelta(minutes=5)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock, guard_hold_s=HOLD.total_seconds())


def plan(made: Service, *work: Workload) -> None:
    made.submit(list(work), "ann")
    view = made.cycle()
    assert view.outcome == "published", view.error
    made.tick()


def measure(made: Service, accelerators: float | None = None, available: int | None = None) -> None:
    now = made.core.now()
    made.telemetry([TelemetrySample("fra", now, "h100", accelerators, None, available)], "meter")


def live(made: Service, clock: ManualClock, span: timedelta, load: float, step: timedelta = MINUTE) -> None:
    """Time passes, and the load is measured to the end of it."""
    ends = clock.now() + span
    while clock.now() < ends:
        clock.moment = min(ends, clock.now() + step)
        made.heartbeat()
        measure(made, load)
        made.tick()


def soft(name: str = "soft", width: int = 8, due_h: float = 6.2, **changes: object) -> Workload:
    return job(name, width * 6, width, due_h=due_h, preemptible=True, **changes)


def test_work_stops_with_the_very_measurement(made: Service, clock: ManualClock) -> None:
    asked: list[str] = []
    made.core.replan = asked.append
    plan(made, soft(), job("firm", 48, 8, due_h=6.2))
    clock.advance(minutes=10)
    made.heartbeat()
    made.tick()
    version, seen = made.lease("soft").version, len(made.events())
    asked.clear()
    measure(made, 7.0)  # 16 are there, 16 are held
    told = made.events()[seen:]
    assert [e.kind for e in told] == [EventKind.ADMISSION_CHANGED, EventKind.GUARD_YIELDED]
    assert told[0].data["workload_id"] == "soft"
    assert (told[0].data["state"], told[0].data["accelerators"], told[0].data["yields"]) == ("run", 1, 7)
    assert told[1].data["workloads"] == {"soft": 7}
    assert (told[1].data["yielded_accelerators"], told[1].data["realtime_accelerators"]) == (7, 7.0)
    lease = made.lease("soft")
    assert lease.version == version + 1
    assert [a.accelerators for a in lease.allocations if a.start <= clock.now() < a.end] == [1], "taken back"
    assert asked == ["real-time load"]
    measure(made, 9.0)
    assert made.events()[-2].data["state"] == "stop"
    assert made.admission("soft").state is AdmissionState.STOP
    assert made.admission("firm").accelerators == 8, "what may not be preempted stays"
    made.tick()
    assert made.lease("soft").version == version + 2, "told once"


def test_whoever_tells_that_an_admission_changed_says_the_same_of_it(
    made: Service, clock: ManualClock
) -> None:
    plan(made, soft())
    clock.advance(minutes=10)
    made.heartbeat()
    made.tick()
    measure(made, 11.0)  # told by the guard, the rest by beats
    made.cancel("soft", "ann")
    made.tick()
    told = [e.data for e in made.events() if e.kind is EventKind.ADMISSION_CHANGED]
    fields = ("workload_id", "before", "state", "version", "accelerators", "yields")
    assert [tuple(data[name] for name in fields) for data in told] == [
        ("soft", "wait", "run", 1, 8, 0),
        ("soft", "run", "run", 2, 5, 3),
        ("soft", "run", "rejected", 3, 0, 0),
    ]
    assert {tuple(data) for data in told} == {tuple(told[0])}


def test_capacity_says_what_yields_what_is_there_and_when_it_was_measured(
    made: Service, clock: ManualClock
) -> None:
    plan(made, soft())
    clock.advance(minutes=10)
    made.heartbeat()
    made.tick()
    before = made.capacity(*POOL)
    assert (before.available_accelerators, before.yielded_accelerators, before.last_sample_at) == (
        16,
        0,
        None,
    )
    measure(made, 5.0, available=10)
    told = made.capacity(*POOL)
    assert (told.count, told.available_accelerators, told.yielded_accelerators) == (16, 10, 3)
    assert told.last_sample_at == clock.now()
    clock.advance(hours=25)
    assert made.capacity(*POOL).last_sample_at is None


def test_work_comes_back_once_the_load_has_been_low_for_the_whole_hold(
    made: Service, clock: ManualClock
) -> None:
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 2.0)
    measure(made, 12.0)
    assert made.admission("soft").accelerators == 4
    live(made, clock, HOLD - MINUTE, 2.0)
    assert made.admission("soft").accelerators == 4
    live(made, clock, 2 * MINUTE, 2.0)
    assert made.admission("soft").accelerators == 8
    assert kinds(made)[-1] is EventKind.GUARD_RETURNED
    assert made.events()[-1].data["by"] == "load", "it is let in again"
    assert made.core.state.yielded == {"fra": {}}


def test_a_load_that_falls_in_part_lets_work_in_again_in_part(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 2.0)
    measure(made, 14.0)
    live(made, clock, HOLD + MINUTE, 11.0)
    told = [e.data for e in made.events() if e.kind is EventKind.GUARD_RETURNED]
    assert [(t["by"], t["yielded_accelerators"]) for t in told] == [("load", 3)]


def test_work_that_a_new_plan_has_elsewhere_did_not_return(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 2.0)
    measure(made, 2.0, available=0)
    assert made.admission("soft").state is AdmissionState.STOP
    assert "by" not in made.events()[-1].data, "that is why it returns"
    assert made.cycle().outcome == "published"
    assert not made.lease("soft").allocations or made.lease("soft").allocations[0].start > clock.now()
    made.tick()
    told = [e for e in made.events() if e.kind is EventKind.GUARD_RETURNED]
    assert [(e.data["by"], e.data["yielded_accelerators"]) for e in told] == [("plan", 0)]
    assert not made.admission("soft").admit
    assert all("drill" not in e.data for e in made.events())


def test_what_is_left_to_work_by_a_new_plan_is_no_return_either(made: Service, clock: ManualClock) -> None:
    """It ran in 4 of its 8, and the plan holds no more than that for it now."""
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 2.0)
    measure(made, 12.0)
    assert made.admission("soft").accelerators == 4
    assert made.cycle().outcome == "published"
    asked = made.admission("soft")  # whoever runs it asks before the guard looks
    made.tick()
    told = [e.data for e in made.events() if e.kind is EventKind.GUARD_RETURNED]
    assert asked.accelerators <= 4
    assert [t["by"] for t in told] == ["plan"]


def test_what_it_did_is_credited_as_it_ran(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, HOUR, 2.0)
    assert made.workload("soft").done == pytest.approx(8)
    measure(made, 12.0)  # from this moment on it has four
    live(made, clock, HOUR, 12.0, 10 * MINUTE)
    assert made.workload("soft").done == pytest.approx(12)


def test_what_nobody_asked_for_yet_ran_as_its_lease_held(made: Service, clock: ManualClock) -> None:
    """From then on it runs in what it is left."""
    plan(made, soft())
    made.core.state.let_in.clear()
    for _ in range(6):
        clock.advance(minutes=10)
        made.heartbeat()
    measure(made, 12.0)
    assert made.workload("soft").done == pytest.approx(8)
    live(made, clock, HOUR, 12.0, 10 * MINUTE)
    assert made.workload("soft").done == pytest.approx(12)


def test_work_whose_slot_began_since_the_last_beat_ran_in_it(made: Service, clock: ManualClock) -> None:
    """It was told to wait then, and until when: whoever follows its slots began, and is told to stop."""
    plan(made, soft(earliest_start=T0 + HOUR, due_h=7.2))
    begins = made.lease("soft").allocations[0].start
    live(made, clock, begins - clock.now() - timedelta(seconds=2), 2.0)
    assert made.admission("soft").state is AdmissionState.WAIT
    assert made.core.state.let_in["soft"] == ()
    clock.advance(seconds=4)
    measure(made, 16.0)
    assert made.core.state.stopping["soft"].at == clock.now()
    assert made.admission("soft").state is AdmissionState.STOP
    assert made.workload("soft").done == pytest.approx(8 * 2 / 3600)


def test_a_load_that_flutters_stops_work_once(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 2.0)
    for i in range(120):
        clock.advance(seconds=30)
        made.heartbeat()
        measure(made, 16.0 if i % 3 == 0 else 1.0)
        made.tick()
    assert kinds(made).count(EventKind.GUARD_YIELDED) == 1
    assert EventKind.GUARD_RETURNED not in kinds(made)


def test_the_order_is_that_of_least_cost(sqlite_url: str, clock: ManualClock) -> None:
    fleet = Fleet("EUR", (Site("fra", "DE-LU", (Pool("h100", "H100", 16, 1, 0.1, 0.7),)),), FLEET.models)
    made = service(sqlite_url, clock, fleet=fleet, guard_hold_s=HOLD.total_seconds())
    plan(
        made,
        job("patient", 4 * 20, 4, due_h=24, preemptible=True, earliest_start=T0),
        soft("tight", 4, due_h=6.01),
        Workload(
            "slow",
            model="m",
            tokens=4 * 6 * 3.6e6,
            max_accelerators=4,
            deadline=T0 + 7 * HOUR,
            preemptible=True,
        ),
        soft("loose", 4, due_h=9),
    )
    made.core.state.let_in.clear()
    live(made, clock, 2 * MINUTE, 0.0)
    run = {i for i in ("patient", "tight", "slow", "loose") if made.admission(i).admit}
    assert {"tight", "slow"} <= run
    stopped: list[str] = []
    for load in range(0, 17, 4):
        measure(made, float(load))
        stopped += [i for i in sorted(run) if i not in stopped and not made.admission(i).admit]
    by_spare = [i for i in ("patient", "loose") if i in run]
    assert stopped == [*by_spare, "slow", "tight"], "what loads longer later, what would be late last"
    endangered = [e.data["endangered"] for e in made.events() if e.kind is EventKind.GUARD_YIELDED][-1]
    assert endangered == ["tight"]


def test_who_waits_goes_on_waiting_before_another_is_stopped(made: Service, clock: ManualClock) -> None:
    plan(made, soft("a", due_h=7.5), soft("b", due_h=7.5))
    live(made, clock, 2 * MINUTE, 0.0)
    assert made.admission("a").admit and made.admission("b").admit  # noqa: PT018
    measure(made, 8.0)
    first = "a" if not made.admission("a").admit else "b"
    other = "b" if first == "a" else "a"
    for _ in range(60):
        live(made, clock, MINUTE, 8.0)
        assert made.admission(other).admit, "stopping the other one now would only load twice"
        assert not made.admission(first).admit


def test_lost_accelerators_are_made_up_for_and_missed_where_nothing_may_stop(
    made: Service, clock: ManualClock
) -> None:
    plan(made, soft(), job("firm", 48, 8, due_h=6.2))
    live(made, clock, 2 * MINUTE, 2.0)
    assert made.admission("soft").accelerators == 6
    measure(made, available=12)
    assert made.admission("soft").accelerators == 2
    assert made.capacity(*POOL).realtime_accelerators == 2.0, "of the load nothing was said"
    measure(made, available=8)
    assert made.admission("soft").state is AdmissionState.STOP
    made.tick()
    assert any("needs 2.0 accelerators more" in fault for fault in made.health().faults)
    measure(made, available=16)
    assert made.admission("soft").state is AdmissionState.STOP, "what is back has to stay for a while"
    clock.advance(seconds=301)
    made.heartbeat()
    measure(made, 2.0)
    made.tick()
    assert made.admission("soft").accelerators == 6
    assert made.health().status == "ok"


def test_a_pool_that_flaps_stops_work_once(made: Service, clock: ManualClock) -> None:
    plan(made, soft(width=16))
    live(made, clock, 2 * MINUTE, 0.0)
    for i in range(60):
        clock.advance(seconds=10)
        made.heartbeat()
        measure(made, 0.0, available=8 if i % 2 == 0 else 16)
        made.tick()
    assert kinds(made).count(EventKind.GUARD_YIELDED) == 1
    assert EventKind.GUARD_RETURNED not in kinds(made)


def test_hardware_that_flaps_is_a_reason_for_a_plan_where_what_counts_changes(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300)
    asked: list[str] = []
    made.core.replan = asked.append
    measure(made, 1.0, available=16)
    asked.clear()
    for _ in range(6):
        for there in (12, 16):
            clock.advance(minutes=0.5)
            measure(made, 1.0, available=there)
    assert asked == ["telemetry"]
    measure(made, 1.0, available=8)
    assert asked == ["telemetry"] * 2
    made.tick()
    clock.advance(minutes=1)
    measure(made, 1.0, available=16)
    assert made.capacity(*POOL).available_accelerators == 8
    assert asked.count("telemetry") == 2
    clock.advance(minutes=6)
    made.heartbeat()
    made.tick()
    assert made.capacity(*POOL).available_accelerators == 16
    assert "accelerators" in asked


def test_what_is_lost_does_not_come_back_by_itself(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300, telemetry_days=1)
    measure(made, 1.0, available=4)
    clock.advance(hours=24 * 9)
    made.heartbeat()
    measure(made, 1.0)
    made.prune()
    assert made.capacity(*POOL).available_accelerators == 4
    again = service(sqlite_url, clock, guard_hold_s=300)
    assert again.capacity(*POOL).available_accelerators == 4
    assert again.cycle().outcome == "published"
    assert {row.count for row in again.plan().slots} == {4}


def test_a_restart_looks_at_when_a_sample_was_measured_and_not_at_when_it_came(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300)
    clock.advance(hours=1)
    measure(made, 12.0, available=6)
    late = TelemetrySample("fra", T0, "h100", 1.0, None, 16)
    made.telemetry([late], "meter")
    clock.advance(minutes=10)
    again = service(sqlite_url, clock, guard_hold_s=300)
    for one in (made, again):
        assert one.capacity(*POOL).available_accelerators == 6
        assert one.core.state.measured[POOL].realtime_accelerators == 12.0


def test_work_that_waits_is_not_let_in_by_a_restart(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300)
    made.submit([job("firm", 48, 8, due_h=6.2)], "ann")
    assert made.cycle().outcome == "published"
    measure(made, 16.0)
    made.tick()
    assert made.admission("firm").state is AdmissionState.WAIT
    clock.advance(minutes=2)
    made.heartbeat()
    measure(made, 16.0)
    made.tick()
    again = service(sqlite_url, clock, guard_hold_s=300)
    again.tick()
    assert not again.admission("firm").admit, "nobody ever let it in"
    assert again.workload("firm").done == 0


def test_how_long_a_slow_stop_takes_is_learnt_though_a_new_plan_comes_first(
    made: Service, clock: ManualClock
) -> None:
    plan(made, soft())
    live(made, clock, 2 * MINUTE, 1.0)
    measure(made, 16.0)
    clock.advance(seconds=3)
    assert made.cycle().outcome == "published"
    made.tick()
    clock.advance(seconds=117)
    made.progress("soft", done=0.2, accelerators=0)
    assert made.core.state.freed == {"fra": (120.0,)}
    assert made.core.state.stopping == {}


def test_no_time_is_credited_twice_where_the_clock_is_set_back(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, 20 * MINUTE, 11.0)
    ran = made.workload("soft").done
    clock.moment -= timedelta(minutes=15)
    live(made, clock, 15 * MINUTE, 11.0)
    assert made.admission("soft").accelerators == 5
    assert made.workload("soft").done == pytest.approx(ran)
    live(made, clock, 6 * MINUTE, 11.0)
    assert made.workload("soft").done == pytest.approx(ran + 5 * 6 / 60)


def test_while_the_store_is_away_what_stopped_is_not_credited(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "shifter.db"
    made = service(f"sqlite:///{path}", clock, guard_hold_s=300)
    plan(made, soft())
    live(made, clock, HOUR, 1.0)
    done = made.workload("soft").done
    path.rename(tmp_path / "away.db")
    for _ in range(6):
        clock.advance(minutes=10)
        made.core.state.alive_at = clock.now()
        with pytest.raises(NotReady):
            measure(made, 16.0)
        assert made.admission("soft").state is AdmissionState.STOP
    (tmp_path / "away.db").rename(path)
    measure(made, 16.0)
    made.tick()
    assert made.workload("soft").done == pytest.approx(done + 8 / 6)


def test_load_beyond_the_pool_asks_for_one_plan(made: Service, clock: ManualClock) -> None:
    plan(made, job("firm", 48, 8, due_h=6.2))
    asked: list[str] = []
    made.core.replan = asked.append
    measure(made, 20.0)
    assert made.cycle().outcome == "published"
    asked.clear()
    for _ in range(10):
        clock.advance(seconds=5)
        measure(made, 20.0)
    assert asked == []


def test_a_tick_undoes_nothing_that_happens_meanwhile(made: Service, clock: ManualClock) -> None:
    plan(made, *(soft(f"s{i}", 4, due_h=6.1 + i) for i in range(4)))
    live(made, clock, 2 * MINUTE, 0.0)
    made.core.config = replace(made.core.config, guard_hold_s=0.0)
    ended = threading.Event()

    def post() -> None:
        for i in range(150):
            measure(made, float(i * 7 % 17))
        ended.set()

    poster = threading.Thread(target=post)
    poster.start()
    before: dict[str, int] = {}
    while not ended.is_set():
        made.tick()
        versions = {i: r.lease.version for i, r in list(made.core.state.records.items())}
        assert all(versions[i] >= v for i, v in before.items()), "a version never goes back"
        before = versions
    poster.join()
    with made.core.db.read() as db:
        kept = {r.id: r.lease.version for r in rows.load(db)}
    assert kept == {i: r.lease.version for i, r in made.core.state.records.items()}, "and is what is kept"


def test_what_is_lost_is_planned_without_until_it_is_back(made: Service, clock: ManualClock) -> None:
    plan(made, soft(due_h=20))
    measure(made, 1.0, available=10)
    assert made.cycle().outcome == "published"
    assert {row.count for row in made.plan().slots} == {10}
    clock.advance(hours=2)
    made.heartbeat()
    measure(made, 1.0, available=16)
    assert made.cycle().outcome == "published"
    assert {row.count for row in made.plan().slots} == {16}


def test_how_long_stopping_takes_is_learnt_and_what_is_too_slow_leaves_the_margin(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, guard_hold_s=60, realtime=realtime(2, 6))
    plan(made, soft(width=10))
    margin = [row for row in made.plan().slots if row.deferrable > 16 - row.reserved + 1e-6]
    assert margin, "preemptible work stands in the margin of real-time load"
    for seconds in (40, 50, 45, 41, 60):
        live(made, clock, 2 * MINUTE, 2.0, MINUTE / 2)
        measure(made, 16.0)
        told = clock.now()
        clock.advance(seconds=10)
        made.progress("soft", done=1.0, accelerators=3)  # not yet
        clock.moment = told + timedelta(seconds=seconds)
        made.progress("soft", done=1.0, accelerators=0)
    freed = [e for e in made.events() if e.kind is EventKind.GUARD_FREED]
    assert [e.data["seconds"] for e in freed] == [40, 50, 45, 41, 60]
    assert made.cycle().outcome == "published"
    assert any("takes 60 s to stop, and may take 30 s" in fault for fault in made.health().faults)
    assert all(row.deferrable <= 16 - row.reserved + 1e-6 for row in made.plan().slots)
    again = service(sqlite_url, clock)
    assert again.core.state.freed == {"fra": (40, 50, 45, 41, 60)}


@pytest.mark.parametrize("limit_kw", [8.0, 4.0])
def test_a_limit_that_falls_now_is_kept_before_there_is_a_plan_for_it(
    sqlite_url: str, clock: ManualClock, limit_kw: float
) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300, realtime=realtime(2, 3))
    plan(made, soft(), job("firm", 12, 2, due_h=6.2))
    live(made, clock, 2 * MINUTE, 2.0)
    assert made.admission("soft").accelerators == 8
    made.add_grid_event(GridEvent("cut", "fra", clock.now(), clock.now() + HOUR, limit_kw), "dso")
    made.tick()
    # 16 idle draw 1.6 kW, and each busy one 0.6 kW more.
    left = made.admission("soft").accelerators
    drawn = 1.6 + 0.6 * (2 + 2 + left)
    assert drawn <= max(limit_kw, 1.6 + 0.6 * 4)
    assert drawn + 0.6 > limit_kw, "no more than it must"
    assert made.admission("firm").accelerators == 2
    assert EventKind.GUARD_YIELDED in kinds(made)


@pytest.mark.parametrize("limit_kw", [5.8, 5.2])
def test_what_waits_for_other_work_draws_nothing_that_others_would_have_to_leave(
    sqlite_url: str, clock: ManualClock, limit_kw: float
) -> None:
    made = service(sqlite_url, clock, realtime=realtime(2, 3))
    before, waits = job("before", 8, 2, due_h=4.2), job("waits", 32, 8, due_h=8.4, depends_on=("before",))
    plan(made, before, waits, job("soft", 32, 4, due_h=8.4, preemptible=True))
    made.progress("before", done=0.1, actor="runner")
    live_until(made, clock, T0 + 5.5 * HOUR)
    made.add_grid_event(GridEvent("cut", "fra", clock.now(), clock.now() + HOUR, limit_kw), "dso")
    made.tick()
    assert [a.workload_id for a in made.plan().allocations if a.start <= clock.now() < a.end] == [
        "soft",
        "waits",
    ]
    assert not made.admission("waits").admit
    # 16 idle draw 1.6 kW, real-time load 3 * 0.6 kW and each busy one 0.6 kW.
    room = 4 if limit_kw == 5.8 else 3
    assert made.admission("soft").accelerators == room
    made.progress("before", done=8, actor="runner")
    assert sum(made.admission(i).accelerators for i in ("soft", "waits")) == room, "it counts once it may run"


def test_a_store_that_is_away_does_not_make_it_blind(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "shifter.db"
    made = service(f"sqlite:///{path}", clock, guard_hold_s=300)
    plan(made, soft())
    live(made, clock, 2 * MINUTE, 1.0)
    path.rename(tmp_path / "away.db")
    with pytest.raises(NotReady):
        measure(made, 16.0)
    assert made.admission("soft").state is AdmissionState.STOP
    (tmp_path / "away.db").rename(path)
    measure(made, 16.0)
    assert EventKind.GUARD_YIELDED in kinds(made)


def test_a_restart_remembers_what_was_measured(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, guard_hold_s=300)
    plan(made, soft())
    live(made, clock, 2 * MINUTE, 1.0)
    measure(made, 14.0, available=15)
    clock.advance(seconds=20)
    measure(made, 1.0)
    again = service(sqlite_url, clock, guard_hold_s=300)
    again.tick()
    assert again.admission("soft").accelerators == 1
    assert again.core.state.levels[POOL].at(clock.now(), HOLD) == 14.0


def test_a_clock_that_was_set_back_does_not_make_it_deaf(made: Service, clock: ManualClock) -> None:
    plan(made, soft())
    live(made, clock, 10 * MINUTE, 1.0)
    clock.moment = clock.now() - 8 * MINUTE
    measure(made, 16.0)
    assert made.admission("soft").state is AdmissionState.STOP
    clock.moment = clock.now() - HOUR
    measure(made, 1.0)
    assert made.core.state.levels[POOL].at(clock.now(), HOLD) == 1.0


def test_a_meter_whose_clock_is_ahead_counts_as_of_now(made: Service, clock: ManualClock) -> None:
    ahead = TelemetrySample("fra", clock.now() + 50 * timedelta(seconds=1), "h100", 3.0)
    made.telemetry([ahead], "meter")
    assert made.core.state.measured[POOL].at == clock.now()
    clock.advance(seconds=1)
    measure(made, 5.0)
    assert made.core.state.measured[POOL].realtime_accelerators == 5.0


def test_who_hangs_up_holds_up_nobody(made: Service) -> None:
    samples = [TelemetrySample("fra", T0, "h100", load) for load in (1.0, 2.0, 3.0)]
    with made.core.writing:  # the writer stands still meanwhile
        waiting = [made.hear([sample], "meter") for sample in samples]
        hung_up = [kept.cancel() for kept in waiting[1:2]]
    assert waiting[2].result(10) == 1
    assert hung_up == [True]
    assert made.core.state.levels[POOL].at(T0, HOLD) == 3.0


LOADS = st.lists(
    st.tuples(st.integers(-120, 900), st.floats(0, 50, allow_nan=False)), min_size=1, max_size=80
)


@given(LOADS)
def test_a_level_is_no_lower_than_anything_measured_within_the_hold(steps: list[tuple[int, float]]) -> None:
    level, heard, at = Level(), [], T0
    for seconds, load in steps:
        at = at + timedelta(seconds=seconds)  # now and then one comes late
        level = level.heard(at, load, HOLD)
        heard.append((at, load))
        now = max(moment for moment, _ in heard)
        assert level.at(now, HOLD) >= max(load for moment, load in heard if moment + HOLD > now)
        assert len(level.peaks) <= 2 * STEPS + 2
    now = max(moment for moment, _ in heard)
    newest = [load for moment, load in heard if moment == now]
    assert level.at(now + 2 * HOLD, HOLD) <= max(newest), "and in the end it is what was measured last"


def test_a_level_remembers_little_however_often_it_is_told() -> None:
    level = Level()
    for i in range(10_000):
        level = level.heard(T0 + timedelta(milliseconds=200 * i), 1e6 - i, HOLD)
        assert len(level.peaks) <= STEPS + 3
    now = T0 + timedelta(milliseconds=200 * 9_999)
    earlier = 1e6 - (now - HOLD - T0) / timedelta(milliseconds=200)
    assert earlier <= level.at(now, HOLD) <= earlier + HOLD / STEPS / timedelta(milliseconds=200) + 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.integers(0, 16), min_size=3, max_size=8), data=st.data())
def test_nothing_that_may_yield_stands_where_real_time_load_is(
    loads: list[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock = ManualClock(T0)
    models = (*FLEET.models, Model("pair", {"H100": 500.0}, {"H100": 4}))
    made = service(
        f"sqlite:///{tmp_path_factory.mktemp('guard') / 'shifter.db'}",
        clock,
        fleet=Fleet("EUR", FLEET.sites, models),
        guard_hold_s=300,
    )
    whole: Callable[[], bool] = lambda: data.draw(st.booleans())  # noqa: E731
    plan(
        made,
        soft("a", 4, interruptible=whole()),
        soft("b", 8, due_h=8, interruptible=whole()),
        Workload(
            "c",
            model="pair",
            tokens=4 * 3 * 1.8e6,
            max_accelerators=8,
            deadline=T0 + 5 * HOUR,
            preemptible=True,
        ),
    )
    for load in loads:
        clock.advance(seconds=data.draw(st.sampled_from([5, 60, 400])))
        made.heartbeat()
        measure(made, float(load))
        if data.draw(st.booleans()):
            made.tick()
        highest = made.core.state.levels[POOL].at(clock.now(), HOLD)
        assert highest >= load
        let_in = sum(made.admission(i).accelerators for i in ("a", "b", "c"))
        assert let_in + highest <= 16
        assert made.capacity(*POOL).deferrable_accelerators == let_in
