"""Where a step lies in the local calendar: its day, its time of day, and whether that day is a working one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

KINDS = ("working day", "Saturday", "Sunday or holiday")
"""Of days, by the numbers that stand for them."""


@dataclass(frozen=True, eq=False)
class Places:
    """Steps in the calendar, each array (n_steps,): `day` counts from 1970-01-01, `time` is the step of the local day
    by the clock on the wall, `kind` indexes `KINDS`.
    """

    day: Ints
    time: Ints
    kind: Ints

    def take(self, which: Ints) -> Places:
        """Some of them, (n,) each."""
        return Places(self.day[which], self.time[which], self.kind[which])


@dataclass(frozen=True)
class Calendar:
    """The local time of a site and its holidays, which are as Sundays."""

    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()

    @classmethod
    def of(cls, zone: ZoneInfo, holidays: Collection[date] = ()) -> Calendar:
        """From any collection of dates."""
        return cls(zone, frozenset(holidays))

    def places(self, first: int, n_steps: int, step_minutes: int) -> Places:
        """Where the `n_steps` steps from number `first` on lie.

        When clocks go back an hour comes twice by the wall, and when they go forward one is missing: people follow the
        wall, and so does their load.
        """
        return _places(self, first, n_steps, step_minutes)


@lru_cache(maxsize=16)  # all pools of a site ask for the same
def _places(calendar: Calendar, first: int, n_steps: int, step_minutes: int) -> Places:
    minutes = (first + np.arange(n_steps, dtype=np.int64)) * step_minutes
    local = minutes + _offsets(calendar.zone, minutes)
    day = local // 1440
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    kind = np.where(weekday == 6, 2, np.where(weekday == 5, 1, 0))
    if calendar.holidays:
        free = [d.toordinal() - _EPOCH_DAY for d in calendar.holidays]
        kind = np.where(np.isin(day, free), 2, kind)
    return Places(day, local % 1440 // step_minutes, kind)


_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LOOK_MINUTES = 30  # clocks change on the half hour, if not on the hour


def _offsets(zone: ZoneInfo, minutes: Ints) -> Ints:
    """Local time less UTC [min] at these minutes since the epoch, ascending, (n_steps,)."""
    if len(minutes) == 0:
        return minutes
    low, high = int(minutes[0]) // _LOOK_MINUTES, int(minutes[-1]) // _LOOK_MINUTES
    days = range(low * _LOOK_MINUTES // 1440, high * _LOOK_MINUTES // 1440 + 1)
    by_look = np.concatenate([_offsets_of_day(zone, day) for day in days])
    found: Ints = by_look[minutes // _LOOK_MINUTES - days[0] * (1440 // _LOOK_MINUTES)]
    return found


@lru_cache(maxsize=4096)
def _offsets_of_day(zone: ZoneInfo, day: int) -> Ints:
    looks = (day * 86_400 + i * _LOOK_MINUTES * 60 for i in range(1440 // _LOOK_MINUTES))
    local = [datetime.fromtimestamp(s, UTC).astimezone(zone).utcoffset() for s in looks]
    return np.array([0 if o is None else int(o.total_seconds()) // 60 for o in local], dtype=np.int64)
