"""Whether what a source says now is like what it used to say: a source that goes mad must not wait for its verdict.

Outcomes of what is said now come only later, and of two days ahead in two days. But noise shows at once: it leaps from
hour to hour as the source never did, lies as far from our own models as it never did, and what it said yesterday has
already proved wrong as never before. Each of the three is held against its own record of the last weeks.

What was mad then is no part of that record: a source that is itself again is believed again at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats

USUAL_QUANTILE = 0.95
"""Of the record: up to this nothing is surprising."""
MARGIN = 1.25
STEEPNESS = 6
"""Twice what is usual leaves a 2 ** -6 th of the weight."""
MAD: float = 2 ** (1 / STEEPNESS)
"""What is that far beyond the usual keeps less than half of its weight."""
MIN_RECORD = 10
LEAST = 0.05
"""Nor is up to this of an ordinary error, however exact a source was."""
SHORT_H = 24
"""[h] The lead times by whose outcomes a source is judged at once."""


@dataclass(frozen=True)
class Habit:
    """How a source used to speak, on one scale.

    `leap` and `apart` are the most by which it usually leaps from hour to hour and lies apart from our models, NaN
    where its record is too short. `wrong` is how far beyond the usual it proved wrong yesterday, 1 at the edge of it.
    """

    leap: float
    apart: float
    wrong: float

    @classmethod
    def of(cls, said: Floats, ours: Floats, came: Floats) -> Habit:
        """That of what it said, what our models said and what came in the rounds before, each (n_rounds, n_hours), NaN
        where unknown.
        """
        wrong = _mean_size((said - came)[:, :SHORT_H])
        leaps, apart = _measures(said, ours)
        return cls(
            _usual(leaps),
            _usual(apart),
            _beyond(wrong[-1], _usual(wrong[:-1])) if len(wrong) else 0.0,
        )

    def belief(self, said: Floats, ours: Floats) -> float:
        """How much of its weight a source keeps that says `said` where our models say `ours`, each (n_hours,): 0..1."""
        (leaps,), (apart,) = _measures(said[None, :], ours[None, :])
        surprise = max(1.0, self.wrong, _beyond(leaps, self.leap), _beyond(apart, self.apart))
        return float(surprise**-STEEPNESS)


def in_their_senses(said: Floats, ours: Floats) -> NDArray[np.bool_]:
    """In which rounds a source neither leapt nor lay apart from our models so far beyond what it used to in the rounds
    before that most of its weight was gone, (n_rounds,). `said` and `ours` (n_rounds, n_hours), the oldest first.
    """
    measures = _measures(said, ours)
    sane = np.ones(len(said), dtype=bool)
    for t in range(MIN_RECORD, len(said)):
        surprise = max(_beyond(m[t], _usual(m[:t][sane[:t]])) for m in measures)
        sane[t] = surprise < MAD
    return sane


def _measures(said: Floats, ours: Floats) -> tuple[Floats, Floats]:
    """How far it leaps from hour to hour, and lies apart from our models, (n_rounds,) each, of (n_rounds, n_hours)."""
    return _mean_size(np.diff(said, axis=1)), _mean_size(said - ours)


def _usual(measure: Floats) -> float:
    """Up to what a measure (n,) is no surprise; NaN where too little is known of it."""
    known = measure[np.isfinite(measure)]
    if len(known) < MIN_RECORD:
        return np.nan
    return max(float(np.quantile(known, USUAL_QUANTILE)) * MARGIN, LEAST)


def _beyond(now: float, usual: float) -> float:
    """How far it is beyond the usual: 1 at the edge; 0 where either is not known."""
    ratio = float(now) / usual
    return ratio if np.isfinite(ratio) else 0.0


def _mean_size(values: Floats) -> Floats:
    """The mean of each row without its NaN, (n_rows,); NaN of a row that is all NaN."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, np.abs(values), 0.0).sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
