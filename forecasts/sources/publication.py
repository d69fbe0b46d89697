"""When a source has something new, in data: all the time, or once a day when a market has cleared.

`next_poll` turns it into the moment at which to ask next. Local times exist only here, at the market's edge: a
time of day is looked up in the market's zone for each day anew, so that a change of the clocks moves nothing.

>>> from datetime import UTC
>>> sdac = MarketDaily(time(12, 50), "Europe/Brussels")
>>> noon = datetime(2026, 1, 10, 11, 55, tzinfo=UTC)
>>> print(sdac.next_poll(noon, last_end_known=datetime(2026, 1, 10, 23, tzinfo=UTC)))
2026-01-10 12:05:00+00:00
>>> print(sdac.next_poll(noon, last_end_known=datetime(2026, 1, 11, 23, tzinfo=UTC)))
2026-01-10 17:55:00+00:00
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from forecasts.errors import InputError
from forecasts.marketday import local_day, market_day
from forecasts.series import ForecastSeries, Kind
from forecasts.slots import UTC_EPOCH, as_datetime, isoformat_z, to_utc

FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(minutes=30)
"""A source that fails is asked again after the first of these, then twice as late each time, up to the second."""
MOST_JITTER = timedelta(seconds=90)
JITTER_RATIO = 0.1
"""A poll is put off by up to this share of the time between two, and by no more than `MOST_JITTER`."""
MISSED_RHYTHMS = 12
"""A feed is stale where nothing changed for so many of its intervals, and for `SHORTEST_STALE` at least."""
SHORTEST_STALE = timedelta(hours=2)


@dataclass(frozen=True)
class Continuous:
    """New values `every` so often, at any time; or `offset` past its whole multiples since midnight UTC.

    `steady`: each time there is something new to say, so that silence is a fault. A file that is merely looked at
    so often has no rhythm.
    """

    every: timedelta
    offset: timedelta | None = None
    steady: bool = False

    def __post_init__(self) -> None:
        _positive("every", self.every)

    def next_poll(
        self,
        now: datetime,
        last_end_known: datetime | None = None,
        failures: int = 0,
        jitter: float = 0.0,
    ) -> datetime:
        """When to ask next, after `now`; `jitter` in 0..1 puts it off a little (`JITTER_RATIO`).

        After `failures` in a row it comes sooner (`FIRST_RETRY`). What is known already does not matter here.
        """
        now = to_utc(now)
        usual = now + self.every
        if self.offset is not None:
            origin = UTC_EPOCH + self.offset
            usual = origin + ((now - origin) // self.every + 1) * self.every
        return _put_off(now, usual, self.every, failures, jitter)

    def end_known(self, said: Iterable[ForecastSeries]) -> datetime | None:
        """The end of what was said, exclusive; None where nothing was."""
        return _last_end(said)

    def overdue(self, now: datetime, last_end_known: datetime | None, changed_at: datetime | None) -> str:
        """What is late by far, in words, where nothing has changed since `changed_at`; else ""."""
        longest = max(MISSED_RHYTHMS * self.every, SHORTEST_STALE)
        if not self.steady or changed_at is None or now - changed_at <= longest:
            return ""
        return f"has said nothing new since {isoformat_z(changed_at)}, and should every {_span(self.every)}"

    def __str__(self) -> str:
        past = f", {_span(self.offset)} past" if self.offset else ""
        return f"every {_span(self.every)}{past}"


@dataclass(frozen=True)
class MarketDaily:
    """A market's day: from `due`, a time of day in `timezone`, the next local day's values are to be expected.

    Until they are known to that day's end it is worth asking `every` so often, for as long as `patience`, after
    which it looks as if they came no more that day; and else at the `slow` rhythm, for corrections. `ends` is when a
    published day is over, midnight by default. Only values of the kind `settled_by` count, any where that is None:
    an auction's result is not there before it is `CLEARED`. `late` after `due` their absence is told.
    """

    due: time
    timezone: str
    every: timedelta = timedelta(minutes=10)
    slow: timedelta = timedelta(hours=6)
    patience: timedelta = timedelta(hours=10)
    ends: time = time(0)
    settled_by: Kind | None = Kind.CLEARED
    late: timedelta = timedelta(hours=2)

    def __post_init__(self) -> None:
        _positive("every", self.every)
        _positive("slow", self.slow)

    def next_poll(
        self,
        now: datetime,
        last_end_known: datetime | None = None,
        failures: int = 0,
        jitter: float = 0.0,
    ) -> datetime:
        """When to ask next, after `now`, where what is settled is known until `last_end_known`.

        `jitter` and `failures` as in `Continuous.next_poll`.
        """
        now = to_utc(now)
        day = self._last_due(now)
        hunting = not self._whole(day, last_end_known) and now < self._due(day) + self.patience
        usual = min(now + (self.every if hunting else self.slow), self._due(day + timedelta(days=1)))
        return _put_off(now, usual, self.every, failures, jitter)

    def end_known(self, said: Iterable[ForecastSeries]) -> datetime | None:
        """The end of what was said for good, exclusive; None where nothing was."""
        return _last_end(s for s in said if self.settled_by in {None, s.kind})

    def overdue(self, now: datetime, last_end_known: datetime | None, changed_at: datetime | None) -> str:
        """What is late by far, in words, where the day that is due is not known; else ""."""
        due = self._due(self._last_due(now))
        if now <= due + self.late or self._whole(self._last_due(now), last_end_known):
            return ""
        until = "" if last_end_known is None else f", and is known until {isoformat_z(last_end_known)}"
        return f"has not said all that was due at {isoformat_z(due)}{until}"

    def _whole(self, day: date, last_end_known: datetime | None) -> bool:
        """Whether what fell due on the local `day` is known."""
        return last_end_known is not None and last_end_known >= self._end(day + timedelta(days=1))

    def _last_due(self, now: datetime) -> date:
        """The local day on which values fell due last."""
        today = local_day(now, ZoneInfo(self.timezone))
        return today if self._due(today) <= now else today - timedelta(days=1)

    def _due(self, day: date) -> datetime:
        return to_utc(datetime.combine(day, self.due, ZoneInfo(self.timezone)))

    def _end(self, day: date) -> datetime:
        tz = ZoneInfo(self.timezone)
        if self.ends == time(0):
            return market_day(day, tz)[1]
        return to_utc(datetime.combine(day, self.ends, tz))

    def __str__(self) -> str:
        return (
            f"daily from {self.due:%H:%M} {self.timezone}, every {_span(self.every)} until the next day is whole, "
            f"then every {_span(self.slow)}"
        )


Publication = Continuous | MarketDaily


def _put_off(now: datetime, usual: datetime, every: timedelta, failures: int, jitter: float) -> datetime:
    """`usual`, or sooner after `failures`, and a little later by `jitter`."""
    if failures > 0:
        retry = min(FIRST_RETRY * 2 ** min(failures - 1, 20), LONGEST_RETRY)
        usual, every = min(usual, now + retry), min(every, retry)
    return usual + min(MOST_JITTER, JITTER_RATIO * every) * jitter


def _last_end(said: Iterable[ForecastSeries]) -> datetime | None:
    return max((as_datetime(s.end[-1]) for s in said if len(s)), default=None)


def _positive(name: str, span: timedelta) -> None:
    if span <= timedelta(0):
        raise InputError(f"{name} is {span}, not a span of time.", field=f"publication.{name}")


def _span(span: timedelta) -> str:
    """`30 s`, `10 min`, `6 h`.

    >>> _span(timedelta(minutes=90))
    '90 min'
    """
    seconds = int(span.total_seconds())
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
