"""The past of a source that keeps it, asked for once: two days say what was, two months what is usual.

It is asked for after the source has answered as always, so that no plan waits for it. What it says counts as known from
now on, as everything that a source says, but for vintages that a file dates itself.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from forecasts.checks import check_series
from forecasts.errors import ShifterError
from forecasts.jumps import jump_from
from forecasts.series import FACTS, ForecastSeries, Signal
from forecasts.slots import as_datetime
from forecasts.sources.asking import one_by_one
from forecasts.sources.base import FetchRequest
from shifter.errors import NotReady
from shifter.ingest import LOOK_BACK, Polled
from shifter.service.core import Core
from shifter.service.told import keep_history
from shifter.telemetry import get_logger

TRIES = 3
"""At each signal of each zone, one after each of its polls."""
HOLE = timedelta(days=1)
"""So long a stretch of which nothing is known, and it is asked for again after the next start: what was told was
interrupted, or nobody asked for days. A source that lacks an hour lacks it every time.
"""
SHARES = (1, 4)
"""The whole of the window first; where that is refused, a quarter of it."""

log = get_logger("shifter.history")


class History:
    """The past of one source, as far back as `back` and as it can be asked at all."""

    def __init__(self, core: Core, polled: Polled, back: timedelta) -> None:
        self.core = core
        self.polled = polled
        past = polled.source.info.past
        self._back = back if past is None else min(back, past)
        wanted = one_by_one(polled.source, polled.zones, polled.signals, core.now() - LOOK_BACK, core.now())
        self._left = {(r.zone, r.signals[0]): TRIES for r in wanted if self._back > LOOK_BACK}
        self._one = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether there is anything left to ask for."""
        return bool(self._left)

    def ask(self) -> int:
        """Ask for the past of what has answered by now and was not asked for yet; how many vintages were new.

        Raises nothing that a source may do: what it refuses is asked for again after the next polls, and then no more.
        """
        if not self._one.acquire(blocking=False):
            return 0  # a server may take minutes to tell all of it
        try:
            new = [self._ask_one(zone, signal) for zone, signal in list(self._left)]
        finally:
            self._one.release()
        return sum(new)

    def _ask_one(self, zone: str, signal: Signal) -> int:
        core, name = self.core, self.polled.name
        now = core.now()
        try:
            with core.db.errors():
                before = core.forecasts.latest(f"{name}:{zone}:{signal}", now)
                if before is None:
                    return 0  # its first answer is yet to come
                start, end = now - self._back, now - LOOK_BACK  # every poll asks for what comes after
                known = core.forecasts.as_of(zone, signal, now, start, now, sources={name})
            # Of one that tells what came, what it once expected is no substitute for that.
            told = [s for s in known if s.kind in FACTS] or known
            new = self._fetched(zone, signal, before, now) if _has_hole(told, start, end) else 0
        except Exception as error:
            self._failed(zone, signal, error)
            return 0
        del self._left[zone, signal]
        if new:
            log.info("history came", source=name, zone=zone, signal=str(signal), vintages=new)
        return new

    def _failed(self, zone: str, signal: Signal, error: Exception) -> None:
        left = self._left[zone, signal] - 1
        told = {"source": self.polled.name, "zone": zone, "signal": str(signal), "error": str(error)}
        if isinstance(error, ShifterError):
            log.warning("no history came", tries_left=left, **told)
        else:
            log.exception("a source broke when it was asked for its history", **told)
        if isinstance(error, NotReady):
            return  # that was not the source's
        self._left[zone, signal] = left
        if not left:
            del self._left[zone, signal]

    def _fetched(self, zone: str, signal: Signal, before: ForecastSeries, now: datetime) -> int:
        """What is new of the past. Raises what the source raises at the shortest window."""
        spans = [span for share in SHARES if (span := self._back / share) > LOOK_BACK]
        for span in spans:
            request = FetchRequest(zone, (signal,), now - span, now + self.polled.ahead)
            try:
                said = self.polled.source.fetch(request, now=now)
                self._check(said, before, now)
            except NotReady:
                raise  # no shorter window helps
            except ShifterError as error:
                if span == spans[-1]:
                    raise
                log.info(
                    "a shorter history is asked for", source=self.polled.name, zone=zone, error=str(error)
                )
            else:
                for note in filter(None, (s.note for s in said)):
                    log.warning(
                        "part of the history is left out", source=self.polled.name, zone=zone, note=note
                    )
                return keep_history(self.core, said, self.polled.name, "shifter")
        return 0

    def _check(self, said: Sequence[ForecastSeries], before: ForecastSeries, now: datetime) -> None:
        """Raises ForecastRejected for what is unfit, and for what contradicts what the source has just said."""
        core = self.core

        def usual() -> Sequence[ForecastSeries]:
            start, end, only = now - LOOK_BACK, now + self.polled.ahead, {before.source}
            with core.db.errors():
                return core.forecasts.as_of(before.zone, before.signal, now, start, end, sources=only)

        for series in said:
            check_series(series, before if self.polled.remote else None, flat_carbon=None)
            if self.polled.remote and (jump := jump_from(before, series, usual)) is not None:
                raise jump


def _has_hole(known: Sequence[ForecastSeries], start: datetime, end: datetime) -> bool:
    """Whether nothing of `known` speaks of some `HOLE` in `[start, end)`."""
    told_until = start
    for first, last in sorted((as_datetime(s.start[0]), as_datetime(s.end[-1])) for s in known):
        if min(first, end) - told_until >= HOLE:
            return True
        told_until = max(told_until, last)
    return end - told_until >= HOLE
