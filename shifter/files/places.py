"""Where in an input something stands, and the mistakes found there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from shifter.errors import InputError

Loc = tuple[int | str, ...]
"""The way to a value: keys and list positions, outermost first."""

Locate = Callable[[Loc], "Place"]

Finding = tuple[Loc, str, str]
"""Where, what is wrong, and what to do."""

_NAME = re.compile(r"(--)?[A-Za-z_][\w\[\]-]*")

MOST_MISTAKES = 100
"""A file that is wrong throughout (the wrong file, say) is not answered with a book."""


def json_path(loc: Loc) -> str:
    """`sites[0].pools[1].idle_kw`.

    >>> json_path(("sites", 0, "pools", 1, "idle_kw"))
    'sites[0].pools[1].idle_kw'
    """
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass(frozen=True)
class Place:
    """A value of an input: the file (or `body`), line and column from 1 where there are any, and the JSON
    path.
    """

    source: str
    path: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            if not self.source or not self.path:
                return self.source or self.path
            if not _NAME.fullmatch(self.source):
                return f"{self.source} {self.path}"  # a file
            return f"{self.source}{'' if self.path.startswith('[') else '.'}{self.path}"
        column = "" if self.column is None else f":{self.column}"
        return f"{self.source}:{self.line}{column} {self.path}".rstrip()

    def error(self, detail: str, hint: str = "", **facts: Any) -> InputError:
        """A mistake at this place."""
        return InputError(
            detail,
            hint=hint,
            field=str(self),
            source=self.source,
            path=self.path,
            line=self.line,
            column=self.column,
            **facts,
        )


def in_body(where: str) -> Locate:
    """Places in something that has no lines, such as a request's body."""
    return lambda loc: Place(where, json_path(loc))


def on_line(source: str, line: int) -> Locate:
    """Places in one line of a file."""
    return lambda loc: Place(source, json_path(loc), line)


def raise_all(mistakes: Iterable[InputError]) -> None:
    """Raises the first mistake, in the order of the lines, with the others in `also`. Does nothing without
    any.
    """
    ordered = sorted(mistakes, key=lambda e: (e.facts.get("line") or 0, e.facts.get("column") or 0))
    if not ordered:
        return
    first, rest = ordered[0], ordered[1:MOST_MISTAKES]
    facts = {**first.facts, "mistakes": len(ordered)}
    raise InputError(first.detail, hint=first.hint, field=first.field, also=tuple(rest), **facts)


def all_of(error: InputError) -> tuple[InputError, ...]:
    """An error and the others found with it."""
    return (error, *error.also)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, whatever its case; None where nothing is like it."""
    by_lower = {k.lower(): k for k in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggestion(name: str, known: Iterable[str], what: str) -> str:
    """A hint: the nearest known name, or all of them where there are few."""
    names = sorted(set(known))
    near = nearest(name, names)
    if near is not None:
        return f"Did you mean `{near}`?"
    if not names:
        return f"There are no {what}."
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"Known {what}: {shown}."
