"""Plain values into frozen dataclasses by pydantic, every mistake said in plain words, with its place and a
remedy.

Strict: text is not a number, nor is a boolean; a whole number has no point; a time is ISO 8601 text with a
zone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shifter.errors import InputError
from shifter.files.numerals import NUMERIC, as_number
from shifter.files.places import Loc, Locate, nearest, raise_all, suggestion

T = TypeVar("T")
Hide = Callable[[Loc], bool]

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
TIME_KEYS = frozenset({"start", "end", "earliest_start", "deadline", "at", "created_at"})
PLAUSIBLE_YEARS = range(2000, 2201)
_TIME_HINT = "Write it in UTC, like 2026-01-10T17:00:00Z."
_STAND_IN = "2026-01-01T00:00:00Z"


def validate(
    adapter: TypeAdapter[T],
    raw: Any,
    locate: Locate,
    *,
    locate_key: Locate | None = None,
    hide: Hide | None = None,
    also: Iterable[InputError] = (),
) -> T:
    """`raw` (plain JSON values) as the adapter's type. Raises InputError with every mistake, each at its
    place.

    `locate_key` places an unknown key where that differs from its value; values for which `hide` holds are
    not shown; `also` are mistakes that are known already.
    """
    cleaned, mistakes = _check_times(raw, locate, ())
    mistakes += also
    try:
        text = json.dumps(cleaned, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise locate(()).error(
            f"this holds a value that JSON does not have: {error}.", "Write plain values."
        ) from None
    try:
        value = adapter.validate_json(text, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        mistakes += _explain_all(
            details, Tree(adapter), locate, locate_key or locate, hide or (lambda _: False)
        )
    else:
        if not mistakes:
            return value
    raise_all(mistakes)
    raise AssertionError("a validation error without a mistake")  # pragma: no cover


class Tree:
    """The keys and descriptions that a type knows, by the way to them, from its JSON Schema."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._root: Mapping[str, Any] = adapter.json_schema()

    def at(self, loc: Loc) -> Mapping[str, Any]:
        """The schema of the value at `loc`; empty where there is none."""
        node = self._resolve(self._root)
        for part in loc:
            if isinstance(part, int):
                node = self._resolve(node.get("items", {}))
            elif part in _kinds(node):
                node = self._resolve({"$ref": _kinds(node)[part]})
            elif part in node.get("properties", {}):
                node = self._resolve(node["properties"][part])
            else:
                node = self._resolve(_free(node) or {})
        return node

    def written(self, loc: Loc) -> Loc:
        """The same way as a file has it: pydantic names the kind of what may be of several, which is no key."""
        return tuple(part for i, part in enumerate(loc) if part not in _kinds(self.at(loc[:i])))

    def free_values(self, loc: Loc) -> Mapping[str, Any] | None:
        """The schema of the values of a mapping whose keys are free; None where the keys are fixed."""
        return _free(self.at(loc))

    def sections(self) -> set[str]:
        """The keys at the top that hold a mapping."""
        return {key for key in self.keys(()) if self.keys((key,)) or self.free_values((key,)) is not None}

    def keys(self, loc: Loc) -> list[str]:
        """The keys that the mapping at `loc` may hold."""
        return list(self.at(loc).get("properties", {}))

    def description(self, loc: Loc) -> str:
        """What the value at `loc` is, in the words of its type's documentation; under a free key, the mapping's, and of
        a list's entry the list's."""
        if not loc:
            return ""
        if self.free_values(loc[:-1]) is not None or isinstance(loc[-1], int):
            return self.description(loc[:-1])
        return str(self.at(loc[:-1]).get("properties", {}).get(str(loc[-1]), {}).get("description", ""))

    def _resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            node = self._root["$defs"][node["$ref"].rpartition("/")[2]]
        for option in node.get("anyOf", ()):
            resolved = self._resolve(option)
            if resolved.keys() & {"properties", "items", "additionalProperties", "patternProperties"}:
                return resolved
        return node


