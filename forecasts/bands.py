"""How far prices and carbon may come out from their forecast: the quantiles of a frame as one band a signal.

A band is monotone in the normal score of a probability: linear between the quantiles that are told, and beyond the
outer ones along the outermost line, which is a normal's tail. The value itself stands at the median where no median
is told.

Ignorance is no calm. A slot without quantiles takes the deviations of the latest day before that has some at its time
of day, else their mean, as values are filled in; a zone without any takes the mean of the widest band that another
zone has. What is cleared does not move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from forecasts.extend import extend
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import FACTS, PLANNED, Kind, Signal
from forecasts.slots import Floats, SlotGrid

Key = tuple[str, Signal]
"""(zone, signal)."""


@dataclass(frozen=True, eq=False)
class Band:
    """Deviations from the forecast: `offsets` (n_levels, n_slots), ascending, at normal `scores` (n_levels,), two or
    more, ascending too.
    """

    scores: Floats
    offsets: Floats

    def at(self, scores: Floats) -> Floats:
        """Deviations at normal scores (n_paths, n_slots), of the same shape."""
        lower = np.clip(np.searchsorted(self.scores, scores, side="right") - 1, 0, len(self.scores) - 2)
        slot = np.arange(self.offsets.shape[1])
        low, high = self.offsets[lower, slot], self.offsets[lower + 1, slot]
        share = (scores - self.scores[lower]) / (self.scores[lower + 1] - self.scores[lower])
        deviations: Floats = low + share * (high - low)
        return deviations

    @property
    def width(self) -> float:
        """Mean distance from one standard deviation below to one above."""
        n = self.offsets.shape[1]
        return float((self.at(np.ones((1, n))) - self.at(-np.ones((1, n)))).mean())


def bands_of(frame: ForecastFrame) -> tuple[Mapping[Key, Band], tuple[str, ...]]:
    """A band for every zone and signal of the frame, and what had to be assumed.

    A signal of which no zone has quantiles has none: it is taken as certain. What is cleared throughout needs none.
    """
    found: dict[Key, Band] = {}
    said: list[str] = []
    for signal in PLANNED:
        signals = [s for s in frame.signals if s.signal is signal]
        own = {s.zone: band for s in signals if (band := _own_band(s, frame.grid)) is not None}
        open_zones = [s for s in signals if not set(s.kind) <= FACTS]
        if open_zones and not own:
            said.append(f"no zone's {signal} has quantiles: it is taken as certain.")
        widest = max(own.values(), key=lambda band: band.width, default=None)
        for s in open_zones:
            band = own.get(s.zone)
            if band is None and widest is not None:
                mean = widest.offsets.mean(axis=1, keepdims=True)
                band = Band(widest.scores, np.repeat(mean, frame.grid.n_slots, axis=1))
                said.append(
                    f"zone {s.zone} {signal}: no quantiles; the widest band of the other zones is assumed."
                )
            if band is not None:
                found[s.zone, signal] = _still_where_cleared(band, s.kind)
    return found, tuple(said)


def _own_band(s: SignalFrame, grid: SlotGrid) -> Band | None:
    """What the signal's own quantiles tell, filled in where they do not reach; None where they tell of no spread."""
    from scipy.special import ndtri

    facts = np.array([kind in FACTS for kind in s.kind])
    offsets: dict[float, Floats] = {}
    for p, quantile in s.quantiles.items():
        told = np.where(facts, np.nan, quantile - s.values)
        if np.isfinite(told).any():
            offsets[p] = extend(told, grid.slot).values
    if offsets and 0.5 not in offsets:
        offsets[0.5] = np.zeros(grid.n_slots)
    if len(offsets) < 2:
        return None
    levels = sorted(offsets)
    # Quantiles of blended sources may cross by a little: in order, they are a distribution again.
    return Band(np.asarray(ndtri(levels)), np.sort([offsets[p] for p in levels], axis=0))


def _still_where_cleared(band: Band, kinds: Iterable[Kind]) -> Band:
    moves = np.array([kind not in FACTS for kind in kinds])
    return Band(band.scores, np.where(moves, band.offsets, 0.0))
