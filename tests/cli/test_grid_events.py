"""`shifter grid-events`, against a real server on a real store."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.cli import grid_events
from shifter.cli.grid_options import asked_events
from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.survival import Promise
from shifter.errors import SolverFailed
from shifter.files import read_fleet
from shifter.service import Service
from shifter.views import GridEventQuote, TelemetrySample
from tests.cli.helpers import DATA, PLAN_FILES
from tests.service.world import HOUR, T0, job, realtime, service

AT = ("--site", "fra", "--start", "2026-01-10T17:00:00Z", "--hours", "3")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    made = service(sqlite_url, clock, realtime=realtime(4.0, 5.0))
    made.submit([job("w1", hours=40, width=11, due_h=24, preemptible=True)], "ann")
    made.cycle()
    return made


@pytest.fixture
def grid(
    made: Service, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """`shifter grid-events ARGS` against a server of `made`."""
    server = ApiServer(create_app(made), port=0)
    server.start()
    monkeypatch.setenv("COLUMNS", "200")
    yield lambda *args: call("grid-events", args[0], "--url", server.url, *args[1:])
    server.stop()


def test_an_event_is_quoted_accepted_listed_reported_and_withdrawn(
    grid: Callable[..., int], capsys: pytest.CaptureFixture[str], made: Service, clock: ManualClock
) -> None:
    assert grid("list") == 0
    assert "No grid event" in capsys.readouterr().err
    assert grid("quote", *AT, "--cut-ratio", "0.25") == 0
    told = capsys.readouterr()
    assert "met" in told.out
    assert "limit at q (kW)" in told.out
    assert "w1" in told.out
    assert "all deadlines are kept" in told.err
    assert made.grid_events() == []
    assert (
        grid("add", *AT, "--cut-ratio", "0.25", "--id", "e1", "--rebound", "2h", "--rebound-ratio", "1.5")
        == 0
    )
    assert "e1 binds fra" in capsys.readouterr().err
    [event] = made.grid_events()
    assert (event.cut_ratio, event.rebound_minutes, event.rebound_ratio) == (0.25, 120.0, 1.5)
    assert grid("list") == 0
    assert "25.0 % less" in capsys.readouterr().out
    clock.moment = T0 + 17 * HOUR
    for minutes in range(0, 60, 5):
        clock.moment = T0 + 17 * HOUR + minutes * HOUR / 60
        made.telemetry([TelemetrySample("fra", clock.moment, import_kw=5.0)], "meter")
    assert grid("report", "e1") == 0
    told = capsys.readouterr()
    assert "█" in told.out
    assert "to come" in told.out
    assert "meter's limit (kW)" in told.out, "of a cut it is not the quote's, which is at the quantile"
    assert "The meter's limit is the baseline less the cut." in told.err
    assert "of 1 slot" not in told.err
    assert "Delivered" in told.err
    assert grid("report", "e1", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["slots"][0]["metered_kw"] == pytest.approx(5.0)
    assert report["slots"][1]["metered_kw"] is None
    assert grid("withdraw", "e1") == 0
    assert made.grid_events() == []
    capsys.readouterr()
    assert grid("withdraw", "e2") == 1
    assert "grid-events list" in capsys.readouterr().err


def test_what_cannot_be_met_ends_with_1_and_says_what_could(
    grid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid("quote", *AT, "--limit-kw", "4") == 1
    told = capsys.readouterr()
    assert "0.6 kW missing" in told.out
    assert "at most 4.6 kW" in told.err
    assert grid("quote", *AT, "--limit-kw", "4", "--json") == 1
    assert json.loads(capsys.readouterr().out)["missing_kw"] == pytest.approx(0.6)


def test_who_adds_what_cannot_be_met_is_told_so_and_what_could_be(
    grid: Callable[..., int], capsys: pytest.CaptureFixture[str], made: Service
) -> None:
    assert grid("add", *AT, "--limit-kw", "4") == 0, "what a grid tells is a fact"
    assert [event.limit_kw for event in made.grid_events()] == [4.0]
    told = capsys.readouterr()
    assert "fra-20260110T1700 binds fra" in told.err
    assert "It cannot be met in 3 slots" in told.err
    assert "0.6 kW are missing" in told.err
    assert "What would be met in this window: at most 4.6 kW" in told.err
    assert grid("add", *AT, "--limit-kw", "4", "--json") == 0
    told = capsys.readouterr()
    assert [event["limit_kw"] for event in json.loads(told.out)] == [4.0]
    assert "missing" not in told.err, "JSON holds no verdict, and nobody waits for one"
    assert grid("add", *AT, "--limit-kw", "9", "--id", "e2") == 0
    told = capsys.readouterr()
    assert "The plan keeps it in every slot" in told.err
    assert "missing" not in told.err


def test_an_event_is_accepted_where_nobody_can_say_whether_it_can_be_met(
    grid: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    made: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(event: GridEvent) -> GridEventQuote:
        raise SolverFailed("the solver gave no answer.", hint="Try again.")

    monkeypatch.setattr(made, "quote_grid_event", fails)
    assert grid("add", *AT, "--limit-kw", "4") == 0
    assert [event.limit_kw for event in made.grid_events()] == [4.0]
    told = capsys.readouterr().err
    assert "Whether it can be met is not known: the solver gave no answer." in told
    assert "shifter grid-events quote" in told


def test_a_plan_from_files_keeps_the_events_that_it_knows_of(
    call: Callable[..., int], tmp_path: Path
) -> None:
    known = {"id": "a", "site": "frankfurt", "start": "2026-01-10T12:00:00Z", "end": "2026-01-10T15:00:00Z"}
    site = read_fleet(DATA / "fleet.yaml").sites[0].name
    cut = {**known, "site": site, "cut_ratio": 0.2}
    later = {**cut, "id": "b", "notice_minutes": 15, "cut_ratio": 0.9}
    file, plain, made = (tmp_path / name for name in ("events.yaml", "plain.json", "made.json"))
    file.write_text(json.dumps([cut, later]))
    assert call("plan", *PLAN_FILES, "--out", str(plain)) == 0
    assert call("plan", *PLAN_FILES, "--grid-events", str(file), "--out", str(made), "--verify") == 0
    assert call("plan", str(made), *PLAN_FILES, "--grid-events", str(file), "--verify") == 0
    without, with_it = (json.loads(path.read_text())["power"] for path in (plain, made))
    pairs = [(a, b) for a, b in zip(without, with_it, strict=True) if a["site"] == site]
    inside = [(a, b) for a, b in pairs if known["start"] <= a["start"] < known["end"]]
    assert len(inside) == 3
    assert all(b["import_kw"] <= 0.8 * a["import_kw"] + 1e-3 for a, b in inside)
    assert sum(b["limit_kw"] != a["limit_kw"] for a, b in pairs) == 3, "of the later one nobody knows yet"


EVENTS: list[dict[str, Any]] = [
    {"id": "a", "site": "fra", "start": "2026-01-10T17:00:00Z", "end": "2026-01-10T18:00:00Z", "cut_kw": 1},
    {"id": "b", "site": "fra", "start": "2026-01-10T19:00:00Z", "end": "2026-01-10T20:00:00Z", "limit_kw": 9},
]


def test_both_commands_have_the_same_options_and_each_reaches_the_event(
    grid: Callable[..., int], made: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = inspect.signature(asked_events).parameters
    for command in (grid_events.quote, grid_events.add):
        assert list(inspect.signature(command).parameters) == [*asked, "as_json", "url"]
    cut = (
        "--cut-kw",
        "1",
        "--baseline",
        "plan",
        "--ramp-kw-per-minute",
        "2",
        "--notice",
        "15min",
        "--id",
        "x",
    )
    after = ("--rebound", "90min", "--rebound-limit-kw", "9")
    assert grid("quote", *AT, *cut, *after, "--json") == 0
    quoted = json.loads(capsys.readouterr().out)["event"]
    assert grid("add", *AT, *cut, *after) == 0
    [event] = made.grid_events()
    assert (event.id, event.site, event.start, event.end) == ("x", "fra", T0 + 17 * HOUR, T0 + 20 * HOUR)
    assert (event.cut_kw, event.baseline, event.ramp_kw_per_minute, event.notice_minutes) == (
        1,
        "plan",
        2,
        15,
    )
    assert (event.rebound_minutes, event.rebound_limit_kw) == (90, 9)
    told = event.to_dict()
    assert {name: told.get(name) for name in quoted if name != "frozen_baseline"} == {
        name: value for name, value in quoted.items() if name != "frozen_baseline"
    }


def test_an_id_without_letters_is_the_default_one(
    grid: Callable[..., int], made: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ((), ("--id", "")):
        assert grid("quote", *AT, "--cut-kw", "1", *given, "--json") == 0
        assert json.loads(capsys.readouterr().out)["event"]["id"] == "fra-20260110T1700"
    assert grid("add", *AT, "--cut-kw", "1", "--id", "") == 0
    assert [event.id for event in made.grid_events()] == ["fra-20260110T1700"]
    assert grid("add", *AT, "--cut-kw", "1", "--id", " ") == 2
    assert "id: " in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "90000"])
def test_hours_that_are_none_are_refused_by_the_option_that_was_given(
    grid: Callable[..., int], capsys: pytest.CaptureFixture[str], hours: str
) -> None:
    when = [*AT[: AT.index("--hours")], "--hours", hours, *AT[AT.index("--hours") + 2 :]]
    assert grid("quote", *when, "--cut-kw", "1") == 2
    assert "--hours" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["e.jsonl", "e.json", "e.yaml"])
def test_events_come_from_a_file(
    grid: Callable[..., int], made: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    lines = "\n".join(json.dumps(e) for e in EVENTS)
    file.write_text(lines if name.endswith("l") and "jsonl" in name else json.dumps(EVENTS, indent=1))
    assert grid("add", str(file)) == 0
    assert [e.id for e in made.grid_events()] == ["a", "b"]
    told = capsys.readouterr().err
    assert told.index("b binds fra") < told.index("a: The plan keeps it") < told.index("b: The plan keeps it")


def test_a_quote_of_what_leaves_less_for_a_loss_ends_with_1_and_is_warned_of(
    grid: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    made: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quoted = made.quote_grid_event

    def less(event: GridEvent) -> GridEventQuote:
        lost = Promise("site", "ber", "de", None, None, 0.0, 4.4, 6, "said by the plan")
        return replace(quoted(event), survives_less=(lost,), realtime_untouched=False)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    yellow = "\x1b[1;33m"
    assert grid("quote", *AT, "--limit-kw", "9") == 0
    assert yellow not in capsys.readouterr().err
    monkeypatch.setattr(made, "quote_grid_event", less)
    assert grid("quote", *AT, "--limit-kw", "9") == 1
    assert yellow in capsys.readouterr().err
    assert grid("add", *AT, "--limit-kw", "9") == 0
    assert yellow in capsys.readouterr().err


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_of_a_file_with_a_refused_event_it_is_said_which_are_in_force(
    grid: Callable[..., int],
    made: Service,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: tuple[str, ...],
) -> None:
    file = tmp_path / "e.jsonl"
    past = {**EVENTS[1], "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"}
    file.write_text("\n".join(json.dumps(e) for e in (EVENTS[0], past)))
    assert grid("add", str(file), *flags) == 2
    assert [e.id for e in made.grid_events()] == ["a"]
    told = capsys.readouterr()
    assert told.err.index("a binds fra") < told.err.index("b: end: the window ended at")
    assert "b binds" not in told.err
    if flags:
        assert [e["id"] for e in json.loads(told.out)] == ["a"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((*AT,), "--limit-kw: nothing is asked for."),
        ((*AT,), "Give one of --limit-kw, --cut-kw and --cut-ratio."),
        ((*AT, "--cut-kw", "1", "--rebound", "2h"), "--rebound-limit-kw: a rebound needs its limit"),
        ((*AT, "--cut-kw", "1", "--rebound-limit-kw", "2"), "--rebound: a rebound needs its length"),
        ((*AT[:3], "2026-01-01T17:00:00Z", *AT[4:], "--cut-kw", "1"), "--hours: the window ended at"),
        ((*AT[:4], "--cut-kw", "1"), "--hours is missing"),
        ((*AT, "--cut-kw", "1", "--limit-kw", "2"), "both given"),
        (("nowhere.yaml",), "no such file"),
        (("bad.jsonl",), "bad.jsonl:2"),
        (("over.jsonl",), "over.jsonl: a: end: the window ended at"),
        (("bad.jsonl", "--site", "fra"), "either FILE, or options"),
    ],
)
def test_what_is_wrong_is_named(
    grid: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    twice = {**EVENTS[1], "limit_kw": -1}
    over = {**EVENTS[0], "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"}
    Path("over.jsonl").write_text(json.dumps(over))
    Path("bad.jsonl").write_text(f"{json.dumps(EVENTS[0])}\n{json.dumps(twice)}\n")
    assert grid("quote", *args) == 2
    assert says in capsys.readouterr().err
