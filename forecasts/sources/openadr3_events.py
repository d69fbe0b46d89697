"""What an event of OpenADR 3 says, and when: its intervals in UTC, its units, and which of several events holds.

The rules are those of the User Guide of 3.1.0, 7.1 to 7.4: an interval begins where the one before it ends unless it
says otherwise; the event's period is each interval's default; the event's duration cuts its intervals off, or repeats
them; several values of one payload share its interval; the lower number has priority.
"""

from __future__ import annotations

import calendar
import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from forecasts.errors import ForecastRejected
from forecasts.sources.openadr3_vtn import Json

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of what has none."""
AT_ONCE = ("0001-01-01", "0000-00-00")
"""How a start reads that means now."""
ENDLESS_YEARS = 1000
MOST_STRETCHES = 50_000

_DURATION = re.compile(
    r"P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?"
    r"(?:T(?:(\d{1,9}(?:\.\d{1,6})?)H)?(?:(\d{1,9}(?:\.\d{1,6})?)M)?(?:(\d{1,9}(?:\.\d{1,6})?)S)?)?"
)


@dataclass(frozen=True)
class Duration:
    """Calendar months and a span of time; `endless` where it is P9999Y or as good as that."""

    months: int = 0
    span: timedelta = timedelta(0)
    endless: bool = False

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Of ISO 8601. Raises ValueError.

        >>> Duration.parse("PT1H30M")
        Duration(months=0, span=datetime.timedelta(seconds=5400), endless=False)
        """
        found = _DURATION.fullmatch(text)
        if found is None or text.endswith(("P", "T")):
            raise ValueError(f"{text[:40]!r} is not a duration of ISO 8601, such as PT1H")
        years, months, weeks, days = (int(part or 0) for part in found.groups()[:4])
        h, m, s = (float(part or 0) for part in found.groups()[4:])
        if years >= ENDLESS_YEARS:
            return cls(endless=True)
        return cls(
            12 * years + months, timedelta(weeks=weeks, days=days, hours=h, minutes=m, seconds=s), False
        )

    def after(self, start: datetime) -> datetime:
        """That much later than `start`; FOREVER where that lies beyond all calendars, or it has no length."""
        if self.endless or not self:
            return FOREVER
        try:
            year, month = divmod(start.year * 12 + start.month - 1 + self.months, 12)
            day = min(start.day, calendar.monthrange(year, month + 1)[1])
            return min(start.replace(year=year, month=month + 1, day=day) + self.span, FOREVER)
        except (ValueError, OverflowError, calendar.IllegalMonthError):
            return FOREVER

    def __bool__(self) -> bool:
        """Whether it has a length. PT0S, the default of 3.0, has none: until something else is said."""
        return self.endless or self.months > 0 or self.span > timedelta(0)


@dataclass(frozen=True)
class Stretch:
    """One value, for a while. `number` is the interval's place in its event, repetitions counted on."""

    event: Event
    number: str
    start: datetime
    end: datetime
    value: Any
    part: int = 0
    """Which piece of it this is, where another event took its midst."""


