"""Whether a difference is more than noise: block bootstrap over days, and the test of Diebold and Mariano."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats

DRAWS = 2000
BLOCK_DAYS = 7
LEAST_DAYS = 14
"""Fewer days say nothing of how much days differ."""


def bootstrap(
    days: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    level: float = 0.9,
    block_days: int = BLOCK_DAYS,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The central `level` interval of a statistic of daily sums; None with fewer than `LEAST_DAYS` days.

    `days` (n_days, k) are sums of each day in order; `statistic` takes totals (draws, k) and answers (draws,). Blocks
    of consecutive days are drawn with replacement, around the end, so that what days share with their neighbours stays
    in (circular block bootstrap: Politis and Romano, in Exploring the Limits of Bootstrap, 1992). The same seed gives
    the same interval.
    """
    n = len(days)
    if n < LEAST_DAYS:
        return None
    block = min(block_days, n // 2)
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, size=(draws, -(-n // block)))
    picked = ((first[:, :, None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]
    found = statistic(days[picked].sum(axis=1))
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class DieboldMariano:
    """Two forecasts by their daily losses.

    `mean_difference`, first - second, below 0 where the first loses less; `statistic` is its size in units of noise,
    None where they differ by the same every day, so that there is none; `p_value` two-sided; `n_days` in all.
    """

    mean_difference: float
    statistic: float | None
    p_value: float
    n_days: int


def diebold_mariano(first: Floats, second: Floats, *, overlap_days: int = 1) -> DieboldMariano | None:
    """Whether two forecasts lose alike, by their mean losses of the same days (n_days,); None with too few days.

    With d_t the difference of the losses of day t, the statistic is

        mean(d) / sqrt(V / n),   V = g_0 + 2 sum_{k=1}^{L} (1 - k / (L + 1)) g_k,

    g_k the autocovariances of d (Diebold and Mariano, J. Business & Economic Statistics 13 (1995) 253-263; the weights
    of Newey and West, Econometrica 55 (1987) 703-708, keep V above 0). L is at least `overlap_days` - 1, the days that
    a forecast shares with the next one, and at least floor(4 (n / 100)^(2/9)). For small samples it is multiplied by
    sqrt((n + 1 - 2h + h (h - 1) / n) / n), h = L + 1, and compared with Student's t of n - 1 degrees of freedom
    (Harvey, Leybourne and Newbold, Int. J. Forecasting 13 (1997) 281-291).
    """
    d = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = len(d)
    if n < LEAST_DAYS:
        return None
    lags = min(max(overlap_days - 1, math.floor(4 * (n / 100) ** (2 / 9))), n // 3)
    mean, e = float(d.mean()), d - d.mean()
    gamma = [float(e[k:] @ e[: n - k]) / n for k in range(lags + 1)]
    variance = gamma[0] + 2 * sum((1 - k / (lags + 1)) * g for k, g in enumerate(gamma) if k)
    if variance <= 1e-18 * max(1.0, mean * mean):
        return DieboldMariano(mean, None, 0.0, n) if mean else DieboldMariano(0.0, 0.0, 1.0, n)
    h = lags + 1
    small = math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    statistic = mean / math.sqrt(variance / n) * small
    return DieboldMariano(mean, statistic, 2 * student_below(-abs(statistic), n - 1), n)


def student_below(t: float, degrees: int) -> float:
    """Probability that Student's t lies below `t`."""
    from scipy.special import stdtr

    return float(stdtr(degrees, t))
