"""The clock, the log lines, and the thread that gathers requests."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

import pytest
import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler

from shifter.background import DaemonThreadExecutor, Timetable, end
from shifter.clock import ManualClock, SimulatedClock, SystemClock, parse_clock
from shifter.errors import InputError
from shifter.replanner import Replanner
from shifter.telemetry import BEAT_JOB, configure_logging, get_logger
from shifter.views import CycleView
from tests.daemon.world import until

T0 = datetime(2026, 1, 10, tzinfo=UTC)


def test_a_simulated_clock_runs_as_fast_as_it_says_and_never_back() -> None:
    real = [100.0]
    clock = SimulatedClock(T0, 60.0, monotonic=lambda: real[0])
    assert clock.now() == T0
    real[0] += 2.5
    assert clock.now() == T0 + timedelta(seconds=150)
    assert clock.real_s(120) == 2.0
    assert str(clock) == "simulated clock from 2026-01-10T00:00:00Z at 60x"


@pytest.mark.parametrize(
    ("text", "start", "speed"),
    [
        ("2026-01-10T00:00:00Z", T0, 1.0),
        ("2026-01-10T00:00:00Zx60", T0, 60.0),
        ("2026-01-10T01:00:00+01:00 x 0.5".replace(" x ", "x"), T0, 0.5),
    ],
)
def test_clocks_as_they_are_written(text: str, start: datetime, speed: float) -> None:
    clock = parse_clock(text)
    assert isinstance(clock, SimulatedClock)
    assert (clock.start, clock.speed, clock.simulated) == (start, speed, True)


@pytest.mark.parametrize(
    "text", ["noon", "2026-01-10T00:00:00", "2026-01-10T00:00:00Zx0", "2026-01-10T00:00:00Zx1e9"]
)
def test_clocks_that_cannot_be(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_clock(text)
    assert caught.value.hint


def test_without_one_it_is_the_systems() -> None:
    clock = parse_clock(None)
    assert isinstance(clock, SystemClock)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert ManualClock(T0).advance(hours=1) == T0 + timedelta(hours=1)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure_logging("info", "json", out)
    yield out
    root.handlers[:], root.level = handlers, level
    structlog.configure(**before)


def test_a_beat_that_waits_for_the_one_before_is_no_news(lines: io.StringIO) -> None:
    """Of any other job that is skipped it is told."""
    scheduler, ended, runs = BackgroundScheduler(timezone=UTC), threading.Event(), list[str]()

    def slow(name: str) -> None:
        runs.append(name)
        ended.wait(5)

    for name in (BEAT_JOB, "other"):
        scheduler.add_job(slow, "interval", [name], id=name, seconds=0.05)
    skipped: list[str] = []
    scheduler.add_listener(lambda event: skipped.append(event.job_id), EVENT_JOB_MAX_INSTANCES)
    scheduler.start()
    try:
        assert until(lambda: min(skipped.count(BEAT_JOB), skipped.count("other")) > 1)
    finally:
        ended.set()
        scheduler.shutdown()
    assert {BEAT_JOB, "other"} <= set(runs)
    said = [line for line in lines.getvalue().splitlines() if "maximum number of running instances" in line]
    assert len(said) == skipped.count("other")


def test_a_scheduler_that_ends_while_jobs_begin_fails_in_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: failed.append(told.exc_type.__name__))
    for _ in range(40):
        scheduler = BackgroundScheduler(timezone=UTC, executors={"default": DaemonThreadExecutor()})
        scheduler.start()
        for k in range(30):
            scheduler.add_job(print, "date", kwargs={"end": ""}, run_date=datetime.now(UTC), id=f"{k}")
        end(scheduler)
        assert not scheduler.running
    assert failed == []


def test_a_timetable_runs_nothing_before_it_starts_and_nothing_after_it_ended() -> None:
    runs: list[str] = []
    timetable = Timetable()
    timetable.end()  # one that never began
    timetable.once(0.0, "early", runs.append, "early")
    timetable.every(0.05, "often", runs.append, "often")
    assert timetable.due_in_s("often") is None
    timetable.start()
    try:
        assert 0 <= (timetable.due_in_s("often") or 0.0) <= 0.05
        assert timetable.due_in_s("early") is None
        timetable.once(60.0, "later", runs.append, "replaced")
        timetable.once(0.0, "later", runs.append, "once")
        assert until(lambda: "once" in runs and runs.count("often") > 1)
    finally:
        timetable.end()
    timetable.once(0.0, "late", runs.append, "late")
    count = len(runs)
    time.sleep(0.15)
    assert set(runs) == {"often", "once"}
    assert runs.count("once") == 1
    assert len(runs) <= count + 1  # one may have begun as it ended


def test_a_clock_that_is_set_back_holds_up_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    back = [timedelta()]

    class OnTheWall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) - back[0]

    monkeypatch.setattr("shifter.background.datetime", OnTheWall)
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", OnTheWall)
    timetable, runs = Timetable(), list[str]()
    timetable.every(0.05, "often", runs.append, "often")
    timetable.every(30.0, "seldom", runs.append, "seldom")
    timetable.start()
    try:
        timetable.once(0.3, "once", runs.append, "once")
        assert until(lambda: "often" in runs)
        back[0] = timedelta(hours=1)
        count = len(runs)
        timetable.once(30.0, "later", runs.append, "later")
        assert until(lambda: len(runs) > count + 3 and "once" in runs)
        assert all(20 < (timetable.due_in_s(name) or 0.0) <= 30 for name in ("seldom", "later"))
    finally:
        timetable.end()
    assert set(runs) == {"often", "once"}


def test_log_lines_are_json_and_keep_secrets(lines: io.StringIO) -> None:
    log = get_logger("test")
    log.info("started", database="postgresql://me:hunter2@host/name", api_key="abc", tokens=5, plan_id="p1")
    logging.getLogger("urllib3").warning("GET /api?securityToken=s3cr3t failed with Bearer abc.def")
    log.debug("not asked for")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["event"], first["level"], first["tokens"]) == ("started", "info", 5)
    for secret in ("hunter2", "abc", "s3cr3t"):
        assert secret not in lines.getvalue()
    assert second["level"] == "warning"
    assert first["timestamp"].endswith("Z")


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_went_wrong_is_told_without_the_variables_of_its_frames(
    lines: io.StringIO, style: Literal["json", "text"]
) -> None:
    configure_logging("info", style, lines)
    try:
        innocent = "hunter" + str(2)
        raise ValueError(f"no answer of https://me:{innocent}@host")
    except ValueError:
        get_logger("test").exception("it broke")
    said = lines.getvalue()
    assert "it broke" in said
    assert "ValueError" in said
    assert "test_what_went_wrong_is_told_without" in said, "where that was"
    assert "me:***@host" in said
    assert "hunter2" not in said


def view(outcome: str = "published") -> CycleView:
    return CycleView(T0, 0.0, outcome, "")  # type: ignore[arg-type]


def test_requests_during_a_cycle_cause_one_more_and_never_two_at_once() -> None:
    running, most, triggers = [0], [0], []
    gate = threading.Event()

    def cycle(trigger: str) -> CycleView:
        running[0] += 1
        most[0] = max(most[0], running[0])
        triggers.append(trigger)
        gate.wait(5)
        running[0] -= 1
        return view()

    made = Replanner(cycle, 0.02)
    made.start()
    made.request("first")
    until(lambda: triggers)
    for reason in ("a", "b", "a"):
        made.request(reason)
    gate.set()
    until(lambda: len(triggers) == 2)
    time.sleep(0.1)
    assert triggers == ["first", "a, b"]
    assert most == [1]
    assert made.stop(5)


def test_a_stream_of_requests_cannot_put_a_plan_off_for_ever() -> None:
    triggers: list[str] = []

    def cycle(trigger: str) -> CycleView:
        triggers.append(trigger)
        return view()

    made = Replanner(cycle, 0.2)
    made.start()
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        made.request("again")
        time.sleep(0.01)
    assert made.stop(5)
    assert len(triggers) >= 2


def test_a_cycle_that_fails_is_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.replanner.FIRST_RETRY_S", 0.02)
    outcomes = iter(["failed", "rejected", "published"])
    triggers: list[str] = []

    def cycle(trigger: str) -> CycleView:
        triggers.append(trigger)
        return view(next(outcomes))

    made = Replanner(cycle, 0.01)
    made.start()
    made.request("first")
    until(lambda: len(triggers) == 3)
    assert triggers == ["first", "retry after a failed cycle", "retry after a rejected cycle"]
    assert made.stop(5)
