"""A source is asked for one signal of one zone at a time: what fails does not take the rest with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forecasts.errors import ForecastRejected, ShifterError, SourceUnavailable
from forecasts.series import ForecastSeries, Signal
from forecasts.sources.base import FetchRequest, ForecastSource


def one_by_one(
    source: ForecastSource, zones: Iterable[str], signals: Sequence[Signal], start: datetime, end: datetime
) -> list[FetchRequest]:
    """One request for each zone and each of `signals` that the source has. Raises InputError for a window
    that ends before it starts.
    """
    wanted = [signal for signal in signals if signal in source.info.signals]
    return [FetchRequest(zone, (signal,), start, end) for zone in zones for signal in wanted]


@dataclass(frozen=True)
class Failure:
    """A request that was not answered, and why."""

    source: str
    request: FetchRequest
    error: ShifterError

    def __str__(self) -> str:
        what = " and ".join(self.request.signals)
        return f"{self.source} tells no {what} of {self.request.zone}: {self.error}"


@dataclass(frozen=True)
class Answers:
    """What was said, and what was not."""

    series: tuple[ForecastSeries, ...]
    failures: tuple[Failure, ...]

    def or_raise(self) -> Answers:
        """These, where anything was said; else raises the first failure's error."""
        if self.failures and not self.series:
            raise self.failures[0].error
        return self


def ask(source: ForecastSource, requests: Iterable[FetchRequest], *, now: datetime) -> Answers:
    """Every request's answer. Raises InputError, for a zone or a file that is wrong: that is the caller's."""
    series: list[ForecastSeries] = []
    failures: list[Failure] = []
    for request in requests:
        try:
            series += source.fetch(request, now=now)
        except (ForecastRejected, SourceUnavailable) as error:
            failures.append(Failure(source.info.name, request, error))
    return Answers(tuple(series), tuple(failures))