@dataclass(frozen=True, eq=False)
class Event:
    """An event as it came, with its program (empty where that is not known). What is in it is read when asked for."""

    body: Json
    program: Json

    @property
    def id(self) -> str:
        """The VTN's."""
        return str(self.body["id"])

    @property
    def name(self) -> str:
        """What people call it, "" where they don't."""
        name = self.body.get("eventName")
        return name[:128] if isinstance(name, str) else ""

    @cached_property
    def said_at(self) -> datetime | None:
        """When it was last changed, or else made; None where that is no time."""
        for key in ("modificationDateTime", "createdDateTime"):
            try:
                found = datetime.fromisoformat(self.body.get(key) or "")
                return found.astimezone(UTC) if found.tzinfo else None
            except (TypeError, ValueError, OverflowError):
                continue
        return None

    @cached_property
    def priority(self) -> float:
        """The lower it is, the more it counts; infinite where it has none."""
        said = self.body.get("priority")
        if said is None:
            return float("inf")
        if isinstance(said, bool) or not isinstance(said, int) or said < 0:
            raise self.wrong(f"its priority is {said!r}", "priority")
        return float(said)

    @cached_property
    def targets(self) -> frozenset[str]:
        """Whom it is for: texts of 3.1, or the values of 3.0's groups, whatever their type. Empty: for all."""
        found: set[str] = set()
        for target in self.body.get("targets") or ():
            values = target.get("values") if isinstance(target, Mapping) else [target]
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise self.wrong("it has a target that is no text", "targets")
            found.update(values)
        return frozenset(found)

    @cached_property
    def randomised(self) -> bool:
        """Whether each reader is asked to begin at a time of its own."""
        periods = [self.body.get("intervalPeriod"), *(i.get("intervalPeriod") for i in self._intervals)]
        said = [p.get("randomizeStart") for p in periods if isinstance(p, Mapping)]
        return any(text not in (None, "PT0S", "P0S", "P0D") for text in said)

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of its payloads, which may be any text."""
        return frozenset(p["type"] for i in self._intervals for p in self._payloads(i))

    def descriptor(self, payload: str) -> tuple[str | None, str | None]:
        """Units and currency of a type of payload: as the event says, else as its program does; None where nobody
        says.
        """
        units: str | None = None
        currency: str | None = None
        for whole in (self.program, self.body):
            for one in whole.get("payloadDescriptors") or ():
                if not isinstance(one, Mapping) or one.get("payloadType") != payload:
                    continue
                if one.get("objectType") != "REPORT_PAYLOAD_DESCRIPTOR":
                    units, currency = one.get("units") or units, one.get("currency") or currency
        return units, currency

    def stretches(self, payload: str, low: datetime, high: datetime) -> list[Stretch]:
        """Its values of a type of payload that hold some time in `[low, high)`, whole, in the order of its intervals.

        Raises ForecastRejected, naming the event and the interval, where it can't be told when they hold.
        """
        spans = self._spans()
        if not spans:
            return []
        first, last = min(a for a, _ in spans), max(b for _, b in spans)
        length = self._duration(self.body, "event")
        ends = length.after(first)  # of it all: for ever, where the event has no duration
        cycle = last - first if length and last < FOREVER else None
        turn = 0 if cycle is None else max(0, (low - first) // cycle)
        found: list[Stretch] = []
        for done in range(MOST_STRETCHES // len(spans) + 1):
            offset = timedelta(0) if cycle is None else (turn + done) * cycle
            for i, (a, b) in enumerate(spans):
                begin, whole = a + offset, b if b == FOREVER else b + offset
                if begin < min(high, ends) and min(whole, ends) > low:
                    number = (turn + done) * len(spans) + i
                    found += self._values(payload, i, number, begin, whole, ends)
            if cycle is None or first + offset + cycle >= min(high, ends):
                return found
        raise self.wrong(f"it has more than {MOST_STRETCHES} intervals in one window", "duration")

    def _values(
        self, payload: str, i: int, number: int, begin: datetime, whole: datetime, ends: datetime
    ) -> list[Stretch]:
        """What one interval `[begin, whole)` says, in as many parts as it has values, as far as the event goes."""
        said = [p["values"] for p in self._payloads(self._intervals[i]) if p["type"] == payload]
        if not said:
            return []
        if len(said) > 1 or not said[0]:
            raise self.wrong(f"it says {payload} {'twice' if said[0] else 'without a value'}", i)
        values = said[0]
        if len(values) == 1:
            return [Stretch(self, str(number), begin, min(whole, ends), values[0])]
        if whole == FOREVER:
            raise self.wrong(f"it has {len(values)} values of {payload} and no end for them to share", i)
        cuts = [begin + k * (whole - begin) / len(values) for k in range(len(values) + 1)]
        return [
            Stretch(self, f"{number}.{k}", cuts[k], min(cuts[k + 1], ends), value)
            for k, value in enumerate(values)
            if cuts[k] < min(cuts[k + 1], ends)
        ]

    def _spans(self) -> list[tuple[datetime, datetime]]:
        """Start and end of each interval, before any repetition."""
        default = self._period(self.body, "event")
        begins = self._start(default, "event")
        spans: list[tuple[datetime, datetime]] = []
        for i, interval in enumerate(self._intervals):
            own = self._period(interval, i)
            start = self._start(own, i) or begins
            if start is None:
                raise self.wrong("nothing says when it starts", i)
            if start == FOREVER:
                raise self.wrong("it follows one that has no end", i)
            length = self._duration(own if own.get("duration") is not None else default, i)
            spans.append((start, length.after(start)))
            begins = spans[-1][1]
        later = [start for start, _ in spans]
        return [  # what has no end holds until another begins
            (a, min((s for s in later[i + 1 :] if s > a), default=b) if b == FOREVER else b)
            for i, (a, b) in enumerate(spans)
        ]

    def _start(self, period: Json, where: int | str) -> datetime | None:
        """When a period starts: None where it follows the one before, or the event's."""
        said = period.get("start")
        if said is None:
            return None
        if isinstance(said, str) and said.startswith(AT_ONCE):
            if where not in ("event", 0) or (where == 0 and self._period(self.body, "event").get("start")):
                return None
            if self.said_at is None:
                raise self.wrong("it starts at once and does not say when it was made", where)
            return self.said_at
        try:
            found = datetime.fromisoformat(said)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        raise self.wrong(f"its start is {str(said)[:40]!r}, not a time with its zone", where)

    def _duration(self, period: Json, where: int | str) -> Duration:
        said = period.get("duration")
        if said is None:
            return Duration()
        try:
            return Duration.parse(said)
        except (TypeError, ValueError) as e:
            raise self.wrong(f"its duration is wrong: {e}", where) from e

    def _period(self, whole: Json, where: int | str) -> Json:
        said = whole.get("intervalPeriod") or {}
        if not isinstance(said, Mapping):
            raise self.wrong("its intervalPeriod is no object", where)
        return said

    @cached_property
    def _intervals(self) -> Sequence[Json]:
        said = self.body.get("intervals") or []
        if not isinstance(said, list) or not all(isinstance(i, Mapping) for i in said):
            raise self.wrong("its intervals are no list of objects", "intervals")
        return said

    def _payloads(self, interval: Json) -> Sequence[Json]:
        said = interval.get("payloads") or []
        good = isinstance(said, list) and all(
            isinstance(p, Mapping) and isinstance(p.get("type"), str) and isinstance(p.get("values"), list)
            for p in said
        )
        if not good:
            raise self.wrong("its payloads are not each a type with a list of values", "payloads")
        return said

    def wrong(self, what: str, where: int | str) -> ForecastRejected:
        """An error that names the event, and the interval where it is one's."""
        name = f"{self.id[:64]!r}" + (f" ({self.name})" if self.name else "")
        place = f"intervals[{where}] of the event" if isinstance(where, int) else "the event"
        return ForecastRejected(
            f"{place} {name}: {what}.",
            field=f"intervals[{where}]" if isinstance(where, int) else where,
            hint="Whoever runs the VTN must mend it; until then it is not used.",
        )


