"""What to expect where nobody has said anything: yesterday's value at the same time of day, marked as ours.

The plainest model there is (seasonal naive), and the fallback under any better one. It invents nothing out of
nothing: a signal of which no value is known stays missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.errors import InputError
from forecasts.slots import Floats

DAY = timedelta(days=1)
LOOKBACK = timedelta(days=7)
"""How far before the grid known values are looked at."""

MEAN = -1
"""In `Extension.origin`: the mean of all that is known."""


@dataclass(frozen=True, eq=False)
class Extension:
    """What is known and what was filled in, one entry a slot, each (n,).

    `values` with what could be filled in; `filled` where; `origin` the index of the slot that was repeated,
    `MEAN` for the mean of all that is known, and the slot itself where nothing was filled in.
    """

    values: Floats
    filled: NDArray[np.bool_]
    origin: NDArray[np.int64]


def extend(values: Floats, slot: timedelta) -> Extension:
    """Fill the NaN of `values` (n,), one a slot of length `slot`, from those that are known.

    Each takes the latest known value a whole number of days (of 24 h) before it, and where there is none the
    mean of all known. All NaN stays all NaN. Raises InputError where a day is not a whole number of slots.

    >>> extend(np.array([1.0, 3.0, np.nan, np.nan]), timedelta(hours=12)).values.tolist()
    [1.0, 3.0, 1.0, 3.0]
    """
    per_day, rest = divmod(DAY, slot)
    if rest:
        raise InputError(
            f"a day is not a whole number of slots of {slot}.", hint="Use 5, 10, 15, 30 or 60 min."
        )
    index = np.arange(len(values))
    known = np.isfinite(values)
    # Rows are days, columns times of day: running down a column, the last known row so far.
    padded = np.full(-(-len(values) // per_day) * per_day, MEAN)
    padded[: len(values)] = np.where(known, index, MEAN)
    latest = np.maximum.accumulate(padded.reshape(-1, per_day), axis=0).ravel()[: len(values)]
    if not known.any():
        return Extension(values.copy(), np.zeros(len(values), dtype=bool), index)
    mean = float(values[known].mean())
    return Extension(np.where(latest == MEAN, mean, values[latest]), ~known, latest)
