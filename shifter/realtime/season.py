"""The season of a load: what is usual at a time of a kind of day, as it was known at the end of every day.

On a scale on which a day's shape is a sum: a time of day, and what kind of day it is, each a mean in which days count
less the older they are, drawn to the overall mean as long as few were seen. As it was known each day, so that what the
season would have said of the past can be held against what came, without a look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.realtime.calendar import KINDS, Ints, Places

HALF_LIFE_DAYS = 14.0
"""[d] After so long a day counts half of what it did."""
KIND_HALF_LIFE_DAYS = 56.0
"""[d] The same of what Saturdays and Sundays differ by: they come once a week."""
SMOOTH_MINUTES = 20.0
"""[min] Times of day are smoothed by a normal of this width: peaks do not come to the minute."""
FEW_DAYS, FEW_OF_KIND = 0.5, 0.5
"""How many days the overall mean, and no difference between kinds of days, count for."""


@dataclass(frozen=True, eq=False)
class Season:
    """`known` (n_days + 1, n_kinds, n_times): what was usual by what was known before each day, and after the last.

    Days count from number `first_day`. Nothing is usual before the first: NaN.
    """

    first_day: int
    known: Floats

    def at(self, places: Places, by: Ints) -> Floats:
        """What is usual at places, (n,), by what was known before the days `by` (n,)."""
        row = np.clip(by - self.first_day, 0, len(self.known) - 1)
        found: Floats = self.known[row, places.kind, places.time]
        return found


def season_of(values: Floats, places: Places, n_times: int) -> Season:
    """Of values (n_steps,), NaN where unknown, at their places; `n_times` steps make a day."""
    first_day = int(places.day[0])
    n_days = int(places.day[-1]) - first_day + 1
    total, count = np.zeros((n_days, n_times)), np.zeros((n_days, n_times))
    seen = np.isfinite(values)
    where = (places.day[seen] - first_day, places.time[seen])
    np.add.at(total, where, values[seen])
    np.add.at(count, where, 1.0)
    kinds = np.zeros(n_days, dtype=np.int64)
    kinds[places.day - first_day] = places.kind
    return Season(first_day, _by_day(total, count, kinds, _kernel(n_times)))


def _by_day(total: Floats, count: Floats, kinds: Ints, kernel: Floats) -> Floats:
    n_days, n_times = total.shape
    smooth_total, smooth_count = total @ kernel, count @ kernel
    keep, keep_kind = 0.5 ** (1 / HALF_LIFE_DAYS), 0.5 ** (1 / KIND_HALF_LIFE_DAYS)
    known = np.full((n_days + 1, len(KINDS), n_times), np.nan)
    sums, weights = np.zeros(n_times), np.zeros(n_times)
    differs, of_kind = np.zeros((len(KINDS), n_times)), np.zeros((len(KINDS), n_times))
    usual = None
    for day, kind in enumerate(kinds):
        if usual is not None:
            known[day] = usual + differs / (of_kind + FEW_OF_KIND)
            differs, of_kind = differs * keep_kind, of_kind * keep_kind
            differs[kind] += smooth_total[day] - smooth_count[day] * usual
            of_kind[kind] += smooth_count[day]
        # What its kind differs by is no part of what is usual on every day.
        own = differs[kind] / (of_kind[kind] + FEW_OF_KIND)
        sums = sums * keep + smooth_total[day] - smooth_count[day] * own
        weights = weights * keep + smooth_count[day]
        if weights.sum() > 0:
            usual = (sums + FEW_DAYS * sums.sum() / weights.sum()) / (weights + FEW_DAYS)
    if usual is not None:
        known[-1] = usual + differs / (of_kind + FEW_OF_KIND)
    return known


def _kernel(n_times: int) -> Floats:
    """(n_times, n_times): rows sum to 1, around the clock."""
    away = np.abs(np.arange(n_times)[:, None] - np.arange(n_times))
    away = np.minimum(away, n_times - away) * (1440 / n_times / SMOOTH_MINUTES)
    weight = np.exp(-0.5 * away**2)
    kernel: Floats = weight / weight.sum(axis=1, keepdims=True)
    return kernel
