"""Several series of one signal on one timeline: at each instant, the one that ranks first speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.series import ForecastSeries
from forecasts.slots import Floats, SlotGrid, Times, as_datetime64

NOBODY = -1


@dataclass(frozen=True, eq=False)
class Timeline:
    """Segments `[start, end)` (n,) that tile a window, and who speaks in each: `owner` (n,), an index into
    `series` or `NOBODY`, and `interval` (n,), the index of the owner's interval.
    """

    series: Sequence[ForecastSeries]
    start: Times
    end: Times
    owner: NDArray[np.int64]
    interval: NDArray[np.int64]

    @classmethod
    def of(cls, ranked: Sequence[ForecastSeries], start: np.datetime64, end: np.datetime64) -> Timeline:
        """The window `[start, end)` told by `ranked`, the first in rank first."""
        edges = [np.array([start, end], dtype="datetime64[us]")]
        for s in ranked:
            near = slice(
                np.searchsorted(s.end, start, side="right"), np.searchsorted(s.start, end, side="left")
            )
            edges += [s.start[near], s.end[near]]
        cut = _distinct(np.clip(np.concatenate(edges), start, end))
        left, right = cut[:-1], cut[1:]
        owner = np.full(len(left), NOBODY)
        interval = np.zeros(len(left), dtype=np.int64)
        for k, s in enumerate(ranked):
            silent = np.flatnonzero(owner == NOBODY)
            if not len(silent):
                break
            i = np.searchsorted(s.start, left[silent], side="right") - 1
            says = (i >= 0) & (s.end[i] >= right[silent])
            owner[silent[says]] = k
            interval[silent[says]] = i[says]
        return cls(ranked, left, right, owner, interval)

    def values(self, p: float | None = None) -> Floats:
        """The value of each segment, or its quantile `p`; NaN where nobody says it."""
        told = np.full(len(self.owner), np.nan)
        for k, s in enumerate(self.series):
            band = s.values if p is None else s.quantiles.get(p)
            if band is not None:
                mine = self.owner == k
                told[mine] = band[self.interval[mine]]
        return told

    def speakers(self, grid: SlotGrid) -> list[tuple[int, ...]]:
        """For each slot the owners within it, the one that speaks longest first; () where nobody does."""
        origin, slot = as_datetime64(grid.start), np.timedelta64(grid.slot)
        cut = _distinct(np.concatenate([self.start, self.end, origin + np.arange(grid.n_slots + 1) * slot]))
        cut = cut[(cut >= self.start[0]) & (cut <= self.end[-1])]
        owner = self.owner[np.searchsorted(self.start, cut[:-1], side="right") - 1]
        at = ((cut[:-1] - origin) // slot).astype(np.int64)
        length_us = np.diff(cut).astype(np.int64)
        inside = (at >= 0) & (at < grid.n_slots) & (owner != NOBODY)
        # One number a pair of slot and owner, so that the time of each is summed in one go.
        pair, which = np.unique(at[inside] * len(self.series) + owner[inside], return_inverse=True)
        held_us = np.bincount(which, weights=length_us[inside])
        heard: list[tuple[int, ...]] = [()] * grid.n_slots
        order = np.lexsort((pair, -held_us, pair // max(len(self.series), 1)))
        for i, k in zip(*(a.tolist() for a in divmod(pair[order], max(len(self.series), 1))), strict=True):
            heard[i] = (*heard[i], k)
        return heard


def _distinct(times: Times) -> Times:
    """Sorted, each once. `np.unique` hashes first, which takes ten times as long for times."""
    ordered = np.sort(times)
    kept: Times = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return kept


def averaged(ranked: Sequence[ForecastSeries], grid: SlotGrid) -> Floats:
    """What `ranked`, the first in rank first, tell of each slot, (n_slots,); NaN where that is not all of it."""
    line = Timeline.of(ranked, as_datetime64(grid.start), as_datetime64(grid.end))
    return grid.average(line.start, line.end, line.values())
