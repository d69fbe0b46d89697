"""The planning grid: half-open UTC slots, and how a step series is averaged onto them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.errors import InputError

SLOT_MINUTES = (5, 10, 15, 30, 60)
UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]


def to_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises InputError for a naive datetime: a time without a zone is a guess."""
    if moment.tzinfo is None:
        raise InputError(f"the time {moment.isoformat()} has no zone.", hint="Write it in UTC, ending in Z.")
    return moment.astimezone(UTC)


def isoformat_z(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`; fractions of a second only where there are any."""
    return to_utc(moment).isoformat().replace("+00:00", "Z")


def as_datetime64(moment: datetime) -> np.datetime64:
    """An aware datetime as `datetime64[us]` in UTC."""
    return np.datetime64(to_utc(moment).replace(tzinfo=None), "us")


def as_datetime(time: np.datetime64) -> datetime:
    """The inverse of `as_datetime64`."""
    return datetime.fromisoformat(f"{time.astype('datetime64[us]')}+00:00")


@dataclass(frozen=True, slots=True)
class SlotGrid:
    """`n_slots` slots `[start + i*slot, start + (i+1)*slot)`, on whole multiples since midnight UTC.

    `start` may be given in any zone and is kept in UTC, so that adding slots never meets a clock change.
    """

    start: datetime
    slot_minutes: int
    n_slots: int

    def __post_init__(self) -> None:
        if self.slot_minutes not in SLOT_MINUTES:
            raise InputError(
                f"a slot of {self.slot_minutes} minutes is not supported.",
                field="slot",
                hint=f"Use one of {', '.join(map(str, SLOT_MINUTES))} minutes.",
            )
        if self.n_slots < 1:
            raise InputError(
                "the horizon holds no slot.", field="horizon", hint="Make it at least one slot long."
            )
        if floor_to_slot(self.start, self.slot_minutes) != to_utc(self.start):
            raise InputError(
                f"the grid may not start at {isoformat_z(self.start)}: slots of {self.slot_minutes} minutes "
                "start on whole multiples of their length since midnight UTC.",
                field="start",
                hint=f"Use {isoformat_z(floor_to_slot(self.start, self.slot_minutes))}.",
            )
        object.__setattr__(self, "start", to_utc(self.start))

    @classmethod
    def covering(cls, start: datetime, horizon: timedelta, slot_minutes: int) -> SlotGrid:
        """The grid whose first slot holds `start`, reaching at least `horizon` beyond that slot's start."""
        first = floor_to_slot(start, slot_minutes)
        return cls(first, slot_minutes, math.ceil(horizon / timedelta(minutes=slot_minutes)))

    @property
    def slot(self) -> timedelta:
        """Length of one slot."""
        return timedelta(minutes=self.slot_minutes)

    @property
    def slot_hours(self) -> float:
        """Length of one slot [h]."""
        return self.slot_minutes / 60

    @property
    def end(self) -> datetime:
        """End of the last slot, exclusive."""
        return self.start + self.n_slots * self.slot

    @property
    def edges(self) -> list[datetime]:
        """The `n_slots + 1` slot boundaries."""
        return [self.start + i * self.slot for i in range(self.n_slots + 1)]

    def position(self, moment: datetime) -> float:
        """Where `moment` lies, in slots from the start; may lie outside `[0, n_slots]`."""
        return (to_utc(moment) - self.start) / self.slot

    def moment(self, position: float) -> datetime:
        """The inverse of `position`, to the microsecond."""
        return self.start + timedelta(microseconds=round(position * self.slot_minutes * 60_000_000))

    def average(
        self, starts: Times, ends: Times, values: Floats, *, min_cover_ratio: float = 0.999
    ) -> Floats:
        """Time-weighted mean of a step series `[starts, ends) -> values` in each slot, shape (n_slots,).

        A slot of which less than `min_cover_ratio` is covered by finite values is NaN. Intervals need no
        order but must not overlap (`ForecastSeries` sees to that). Exact for series finer and coarser than
        the slot; a slot that lies in one interval has that interval's value to the last bit.
        """
        slot_us = self.slot_minutes * 60_000_000
        origin = as_datetime64(self.start)
        # Whole microseconds, not fractions of a slot: the cover is then exact, whatever the resolution.
        left = np.maximum((starts.astype("datetime64[us]") - origin).astype(np.int64), 0)
        right = np.minimum((ends.astype("datetime64[us]") - origin).astype(np.int64), self.n_slots * slot_us)
        keep = np.isfinite(values) & (right > left)
        left, right, kept = left[keep], right[keep], values[keep]
        first = left // slot_us
        count = -(-right // slot_us) - first  # how many slots each interval touches
        interval = np.repeat(np.arange(len(kept)), count)
        slot = first[interval] + np.arange(len(interval)) - (np.cumsum(count) - count)[interval]
        overlap = np.minimum(right[interval], (slot + 1) * slot_us) - np.maximum(
            left[interval], slot * slot_us
        )
        cover = np.bincount(slot, weights=overlap, minlength=self.n_slots)
        total = np.bincount(slot, weights=overlap * kept[interval], minlength=self.n_slots)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / cover
        alone = np.bincount(slot, minlength=self.n_slots)[slot] == 1
        mean[slot[alone]] = kept[interval[alone]]
        mean[cover < min_cover_ratio * slot_us] = np.nan
        return mean


def floor_to_slot(moment: datetime, slot_minutes: int) -> datetime:
    """The start of the slot that holds `moment`."""
    utc = to_utc(moment)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (utc - midnight) // timedelta(minutes=slot_minutes) * timedelta(minutes=slot_minutes)
