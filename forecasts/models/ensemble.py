"""All of our models on one question, blended by how well each has done at each day of lead.

A day such as history never saw says that something else holds now (a storm, a shortage), of which neither the usual day
nor a regression on earlier days knows. Then the first days ahead lean on that day itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasts.blend import blend, combine
from forecasts.models.base import Forecaster, Question
from forecasts.models.climatology import Climatology
from forecasts.models.days import HOURS
from forecasts.models.persistence import DayBefore, WeekBefore
from forecasts.models.ridge import Ridge
from forecasts.slots import Floats

DAY_BEFORE = DayBefore()
MODELS: tuple[tuple[Forecaster, float], ...] = (
    (Ridge(), 0.5),
    (Climatology(), 0.3),
    (DAY_BEFORE, 0.15),
    (WeekBefore(), 0.05),
)
"""Each with its weight before any outcome."""
UNSEEN_DAYS = 7
"""[d] The last days are no history yet: a storm of three days is as unheard of on the third."""
LEAST_HISTORY_DAYS = 56
"""[d] With less behind it a day is not called unheard of: within weeks any spring is."""
LEAN_FADE = 0.5
"""How much of the lean is left with each further day ahead."""


@dataclass(frozen=True, eq=False)
class Foreseen:
    """What our models expect, on the scale of the days.

    `z` (n_ahead * 24,) from the end of the days on; `past` (n_past, n_ahead * 24), what was combined after each earlier
    day, the oldest first; `outcomes` of the same shape, NaN where not known. `weights` (n_ahead, n_models), `names`
    (n_models,).
    """

    z: Floats
    past: Floats
    outcomes: Floats
    weights: Floats
    names: tuple[str, ...]


def foresee(question: Question) -> Foreseen:
    """The models' blend, each as far as there is history enough for it. There must be a whole day of it."""
    models = [(m, w) for m, w in MODELS if m.needs_days <= question.days.n_days]
    answers = np.stack([m.answer(question) for m, _ in models])
    came = _outcomes(question)
    taught = blend(answers[:, :-1], came, np.array([w for _, w in models]), range(1, question.n_ahead + 1))
    names = tuple(m.name for m, _ in models)
    lean = np.outer(unheard_of(question.days.z)[question.origins], LEAN_FADE ** np.arange(question.n_ahead))
    day_before = names.index(DAY_BEFORE.name)
    weights = taught.weights * (1 - lean[-1])[:, None]
    weights[:, day_before] += lean[-1]
    now = combine(answers[:, -1], weights)
    leant = lean[:-1, :, None]
    past = (1 - leant) * taught.combined + leant * answers[day_before, :-1]
    n_past, n_hours = len(came), question.n_ahead * HOURS
    return Foreseen(now.ravel(), past.reshape(n_past, n_hours), came.reshape(n_past, n_hours), weights, names)


def unheard_of(z: Floats) -> Floats:
    """How far the mean of each day of `z` (n_days, 24) lies outside all days until a week before it, (n_days,), 0..1: 1
    where it is that by an ordinary spread of the signal, which in the tails is a factor of e.
    """
    level = z.mean(axis=1)
    found = np.zeros(len(level))
    if len(level) > LEAST_HISTORY_DAYS:
        high, low = np.maximum.accumulate(level)[:-UNSEEN_DAYS], np.minimum.accumulate(level)[:-UNSEEN_DAYS]
        later = level[UNSEEN_DAYS:]
        found[UNSEEN_DAYS:] = np.clip(np.maximum(later - high, low - later), 0.0, 1.0)
        found[:LEAST_HISTORY_DAYS] = 0.0
    return found


def _outcomes(question: Question) -> Floats:
    """What came after each past origin, (n_past, n_ahead, 24)."""
    z, n = np.where(question.days.known, question.days.z, np.nan), question.days.n_days
    origins = np.arange(n)[question.origins][:-1]
    target = origins[:, None] + np.arange(1, question.n_ahead + 1)
    padded = np.concatenate([z, np.full((question.n_ahead, HOURS), np.nan)])
    came: Floats = padded[target]
    return came
