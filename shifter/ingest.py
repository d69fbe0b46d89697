"""Ask forecast sources what they know when there may be something new, keep what is fit for use, and bear with those
that fail.

Each signal of each zone has its own rhythm, that of its publication: where a market's day is whole, nothing is asked
until the next is due. One that fails is asked again soon, then less and less often, and its last good vintage stands; a
vintage that is refused is recorded with the reason and never used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, ShifterError
from forecasts.jumps import jump_from
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime
from forecasts.sources.asking import one_by_one
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.measured import beyond
from forecasts.sources.publication import Continuous, Publication
from shifter.errors import NotReady
from shifter.service.core import Core
from shifter.service.told import keep_series
from shifter.telemetry import get_logger
from shifter.views import EventKind, SourceView

LOOK_BACK = timedelta(days=2)
"""Days before now that are asked for too: what extends a short forecast repeats them."""
USUAL_DAYS = timedelta(days=7)
"""What was known of so many days past says what is usual (`forecasts.jumps`)."""
STOOD_BY = timedelta(minutes=50)
"""A jump is believed that is said again after so long: by two half-hourly issues more, with room for jitter."""

log = get_logger("shifter.ingest")


@dataclass(frozen=True)
class Polled:
    """A source, what it is asked, and how often: `every` where the settings say so, else as it publishes."""

    source: ForecastSource
    zones: tuple[str, ...]
    signals: tuple[Signal, ...]
    every: timedelta | None
    ahead: timedelta
    """How far past now it is asked."""
    shadow: bool = False
    """Whether nothing is planned by it."""

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.info.name

    @property
    def remote(self) -> bool:
        """Whether it is somebody else's server that is asked."""
        info = self.source.info
        return info.url.startswith("http") and not info.synthetic

    def publication_of(self, signal: Signal) -> Publication:
        """What decides when it is asked for `signal`."""
        return Continuous(self.every) if self.every else self.source.info.publication_of(signal)


@dataclass(frozen=True)
class Doubt:
    """What was refused for a jump, at `at`."""

    said: tuple[ForecastSeries, ...]
    at: datetime
    jump: ForecastRejected


@dataclass
class Asked:
    """How it goes with one signal of one zone. `failures` are in a row; `noted` was told since it last came whole."""

    due_at: datetime
    end_known: datetime | None = None
    changed_at: datetime | None = None
    failures: int = 0
    error: str = ""
    stale: str = ""
    doubt: Doubt | None = None
    noted: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Outcome:
    """What became of one poll: new vintages, what went wrong, and when something is due again."""

    new: int
    errors: tuple[str, ...]
    next_at: datetime


