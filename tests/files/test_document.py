"""YAML 1.2 with places: what is read, and what is refused where."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shifter.errors import InputError
from shifter.files.document import MAX_BYTES, parse_document, read_document


def place_and_text(text: str) -> tuple[int, int, str]:
    try:
        error = parse_document(text, "f.yaml").mistakes[0]
    except InputError as raised:
        error = raised
    assert str(error).startswith("f.yaml:")
    assert error.hint
    return error.facts["line"], error.facts["column"], str(error)


def test_plain_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    text = """
no: NO
yes: yes
off: off
octal: 0o17
old octal: 017
hex: 0x1F
float: 4.1e9
exponent only: 1e3
underscores: 1_000
date: 2026-01-10
time: 2026-01-10T17:00:00Z
sexagesimal: 12:30:45
null: null
empty:
quoted: "12"
tagged: !!str 12
inf: -.inf
"""
    assert parse_document(text, "f").data == {
        "no": "NO",
        "yes": "yes",
        "off": "off",
        "octal": 15,
        "old octal": 17,
        "hex": 31,
        "float": 4.1e9,
        "exponent only": 1000.0,
        "underscores": "1_000",
        "date": "2026-01-10",
        "time": "2026-01-10T17:00:00Z",
        "sexagesimal": "12:30:45",
        "null": None,
        "empty": None,
        "quoted": "12",
        "tagged": "12",
        "inf": float("-inf"),
    }


def test_every_value_and_key_has_a_place() -> None:
    document = parse_document("a:\n  - b: 1\n    cc:   [x, y]\n", "f.yaml")
    assert str(document.locate(("a", 0, "cc", 1))) == "f.yaml:3:15 a[0].cc[1]"
    assert str(document.locate_key(("a", 0, "cc"))) == "f.yaml:3:5 a[0].cc"
    assert str(document.locate(("a", 0, "missing"))) == "f.yaml:2:5 a[0].missing"
    assert str(document.locate_key(("nowhere", 3))) == "f.yaml:1:1 nowhere[3]"


def test_anchors_are_followed() -> None:
    document = parse_document("a: &x {b: 1}\nc: *x\n", "f")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.locate(("c", "b")).line == 1


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "given twice: first on line 1"),
        ("a:\n\t- b\n", 2, 1, "never with tabs"),
        ("a: [1, 2", 1, 9, "cut off"),
        ('a: "x\n', 2, 1, "cut off"),
        ("a: b: c\n", 1, 5, "indentation"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("%YAML 1.1\n---\na: NO\n", 2, 1, "YAML 1.1"),
        ("a: &x {b: 1}\n<<: *x\n", 2, 1, "merge keys"),
        ("a: *nope\n", 1, 4, "names no anchor"),
        ("a: &a [*a]\n", 1, 8, "names no anchor"),
        ("a: !!python/object:os.system {}\n", 1, 4, "tag"),
        ("[1]: 2\n", 1, 1, "key must be plain text"),
        ('a: "\\ud800"\n', 1, 4, "surrogate"),
        ('a: "\\U99999999"\n', 1, 1, "not YAML"),
        ("a: \x07\n", 1, 4, "not allowed"),
        ("a: @x\n", 1, 4, "quotes"),
        ("", 1, 1, "empty"),
        ("# nothing\n", 1, 1, "empty"),
        ("[" * 100, 1, 42, "nested deeper"),
    ],
)
def test_what_is_refused_names_its_place(text: str, line: int, column: int, says: str) -> None:
    assert place_and_text(text)[:2] == (line, column)
    assert says in place_and_text(text)[2]


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    began = time.perf_counter()
    assert "aliases counted" in place_and_text("\n".join(lines))[2]
    assert time.perf_counter() - began < 2


def test_surrogate_pairs_of_json_are_one_character() -> None:
    assert parse_document('{"a": "\\ud83d\\ude00"}', "f").data == {"a": "\U0001f600"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            read_document(path)
        return str(caught.value)

    file = tmp_path / "f.yaml"
    assert "no such file" in refused(file)
    assert "folder" in refused(tmp_path)
    file.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refused(file).startswith(f"{file}:2:7: the byte 0xe9 is not UTF-8")
    file.write_text("a: 1", encoding="utf-16")
    assert "UTF-16" in refused(file)
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 2 MiB" in refused(file)
    assert "cannot be read" in refused(Path("a\0b"))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(file).data == {"a": 1}
