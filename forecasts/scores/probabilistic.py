"""Scores of quantiles: whether the bands are as wide as they say, and what their width is worth.

Quantiles of one forecast are `{probability: (m,)}`. Whoever gives quantiles with NaN gets NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from forecasts.scores.cases import Cases
from forecasts.slots import Floats


def pinball(quantile: Floats, actual: Floats, p: float) -> Floats:
    """Quantile loss `max(p (y - q), (p - 1)(y - q))` of each case, (m,), in the series' unit.

    Its mean is least for the true quantile `p` (Koenker and Bassett, Econometrica 46 (1978) 33-50).

    >>> pinball(np.array([10.0, 10.0]), np.array([14.0, 8.0]), 0.9).round(6).tolist()
    [3.6, 0.2]
    """
    over = actual - quantile
    return np.maximum(p * over, (p - 1) * over)


def crps(quantiles: Mapping[float, Floats], actual: Floats) -> Floats:
    """Continuous ranked probability score of each case, (m,), in the series' unit; |q - y| for one quantile.

    `CRPS = integral (F(x) - 1{x >= y})^2 dx = 2 integral_0^1 pinball_p(q(p), y) dp` (Gneiting and Raftery, JASA 102
    (2007) 359-378), exact for the distribution whose quantile function is linear between the given levels and constant
    beyond the outermost. So levels need be neither dense nor evenly spread: the mean of their pinball losses would
    count each alike, whatever share of the distribution it stands for. Quantiles that cross are put in order first.

    >>> crps({0.5: np.array([3.0])}, np.array([5.0])).tolist()
    [2.0]
    """
    levels = sorted(quantiles)
    if not levels:
        raise ValueError("a forecast without quantiles has no CRPS; take its absolute error")
    q = np.sort(np.stack([np.asarray(quantiles[p], dtype=float) for p in levels]), axis=0)
    total = np.maximum(q[0] - actual, 0) + np.maximum(actual - q[-1], 0)
    for k, (low, high) in enumerate(pairwise(levels)):
        width = q[k + 1] - q[k]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            u = np.where(width > 0, np.clip((actual - q[k]) / width, 0, 1), 0.0)
        at = low + u * (high - low)  # F(y), where y lies in this piece
        below, above = at**3 - low**3, (1 - at) ** 3 - (1 - high) ** 3
        total = total + width * (below + above) / (3 * (high - low))
    return np.asarray(total, dtype=float)


def crossings(quantiles: Mapping[float, Floats]) -> int:
    """Cases in which a higher quantile lies below a lower one: such a forecast contradicts itself."""
    levels = sorted(quantiles)
    if len(levels) < 2:
        return 0
    q = np.stack([quantiles[p] for p in levels])
    return int((np.diff(q, axis=0) < 0).any(axis=0).sum())


@dataclass(frozen=True)
class Band:
    """A central band: `nominal` the share of outcomes that it claims to hold, `coverage` the share that it held,
    `width` its mean width in the series' unit.
    """

    nominal: float
    coverage: float
    width: float


@dataclass(frozen=True)
class Level:
    """A quantile: `p` the share of outcomes that it claims to lie at or below it, `below` the share that did, and
    its mean `pinball` loss in the series' unit.
    """

    p: float
    below: float
    pinball: float


@dataclass(frozen=True)
class BandScores:
    """Of the `n` cases that have quantiles; `crossings` is in how many of them a higher one lies below a lower."""

    n: int
    crps: float | None = None
    levels: tuple[Level, ...] = ()
    bands: tuple[Band, ...] = ()
    crossings: int = 0


def band_scores(cases: Cases) -> BandScores:
    """The scores of those of `cases` that have all the quantiles that any has."""
    if not len(cases) or not cases.quantiles:
        return BandScores(0)
    whole = np.all([np.isfinite(q) for q in cases.quantiles.values()], axis=0)
    if not whole.any():
        return BandScores(0)
    y = cases.actual[whole]
    q = {p: band[whole] for p, band in sorted(cases.quantiles.items())}
    levels = tuple(Level(p, float((y <= v).mean()), float(pinball(v, y, p).mean())) for p, v in q.items())
    return BandScores(len(y), float(crps(q, y).mean()), levels, central_bands(q, y), crossings(q))


def central_bands(quantiles: Mapping[float, Floats], actual: Floats) -> tuple[Band, ...]:
    """Every band between two quantiles p and 1 - p, the narrowest first."""
    found = []
    for low in sorted((p for p in quantiles if p < 0.5), reverse=True):
        high = next((p for p in quantiles if abs(p - (1 - low)) < 1e-9), None)
        if high is not None:
            a, b = quantiles[low], quantiles[high]
            inside = (actual >= a) & (actual <= b)
            found.append(Band(round(high - low, 10), float(inside.mean()), float((b - a).mean())))
    return tuple(found)
