"""What we made of it ourselves, as vintages: kept beside those of sources, and scored as they are.

They come under the terms of all that they were made from, and only from the first slot on that nobody had decided yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.frame import SignalFrame
from forecasts.heeded import MODELS_ALONE, PLANNED_BY
from forecasts.outlook import Outlook
from forecasts.provenance import Said, terms_of
from forecasts.series import FACTS, ForecastSeries, Kind
from forecasts.slots import Floats, SlotGrid, Times, as_datetime64

HOUR = timedelta(hours=1)
DIGITS = 2
"""Of a value on record: what is finer is no forecast any more."""


def as_planned(
    frame: SignalFrame,
    outlook: Outlook,
    grid: SlotGrid,
    now: datetime,
    rate: float = 1.0,
    source: str = PLANNED_BY,
) -> ForecastSeries | None:
    """What is planned by, with its quantiles, in the unit of the outlook; None where everything is known already.

    `frame` is on `grid`, which begins with the slot of `now`; `rate` is what one of the outlook's currency is worth in
    the frame's. `source` is whose vintage it is.
    """
    told = np.isfinite(frame.values)
    run = _run(told & np.array([kind not in FACTS for kind in frame.kind]), told)
    if run is None:
        return None
    edges = np.array([as_datetime64(edge) for edge in grid.edges])
    # Of a source's own quantiles between ours nobody knows whether they keep their order.
    bands = {p: band[run] / rate for p, band in frame.quantiles.items() if p in outlook.bands}
    whole = {p: band for p, band in bands.items() if np.isfinite(band).all()}
    values = frame.values[run] / rate
    terms = terms_of(zip(frame.attribution, frame.licence, frame.restricted, strict=True))
    return _vintage(source, outlook, now, (edges[:-1][run], edges[1:][run]), values, whole, terms)


def models_alone(outlook: Outlook, now: datetime) -> ForecastSeries | None:
    """What our models expect by themselves, by the hour from that of `now` on; None where all is known already."""
    values = outlook.scale.from_z(outlook.ours)
    values[: max(0, (now - outlook.start) // HOUR)] = np.nan
    run = _run(np.isfinite(values), np.isfinite(values))
    if run is None:
        return None
    edges = as_datetime64(outlook.start) + np.arange(len(values) + 1) * np.timedelta64(1, "h")
    return _vintage(
        MODELS_ALONE, outlook, now, (edges[:-1][run], edges[1:][run]), values[run], {}, outlook.terms
    )


def _run(begins: NDArray[np.bool_], goes_on: NDArray[np.bool_]) -> slice | None:
    """From the first that `begins` to the last that `goes_on` from there without a hole."""
    if not begins.any():
        return None
    first = int(np.argmax(begins))
    holes = np.flatnonzero(~goes_on[first:])
    return slice(first, first + int(holes[0]) if len(holes) else len(goes_on))


def _vintage(
    source: str,
    outlook: Outlook,
    now: datetime,
    span: tuple[Times, Times],
    values: Floats,
    quantiles: Mapping[float, Floats],
    terms: Said,
) -> ForecastSeries:
    return ForecastSeries(
        zone=outlook.zone,
        signal=outlook.signal,
        unit=outlook.unit,
        source=source,
        known_at=now,
        start=span[0],
        end=span[1],
        values=np.round(values, DIGITS),
        kind=Kind.MODEL,
        basis=outlook.basis,
        issued_at=outlook.start,
        quantiles={p: np.round(band, DIGITS) for p, band in quantiles.items()},
        licence=terms.licence,
        attribution=terms.attribution,
        restricted=terms.restricted,
    )
