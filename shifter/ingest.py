"""Ask forecast sources what they know, keep what is fit for use, and bear with those that fail.

A source that fails is asked again soon, then less and less often, and its last good vintage stands; a vintage
that is refused is recorded with the reason and never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, ShifterError
from forecasts.series import ForecastSeries, Signal
from forecasts.sources.asking import one_by_one
from forecasts.sources.base import FetchRequest, ForecastSource
from shifter.errors import NotReady
from shifter.service.core import Core
from shifter.service.told import keep_series
from shifter.telemetry import get_logger
from shifter.views import EventKind, SourceView

FIRST_RETRY = timedelta(seconds=30)
LOOK_BACK = timedelta(days=2)
"""Days before now that are asked for too: what extends a short forecast repeats them."""

log = get_logger("shifter.ingest")


@dataclass(frozen=True)
class Polled:
    """A source, what it is asked, and how often."""

    source: ForecastSource
    zones: tuple[str, ...]
    signals: tuple[Signal, ...]
    every: timedelta
    ahead: timedelta
    """How far past now it is asked."""

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.info.name


@dataclass(frozen=True)
class Outcome:
    """What became of one poll. `retry` is when to ask again, None where that is the usual time."""

    new: int
    errors: tuple[str, ...]
    retry: timedelta | None


def poll(core: Core, polled: Polled) -> Outcome:
    """Ask for every signal of every zone, each by itself: one that fails does not take the others with it.

    Raises nothing that a source may do.
    """
    now = core.now()
    new, errors, unavailable = 0, [], False
    asked = one_by_one(polled.source, polled.zones, polled.signals, now - LOOK_BACK, now + polled.ahead)
    for request in asked:
        zone, (signal,) = request.zone, request.signals
        try:
            new += keep_series(core, _fetch(core, polled, request, now), polled.name, "shifter")
            core.metrics.ingests.labels(source=polled.name, outcome="ok").inc()
        except ForecastRejected as error:
            errors.append(str(error))
            _rejected(core, polled, zone, signal, error, now)
        except NotReady as error:
            errors.append(str(error))
            unavailable = True
            break
        except Exception as error:
            errors.append(
                str(error) if isinstance(error, ShifterError) else f"{type(error).__name__}: {error}"
            )
            unavailable = True
            core.metrics.ingests.labels(source=polled.name, outcome="failed").inc()
            if not isinstance(error, ShifterError):
                log.exception("a forecast source broke", source=polled.name, zone=zone, signal=str(signal))
    view = _remember(core, polled, errors, now)
    retry = min(polled.every, FIRST_RETRY * 2 ** min(view.failures - 1, 20)) if unavailable else None
    return Outcome(new, tuple(errors), retry)


def _fetch(core: Core, polled: Polled, request: FetchRequest, now: datetime) -> Sequence[ForecastSeries]:
    said = polled.source.fetch(request, now=now)
    for series in said:
        # The source has checked what it says; what only the vintage before can tell is checked here.
        with core.db.errors():
            before = core.forecasts.latest(series.key, series.known_at)
        check_series(series, before, flat_carbon=None)
        if series.note:
            log.warning(
                "part of a forecast is left out", source=polled.name, zone=request.zone, note=series.note
            )
    return said


def _rejected(
    core: Core, polled: Polled, zone: str, signal: Signal, error: ForecastRejected, now: datetime
) -> None:
    core.metrics.ingests.labels(source=polled.name, outcome="rejected").inc()
    log.warning("a forecast was refused", source=polled.name, zone=zone, error=str(error))
    with suppress(NotReady), core.change() as change:
        core.forecasts.record_rejection(
            source=polled.name, zone=zone, signal=signal, known_at=now, reason=str(error), within=change.db
        )
        change.event(
            EventKind.FORECAST_REJECTED, source=polled.name, zone=zone, signal=str(signal), error=str(error)
        )


def _remember(core: Core, polled: Polled, errors: Sequence[str], now: datetime) -> SourceView:
    """Its view after a poll; the first failure and the recovery are told."""
    before = core.state.sources.get(polled.name) or SourceView(polled.name, up=True, zones=polled.zones)
    if errors:
        view = replace(before, up=False, failures=before.failures + 1, error=errors[0], last_attempt_at=now)
    else:
        view = replace(before, up=True, failures=0, error="", last_attempt_at=now, last_success_at=now)
    with core.state.changed:
        core.state.sources[polled.name] = view
    if errors and before.up:
        log.warning("a forecast source fails", source=polled.name, error=errors[0])
        core.tell(EventKind.SOURCE_FAILED, source=polled.name, error=errors[0])
    elif not errors and not before.up:
        log.info("a forecast source is well again", source=polled.name)
        core.tell(EventKind.SOURCE_RECOVERED, source=polled.name, failures=before.failures)
    return view
