"""The daemon as commands talk to it: what it says of a request, in the words of the command that made it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from shifter.cli.options import in_words
from shifter.cli.program import command
from shifter.client import Client
from shifter.connection import Json
from shifter.errors import InputError, NotFound, ShifterError

MOST_NEAR = 3
NEWEST = 1000
"""Of so many workloads, the newest, one may be meant by a name that is wrong."""
_NAMED = re.compile(r"/v1/(?:workloads/([^/]+)|(?:realtime/)?[\w-]+/(.+))")
_IN_BODY = re.compile(r"body(?:\[(\d+)\])?\.?(?:workload\b\.?)?(.*)")
LISTS = {"grid-events": "grid-events list", "realtime/announcements": "realtime announcements"}
"""Endpoints whose list is a command within a group."""
_ENDPOINT = re.compile(r"(?:Look at|See) GET /v1/((?:realtime/)?[\w-]+)")


class CommandClient(Client):
    """A client whose errors name options, files and lines, not parts of an HTTP request."""

    places: Sequence[str] = ()
    """Where the workloads that are handed in stand: `workloads.jsonl:3`, one each."""
    options: Mapping[str, str] = MappingProxyType({})
    """What the command calls otherwise than the interface: `--hours` for `end`, say."""

    def _object(self, method: str, path: str, query: Json | None = None, **how: Any) -> Json:
        with self._told(path):
            return super()._object(method, path, query, **how)

    def _list(self, method: str, path: str, query: Json | None = None, **how: Any) -> list[Json]:
        with self._told(path):
            return super()._list(method, path, query, **how)

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except ShifterError as error:
            raise self._in_words(error, path) from None

    def _in_words(self, error: ShifterError, path: str) -> ShifterError:
        detail, hint = error.detail, _ENDPOINT.sub(lambda m: f"See `{self._typed(m[1])}`", error.hint)
        if error.code == "body_too_large":
            detail, hint = "this is more than the daemon takes at once.", "Split the file."
        elif isinstance(error, InputError) and error.field.startswith("path."):
            detail = f"{_name(path)!r} is no name."
        elif isinstance(error, NotFound) and path.startswith("/v1/workloads/"):
            hint = self._nearest(_name(path)) or hint
        more: dict[str, Any] = {}
        if isinstance(error, InputError):
            more["also"] = tuple(self._in_words(other, path) for other in error.also)
        field = _field(error.field, self.places, self.options)
        if not self.places:  # what was sent was spelt by options
            detail, hint = in_words(detail, self.options), in_words(hint, self.options)
        return type(error)(detail, field=field, hint=hint, **more, **dict(error.facts))

    def _nearest(self, name: str) -> str:
        with suppress(ShifterError):
            near = nearest(name, (w["id"] for w in self.workloads(limit=NEWEST)))
            if near:
                return f"Did you mean {' or '.join(near)}? See `{self._typed('workloads')}`."
        return ""

    def _typed(self, name: str) -> str:
        return command(*LISTS.get(name, name).split(), url=self.base_url)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that begin like this one, or are most like it.

    >>> nearest("evals", ["evals-nightly-0413", "chat-0413"]), nearest("nobody", ["chat-0413"])
    (['evals-nightly-0413'], [])
    """
    by_lower = {k.lower(): k for k in known}
    longer = [k for k in by_lower if k.startswith(name.lower())]
    alike = difflib.get_close_matches(name.lower(), by_lower, MOST_NEAR)
    return [by_lower[k] for k in dict.fromkeys([*longer, *alike])][:MOST_NEAR]


def _name(path: str) -> str:
    """What was asked for by name: a workload, or `site/pool`."""
    found = _NAMED.match(path)
    return unquote(found[1] or found[2]) if found else ""


def _field(field: str, places: Sequence[str], options: Mapping[str, str]) -> str:
    """`body[2].tokens` as `workloads.jsonl:3: tokens`, `query.site` as `--site`."""
    where, _, name = field.partition(".")
    if where == "path":
        return ""  # the detail names what was asked for
    if where == "query":
        return _option(name, options)
    found = _IN_BODY.fullmatch(field)
    if found is None:
        return field
    index, inner = found.groups()
    if inner.startswith("deadlines") or not places:
        return "--deadline" if inner.startswith("deadlines") else _option(inner, options)
    return ": ".join(part for part in (places[int(index or 0)], inner) if part)


def _option(name: str, options: Mapping[str, str]) -> str:
    return options.get(name) or (f"--{name.replace('_', '-')}" if name else "")
