"""What an operator announces of real-time load: from when to when it is so many times as much, or so much more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.realtime.measured import History, step_of


@dataclass(frozen=True)
class AnnouncedLoad:
    """In `[start, end)` the load is `factor` times what it would be, and `added` more [accelerators].

    Of one pool, of all pools of a site, or of all.
    """

    name: str
    start: datetime
    end: datetime
    factor: float = 1.0
    added: float = 0.0
    site: str | None = None
    pool: str | None = None

    def concerns(self, key: PoolKey) -> bool:
        """Whether it is about that pool."""
        return self.site in {None, key[0]} and self.pool in {None, key[1]}


def changes(
    announced: Iterable[AnnouncedLoad], first: int, n_steps: int, step_minutes: int
) -> tuple[Floats, Floats]:
    """Factor and addition in the steps from number `first` on, (n_steps,) each: factors multiply, additions add up.

    A step that one touches counts whole.
    """
    factor, added = np.ones(n_steps), np.zeros(n_steps)
    for one in announced:
        begin = max(0, step_of(one.start, step_minutes) - first)
        end = step_of(one.end, step_minutes) - first
        end += start_inside(one.end, step_minutes)
        if end > begin:
            factor[begin:end] *= one.factor
            added[begin:end] += one.added
    return factor, added


def start_inside(moment: datetime, step_minutes: int) -> bool:
    """Whether a moment lies inside a step, not at its start."""
    return moment.timestamp() % (step_minutes * 60) > 0


def as_if_none(history: History, announced: Sequence[AnnouncedLoad]) -> History:
    """The history as it would have been without what was announced: what is learnt is the usual.

    Where the load was announced to be none at all, what is usual cannot be told: a gap.
    """
    if not announced or len(history.values) == 0:
        return history
    factor, added = changes(announced, history.first, len(history.values), history.step_minutes)
    values = np.maximum(0.0, history.values - added) / np.where(factor > 0, factor, np.nan)
    return replace(history, values=values)
