"""What was known of a zone's signal at a moment, hour by hour: what came of the past, and what each source said of what
was to come, now and at the same time on the days before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

import numpy as np

from forecasts.models.days import MAX_DAYS
from forecasts.outcomes import outcomes, rank, settled
from forecasts.provenance import Said, terms_of
from forecasts.series import FACTS, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid, as_datetime64
from forecasts.timeline import averaged

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
AHEAD = 8 * DAY
"""How far past a moment facts and forecasts are looked for."""
RECENT = 8 * DAY
"""What is older is taken as it was known at the week's beginning."""
REMEMBERED = 50_000
"""Statements kept in memory: two months of hourly moments of a dozen sources."""


Meaning = tuple[str, Basis | None]
"""Unit and basis: only what has the same of both can be compared."""


class Known(Protocol):
    """What is needed of `forecasts.store.ForecastStore` or `forecasts.history.VintageHistory`."""

    def as_of(
        self,
        zone: str,
        signal: Signal,
        moment: datetime,
        start: datetime,
        end: datetime,
        *,
        sources: Collection[str] | None = None,
    ) -> tuple[ForecastSeries, ...]:
        """What was known at `moment` about `[start, end)`."""


@dataclass(frozen=True, eq=False)
class Record:
    """The outcomes of a signal before `end`, `hourly` (n,) [unit], the last of them known; NaN where not.

    `forecasters` are the sources that have a forecast beyond it, the first in order first.
    """

    end: datetime
    hourly: Floats
    unit: str
    basis: Basis | None
    forecasters: tuple[str, ...]
    measured: bool
    """Whether anybody measured or cleared; else an outcome is what was said last, when the hour was over."""
    terms: Said
    """Attribution and licence of all that it is made of."""

    @property
    def meaning(self) -> Meaning:
        """What its values mean."""
        return self.unit, self.basis


class Knowledge:
    """What a store knew, remembered: what is asked of a moment that is past is asked of the store once.

    The outcomes of a year change little from one hour to the next. So what is older than `RECENT` is taken as it was
    known on Monday at midnight UTC, and only the rest as it is known at the moment: what is answered depends on the
    store and the moment, and not on what was asked before.
    """

    def __init__(self, store: Known) -> None:
        self._store = store
        self._settled = lru_cache(maxsize=512)(self._settle)
        self._said = lru_cache(maxsize=REMEMBERED)(self._say)
        # Each signal of a zone looks at the other: both are asked for twice at each moment.
        self._hours = lru_cache(maxsize=16)(self._look)

    def hours(self, zone: str, signal: Signal, at: datetime, order: Sequence[str] = ()) -> Record | None:
        """The outcomes known at `at`, on a whole hour; None where there are none.

        Of carbon of two bases only that of the first source in `order` counts, and so of prices in two currencies;
        sources that are made up do not.
        """
        return self._hours(zone, signal, at, tuple(order))

    def _look(self, zone: str, signal: Signal, at: datetime, order: tuple[str, ...]) -> Record | None:
        midnight = at.replace(hour=0)
        monday = midnight - midnight.weekday() * DAY
        recent = self._store.as_of(zone, signal, at, monday - RECENT, at + AHEAD)
        # In a store's first week nothing was known on Monday: then as it is known at the moment.
        older = self._settled(zone, signal, monday, monday) or self._settled(zone, signal, monday, at)
        told = [s for s in (*older, *recent) if s.kind is not Kind.SYNTHETIC]
        if not told:
            return None
        # Who is not in the order counts by how lately it was heard, as in a frame.
        listed = {name: i for i, name in enumerate(order)}
        first = min(told, key=lambda s: (listed.get(s.source, len(order)), -s.known_at.timestamp()))
        meaning = first.unit, first.basis
        told = [s for s in told if (s.unit, s.basis) == meaning]
        start = monday - MAX_DAYS * DAY
        hourly = outcomes(told, SlotGrid(start, 60, (at + AHEAD - start) // HOUR), order)
        known = np.flatnonzero(np.isfinite(hourly))
        if not len(known):
            return None
        n = int(known[-1]) + 1
        end = start + n * HOUR
        ahead = as_datetime64(max(end, at))
        found = {s.source for s in told if s.kind not in FACTS and s.end[-1] > ahead}
        forecasters = tuple(sorted(found, key=lambda source: rank(source, order)))
        measured = any(s.kind in FACTS for s in told)
        terms = terms_of((s.attribution, s.licence, s.restricted) for s in told)
        return Record(end, hourly[:n], first.unit, first.basis, forecasters, measured, terms)

    def said(
        self,
        zone: str,
        signal: Signal,
        source: str,
        at: datetime,
        n_past: int,
        n_hours: int,
        meaning: Meaning | None = None,
    ) -> Floats:
        """What a source forecast of the `n_hours` from each of the `n_past` moments whole days before `at`, and from
        `at` itself, as it was known then: (n_past + 1, n_hours), the oldest first; NaN where it said nothing.

        Where a `meaning` is given, nothing is taken for said that was said in another unit or of another basis.
        """
        moments = [at - j * DAY for j in range(n_past, -1, -1)]
        return np.stack([self._said(zone, signal, source, moment, n_hours, meaning) for moment in moments])

    def _settle(
        self, zone: str, signal: Signal, monday: datetime, moment: datetime
    ) -> tuple[ForecastSeries, ...]:
        told = self._store.as_of(zone, signal, moment, monday - MAX_DAYS * DAY, monday - RECENT)
        return tuple(settled(told))

    def _say(
        self, zone: str, signal: Signal, source: str, moment: datetime, n_hours: int, meaning: Meaning | None
    ) -> Floats:
        grid = SlotGrid(moment, 60, n_hours)
        told = self._store.as_of(zone, signal, moment, grid.start, grid.end, sources=(source,))
        meant = [s for s in told if s.kind not in FACTS and meaning in {None, (s.unit, s.basis)}]
        said = averaged(meant, grid)
        said.setflags(write=False)
        return said
