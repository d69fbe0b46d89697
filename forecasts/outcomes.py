"""What came of it: for each interval, the last word of a source once the interval was over, or once it was cleared.

Forecasts are scored and plans are settled by these. A forecast is never its own outcome: what was last said before an
interval ended, and never again, is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from forecasts.history import clipped
from forecasts.series import FACTS, ForecastSeries
from forecasts.slots import Floats, SlotGrid, as_datetime64
from forecasts.timeline import Timeline


def outcomes(vintages: Iterable[ForecastSeries], grid: SlotGrid) -> Floats:
    """The outcome in each slot of one series' vintages, (n_slots,) in their unit; NaN where it is not known.

    `vintages` are those of one zone, signal and source, in any order; what they measured goes before what they
    cleared, and that before a forecast that was repeated when its interval was over.
    """
    known = [part for s in vintages if (part := _known(s)) is not None]
    order = {kind: i for i, kind in enumerate(("actual", "cleared"))}
    ranked = sorted(known, key=lambda s: (order.get(s.kind, len(order)), -s.known_at.timestamp()))
    if not ranked:
        return np.full(grid.n_slots, np.nan)
    timeline = Timeline.of(_relevant(ranked, grid), as_datetime64(grid.start), as_datetime64(grid.end))
    return grid.average(timeline.start, timeline.end, timeline.values())


def _known(s: ForecastSeries) -> ForecastSeries | None:
    """The part of a vintage that is no forecast any more."""
    if s.kind in FACTS:
        return s
    over = s.end <= as_datetime64(s.known_at)
    return clipped(s, s.start[0], s.end[over][-1]) if over.any() else None


def _relevant(ranked: Sequence[ForecastSeries], grid: SlotGrid) -> list[ForecastSeries]:
    start, end = as_datetime64(grid.start), as_datetime64(grid.end)
    return [s for s in ranked if s.start[0] < end and s.end[-1] > start]
