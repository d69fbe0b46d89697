"""The files under config/ say what the code does: they are written from it, and cannot drift."""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from shifter.cli.main import main
from shifter.errors import InputError
from shifter.files import read_fleet, read_workloads
from shifter.files.document import read_document
from shifter.settings import Settings, json_schema, load_settings
from shifter.settings.reference import reference
from shifter.settings.schema import KINDS, schema_text
from tests.cli.helpers import answer
from tests.files.good import EXAMPLES

CONFIG = EXAMPLES.parent
AGAIN = "Run `python -m shifter.settings.reference`."


def settings_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        if (
            isinstance(info.annotation, type)
            and issubclass(info.annotation, BaseModel)
            and name != "realtime"
        ):
            yield from settings_keys(info.annotation, f"{prefix}{name}.")


def keys_of(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")


def test_shifter_yaml_is_what_the_code_writes() -> None:
    assert (CONFIG / "shifter.yaml").read_text(encoding="utf-8") == reference(), AGAIN


def test_shifter_yaml_names_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIG)
    assert load_settings("shifter.yaml", {}, {}) == Settings()
    assert list(keys_of(read_document("shifter.yaml").data)) == list(settings_keys(Settings))


def test_every_setting_is_explained() -> None:
    lines = (CONFIG / "shifter.yaml").read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert lines[i - 1].lstrip().startswith("# "), line


def test_the_commented_examples_of_shifter_yaml_are_right_too(tmp_path: Path) -> None:
    text = (CONFIG / "shifter.yaml").read_text(encoding="utf-8")
    for key, indent in (("sources", "  "), ("openadr3", "  "), ("policy", "")):
        head, _, tail = text.partition(f"{indent}# {key}:\n")
        head = "\n".join(line for line in head.splitlines() if not line.startswith(f"{indent}{key}:"))
        lines = tail.splitlines()
        end = next(i for i, line in enumerate(lines) if not line.strip())
        shown = [line.replace("# ", "", 1) for line in lines[:end]]
        text = "\n".join([head, f"{indent}{key}:", *shown, *lines[end:], ""])
    file = tmp_path / "shifter.yaml"
    file.write_text(text, encoding="utf-8")
    settings = load_settings(file, {}, {})
    assert settings.forecasts.sources[0].options == {"path": str(tmp_path / "forecasts.csv")}
    assert settings.grid_events.openadr3[0].site == "frankfurt"
    assert settings.classification_policy().rules[0].name == "nightly-evals"


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_are_what_the_code_writes(kind: str) -> None:
    assert (CONFIG / f"{kind}.schema.json").read_text(encoding="utf-8") == schema_text(kind), AGAIN
    Draft202012Validator.check_schema(json_schema(kind))


def test_the_schemas_accept_what_the_code_accepts_and_refuse_unknown_keys() -> None:
    fleet = read_document(EXAMPLES / "fleet.yaml").data
    settings = read_document(EXAMPLES / "shifter.yaml").data
    assert Draft202012Validator(json_schema("fleet")).is_valid(fleet)
    assert Draft202012Validator(json_schema("shifter")).is_valid(settings)
    assert Draft202012Validator(json_schema("shifter")).is_valid(read_document(CONFIG / "shifter.yaml").data)
    for line in (EXAMPLES / "workloads.jsonl").read_text(encoding="utf-8").splitlines():
        assert Draft202012Validator(json_schema("workload")).is_valid(json.loads(line))
    fleet["sites"][0]["pools"][0]["coutn"] = 1
    assert not Draft202012Validator(json_schema("fleet")).is_valid(fleet)
    assert not Draft202012Validator(json_schema("shifter")).is_valid(
        settings | {"policy": {"rules": [{"nam": "x"}]}}
    )
    with pytest.raises(InputError, match="no schema of `x`"):
        json_schema("x")


def test_the_example_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(EXAMPLES / "shifter.yaml", {}, {})
    assert settings.fleet is not None
    fleet = read_fleet(settings.fleet)
    assert len(fleet.sites) == 3
    assert read_workloads(EXAMPLES / "workloads.jsonl", fleet)
    assert settings.realtime.path == str(EXAMPLES / "realtime.csv")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("fleet*.yaml")), ids=lambda file: file.name)
def test_an_example_of_a_fleet_has_no_mistake_and_nothing_to_warn_of(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", "check", str(file)])
    assert ended.value.code == 0
    assert capsys.readouterr().err.strip() == "No mistakes."


@pytest.mark.parametrize(
    ("model", "by", "rates"),
    [("llama-3.3-70b", "profile", {0: 1, 8: 3}), ("embed-large", "measured", {20: 1, 100: 4})],
)
def test_the_example_says_how_models_serve(model: str, by: str, rates: dict[float, int]) -> None:
    tokens = ("--prompt-tokens", "800", "--output-tokens", "150")
    asked = ("size", "--fleet", str(EXAMPLES / "fleet.yaml"), "--model", model, *tokens)
    found = [answer(*asked, "--rate", str(rate)) for rate in rates]
    assert [one["by"] for one in found] == [by] * len(found)
    assert [one["replicas"] for one in found] == list(rates.values())


def test_the_example_is_planned_from_its_files() -> None:
    files = [
        part
        for name, file in (
            ("--fleet", "fleet.yaml"),
            ("--workloads", "workloads.jsonl"),
            ("--forecasts", "forecasts.csv"),
            ("--realtime", "realtime.csv"),
        )
        for part in (name, str(EXAMPLES / file))
    ]
    plan = answer("plan", *files, "--start", "2026-01-10T00:00:00Z", "--verify")
    work = read_workloads(EXAMPLES / "workloads.jsonl", read_fleet(EXAMPLES / "fleet.yaml"))
    assert plan["unplaced"] == []
    assert {a["workload_id"] for a in plan["allocations"]} == {w.id for w in work if w.mode != "interactive"}
    assert plan["synthetic"], "what is made up says so, in a file too"
    zones = {w.split()[1] for w in plan["warnings"]}
    assert zones == {"CAISO-NP15", "DE-LU", "GB"}
    assert all("are synthetic" in w for w in plan["warnings"]), "and nothing is missing"


def test_the_example_s_forecasts_are_what_the_command_writes(tmp_path: Path) -> None:
    fleet = read_fleet(EXAMPLES / "fleet.yaml")
    zones = [part for zone in fleet.zones for part in ("--zone", zone)]
    when = ("--as-of", "2026-01-10T00:00:00Z", "--for", "72h")
    euros = ("--currency", fleet.currency, "--fx", "USD=0.86")
    out = tmp_path / "forecasts.csv"
    answer("forecasts", "fetch", "typical", *zones, *when, *euros, "--out", str(out))
    assert (EXAMPLES / "forecasts.csv").read_text(encoding="utf-8") == out.read_text(encoding="utf-8")


def test_the_unit_runs_what_the_command_line_has() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(CONFIG / "deploy" / "shifter.service")
    assert unit["Service"]["ExecStart"].split()[1:] == ["run", "--config", "/etc/shifter/shifter.yaml"]
    assert unit["Service"]["NoNewPrivileges"] == "yes"
