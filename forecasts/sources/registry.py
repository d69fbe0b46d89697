"""Sources by name, from the entry points under `shifter.forecast_sources`; ours register the same way."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import ValidationError

from forecasts.errors import InputError, SourceUnavailable
from forecasts.sources.base import ForecastSource, SourceOptions

GROUP = "shifter.forecast_sources"


def source_names() -> tuple[str, ...]:
    """The names that `make_source` knows, sorted; imports none of them."""
    return tuple(sorted(_registered()))


def source_class(name: str) -> Any:
    """The class registered as `name`. Raises InputError, suggesting the nearest name, when there is none."""
    registered = _registered()
    found = registered.get(name)
    if found is None:
        near = get_close_matches(name, registered, n=1, cutoff=0.5)
        known = f"Known are {', '.join(sorted(registered)) or 'none: is the package installed?'}."
        raise InputError(
            f"there is no forecast source {name!r}.",
            field="source",
            hint=f"Did you mean {near[0]!r}? {known}" if near else known,
        )
    try:
        return found.load()
    except (ImportError, AttributeError) as e:
        raise InputError(
            f"the forecast source {name!r} ({found.value}) cannot be loaded: {e}.",
            field="source",
            hint="Reinstall or update the package that registers it.",
        ) from e


def make_source(name: str, options: Mapping[str, Any] | None = None) -> ForecastSource:
    """The source `name` with `options`, checked. Raises InputError that names every option that is wrong."""
    cls = source_class(name)
    model = cast("type[SourceOptions]", cls.Options)
    try:
        checked = model.model_validate(dict(options or {}))
    except ValidationError as e:
        mistakes = [_mistake(name, model, dict(error)) for error in e.errors()]
        raise InputError(
            mistakes[0].detail, field=mistakes[0].field, hint=mistakes[0].hint, also=tuple(mistakes[1:])
        ) from e
    return cast("ForecastSource", cls(checked))


def check_local(source: ForecastSource) -> None:
    """Look at the local file of a source that has one (a method `check_local`), without taking it in.

    Raises InputError where it is not there or is not what the source's options say.
    """
    check = getattr(source, "check_local", None)
    if check is None:
        return
    try:
        check()
    except (InputError, SourceUnavailable) as e:
        place = "" if e.field in {"", "path"} else f"{e.field}: "  # of a tariff it has been looked at already
        raise InputError(f"{place}{e.detail}", field="path", hint=e.hint) from e


def _registered() -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=GROUP)}


def _mistake(name: str, model: type[SourceOptions], error: Mapping[str, Any]) -> InputError:
    path = [str(part) for part in error["loc"]]
    known = ", ".join(model.model_fields)
    hint = ""
    if error["type"] == "extra_forbidden":
        near = get_close_matches(path[-1], model.model_fields, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known options are {known}."
    return InputError(
        f"{error['msg'][:1].lower()}{error['msg'][1:].rstrip('.')}.",
        field=".".join([f"sources.{name}", *path]),
        hint=hint,
    )
