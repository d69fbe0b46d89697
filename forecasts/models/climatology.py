"""The usual day, and how what is unusual now wears off.

The usual day is the mean at each hour with weights that halve every two weeks, and a level for Saturdays and Sundays.
What the last day was above or below it fades: its last hours within a day, its mean within days, that of the last week
within weeks.
"""

from __future__ import annotations

import numpy as np

from forecasts.models.base import Question
from forecasts.models.days import HOURS, mean_of_last
from forecasts.slots import Floats

HALF_LIFE_DAYS = 14.0
FADE_HOURS = (8.0, 36.0, 360.0)
"""[h] In which the anomaly of the last three hours, the last day and the last week fall to 1/e."""


class Climatology:
    """See the module."""

    name = "climatology"
    needs_days = 7

    def answer(self, question: Question) -> Floats:
        """See `Forecaster`. Each day's usual day is made of it and those before it, none after."""
        z = question.days.z
        n = len(z)
        kinds = question.days.kinds(question.n_ahead)
        usual, level = _running(z, kinds[:n])
        anomaly = z - usual - level[np.arange(n), kinds[:n], None]
        fast = anomaly.mean(axis=1)
        last = anomaly[:, -3:].mean(axis=1)
        slow = mean_of_last(fast, 7)
        hours = np.arange(1, question.n_ahead * HOURS + 1)
        fades = [np.exp(-hours / fade) for fade in FADE_HOURS]
        i = np.arange(n)[question.origins]
        worn = (
            np.outer((last - fast)[i], fades[0])
            + np.outer((fast - slow)[i], fades[1])
            + np.outer(slow[i], fades[2])
        ).reshape(len(i), question.n_ahead, HOURS)
        ahead = i[:, None] + np.arange(1, question.n_ahead + 1)
        answered: Floats = usual[i][:, None, :] + level[i[:, None], kinds[ahead]][:, :, None] + worn
        return answered


def _running(z: Floats, kinds: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[Floats, Floats]:
    """The usual day after each day (n_days, 24), and the level of each kind of day above it (n_days, 3)."""
    keep = 0.5 ** (1 / HALF_LIFE_DAYS)
    usual, level = np.empty_like(z), np.zeros((len(z), 3))
    sums, weight = np.zeros(HOURS), 0.0
    level_sums, level_weights = np.zeros(3), np.zeros(3)
    for i, (day, kind) in enumerate(zip(z, kinds, strict=True)):
        sums, weight = keep * sums + day, keep * weight + 1
        usual[i] = sums / weight
        level_sums, level_weights = keep * level_sums, keep * level_weights
        level_sums[kind] += float((day - usual[i]).mean())
        level_weights[kind] += 1
        # One day more that was as usual: the level of a kind seldom seen is believed less.
        level[i] = level_sums / (level_weights + 1)
    return usual, level
