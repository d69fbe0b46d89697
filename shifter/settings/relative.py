"""Which settings name files, and their paths as seen from the folder of the file that names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shifter.settings.model import PRIORS

Resolve = Callable[[Any], Any]
"""A path in the folder of the file; anything else as it is."""


def relative_to(folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file in `folder`; what is wrong is left for validation to say."""

    def resolve(text: Any) -> Any:
        return str(folder / text) if isinstance(text, str) and text and "://" not in text else text

    found = dict(values)
    for key, paths in _PATHS.items():
        if key in values:
            found[key] = paths(values[key], resolve)
    database = values.get("database")
    if isinstance(database, str) and re.match(r"sqlite:///(?![/:]|file:)", database):
        found["database"] = f"sqlite:///{folder / database.removeprefix('sqlite:///')}"
    return found


def _named(value: Any, resolve: Resolve) -> Any:
    return resolve(value)


def _realtime(value: Any, resolve: Resolve) -> Any:
    """The load's file, alone or under `path`; a prior that is a file, and the files of meters."""
    if not isinstance(value, dict):
        return resolve(value)
    found = _with(value, "path", resolve)
    found = _with(found, "prior", lambda prior: prior if prior in (None, *PRIORS) else resolve(prior))
    return _with(found, "meters", lambda meters: _each(meters, _asked, resolve))


def _forecasts(value: Any, resolve: Resolve) -> Any:
    return _with(value, "sources", lambda sources: _each(sources, _plugin, resolve))


def _grid_events(value: Any, resolve: Resolve) -> Any:
    return _with(_with(value, "file", resolve), "openadr3", lambda vtns: _each(vtns, _asked, resolve))


def _dispatchers(value: Any, resolve: Resolve) -> Any:
    return _each(value, _plugin, resolve)


def _plugin(value: Any, resolve: Resolve) -> Any:
    """A source or a dispatcher with the `path` among its options resolved, and that of the source below a tariff."""
    if not isinstance(value, dict):
        return value

    def options(found: Any) -> Any:
        return _with(_with(found, "path", resolve), "wholesale", lambda below: _plugin(below, resolve))

    return _with(value, "options", options)


def _asked(value: Any, resolve: Resolve) -> Any:
    """A VTN or a meter with the files that it names resolved."""
    return _with(_with(value, "api_key_file", resolve), "path", resolve)


def _with(value: Any, key: str, change: Resolve) -> Any:
    return {**value, key: change(value[key])} if isinstance(value, dict) and key in value else value


def _each(value: Any, change: Callable[[Any, Resolve], Any], resolve: Resolve) -> Any:
    return [change(one, resolve) for one in value] if isinstance(value, list) else value


_PATHS: Mapping[str, Callable[[Any, Resolve], Any]] = {
    "fleet": _named,
    "realtime": _realtime,
    "forecasts": _forecasts,
    "grid_events": _grid_events,
    "dispatchers": _dispatchers,
}
