"""Ask forecast sources what they know, keep what is fit for use, and bear with those that fail.

A source that fails is asked again soon, then less and less often, and its last good vintage stands; a vintage
that is refused is recorded with the reason and never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecasts.errors import ForecastRejected, ShifterError
from forecasts.series import ForecastSeries, Signal
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
    """Ask for every zone; one that fails does not stop the others. Raises nothing that a source may do."""
    now = core.now()
    new, errors, unavailable = 0, [], False
    for zone in polled.zones:
        try:
            new += keep_series(core, _fetch(core, polled, zone, now), polled.name, "shifter")
            core.metrics.ingests.labels(source=polled.name, outcome="ok").inc()
        except ForecastRejected as error:
            errors.append(str(error))
            _rejected(core, polled, zone, error, now)
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
                log.exception("a forecast source broke", source=polled.name, zone=zone)
    view = _remember(core, polled, errors, now)
    retry = min(polled.every, FIRST_RETRY * 2 ** min(view.failures - 1, 20)) if unavailable else None
    return Outcome(new, tuple(errors), retry)


def _fetch(core: Core, polled: Polled, zone: str, now: datetime) -> Sequence[ForecastSeries]:
    request = FetchRequest(zone, polled.signals, now - LOOK_BACK, now + polled.ahead)
    return polled.source.fetch(request, now=now)


def _rejected(core: Core, polled: Polled, zone: str, error: ForecastRejected, now: datetime) -> None:
    core.metrics.ingests.labels(source=polled.name, outcome="rejected").inc()
    log.warning("a forecast was refused", source=polled.name, zone=zone, error=str(error))
    signals = [s for s in polled.signals if str(s) in (error.field, str(error.facts.get("signal", "")))]
    try:
        with core.db.errors():
            for signal in signals or polled.signals[:1]:
                core.forecasts.record_rejection(
                    source=polled.name, zone=zone, signal=signal, known_at=now, reason=str(error)
                )
    except NotReady as lost:
        core.lost_database(lost)
    core.tell(EventKind.FORECAST_REJECTED, source=polled.name, zone=zone, error=str(error))


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
