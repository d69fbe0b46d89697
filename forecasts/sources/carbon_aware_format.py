"""The formats of the Carbon Aware SDK, read: intervals with their values, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.slots import Times

LONGEST = timedelta(days=7)
"""Of one interval."""
_DURATION = re.compile(
    r"(?:(\d)\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.0+)?)?"
)  # .NET's TimeSpan, [d.]hh:mm[:ss]
_FORMAT = 'Is it in the SDK\'s format, {"Emissions": [{"Location", "Time", "Rating"}]} or that of its WebApi?'


@dataclass(frozen=True)
class Origin:
    """Where an answer is from: a file of ours that is wrong is our mistake, any other one that of who answers."""

    place: str
    local: bool = False

    def wrong(self, what: str, hint: str) -> InputError | SourceUnavailable:
        """The error that says so."""
        if self.local:
            return InputError(what, field=self.place, hint=hint)
        return SourceUnavailable(f"{self.place}: {what}", hint=hint)


@dataclass(frozen=True)
class Point:
    """One interval; `length` where it is said, `value` as it stands there."""

    start: datetime
    length: timedelta | None
    value: Any

    @classmethod
    def of(
        cls,
        origin: Origin,
        row: Mapping[str, Any],
        time: str,
        value: str,
        length: Callable[[Origin, Any], timedelta | None],
    ) -> Point:
        """A row's point; the arguments say which of its keys is what, and how to read its duration."""
        start = time_of(origin, row.get(time), f"a {time.capitalize()}")
        return cls(start, length(origin, row.get("duration")), row.get(value))


@dataclass(frozen=True)
class Told:
    """What was said of one location, in any order."""

    place: str
    points: Sequence[Point]
    issued_at: datetime | None


def emissions(origin: Origin, body: Any) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The file's keys and its rows, all keys in lower case."""
    whole = keys_of(origin, body)
    return whole, [keys_of(origin, row) for row in listed(origin, whole.get("emissions"), "Emissions")]


def keys_of(origin: Origin, said: Any) -> Mapping[str, Any]:
    """An object, its keys in lower case."""
    if not isinstance(said, Mapping):
        raise origin.wrong(f"{str(said)[:40]!r} stands where an object should.", _FORMAT)
    return {key.casefold(): value for key, value in said.items()}


def listed(origin: Origin, said: Any, name: str) -> list[Any]:
    """The list `name`."""
    if not isinstance(said, list):
        raise origin.wrong(f"there is no list {name}.", _FORMAT)
    return said


def time_of(origin: Origin, said: Any, name: str) -> datetime:
    """A time with its zone, in UTC."""
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as e:
        raise origin.wrong(f"{name} is {said!r}, not a time.", "Write 2026-01-10T00:00:00Z.") from e
    raise origin.wrong(
        f"{name}, {said!r}, has no time zone.", "End it in Z or +01:00; which one is not guessed."
    )


def timespan(origin: Origin, said: Any) -> timedelta | None:
    """The length of an interval in a file; .NET writes nothing, null or 00:00:00 where it has none."""
    if said is None:
        return None
    found = _DURATION.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise origin.wrong(f"a Duration is {said!r}, not HH:MM:SS.", "Write 01:00:00 for an hour.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) or None


def whole_minutes(origin: Origin, said: Any) -> timedelta | None:
    """The length of an interval in a WebApi's answer; None where it has none."""
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= LONGEST / timedelta(minutes=1):
        raise origin.wrong(f"a duration is {said!r}, not minutes.", "Has the API changed?")
    return timedelta(minutes=said) or None


def unquoted(said: Any) -> Any:
    """A number in quotes as a number; anything else as it is, to be refused."""
    try:
        return float(said) if isinstance(said, str) else said
    except ValueError:
        return said


def lengths(place: str, start: Times, points: Sequence[Point]) -> Any:
    """(n,) how long each interval is [µs]: where that is not said, as long as usual from one to the next.

    Not until the next: a missing interval would be a long one and no gap.
    """
    if all(point.length is not None for point in points):
        usual = None
    elif len(points) > 1:
        usual = np.sort(np.diff(start))[(len(start) - 1) // 2]
    else:
        raise ForecastRejected(
            f"{place} holds one time; its length cannot be known.", field="Duration", hint="Add its Duration."
        )
    return np.array(
        [usual if point.length is None else np.timedelta64(point.length, "us") for point in points],
        dtype="timedelta64[us]",
    )


def refuse_rolling(origin: Origin, points: Sequence[Point]) -> None:
    """A WebApi answers with averages over its windowSize from every step on, which overlap where that is longer."""
    if len(points) < 2 or (length := points[0].length) is None:
        return
    step = points[1].start - points[0].start
    if timedelta(0) < step < length:
        minutes = step / timedelta(minutes=1)
        raise ForecastRejected(
            f"{origin.place}: its values are averages over {length / timedelta(minutes=1):g} minutes, "
            f"one every {minutes:g} minutes.",
            field="windowSize",
            hint=f"Set the option window_minutes to {minutes:g}, the step of its data.",
        )
