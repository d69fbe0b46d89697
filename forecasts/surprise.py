"""Whether what a source says now is like what it used to say: a source that goes mad must not wait for its verdict.

Outcomes of what is said now come only later, and of two days ahead in two days. But noise shows at once: it leaps from
hour to hour as the source never did, lies as far from our own models as it never did, and what it said yesterday has
already proved wrong as never before. Each of the three is held against its own record of the last weeks.

While it is mad, what it said last in its senses stands in. What was mad, and was not right all the same, is no part of
its record: a source that is itself again is believed again at once.
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
"""Up to twice what is usual leaves down to a 2 ** -6 th of the weight: a day may be unusual."""
MAD = 2.0
"""Who is that far beyond the usual is out of its senses."""
RIGHT_QUANTILE = 0.75
"""Of its errors: who was not more wrong than this was right, however strange it sounded."""
MIN_RECORD = 10
LEAST = 0.05
"""Nor is up to this of an ordinary error, however exact a source was."""
SHORT_H = 24
"""[h] The lead times by whose outcomes a source is judged at once."""
DAY_H = 24
STANDS_IN_DAYS = 2
"""[d] What was said longer ago does not stand in for what is said now."""
LEAST_HOURS = 12
"""[h] Who speaks of fewer than this leaps and strays as it likes: a mean over so few tells nothing."""


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
        return float(max(self.surprise(said, ours), self.wrong) ** -STEEPNESS)

    def surprise(self, said: Floats, ours: Floats) -> float:
        """How far beyond the usual one is that says `said` where our models say `ours`, (n_hours,); 1 if not at all."""
        (leaps,), (apart,) = _measures(said[None, :], ours[None, :])
        return max(1.0, _beyond(leaps, self.leap), _beyond(apart, self.apart))


@dataclass(frozen=True, eq=False)
class Voice:
    """What a source is taken to say at a moment: the last that it said in its senses, `age_days` before.

    `said` (n_hours,) from the moment on, NaN where it did not speak, and all NaN where what it said last in its senses
    is more than `STANDS_IN_DAYS` old.
    """

    habit: Habit
    said: Floats
    age_days: int = 0

    @classmethod
    def of(cls, told: Floats, ours: Floats, came: Floats) -> tuple[Voice, Floats]:
        """That of a source which said `told` in each round and says the last row now, where our models said `ours`,
        both (n_rounds + 1, n_hours); and its rounds, NaN where it was mad. `came` (n_rounds, n_hours).
        """
        outcomes = np.concatenate([came, np.full((1, came.shape[1]), np.nan)])
        sane = in_their_senses(told, ours, outcomes)
        rounds = np.where(sane[:-1, None], told[:-1], np.nan)
        habit = Habit.of(rounds, ours[:-1], came)
        n_hours = told.shape[1]
        for age_days in np.flatnonzero(sane[::-1])[: STANDS_IN_DAYS + 1].tolist():
            ahead = told[-1 - age_days, age_days * DAY_H :]
            if age_days == 0 or (age_days <= STANDS_IN_DAYS and np.isfinite(ahead).any()):
                return cls(habit, np.append(ahead, np.full(n_hours - len(ahead), np.nan)), age_days), rounds
        return cls(habit, np.full(n_hours, np.nan), STANDS_IN_DAYS + 1), rounds

    def trust(self, said: Floats, ours: Floats) -> float:
        """How much of its weight a source keeps that says `said` now, (n_hours,) from the same moment on: 0..1, and 0
        where it is out of its senses.

        Against what it is taken to say of the same hours, so that one that only runs out, or says the same again,
        keeps it all.
        """
        spoken = np.isfinite(said) & np.isfinite(ours)
        if spoken.sum() < LEAST_HOURS:
            return 0.0 if self.age_days else 1.0
        now, then = (self.habit.surprise(np.where(spoken, z, np.nan), ours) for z in (said, self.said))
        if now >= MAD * then:
            return 0.0
        now, then = (max(surprise, self.habit.wrong) for surprise in (now, then))
        return min(1.0, (then / now) ** STEEPNESS)


def in_their_senses(said: Floats, ours: Floats, came: Floats) -> NDArray[np.bool_]:
    """In which rounds a source neither leapt nor lay apart from our models far beyond what it used to in the rounds
    before, or proved right all the same, (n_rounds,): it may have changed for good, or the world have.

    All (n_rounds, n_hours), the oldest first, `came` NaN where not known.
    """
    measures = _measures(said, ours)
    wrong = _mean_size((said - came)[:, :SHORT_H])
    sane = np.ones(len(said), dtype=bool)
    for t in range(MIN_RECORD, len(said)):
        before = np.flatnonzero(sane[:t])
        if max(_beyond(m[t], _usual(m[before])) for m in measures) >= MAD:
            known = wrong[before][np.isfinite(wrong[before])]
            sane[t] = len(known) >= MIN_RECORD and wrong[t] <= np.quantile(known, RIGHT_QUANTILE)
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
