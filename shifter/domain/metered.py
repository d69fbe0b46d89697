"""What a meter said of a site's import, and what days like it say of a day: metered baselines.

`similar_days` is the day matching by which the California ISO settles demand response (ten-in-ten): the mean, at the
same time of day, of the last ten days of the same kind without an event, out of 45 and at least five. `highest_days`
takes the five of these that drew most (five-in-ten). Both are scaled by what the hours before the event drew against
what these days drew then: the three hours that end one hour before it, by at most 20 % either way. Days are of UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise

from shifter.domain.grid_event import Baseline, BaselineWindow, Method
from shifter.errors import InputError

STEP = timedelta(minutes=5)
DAY = timedelta(days=1)
LOOK_BACK_DAYS = 45
MOST_DAYS, LEAST_DAYS, HIGHEST_DAYS = 10, 5, 5
ENOUGH = 0.9
"""Of a slot that must have been metered for it to count in a baseline."""
BEFORE, GAP = timedelta(hours=4), timedelta(hours=1)
MOST_ADJUSTED = 0.2


@dataclass(frozen=True)
class Step:
    """Five minutes of a meter: what was drawn in the metered part of them [kWh], and how long that is [s]."""

    drawn_kwh: float
    metered_s: float


@dataclass(frozen=True)
class Metered:
    """A site's import by the start of each step. A window that cuts a step takes its share of it."""

    steps: Mapping[datetime, Step]

    @cached_property
    def _first(self) -> datetime:
        return min(self.steps)

    def drawn(self, start: datetime, end: datetime) -> tuple[float, float]:
        """In `[start, end)`: what was drawn while it was metered [kWh], and the part of it that was, 0..1."""
        if end <= start or not self.steps:
            return 0.0, 0.0
        at = self._first + (start - self._first) // STEP * STEP
        kwh = seconds = 0.0
        while at < end:
            if (step := self.steps.get(at)) is not None:
                share = (min(end, at + STEP) - max(start, at)) / STEP
                kwh, seconds = kwh + share * step.drawn_kwh, seconds + share * step.metered_s
            at += STEP
        return kwh, min(1.0, seconds / (end - start).total_seconds())

    def mean_kw(self, start: datetime, end: datetime) -> tuple[float | None, float]:
        """Its mean over the metered part of `[start, end)`, None where there is none; and that part, 0..1."""
        kwh, ratio = self.drawn(start, end)
        hours = ratio * (end - start).total_seconds() / 3600
        return (kwh / hours if hours > 0 else None), ratio

    def known_kw(self, start: datetime, end: datetime) -> float | None:
        """Its mean, where enough of `[start, end)` was metered; else None."""
        kw, ratio = self.mean_kw(start, end)
        return kw if ratio >= ENOUGH else None


def similar_days(
    metered: Metered,
    edges: Sequence[datetime],
    is_event_day: Callable[[datetime, datetime], bool],
    method: Method = "similar_days",
) -> Baseline:
    """What days like it say of the slots between `edges`, the first of which is the event's start.

    `is_event_day(start, end)` says whether an event held on that day. Raises InputError where too few were metered.
    """
    start, end = edges[0], edges[-1]
    days = [day for day in _candidates(start) if not is_event_day(start - day, end - day)]
    every = {day: [metered.known_kw(a - day, b - day) for a, b in pairwise(edges)] for day in days}
    known = {day: [kw for kw in values if kw is not None] for day, values in every.items()}
    chosen = [day for day in days if len(known[day]) == len(edges) - 1][:MOST_DAYS]
    if len(chosen) < LEAST_DAYS:
        kind = "weekdays" if _is_weekday(start) else "days of a weekend"
        raise InputError(
            f"{len(chosen)} {kind} without an event were metered at that time of day in the last "
            f"{LOOK_BACK_DAYS} days; a baseline takes {LEAST_DAYS}.",
            field="baseline",
            hint="Send import_kw to POST /v1/telemetry for longer, or take the baseline plan.",
        )
    if method == "highest_days":
        chosen = sorted(chosen, key=lambda day: (-sum(known[day]), day))[:HIGHEST_DAYS]
    mean_kw = [_mean(known[day][i] for day in chosen) for i in range(len(edges) - 1)]
    factor, told = _adjustment(metered, start, chosen)
    what = "mean of" if method == "similar_days" else f"mean of the {HIGHEST_DAYS} that drew most of the last"
    dates = ", ".join(f"{(start - day).astimezone(UTC):%Y-%m-%d}" for day in sorted(chosen, reverse=True))
    windows = (
        BaselineWindow(a, b, max(0.0, factor * kw))
        for (a, b), kw in zip(pairwise(edges), mean_kw, strict=True)
    )
    return Baseline(method, f"{what} {len(chosen)} metered days ({dates}); {told}", tuple(windows))


def _candidates(start: datetime) -> list[timedelta]:
    """How far back days of the same kind lie, the last one first."""
    ages = [n * DAY for n in range(1, LOOK_BACK_DAYS + 1)]
    return [age for age in ages if _is_weekday(start - age) is _is_weekday(start)]


def _is_weekday(moment: datetime) -> bool:
    return moment.astimezone(UTC).weekday() < 5


def _adjustment(metered: Metered, start: datetime, days: Sequence[timedelta]) -> tuple[float, str]:
    """By how much the day itself drew more than those days, before the event; and how that is said."""
    a, b = start - BEFORE, start - GAP
    that_day = metered.known_kw(a, b)
    then = [kw for day in days if (kw := metered.known_kw(a - day, b - day)) is not None]
    if that_day is None or len(then) < len(days) or _mean(then) <= 0:
        return 1.0, "not adjusted to the day, whose hours before it were not metered"
    ratio = that_day / _mean(then)
    factor = min(1 + MOST_ADJUSTED, max(1 - MOST_ADJUSTED, ratio))
    return factor, f"times {factor:.3f} for what the day drew before"


def _mean(values: Iterable[float]) -> float:
    given = list(values)
    return sum(given) / len(given)
