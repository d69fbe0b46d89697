"""Whether what a source says now is like what it used to say: a source that goes mad must not wait for its verdict.

Outcomes of what is said now come only later, and of two days ahead in two days. But noise shows at once: it leaps from
hour to hour as the source never did, or lies as far from our own models as it never did. Both are held against its own
record of the last weeks. While it is mad, what it said last in its senses stands in. What was mad is no part of its
record, and so it is itself again at once; unless it proved right: then it has changed, or the world has.

A source that has proved wrong yesterday as never before is believed less, whatever it sounds like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats

USUAL_QUANTILE = 0.95
"""Of the record: up to this nothing is surprising."""
MARGIN = 1.25
MAD = 2.0
"""Who leaps or lies apart by so many times the usual is out of its senses."""
STEEPNESS = 6
"""Who was wrong by twice the usual keeps a 2 ** -6 th of its weight."""
RIGHT_QUANTILE = 0.75
"""Of its errors: who was not more wrong than this was right, however strange it sounded."""
MIN_RECORD = 10
LEAST = 0.05
"""Nor is up to this of an ordinary error, however exact a source was."""
SHORT_H = 24
"""[h] Of those not known when it spoke: the lead times by whose outcomes a source is judged at once."""
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

    @property
    def belief(self) -> float:
        """How much of its weight having been wrong yesterday leaves a source, 0..1."""
        return float(max(1.0, self.wrong) ** -STEEPNESS)

    def surprise(self, said: Floats, ours: Floats) -> float:
        """How far beyond the usual one is that says `said` where our models say `ours`, (n_hours,); 1 if not at all."""
        (leaps,), (apart,) = _measures(said[None, :], ours[None, :])
        return max(1.0, _beyond(leaps, self.leap), _beyond(apart, self.apart))


@dataclass(frozen=True, eq=False)
class Voice:
    """What a source is taken to say at a moment: the last that it said in its senses, `age_days` before.

    `said` (n_hours,) from the moment on, NaN where it did not speak; all NaN, and `age_days` None, where what it said
    last in its senses is more than `STANDS_IN_DAYS` old.
    """

    habit: Habit
    said: Floats
    age_days: int | None = 0

    @classmethod
    def of(cls, told: Floats, ours: Floats, came: Floats) -> tuple[Voice, Floats]:
        """That of a source which said `told` in each round and says the last row now, where our models said `ours`,
        both (n_rounds + 1, n_hours); and what it said in each round in its senses, (n_rounds, n_hours), NaN where it
        was mad. `came` (n_rounds, n_hours), at least one round.
        """
        measures, wrong = _measures(told, ours), _wrong(told[:-1], ours, came)
        sane, ordinary = _judged(measures, wrong)
        leap, apart = (_usual(measure[:-1][ordinary]) for measure in measures)
        usually_wrong = _usual(wrong[:-1][ordinary[:-1]])
        habit = Habit(leap, apart, _beyond(wrong[-1], usually_wrong) if sane[-2] else 0.0)
        rounds = np.where(sane[:-1, None], told[:-1], np.nan)
        for age_days in range(min(STANDS_IN_DAYS + 1, len(told))):
            said = np.full(told.shape[1], np.nan)
            ahead = told[-1 - age_days, age_days * DAY_H :]
            said[: len(ahead)] = ahead
            if sane[-1 - age_days] and (age_days == 0 or np.isfinite(said).any()):
                return cls(habit, said, age_days), rounds
        return cls(habit, np.full(told.shape[1], np.nan), None), rounds

    def is_mad(self, said: Floats, ours: Floats) -> bool:
        """Whether one that says `said` now, (n_hours,) from the same moment on, is out of its senses.

        Against what it is taken to say of the same hours, so that one that only runs out, or says the same again, is
        not.
        """
        spoken = np.isfinite(said) & np.isfinite(ours)
        if spoken.sum() < LEAST_HOURS:
            return bool(spoken.any()) and self.age_days != 0
        now, then = (self.habit.surprise(np.where(spoken, z, np.nan), ours) for z in (said, self.said))
        return now >= MAD * then


def _judged(measures: tuple[Floats, ...], wrong: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """In which rounds a source was in its senses, (n_rounds + 1,), by what was known then; and which of those that are
    over, (n_rounds,), are of its record: these, and the strange ones in which it proved right.

    `measures` (n_rounds + 1,) each, the last of now; `wrong` (n_rounds,), known a round later.
    """
    sane = np.ones(len(measures[0]), dtype=bool)
    ordinary = np.ones(len(wrong), dtype=bool)
    for t in range(MIN_RECORD, len(sane)):
        record = np.flatnonzero(ordinary[:t])
        sane[t] = max(_beyond(m[t], _usual(m[record])) for m in measures) < MAD
        if t < len(wrong) and not sane[t]:
            errors = wrong[record][np.isfinite(wrong[record])]
            ordinary[t] = len(errors) >= MIN_RECORD and wrong[t] <= np.quantile(errors, RIGHT_QUANTILE)
    return sane, ordinary


def _wrong(said: Floats, ours: Floats, came: Floats) -> Floats:
    """The mean error of each round, (n_rounds,), in the first `SHORT_H` hours that were not known: those of which our
    models speak, in the last row of `ours`. NaN where fewer than `LEAST_HOURS` have come.
    """
    first = int(np.argmax(np.isfinite(ours[-1])))
    errors = (said - came)[:, first : first + SHORT_H]
    few = np.isfinite(errors).sum(axis=1) < LEAST_HOURS
    return np.where(few, np.nan, _mean_size(errors))


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
