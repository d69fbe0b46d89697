"""What a model of the hours ahead is, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forecasts.models.days import HOURS, Days
from forecasts.slots import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Beside:
    """Another signal of the zone, hour by hour beside the days of the one that is foreseen.

    `z` (n_days * 24 + n_ahead * 24,) is what came of it on its own scale, NaN where unknown; `known_hours` is how many
    hours past the end of the days that is known (of a cleared price), negative where it ends before them. `expected`
    (n_rows, n_ahead * 24) is what was expected of it beyond that after the last days, the last row after the last of
    them, NaN where nobody but our own models said anything: never what came of it.
    """

    z: Floats
    known_hours: int
    expected: Floats | None = None

    def at_target(self, origins: Ints, n_days: int, d: int) -> Floats:
        """What was known or expected of it after each of `origins` at the hours `d` days ahead, (n_origins, 24)."""
        hours = HOURS * (d - 1) + np.arange(HOURS)
        told = np.full((len(origins), HOURS), np.nan)
        if self.expected is not None:
            row = len(self.expected) - n_days + origins  # the last row belongs to the last day
            there = row >= 0
            told[there] = self.expected[row[there]][:, hours]
        known = hours < self.known_hours
        told[:, known] = self.z[HOURS * (origins[:, None] + 1) + hours[known]]
        return told


@dataclass(frozen=True, eq=False)
class Question:
    """What follows `days`: `n_ahead` more of them, and what would have been said after each of the last `n_past`.

    `beside` is the other signal of the zone, None where it is not known.
    """

    days: Days
    n_ahead: int
    n_past: int
    beside: Beside | None = None

    @property
    def origins(self) -> slice:
        """The days after which an answer begins: the last `n_past` before the last, and the last itself."""
        n = self.days.n_days
        return slice(max(0, n - 1 - self.n_past), n)


class Forecaster(Protocol):
    """A model: a pure function of history. Adding one is a class and a line in `forecasts.models.ensemble`."""

    name: str
    needs_days: int
    """How much history it needs at least."""

    def answer(self, question: Question) -> Floats:
        """What is expected, on the scale of the days, (n_origins, n_ahead, 24): the last row after the last day.

        Row i is what the model says after day `origins[i]`. A model that learns coefficients may learn them from all
        history at once, as long as they are few against it: then what it "would have said" flatters it a little.
        """


def repeated(rows: Floats, n_ahead: int) -> Floats:
    """Each row (n, 24) as every day ahead: (n, n_ahead, 24)."""
    return np.broadcast_to(rows[:, None, :], (len(rows), n_ahead, HOURS)).copy()
