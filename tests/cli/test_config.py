"""`shifter config`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.helpers import DATA, answer, shifter

Call = Callable[..., int]


def test_a_good_file_has_no_mistakes(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "check", str(DATA / "fleet.yaml"), str(DATA / "workloads.jsonl")) == 0
    assert "No mistakes" in capsys.readouterr().err


def test_every_mistake_is_named_with_line_column_and_remedy(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shifter.yaml"
    file.write_text("port: abc\nplaning:\n  slot_minutes: 30\n")
    assert call("config", "check", str(file)) == 2
    told = capsys.readouterr().err
    assert f"{file}:1:7" in told
    assert f"{file}:2:1" in told
    assert "Did you mean `planning`?" in told
    assert "2 mistakes" in told

    assert call("config", "check", str(file), "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert [p["line"] for p in found["problems"]] == [1, 2]


def test_what_two_files_lead_to_is_told_once(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = tmp_path / "realtime.csv"
    load.write_text("site,pool,start,end,accelerators_p50\na,p,2020-01-01T00:00Z,2020-01-02T00:00Z,1\n")
    file = tmp_path / "shifter.yaml"
    file.write_text("realtime: realtime.csv\n")
    assert call("config", "check", str(file), str(load)) == 0
    told = capsys.readouterr().err
    assert told.count("all rows end by") == 1
    assert told.count("only the median") == 1


def test_no_such_file(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "check", "/nowhere.yaml") == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["shifter", "fleet", "workload"])
def test_schemas_are_json(kind: str, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "schema", kind) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_example_has_no_mistakes(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "example") == 0
    file = tmp_path / "shifter.yaml"
    file.write_text(capsys.readouterr().out)
    assert call("config", "check", str(file)) == 0


def test_show_says_who_said_so(tmp_path: Path) -> None:
    file = tmp_path / "shifter.yaml"
    file.write_text("port: 9000\ndatabase: postgresql+psycopg://me:hunter2@db/shifter\n")
    found = answer("config", "show", "--config", str(file), SHIFTER_HOST="0.0.0.0")
    assert found["port"] == {"value": 9000, "origin": f"{file}:1:7"}
    assert found["host"]["origin"] == "SHIFTER_HOST"
    assert found["planning.slot_minutes"]["origin"] == "default"
    assert "hunter2" not in json.dumps(found)
    table = shifter("config", "show", "--config", str(file))
    assert "hunter2" not in table.stdout
    assert "planning.slot_minutes" in table.stdout
