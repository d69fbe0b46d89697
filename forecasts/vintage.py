"""What the store tells of a vintage, and how that is read from and written to its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import Row

from forecasts.log import PPM, Change, Content, from_us, to_us
from forecasts.series import Basis, ForecastSeries, Kind, Signal


@dataclass(frozen=True)
class AppendResult:
    """What became of a series: a `new` vintage, seen again `unchanged`, or already here (`duplicate`)."""

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
        "longest_us": int((content.end_us - content.start_us).max()),
        "n_values": len(content),
        "licence": series.licence,
        "attribution": series.attribution,
        "restricted": series.restricted,
        "reason": "",
    }


def value_row(series_id: int, vintage_id: int, change: Change) -> dict[str, Any]:
    """One row of the change-log."""
    return {
        "series_id": series_id,
        "vintage_id": vintage_id,
        "start_us": change.start_us,
        "end_us": change.end_us,
        "q_ppm": change.q_ppm,
        "value": change.value,
    }


def digest_of(series: ForecastSeries, content: Content) -> str:
    """SHA-256 of everything that the vintage says, whenever it was fetched."""
    said = (
        series.kind.value,
        None if series.issued_at is None else to_us(series.issued_at),
        series.licence,
        series.attribution,
        series.restricted,
        sorted(content.bands),
    )
    digest = hashlib.sha256(repr(said).encode())
    for array in (content.start_us, content.end_us, *content.bands.values()):
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def series_of(series: Row[Any], capture: Row[Any], content: Content) -> ForecastSeries:
    """What a capture says, as the series that it was."""
    bands = dict(content.bands)
    values = bands.pop(0)
    return ForecastSeries(
        zone=series.zone,
        signal=Signal(series.signal),
        unit=series.unit,
        source=series.source,
        known_at=from_us(capture.seen_us),
        start=content.start_us.astype("datetime64[us]"),
        end=content.end_us.astype("datetime64[us]"),
        values=values,
        kind=Kind(capture.kind),
        basis=None if series.basis is None else Basis(series.basis),
        issued_at=None if capture.issued_at_us is None else from_us(capture.issued_at_us),
        quantiles={q / PPM: band for q, band in bands.items()},
        licence=capture.licence,
        attribution=capture.attribution,
        restricted=capture.restricted,
    )


def info_of(row: Row[Any]) -> VintageInfo:
    """A row of `ForecastStore.vintages`."""

    def moment(us: int | None) -> datetime | None:
        return None if us is None else from_us(us)

    return VintageInfo(
        id=row.id,
        key=row.key,
        source=row.source,
        zone=row.zone,
        signal=Signal(row.signal),
        unit=row.unit,
        basis=None if row.basis is None else Basis(row.basis),
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
