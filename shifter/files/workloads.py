"""workloads.jsonl, and the body of POST /v1/workloads, into `Workload`s that do not contradict themselves or
the fleet.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container
from dataclasses import fields
from pathlib import Path
from typing import Any

from shifter.domain.fleet import Fleet
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files.conflicts import fits, fleet_conflicts, own_mistakes
from shifter.files.document import Document, read_document
from shifter.files.lines import WORKLOAD, read_plain
from shifter.files.places import (
    MOST_MISTAKES,
    Loc,
    Locate,
    Place,
    all_of,
    in_body,
    nearest,
    on_line,
    raise_all,
)
from shifter.files.text import PathLike, decode, read_lines
from shifter.files.validation import validate

MAX_LINE_BYTES = 2**20


def parse_workload(raw: Any, where: str = "body", fleet: Fleet | None = None) -> Workload:
    """One workload from plain JSON values. Raises InputError with the JSON path of every mistake, under
    `where`.

    With a `fleet`, it is checked against that too, as by `check_workload`.
    """
    return _parse(raw, in_body(where), fleet)


def check_workload(workload: Workload, fleet: Fleet, where: str = "") -> None:
    """Raises InputError where the workload contradicts itself, or where nothing in the fleet may ever run it.

    That its deadline cannot be met is no mistake: it is admitted, and the answer says so.
    """
    raise_all(_contradictions(workload, in_body(where), fleet))


def read_workloads(path: PathLike, fleet: Fleet | None = None) -> tuple[Workload, ...]:
    """Workloads of a file, one JSON object a line (or, by its name, a .json or .yaml file with one or a list
    of them).

    Raises InputError with file and line of every mistake; the same id twice is one. With a `fleet`, each is
    checked against it.
    """
    if Path(path).suffix.lower() in {".json", ".yaml", ".yml"}:
        return workloads_of(read_document(path), fleet)
    workloads: list[Workload] = []
    mistakes: list[InputError] = []
    seen: dict[str, int] = {}
    for number, line, ends in read_lines(path, MAX_LINE_BYTES):
        locate = on_line(str(path), number)
        try:
            if line.strip():
                workload = read_plain(line)
                if workload is None or _contradictions(workload, locate, fleet):
                    raw = _json(line, locate, str(path), number, truncated=not ends)
                    workload = _parse(raw, locate, fleet)
                _refuse_again(workload.id, seen.setdefault(workload.id, number), number, locate)
                workloads.append(workload)
        except InputError as error:
            mistakes += all_of(error)
            if len(mistakes) >= MOST_MISTAKES:
                break
    raise_all(mistakes)
    return tuple(workloads)


def workloads_of(document: Document, fleet: Fleet | None = None) -> tuple[Workload, ...]:
    """One workload, or a list of them, from a document. Raises InputError as `read_workloads`."""
    many = isinstance(document.data, list)
    workloads, mistakes, seen = [], list(document.mistakes), dict[str, int]()
    for i, raw in enumerate(document.data if many else [document.data]):

        def locate(loc: tuple[int | str, ...], i: int = i) -> Place:
            return document.locate((i, *loc) if many else loc)

        def locate_key(loc: tuple[int | str, ...], i: int = i) -> Place:
            return document.locate_key((i, *loc) if many else loc)

        try:
            workload = _parse(raw, locate, fleet, locate_key)
            line = locate(("id",)).line or 0
            _refuse_again(workload.id, seen.setdefault(workload.id, line), line, locate)
            workloads.append(workload)
        except InputError as error:
            mistakes += all_of(error)
    raise_all(mistakes)
    return tuple(workloads)


def _parse(raw: Any, locate: Locate, fleet: Fleet | None, locate_key: Locate | None = None) -> Workload:
    try:
        workload = validate(WORKLOAD, raw, locate, locate_key=locate_key)
    except InputError as error:
        raise_all([*all_of(error), *_beside(error, raw, locate, fleet)])
        raise
    raise_all(_contradictions(workload, locate, fleet, given=raw))
    return workload


def _beside(error: InputError, raw: Any, locate: Locate, fleet: Fleet | None) -> list[InputError]:
    """What else is wrong where some values are wrong in themselves: nobody should have to correct a file twice."""
    if not isinstance(raw, dict):
        return []
    root = locate(()).path
    paths = [str(e.facts.get("path", "")).removeprefix(root) for e in all_of(error)]
    wrong = {re.split(r"[.\[]", path.lstrip("."))[0] for path in paths}
    rest = {key: value for key, value in raw.items() if key not in wrong}
    rest |= {key: value for key, value in _STAND_INS.items() if key in wrong}
    names = [f.name for f in fields(Workload)]
    untold = wrong | {nearest(key, names) or key for key in wrong.difference(names)}
    if untold & {"latency_slo_ms", "mode"}:
        untold.add("tokens")  # real-time work needs none
    try:
        workload = validate(WORKLOAD, rest, locate)
    except InputError:
        return []
    return _contradictions(workload, locate, fleet, given=raw, untold=untold)


_STAND_INS = {"id": "unnamed", "tokens": 1.0, "accelerator_hours": 1.0}
"""For values that are wrong: that they are given at all matters to the others."""


def _contradictions(
    workload: Workload,
    locate: Locate,
    fleet: Fleet | None,
    *,
    given: Container[str] | None = None,
    untold: Container[str | int] = (),
) -> list[InputError]:
    """What contradicts itself or the fleet, one mistake a place.

    `given` are the keys that were written, where that is known; of the fields in `untold` nothing is said.
    """
    findings = list(own_mistakes(workload))
    if fleet is not None and not fits(workload, fleet):
        findings += fleet_conflicts(workload, fleet, given)
    told: dict[Loc, InputError] = {}
    for loc, detail, hint in findings:
        if loc[0] not in untold:
            told.setdefault(loc, locate(loc).error(detail, hint, workload_id=workload.id))
    return list(told.values())


def _refuse_again(name: str, first: int, line: int, locate: Locate) -> None:
    if first != line:
        raise locate(("id",)).error(
            f"the id `{name}` is already on line {first}.",
            "Give each workload an id of its own; one that is meant once stands once.",
            lines=(first, line),
        )


def _json(raw: bytes, locate: Locate, source: str, number: int, *, truncated: bool) -> Any:
    """One line as plain JSON values; a key given twice is an error."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(items) != len({key for key, _ in items}):
            key = Counter(key for key, _ in items).most_common(1)[0][0]
            raise locate((key,)).error(f"the key `{key[:60]}` is given twice.", "Keep one of the two.")
        return dict(items)

    text = decode(raw, source, number)
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        hint = (
            "The last line is cut off: was the file written completely?"
            if truncated
            else "One JSON object a line."
        )
        place = Place(source, line=number, column=error.colno)
        raise place.error(f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}.", hint) from None
    except (ValueError, RecursionError) as error:
        raise locate(()).error(
            f"this line cannot be read: {error}.", "One plain JSON object a line."
        ) from None