def _kinds(node: Mapping[str, Any]) -> Mapping[str | int, str]:
    """Where a value may be of several kinds, the schema of each by the value of the key that tells them apart."""
    found: Mapping[str | int, str] = node.get("discriminator", {}).get("mapping", {})
    return found


def _free(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for free in (node.get("additionalProperties"), *node.get("patternProperties", {}).values()):
        if isinstance(free, Mapping) or free is True:
            return {} if free is True else free
    return None


def _explain_all(
    details: list[ErrorDetails], tree: Tree, locate: Locate, locate_key: Locate, hide: Hide
) -> list[InputError]:
    meant = {
        (*d["loc"][:-1], nearest(str(d["loc"][-1]), tree.keys(d["loc"][:-1])))
        for d in details
        if d["type"] in UNKNOWN_KEY
    }
    mistakes = []
    for d in details:
        loc = d["loc"]
        if d["type"] == "missing" and loc in meant:
            continue  # it is there, under a name that is wrong
        if d["type"] == "too_short" and d.get("input"):
            continue  # pydantic counts only the items that are right
        detail, hint = _explain(d, tree, hidden=hide(loc))
        place = (locate_key if d["type"] in UNKNOWN_KEY else locate)(tree.written(loc))
        mistakes.append(place.error(detail, hint))
    return mistakes


def _explain(d: ErrorDetails, tree: Tree, *, hidden: bool) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    kind, loc, ctx = d["type"], d["loc"], d.get("ctx", {})
    name = f"`{str(loc[-1])[:80]}`" if loc else "it"
    if loc and isinstance(loc[-1], int):
        name = "each entry"
    it_is = "what is given" if hidden else describe(d.get("input"))
    about = tree.description(loc)
    if about.startswith("or "):  # it goes on from the option before it, and says nothing by itself
        about = ""
    about = f"It is {about.rstrip('.')}." if about and about[:1].islower() else about
    if kind in UNKNOWN_KEY:
        return f"the key {name} is not known.", suggestion(str(loc[-1]), tree.keys(loc[:-1]), "keys")
    if kind == "missing":
        return f"{name} is missing.", about or f"Give {name}."
    if kind in _WANTED:
        wanted, hint = _WANTED[kind]
        if kind == "int_type" and isinstance(d.get("input"), float):
            hint = "Write it without a point or exponent."
        elif kind in ("int_type", "float_type") and isinstance(d.get("input"), str):
            number = as_number(d["input"], whole=kind == "int_type")
            hint = number or about
            it_is = describe(d["input"]) if number else it_is  # a number is no secret, and the hint shows it
        return f"{name} must be {wanted}, not {it_is}.", hint or about
    if kind in ("datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"):
        return f"{name} is not a time: {it_is}.", _TIME_HINT
    if kind == "timezone_aware":
        return f"{name} has no time zone: {it_is}.", _TIME_HINT
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        too_large = key in ("lt", "le") and isinstance(ctx[key], float)
        hint = f"{about} Is it meant in another unit?".strip() if too_large else about
        return f"{name} must be {words} {ctx[key]:g}, not {it_is}.", hint
    return _explain_value(d, name, it_is, about, hidden=hidden)


def _explain_value(d: ErrorDetails, name: str, it_is: str, about: str, *, hidden: bool) -> tuple[str, str]:
    """The same, where the type is right and the value is not."""
    kind, ctx = d["type"], d.get("ctx", {})
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", str(ctx.get("expected", "")))
        return f"{name} must be one of {', '.join(choices)}, not {it_is}.", _nearest_choice(
            d.get("input"), choices
        )
    if kind == "union_tag_invalid":
        choices = re.findall(r"'([^']*)'", str(ctx.get("expected_tags", "")))
        hint = _nearest_choice(ctx.get("tag"), choices)
        return f"{ctx['discriminator'].strip(chr(39))} must be one of {', '.join(choices)}.", hint
    if kind == "union_tag_not_found":
        return f"{ctx['discriminator'].strip(chr(39))} is missing.", "It says what each entry is."
    if kind in ("too_short", "string_too_short"):
        return f"{name} must not be empty.", about
    if kind in ("too_long", "string_too_long"):
        return f"{name} is longer than {ctx.get('max_length')}.", about
    if kind == "string_pattern_mismatch":
        hint = _NAME_HINT if "A-Za-z0-9._:/-" in str(ctx.get("pattern")) else about
        return f"{name} is not written as it must be{'' if hidden else ': ' + it_is}.", hint
    if kind == "json_invalid":
        return (
            f"this is not JSON: {ctx.get('error')}.",
            "Look for a quote, comma or bracket too few or too many.",
        )
    message = d["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    return f"{name} {message[:1].lower()}{message[1:]}." if kind != "value_error" else f"{message}.", about


_NAME_HINT = "A name begins with a letter or digit and holds letters, digits and . _ : / - only."

_WANTED: Mapping[str, tuple[str, str]] = {
    "int_type": ("a whole number", ""),
    "int_from_float": ("a whole number", "Write it without a point or exponent."),
    "int_parsing_size": ("a smaller number", ""),
    "float_type": ("a number", ""),
    "finite_number": ("a finite number", "NaN and infinity are not allowed."),
    "string_type": ("text", "Put it in quotes."),
    "bool_type": ("true or false", ""),
    "tuple_type": ("a list", "Write it in square brackets: [a, b]."),
    "list_type": ("a list", "Write it in square brackets: [a, b]."),
    "dataclass_type": ("a mapping of keys to values", ""),
    "model_type": ("a mapping of keys to values", ""),
    "model_attributes_type": ("a mapping of keys to values", ""),
    "dict_type": ("a mapping of keys to values", ""),
    "mapping_type": ("a mapping of keys to values", ""),
    "datetime_type": ("a time, as text", _TIME_HINT),
}
"""pydantic's error type -> what is wanted, and a hint where the field's own documentation says less."""

_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _nearest_choice(given: Any, choices: list[str]) -> str:
    near = nearest(given, choices) if isinstance(given, str) else None
    return f"Did you mean {near}?" if near else ""


def describe(value: Any) -> str:
    """A value as a person would name it, short.

    >>> describe("NO"), describe(None), describe([1])
    ('"NO"', 'nothing (null)', 'a list')
    """
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else f"{value}"
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _check_times(value: Any, locate: Locate, loc: Loc) -> tuple[Any, list[InputError]]:
    """The value with the times replaced that pydantic would take for something else, and those mistakes.

    Digits would pass as seconds since 1970, and a far year overflows once the zone or a horizon is added.
    """
    mistakes: list[InputError] = []
    if isinstance(value, Mapping):
        cleaned: dict[Any, Any] = {}
        for key, item in value.items():
            if key in TIME_KEYS and isinstance(item, str):
                problem = _time_problem(item)
                cleaned[key] = _STAND_IN if problem else item
                if problem:
                    mistakes.append(locate((*loc, str(key))).error(f"`{key}` {problem}.", _TIME_HINT))
            elif isinstance(item, Mapping | list | tuple):
                cleaned[key], more = _check_times(item, locate, (*loc, str(key)))
                mistakes += more
            else:
                cleaned[key] = item
        return cleaned, mistakes
    if isinstance(value, list | tuple):
        items = []
        for i, item in enumerate(value):
            clean, more = _check_times(item, locate, (*loc, i))
            items.append(clean)
            mistakes += more
        return items, mistakes
    return value, mistakes


def _time_problem(text: str) -> str:
    if NUMERIC.fullmatch(text):
        return f'is not a time: "{text[:40]}"'
    try:
        moment = datetime.fromisoformat(text)
        year = moment.astimezone(UTC).year if moment.tzinfo else moment.year
    except ValueError:
        return ""  # pydantic says what is wrong with it
    except OverflowError:
        return f"is out of range: {text[:40]}"
    return "" if year in PLAUSIBLE_YEARS else f"is out of range: {text[:40]}"
