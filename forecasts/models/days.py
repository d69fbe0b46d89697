"""History as a model sees it: whole days that end where knowledge ends, on a scale on which a spike is no catastrophe.

A day here is 24 hours back from the last hour known, wherever that lies in the calendar: each model's question is what
comes next. Values are taken on the scale `asinh((value - median) / spread)`, median and spread (of the absolute
deviation) being those of the last eight weeks: linear where most values are, logarithmic in the tails, on either side
of zero (Uniejewski, Weron and Ziel 2018 on price spikes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats

HOURS = 24
SCALE_DAYS = 56
MAX_DAYS = 400
"""[d] How much of the past is looked at: all seasons once."""
MAX_HOLE_HOURS = 168
"""[h] Holes up to this long are filled with the day before; at a longer one, history begins after it."""


@dataclass(frozen=True)
class Scale:
    """`z = asinh((value - median) / spread)` and back; `spread` > 0, both in the unit of the values."""

    median: float
    spread: float

    @classmethod
    def of(cls, values: Floats) -> Scale:
        """That of values of any shape, all finite and one at least."""
        median = float(np.median(values))
        away = np.abs(values - median)
        # Where most values are the same, as with a tariff or where power is free at noon: the mean, as of a normal.
        spread = 1.4826 * float(np.median(away)) or 1.2533 * float(away.mean())
        # A signal that hardly moves must not be blown up: what differs by a per mille is the same.
        return cls(median, max(spread, 1e-3 * abs(median), 1e-6))

    def to_z(self, values: Floats) -> Floats:
        """Onto the scale."""
        z: Floats = np.arcsinh((values - self.median) / self.spread)
        return z

    def from_z(self, z: Floats) -> Floats:
        """Back from it."""
        values: Floats = np.sinh(z) * self.spread + self.median
        return values


@dataclass(frozen=True, eq=False)
class Days:
    """The past of a signal: `z` (n_days, 24) on `scale`, the last day ending at `end`, on a whole hour.

    `known` (n_days, 24) is false where a hole was filled: that is what models look back at, and no outcome.
    """

    end: datetime
    z: Floats
    scale: Scale
    known: NDArray[np.bool_]

    @property
    def n_days(self) -> int:
        """How many days of history there are."""
        return len(self.z)

    def kinds(self, n_ahead: int) -> NDArray[np.int64]:
        """Of each day known and the `n_ahead` after: 0 a weekday, 1 a Saturday, 2 a Sunday (n_days + n_ahead,).

        By the calendar day in UTC that holds the middle of it: near enough to the local one for most of its hours.
        """
        middle = self.end - timedelta(hours=HOURS // 2)
        weekday = (middle.weekday() + np.arange(-self.n_days + 1, n_ahead + 1)) % 7
        return np.where(weekday == 5, 1, np.where(weekday == 6, 2, 0))


def days_of(end: datetime, hourly: Floats, max_days: int = MAX_DAYS) -> Days | None:
    """The days before `end` from `hourly` (n,), whose last value is that of the hour before it; NaN where unknown.

    Trailing NaN must have been cut off. None where there is not a single whole day.
    """
    known = np.isfinite(hourly)
    if not known.any():
        return None
    filled = _without_holes(hourly[-max_days * HOURS :])
    n_days = len(filled) // HOURS
    if n_days == 0:
        return None
    values = filled[-n_days * HOURS :].reshape(n_days, HOURS)
    scale = Scale.of(values[-SCALE_DAYS:])
    return Days(end, scale.to_z(values), scale, known[-n_days * HOURS :].reshape(n_days, HOURS))


def mean_of_last(values: Floats, n: int) -> Floats:
    """The mean of each row of `values` (n_days, ...) and the up to `n - 1` before it, of the same shape."""
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - n, 0)
    mean: Floats = ((total[end] - total[begin]).T / (end - begin)).T
    return mean


def _without_holes(hourly: Floats) -> Floats:
    """The end of `hourly` without a hole longer than `MAX_HOLE_HOURS`; shorter ones are filled with the day before."""
    known = np.flatnonzero(np.isfinite(hourly))
    longer = np.flatnonzero(np.diff(known) > MAX_HOLE_HOURS + 1)
    first = known[longer[-1] + 1] if len(longer) else known[0]
    values = hourly[first:].copy()
    for i in np.flatnonzero(~np.isfinite(values)):
        # A hole in the first day has no day before: what came last.
        values[i] = values[i - HOURS] if i >= HOURS else values[i - 1]
    return values
