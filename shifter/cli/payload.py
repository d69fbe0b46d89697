"""Workloads as a person hands them in: a JSON object, a JSON array, or JSON lines, from a file or stdin."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shifter.errors import InputError

MAX_BYTES = 64 * 2**20
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Payload:
    """Workloads, unvalidated (the daemon judges their fields), and the file and line at which each begins."""

    workloads: list[dict[str, Any]]
    places: list[str]


def read_payload(name: str) -> Payload:
    """The workloads in file `name` (`-` is stdin).

    Raises InputError, naming the file and line, for what is not UTF-8, not clean JSON, not an object, or empty.
    """
    where = "stdin" if name == "-" else name
    text = _read(name, where).rstrip()
    start = _after_space(text, 0)
    if start == len(text):
        raise InputError(
            "there is nothing in it.", field=where, hint="Give one JSON object a line, or an array."
        )
    workloads, places = [], []
    for line, one in _array(text, start, where) if text[start] == "[" else _objects(text, start, where):
        if not isinstance(one, dict):
            raise InputError(
                f"a workload is a JSON object, not {type(one).__name__}.",
                field=f"{where}:{line}",
                hint="Put each workload between { and }.",
            )
        workloads.append(one)
        places.append(f"{where}:{line}")
    if not workloads:
        raise InputError("the array is empty.", field=where, hint="Put at least one workload into it.")
    return Payload(workloads, places)


def _read(name: str, where: str) -> str:
    if name == "-":
        raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        path = Path(name)
        if not path.exists():
            raise InputError("there is no such file.", field=where, hint="Check the path; - reads stdin.")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise InputError(f"it is larger than {MAX_BYTES >> 20} MiB.", field=where, hint="Split it.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"byte {error.start} is not UTF-8.", field=f"{where}:{line}", hint="Save the file as UTF-8."
        ) from None


def _objects(text: str, start: int, where: str) -> Iterator[tuple[int, Any]]:
    """One value a line; or one over all of the text, where the first line is none by itself."""
    first = text.count("\n", 0, start) + 1
    try:
        _DECODER.raw_decode(text[start:].partition("\n")[0])
    except (ValueError, RecursionError):
        yield first, _whole(text, start, where, first)
        return
    for line, content in enumerate(text[start:].split("\n"), start=first):
        if content.strip():
            yield line, _whole(content, _after_space(content, 0), where, line)


def _whole(text: str, at: int, where: str, line: int) -> Any:
    value, end = _value(text, at, where, line)
    if text[end:].strip():
        raise _not_json("Extra data", text, _after_space(text, end), where, line)
    return value


def _array(text: str, start: int, where: str) -> Iterator[tuple[int, Any]]:
    """Each value of an array, and its line; one at a time, so that every mistake has a line."""
    line, counted = 1, 0
    at = _after_space(text, start + 1)
    closed = text[at : at + 1] == "]"
    while not closed:
        line, counted = line + text.count("\n", counted, at), at
        value, end = _value(text, at, where, line)
        yield line, value
        end = _after_space(text, end)
        closed = text[end : end + 1] == "]"
        if not closed and text[end : end + 1] != ",":
            raise _not_json("Expecting ',' delimiter", text, end, where)
        at = end if closed else _after_space(text, end + 1)
    if at + 1 != len(text):
        raise _not_json("Extra data", text, at + 1, where)


def _value(text: str, at: int, where: str, line: int) -> tuple[Any, int]:
    """The value that begins at `at`, which is on `line`, and its end."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _not_json(error.msg, text, error.pos, where, line + text.count("\n", at, error.pos)) from None
    except RecursionError:
        refused = "it is nested too deeply."
    except ValueError as error:  # of the hooks below
        refused = str(error)
    raise InputError(refused, field=f"{where}:{line}", hint="Correct it.")


def _not_json(message: str, text: str, at: int, where: str, line: int | None = None) -> InputError:
    error = json.JSONDecodeError(message, text, at)
    return InputError(
        f"this is not JSON: {error.msg} (column {error.colno}).",
        field=f"{where}:{line or error.lineno}",
        hint="One JSON object a line, or one JSON array.",
    )


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large.")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key "{key}" is given twice in one object.')
        found[key] = value
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once_each)
