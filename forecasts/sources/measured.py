"""What was measured of a window's past, beside what is forecast of the rest, and never at the forecast's cost.

A server gives a part of its past at once: the newest is asked for first. What is null, or only estimated, is not
measured yet: it is left out, and each stretch without a gap is a vintage of its own, so that no hole is filled in.
Figures are revised for a day or so; whoever asks again gets a correction, as a new vintage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, ShifterError, SourceUnavailable
from forecasts.series import ForecastSeries
from forecasts.slots import as_datetime, as_datetime64, floor_to_slot, isoformat_z
from forecasts.sources.base import FetchRequest
from forecasts.sources.pace import in_haste

ASKED_AGAIN = timedelta(days=1)
"""What was refused is not asked for again for so long: a plan does not change from one hour to the next."""

POLLED_BACK = timedelta(days=3)
"""Who asks for no more of the past waits for the forecast; who asks for more, for the past."""

WITHIN_S = 5.0
"""So long the past may keep a forecast waiting."""

LATER = frozenset({408, 429})
"""Statuses that only mean: not now."""

Ask = Callable[[datetime, datetime], Sequence[ForecastSeries]]
"""What was measured in `[start, end)`."""


class Refusals:
    """Which zones a server has refused something of lately."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}

    def add(self, zone: str, error: SourceUnavailable, now: datetime) -> bool:
        """Whether `error` is a refusal, which then stands: it is ours to change, and not an outage."""
        status = int(error.facts.get("status", 0))
        refused = 400 <= status < 500 and status not in LATER
        if refused:
            self._at[zone] = now
        return refused

    def stands(self, zone: str, now: datetime) -> bool:
        """Whether asking again would be in vain."""
        at = self._at.get(zone)
        return at is not None and at <= now < at + ASKED_AGAIN


class Past:
    """What a source measured, of which it gives `most` at once, in steps of `step_minutes` or multiples of it."""

    def __init__(self, most: timedelta, step_minutes: int) -> None:
        self._most = most
        self._step_minutes = step_minutes
        self._refusals = Refusals()

    def before(
        self, forecast: Sequence[ForecastSeries], request: FetchRequest, ask: Ask, *, now: datetime
    ) -> list[ForecastSeries]:
        """What `ask` tells of the window up to `now`, or to where `forecast` begins, and then `forecast`.

        What is refused, unfit or away is left out, and the last series says so in its `note`. Where that is all there
        is, its error is raised. A refusal stands where the newest part was refused to one who asks for little: of what
        is older, or of a long window, it says nothing of that.
        """
        if forecast and self._refusals.stands(request.zone, now):
            return list(forecast)
        polled = bool(forecast) and request.start >= now - POLLED_BACK
        found: list[ForecastSeries] = []
        lost: ShifterError | None = None
        with in_haste(WITHIN_S) if polled else nullcontext():
            for i, (start, end) in enumerate(self._parts(forecast, request, now)):
                try:
                    found[:0] = ask(start, end)
                except ForecastRejected as e:
                    lost = lost or e
                except SourceUnavailable as e:  # the rest would be asked for in vain
                    if polled and i == 0:
                        self._refusals.add(request.zone, e, now)
                    lost = lost or e
                    break
        told = [*found, *forecast]
        if lost is None:
            return told
        if not told:
            raise lost
        why = f"what was measured is left out: {lost.detail}"
        return [*told[:-1], replace(told[-1], note="; ".join(filter(None, (told[-1].note, why))))]

    def _parts(
        self, forecast: Sequence[ForecastSeries], request: FetchRequest, now: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """The part of the window that is over, the newest first."""
        begins = (as_datetime(series.start[0]) for series in forecast)
        start = floor_to_slot(request.start, self._step_minutes)
        end = min(request.end, floor_to_slot(now, self._step_minutes), *begins)
        while end > start:
            yield max(start, end - self._most), end
            end -= self._most


def stretches(series: ForecastSeries, start: datetime, end: datetime) -> list[ForecastSeries]:
    """Those intervals of `series` that start in `[start, end)` and were over when they were known, each stretch of them
    that has no NaN and no gap. The last of them has the note.

    Raises ForecastRejected for an interval that comes twice, and for what `check_series` refuses.
    """
    order = np.argsort(series.start, kind="stable")
    first, last, values = series.start[order], series.end[order], series.values[order]
    inside = (first >= as_datetime64(start)) & (first < as_datetime64(end))
    inside &= last <= as_datetime64(series.known_at)
    first, last, values = first[inside], last[inside], values[inside]
    if (twice := np.flatnonzero(first[1:] < last[:-1])).size:
        raise ForecastRejected(
            f"{series.key}: {isoformat_z(as_datetime(first[twice[0] + 1]))} is told of twice.",
            field=str(series.signal),
            hint="Refused whole; it is asked again at the next poll.",
        )
    told = np.flatnonzero(np.isfinite(values))
    if not len(told):
        return []
    gap = (np.diff(told) > 1) | (first[told[1:]] != last[told[:-1]])
    parts = [
        check_series(replace(series, start=first[part], end=last[part], values=values[part], note=""))
        for part in np.split(told, np.flatnonzero(gap) + 1)
    ]
    return [*parts[:-1], replace(parts[-1], note=series.note)]


def beyond(series: ForecastSeries, known: Sequence[ForecastSeries]) -> list[ForecastSeries]:
    """`series` without those intervals at its beginning and its end of which `known` says the same, on the same terms;
    nothing where it does of all.
    """
    same = [s for s in known if _terms(s) == _terms(series)]
    if not same or series.quantiles:
        return [series]
    start, end, values = (
        np.concatenate([getattr(s, name) for s in same]) for name in ("start", "end", "values")
    )
    _, here, there = np.intersect1d(series.start, start, assume_unique=True, return_indices=True)
    new = np.ones(len(series), bool)
    new[here] = (series.end[here] != end[there]) | (series.values[here] != values[there])
    at = np.flatnonzero(new)
    if not len(at):
        return []
    part = slice(at[0], at[-1] + 1)
    return [replace(series, start=series.start[part], end=series.end[part], values=series.values[part])]


def _terms(series: ForecastSeries) -> tuple[object, ...]:
    return (
        *(series.kind, series.unit, series.basis),
        *(series.licence, series.attribution, series.restricted),
    )
