"""A regression of the days ahead on the days before, one for each day of lead, the same at every hour of the day.

    z[i + d, h] = mean28[i, h] + b_d . x(i, d, h)

`x` holds the shape and the level of the last day, of the last three, seven and 28, of the last day of the same weekday;
how the last three hours stood out; the kinds of both days (weekday, Saturday, Sunday); and of the zone's other signal
its recent levels, its last known value at that hour and the usual one. Where the other signal is known at the target
hour itself (a cleared price where carbon is foreseen, a published forecast of carbon where the price is), that too, by
coefficients of their own.

Few coefficients and much data: least squares with a ridge, days weighted by age, outliers once by Huber's weights. It
is the idea of LEAR (Lago et al. 2021, day-ahead prices regressed on lagged days) with hours pooled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasts.models.base import Beside, Question
from forecasts.models.days import HOURS, mean_of_last
from forecasts.slots import Floats

RIDGE = 0.02
"""Of the regressors' variance, all scaled to one."""
HALF_LIFE_DAYS = 150.0
HUBER = 1.5
"""Residuals beyond so many standard deviations count as if they were there."""
GUARD_DAYS = 3
"""[d] On either side of what is left out: days next to each other are alike."""
LONGEST_MEAN_DAYS = 28
USUAL_DAYS = 14
"""[d] Over which the other signal's usual value at an hour is taken."""


class Ridge:
    """See the module."""

    name = "regression"
    needs_days = 2 * LONGEST_MEAN_DAYS

    def answer(self, question: Question) -> Floats:
        """See `Forecaster`. One set of coefficients a day of lead, learnt from all of history."""
        past = _Past.of(question)
        n = question.days.n_days
        origins = np.arange(n)[question.origins]
        low, high = past.z.min() - 1.0, past.z.max() + 1.0
        answered = np.empty((len(origins), question.n_ahead, HOURS))
        for d in range(1, question.n_ahead + 1):
            # The first days have no long mean, and no week of the other signal, behind them.
            known = np.arange(LONGEST_MEAN_DAYS + 2, n - d)
            x, ahead = past.regressors(known, d), past.regressors(origins, d)
            answered[:, d - 1] = _one_day(past, known, origins, d, x, ahead)
            if question.beside is None:
                continue
            # Where the other signal is known or expected at the target, that is put where, in learning, stood what
            # came: of an expectation that errs no more to one side than to the other the same follows.
            there = question.beside.at_target(origins, n, d)
            if (told := np.isfinite(there)).any():
                x, ahead = _with(x, past.came_at_target(known, d)), _with(ahead, np.nan_to_num(there))
                with_it = _one_day(past, known, origins, d, x, ahead)
                answered[:, d - 1] = np.where(told, with_it, answered[:, d - 1])
        return np.clip(answered, low, high)


