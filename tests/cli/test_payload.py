"""Workloads as a person hands them in."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from shifter.cli.payload import read_payload
from shifter.errors import InputError

ONE = {"id": "w-1", "accelerator_hours": 1}
TWO = {"id": "w-2", "accelerator_hours": 2}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (json.dumps(ONE) + "\n\n" + json.dumps(TWO) + "\n", (1, 3)),
        ("\n\n" + json.dumps(ONE) + "\n" + json.dumps(TWO), (3, 4)),
        (json.dumps([ONE, TWO], indent=2), (2, 6)),
        ("\ufeff" + json.dumps([ONE, TWO]), (1, 1)),
    ],
    ids=["lines", "lines after empty ones", "array", "byte order mark"],
)
def test_lines_and_arrays_are_the_same(text: str, lines: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(text, "utf-8")
    payload = read_payload(str(file))
    assert payload.workloads == [ONE, TWO]
    assert payload.places == [f"{file}:{line}" for line in lines]


@pytest.mark.parametrize("text", [json.dumps(ONE, indent=2), '{"accelerator_hours": 1\n, "id": "w-1"}'])
def test_one_object_over_several_lines(text: str, tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text("\n" + text)
    payload = read_payload(str(file))
    assert payload.workloads == [ONE]
    assert payload.places == [f"{file}:2"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(ONE).encode())))
    payload = read_payload("-")
    assert payload.workloads == [ONE]
    assert payload.places == ["stdin:1"]


@pytest.mark.parametrize(
    ("raw", "where", "told"),
    [
        (b"", "", "nothing in it"),
        (b"[]", "", "the array is empty"),
        (b'{"a":' * 200_000, ":1", "nested too deeply"),
        (b'{"id": 1}\n{"id": \n', ":2", "not JSON"),
        (b'\n\n{"id": 1}\n{"id": \n', ":4", "not JSON"),
        (b'{"id": 1}\n[1]\n', ":2", "not list"),
        (b'[\n1, {"id": 1}]', ":2", "not int"),
        (b"3", ":1", "not int"),
        (b"[\n{},\n{]\n", ":3", "not JSON"),
        (b'{"id": 1}\n{"id": "\xff"}', ":2", "not UTF-8"),
        (b'{\n "id": 1,\n "tokens": 2,,\n}', ":3", "not JSON"),
        (b'{"id": 1}\n{"id": 2} x', ":2", "Extra data (column 11)"),
        (b'[{"id": 1}\n{"id": 2}]', ":2", "Expecting ',' delimiter (column 1)"),
        (b'[{"id": 1},]', ":1", "not JSON"),
        (b'[{"id": 1}] x', ":1", "Extra data"),
        (b'[{"id": 1}', ":1", "not JSON"),
        (b"id: w-1", ":1", "not JSON"),
        (b'{"id": 1}\n{"id": 1, "id": 2}', ":2", 'the key "id" is given twice'),
        (b'[{"id": 1},\n{"tokens": NaN}]', ":2", "NaN is not a JSON number"),
        (b'{"id": 1}\n{"tokens": 1e999}', ":2", "the number 1e999 is too large"),
    ],
)
def test_every_mistake_names_its_line(raw: bytes, where: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "w.jsonl"
    file.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_payload(str(file))
    assert caught.value.field == f"{file}{where}"
    assert told in caught.value.detail
    assert caught.value.hint


def test_no_such_file() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_payload("/nowhere/w.jsonl")
