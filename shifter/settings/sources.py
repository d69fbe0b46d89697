"""What settings say of sources and dispatchers, held against these themselves, in plain words and with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from forecasts.sources.registry import check_local, make_source, source_class, source_names
from shifter.dispatch.base import dispatcher_class, dispatcher_names
from shifter.errors import InputError, ShifterError
from shifter.files.places import Loc, Locate, all_of, raise_all, suggestion
from shifter.files.validation import validate
from shifter.settings.grid import SourceSettings
from shifter.settings.model import Settings


def check_sources(settings: Settings, locate: Locate, locate_key: Locate) -> None:
    """Every source must be one that is registered, and its options what the source itself knows.

    Raises InputError with every mistake, each at its place.
    """
    known = source_names()
    mistakes: list[InputError] = []
    for i, source in enumerate(settings.forecasts.sources if known else ()):
        loc: Loc = ("forecasts", "sources", i)
        if source.name in known:
            mistakes += _source_mistakes(source, loc, locate, locate_key)
        else:
            hint = suggestion(source.name, known, "sources")
            place = locate((*loc, "name"))
            mistakes.append(place.error(f"there is no forecast source `{source.name}`.", hint))
    raise_all(mistakes)


def check_dispatchers(settings: Settings, locate: Locate, locate_key: Locate) -> None:
    """The same of every dispatcher; what it names outside (a folder, a server) is looked at when it is made."""
    known = dispatcher_names()
    mistakes: list[InputError] = []
    for i, wanted in enumerate(settings.dispatchers if known else ()):
        loc: Loc = ("dispatchers", i)
        if wanted.name in known:
            model = dispatcher_class(wanted.name).Options
            mistakes += _option_mistakes(model, wanted.options, (*loc, "options"), locate, locate_key)
        else:
            hint = suggestion(wanted.name, known, "dispatchers")
            mistakes.append(locate((*loc, "name")).error(f"there is no dispatcher `{wanted.name}`.", hint))
    raise_all(mistakes)


def _source_mistakes(
    source: SourceSettings, loc: Loc, locate: Locate, locate_key: Locate
) -> tuple[InputError, ...]:
    at = (*loc, "options")
    try:
        model = source_class(source.name).Options
    except InputError as error:
        return (locate((*loc, "name")).error(error.detail, error.hint),)
    mistakes = _option_mistakes(model, source.options, at, locate, locate_key)
    if mistakes:
        return mistakes
    try:
        make_source(source.name, source.options)
    except ShifterError as error:  # what only the source itself can tell, a unit say
        each = all_of(error) if isinstance(error, InputError) else (error,)
        return tuple(
            locate((*at, *_as_far_as_written(source, one.field))).error(one.detail, one.hint) for one in each
        )
    return ()


def _as_far_as_written(source: SourceSettings, field: str) -> Loc:
    """The way within a source's options to what an error of its own names, up to where the file says no more."""
    loc: list[str] = []
    inner: Any = source.options
    for key in field.removeprefix(f"sources.{source.name}.").split("."):
        if not isinstance(inner, Mapping) or key not in inner:
            break
        loc.append(key)
        inner = inner[key]
    return tuple(loc)


def _option_mistakes(
    model: type[BaseModel], options: Mapping[str, Any], at: Loc, locate: Locate, locate_key: Locate
) -> tuple[InputError, ...]:
    """What is wrong with options; their values are not shown, since a key may be among them."""
    try:
        validate(
            TypeAdapter(model),
            options,
            lambda loc: locate((*at, *loc)),
            locate_key=lambda loc: locate_key((*at, *loc)),
            hide=lambda _: True,
        )
    except InputError as error:
        return all_of(error)
    return ()


def source_file_mistakes(settings: Settings, locate: Locate) -> Iterator[InputError]:
    """What is wrong with the local files that sources read: one that is not there, or lacks a column."""
    for i, wanted in enumerate(settings.forecasts.sources):
        try:
            check_local(make_source(wanted.name, wanted.options))
        except InputError as error:
            below: Loc = ("wholesale", "options") if "wholesale" in wanted.options else ()
            loc: Loc = ("forecasts", "sources", i, "options", *below, "path")
            yield locate(loc).error(error.detail, error.hint)
