"""Reports of market operators: tables of a day or a month with the times of a wall clock, asked for in turn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import TypeVar

from forecasts.errors import AT_NEXT_POLL, ForecastRejected, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.slots import to_utc

T = TypeVar("T")

_CLOCK = "Refused whole: hours are not guessed. Has the format changed?"


class NotPublished(SourceUnavailable):
    """What was asked for is not there yet, or no more."""


def day_spans(first: date, last: date, tz: tzinfo, most_days: int) -> Iterator[tuple[datetime, datetime]]:
    """The local days `first` to `last`, at most `most_days` at a time, each from midnight to midnight, in UTC."""
    while first <= last:
        until = min(last, first + timedelta(days=most_days - 1))
        yield market_day(first, tz)[0], market_day(until, tz)[1]
        first = until + timedelta(days=1)


def joined(
    spans: Iterable[tuple[datetime, datetime]], ask: Callable[[datetime, datetime], Iterable[T]]
) -> list[T]:
    """What `ask` tells of each span, one after the other.

    A span of which nothing is published is left out: in between that is a hole, which `check_series` refuses.
    Raises the first NotPublished where nothing is published of any.
    """
    found: list[T] = []
    missing: NotPublished | None = None
    for start, end in spans:
        try:
            found += ask(start, end)
        except NotPublished as e:
            missing = missing or e
    if missing is not None and not found:
        raise missing
    return found


def table(what: str, body: bytes, needed: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The rows of a CSV under its header, which has the columns `needed`; others do not matter, nor does their order.

    Raises SourceUnavailable, naming `what`, where a column is missing (as in a page of HTML), where a row is cut off,
    and where the table cannot be read.
    """
    rows = csv.DictReader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""), strict=True)
    try:
        missing = [name for name in needed if name not in (rows.fieldnames or ())]
        if missing:
            raise SourceUnavailable(
                f"{what} has no column {', '.join(missing)}.",
                hint="Has the format changed, or is it a page of HTML?",
            )
        for row in rows:
            if any(row[name] is None for name in needed):
                raise SourceUnavailable(f"{what}: line {rows.line_num} is too short.", hint="Is it cut off?")
            yield row
    except csv.Error as e:
        raise SourceUnavailable(
            f"{what} cannot be read: {e}.",
            hint=AT_NEXT_POLL,
        ) from e


def from_wall(wall: datetime, tz: tzinfo, what: str, *, again: bool = False) -> datetime:
    """The moment, in UTC, at which clocks in `tz` show `wall`, which has no zone; `again`: for the second time.

    Raises ForecastRejected, naming `what`, for a time that clocks leave out in spring, and for one that is said to
    come `again` and does not: who marks the wrong hours means something else by the mark than we do.
    """
    local = wall.replace(tzinfo=tz, fold=int(again))
    moment = to_utc(local)
    if moment.astimezone(tz).replace(tzinfo=None) != wall:
        raise ForecastRejected(f"{what}: clocks never show {wall:%Y-%m-%d %H:%M}.", hint=_CLOCK)
    if again and moment == to_utc(local.replace(fold=0)):
        raise ForecastRejected(f"{what}: clocks show {wall:%Y-%m-%d %H:%M} once, not again.", hint=_CLOCK)
    return moment
