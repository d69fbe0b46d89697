"""`shifter forecasts sources` and `fetch`; `show` is in `test_demo.py`, beside a daemon."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.helpers import DATA, answer

Call = Callable[..., int]
WINDOW = ("--start", "2026-01-10T00:00:00Z", "--for", "24h")


def test_sources_tell_what_they_have(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "sources") == 0
    table = capsys.readouterr().out
    assert "neso" in table
    assert "synthetic" in table
    found = {s["name"]: s for s in answer("forecasts", "sources")}
    assert found["neso"]["signals"] == ["carbon"]
    assert found["typical"]["synthetic"]
    assert found["csv"]["zones"] == ["*"]


def test_fetch_shows_writes_and_plan_reads_it(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "forecasts.csv"
    assert call("forecasts", "fetch", "typical", "--zone", "DE-LU", "--for", "25h", "--out", str(out)) == 0
    shown = capsys.readouterr()
    assert "price (EUR/MWh)" in shown.out
    assert "synthetic" in shown.out
    assert "made up" in shown.err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) >= 25
    assert {r["zone"] for r in rows} == {"DE-LU"}
    assert all(float(r["carbon_g_per_kwh"]) > 0 for r in rows)

    work, start = tmp_path / "work.jsonl", datetime.now(UTC) + timedelta(seconds=1)
    deadline = (start + timedelta(hours=20)).isoformat()
    work.write_text(json.dumps({"id": "w-1", "accelerator_hours": 2, "deadline": deadline}))
    fleet = str(DATA / "fleet.yaml")
    files = ("--fleet", fleet, "--workloads", str(work), "--forecasts", str(out))
    plan = answer("plan", *files, "--start", start.isoformat(), "--horizon", "24h")
    assert plan["cost"]["energy"] > 0
    assert not plan["unplaced"]


def test_fetch_as_json(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "fetch", "typical", "--zone", "GB", *WINDOW, "--json") == 0
    series = json.loads(capsys.readouterr().out)
    assert [s["signal"] for s in series] == ["price", "carbon"]
    assert series[0]["values"][0]["start"] == "2026-01-10T00:00:00Z"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("tipical", "--zone", "GB"), "Did you mean 'typical'?"),
        (("typical", "--zone", "DE"), "does not know the zone"),
        (("typical", "--zone", "GB", "--option", "seed"), "KEY=VALUE"),
        (("typical", "--zone", "GB", "--option", "sead=1"), "sead"),
        (("typical", "--zone", "GB", "--for", "long"), "--for"),
    ],
)
def test_wrong_calls_exit_2(
    args: tuple[str, ...], told: str, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", *args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_a_source_that_does_not_answer_exits_1(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    option = ("--option", "base_url=http://127.0.0.1:9")
    assert call("forecasts", "fetch", "neso", "--zone", "GB", *option) == 1
    assert capsys.readouterr().err.startswith("error: ")
