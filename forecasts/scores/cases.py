"""What was forecast beside what came of it: one case for each vintage and slot, at its lead time.

Nothing is scored by what was not a forecast: a slot whose outcome was known already when the vintage was made, such as
a cleared price, is no case of it, nor is a slot that had begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecasts.outcomes import outcomes, over
from forecasts.series import FACTS, ForecastSeries
from forecasts.slots import Floats, SlotGrid, as_datetime, floor_to_slot
from forecasts.spans import time_us, to_us

Ints = NDArray[np.int64]
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
ATOM_US = 300_000_000
"""Every slot length is whole atoms of 5 minutes, and so are the intervals of every source."""
NEVER = np.iinfo(np.int64).max
LONGEST_LEAD_H = 168
MOST_DAYS_BACK = 14

Rule = Literal["day", "week"]
"""Persistence: `day` is the same time of the latest day for which it was known. `week` is the rule of the price
forecasting literature: Tuesday to Friday the day before, Saturday to Monday a week before.
"""


@dataclass(frozen=True, eq=False)
class Known:
    """What came of each slot of a grid, and when.

    `values` (n_slots,) NaN where it is not known; `known_us` (n_slots,) the first moment [µs since 1970] at which it
    was, `NEVER` where it was not. `source` is who says so.
    """

    grid: SlotGrid
    values: Floats
    known_us: Ints
    source: str = ""

    @classmethod
    def of(cls, vintages: Sequence[ForecastSeries], grid: SlotGrid) -> Known:
        """From the vintages of one source: see `forecasts.outcomes`."""
        return cls.told(
            outcomes(vintages, grid), grid, settled(vintages), vintages[0].source if vintages else ""
        )

    @classmethod
    def told(cls, values: Floats, grid: SlotGrid, spans: Iterable[Span], source: str) -> Known:
        """From outcomes, and the spans in which each of them came to be known."""
        first = first_known(grid, spans)
        known = np.isfinite(values)
        return cls(grid, values, np.where(known, first, NEVER), source)

    @property
    def slot_us(self) -> int:
        """Length of a slot [µs]."""
        return self.grid.slot_minutes * 60_000_000

    def starts_us(self) -> Ints:
        """Start of each slot [µs since 1970], (n_slots,)."""
        return to_us(self.grid.start) + np.arange(self.grid.n_slots, dtype=np.int64) * self.slot_us


@dataclass(frozen=True)
class Span:
    """Something was known from `known_us` on, of delivery in `[start_us, end_us)`."""

    known_us: int
    start_us: int
    end_us: int


def settled(vintages: Iterable[ForecastSeries]) -> list[Span]:
    """The spans in which vintages are no forecasts any more: measured, cleared, or repeated when they were over."""
    parts = (part for s in vintages if (part := over(s)) is not None)
    return [Span(to_us(s.known_at), time_us(s.start[0]), time_us(s.end[-1])) for s in parts]


def first_known(grid: SlotGrid, spans: Iterable[Span]) -> Ints:
    """The first moment at which the whole of each slot was covered by `spans`, (n_slots,); `NEVER` where none did."""
    per_slot = grid.slot_minutes * 60_000_000 // ATOM_US
    origin = to_us(grid.start)
    first = np.full(grid.n_slots * per_slot, NEVER, dtype=np.int64)
    for s in spans:
        a, b = max(-(-(s.start_us - origin) // ATOM_US), 0), (s.end_us - origin) // ATOM_US
        if b > a:
            np.minimum(first[a:b], s.known_us, out=first[a:b])
    return np.asarray(first.reshape(grid.n_slots, per_slot).max(axis=1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Cases:
    """Forecasts beside outcomes, each array (m,): `origin_us` when it was known, `slot` the index in the grid.

    `persistence` is what the same moment's knowledge would have repeated, NaN where it knew nothing to repeat.
    `quantiles` by probability, NaN where that vintage had none.
    """

    grid: SlotGrid
    origin_us: Ints
    slot: Ints
    forecast: Floats
    actual: Floats
    persistence: Floats
    quantiles: Mapping[float, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def start_us(self) -> Ints:
        """Start of each case's slot [µs since 1970]."""
        return to_us(self.grid.start) + self.slot * (self.grid.slot_minutes * 60_000_000)

    @property
    def lead_h(self) -> Floats:
        """From the moment of knowledge to the slot's start [h]."""
        return np.asarray((self.start_us - self.origin_us) / HOUR_US, dtype=float)

    @property
    def hour(self) -> Ints:
        """Hour of the day in UTC, 0 to 23."""
        return self.start_us % DAY_US // HOUR_US

    def take(self, mask: NDArray[np.bool_]) -> Cases:
        """Those in `mask`."""
        return Cases(
            self.grid,
            self.origin_us[mask],
            self.slot[mask],
            self.forecast[mask],
            self.actual[mask],
            self.persistence[mask],
            {p: band[mask] for p, band in self.quantiles.items()},
        )


