"""plan.json: whole or not at all, and back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pydantic import TypeAdapter

from shifter.domain import plan as plan_module
from shifter.domain.plan import READ_AT_ONCE, Plan
from shifter.domain.rows import Allocation, Baseline, Cost, Duals, Horizon
from shifter.errors import InputError
from shifter.files import read_plan, write_plan

START, END = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC)
PLAN = Plan(
    plan_id="p1",
    inputs_id="i1",
    created_at=START,
    horizon=Horizon(START, END, 30),
    currency="EUR",
    cost=Cost(energy=12.5, carbon=3.25),
    carbon_kg=40.0,
    lower_bound=15.0,
    relative_gap=0.05,
    baseline=Baseline("run_now", 20.0, 50.0, 100.0),
    slots=(),
    power=(),
    allocations=(Allocation("w", "a", "p", START, END, 4),),
    duals=Duals(capacity={("a", "p"): (0.0, 1.5)}, power={"a": (0.0, 0.25)}),
    unplaced=(),
)


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write_plan(PLAN, file)
    assert read_plan(file) == PLAN
    write_plan(PLAN, file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_total_that_its_items_do_not_add_up_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    for total in (14.0, float("nan"), "15.75"):
        raw = PLAN.to_dict()
        raw["cost"]["total"] = total
        file.write_text(json.dumps(raw))
        with pytest.raises(InputError, match="total"):
            read_plan(file)


def test_the_text_that_it_was_read_from_is_the_text_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    named = PLAN.named()
    text = named.to_json()
    changed = {
        text.replace('"carbon_kg":40.0', '"carbon_kg":40.5'),
        text + "\n",
        text[:-1] + ',"more":1}',
        json.dumps(json.loads(text), indent=1),
    }
    for other in changed:  # not what it is named by: it is put into words as ours are
        read = Plan.from_json(other)
        assert read.to_json() == replace(read).to_json()
    with monkeypatch.context() as once:
        once.setattr(plan_module, "_texts", mock.Mock(side_effect=AssertionError("it is made again")))
        read = Plan.from_json(text)
        assert read == named
        assert read.to_json() == text
        kept = read.made_from("i2").to_json()
    assert kept == replace(named, inputs_id="i2").to_json()


def test_it_is_read_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    many = replace(PLAN, allocations=PLAN.allocations * (2 * READ_AT_ONCE + 1)).named()
    text, sizes = many.to_json(), []

    class Adapter:
        def __init__(self, name: str) -> None:
            self.adapter = TypeAdapter(plan_module._ROWS[name])

        def validate_python(self, rows: list[Any]) -> Any:
            sizes.append(len(rows))
            return self.adapter.validate_python(rows)

    monkeypatch.setattr(plan_module, "_adapter", Adapter)
    assert Plan.from_json(text) == many
    assert sizes == [READ_AT_ONCE, READ_AT_ONCE, 1]


def test_a_row_far_down_that_is_none_is_told_by_its_place(tmp_path: Path) -> None:
    rows = 3 * READ_AT_ONCE
    file, raw = tmp_path / "plan.json", replace(PLAN, allocations=PLAN.allocations * rows).to_dict()
    file.write_text(json.dumps(raw))
    assert len(read_plan(file).allocations) == rows
    for bad in (rows - 1, READ_AT_ONCE, 7):
        raw["allocations"][bad]["accelerators"] = "many"
    file.write_text(json.dumps(raw))
    with pytest.raises(InputError) as refused:
        read_plan(file)
    told = [refused.value, *refused.value.also]
    assert [str(e.field).split("allocations", 1)[1] for e in told] == [
        f"[{bad}].accelerators" for bad in (7, READ_AT_ONCE, rows - 1)
    ]


def test_permissions_of_the_file_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write_plan(PLAN, file)
    mask = os.umask(0o022)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask
    file.chmod(0o640)
    write_plan(PLAN, file)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plan.json"
    file.write_text("before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_plan(PLAN, file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_where_no_plan_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_plan(PLAN, tmp_path / "nowhere" / "plan.json")
    with pytest.raises(InputError, match="is a folder"):
        write_plan(PLAN, tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[:100], r"plan\.json:1:\d+: this is not JSON: .* cut off\?"),
        (lambda text: text.replace(":", ";", 1), r"plan\.json:1:11: this is not JSON"),
        (lambda _: "[]", r"plan\.json: a plan is a JSON object"),
        (lambda _: "{}", r"plan\.json: `cost` is missing"),
        (lambda text: text.replace('"plan_id"', '"id"'), r"plan\.json plan_id: Field required"),
        (
            lambda text: text.replace('"accelerators":4', '"accelerators":"x"'),
            r"allocations\[0\]\.accelerators: ",
        ),
        (lambda text: text.replace('"plan_id"', '"signed":1,"plan_id"'), r"plan\.json signed: unknown"),
        (
            lambda text: text.replace('"accelerators":4', '"accelerators":4,"cores":8'),
            r"allocations\[0\]\.cores: unknown",
        ),
        (lambda text: text.replace('"carbon":3', '"tax":1,"carbon":3'), r"plan\.json cost\.tax: unknown"),
        (
            lambda text: text.replace('"values":[0.0,1.5]', '"values":[0.0,1.5],"x":1'),
            r"plan\.json duals\.capacity\[0\]\.x: unknown",
        ),
        (lambda text: text.replace('"duals":{', '"duals":{"heat":[],'), r"plan\.json duals\.heat: unknown"),
        (
            lambda text: text.replace('"power":[{"site"', '"power":[{"site":"a","values":[9]},{"site"'),
            r"plan\.json duals\.power: .* twice",
        ),
        (lambda text: text.replace('"capacity":[', '"capacity":[7,'), r"plan\.json: this is not a plan"),
        (
            lambda text: text.replace("48", "9" * 5000).replace("2026-01-10T00:00:00Z", "9" * 5000),
            r"plan\.json",
        ),
        (lambda _: "[" * 100_000, r"plan\.json: this is not a plan"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, change, expected: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(change(json.dumps(PLAN.to_dict(), separators=(",", ":"))))
    with pytest.raises(InputError, match=expected):
        read_plan(file)
    with pytest.raises(InputError, match="no such file"):
        read_plan(tmp_path / "other.json")
