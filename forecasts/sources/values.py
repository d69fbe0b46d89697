"""Numbers out of JSON: null is "not published", and anything else but a number is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.slots import Floats, Times, as_datetime64

MOST = 1e300
"""No figure is larger: JSON may hold whole numbers of any length, which floats do not."""


def numbers(said: Sequence[Any], what: str) -> Floats:
    """(n,) floats, NaN for null. Raises ForecastRejected for text, booleans and infinite numbers."""
    values = np.full(len(said), np.nan)
    for i, v in enumerate(said):
        if v is None:
            continue
        if isinstance(v, bool) or not isinstance(v, int | float) or not abs(v) <= MOST:
            raise ForecastRejected(
                f"{what}[{i}] is {repr(v)[:40]}, not a number.", field=f"[{i}]", hint="Refused whole."
            )
        values[i] = v
    return values


def number(said: str | None, what: str) -> float:
    """A number out of text. Raises ForecastRejected for what is not a finite one, empty or missing included."""
    try:
        value: float | str = float(said or "")
    except ValueError:
        value = said or ""
    return float(numbers([value], what)[0])


def moment(said: Any, what: str) -> datetime:
    """A time out of text, in UTC. Raises SourceUnavailable, naming `what`, where it has no zone or is none."""
    try:
        found = datetime.fromisoformat(said)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SourceUnavailable(f"{what} is {said!r}, not a time with its zone.", hint="Has the API changed?")


def moment_in(row: Any, key: str, what: str) -> datetime:
    """The same of one key of an object, which may lack it or be none."""
    return moment(row.get(key) if isinstance(row, Mapping) else None, f"{what}: {key}")


def trimmed(values: Floats, nothing: str) -> slice:
    """Where the values are, without the nulls before and after them: a shorter vintage.

    Nulls in between stay, for `check_series` to refuse. Raises SourceUnavailable, saying `nothing`, when all
    are null.
    """
    told = np.flatnonzero(np.isfinite(values))
    if not len(told):
        raise SourceUnavailable(
            nothing, hint="Not published yet, or an outage; it is asked again at the next poll."
        )
    return slice(int(told[0]), int(told[-1]) + 1)


def after_last_gap(end: Times, values: Floats, keep: slice, now: datetime | None) -> int:
    """Where the part of `keep` begins that has no null before `now`: at its beginning, or after the last one.

    `end` (n,) of each of the `values` (n,). Nulls that are not over by `now` stay, and all do when it is None.
    """
    if now is None:
        return int(keep.start)
    over = np.flatnonzero(~np.isfinite(values[keep]) & (end[keep] <= as_datetime64(now)))
    return int(keep.start + (over[-1] + 1 if len(over) else 0))
