"""Where settings come from: command line, environment, file, default, in that order of precedence.

The layers are merged here rather than by pydantic-settings because every value must keep its place (a line of
the file, a variable, an option) for errors and for `shifter config show`, because a value is never guessed
from text of another type, and because an unknown SHIFTER_ variable is a mistake, which that library passes
over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shifter.errors import InputError
from shifter.files.document import Document, parse_document, read_document
from shifter.files.places import Loc, Locate, Place, all_of, json_path, raise_all, suggestion
from shifter.files.text import PathLike
from shifter.files.validation import Tree, validate
from shifter.settings.model import Settings
from shifter.settings.relative import relative_to
from shifter.settings.section import SECRET, without_secrets
from shifter.settings.sources import check_dispatchers, check_sources

SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)
PREFIX = "SHIFTER_"
NOT_SETTINGS = frozenset({"SHIFTER_CONFIG", "SHIFTER_DEBUG", "SHIFTER_TOKEN", "SHIFTER_URL"})
"""Variables of the command line itself: which file to read, which daemon to talk to, how much to say."""


@dataclass(frozen=True)
class Layer:
    """Values of one origin, and the place of each."""

    values: Mapping[str, Any]
    locate: Locate
    locate_key: Locate


@dataclass(frozen=True)
class Provenance:
    """What a setting is (secrets hidden), and who said so: `--port`, `SHIFTER_PORT`, `shifter.yaml:3:7`,
    `default`.
    """

    value: Any
    origin: str


def load_settings(
    path: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. `overrides` are the command line's, by dotted or nested key; None means not
    given.

    Relative paths in the file are relative to the file. Raises InputError with every mistake, each at its
    place.
    """
    return _load(None if path is None else read_document(path, may_be_empty=True), overrides, environ)[0]


def settings_provenance(
    path: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Provenance]:
    """Every setting by its dotted key, with its value and where that comes from. Raises as
    `load_settings`.
    """
    settings, layers = _load(
        None if path is None else read_document(path, may_be_empty=True), overrides, environ
    )
    shown: dict[str, Any] = without_secrets(settings.model_dump(mode="json"))
    return {json_path(loc): Provenance(value, _origin(loc, layers)) for loc, value in _leaves(shown, ())}


def settings_of(document: Document) -> Settings:
    """The settings that a file alone would give, for checking it. Raises as `load_settings`."""
    return _load(document, {}, {})[0]


def _load(
    document: Document | None, overrides: Mapping[str, Any] | None, environ: Mapping[str, str] | None
) -> tuple[Settings, list[Layer]]:
    layers = [_command_line(overrides or {})]
    from_environ, mistakes = _environment(os.environ if environ is None else environ)
    layers.append(from_environ)
    if document is not None:
        layers.append(_file(document))
        mistakes += document.mistakes
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = _merge(merged, layer.values)
    locate, locate_key = _locators(layers)
    settings = validate(SETTINGS, merged, locate, locate_key=locate_key, hide=_is_secret, also=mistakes)
    _check_policy(settings, locate, locate_key)
    check_sources(settings, locate, locate_key)
    check_dispatchers(settings, locate, locate_key)
    return settings, layers


def _command_line(overrides: Mapping[str, Any]) -> Layer:
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is not None:
            nested: Any = str(value) if isinstance(value, os.PathLike) else value
            for part in reversed(key.split(".")):
                nested = {part: nested}
            values = _merge(values, nested)

    def locate(loc: Loc) -> Place:
        return Place(f"--{str(loc[0]).replace('_', '-')}" if loc else "command line", json_path(loc[1:]))

    return Layer(values, locate, locate)


def _file(document: Document) -> Layer:
    if not isinstance(document.data, dict):
        raise document.locate(()).error(
            "settings are a mapping of keys to values.", "Write `key: value` lines."
        )
    values = _without_empty_sections(document.data)
    return Layer(relative_to(Path(document.source).parent, values), document.locate, document.locate_key)


def _without_empty_sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """A section whose every line is commented out reads as null: it means the defaults."""
    sections = _tree().sections()
    return {k: v for k, v in values.items() if v is not None or k not in sections}


