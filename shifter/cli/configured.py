"""Sources by the names that a configuration gives them: two tariffs are of one kind, and each has a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.series import Signal
    from forecasts.sources.base import ForecastSource
    from shifter.settings import SourceSettings


def own_name(source: SourceSettings) -> str:
    """What a source is called wherever it is shown: its option `name`, or its kind."""
    return str(source.options.get("name", source.name))


def listed(sources: Iterable[SourceSettings]) -> str:
    """`tariff, vendor (shadow), typical`."""
    return ", ".join(f"{own_name(s)} (shadow)" if s.shadow else own_name(s) for s in sources)


def source_of(
    name: str, config: Path | None, options: Sequence[str]
) -> tuple[ForecastSource, tuple[Signal, ...]]:
    """The source, with what is configured of it, and `options` over that; and the signals that it is configured to be
    asked for, () where that is not said. Raises InputError.
    """
    from forecasts.sources.registry import make_source

    given: dict[str, Any] = dict(_pair(text) for text in options)
    if config is None:
        return _unconfigured(name, given), ()
    from shifter.settings import load_settings

    there = {own_name(s): s for s in reversed(load_settings(config, environ={}).forecasts.sources)}
    found = there.get(name)
    if found is None:
        raise InputError(
            f"{config} has no source {name!r}.",
            field="--config",
            hint=f"It has {', '.join(reversed(there)) or 'none'}.",
        )
    return make_source(found.name, {**found.options, **given}), tuple(found.signals or ())


def _unconfigured(name: str, given: Mapping[str, Any]) -> ForecastSource:
    """A source by its kind, and options alone. Raises InputError that says how to give what it lacks."""
    from forecasts.sources.registry import make_source, source_class

    try:
        fields = source_class(name).Options.model_fields
    except InputError as e:
        hint = f"{e.hint} One that is named in a shifter.yaml needs --config."
        raise InputError(e.detail, field="SOURCE", hint=hint) from None
    if lacking := [key for key, field in fields.items() if field.is_required() and key not in given]:
        raise InputError(
            f"{name} needs its {' and '.join(lacking)}.",
            field="--config",
            hint=f"Give the shifter.yaml that has it, or {' '.join(f'--option {key}=…' for key in lacking)}.",
        )
    try:
        return make_source(name, given)
    except InputError as e:
        first, *rest = (_as_option(one, name) for one in (e, *e.also))
        raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(rest)) from None


def _as_option(e: InputError, name: str) -> InputError:
    """A mistake in `sources.csv.path` as one of `--option path`."""
    place = e.field.removeprefix(f"sources.{name}").lstrip(".")
    hint = e.hint or "Write it as --option KEY=VALUE, or give the shifter.yaml that has it with --config."
    return InputError(e.detail, field=f"--option {place}".strip(), hint=hint)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{text!r} is no pair.", field="--option", hint="Write it as KEY=VALUE.")
    return key, value
