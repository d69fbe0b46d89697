"""The forecast of a measured load by quantile: its season, its recent level, and how far it came out before.

On the scale `log(1 + y / c)`, `c` being the mean load: multiplicative where there is load, and finite at none. With `s`
the season, `a` the mean of what was above it in the last hours, the latest most, and `b` the median of that over a day,
the load `h` ahead is expected at

    s + alpha_h a + beta_h b

where alpha and beta are least squares for each lead by itself (a direct forecast: Marcellino, Stock and Watson 2006),
drawn to a level that fades. Its quantiles are those of the errors that this very forecast would have made in the past,
by stretch of lead time and in units of what is usual at their hour (split conformal prediction; see
`forecasts.calibrate`), a little further out the fewer days tell of them, and no narrower further ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecasts.slots import Floats
from shifter.realtime.calendar import Calendar, Ints, Places
from shifter.realtime.measured import History
from shifter.realtime.season import Season, season_of

LEARN_DAYS = 90
"""[d] How much of the past is learnt from."""
LEADS_H = (
    1 / 6,
    1 / 3,
    1 / 2,
    1,
    1.5,
    2,
    3,
    4,
    6,
    8,
    10,
    12,
    15,
    18,
    21,
    24,
    30,
    36,
    42,
    48,
    72,
    96,
    120,
    144,
    168,
)
"""[h] Leads at which the past is asked; in between is interpolated."""
STRETCHES_H = (1, 3, 6, 12, 24, 48, 96, 168)
"""[h] Ends of the stretches whose errors are pooled."""
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Probabilities at which errors are kept; in between is linear in the normal score."""
_SCORES = np.array([NormalDist().inv_cdf(p) for p in LEVELS])
FAST_HALF_LIFE_H, FADES_H, LASTS_H = 1.0, 3.0, 96.0
FAST_SHARE, SLOW_SHARE = 0.8, 0.5
"""To what `alpha` and `beta` are drawn: 0.8, halving every 3 h, and half of what is left, halving every 96 h."""
PRIOR_DAYS = 2.0
"""[d] Of history that this counts for."""
SAME_AT_ALL_HOURS = 0.5
"""The share of an error's usual size that is that of all hours: nights are not trusted to be calm for ever."""
FEW = 0.25
"""Upper errors are larger by this over the number of days that tell of them."""
ERROR_HALF_LIFE_DAYS = 10.0
"""[d] An error so old counts half: what is usual changes."""
ROUNDS_A_DAY = 10.0
"""So many errors of a day are taken to tell each something of its own."""
FIRST_SIZE = 0.5
"""On the scale: the size of an error as long as none is known."""
MAX_ABOVE = 1.25
"""No quantile is above so many times the highest load that was measured."""
RECENT_H, HELD_H = 0.5, 1.0
"""[h] The level of the last half hour is held for an hour, and fades in one more."""
_NOW = np.array(np.iinfo(np.int64).max)  # a day after all that are known
MOST_ORIGINS = 5_000
SILENCE_DOUBLES_H = 24.0
"""[h] A meter silent for so long is known half as well: its quantiles lie twice as far from the median."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a history teaches: see the module. `days` [d] is how much was measured; `known_to` the step after it."""

    calendar: Calendar
    step_minutes: int
    scale: float
    highest: float
    days: float
    known_to: int
    season: Season
    leads: Ints
    """(n_leads,) [steps]"""
    level: Floats
    """(n_leads, 2): alpha and beta."""
    size: Floats
    """(24,): the usual size of an error by local hour."""
    ends: Ints
    """(n_stretches,) [steps]"""
    errors: Floats
    """(n_stretches, n_levels), in units of `size`, ascending."""

    def quantiles(
        self, recent: History, now: int, first: int, n_steps: int, probabilities: Sequence[float]
    ) -> Mapping[float, Floats]:
        """The load in the steps from number `first` on at each probability, each (n_steps,); `now` is the step of the
        moment.

        `recent` is what was measured in the last day or more. Its last step is where the forecast starts: a meter that
        falls silent is one whose last forecast stands, and widens. Never below zero, and ascending. Above the median
        they do not fall below what is measured within the hour: a rise that never was is in no error of the past.
        """
        last = recent.last
        origin = self.known_to - 1 if last is None else last
        ahead = np.maximum(1, first + np.arange(n_steps) - origin)
        places = self.calendar.places(first, n_steps, self.step_minutes)
        usual = self.season.at(places, _NOW)
        fast, slow = self._level(recent, origin)
        share = np.stack([np.interp(ahead, self.leads, of) for of in self.level.T])
        middle = usual + share[0] * fast + share[1] * slow
        size = self.size[places.time * 24 // (1440 // self.step_minutes)]
        silent_h = max(0, now - 1 - origin) * self.step_minutes / 60
        wider = 1 + silent_h / SILENCE_DOUBLES_H
        stretch = np.minimum(np.searchsorted(self.ends, ahead), len(self.ends) - 1)
        found = np.stack([_between(self.errors, p)[stretch] for p in probabilities])
        center = _between(self.errors, 0.5)[stretch]
        load = self.scale * np.expm1(np.minimum(middle + (center + (found - center) * wider) * size, 50.0))
        load = np.clip(load, 0.0, MAX_ABOVE * self.highest_with(recent))
        level, share_held = self._held(recent, origin, ahead)
        return {
            p: of if p <= 0.5 else of + share_held * np.maximum(0.0, level - of)
            for p, of in zip(probabilities, load, strict=True)
        }

    def highest_with(self, recent: History) -> float:
        """The highest load that was measured, and be it since this was learnt."""
        return max(self.highest, float(np.nanmax(recent.values, initial=0.0)))

    def _held(self, recent: History, origin: int, ahead: Ints) -> tuple[float, Floats]:
        """The recent level, and how much of it is held so many steps after `origin`, (n_steps,): 1 down to 0.

        The level is what two steps came up to: one alone is none.
        """
        latest = recent.window(origin + 1 - round(RECENT_H * 60 / self.step_minutes), origin + 1)
        lead_h = ahead * self.step_minutes / 60
        level = float(np.sort(np.nan_to_num(latest))[-2]) if len(latest) > 1 else 0.0
        return level, np.clip(1 + HELD_H - lead_h, 0.0, 1.0)

    def _level(self, recent: History, origin: int) -> tuple[float, float]:
        """`a` and `b` at a step, from what was measured of the day before it."""
        n = 25 * 60 // self.step_minutes
        first = origin + 1 - n
        values = self.to_scale(recent.window(first, origin + 1))
        places = self.calendar.places(first, n, self.step_minutes)
        above = values - self.season.at(places, _NOW)
        fast, slow = _levels(above, first, self.step_minutes)
        return float(fast[-1]), float(slow[-1])

    def to_scale(self, values: Floats) -> Floats:
        """Loads on the scale on which they are forecast."""
        found: Floats = np.log1p(values / self.scale)
        return found


def learn(history: History, calendar: Calendar) -> Learnt | None:
    """What the last `LEARN_DAYS` of a history teach; None where nothing was measured."""
    last = history.last
    if last is None:
        return None
    first = max(history.first, last + 1 - LEARN_DAYS * history.steps_a_day)
    minutes, values = history.step_minutes, history.window(first, last + 1)
    mean = float(np.nanmean(values))
    scale = mean if mean > 0 else 1.0
    z = np.log1p(values / scale)
    places = calendar.places(first, len(z), minutes)
    season = season_of(z, places, history.steps_a_day)
    above = z - season.at(places, places.day)
    leads = np.unique(np.maximum(1, np.round(np.array(LEADS_H) * 60 / minutes).astype(np.int64)))
    ends = np.round(np.array(STRETCHES_H) * 60 / minutes).astype(np.int64)
    level, told = _past(z, places, season, _levels(above, first, minutes), leads, minutes)
    hour = places.time * 24 // history.steps_a_day
    size = _usual_size(np.concatenate([hour[to] for to, _ in told]), np.concatenate([e for _, e in told]))
    scaled = [(places.day[to], error / size[hour[to]]) for to, error in told]
    days = History(first, values, minutes).days
    highest = float(np.nanmax(values))
    errors = _errors(scaled, leads, ends)
    return Learnt(calendar, minutes, scale, highest, days, last + 1, season, leads, level, size, ends, errors)


def _past(
    z: Floats, places: Places, season: Season, levels: tuple[Floats, Floats], leads: Ints, step_minutes: int
) -> tuple[Floats, list[tuple[Ints, Floats]]]:
    """How the level lasts, (n_leads, 2), and by lead the errors of the past: where they lie and how large, (n,) each.

    The past is asked from all steps, or from some whose stride shares no factor with the hour: all its minutes come.
    """
    stride = 1 if len(z) <= MOST_ORIGINS else 7
    origins = np.arange(0, len(z), stride)
    origins = origins[np.isfinite(z[origins])]
    features = np.stack(levels, axis=1)
    found, told = [], []
    for lead in leads:
        at = origins[origins + lead < len(z)]
        to = at + lead
        after = z[to] - season.at(places.take(to), places.day[at])
        use = np.isfinite(after)
        at, to, after = at[use], to[use], after[use]
        weight = 0.5 ** ((places.day[-1] - places.day[at]) / ERROR_HALF_LIFE_DAYS)
        lasts = _fitted(features[at], after, weight, lead * step_minutes / 60, 1440 / step_minutes / stride)
        found.append(lasts)
        told.append((to, after - features[at] @ lasts))
    return np.array(found), told


def _levels(above: Floats, first: int, step_minutes: int) -> tuple[Floats, Floats]:
    """What was above the season: `a` and `b` after each step, each (n_steps,), from `above` (n_steps,), NaN in gaps.

    A mean over few steps after a gap is drawn to zero; so is one that lies long ago.
    """
    seen = np.isfinite(above)
    filled = np.where(seen, above, 0.0)
    back_h = np.arange(10 * 60 // step_minutes) * step_minutes / 60
    counts = 0.5 ** (back_h / FAST_HALF_LIFE_H)
    counts /= counts.sum()
    total = np.convolve(filled, counts)[: len(above)]
    weight = np.convolve(seen.astype(float), counts)[: len(above)]
    fast: Floats = total / (weight + 0.1)
    return fast, _daily_median(filled, seen, first, step_minutes)


def _daily_median(filled: Floats, seen: Floats, first: int, step_minutes: int) -> Floats:
    """The median over the 24 hours before the hour of each step of the means of these hours, (n_steps,)."""
    hour_steps = 60 // step_minutes
    lead_in = first % hour_steps
    hour = (np.arange(len(filled)) + lead_in) // hour_steps
    n_hours = int(hour[-1]) + 1
    count = np.bincount(hour, seen, n_hours)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(hour, filled, n_hours) / count
    # An hour without samples tells nothing: as if all had been usual.
    padded = np.concatenate([np.zeros(24), np.nan_to_num(mean)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 24)
    medians: Floats = np.median(windows, axis=1)[hour]
    return medians


def _fitted(features: Floats, after: Floats, weights: Floats, lead_h: float, origins_a_day: float) -> Floats:
    """`alpha` and `beta` of a lead, (2,): ridge regression towards a level that fades."""
    fades = FAST_SHARE * 0.5 ** (lead_h / FADES_H)
    prior = np.array([fades, SLOW_SHARE * (1 - fades) * 0.5 ** (lead_h / LASTS_H)])
    if len(after) == 0:
        return prior
    few = PRIOR_DAYS * origins_a_day * max(float(np.mean(features**2)), 1e-9)
    weighed = features.T * weights
    found: Floats = prior + np.linalg.solve(
        weighed @ features + few * np.eye(2), weighed @ (after - features @ prior)
    )
    return found


def _usual_size(hour: Ints, errors: Floats) -> Floats:
    """The mean size of an error at each local hour, (24,), in part that of all hours."""
    if len(errors) == 0:
        return np.full(24, FIRST_SIZE)
    size = np.abs(errors)
    overall = float(size.mean())
    count = np.bincount(hour, minlength=24)
    by_hour = np.where(count > 0, np.bincount(hour, size, 24) / np.maximum(count, 1), overall)
    found: Floats = np.maximum(SAME_AT_ALL_HOURS * overall + (1 - SAME_AT_ALL_HOURS) * by_hour, 1e-6)
    return found


def _errors(told: Sequence[tuple[Ints, Floats]], leads: Ints, ends: Ints) -> Floats:
    """Quantiles of the errors by stretch, (n_stretches, n_levels). `told` is by lead: days, and errors (n,) each."""
    levels = np.array(LEVELS)
    found = np.empty((len(ends), len(levels)))
    before = 1.2533 * _SCORES  # of a normal whose mean size is 1: as long as nothing is known
    for i, end in enumerate(ends):
        begin = ends[i - 1] if i else 0
        parts = [of for lead, of in zip(leads, told, strict=True) if begin < lead <= end]
        days = np.unique(np.concatenate([d for d, _ in parts] or [np.empty(0, np.int64)]))
        if len(days) > 0:
            n = float((0.5 ** ((days[-1] - days) / ERROR_HALF_LIFE_DAYS)).sum())
            further = np.clip(0.5 + (levels - 0.5) * (1 + 1 / (ROUNDS_A_DAY * n)), 0, 1)
            weight = 0.5 ** ((days[-1] - np.concatenate([d for d, _ in parts])) / ERROR_HALF_LIFE_DAYS)
            here = _weighted_quantiles(np.concatenate([e for _, e in parts]), weight, further)
            here = np.where(levels > 0.5, np.maximum(here, 0) * (1 + FEW / len(days)), here)
            before = np.where(levels > 0.5, np.maximum(before, here) if i else here, here)
        found[i] = before
    return np.sort(found, axis=1)


def _weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    """Quantiles of `values` (n,) that count as much as their `weights` say, (n_levels,); each is one of them."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    found: Floats = values[order][np.searchsorted(reached, levels * reached[-1]).clip(0, len(values) - 1)]
    return found


def _between(errors: Floats, probability: float) -> Floats:
    """The errors of each stretch at any probability, (n_stretches,): linear in the normal score, beyond too."""
    score = NormalDist().inv_cdf(min(max(probability, 1e-6), 1 - 1e-6))
    low = int(np.clip(np.searchsorted(_SCORES, score) - 1, 0, len(LEVELS) - 2))
    share = (score - _SCORES[low]) / (_SCORES[low + 1] - _SCORES[low])
    found: Floats = errors[:, low] + share * (errors[:, low + 1] - errors[:, low])
    return found