def grid_of(vintages: Iterable[ForecastSeries], slot_minutes: int) -> SlotGrid:
    """The grid that covers all of them. Raises ValueError where there are none."""
    spans = [(s.start[0], s.end[-1]) for s in vintages if len(s)]
    start = floor_to_slot(as_datetime(min(a for a, _ in spans)), slot_minutes)
    return SlotGrid.covering(start, as_datetime(max(b for _, b in spans)) - start, slot_minutes)


def forecasts_of(vintages: Iterable[ForecastSeries]) -> list[ForecastSeries]:
    """Those that foretell: what was measured or cleared is no forecast."""
    return [s for s in vintages if s.kind not in FACTS and len(s)]


def thinned(vintages: Sequence[ForecastSeries], every_us: int) -> list[ForecastSeries]:
    """All that was known at the first moment of each period of `every_us` in which anything was: a source that is
    asked every five minutes would be scored by the same forecast over and over.
    """
    first: dict[int, int] = {}
    for s in vintages:
        at = to_us(s.known_at)
        first[at // every_us] = min(first.get(at // every_us, at), at)
    return [s for s in vintages if to_us(s.known_at) == first[to_us(s.known_at) // every_us]]


@dataclass(frozen=True, eq=False)
class _Said:
    """A vintage on the grid: values from slot `first` on, (k,), NaN where it does not cover the slot."""

    first: int
    values: Floats
    quantiles: dict[float, Floats]


def _on_grid(s: ForecastSeries, grid: SlotGrid) -> _Said:
    first = max(int(grid.position(floor_to_slot(as_datetime(s.start[0]), grid.slot_minutes))), 0)
    last = min(-int(-grid.position(as_datetime(s.end[-1])) // 1), grid.n_slots)
    if last <= first:
        return _Said(0, np.empty(0), {})
    part = SlotGrid(grid.start + first * grid.slot, grid.slot_minutes, last - first)
    return _Said(
        first,
        part.average(s.start, s.end, s.values),
        {p: part.average(s.start, s.end, band) for p, band in s.quantiles.items()},
    )


def cases(vintages: Iterable[ForecastSeries], known: Known, *, rule: Rule = "day") -> Cases:
    """Every forecast vintage at every slot that it covers, up to a week ahead, of which the outcome is known."""
    said = sorted(forecasts_of(vintages), key=lambda s: s.known_at)
    levels = sorted({p for s in said for p in s.quantiles})
    starts = known.starts_us()
    parts: list[tuple[Ints, Ints, Floats, list[Floats]]] = []
    for s in said:
        on = _on_grid(s, known.grid)
        at = to_us(s.known_at)
        slot = on.first + np.flatnonzero(np.isfinite(on.values))
        slot = slot[_foretold(slot, at, known, starts)]
        bands = [
            on.quantiles[p][slot - on.first] if p in on.quantiles else np.full(len(slot), np.nan)
            for p in levels
        ]
        parts.append((np.full(len(slot), at, dtype=np.int64), slot, on.values[slot - on.first], bands))
    return _joined(parts, known, levels, rule)


def _foretold(slot: Ints, at: int | Ints, known: Known, starts: Ints) -> NDArray[np.bool_]:
    """Which slots are still ahead at a moment, not further than a week, and undecided, though known by now."""
    lead = starts[slot] - at
    ahead = (lead >= 0) & (lead < LONGEST_LEAD_H * HOUR_US)
    return np.asarray(ahead & np.isfinite(known.values[slot]) & (known.known_us[slot] > at))


def _joined(
    parts: Sequence[tuple[Ints, Ints, Floats, list[Floats]]],
    known: Known,
    levels: Sequence[float],
    rule: Rule,
) -> Cases:
    none = np.empty(0, dtype=np.int64)
    origin = np.concatenate([p[0] for p in parts] or [none])
    slot = np.concatenate([p[1] for p in parts] or [none])
    forecast = np.concatenate([p[2] for p in parts] or [np.empty(0)])
    bands = {q: np.concatenate([p[3][i] for p in parts] or [np.empty(0)]) for i, q in enumerate(levels)}
    return Cases(
        known.grid,
        origin,
        slot,
        forecast,
        known.values[slot],
        persistence(known, origin, slot, rule=rule),
        bands,
    )


def persistence(known: Known, origin_us: Ints, slot: Ints, *, rule: Rule = "day") -> Floats:
    """What each moment would have repeated for each slot, (m,); NaN where nothing was known to repeat.

    By `rule`, of the outcomes that were known at `origin_us`. Where the day that the rule names was not known yet, the
    one before it by the same step. Source of the weekly rule: Lago et al., Forecasting day-ahead electricity prices,
    Applied Energy 293 (2021) 116983.
    """
    per_day = 24 * 60 // known.grid.slot_minutes
    found = np.full(len(slot), np.nan)
    weekly = np.ones(len(slot), dtype=bool)
    if rule == "week":
        day = known.starts_us()[slot] // DAY_US
        weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
        weekly = (weekday >= 1) & (weekday <= 4)  # here: may take the day before
    for back in range(1, MOST_DAYS_BACK + 1):
        allowed = weekly if (rule == "day" or back == 1) else np.ones(len(slot), dtype=bool)
        if rule == "week" and back > 1 and back % 7:
            continue
        before = slot - back * per_day
        use = np.isnan(found) & allowed & (before >= 0)
        use[use] = known.known_us[before[use]] <= origin_us[use]
        found[use] = known.values[before[use]]
    return found


@dataclass(frozen=True, eq=False)
class Standing:
    """The forecast that stood at each of some moments, of the slots from the first that had not begun.

    `origin_us` (m,), `first` (m,) the index of that slot; `values` (m, k) and each of `quantiles` (m, k), NaN where
    nothing was said; `slot` (m, k) the index of each.
    """

    origin_us: Ints
    first: Ints
    values: Floats
    quantiles: Mapping[float, Floats]

    @property
    def slot(self) -> Ints:
        """Index of each slot in the grid, (m, k)."""
        return self.first[:, None] + np.arange(self.values.shape[1])


def standing(vintages: Iterable[ForecastSeries], grid: SlotGrid, origin_us: Ints, ahead: int) -> Standing:
    """What stood at the moments `origin_us` (m,), sorted, of the next `ahead` slots: at each slot the newest vintage
    known then that covers it. Slots past the end of the grid are NaN.
    """
    said = sorted(forecasts_of(vintages), key=lambda s: s.known_at)
    levels = sorted({p for s in said for p in s.quantiles})
    slot_us = grid.slot_minutes * 60_000_000
    first = -(-(origin_us - to_us(grid.start)) // slot_us)
    latest = np.full((1 + len(levels), grid.n_slots + ahead), np.nan)
    out = np.full((1 + len(levels), len(origin_us), ahead), np.nan)
    waiting = groupby(said, key=lambda s: to_us(s.known_at))
    at, now = next(waiting, (NEVER, iter(())))
    for i, moment in enumerate(origin_us.tolist()):
        while at <= moment:
            for s in now:
                _overwrite(latest, _on_grid(s, grid), levels)
            at, now = next(waiting, (NEVER, iter(())))
        if 0 <= first[i] <= grid.n_slots:
            out[:, i] = latest[:, first[i] : first[i] + ahead]
    return Standing(origin_us, first, out[0], dict(zip(levels, out[1:], strict=True)))


def _overwrite(latest: Floats, said: _Said, levels: Sequence[float]) -> None:
    told = np.flatnonzero(np.isfinite(said.values))
    for row, band in enumerate((said.values, *(said.quantiles.get(p) for p in levels))):
        latest[row, said.first + told] = np.nan if band is None else band[told]


def standing_cases(stood: Standing, known: Known, *, rule: Rule = "day") -> Cases:
    """The cases of what stood at each moment."""
    inside = (stood.slot >= 0) & (stood.slot < known.grid.n_slots) & np.isfinite(stood.values)
    origin = np.broadcast_to(stood.origin_us[:, None], stood.values.shape)[inside]
    slot = stood.slot[inside]
    keep = _foretold(slot, origin, known, known.starts_us())
    bands = [band[inside][keep] for band in stood.quantiles.values()]
    return _joined(
        [(origin[keep], slot[keep], stood.values[inside][keep], bands)], known, list(stood.quantiles), rule
    )


def moments(start_us: int, end_us: int, every_us: int) -> Ints:
    """Whole multiples of `every_us` since 1970 within `[start_us, end_us)`."""
    return np.arange(-(-start_us // every_us) * every_us, end_us, every_us, dtype=np.int64)