def _environment(environ: Mapping[str, str]) -> tuple[Layer, list[InputError]]:
    values: dict[str, Any] = {}
    mistakes: list[InputError] = []
    names: dict[Loc, str] = {}
    for name in sorted(n for n in environ if n.startswith(PREFIX) and n not in NOT_SETTINGS):
        loc = _loc_of(name)
        if loc is None:
            hint = suggestion(name, variables(), "variables")
            mistakes.append(Place(name).error(f"the variable {name} is not a setting.", hint))
            continue
        try:
            nested = _from_text(environ[name], loc, name)
        except InputError as error:
            mistakes.append(Place(name).error(error.detail, "Write the value as it would stand in the file."))
            continue
        names[loc] = name
        for part in reversed(loc):
            nested = {part: nested}
        values = _merge(values, nested)

    def locate(loc: Loc) -> Place:
        longest = max((n for n in names if loc[: len(n)] == n), key=len, default=None)
        if longest is not None:
            return Place(names[longest], json_path(loc[len(longest) :]))
        under = [name for n, name in names.items() if n[: len(loc)] == loc]
        return Place(under[0] if under else "environment")

    return Layer(values, locate, locate), mistakes


def variables() -> list[str]:
    """Every environment variable that is a setting."""
    return [PREFIX + "__".join(str(part).upper() for part in loc) for loc in _setting_locs(())]


def _setting_locs(loc: Loc) -> Iterator[Loc]:
    for key in _tree().keys(loc):
        yield (*loc, key)
        yield from _setting_locs((*loc, key))


def _loc_of(name: str) -> Loc | None:
    """The setting that a variable names: sections by their keys in upper case, keys of free mappings as
    written.
    """
    loc: Loc = ()
    for part in name.removeprefix(PREFIX).split("__"):
        node = _tree().at(loc)
        if part.lower() in node.get("properties", {}):
            loc = (*loc, part.lower())
        elif part and _tree().free_values(loc) is not None:
            loc = (*loc, part.lower() if loc[0] == "policy" else part)
        else:
            return None
    return loc


def _from_text(text: str, loc: Loc, name: str) -> Any:
    """A variable's text as the setting's own type: text stays text, all else is written as in the file."""
    node = _tree().at(loc)
    kinds = {option.get("type") for option in node.get("anyOf", [node])}
    if "string" in kinds:
        return None if not text and "null" in kinds else text
    if loc == ("realtime",) and not text.lstrip().startswith("{"):
        return text
    return parse_document(text, name, may_be_empty=True).data


def _locators(layers: list[Layer]) -> tuple[Locate, Locate]:
    """A place for every value: that of the layer of the highest precedence which gives it, or something in
    it.
    """

    def layer_of(loc: Loc) -> Layer | None:
        for end in range(len(loc), 0, -1):
            for layer in layers:
                if _contains(layer.values, loc[:end]):
                    return layer
        return None

    def locate(loc: Loc) -> Place:
        layer = layer_of(loc)
        return Place("settings", json_path(loc)) if layer is None else layer.locate(loc)

    def locate_key(loc: Loc) -> Place:
        layer = layer_of(loc)
        return Place("settings", json_path(loc)) if layer is None else layer.locate_key(loc)

    return locate, locate_key


def _contains(values: Any, loc: Loc) -> bool:
    for part in loc:
        is_item = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not is_item and not (isinstance(values, Mapping) and part in values):
            return isinstance(values, str) and loc[0] == "realtime"  # a path in place of {path: ...}
        values = values[part]
    return True


def _origin(loc: Loc, layers: list[Layer]) -> str:
    for layer in layers:
        if _contains(layer.values, loc):
            place = layer.locate(loc)
            return str(place if place.line is None else Place(place.source, "", place.line, place.column))
    return "default"


def _leaves(values: Mapping[str, Any], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and _tree().keys((*loc, key)):
            yield from _leaves(value, (*loc, key))
        else:
            yield (*loc, key), value


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key; anything else, lists too, is replaced whole."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and key != "realtime":
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _check_policy(settings: Settings, locate: Locate, locate_key: Locate) -> None:
    try:
        settings.classification_policy()
    except InputError as error:
        raise_all(
            (locate_key if "the key " in e.detail else locate)(loc_of_path(e.field)).error(e.detail, e.hint)
            for e in all_of(error)
        )


def loc_of_path(path: str) -> Loc:
    """The inverse of `json_path`."""
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(number) if number else name for number, name in parts)


def _is_secret(loc: Loc) -> bool:
    return any(isinstance(p, str) and (p in {"database", "options"} or SECRET.search(p)) for p in loc)


@cache
def _tree() -> Tree:
    return Tree(SETTINGS)
