"""Whether what a source says now is like what it used to say: a source that goes mad must not wait for its verdict.

Outcomes of what is said now come only later, and of two days ahead in two days. But noise shows at once: it leaps from
hour to hour as the source never did, lies as far from our own models as it never did, and what it said yesterday has
already proved wrong as never before. Each of the three is held against its own record of the last weeks.
"""

from __future__ import annotations

import numpy as np

from forecasts.slots import Floats

USUAL_QUANTILE = 0.95
"""Of the record: up to this nothing is surprising."""
MARGIN = 1.25
STEEPNESS = 6
"""Twice what is usual leaves a 2 ** -6 th of the weight."""
MIN_RECORD = 10
LEAST = 0.05
"""Nor is up to this of an ordinary error, however exact a source was."""
SHORT_H = 24
"""[h] The lead times by whose outcomes a source is judged at once."""


def belief(said: Floats, ours: Floats, came: Floats, ours_now: Floats) -> float:
    """How much of its weight a source keeps now, 0..1.

    `said` (n_rounds + 1, n_hours), the last row what it says now; `ours` and `came` (n_rounds, n_hours) what our models
    said in the earlier rounds, and what came; `ours_now` (n_hours,). All on one scale, NaN where unknown.
    """
    leaps = _mean_size(np.diff(said, axis=1))
    apart = _mean_size(said - np.concatenate([ours, ours_now[None, :]]))
    wrong = _mean_size((said[:-1] - came)[:, :SHORT_H])
    surprise = max(1.0, _surprise(leaps), _surprise(apart), _surprise(wrong))
    return float(surprise**-STEEPNESS)


def _surprise(measure: Floats) -> float:
    """The last of `measure` (n,) against the others: 1 where it is at the edge of the usual, more beyond it."""
    known = measure[np.isfinite(measure)]
    if len(known) <= MIN_RECORD or not np.isfinite(measure[-1]):
        return 0.0
    usual = max(float(np.quantile(known[:-1], USUAL_QUANTILE)) * MARGIN, LEAST)
    return float(known[-1]) / usual


def _mean_size(values: Floats) -> Floats:
    """The mean of each row without its NaN, (n_rows,); NaN of a row that is all NaN."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, np.abs(values), 0.0).sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
