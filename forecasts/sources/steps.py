"""Steps `[start, end)` of a series, in any order: added up over parts, and made into arrays."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from forecasts.errors import ForecastRejected
from forecasts.slots import Floats, Times, as_datetime64, isoformat_z


class Step(NamedTuple):
    """What holds in `[start, end)`."""

    start: datetime  # first: steps are sorted by it
    end: datetime
    amount: float


def arrays(steps: Iterable[Step]) -> tuple[Times, Times, Floats]:
    """Starts, ends and amounts, each (n,), sorted. What comes twice in the same words comes once."""
    rows = sorted(set(steps))
    starts = np.array([as_datetime64(row.start) for row in rows], "datetime64[us]")
    ends = np.array([as_datetime64(row.end) for row in rows], "datetime64[us]")
    return starts, ends, np.array([row.amount for row in rows], dtype=float)


def added_up(parts: Iterable[Iterable[Step]]) -> list[Step]:
    """The sum of several series of steps, sorted, wherever all of them tell something.

    Steps may differ in length. A sum that lacks a part would be too low, so where one part says nothing there is
    nothing: a hole, or an earlier end. Raises ForecastRejected where a part tells of one moment twice.
    """
    rows = [sorted(set(part)) for part in parts]
    for before, after in (pair for part in rows for pair in pairwise(part)):
        if after.start < before.end:
            raise ForecastRejected(
                f"{isoformat_z(after.start)} is told of twice, as {before.amount:g} and as {after.amount:g}.",
                hint="Refused whole; it is asked again at the next poll.",
            )
    edges = sorted({edge for part in rows for step in part for edge in (step.start, step.end)})
    found = []
    for start, end in pairwise(edges):
        amounts = [_at(part, start) for part in rows]
        told = [amount for amount in amounts if amount is not None]
        if len(told) == len(rows):
            found.append(Step(start, end, sum(told)))
    return found


def _at(part: Sequence[Step], moment: datetime) -> float | None:
    i = bisect_right(part, moment, key=lambda step: step.start) - 1
    return part[i].amount if i >= 0 and part[i].end > moment else None
