"""YAML 1.2 with the line and column of everything in it.

Built on ruamel's events rather than on its loader: the core schema is small, and so the place of every key
and value is known, a key that is given twice is an error, and nothing but plain values can come out (no tags,
no objects). `NO` is text. What an attacker or an accident may send (bombs of aliases, depth, size) ends in an
error, not in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from shifter.errors import InputError
from shifter.files.places import Loc, Place, json_path
from shifter.files.text import PathLike, read_text

MAX_BYTES = 2 * 2**20
MAX_DEPTH = 40
MAX_VALUES = 500_000
"""Values in a document, what aliases repeat counted each time."""

STR_TAGS = ("!", "tag:yaml.org,2002:str")

_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]+"), lambda t: int(t) if len(t) <= 300 else float(t)),
    (re.compile(r"0o[0-7]{1,300}"), lambda t: int(t, 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,300}"), lambda t: int(t, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda t: float("-inf" if t[0] == "-" else "inf")),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: float("nan")),
)


@dataclass(slots=True)
class Node:
    """A value and where it stands: a scalar, a list of nodes, or a mapping of nodes with the places of its
    keys.
    """

    value: Any
    line: int
    column: int
    size: int = 1
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True)
class Document:
    """A YAML file that was read: plain values, and the place of each."""

    source: str
    root: Node
    data: Any
    mistakes: tuple[InputError, ...] = ()
    """Keys given twice: the rest of the document is still worth reading, to name all its mistakes at once."""

    def locate(self, loc: Loc) -> Place:
        """Where the value at `loc` stands; where it is absent, what would hold it; for a key, the
        key itself.
        """
        node, line, column = self.root, self.root.line, self.root.column
        for part in loc:
            if not _has(node, part):
                break
            node = node.value[part]
            line, column = node.line, node.column
        return Place(self.source, json_path(loc), line, column)

    def locate_key(self, loc: Loc) -> Place:
        """Where the last key of `loc` stands; its value where that is not known."""
        node = self.root
        for part in loc[:-1]:
            node = node.value[part] if _has(node, part) else node
        place = node.keys.get(str(loc[-1])) if loc else None
        return Place(self.source, json_path(loc), *place) if place else self.locate(loc)


def _has(node: Node, part: int | str) -> bool:
    if isinstance(node.value, dict):
        return part in node.value
    return isinstance(node.value, list) and isinstance(part, int) and part < len(node.value)


def read_document(path: PathLike, *, may_be_empty: bool = False) -> Document:
    """A YAML 1.2 (or JSON) file. Raises InputError with line and column."""
    return parse_document(read_text(path, MAX_BYTES), str(path), may_be_empty=may_be_empty)


def parse_document(text: str, source: str, *, may_be_empty: bool = False) -> Document:
    """YAML 1.2 text; `may_be_empty`: nothing but comments is an empty mapping. Raises InputError with line
    and column.
    """
    yaml = YAML(typ="safe", pure=True)
    builder = _Builder(source)
    try:
        root = builder.build(yaml.parse(text)) or (Node({}, 1, 1) if may_be_empty else None)
    except MarkedYAMLError as error:
        raise _syntax_error(error, source, text) from None
    except YAMLError as error:  # a character that YAML does not allow
        position = int(getattr(error, "position", 0))
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        raise Place(source, line=line, column=column).error(
            "this character is not allowed in YAML.", "Remove it; is this a text file?"
        ) from None
    except (ArithmeticError, AssertionError, LookupError, RecursionError, TypeError, ValueError) as error:
        # ruamel's scanner stumbles over a few malformed escapes and directives with errors that are not its
        # own
        raise Place(source, line=builder.line, column=1).error(
            f"this is not YAML, from here on ({type(error).__name__}).",
            "Look for a wrong escape or directive.",
        ) from None
    if root is None:
        raise Place(source, line=1, column=1).error("the file is empty.", "Is it the right file?")
    return Document(source, root, root.plain(), tuple(builder.mistakes))


def _syntax_error(error: MarkedYAMLError, source: str, text: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    place = Place(source) if mark is None else Place(source, line=mark.line + 1, column=mark.column + 1)
    said = " ".join(str(part) for part in (error.context, error.problem) if part)
    ended = mark is not None and mark.index >= len(text.rstrip())
    if "\\t" in said or "'\\t'" in said:
        hint = "Indent with spaces, never with tabs."
    elif ended or "stream end" in said or "end of stream" in said:
        hint = "The file ends too early: is it cut off?"
    elif "mapping values" in said or "block" in said:
        hint = "Look at the indentation, and put quotes around text that holds `: `."
    else:
        hint = "Put quotes around text that begins with a special character."
    return place.error(f"this is not YAML: {said}.", hint)


class _Builder:
    """Nodes from events. Depth is bounded, so that recursion is."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.line = 1
        self.mistakes: list[InputError] = []
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def build(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if event.version is not None and tuple(event.version) != (1, 2):
                    raise self._error(
                        event, "this is YAML 1.1, by its %YAML line.", "Write YAML 1.2: drop that line."
                    )
                if root is not None:
                    raise self._error(
                        event, "a second document begins here.", "Keep one document in a file: no `---`."
                    )
            elif isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                root = self._node(event, events, ())
        return None if root is None or root.value is None else root

    def _node(self, event: Event, events: Iterator[Event], loc: Loc) -> Node:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        self.line = line
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._count(1, event)
        self._refuse_tag(event)
        if len(loc) > MAX_DEPTH:
            raise self._error(
                event, f"lists and mappings are nested deeper than {MAX_DEPTH}.", "Nothing needs that."
            )
        if isinstance(event, ScalarEvent):
            node = Node(self._scalar(event), line, column)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(events, Node({}, line, column), loc)
        else:
            node = Node([], line, column)
            while not isinstance(item := next(events), SequenceEndEvent):
                node.value.append(self._node(item, events, (*loc, len(node.value))))
            node.size += sum(child.size for child in node.value)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _mapping(self, events: Iterator[Event], node: Node, loc: Loc) -> Node:
        while not isinstance(event := next(events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise self._error(event, "a key must be plain text.", "Write `key: value`.")
            key = str(event.value)
            if key == "<<" and event.style is None:
                raise self._error(event, "merge keys (`<<`) are not part of YAML 1.2.", "Write the keys out.")
            place = (event.start_mark.line + 1, event.start_mark.column + 1)
            value = self._node(next(events), events, (*loc, key))
            if key in node.value:
                first = node.keys[key][0]
                self.mistakes.append(
                    Place(self.source, json_path((*loc, key)), *place).error(
                        f"the key `{key[:60]}` is given twice: first on line {first}.", "Keep one of the two."
                    )
                )
                continue
            node.value[key], node.keys[key] = value, place
            node.size += value.size
        return node

    def _alias(self, event: AliasEvent) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._error(
                event, f"the alias `*{event.anchor}` names no anchor above it.", "Write the value out."
            )
        self._count(node.size, event)
        return node

    def _count(self, more: int, event: Event) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            raise self._error(
                event,
                f"the file holds more than {MAX_VALUES} values, aliases counted.",
                "Is it the right file?",
            )

    def _refuse_tag(self, event: Event) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) not in STR_TAGS:
            raise self._error(event, f"the tag `{str(tag)[:60]}` is not allowed.", "Write the plain value.")

    def _scalar(self, event: ScalarEvent) -> Any:
        text = str(event.value)
        if event.style is not None or getattr(event, "tag", None) is not None:
            return self._text(text, event)
        return core_schema(text)

    def _text(self, text: str, event: Event) -> str:
        if not any("\ud800" <= c <= "\udfff" for c in text):
            return text
        try:  # JSON escapes what lies beyond the basic plane as two halves
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._error(
                event, "the text holds half of a character (a lone surrogate).", "Write it out."
            ) from None

    def _error(self, event: Event, detail: str, hint: str) -> InputError:
        return Place(self.source, line=event.start_mark.line + 1, column=event.start_mark.column + 1).error(
            detail, hint
        )


def core_schema(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2.

    >>> [core_schema(t) for t in ("NO", "true", "0o17", "1e3", "2026-01-10", "~")]
    ['NO', True, 15, 1000.0, '2026-01-10', None]
    """
    for pattern, value in _CORE_SCHEMA:
        if pattern.fullmatch(text):
            return value(text)
    return text
