"""What came of it: for each interval, the last word of a source once the interval was over, or once it was cleared.

Forecasts are scored and plans are settled by these. A forecast is never its own outcome: what was last said before an
interval ended, and never again, is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from forecasts.history import clipped
from forecasts.series import FACTS, ForecastSeries, Kind
from forecasts.slots import Floats, SlotGrid, as_datetime64
from forecasts.timeline import averaged

_WORTH = {Kind.ACTUAL: 0, Kind.CLEARED: 1}


def outcomes(vintages: Iterable[ForecastSeries], grid: SlotGrid, order: Sequence[str] = ()) -> Floats:
    """The outcome in each slot, (n_slots,) in the unit of the vintages; NaN where it is not known.

    `vintages` are those of one zone and signal, in one unit and of one basis, in any order. What was measured goes
    before what was cleared, and that before a forecast that was repeated when its interval was over; among those the
    first source in `order`, and of one source what was known last.
    """
    ranked = sorted(settled(vintages), key=lambda s: (_worth(s), rank(s.source, order)))
    start, end = as_datetime64(grid.start), as_datetime64(grid.end)
    return averaged([s for s in ranked if s.start[0] < end and s.end[-1] > start], grid)


def settled(vintages: Iterable[ForecastSeries]) -> Iterator[ForecastSeries]:
    """The parts of vintages that are no forecast any more, as few series: of each source and kind one where they do not
    overlap, else all of them, what was known last first. Quantiles are left out.
    """
    groups: dict[tuple[object, ...], list[ForecastSeries]] = {}
    for s in vintages:
        if (part := over(s)) is not None:
            terms = s.attribution, s.licence, s.restricted
            groups.setdefault((s.source, s.kind, s.unit, s.basis, terms), []).append(part)
    for parts in groups.values():
        parts.sort(key=lambda s: s.start[0])
        start, end, values = (
            np.concatenate([getattr(s, name) for s in parts]) for name in ("start", "end", "values")
        )
        if (start[1:] < end[:-1]).any():
            yield from sorted(parts, key=lambda s: s.known_at, reverse=True)
        else:
            yield replace(parts[-1], start=start, end=end, values=values, quantiles={})


def rank(source: str, order: Sequence[str]) -> tuple[int, str]:
    """Where a source stands in `order`; what is not in it comes after, by name."""
    return (order.index(source) if source in order else len(order), source)


def _worth(s: ForecastSeries) -> int:
    return _WORTH.get(s.kind, len(_WORTH))


def over(s: ForecastSeries) -> ForecastSeries | None:
    """The part of a vintage that is no forecast any more; None where there is none."""
    if s.kind in FACTS:
        return s
    ended = s.end <= as_datetime64(s.known_at)
    return clipped(s, s.start[0], s.end[ended][-1]) if ended.any() else None
