"""It will be as it was: the day before, or the same day of the week before. What every model must beat."""

from __future__ import annotations

import numpy as np

from forecasts.models.base import Question, repeated
from forecasts.slots import Floats


class DayBefore:
    """The last day known, again and again."""

    name = "day before"
    needs_days = 1

    def answer(self, question: Question) -> Floats:
        """See `Forecaster`."""
        return repeated(question.days.z[question.origins], question.n_ahead)


class WeekBefore:
    """The latest day known that is a whole number of weeks before; NaN where there is none yet."""

    name = "week before"
    needs_days = 14

    def answer(self, question: Question) -> Floats:
        """See `Forecaster`."""
        z, n = question.days.z, question.days.n_days
        origin = np.arange(n)[question.origins, None]
        ahead = np.arange(1, question.n_ahead + 1)
        weeks = -(-ahead // 7)
        same = origin + ahead - 7 * weeks
        answered: Floats = np.where(same[:, :, None] >= 0, z[np.maximum(same, 0)], np.nan)
        return answered
