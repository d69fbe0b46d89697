"""What was measured of a load, as steps: the samples of a step become one value, and a gap stays a gap.

A step has the value of its highest sample, since what is held must cover every one of them. So the same samples make
the same steps in whatever order they came, and however often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forecasts.slots import UTC_EPOCH, Floats, to_utc

STEP_MINUTES = 5
"""[min] One step of what is measured."""


def step_of(moment: datetime, step_minutes: int = STEP_MINUTES) -> int:
    """The number of the step that holds `moment`, counted from 1970-01-01T00:00Z."""
    return (to_utc(moment) - UTC_EPOCH) // timedelta(minutes=step_minutes)


def start_of(step: int, step_minutes: int = STEP_MINUTES) -> datetime:
    """When a step begins: the inverse of `step_of`."""
    return UTC_EPOCH + step * timedelta(minutes=step_minutes)


def peaks_of(samples: Iterable[tuple[datetime, float]], step_minutes: int = STEP_MINUTES) -> dict[int, float]:
    """The highest sample of each step in which there is one, by its number."""
    peaks: dict[int, float] = {}
    for at, value in samples:
        step = step_of(at, step_minutes)
        peaks[step] = max(value, peaks.get(step, value))
    return peaks


@dataclass(frozen=True, eq=False)
class History:
    """A load by steps: `values` (n_steps,) from step number `first` on, NaN where nothing was measured."""

    first: int
    values: Floats
    step_minutes: int = STEP_MINUTES

    @classmethod
    def of(cls, steps: Iterable[tuple[int, float]], step_minutes: int = STEP_MINUTES) -> History:
        """From step numbers and values in any order, from the first of them to the last."""
        found = dict(steps)
        if not found:
            return cls(0, np.empty(0), step_minutes)
        first, last = min(found), max(found)
        values = np.full(last - first + 1, np.nan)
        values[np.fromiter(found, int) - first] = np.fromiter(found.values(), float)
        return cls(first, values, step_minutes)

    @property
    def end(self) -> int:
        """The number of the step after the last."""
        return self.first + len(self.values)

    @property
    def steps_a_day(self) -> int:
        """How many steps 24 hours have."""
        return 1440 // self.step_minutes

    @property
    def days(self) -> float:
        """In how many hours something was measured [d]: a meter may report less often than once a step."""
        known = self.first + np.flatnonzero(np.isfinite(self.values))
        return len(np.unique(known * self.step_minutes // 60)) / 24

    @property
    def last(self) -> int | None:
        """The number of the last step in which something was measured."""
        known = np.flatnonzero(np.isfinite(self.values))
        return None if len(known) == 0 else self.first + int(known[-1])

    def until(self, step: int) -> History:
        """What lies before a step."""
        return History(self.first, self.values[: max(0, step - self.first)], self.step_minutes)

    def window(self, first: int, end: int) -> Floats:
        """The values of the steps `[first, end)`, (end - first,), NaN beyond what is known."""
        found = np.full(max(0, end - first), np.nan)
        low, high = max(first, self.first), min(end, self.end)
        if high > low:
            found[low - first : high - first] = self.values[low - self.first : high - self.first]
        return found
