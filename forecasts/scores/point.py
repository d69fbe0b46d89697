"""Scores of single values: how far off, to which side, against persistence, and whether the order is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasts.scores.cases import DAY_US, Cases, Ints
from forecasts.slots import Floats


@dataclass(frozen=True)
class PointScores:
    """Of one set of cases; None where there is nothing to say it of. All but the ratios are in the series' unit.

    `mae` mean |f - y|; `bias` mean (f - y), above 0 where the forecast is too high; `rmse` root mean (f - y)^2.
    `rmae` is the MAE over that of persistence in the same cases (those in which persistence knew something), below 1
    where the forecast is better: Hyndman and Koehler, Int. J. Forecasting 22 (2006) 679-688. `skill` is 1 - rmae.
    """

    n: int
    mae: float | None = None
    bias: float | None = None
    rmse: float | None = None
    persistence_mae: float | None = None
    rmae: float | None = None
    skill: float | None = None


def point_scores(cases: Cases) -> PointScores:
    """The scores of `cases`."""
    n = len(cases)
    if not n:
        return PointScores(0)
    error = cases.forecast - cases.actual
    mae, bias, rmse = float(np.abs(error).mean()), float(error.mean()), float(np.sqrt((error**2).mean()))
    both = np.isfinite(cases.persistence)
    if not both.any():
        return PointScores(n, mae, bias, rmse)
    naive = float(np.abs(cases.persistence[both] - cases.actual[both]).mean())
    ratio = float(np.abs(error[both]).mean()) / naive if naive > 0 else None
    return PointScores(n, mae, bias, rmse, naive, ratio, None if ratio is None else 1 - ratio)


@dataclass(frozen=True, eq=False)
class DayRanks:
    """Rank correlations, one for each vintage and UTC day of which it foretold at least half, (k,) each: `rho` in -1
    to 1 and `lead_h`, the mean lead of that day's cases.
    """

    rho: Floats
    lead_h: Floats


def day_ranks(cases: Cases) -> DayRanks:
    """Spearman's rank correlation of forecast and outcome within each UTC day of each vintage.

    Pearson's correlation of the ranks, ties sharing their mean rank (Spearman, Am. J. Psychology 15 (1904) 72-101). A
    day on which either does not change has no order, and is left out.
    """
    if not len(cases):
        return DayRanks(np.empty(0), np.empty(0))
    day = cases.start_us // DAY_US
    _, group = np.unique(np.stack([cases.origin_us, day]), axis=1, return_inverse=True)
    group = group.ravel()
    size = np.bincount(group)
    a, b = (_ranks(v, group, size) for v in (cases.forecast, cases.actual))

    def mean(values: Floats) -> Floats:
        return np.bincount(group, weights=values) / size

    a, b = a - mean(a)[group], b - mean(b)[group]
    spread = np.sqrt(mean(a * a) * mean(b * b))
    half_day = size >= 12 * 60 // cases.grid.slot_minutes
    keep = half_day & (spread > 1e-12)
    return DayRanks(mean(a * b)[keep] / spread[keep], mean(cases.lead_h)[keep])


def _ranks(values: Floats, group: Ints, size: Ints) -> Floats:
    """The rank of each value within its group, from 0; equal values share the mean of theirs."""
    order = np.lexsort((values, group))
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    place = np.arange(len(values), dtype=float) - first[group[order]]
    v, g = values[order], group[order]
    run = np.concatenate([[0], np.cumsum((v[1:] != v[:-1]) | (g[1:] != g[:-1]))])
    shared = np.bincount(run, weights=place) / np.bincount(run)
    ranks = np.empty(len(values))
    ranks[order] = shared[run]
    return ranks
