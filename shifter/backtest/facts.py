"""A history that answers fast where a source tells facts a little at a time: what was measured, hour by hour.

A week of hourly measurements is 168 vintages of one interval each, and a year of half-hours asks for them 17,520 times.
Where all of a source's vintages are facts that follow one another, and none is corrected, what was known at a moment is
the beginning of one long series: so it is answered as one. Values, kinds and sources are those of `VintageHistory`;
when each single value was known is not kept, so that this is not for fleets that trust forecasts by their lead time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np

from forecasts.history import VintageHistory, clipped
from forecasts.series import FACTS, ForecastSeries, Signal
from forecasts.slots import as_datetime64


@dataclass(frozen=True, eq=False)
class _Facts:
    """All of a source's facts in one series, and how many intervals of it the first n vintages hold."""

    whole: ForecastSeries
    known_at: Sequence[datetime]
    intervals: Sequence[int]

    @classmethod
    def of(cls, told: Sequence[ForecastSeries]) -> _Facts | None:
        """None where they are no facts, differ in more than time, or do not follow one another."""
        if len({_terms(s) for s in told}) != 1 or told[0].kind not in FACTS or any(s.quantiles for s in told):
            return None
        if any(b.start[0] < a.end[-1] for a, b in pairwise(told)):
            return None
        start, end, values = (
            np.concatenate([getattr(s, name) for s in told]) for name in ("start", "end", "values")
        )
        whole = replace(told[0], start=start, end=end, values=values)
        return cls(whole, [s.known_at for s in told], np.cumsum([len(s) for s in told]).tolist())

    def as_of(self, n_known: int, start: datetime, end: datetime) -> tuple[ForecastSeries, ...]:
        """Of the first vintages, what lies in the window."""
        if n_known == 0:
            return ()
        n, known_at = self.intervals[n_known - 1], self.known_at[n_known - 1]
        whole = self.whole
        known = replace(
            whole, known_at=known_at, start=whole.start[:n], end=whole.end[:n], values=whole.values[:n]
        )
        found = clipped(known, as_datetime64(start), as_datetime64(end))
        return () if found is None else (found,)


class FactHistory(VintageHistory):
    """See the module."""

    def __init__(self, vintages: Iterable[ForecastSeries]) -> None:
        told = list(vintages)
        super().__init__(told)
        keys = dict.fromkeys((s.zone, s.signal, s.source) for s in told if len(s))
        facts = {key: _Facts.of(self.vintages(*key)) for key in keys}
        self._facts = {key: found for key, found in facts.items() if found is not None}

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
        """See `VintageHistory.as_of`."""
        found: list[ForecastSeries] = []
        for name in self.sources(zone, signal):
            if sources is None or name in sources:
                facts = self._facts.get((zone, signal, name))
                if facts is None:
                    found += super().as_of(zone, signal, moment, start, end, sources=(name,))
                else:
                    found += facts.as_of(self.known(zone, signal, name, moment), start, end)
        return tuple(found)


def _terms(s: ForecastSeries) -> tuple[object, ...]:
    return s.kind, s.unit, s.basis, s.licence, s.attribution, s.restricted
