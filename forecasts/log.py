"""The change-log of one series: what a vintage adds to it, and what it said when read back.

Vintages are numbered in the order in which they were appended. The log holds, for each interval start and
quantile, the rows of those vintages that said something else than the ones before. What vintage V says within
its coverage is, for each start, the row of the highest number up to V's: that holds whatever the order of
`known_at`, because `changes` compares with exactly that state. Pure: arrays in, arrays out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.series import ForecastSeries
from forecasts.slots import UTC_EPOCH, Floats, to_utc

Ints = NDArray[np.int64]

PPM = 1_000_000


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    return (to_utc(moment) - UTC_EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The inverse of `to_us`."""
    return UTC_EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True)
class Change:
    """One row to write: `value` None withdraws the interval that began at `start_us`."""

    start_us: int
    end_us: int
    q_ppm: int
    value: float | None


@dataclass(frozen=True, eq=False)
class Content:
    """What a vintage says: intervals (n,) [µs], values (n,) by quantile [ppm], 0 being the value itself."""

    start_us: Ints
    end_us: Ints
    bands: dict[int, Floats]

    def __len__(self) -> int:
        return len(self.start_us)

    @property
    def first_us(self) -> int:
        """Start of the coverage."""
        return int(self.start_us[0])

    @property
    def last_us(self) -> int:
        """End of the coverage, exclusive."""
        return int(self.end_us[-1])

    @classmethod
    def of(cls, series: ForecastSeries) -> Content:
        """The content of a series that `check_structure` has passed."""
        bands = {0: np.asarray(series.values, dtype=float)}
        for p, band in series.quantiles.items():
            bands[round(p * PPM)] = np.asarray(band, dtype=float)
        return cls(_us(series.start), _us(series.end), dict(sorted(bands.items())))

    def clipped(self, start_us: int, end_us: int) -> Content:
        """The part within `[start_us, end_us)`."""
        keep = (self.end_us > start_us) & (self.start_us < end_us)
        return Content(
            np.maximum(self.start_us[keep], start_us),
            np.minimum(self.end_us[keep], end_us),
            {q: band[keep] for q, band in self.bands.items()},
        )


@dataclass(frozen=True, eq=False)
class Log:
    """Rows of the change-log, each array (n_rows,), sorted by start, quantile and vintage; NaN withdraws."""

    start_us: Ints
    end_us: Ints
    q_ppm: Ints
    vintage_id: Ints
    value: Floats

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, int, float | None]]) -> Log:
        """From rows of (start_us, end_us, q_ppm, vintage_id, value) in any order."""
        ordered = sorted(rows, key=lambda r: (r[0], r[2], r[3]))
        whole = np.array([r[:4] for r in ordered], dtype=np.int64).reshape(-1, 4)
        value = np.array([np.nan if r[4] is None else r[4] for r in ordered], dtype=float)
        return cls(whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], value)


def spoken_at(log: Log, vintage_id: int, first_us: int, last_us: int) -> Content:
    """What vintage `vintage_id`, which covers `[first_us, last_us)`, says, as far as `log` reaches."""
    rows = np.flatnonzero(
        (log.vintage_id <= vintage_id) & (log.start_us >= first_us) & (log.start_us < last_us)
    )
    start, q = log.start_us[rows], log.q_ppm[rows]
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = (start[1:] != start[:-1]) | (q[1:] != q[:-1])
    rows = rows[last]
    rows = rows[np.isfinite(log.value[rows])]
    q = log.q_ppm[rows]
    point = rows[q == 0]
    bands = {int(k): log.value[rows[q == k]] for k in np.unique(q)}
    # Quantiles have the starts of the values, unless pruning cut between them, which it does not.
    return Content(log.start_us[point], log.end_us[point], bands)


def changes(content: Content, log: Log) -> list[Change]:
    """The rows that a new vintage writes, given the log within its coverage."""
    stands = _standing(log)
    said: list[Change] = []
    for q, band in content.bands.items():
        for start, end, v in zip(
            content.start_us.tolist(), content.end_us.tolist(), band.tolist(), strict=True
        ):
            if stands.pop((start, q), None) != (end, v):
                said.append(Change(start, end, q, v))
    withdrawn = [Change(start, end, q, None) for (start, q), (end, _) in sorted(stands.items())]
    return said + withdrawn


def _standing(log: Log) -> dict[tuple[int, int], tuple[int, float]]:
    stands: dict[tuple[int, int], tuple[int, float]] = {}
    columns = (log.start_us, log.end_us, log.q_ppm, log.value)
    for start, end, q, v in zip(*(c.tolist() for c in columns), strict=True):
        if math.isnan(v):  # withdrawn
            stands.pop((start, q), None)
        else:
            stands[start, q] = (end, v)
    return stands


def uncovered(free: list[tuple[int, int]], first_us: int, last_us: int) -> Iterator[tuple[int, int]]:
    """The parts of the intervals `free` that lie within `[first_us, last_us)`."""
    for a, b in free:
        if a < last_us and first_us < b:
            yield max(a, first_us), min(b, last_us)


def without(free: list[tuple[int, int]], first_us: int, last_us: int) -> list[tuple[int, int]]:
    """The parts of the intervals `free` that lie outside `[first_us, last_us)`."""
    left = [(a, min(b, first_us)) for a, b in free if a < first_us]
    right = [(max(a, last_us), b) for a, b in free if b > last_us]
    return sorted(left + right)


def _us(times: NDArray[np.datetime64]) -> Ints:
    return times.astype("datetime64[us]").astype(np.int64)
