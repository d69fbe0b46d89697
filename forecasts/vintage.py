"""What the store tells of a vintage, and how that is read from and written to its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import Row

from forecasts.content import PPM, Content, pack
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.spans import from_us, to_us

_TIME = np.dtype("datetime64[us]")
_KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True)
class AppendResult:
    """What became of a series: a `new` vintage, seen again `unchanged`, or already here (`duplicate`).

    `changed_values`: how many of its values, quantiles counted too, the vintage before it did not say.
    """

    key: str
    status: Literal["new", "unchanged", "duplicate"]
    vintage_id: int
    changed_values: int


@dataclass(frozen=True)
class VintageInfo:
    """One vintage without its values. `confirmed_at` is the last time the source was seen to still say it."""

    id: int
    key: str
    source: str
    zone: str
    signal: Signal
    unit: str | None
    basis: Basis | None
    kind: Kind
    status: Literal["accepted", "rejected"]
    known_at: datetime
    confirmed_at: datetime
    issued_at: datetime | None
    first_start: datetime | None
    last_end: datetime | None
    n_values: int
    n_changed: int
    licence: str
    attribution: str
    restricted: bool
    reason: str


@dataclass(frozen=True)
class SeriesAge:
    """How old what we know of a series is. None where nothing was ever accepted."""

    key: str
    source: str
    zone: str
    signal: Signal
    known_at: datetime | None
    last_end: datetime | None
    age_s: float | None
    rejected_since_count: int


def vintage_row(series: ForecastSeries, content: Content) -> dict[str, Any]:
    """What an accepted vintage's row says of it, besides what the store decides."""
    return {
        "known_at_us": to_us(series.known_at),
        "issued_at_us": None if series.issued_at is None else to_us(series.issued_at),
        "status": "accepted",
        "kind": series.kind.value,
        "first_start_us": content.first_us,
        "last_end_us": content.last_us,
        "n_values": len(content),
        "licence": series.licence,
        "attribution": series.attribution,
        "restricted": series.restricted,
        "reason": "",
        "content": pack(content),
    }


class Teller:
    """Makes the series of one row of `forecast_series` out of what its vintages say."""

    def __init__(self, series: Row[Any]) -> None:
        self._same = {
            "zone": series.zone,
            "signal": Signal(series.signal),
            "unit": series.unit,
            "source": series.source,
            "basis": None if series.basis is None else Basis(series.basis),
        }

    def __call__(
        self,
        content: Content,
        seen_us: int,
        issued_at_us: int | None,
        kind: str,
        licence: str,
        attribution: str,
        restricted: bool,
    ) -> ForecastSeries:
        """What a vintage says, as the series that it was when it was seen."""
        edges = content.edges_us.view(_TIME)
        bands = content.bands
        return ForecastSeries(
            known_at=from_us(seen_us),
            start=edges[:-1],
            end=edges[1:],
            values=bands[0],
            kind=_KINDS[kind],
            issued_at=None if issued_at_us is None else from_us(issued_at_us),
            quantiles={q / PPM: band for q, band in bands.items() if q} if len(bands) > 1 else {},
            licence=licence,
            attribution=attribution,
            restricted=restricted,
            **self._same,
        )


def info_of(series: Row[Any], row: Row[Any]) -> VintageInfo:
    """One of `ForecastStore.vintages`."""

    def moment(us: int | None) -> datetime | None:
        return None if us is None else from_us(us)

    return VintageInfo(
        id=row.id,
        key=series.key,
        source=series.source,
        zone=series.zone,
        signal=Signal(series.signal),
        unit=series.unit,
        basis=None if series.basis is None else Basis(series.basis),
        kind=Kind(row.kind),
        status=row.status,
        known_at=from_us(row.known_at_us),
        confirmed_at=from_us(row.known_at_us if row.confirmed_us is None else row.confirmed_us),
        issued_at=moment(row.issued_at_us),
        first_start=moment(row.first_start_us),
        last_end=moment(row.last_end_us),
        n_values=row.n_values,
        n_changed=row.n_changed,
        licence=row.licence,
        attribution=row.attribution,
        restricted=row.restricted,
        reason=row.reason,
    )