def events_of(bodies: Iterable[Json], programs: Iterable[Json]) -> list[Event]:
    """Events with their programs."""
    by_id = {program["id"]: program for program in programs}
    return [Event(body, by_id.get(body.get("programID"), {})) for body in bodies]


def overlaid(stretches: Sequence[Stretch], rank: Callable[[Stretch], Any]) -> list[Stretch]:
    """What holds: at each instant the stretch of the lowest rank, cut where another takes over; in time."""
    ranked = sorted(stretches, key=rank)
    coming = sorted(range(len(ranked)), key=lambda i: ranked[i].start, reverse=True)
    edges = sorted({moment for s in ranked for moment in (s.start, s.end)})
    running: list[int] = []  # a heap: the best first, those that are over are dropped when they come up
    found: list[tuple[int, datetime, datetime]] = []
    for a, b in pairwise(edges):
        while coming and ranked[coming[-1]].start <= a:
            heapq.heappush(running, coming.pop())
        while running and ranked[running[0]].end <= a:
            heapq.heappop(running)
        if not running:
            continue
        best = running[0]
        if found and found[-1][0] == best and found[-1][2] == a:
            found[-1] = (best, found[-1][1], b)
        else:
            found.append((best, a, b))
    parts: Counter[int] = Counter()
    pieces: list[Stretch] = []
    for best, a, b in found:
        pieces.append(replace(ranked[best], start=a, end=b, part=parts[best]))
        parts[best] += 1
    return pieces
