"""A table of forecasts, as CSV text, into series: one a zone, signal and issue time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from forecasts.checks import FLAT_CARBON, check_series
from forecasts.errors import ForecastRejected
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.rows import Layout, Rows, read_rows
from forecasts.spans import from_us


def read_series(
    body: bytes,
    place: str,
    layout: Layout,
    *,
    now: datetime,
    source: str,
    basis: Basis = Basis.AVERAGE,
    licence: str = "",
    attribution: str = "",
    restricted: bool = False,
    refuse_flat_carbon: bool = False,
) -> list[ForecastSeries]:
    """One series a zone, signal and issue time, sorted by them. `place` names the file in errors.

    Raises InputError for rows that are wrong (the others found in `also`) and ForecastRejected for a vintage
    that is unfit, naming the line.
    A series is worth what the least of its rows is.
    """
    vintages = read_rows(body, place, layout)
    found = []
    flat = FLAT_CARBON if refuse_flat_carbon else None
    for (zone, issued_us), rows in sorted(vintages.items(), key=lambda kv: (kv[0][0], kv[0][1] or 0)):
        issued_at = None if issued_us is None else from_us(issued_us)
        for signal, column in layout.signals.items():
            part = _published(rows, column, place)
            if part is None:
                continue
            at, bands = part
            unit = layout.units[signal]
            series = ForecastSeries(
                zone=zone,
                signal=signal,
                unit=unit.canonical,
                source=source,
                known_at=issued_at or now,
                start=np.array([rows.start_us[i] for i in at], dtype="datetime64[us]"),
                end=np.array([rows.end_us[i] for i in at], dtype="datetime64[us]"),
                values=np.array(bands.pop(0.0)) * unit.factor,
                kind=max((rows.kind[i] for i in at), key=list(Kind).index),
                basis=basis if signal is Signal.CARBON else None,
                issued_at=issued_at,
                quantiles={p: np.array(band) * unit.factor for p, band in bands.items()},
                licence=licence,
                attribution=attribution,
                restricted=restricted,
            )
            _check_rows(rows, at, series, place)
            found.append(check_series(series, flat_carbon=flat))
    return found


def _published(rows: Rows, column: str, place: str) -> tuple[list[int], dict[float, list[float]]] | None:
    """The rows by start, less the empty cells before and after, and their numbers by quantile (0: the value).

    None where every cell is empty. Raises ForecastRejected for an empty cell in between.
    """
    cells = rows.cells.get(column)
    if cells is None:
        return None
    order = sorted(range(len(rows.line)), key=lambda i: rows.start_us[i])
    told = [k for k, i in enumerate(order) if cells[i] is not None]
    if not told:
        return None
    at = order[told[0] : told[-1] + 1]
    bands: dict[float, list[float]] = {}
    for name, band in rows.cells.items():
        if name == column:
            p = 0.0
        elif name.startswith(f"{column}_p"):
            p = float(name[len(column) + 2 :]) / 100
        else:
            continue
        said = [band[i] for i in at]
        if all(v is None for v in said):
            continue
        for i, v in zip(at, said, strict=True):
            if v is None:
                raise ForecastRejected(
                    f"{name} is empty between rows that have it.",
                    field=f"{place}:{rows.line[i]}",
                    hint="A vintage has no holes; only what is not published yet, at its end, may be empty.",
                )
        bands[p] = [v for v in said if v is not None]
    return at, bands


def _check_rows(rows: Rows, at: list[int], series: ForecastSeries, place: str) -> None:
    """Gaps and overlaps, with the lines they stand on, which `check_series` cannot know."""
    for earlier, later in pairwise(at):
        step = rows.start_us[later] - rows.end_us[earlier]
        if step == 0:
            continue
        start = from_us(rows.start_us[later])
        if rows.start_us[later] == rows.start_us[earlier]:
            what, hint = f"comes twice, first in line {rows.line[earlier]}", "Remove one."
        elif step < 0:
            what, hint = f"overlaps the one in line {rows.line[earlier]}", "Intervals may not overlap."
        else:
            what = f"follows a gap of {timedelta(microseconds=step)} after line {rows.line[earlier]}"
            hint = "Add the missing rows; a gap is not filled in."
        raise ForecastRejected(
            f"{series.key}: the interval from {start:%Y-%m-%dT%H:%M:%SZ} {what}.",
            field=f"{place}:{rows.line[later]}",
            hint=hint,
            series=series.key,
        )
