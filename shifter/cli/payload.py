"""Workloads as a person hands them in: a JSON object, a JSON array, or JSON lines, from a file or stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from shifter.errors import InputError

MAX_BYTES = 64 * 2**20


def read_payload(name: str) -> list[dict[str, Any]]:
    """The workloads in file `name` (`-` is stdin), unvalidated: the daemon judges the fields.

    Raises InputError, naming the file and line, for what is not UTF-8, not JSON, not an object, or empty.
    """
    where = "stdin" if name == "-" else name
    text = _read(name, where).strip()
    if not text:
        raise InputError(
            "there is nothing in it.", field=where, hint="Give one JSON object a line, or an array."
        )
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        if "\n" not in text or text[0] == "[":
            raise _not_json(where, error.lineno, error) from None
        return [_object(*line, where) for line in enumerate(text.splitlines(), start=1) if line[1].strip()]
    found = whole if isinstance(whole, list) else [whole]
    for i, one in enumerate(found):
        if not isinstance(one, dict):
            raise InputError(
                f"a workload is a JSON object, not {type(one).__name__}.",
                field=f"{where}[{i}]",
                hint="Put objects into the array, between { and }.",
            )
    if not found:
        raise InputError("the array is empty.", field=where, hint="Put at least one workload into it.")
    return found


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


def _object(number: int, line: str, where: str) -> dict[str, Any]:
    try:
        one = json.loads(line)
    except json.JSONDecodeError as error:
        raise _not_json(where, number, error) from None
    if not isinstance(one, dict):
        raise InputError(
            f"a workload is a JSON object, not {type(one).__name__}.",
            field=f"{where}:{number}",
            hint="One object a line, between { and }.",
        )
    return one


def _not_json(where: str, line: int, error: json.JSONDecodeError) -> InputError:
    return InputError(
        f"this is not JSON: {error.msg} (column {error.colno}).",
        field=f"{where}:{line}",
        hint="One JSON object a line, or one JSON array.",
    )
