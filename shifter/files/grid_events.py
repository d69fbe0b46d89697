"""Grid events from a file: JSON lines, or a YAML or JSON list; one that stands alone is a list of one.

Every mistake is named with its file, line and field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent, check_grid_event
from shifter.errors import InputError
from shifter.files.document import read_document
from shifter.files.places import Loc, Locate, Place, all_of, on_line, raise_all
from shifter.files.text import PathLike, decode, read_lines
from shifter.files.validation import validate

MAX_LINE_BYTES = 2**20
EVENT: TypeAdapter[GridEvent] = TypeAdapter(GridEvent)


def read_grid_events(path: PathLike, fleet: Fleet | None = None) -> tuple[GridEvent, ...]:
    """The events of a file, in its order. Raises InputError; with a `fleet`, also for a site that it has not."""
    events: list[GridEvent] = []
    mistakes: list[InputError] = []
    seen: set[str] = set()
    for read in _lines(path) if Path(path).suffix.lower() == ".jsonl" else _document(path):
        try:
            if isinstance(read, InputError):
                raise read
            event = _checked(*read, fleet)
            if event.id in seen:
                raise read[1](("id",)).error(
                    f"the id `{event.id}` is given twice.", "Give each event its own."
                )
            seen.add(event.id)
            events.append(event)
        except InputError as error:
            mistakes += all_of(error)
    raise_all(mistakes)
    return tuple(events)


Read = tuple[Any, Locate, Locate]
"""Plain values, and where they and their keys stand."""


def _document(path: PathLike) -> Iterator[Read | InputError]:
    document = read_document(path)
    yield from document.mistakes
    many = isinstance(document.data, list)
    for i, raw in enumerate(document.data if many else [document.data]):
        root: Loc = (i,) if many else ()

        def locate(loc: Loc, root: Loc = root) -> Place:
            return document.locate((*root, *loc))

        def locate_key(loc: Loc, root: Loc = root) -> Place:
            return document.locate_key((*root, *loc))

        yield raw, locate, locate_key


def _lines(path: PathLike) -> Iterator[Read | InputError]:
    for number, line, _ in read_lines(path, MAX_LINE_BYTES):
        if not line.strip():
            continue
        locate = on_line(str(path), number)
        try:
            yield json.loads(decode(line, str(path), number)), locate, locate
        except ValueError:
            yield Place(str(path), line=number).error("this is not JSON.", "Write one JSON object a line.")


def _checked(raw: Any, locate: Locate, locate_key: Locate, fleet: Fleet | None) -> GridEvent:
    event = validate(EVENT, raw, locate, locate_key=locate_key)
    try:
        check_grid_event(event)
    except InputError as error:
        raise locate((error.field.partition(".")[0],)).error(error.detail, error.hint) from None
    if fleet is not None and event.site not in fleet.by_site:
        known = ", ".join(fleet.by_site)
        raise locate(("site",)).error(f"there is no site {event.site}.", f"Sites are {known}.")
    return event
