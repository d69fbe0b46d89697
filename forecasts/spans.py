"""Time in whole microseconds since 1970, and spans `[first, last)` of it: what the store's rows are kept in."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from forecasts.slots import UTC_EPOCH, to_utc

Span = tuple[int, int]


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    return (to_utc(moment) - UTC_EPOCH) // timedelta(microseconds=1)


def time_us(time: np.datetime64) -> int:
    """Microseconds since 1970 of a time of a series."""
    return int(time.astype("datetime64[us]").astype(np.int64))


def from_us(us: int) -> datetime:
    """The inverse of `to_us`."""
    return UTC_EPOCH + timedelta(microseconds=us)


def claim(free: list[Span], first_us: int, last_us: int) -> tuple[list[Span], list[Span]]:
    """The parts of the spans `free`, in their order, that lie within `[first_us, last_us)`, and those that do not."""
    taken, left = [], []
    for a, b in free:
        if b <= first_us or last_us <= a:
            left.append((a, b))
            continue
        if a < first_us:
            left.append((a, first_us))
        if last_us < b:
            left.append((last_us, b))
        taken.append((max(a, first_us), min(b, last_us)))
    return taken, left
