"""The daemon as a whole: it plans, survives what breaks, and loses nothing that it accepted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest

from forecasts.sources.publication import MarketDaily
from shifter.clock import parse_clock
from shifter.daemon import Daemon, jitter_of
from shifter.errors import InputError, NotReady
from shifter.files import read_workloads
from shifter.planner import WorkerPlanner
from shifter.settings import load_settings
from shifter.views import EventKind, WorkloadState
from tests.conftest import PostgresCluster
from tests.daemon.world import daemon, job, settings, until
from tests.files.good import EXAMPLES

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@contextmanager
def running(made: Daemon) -> Iterator[Daemon]:
    made.start()
    try:
        yield made
    finally:
        made.stop()


def kinds(made: Daemon) -> list[EventKind]:
    return [e.kind for e in made.service.events()]


def last_trigger(made: Daemon) -> str:
    last = made.service.health().last_cycle
    return "" if last is None else last.trigger


def test_forecasts_come_in_a_plan_follows_and_work_is_placed_in_it(tmp_path: Path) -> None:
    with running(daemon(tmp_path)) as made:
        until(made.service.ready)
        [view] = made.service.submit([job("w1", made)], "ann")
        assert view.state in {WorkloadState.PLANNED, WorkloadState.RUNNING}, "submitting waits for its plan"
        assert view.cost is not None
        until(lambda: "submission" in last_trigger(made))  # the cycle is told of just after its plan
        health = made.service.health()
        assert (health.status, health.database, health.synthetic) == ("ok", "ok", True)
        assert health.simulated_clock
        assert [s.up for s in health.sources] == [True]
        told = kinds(made)
        assert told.index(EventKind.FORECAST_INGESTED) < told.index(EventKind.PLAN_PUBLISHED)
    made.stop()  # twice is once


def test_the_committed_example_plans_as_it_is(tmp_path: Path) -> None:
    changes = {"database": f"sqlite:///{tmp_path / 'x.db'}", "clock": "2026-01-10T00:00:00Zx60"}
    example = load_settings(EXAMPLES / "shifter.yaml", changes, {})
    with running(Daemon(example, parse_clock(example.clock))) as made:
        until(made.service.ready)
        made.service.submit(read_workloads(EXAMPLES / "workloads.jsonl", made.fleet), "ann")
        until(lambda: all(v.state is not WorkloadState.ACCEPTED for v in made.service.workloads()))
        assert not made.service.plan().unplaced
        assert made.service.health().faults == ()


def test_the_next_plan_is_announced_by_the_clock_of_the_daemon(tmp_path: Path) -> None:
    made = daemon(tmp_path, speed=10, planning={"replan_minutes": 20})
    assert made.service.health().next_replan_at is None, "nothing plans by itself yet"
    with running(made):
        until(made.service.ready)
        health = made.service.health()
        assert health.next_replan_at is not None
        assert timedelta(0) <= health.next_replan_at - health.now <= timedelta(minutes=20)
        assert until(lambda: made._replanner.due_in_s() is None)
        health = made.service.health()
        assert health.next_replan_at is not None
        assert health.next_replan_at - made.clock.now() > timedelta(minutes=15)
    assert made._next_replan_at() is None


def test_daemons_that_start_together_do_not_ask_a_server_in_the_same_second() -> None:
    daily = MarketDaily(time_of_day(12, 50), "Europe/Berlin")
    noon = datetime(2026, 1, 10, 11, 0, tzinfo=UTC)
    today = datetime(2026, 1, 10, 23, tzinfo=UTC)
    due = noon + timedelta(minutes=50)
    asked = [
        (daily.next_poll(noon, today, 0, jitter_of("entsoe", f"host/{i}")()) - due).total_seconds()
        for i in range(200)
    ]
    assert all(0 <= s < 60 for s in asked), "a tenth of ten minutes, never before it is due"
    assert max(asked) - min(asked) > 50
    assert len({int(s) for s in asked}) > 40
    one, same, other = jitter_of("neso", "a"), jitter_of("neso", "a"), jitter_of("entsoe", "a")
    drawn = [one() for _ in range(5)]
    assert drawn == [same() for _ in range(5)], "the same for the same process"
    assert len({*drawn, other()}) == 6


def test_changes_close_together_cause_one_plan(tmp_path: Path) -> None:
    with running(daemon(tmp_path, planning={"debounce_s": 1.0}, admission={"wait_s": 0})) as made:
        until(made.service.ready)
        time.sleep(0.3)
        before = kinds(made).count(EventKind.PLAN_PUBLISHED)
        for i in range(10):
            made.service.submit([job(f"w{i}", made)], "ann")
        until(lambda: made.service.workload("w9").state is not WorkloadState.ACCEPTED)
        assert kinds(made).count(EventKind.PLAN_PUBLISHED) - before <= 2


def test_time_passes_on_a_fast_clock_and_work_gets_done(tmp_path: Path) -> None:
    with running(daemon(tmp_path, speed=3600)) as made:  # an hour a second
        until(made.service.ready)
        made.service.submit([job("w1", made, hours=4, due_h=12)], "ann")
        until(lambda: made.service.workload("w1").state is WorkloadState.DONE)
        told = [e.data["state"] for e in made.service.events() if e.kind is EventKind.ADMISSION_CHANGED]
        assert "run" in told
        assert not made.service.capacity("fra", "h100").stale, "the heartbeat keeps up with the clock"
        assert made.service.health().peak_so_far_kw["fra"] > 16 * 0.1, "and slots that ended are counted"


@pytest.mark.parametrize("trouble", ["hang", "die", "reject"])
def test_a_cycle_that_goes_wrong_leaves_the_last_good_plan(tmp_path: Path, trouble: str) -> None:
    flag = tmp_path / "flag"
    planner = WorkerPlanner([sys.executable, str(HERE / "flagged_worker.py"), str(flag)])
    made = daemon(tmp_path, planner=planner, planning={"cycle_deadline_s": 6.0}, admission={"wait_s": 20})
    with running(made):
        until(made.service.ready)
        made.service.submit([job("w1", made)], "ann")
        good, lease = made.service.plan(), made.service.lease("w1")
        made.service.core.config = made.service.core.config.__class__(
            **{**made.service.core.config.__dict__, "cycle_deadline_s": 1.0}
        )
        flag.write_text(trouble)
        [view] = made.service.submit([job("w2", made)], "ann")
        assert view.state is WorkloadState.ACCEPTED, "accepted and durable, though no plan holds it"
        assert made.service.plan() == good
        assert made.service.lease("w1").allocations == lease.allocations
        assert made.service.health().status == "degraded"
        kind = EventKind.PLAN_REJECTED if trouble == "reject" else EventKind.CYCLE_FAILED
        event = next(e for e in made.service.events() if e.kind is kind)
        if trouble == "reject":
            assert event.data["violations"] == ["capacity: fra/h100: over by 3"]
            assert made.service.plan_inputs(event.data["inputs_id"]).submissions
        else:
            assert planner.restarts >= 1
        flag.unlink()
        made.service.core.config = made.service.core.config.__class__(
            **{**made.service.core.config.__dict__, "cycle_deadline_s": 30.0}
        )
        until(lambda: made.service.workload("w2").state is not WorkloadState.ACCEPTED)
        assert made.service.health().status == "ok", "it recovers by itself"


def test_a_stop_does_not_wait_for_a_solver_that_hangs(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.write_text("hang")
    planner = WorkerPlanner([sys.executable, str(HERE / "flagged_worker.py"), str(flag)])
    made = daemon(tmp_path, planner=planner)
    made.start()
    time.sleep(2)
    began = time.monotonic()
    made.stop()
    assert time.monotonic() - began < 5


def test_a_dead_source_does_not_stop_the_others(tmp_path: Path) -> None:
    dead = {"name": "csv", "zones": ["DE-LU"], "options": {"path": str(tmp_path / "none.csv")}}
    made = daemon(tmp_path, forecasts={"sources": [dead, {"name": "typical"}]})
    with running(made):
        until(made.service.ready)
        health = until(lambda: h if (h := made.service.health()).status == "degraded" else None)
        assert {s.name: s.up for s in health.sources} == {"csv": False, "typical": True}
        assert any("csv" in fault for fault in health.faults)
        assert kinds(made).count(EventKind.SOURCE_FAILED) == 1


@pytest.mark.postgres
def test_without_its_database_it_serves_the_last_plan_and_recovers(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    url = postgres.new_database()
    with running(daemon(tmp_path, database=url)) as made:
        until(made.service.ready)
        made.service.submit([job("w1", made)], "ann")
        plan, lease = made.service.plan(), made.service.lease("w1")
        postgres.stop()
        try:
            with pytest.raises(NotReady) as caught:
                made.service.submit([job("w2", made)], "ann")
            assert caught.value.facts["retry_after_s"] > 0
            assert made.service.plan() == plan
            assert made.service.lease("w1").allocations == lease.allocations
            assert not made.service.admission("w1").stale
            assert made.service.explain("w1").sentences
            health = made.service.health()
            assert (health.status, health.database) == ("failing", "unreachable")
            assert not made.service.ready()
            assert [v.id for v in made.service.workloads()] == ["w1"], "what was refused never happened"
        finally:
            postgres.start()
        until(made.service.ready)
        [view] = made.service.submit([job("w2", made)], "ann")
        assert view.state is not WorkloadState.CANCELLED
        until(lambda: made.service.health().status == "ok")
        until(lambda: EventKind.FAULT in kinds(made))


def test_a_deleted_database_file_is_noticed(tmp_path: Path) -> None:
    with running(daemon(tmp_path)) as made:
        until(made.service.ready)
        for file in tmp_path.glob("shifter.db*"):
            file.unlink()
        with pytest.raises(NotReady):
            made.service.submit([job("w1", made)], "ann")
        assert made.service.health().database == "unreachable"
        assert made.service.plan().slots


def spawn(folder: Path, mode: str, database: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.daemon.acknowledging", str(folder), mode, database]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_killed_in_full_flight_it_has_lost_nothing_that_it_acknowledged(
    tmp_path: Path, database_url: str
) -> None:
    process = spawn(tmp_path, "submit", database_url)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    made = daemon(tmp_path, database=database_url)
    kept = {v.id for v in made.service.workloads(limit=10_000)}
    assert set(told) - {""} <= kept
    assert len(kept) - len(set(told)) <= 1, "at most the one whose answer was under way"
    with running(made):
        placed = until(
            lambda: [v for v in made.service.workloads(limit=10_000) if v.planned_finish is not None]
        )
        assert placed
        first = made.service.workload("w0")
        assert made.service.submit([first.workload], "test")[0].submitted_at == first.submitted_at


def test_asked_to_stop_it_stops_cleanly(tmp_path: Path) -> None:
    process = spawn(tmp_path, "run", f"sqlite:///{tmp_path / 'x.db'}")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stdout.read().strip() == "stopped"
    process.stdout.close()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fleet": None}, "fleet"),
        ({"forecasts": {"sources": [{"name": "tipycal"}]}}, "source"),
        ({"forecasts": {"sources": [{"name": "neso"}]}}, "forecasts.sources[0].zones"),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_starts(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    from shifter.clock import SystemClock

    wrong = settings(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        Daemon(wrong, SystemClock())
    assert field in caught.value.field
    assert not (tmp_path / "shifter.db").exists()


def test_its_app_serves_the_interface_the_dashboard_and_the_metrics(tmp_path: Path) -> None:
    made = daemon(tmp_path)
    app = made.app()
    paths = {getattr(route, "path", "") for route in app.routes}
    assert paths
    made.stop()
