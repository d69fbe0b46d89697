"""Series as a `forecasts.csv` of the contract, which the csv source reads back as what they were."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, pairwise

import numpy as np

from forecasts.assemble import in_currency
from forecasts.errors import InputError
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime, isoformat_z

COLUMNS = {Signal.PRICE: "price_per_mwh", Signal.CARBON: "carbon_g_per_kwh"}


def in_one_currency(
    series: Iterable[ForecastSeries], currency: str, fx: Mapping[str, float]
) -> list[ForecastSeries]:
    """The same with every price in `currency`; `fx` is what one unit of another is worth in it. A file names no
    currency: all its prices are in one. Raises InputError where a rate is missing.
    """
    return [in_currency(s, currency, fx) if s.signal is Signal.PRICE else s for s in series]


def to_csv(series: Iterable[ForecastSeries]) -> str:
    """The file's text: what one signal does not say is left empty, and quantiles are left out.

    Raises InputError for marginal carbon: the file's carbon is average, and the two are never mixed.
    """
    series = list(series)
    for s in series:
        if s.basis is Basis.MARGINAL:
            raise InputError(
                f"the carbon of {s.zone} by {s.source} is marginal, and a forecasts.csv holds average carbon.",
                field="signal",
                hint="Leave carbon out, or print the series with --json.",
            )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["zone", "issued_at", "start", "end", *COLUMNS.values(), "kind"])

    def vintage(s: ForecastSeries) -> tuple[str, datetime]:
        return s.zone, s.issued_at or s.known_at

    for (zone, issued), said in groupby(sorted(series, key=vintage), vintage):
        for row in _rows(list(said)):
            writer.writerow([zone, isoformat_z(issued), *row])
    return text.getvalue()


def _rows(said: list[ForecastSeries]) -> Iterator[list[str]]:
    """Start, end, each signal's value and the least kind of them, over every interval in which none changes."""
    edges = np.unique(np.concatenate([times for s in said for times in (s.start, s.end)]))
    for start, end in pairwise(edges):
        told: dict[Signal, str] = {}
        kinds: list[Kind] = []
        for s in said:
            i = int(np.searchsorted(s.start, start, side="right")) - 1
            if i >= 0 and s.end[i] >= end:
                told[s.signal] = f"{s.values[i]:.10g}"
                kinds.append(s.kind)
        if told:
            times = (isoformat_z(as_datetime(t)) for t in (start, end))
            yield [*times, *(told.get(signal, "") for signal in COLUMNS), max(kinds, key=list(Kind).index)]
