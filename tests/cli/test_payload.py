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
    "text",
    [
        json.dumps(ONE) + "\n\n" + json.dumps(TWO) + "\n",
        json.dumps([ONE, TWO], indent=2),
        "\ufeff" + json.dumps([ONE, TWO]),
    ],
    ids=["lines", "array", "byte order mark"],
)
def test_lines_and_arrays_are_the_same(text: str, tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(text, "utf-8")
    assert read_payload(str(file)) == [ONE, TWO]


def test_one_object_over_several_lines(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(json.dumps(ONE, indent=2))
    assert read_payload(str(file)) == [ONE]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(ONE).encode())))
    assert read_payload("-") == [ONE]


@pytest.mark.parametrize(
    ("raw", "where", "told"),
    [
        (b"", "", "nothing in it"),
        (b"[]", "", "the array is empty"),
        (b'{"id": 1}\n{"id": \n', ":2", "not JSON"),
        (b'{"id": 1}\n[1]\n', ":2", "not list"),
        (b'[1, {"id": 1}]', "[0]", "not int"),
        (b"[\n{},\n{]\n", ":3", "not JSON"),
        (b'{"id": 1}\n{"id": "\xff"}', ":2", "not UTF-8"),
        (b"id: w-1", ":1", "not JSON"),
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
