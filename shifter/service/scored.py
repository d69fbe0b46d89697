"""How good the forecasts of the store were: computed when asked, and kept for a while, since it takes a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from forecasts.scores.report import SourceScores, score
from forecasts.scores.subject import from_store
from forecasts.series import Signal
from shifter.errors import NotFound
from shifter.service.core import Core

MOST_DAYS = 31
KEEP_S = 60.0
REST = 20
"""An answer that took long stands for so many times as long: scoring never takes more than a twentieth of a core."""


@dataclass(frozen=True)
class ForecastScores:
    """How good each source's forecasts of one signal of a zone were, of those known in `[since, until]`.

    `sources` are sorted by name; `unjudged` are those of whose forecasts nobody says yet what came.
    """

    zone: str
    signal: Signal
    since: datetime
    until: datetime
    sources: tuple[SourceScores, ...]
    unjudged: tuple[str, ...]


class Scorer:
    """Scores from the store of a service. One is computed at a time; whoever else asks waits for it."""

    def __init__(self, core: Core, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, Signal, int], tuple[float, ForecastScores]] = {}

    def scores(self, zone: str, signal: Signal, days: int) -> ForecastScores:
        """Of the last `days` days. Raises NotFound for a zone that no site is in, NotReady without the store."""
        zones = self._core.fleet.zones
        if zone not in zones:
            hint = f"Zones are {', '.join(zones)}."
            raise NotFound(f"no site of the fleet is in the zone {zone}.", field="zone", hint=hint)
        key = (zone, signal, days)
        with self._lock:
            until, kept = self._kept.get(key, (0.0, None))
            began = self._monotonic()
            if kept is not None and began < until:
                return kept
            made = self._compute(zone, signal, days)
            ended = self._monotonic()
            self._kept = {k: v for k, v in self._kept.items() if v[0] > ended}
            self._kept[key] = (ended + max(KEEP_S, REST * (ended - began)), made)
            return made

    def _compute(self, zone: str, signal: Signal, days: int) -> ForecastScores:
        core, now = self._core, self._core.now()
        since = now - timedelta(days=days)
        with core.db.errors():
            found = from_store(
                core.forecasts,
                zone,
                signal,
                since=since,
                now=now,
                slot_minutes=core.config.slot_minutes,
            )
        made = {name: score(said, found.known[name]) for name, said in sorted(found.forecasts.items())}
        silent = sorted({*found.unjudged, *(name for name, s in made.items() if s is None)})
        return ForecastScores(
            zone, signal, since, now, tuple(s for s in made.values() if s is not None), tuple(silent)
        )
