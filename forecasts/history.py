"""Vintages in memory, asked as the store is: for replays over files, and where many questions want fast answers."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby

import numpy as np

from forecasts.content import Content, digest_of
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import as_datetime64
from forecasts.spans import claim, time_us


class VintageHistory:
    """Every vintage given, each answering only questions of moments at or after its `known_at`.

    A vintage that is known at the same moment as another of its series, and given later, is the newer of the two;
    the same again at that moment counts once, where it was given first.
    """

    def __init__(self, vintages: Iterable[ForecastSeries]) -> None:
        by_series: dict[tuple[str, Signal], dict[str, list[ForecastSeries]]] = defaultdict(dict)
        for s in vintages:
            if len(s):
                by_series[s.zone, s.signal].setdefault(s.source, []).append(s)
        self._series = {
            key: {name: list(_in_order(told)) for name, told in sorted(sources.items())}
            for key, sources in by_series.items()
        }
        self._known_at = {
            (key, name): [s.known_at for s in told]
            for key, sources in self._series.items()
            for name, told in sources.items()
        }
        # What the first n of a series cover at most: where that is no part of a window, the older need no look.
        self._reach = {
            (key, name): (
                np.minimum.accumulate([time_us(s.start[0]) for s in told]).tolist(),
                np.maximum.accumulate([time_us(s.end[-1]) for s in told]).tolist(),
            )
            for key, sources in self._series.items()
            for name, told in sources.items()
        }

    @property
    def zones(self) -> tuple[str, ...]:
        """Zones of which anything was ever said."""
        return tuple(sorted({zone for zone, _ in self._series}))

    def sources(self, zone: str, signal: Signal) -> tuple[str, ...]:
        """Who ever said anything of it."""
        return tuple(self._series.get((zone, signal), ()))

    def vintages(self, zone: str, signal: Signal, source: str) -> tuple[ForecastSeries, ...]:
        """All of one series, the oldest first."""
        return tuple(self._series.get((zone, signal), {}).get(source, ()))

    def known(self, zone: str, signal: Signal, source: str, moment: datetime) -> int:
        """How many vintages of a series were known at `moment`: as long as it stays, so does what `as_of` answers."""
        return bisect_right(self._known_at.get(((zone, signal), source), ()), moment)

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
        """See `forecasts.store.ForecastStore.as_of`."""
        window = as_datetime64(start), as_datetime64(end)
        found: list[ForecastSeries] = []
        for name in self.sources(zone, signal):
            if sources is None or name in sources:
                told = self._told(zone, signal, name, moment, window)
                found += sorted(told, key=lambda s: s.start[0])
        return tuple(found)

    def _told(
        self,
        zone: str,
        signal: Signal,
        source: str,
        moment: datetime,
        window: tuple[np.datetime64, np.datetime64],
    ) -> Iterator[ForecastSeries]:
        """What each instant of the window was last said to be, the newest vintage first."""
        series = self._series[zone, signal][source]
        free = [(time_us(window[0]), time_us(window[1]))] if window[0] < window[1] else []
        first_us, last_us = self._reach[(zone, signal), source]
        for n in reversed(range(self.known(zone, signal, source, moment))):
            if not any(a < last_us[n] and first_us[n] < b for a, b in free):
                return
            s = series[n]
            covers = time_us(s.start[0]), time_us(s.end[-1])
            taken, free = claim(free, *covers)
            for first, last in taken:
                part = clipped(s, np.datetime64(first, "us"), np.datetime64(last, "us"))
                if part is not None:
                    yield part


def _in_order(told: Iterable[ForecastSeries]) -> Iterator[ForecastSeries]:
    """The oldest first, and of each moment nothing twice."""
    for _, some in groupby(sorted(told, key=lambda s: s.known_at), key=lambda s: s.known_at):
        first, *others = some
        yield first
        if others:
            seen = {digest_of(first, Content.of(first))}
            for s in others:
                if (digest := digest_of(s, Content.of(s))) not in seen:
                    seen.add(digest)
                    yield s


def clipped(s: ForecastSeries, start: np.datetime64, end: np.datetime64) -> ForecastSeries | None:
    """The part of a series within `[start, end)`; None where there is none."""
    keep = slice(
        int(np.searchsorted(s.end, start, side="right")), int(np.searchsorted(s.start, end, side="left"))
    )
    if keep.start >= keep.stop:
        return None
    return replace(
        s,
        start=np.maximum(s.start[keep], start),
        end=np.minimum(s.end[keep], end),
        values=s.values[keep],
        quantiles={p: band[keep] for p, band in s.quantiles.items()},
    )
