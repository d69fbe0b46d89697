"""How far outcomes lie from what was said: bands that held, and that widen where they did not.

Adaptive conformal prediction (Gibbs and Candes 2021), for each quantile by itself and for each stretch of lead times:
the band at probability p is the empirical quantile, at a level p', of past errors, and p' moves after each round by

    p' <- p' + rate * (p - share of outcomes at or below the band)

so that over time a share p of outcomes lies below it, as far as errors stay within the largest there were. Errors are
divided by what is usual at their hour of the day, and pooled within the stretch. Whether five days ahead were right is
known in five days: each band of the past is made of the errors that were known then, and else would look better than it
was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecasts.models.days import HOURS
from forecasts.slots import Floats

PROBABILITIES = (0.05, 0.1, 0.25, 0.75, 0.9, 0.95)
"""Of the bands: the central 50, 80 and 90 %."""
LEAD_EDGES_H = (0, 6, 12, 24, 48, 72, 120, 168)
"""[h] Stretches of lead time that are calibrated together."""
RATE = 0.02
MIN_ROUNDS = 10
"""So many rounds with outcomes are needed for a band."""
WARM_UP_ROUNDS = 10
"""Rounds whose errors are the first band, before it is corrected."""


def bands(errors: Floats, probabilities: Sequence[float] = PROBABILITIES, *, rate: float = RATE) -> Floats:
    """What to add to a forecast for each of its quantiles, (n_probabilities, n_hours), ascending.

    `errors` (n_rounds, n_hours): outcome less forecast, by hours ahead, the oldest round first; NaN where the outcome
    is not known. NaN where fewer than `MIN_ROUNDS` rounds tell of a stretch.
    """
    n_hours = errors.shape[1]
    usual = _usual_size(errors)
    scaled = errors / usual
    found = np.full((len(probabilities), n_hours), np.nan)
    for first, last in stretches(n_hours):
        part = scaled[:, first:last]
        rounds = part[np.isfinite(part).any(axis=1)]
        if len(rounds) >= MIN_ROUNDS:
            late = -(-last // HOURS)
            found[:, first:last] = _adapted(rounds, np.array(probabilities), rate, late)[:, None]
    return np.sort(found, axis=0) * usual


def stretches(n_hours: int) -> list[tuple[int, int]]:
    """The stretches of lead time within `n_hours`, as `[first, last)`; the last goes on for as long as it takes."""
    edges = [e for e in LEAD_EDGES_H if e < n_hours]
    edges = edges[: len(LEAD_EDGES_H) - 1]
    return list(zip(edges, [*edges[1:], n_hours], strict=True))


def _usual_size(errors: Floats) -> Floats:
    """The mean size of an error at each hour ahead by its hour of the day, (n_hours,), half of it that of all hours."""
    n_hours = errors.shape[1]
    size = np.abs(errors)
    hour = np.arange(n_hours) % HOURS
    total = np.nansum(size)
    count = np.isfinite(size).sum()
    overall = total / count if count else 1.0
    by_hour = np.full(HOURS, overall)
    for h in range(min(HOURS, n_hours)):
        of_hour = size[:, hour == h]
        if np.isfinite(of_hour).any():
            by_hour[h] = np.nanmean(of_hour)
    usual: Floats = np.maximum(0.5 * (by_hour + overall), 1e-9)[hour]
    return usual


def _adapted(rounds: Floats, probabilities: Floats, rate: float, late: int) -> Floats:
    """The band after the last of `rounds` (n_rounds, n_hours), outcomes being known `late` rounds later,
    (n_probabilities,).
    """
    level, levels = probabilities, [probabilities] * late
    for t in range(len(rounds)):
        level = level.copy()
        if t + 1 - late >= WARM_UP_ROUNDS:
            band = _quantiles(rounds[: t + 1 - late], levels[t])
            came = rounds[t][np.isfinite(rounds[t])]
            level += rate * (probabilities - (came[None, :] <= band[:, None]).mean(axis=1))
        levels.append(level)
    return _quantiles(rounds, level)


def _quantiles(rounds: Floats, level: Floats) -> Floats:
    """Empirical quantiles, a little further out the fewer they are made of; beyond the outermost error that itself."""
    pool = rounds[np.isfinite(rounds)]
    # Errors of one round go together: it is rounds that are counted, not hours (split conformal's (n + 1) / n).
    n = len(rounds)
    wider = 0.5 + (level - 0.5) * (n + 1) / n
    quantiles: Floats = np.quantile(pool, np.clip(wider, 0.0, 1.0))
    return quantiles
