"""Measured grid data (`DATA=folder`) as vintages: what was known when, of price and carbon, and what came of it.

Carbon is known an hour after its interval ended, which is about what system operators take to publish it. Day-ahead
prices are known from the day before: of DE-LU and GB at 11:45 UTC, CAISO at 21:00, ERCOT at 19:30 (summer time an
hour earlier, which is not counted on).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from forecasts.history import VintageHistory
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, Times, as_datetime, as_datetime64

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Zone:
    """Where the data of a zone lie, and when its day-ahead prices are known: at `cleared_at` UTC of the day before
    the local day in `timezone`.
    """

    name: str
    folder: str
    currency: str
    timezone: str
    cleared_at: time


ZONES = {
    z.name: z
    for z in (
        Zone("DE-LU", "grid_de_lu", "EUR", "Europe/Berlin", time(11, 45)),
        Zone("CAISO-NP15", "grid_caiso_np15", "USD", "America/Los_Angeles", time(21, 0)),
        Zone("ERCOT", "grid_ercot_hubavg", "USD", "America/Chicago", time(19, 30)),
        Zone("GB", "grid_gb_2023h1", "EUR", "Europe/London", time(11, 45)),
    )
}


@dataclass(frozen=True, eq=False)
class Measured:
    """A zone's hourly price [currency/MWh] and carbon [gCO2e/kWh], (n,) each; NaN where missing."""

    zone: Zone
    start: datetime
    price: Floats
    carbon: Floats


def measured(data: Path, zone: Zone) -> Measured:
    """The hours of a zone. Raises FileNotFoundError where `data` has them not."""
    folder = data / zone.folder
    if (panel := folder / "panel_hourly.csv.gz").exists():
        table = pd.read_csv(panel, index_col="ts_utc", parse_dates=True)
        price, carbon = (
            table[f"price_dayahead_{zone.currency.lower()}_per_mwh"],
            table["carbon_g_per_kwh"].where(table["carbon_interpolated"] == 0),
        )
    else:
        prices = pd.read_csv(folder / "price_hourly.csv.gz", index_col="ts_utc", parse_dates=True)
        halves = pd.read_csv(folder / "carbon_halfhourly.csv.gz", index_col="ts_utc", parse_dates=True)
        price = prices["price_dayahead_eur_per_mwh"]
        carbon = halves["carbon_g_per_kwh"].resample("1h").mean()
    hours = pd.date_range(price.index.min(), price.index.max(), freq="1h")
    return Measured(
        zone,
        hours[0].to_pydatetime().astimezone(UTC),
        price.reindex(hours).to_numpy(dtype=float),
        carbon.reindex(hours).to_numpy(dtype=float),
    )


def vintages(data: Path, zone: Zone) -> list[ForecastSeries]:
    """Everything that was known of a zone: cleared prices by local day, measured carbon by the hour, and where the
    data have them, forecasts of carbon.
    """
    m = measured(data, zone)
    return [*cleared_by_day(m), *measured_by_hour(m), *carbon_forecasts(data, zone)]


def history(data: Path, *names: str) -> VintageHistory:
    """The vintages of the zones named, all where none is."""
    return VintageHistory(s for name in names or ZONES for s in vintages(data, ZONES[name]))


def cleared_by_day(m: Measured) -> list[ForecastSeries]:
    starts = as_datetime64(m.start) + np.arange(len(m.price)) * np.timedelta64(1, "h")
    local = pd.DatetimeIndex(starts).tz_localize("UTC").tz_convert(ZoneInfo(m.zone.timezone))
    found = []
    days = np.array(local.date)
    for day in sorted(set(days)):
        known = datetime.combine(day - DAY, m.zone.cleared_at, UTC)
        rows = np.flatnonzero(days == day)
        found += runs(m.zone, Signal.PRICE, known, starts[rows], m.price[rows], Kind.CLEARED, "day_ahead")
    return found


def measured_by_hour(m: Measured) -> list[ForecastSeries]:
    starts = as_datetime64(m.start) + np.arange(len(m.carbon)) * np.timedelta64(1, "h")
    found = []
    for i in range(len(starts)):
        known = m.start + (i + 2) * HOUR
        part = slice(i, i + 1)
        found += runs(m.zone, Signal.CARBON, known, starts[part], m.carbon[part], Kind.ACTUAL, "measured")
    return found


def carbon_forecasts(data: Path, zone: Zone) -> list[ForecastSeries]:
    path = data / zone.folder / "carbon_forecast_96h_vintages.parquet"
    if not path.exists():
        return []
    table = pd.read_parquet(path)
    issued = _times(table["issued_at_utc"])
    starts = _times(table["ts_utc"])
    values = table["carbon_forecast_g_per_kwh"].to_numpy(dtype=float)
    found = []
    for moment in np.unique(issued):
        rows = np.flatnonzero(issued == moment)
        known = as_datetime(moment)
        found += runs(zone, Signal.CARBON, known, starts[rows], values[rows], Kind.FORECAST, "carboncast")
    return found


def _times(column: pd.Series[pd.Timestamp]) -> Times:
    return column.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def runs(
    zone: Zone, signal: Signal, known: datetime, starts: Times, values: Floats, kind: Kind, source: str
) -> list[ForecastSeries]:
    """Series without holes: one for each run of known values."""
    good = np.flatnonzero(np.isfinite(values))
    if not len(good):
        return []
    hour = np.timedelta64(1, "h")
    parts = np.split(good, np.flatnonzero(np.diff(starts[good]) != hour) + 1)
    carbon = signal is Signal.CARBON
    return [
        ForecastSeries(
            zone=zone.name,
            signal=signal,
            unit=CARBON_UNIT if carbon else f"{zone.currency}/MWh",
            source=source,
            known_at=known,
            start=starts[part].astype("datetime64[us]"),
            end=(starts[part] + hour).astype("datetime64[us]"),
            values=values[part],
            kind=kind,
            basis=Basis.AVERAGE if carbon else None,
        )
        for part in parts
    ]
