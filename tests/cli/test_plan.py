"""`shifter plan` on small files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.helpers import PLAN_FILES, answer, shifter

Call = Callable[..., int]


def test_a_plan_is_written_verified_and_told(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan.json"
    assert call("plan", *PLAN_FILES, "--out", str(out), "--verify") == 0
    shown = capfd.readouterr()
    for word in (
        "deferrable work (EUR)",
        "run at once",
        "embed",
        "evals",
        "hall/h100",
        "above the best possible",
    ):
        assert word in shown.out
    assert "chat" in shown.out, "what is real-time is said, with the reason"
    assert "breaks none of the contract's conditions" in shown.err
    plan = json.loads(out.read_text())
    assert plan["cost"]["total"] < plan["baseline"]["total"]
    assert {a["workload_id"] for a in plan["allocations"]} == {"embed", "evals"}

    assert call("plan", str(out), "--verify", *PLAN_FILES) == 0
    assert "breaks none" in capfd.readouterr().err


def test_json_on_stdout_is_the_plan_and_nothing_else(tmp_path: Path) -> None:
    plan = answer("plan", *PLAN_FILES, "--verify")
    assert plan["horizon"] == {
        "start": "2026-01-10T00:00:00Z",
        "end": "2026-01-11T00:00:00Z",
        "slot_minutes": 60,
    }
    again = answer("plan", *PLAN_FILES)
    assert again["plan_id"] == plan["plan_id"], "the same files give the same plan"


def test_a_broken_plan_is_found_out(call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.json"
    assert call("plan", *PLAN_FILES, "--out", str(out)) == 0
    plan = json.loads(out.read_text())
    plan["allocations"][0]["accelerators"] = 16
    out.write_text(json.dumps(plan))
    capfd.readouterr()
    assert call("plan", str(out), "--verify", *PLAN_FILES) == 1
    assert "breaks" in capfd.readouterr().err
    assert call("plan", str(out), "--verify", "--json", *PLAN_FILES) == 1
    told = json.loads(capfd.readouterr().out)
    assert not told["ok"]
    assert told["violations"]


@pytest.mark.parametrize(
    ("key", "value", "code", "told"),
    [
        ("plan_id", "feedfacefeedface", 1, "plan_id: feedfacefeedface: the hash"),
        ("synthetic", True, 1, "synthetic: plan: says True"),
        ("status", "nonsense", 1, "status: plan: nonsense is no status"),
        ("status", "held", 1, "held: held: says None"),
        ("signed_by", "me", 2, "plan.json signed_by: unknown key"),
    ],
)
def test_a_plan_that_was_tampered_with_is_found_out(
    key: str,
    value: object,
    code: int,
    told: str,
    call: Call,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "plan.json"
    assert call("plan", *PLAN_FILES, "--out", str(out)) == 0
    out.write_text(json.dumps({**json.loads(out.read_text()), key: value}))
    capfd.readouterr()
    assert call("plan", str(out), "--verify", *PLAN_FILES) == code
    assert told in " ".join(capfd.readouterr().err.split())


def _without(name: str, *more: str) -> list[str]:
    args = list(PLAN_FILES)
    at = args.index(name)
    args[at : at + 2] = more
    return args


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (_without("--slot", "--slot", "7min"), "--slot: a slot of 7 minutes"),
        (_without("--horizon", "--horizon", "0h"), "--horizon: the horizon holds no slot"),
        (_without("--slot", "--slot", "30min30s"), "not a whole number of minutes"),
        (_without("--horizon", "--horizon", "soon"), "--horizon"),
        (_without("--start", "--start", "2026-01-10"), "no time zone"),
        (_without("--fleet", "--fleet", "/nowhere.yaml"), "/nowhere.yaml"),
        (_without("--forecasts", "--forecasts", "/nowhere.csv"), "/nowhere.csv"),
        (["/nowhere/plan.json", *PLAN_FILES], "give --verify"),
        (["/nowhere/plan.json", "--verify", *PLAN_FILES], "no such file"),
    ],
)
def test_wrong_calls_and_files_exit_2(
    args: list[str], told: str, call: Call, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("plan", *args) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_a_mistake_in_a_file_names_its_line(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work.jsonl"
    work.write_text(
        '{"id": "a", "accelerator_hours": 1, "deadline": "2026-01-10T09:00:00Z"}\n{"id": "b", "tokns": 1}\n'
    )
    assert call("plan", *_without("--workloads", "--workloads", str(work))) == 2
    told = capfd.readouterr().err
    assert f"{work}:2" in told
    assert "tokns" in told
    assert "hint: " in told


def test_a_chain_that_goes_round_names_its_file(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    row = {"accelerator_hours": 1, "deadline": "2026-01-10T09:00:00Z"}
    lines = [{**row, "id": "a", "depends_on": ["b"]}, {**row, "id": "b", "depends_on": ["a"]}]
    file = tmp_path / "work.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert call("plan", *_without("--workloads", "--workloads", str(file))) == 2
    assert f"{file}: a.depends_on" in " ".join(capfd.readouterr().err.split())


def test_a_gap_in_the_forecasts_is_a_mistake_in_a_file(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = Path(PLAN_FILES[PLAN_FILES.index("--forecasts") + 1]).read_text().splitlines()
    file = tmp_path / "forecasts.csv"
    file.write_text("\n".join(lines[:5] + lines[6:]))
    assert call("plan", *_without("--forecasts", "--forecasts", str(file))) == 2
    assert "hint: " in capfd.readouterr().err


@pytest.mark.parametrize("at", ["2026-11-29T22:10:00Z", "2024-01-01T00:10:00Z"])
def test_without_a_start_files_of_another_time_are_refused_with_the_start_they_would_do_for(
    call: Call, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr("shifter.cli.plan._this_slot", lambda _: datetime.fromisoformat(at))
    assert call("plan", *_without("--start")) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    said = " ".join(shown.err.split())
    assert f"--start: without it the plan begins now, at {at}, and" in said
    [hint] = re.findall(r"Give (--start \S+), when its newest forecast begins", said)
    assert call("plan", *_without("--start", *hint.split())) == 0


def test_without_a_start_a_load_of_another_time_is_told_with_why_now(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shifter.cli.plan._this_slot", lambda _: datetime(2026, 1, 10, tzinfo=UTC))
    lines = Path(PLAN_FILES[PLAN_FILES.index("--realtime") + 1]).read_text().splitlines()
    file = tmp_path / "realtime.csv"
    file.write_text("\n".join(line.replace("2026-01", "2025-01") for line in lines))
    args = _without("--start")
    args[args.index("--realtime") + 1] = str(file)
    assert call("plan", *args) == 2
    said = capfd.readouterr().err
    assert "is not covered" in said
    assert "Without --start, the plan begins now." in said


def test_a_zone_that_the_forecasts_leave_out_is_told_of_their_option(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = Path(PLAN_FILES[PLAN_FILES.index("--forecasts") + 1]).read_text().splitlines()
    file = tmp_path / "forecasts.csv"
    file.write_text("\n".join(line.replace("DE-LU", "PL") for line in lines))
    assert call("plan", *_without("--forecasts", "--forecasts", str(file))) == 2
    told = " ".join(capfd.readouterr().err.split())
    assert f"--forecasts: {file} says nothing about the zone 'DE-LU'" in told


def test_more_accelerators_than_a_plan_may_say_are_a_mistake_in_it(
    call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan.json"
    assert call("plan", *PLAN_FILES, "--out", str(out)) == 0
    plan = json.loads(out.read_text())
    plan["allocations"][0]["accelerators"] = 10**30
    out.write_text(json.dumps(plan))
    capfd.readouterr()
    assert call("plan", str(out), "--verify", *PLAN_FILES) == 2
    assert "allocations[0].accelerators" in capfd.readouterr().err


def test_without_realtime_nothing_is_reserved() -> None:
    args = [a for a in _without("--realtime") if a]
    plan = answer("plan", *args)
    assert all(slot["reserved"] == 0 for slot in plan["slots"])


def test_output_is_plain_when_piped_and_when_colour_is_not_wanted() -> None:
    done = shifter("plan", *PLAN_FILES)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    narrow = shifter("plan", *PLAN_FILES, COLUMNS="60")
    assert all(len(line) <= 60 for line in narrow.stdout.splitlines() if "│" in line or "─" in line)