class Poller:
    """One source, asked for what is due. `jitter` answers a number in 0..1 for each poll."""

    def __init__(self, core: Core, polled: Polled, jitter: Callable[[], float] = lambda: 0.0) -> None:
        self.core = core
        self.polled = polled
        self._jitter = jitter
        self._asked: dict[tuple[str, Signal], Asked] = {}

    def poll(self) -> Outcome:
        """Ask for every signal of every zone that is due, each by itself: one that fails does not take the others
        with it. Raises nothing that a source may do.
        """
        now, polled = self.core.now(), self.polled
        asked = one_by_one(polled.source, polled.zones, polled.signals, now - LOOK_BACK, now + polled.ahead)
        new, errors, lost = 0, [], None
        again: list[tuple[Signal, Asked, bool]] = []
        for request in asked:
            (signal,) = request.signals
            state = self._asked.setdefault((request.zone, signal), Asked(now))
            if state.due_at > now:
                continue
            unavailable = lost is not None
            if lost is None:
                try:
                    new += self._ask(request, state, now)
                    state.failures, state.error = 0, ""
                except ForecastRejected as error:
                    errors.append(str(error))
                    self._rejected(request, error, state, now)
                except Exception as error:
                    unavailable = True
                    errors.append(self._failed(request, error, state))
                    lost = error if isinstance(error, NotReady) else None
            else:  # the store is away: nobody need be asked
                state.failures, state.error = state.failures + 1, str(lost)
            again.append((signal, state, unavailable))
        self._plan_next(again)
        next_at = min((s.due_at for s in self._asked.values()), default=now + polled.ahead)
        if again:
            self._remember(now, next_at)
        return Outcome(new, tuple(errors), next_at)

    def _ask(self, request: FetchRequest, state: Asked, now: datetime) -> int:
        (signal,) = request.signals
        said = self._fetch(request, state, now)
        fresh = [part for s in self._noted(said, request.zone, state) for part in self._unsaid(s)]
        new = keep_series(self.core, fresh, self.polled.name, "shifter", replan=not self.polled.shadow)
        end = self.polled.publication_of(signal).end_known(said)
        state.end_known = max(filter(None, (state.end_known, end)), default=None)
        state.doubt = None
        self.core.metrics.ingests.labels(source=self.polled.name, outcome="ok").inc()
        return new

    def _fetch(self, request: FetchRequest, state: Asked, now: datetime) -> Sequence[ForecastSeries]:
        said = self.polled.source.fetch(request, now=now)
        # What was measured comes as time goes by: by it no forecast is news, and none stands by its word.
        expected = [s for s in said if s.kind is not Kind.ACTUAL]
        news = False
        for series in said:
            # The source has checked what it says; what only the vintage before can tell is checked here.
            with self.core.db.errors():
                before = self.core.forecasts.latest(series.key, series.known_at)
            check_series(series, before, flat_carbon=None)
            if before is not None and self.polled.remote:
                # A file here is its owner's own word, and a replay must be what it was.
                self._check_jump(before, series, expected, state, now)
            if before is not None and state.changed_at is None:
                state.changed_at = before.known_at
            news |= series.kind is not Kind.ACTUAL and (before is None or _is_news(series, before))
        if news:
            state.changed_at = now
        return said

    def _noted(self, said: Sequence[ForecastSeries], zone: str, state: Asked) -> list[ForecastSeries]:
        """`said` without the notes that were told before; one that differs in times and counts alone is the same."""
        if not any(s.note for s in said):
            state.noted.clear()
        done = []
        for series in said:
            gist = re.sub(r"\d+", "", series.note)
            done.append(replace(series, note="") if gist in state.noted else series)
            if done[-1].note:
                state.noted.add(gist)
                log.warning(
                    "part of a forecast is left out", source=self.polled.name, zone=zone, note=series.note
                )
        return done

    def _unsaid(self, series: ForecastSeries) -> list[ForecastSeries]:
        """`series`; of what was measured, of which the same days are asked for each time, what is new in it."""
        if series.kind is not Kind.ACTUAL:
            return [series]
        span = as_datetime(series.start[0]), as_datetime(series.end[-1])
        with self.core.db.errors():
            known = self.core.forecasts.as_of(
                series.zone, series.signal, series.known_at, *span, sources={series.source}
            )
        return beyond(series, known)

    def _check_jump(
        self,
        before: ForecastSeries,
        series: ForecastSeries,
        said: Sequence[ForecastSeries],
        state: Asked,
        now: datetime,
    ) -> None:
        """Raises ForecastRejected for a jump until the source has stood by it: a true one may not be kept out for
        good.
        """
        core = self.core

        def usual() -> Sequence[ForecastSeries]:
            start, end, only = now - USUAL_DAYS, now + self.polled.ahead, {series.source}
            with core.db.errors():
                return core.forecasts.as_of(series.zone, series.signal, now, start, end, sources=only)

        jump, doubt = jump_from(before, series, usual), state.doubt
        if jump is None:
            return
        if doubt is None or all(jump_from(d, series, usual) is not None for d in doubt.said):
            state.doubt = Doubt(tuple(said), now, jump)
            raise jump
        if now - doubt.at < STOOD_BY:
            raise doubt.jump
        log.warning("a jump is believed, for it was said again", series=series.key, error=jump.detail)

    def _rejected(self, request: FetchRequest, error: ForecastRejected, state: Asked, now: datetime) -> None:
        core, name, (signal,) = self.core, self.polled.name, request.signals
        core.metrics.ingests.labels(source=name, outcome="rejected").inc()
        told, state.failures, state.error = state.error == str(error), state.failures + 1, str(error)
        if told:
            return
        log.warning("a forecast was refused", source=name, zone=request.zone, error=str(error))
        with suppress(NotReady), core.change() as change:
            core.forecasts.record_rejection(
                source=name,
                zone=request.zone,
                signal=signal,
                known_at=now,
                reason=str(error),
                within=change.db,
            )
            change.event(
                EventKind.FORECAST_REJECTED,
                source=name,
                zone=request.zone,
                signal=str(signal),
                error=str(error),
            )

    def _failed(self, request: FetchRequest, error: Exception, state: Asked) -> str:
        ours = isinstance(error, ShifterError)
        text = str(error) if ours else f"{type(error).__name__}: {error}"
        state.failures, state.error = state.failures + 1, text
        if not isinstance(error, NotReady):
            self.core.metrics.ingests.labels(source=self.polled.name, outcome="failed").inc()
        if not ours:
            log.exception(
                "a forecast source broke",
                source=self.polled.name,
                zone=request.zone,
                signal=str(request.signals[0]),
            )
        return text

    def _plan_next(self, again: Sequence[tuple[Signal, Asked, bool]]) -> None:
        """When what was asked is due again. What is unfit would be unfit if it were asked for at once."""
        now, jitter = self.core.now(), self._jitter()
        for signal, state, unavailable in again:
            publication = self.polled.publication_of(signal)
            failures = state.failures if unavailable else 0
            state.due_at = publication.next_poll(now, state.end_known, failures, jitter)
        for (zone, signal), state in self._asked.items():
            overdue = ""  # of what fails, that is told
            if not state.error:
                publication = self.polled.publication_of(signal)
                overdue = publication.overdue(now, state.end_known, state.changed_at)
            if overdue and not state.stale:
                log.warning(
                    "a forecast source is stale",
                    source=self.polled.name,
                    zone=zone,
                    signal=str(signal),
                    what=overdue,
                )
            state.stale = overdue

    def _remember(self, now: datetime, next_at: datetime) -> None:
        """Its view after a poll; the first failure and the recovery are told."""
        core, polled = self.core, self.polled
        before = core.state.sources.get(polled.name)
        before = before or SourceView(polled.name, up=True, zones=polled.zones, shadow=polled.shadow)
        errors = [state.error for state in self._asked.values() if state.error]
        stale = [
            f"The {signal} of {zone} {state.stale}."
            for (zone, signal), state in self._asked.items()
            if state.stale
        ]
        view = replace(
            before, last_attempt_at=now, next_due_at=next_at, stale=stale[0] if stale else "", up=not errors
        )
        if errors:
            failures = max(state.failures for state in self._asked.values())
            view = replace(view, failures=failures, error=errors[0])
        else:
            view = replace(view, failures=0, error="", last_success_at=now)
        with core.state.changed:
            core.state.sources[polled.name] = view
        if errors and before.up:
            log.warning("a forecast source fails", source=polled.name, error=errors[0])
            core.tell(EventKind.SOURCE_FAILED, source=polled.name, error=errors[0])
        elif not errors and not before.up:
            log.info("a forecast source is well again", source=polled.name)
            core.tell(EventKind.SOURCE_RECOVERED, source=polled.name, failures=before.failures)


def _is_news(series: ForecastSeries, before: ForecastSeries) -> bool:
    """Whether it says anything that `before` does not: it reaches further, or a value differs."""
    if series.end[-1] > before.end[-1]:
        return True
    _, here, there = np.intersect1d(series.start, before.start, assume_unique=True, return_indices=True)
    return len(here) < len(series) or bool(np.any(series.values[here] != before.values[there]))
