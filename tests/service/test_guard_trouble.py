"""The guard while something else is wrong: the store is away, a reader comes at the worst moment, no thread is left."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.workload import WorkloadClass
from shifter.errors import NotReady
from shifter.service import Service, heard, life
from shifter.store import inputs
from shifter.views import AdmissionState, EventKind, TelemetrySample
from tests.service.test_guard import HOLD, MINUTE, measure, plan, soft
from tests.service.world import T0, service


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    """Preemptible work of eight accelerators runs, since a moment ago."""
    found = service(sqlite_url, clock, guard_hold_s=HOLD.total_seconds())
    plan(found, soft())
    clock.advance(minutes=10)
    found.heartbeat()
    found.tick()
    assert found.admission("soft").state is AdmissionState.RUN
    return found


@pytest.mark.parametrize("away", [False, True])
def test_what_stops_by_the_clock_is_not_credited_while_the_store_is_away(
    made: Service, clock: ManualClock, tmp_path: Path, away: bool
) -> None:
    """A grid limit that was told of begins: nobody posts anything at that moment."""
    made.add_grid_event(GridEvent("e1", "fra", T0 + 20 * MINUTE, T0 + 300 * MINUTE, 0.1), "grid")
    [file] = tmp_path.glob("*.db")
    if away:
        file.rename(tmp_path / "away")
    for _ in range(60):
        clock.advance(minutes=1)
        made.heartbeat()
        with suppress(NotReady):
            made.tick()
    assert made.admission("soft").state is AdmissionState.STOP
    if away:
        (tmp_path / "away").rename(file)
        made.tick()
    assert made.core.done(made.core.record("soft")) == pytest.approx(8 * 20 / 60)


def test_a_mistake_before_it_keeps_nobody_from_yielding(
    made: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_grid_event(GridEvent("e1", "fra", T0 + 20 * MINUTE, T0 + 300 * MINUTE, 0.1), "grid")
    seen = len(made.events())
    clock.advance(minutes=11)
    made.heartbeat()

    def broken(_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("shifter.service.life.peaks.settle_ended", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        made.tick()
    assert EventKind.GUARD_YIELDED in [e.kind for e in made.events()[seen:]]


@pytest.mark.parametrize("told", [{"realtime_accelerators": 5.0}, {"available_accelerators": 12}])
def test_who_reads_while_a_first_sample_is_taken_sees_all_of_it_or_nothing(
    made: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    seen: list[Any] = []
    take = heard._hear

    def read() -> None:
        try:
            seen.append((made.capacity("fra", "h100").count, made.admission("soft").state))
        except Exception as error:
            seen.append(error)

    def hook(*given: Any) -> None:
        reader = threading.Thread(target=read)
        reader.start()
        reader.join()
        take(*given)

    monkeypatch.setattr(heard, "_hear", hook)
    made.telemetry([TelemetrySample("fra", clock.now(), "h100", **told)], "meter")
    assert seen == [(16, AdmissionState.RUN)]


def test_a_measurement_for_which_there_is_no_thread_is_refused_and_the_next_is_heard(
    made: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def fails(thread: threading.Thread) -> None:
        if thread.name.startswith("shifter-telemetry"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", fails)
        with pytest.raises(RuntimeError, match="new thread"):
            measure(made, 5.0)
    sample = TelemetrySample("fra", clock.now(), "h100", 9.0)
    assert made.hear([sample], "meter").result(10) == 1
    assert made.admission("soft").accelerators == 7


@pytest.mark.parametrize("planned", [False, True])
def test_work_that_real_time_load_has_become_is_told_to_run_and_nothing_else(
    made: Service, clock: ManualClock, planned: bool
) -> None:
    seen = len(made.events())
    made.override("olga", WorkloadClass.REAL_TIME, "a customer waits", workload_id="soft")
    made.cycle() if planned else made.tick()
    told = [e.data["state"] for e in made.events()[seen:] if e.kind is EventKind.ADMISSION_CHANGED]
    assert told == []
    assert made.admission("soft").state is AdmissionState.RUN


def test_work_that_waits_and_becomes_real_time_is_told_to_run(made: Service) -> None:
    plan(made, soft("later", earliest_start=T0 + timedelta(hours=3), due_h=12))
    assert made.admission("later").state is AdmissionState.WAIT
    seen = len(made.events())
    made.override("olga", WorkloadClass.REAL_TIME, "a customer waits", workload_id="later")
    made.tick()
    told = [e.data for e in made.events()[seen:] if e.kind is EventKind.ADMISSION_CHANGED]
    assert [(t["workload_id"], t["state"], t["before"]) for t in told] == [("later", "run", "wait")]


def test_a_stop_waits_for_a_part_of_what_is_forgotten_and_no_more(
    made: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = clock.now() - timedelta(days=made.core.config.telemetry_days, hours=1)
    rows = [TelemetrySample("fra", old + timedelta(seconds=n), "h100", 1.0) for n in range(25)]
    with made.core.change() as change:
        inputs.add_telemetry(change.db, rows)
    between: list[int] = []

    def stop(_: float) -> None:
        """Another thread has its turn between two parts, as it has whenever the lock is free."""
        poster = threading.Thread(target=measure, args=(made, 9.0))
        poster.start()
        poster.join(10)
        between.append(made.admission("soft").accelerators)

    monkeypatch.setattr(life, "AT_ONCE", 10)
    monkeypatch.setattr("shifter.service.life.time.sleep", stop)
    assert made.prune()["telemetry"] == 25
    assert between == [7, 7]


def test_work_that_a_new_plan_lets_in_again_returns_by_the_plan(made: Service, clock: ManualClock) -> None:
    """Real-time load is as high as it was: the plan has something else where it was short."""
    made.cancel("soft", "ann")
    plan(made, soft("one", width=4), soft("two", width=4))
    clock.advance(minutes=1)
    made.heartbeat()
    made.tick()
    measure(made, 12.0)
    stopped = {i: made.admission(i).accelerators for i in ("one", "two")}
    assert sorted(stopped.values()) == [0, 4]
    made.cancel(max(stopped, key=lambda i: stopped[i]), "ann")
    seen = len(made.events())
    made.cycle()
    made.tick()
    [told] = [e.data for e in made.events()[seen:] if e.kind is EventKind.GUARD_RETURNED]
    assert (told["by"], told["yielded_accelerators"]) == ("plan", 0)
    assert made.admission(min(stopped, key=lambda i: stopped[i])).accelerators == 4


def test_what_work_yields_to_is_told(made: Service, clock: ManualClock) -> None:
    def short_of() -> list[str]:
        return [e.data["short_of"] for e in made.events() if e.kind is EventKind.GUARD_YIELDED]

    measure(made, 12.0)
    assert short_of() == ["accelerators"]
    measure(made, 2.0)
    for _ in range(7):
        clock.advance(minutes=1)
        made.heartbeat()
        measure(made, 2.0)
        made.tick()
    assert made.admission("soft").accelerators == 8
    made.add_grid_event(GridEvent("e1", "fra", clock.now(), T0 + 300 * MINUTE, 0.1), "grid")
    made.tick()
    assert short_of() == ["accelerators", "power"]
