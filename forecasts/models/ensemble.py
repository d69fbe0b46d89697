"""All of our models on one question, blended by how well each has done at each day of lead."""

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

MODELS: tuple[tuple[Forecaster, float], ...] = (
    (Ridge(), 0.5),
    (Climatology(), 0.3),
    (DayBefore(), 0.15),
    (WeekBefore(), 0.05),
)
"""Each with its weight before any outcome."""


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
    now = combine(answers[:, -1], taught.weights)
    n_past, n_hours = len(came), question.n_ahead * HOURS
    return Foreseen(
        now.ravel(),
        taught.combined.reshape(n_past, n_hours),
        came.reshape(n_past, n_hours),
        taught.weights,
        tuple(m.name for m, _ in models),
    )


def _outcomes(question: Question) -> Floats:
    """What came after each past origin, (n_past, n_ahead, 24)."""
    z, n = np.where(question.days.known, question.days.z, np.nan), question.days.n_days
    origins = np.arange(n)[question.origins][:-1]
    target = origins[:, None] + np.arange(1, question.n_ahead + 1)
    padded = np.concatenate([z, np.full((question.n_ahead, HOURS), np.nan)])
    came: Floats = padded[target]
    return came
