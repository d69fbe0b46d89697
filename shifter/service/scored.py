"""How good the forecasts of the store were: computed when asked, and kept for a while, since it takes a moment."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from forecasts.heeded import CANDIDATE
from forecasts.scores.report import SourceScores, score
from forecasts.scores.subject import from_store
from forecasts.series import Signal
from shifter.errors import NotFound, NotReady
from shifter.service.core import Core

MOST_DAYS = 31
KEEP_S = 60.0
"""An answer stands for so long, and longer while it rests."""
REST = 20
"""After a computation no other begins for so many times as long as it took, whoever asks for what: scoring never takes
more than a twentieth of a core.
"""
MOST_KEPT = 64
"""Answers in memory; the oldest goes first."""


@dataclass(frozen=True)
class Scored(SourceScores):
    """The scores of a source, and what it is here."""

    shadow: bool = False
    """Whether it is on trial: nothing is planned by it."""


@dataclass(frozen=True)
class ForecastScores:
    """How good each source's forecasts of one signal of a zone were, of those known in `[since, until]`.

    `sources` are sorted by name; `unjudged` are those of whose forecasts nobody says yet what came.
    """

    zone: str
    signal: Signal
    since: datetime
    until: datetime
    sources: tuple[Scored, ...]
    unjudged: tuple[str, ...]


class Scorer:
    """Scores from the store of a service. One is computed at a time, whoever else asks waits for it; then it rests."""

    def __init__(self, core: Core, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rests_until = -math.inf
        self._kept: dict[tuple[str, Signal, int], tuple[float, ForecastScores]] = {}
        """What was computed when, the oldest first."""

    def scores(self, zone: str, signal: Signal, days: int) -> ForecastScores:
        """Of the last `days` days. Raises NotFound for a zone that no site is in, NotReady without the store, and
        while it rests for what it has not at hand.
        """
        zones = self._core.fleet.zones
        if zone not in zones:
            hint = f"Zones are {', '.join(zones)}."
            raise NotFound(f"no site of the fleet is in the zone {zone}.", field="zone", hint=hint)
        key = (zone, signal, days)
        with self._lock:
            made_at, kept = self._kept.get(key, (-math.inf, None))
            began = self._monotonic()
            rest_s = self._rests_until - began
            if kept is not None and (rest_s > 0 or began < made_at + KEEP_S):
                return kept
            if rest_s > 0:
                raise NotReady(
                    "scoring rests, so that it takes nothing from planning.",
                    hint="Scores asked for before are answered meanwhile; try again later.",
                    retry_after_s=math.ceil(rest_s),
                )
            try:
                made = self._compute(zone, signal, days)
            finally:
                ended = self._monotonic()
                self._rests_until = ended + REST * (ended - began)
            self._kept.pop(key, None)
            self._kept[key] = (ended, made)
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
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
        told = tuple(self._told(s) for s in made.values() if s is not None)
        return ForecastScores(zone, signal, since, now, told, tuple(silent))

    def _told(self, scores: SourceScores) -> Scored:
        view = self._core.state.sources.get(scores.source)
        shadow = scores.source == CANDIDATE or (view is not None and view.shadow)
        given = {f.name: getattr(scores, f.name) for f in fields(scores)}
        return Scored(**given, shadow=shadow)