@dataclass(frozen=True, eq=False)
class _Past:
    """What regressors are taken from. `means` by number of days, each (n_days, 24), up to and with each day."""

    z: Floats
    kinds: NDArray[np.int64]
    means: dict[int, Floats]
    beside: Beside | None
    beside_z: Floats
    beside_sum: Floats

    @classmethod
    def of(cls, question: Question) -> _Past:
        z = question.days.z
        beside = question.beside
        filled = np.zeros(0) if beside is None else _bridged(beside.z)
        return cls(
            z,
            question.days.kinds(question.n_ahead),
            {w: mean_of_last(z, w) for w in (1, 3, 7, LONGEST_MEAN_DAYS)},
            beside,
            filled,
            np.concatenate([[0.0], np.cumsum(filled)]),
        )

    def came_at_target(self, i: NDArray[np.int64], d: int) -> Floats:
        """What came of the other signal at the hours of the day `d` after each of `i`, (n, 24)."""
        came: Floats = self.beside_z[HOURS * (i[:, None] + d) + np.arange(HOURS)]
        return came

    def regressors(self, i: NDArray[np.int64], d: int) -> Floats:
        """(n, 24, n_regressors) for the origins `i` (n,), but for the other signal at the target."""
        same = np.maximum(i + d - 7 * -(-d // 7), 0)
        base = self.means[LONGEST_MEAN_DAYS]
        columns: list[Floats] = []
        for profile in (*(self.means[w][i] for w in self.means), self.z[same]):
            level = profile.mean(axis=1, keepdims=True)
            columns += [profile - level, np.broadcast_to(level, profile.shape)]
        stands_out = (self.z - base)[i]
        last = stands_out[:, -3:].mean(axis=1, keepdims=True) - stands_out.mean(axis=1, keepdims=True)
        fade = np.exp(-np.arange(1, HOURS + 1) / 6) if d == 1 else np.ones(HOURS)
        columns.append(last * fade)
        for kinds in (self.kinds[i + d], self.kinds[i]):
            columns += [
                np.broadcast_to((kinds == kind)[:, None].astype(float), (len(i), HOURS)) for kind in (1, 2)
            ]
        if self.beside is not None:
            columns += self._beside(i, d, self.beside.known_hours)
        return np.stack(columns, axis=-1)

    def _beside(self, i: NDArray[np.int64], d: int, known_hours: int) -> list[Floats]:
        # How many hours are known at each origin; before there is a day of them, the first stands for it.
        ends = np.maximum(HOURS * (i + 1) + known_hours, HOURS)
        target = HOURS * (i[:, None] + d) + np.arange(HOURS)
        columns = [
            np.broadcast_to(
                ((self.beside_sum[ends] - self.beside_sum[np.maximum(ends - HOURS * w, 0)]) / (HOURS * w))[
                    :, None
                ],
                target.shape,
            )
            for w in (1, 3, LONGEST_MEAN_DAYS)
        ]
        back = HOURS * np.maximum(-(-(target - ends[:, None] + 1) // HOURS), 0)
        latest = target - back
        week = np.stack([self.beside_z[np.maximum(latest - HOURS * j, 0)] for j in range(USUAL_DAYS)])
        return [*columns, self.beside_z[latest], week.mean(axis=0)]


def _one_day(
    past: _Past, known: NDArray[np.int64], origins: NDArray[np.int64], d: int, x: Floats, ahead: Floats
) -> Floats:
    """What is expected `d` days after each of `origins`, (n_origins, 24), by regressors `x` of the days `known` and
    `ahead` of the origins.

    After the last day by all of history; after each before it by all but the days about it, so that what is said to
    have been expected is not what was seen.
    """
    base = past.means[LONGEST_MEAN_DAYS]
    n = len(past.z)
    weight = 0.5 ** ((n - 1 - (known + d)) / HALF_LIFE_DAYS)
    centre = np.tensordot(weight, x.mean(axis=1), 1) / weight.sum()
    spread = np.sqrt(np.tensordot(weight, ((x - centre) ** 2).mean(axis=1), 1) / weight.sum()) + 1e-6
    one = np.ones(1)
    scaled = _with((x - centre) / spread, one)
    y = past.z[known + d] - base[known]
    residual = y - scaled @ _slope(scaled, y, weight[:, None] * np.ones(HOURS))
    bound = HUBER * 1.4826 * float(np.median(np.abs(residual))) + 1e-9
    robust = weight[:, None] * np.minimum(1.0, bound / np.maximum(np.abs(residual), 1e-12))
    sums = _Sums.of(scaled, y, robust)
    about = np.searchsorted(known, [origins - d - GUARD_DAYS, origins + d + GUARD_DAYS + 1])
    about[:, origins == n - 1] = 0
    expected: Floats = base[origins] + np.einsum(
        "ihk,ik->ih", _with((ahead - centre) / spread, one), sums.slopes_without(*about)
    )
    return expected


def _with(x: Floats, column: Floats) -> Floats:
    """Regressors (..., k) and one more (...)."""
    return np.concatenate([x, np.broadcast_to(column, x.shape[:-1])[..., None]], axis=-1)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Normal equations, summed up to each day: `gram` (n_days + 1, k, k) and `moment` (n_days + 1, k)."""

    gram: Floats
    moment: Floats
    weight: float

    @classmethod
    def of(cls, x: Floats, y: Floats, weight: Floats) -> _Sums:
        """From regressors (n_days, 24, k), what they explain and its weights (n_days, 24)."""
        weighted = x * weight[:, :, None]
        gram = np.matmul(weighted.transpose(0, 2, 1), x)
        moment = np.einsum("ihk,ih->ik", weighted, y)
        return cls(_up_to(gram), _up_to(moment), float(weight.sum()))

    def slopes_without(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
        """By all days but those from `first` to before `last`, (n, k), for each pair of them."""
        gram = self.gram[-1] - (self.gram[last] - self.gram[first])
        moment = self.moment[-1] - (self.moment[last] - self.moment[first])
        return _solved(gram, moment, self.weight)


def _slope(x: Floats, y: Floats, weight: Floats) -> Floats:
    """By all days, (k,): regressors (n_days, 24, k), what they explain and its weights (n_days, 24)."""
    rows = x.reshape(-1, x.shape[-1])
    weighted = rows * weight.reshape(-1, 1)
    gram, moment = weighted.T @ rows, weighted.T @ y.ravel()
    slope: Floats = _solved(gram[None], moment[None], float(weight.sum()))[0]
    return slope


def _solved(gram: Floats, moment: Floats, weight: float) -> Floats:
    """Slopes (n, k) of normal equations (n, k, k) and (n, k), drawn to zero but for the last, which is the level."""
    penalty: Floats = RIDGE * weight * np.eye(gram.shape[-1], dtype=np.float64)
    penalty[-1, -1] = 1e-9 * weight
    solved = np.linalg.solve(gram + penalty, moment[:, :, None])
    slopes: Floats = solved[:, :, 0].astype(np.float64, copy=False)
    return slopes


def _up_to(sums: Floats) -> Floats:
    total: Floats = np.concatenate([np.zeros_like(sums[:1]), np.cumsum(sums, axis=0)])
    return total


def _bridged(z: Floats) -> Floats:
    """Hours (n,) with a straight line over each hole; zeros where nothing is known."""
    known = np.flatnonzero(np.isfinite(z))
    return np.interp(np.arange(len(z)), known, z[known]) if len(known) else np.zeros(len(z))
