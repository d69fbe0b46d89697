"""Views as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from forecasts.slots import isoformat_z


def to_plain(view: Any) -> Any:
    """Plain JSON values of a view, or of anything made of views; `decided` becomes `class`.

    >>> from shifter.views import MeanSignals
    >>> to_plain(MeanSignals(81.5, None))
    {'price_per_mwh': 81.5, 'carbon_g_per_kwh': None}
    """
    if is_dataclass(view) and not isinstance(view, type):
        plain = getattr(view, "to_dict", None)
        if plain is not None:
            return plain()
        return {
            ("class" if f.name == "decided" else f.name): to_plain(getattr(view, f.name))
            for f in fields(view)
        }
    if isinstance(view, datetime):
        return isoformat_z(view)
    if isinstance(view, Mapping):
        return {str(k): to_plain(v) for k, v in view.items()}
    if isinstance(view, list | tuple | set | frozenset):
        return [to_plain(v) for v in view]
    if isinstance(view, StrEnum):
        return str(view)
    return view
