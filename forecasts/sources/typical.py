"""A made-up grid with the statistics of a real one, for demonstrations and tests. Never the real grid.

Value = mean of the season, kind of day and UTC hour + their standard deviation * an anomaly. Anomalies of
price and carbon are AR(1) by the hour with the measured lag-1 autocorrelation, and correlated as measured:

    z_k = rho z_(k-1) + sqrt(1 - rho^2) e_k,   corr(e_price, e_carbon) = r (1 - rho_p rho_c) /
                                                sqrt((1 - rho_p^2) (1 - rho_c^2))

so that corr(z_price, z_carbon) = r. Where prices have a long upper tail (ERCOT: one week of February 2021
makes its winter deviation five times the mean) the value is that of the log-normal with this mean and
deviation. What an hour's value is depends on the zone, the seed and the hour alone, never on the window that
was asked for. The figures are in `forecasts/data/typical_days.csv` and `MEASURED`.
"""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import InputError
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, Times
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.publication import Continuous
from forecasts.spans import from_us, to_us
from forecasts.units import price_unit

HOUR_US = 3_600_000_000
BLOCK = 4096
"""Hours in a block: an AR(1) with rho = 0.99 has forgotten its start after one to 1e-18."""


@dataclass(frozen=True)
class Measured:
    """Of the hourly anomalies: lag-1 autocorrelation of price and carbon, and their correlation."""

    price_lag1: float
    carbon_lag1: float
    correlation: float
    long_tail: bool = False  # of the price


MEASURED = {
    "DE-LU": Measured(0.99, 0.99, 0.44),
    "CAISO-NP15": Measured(0.88, 0.96, 0.21),
    "ERCOT": Measured(0.99, 0.98, 0.14, long_tail=True),
    "GB": Measured(0.96, 0.99, 0.59),
}

_SEASONS = ("winter", "winter", *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter")
_LEAST_CARBON = 5.0  # g/kWh: no grid is without any
_LITTLE_CARBON = 50.0  # g/kWh: below it an error takes less and less
_PRICE_CAPS = (-500.0, 9000.0)  # per MWh: the lowest and the highest cap of these markets in 2020-23


class TypicalOptions(SourceOptions):
    """Which made-up year this is."""

    seed: int = Field(0, ge=0, description="the made-up year: another seed is another weather")
    profiles: dict[str, str] = Field(
        default_factory=dict, description="other zones and the measured one they look like, {FR: DE-LU}"
    )
    horizon_hours: int = Field(168, ge=1, le=24 * 366, description="how far past now it says anything")
    forecast_error: float = Field(
        0.0,
        ge=0,
        le=2,
        description="error 24 h ahead in standard deviations; it grows with the square root of the lead "
        "time and is another for each hour of issue. 0: the forecast is what will happen",
    )
    forecaster: int = Field(
        0, ge=0, description="who errs: another one errs otherwise, about the same made-up year"
    )


class TypicalSource:
    """Price and carbon of a typical year, the same for whoever asks with the same seed."""

    Options = TypicalOptions

    def __init__(self, options: TypicalOptions) -> None:
        self.options = options
        for zone, like in options.profiles.items():
            if like not in MEASURED:
                raise InputError(
                    f"there is no typical zone {like!r}.",
                    field=f"sources.typical.profiles.{zone}",
                    hint=f"Known are {', '.join(MEASURED)}.",
                )
        self.info = SourceInfo(
            name="typical",
            title="Typical days (synthetic)",
            signals=(Signal.PRICE, Signal.CARBON),
            zones=(*MEASURED, *(z for z in options.profiles if z not in MEASURED)),
            units={Signal.PRICE: "EUR/MWh or USD/MWh, by zone", Signal.CARBON: CARBON_UNIT},
            resolution_minutes=(60,),
            horizon=timedelta(hours=options.horizon_hours),
            publication=Continuous(timedelta(hours=1)),
            licence="Apache-2.0",
            attribution="Synthetic: made up by shifter from typical days, not the real grid",
            url="",
            basis=Basis.AVERAGE,
            scope="lifecycle",
            synthetic=True,
            notes=("GB was measured January to June: its autumn is its spring.",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: every hour that the window touches, up to the horizon."""
        known_zone(self.info, request.zone)
        first = to_us(request.start) // HOUR_US
        horizon = to_us(now) // HOUR_US + self.options.horizon_hours
        last = min(-(-to_us(request.end) // HOUR_US), horizon)
        if last <= first:
            return []
        hours = np.arange(first, last)
        return [self._series(request.zone, s, hours, now) for s in self.info.signals if s in request.signals]

    def _series(
        self, zone: str, signal: Signal, hours: np.ndarray[tuple[int, ...], np.dtype[np.int64]], now: datetime
    ) -> ForecastSeries:
        like = self.options.profiles.get(zone, zone)
        profile = _profiles()[like]
        mean, sd = (table[_rows(hours)] for table in profile.mean_sd[signal])
        z = anomalies(zone, like, self.options.seed, int(hours[0]), int(hours[-1]) + 1)[signal]
        if self.options.forecast_error:
            issued = to_us(now) // HOUR_US
            lead_days = np.maximum(hours - issued, 0) / 24
            z = z + self.options.forecast_error * np.sqrt(lead_days) * self._error(
                zone, signal, issued, hours
            )
        if signal is Signal.CARBON:
            values: Floats = mean + sd * z
            if self.options.forecast_error:
                values = _bent(values)
            values = np.maximum(values, _LEAST_CARBON)
        elif MEASURED[like].long_tail:
            log_variance = np.log1p((sd / mean) ** 2)
            values = np.exp(np.log(mean) - log_variance / 2 + np.sqrt(log_variance) * z)
        else:
            values = mean + sd * z
        if signal is Signal.PRICE:
            values = np.clip(values, *_PRICE_CAPS)
        start: Times = (hours * HOUR_US).astype("datetime64[us]")
        end: Times = ((hours + 1) * HOUR_US).astype("datetime64[us]")
        series = ForecastSeries(
            zone=zone,
            signal=signal,
            unit=price_unit(profile.currency) if signal is Signal.PRICE else CARBON_UNIT,
            source=self.info.name,
            known_at=now,
            start=start,
            end=end,
            # A cent and a tenth of a gram: what a platform's last bit does to a sine does not show.
            values=np.round(values, 2 if signal is Signal.PRICE else 1),
            kind=Kind.SYNTHETIC,
            basis=Basis.AVERAGE if signal is Signal.CARBON else None,
            issued_at=from_us(to_us(now) // HOUR_US * HOUR_US),
            licence=self.info.licence,
            attribution=self.info.attribution,
        )
        return check_series(series)

    def _error(
        self,
        zone: str,
        signal: Signal,
        issued: int,
        hours: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    ) -> Floats:
        """Errors of one issue, unit variance, autocorrelated over the hours that it speaks of."""
        who = f"|{self.options.forecaster}" if self.options.forecaster else ""
        key = f"error|{zone}|{signal}|{self.options.seed}|{issued}{who}"
        noise = _normal(key, self.options.horizon_hours + 1)
        walk = _ar1(noise, 0.95)
        return walk[np.clip(hours - issued, 0, len(walk) - 1)]


def _bent(carbon: Floats) -> Floats:
    """What errors leave of carbon: below `_LITTLE_CARBON` it nears the least there is, and never stands still on it."""
    room = _LITTLE_CARBON - _LEAST_CARBON
    lacking = np.maximum(_LITTLE_CARBON - carbon, 0.0)
    bent: Floats = np.where(lacking > 0, _LEAST_CARBON + room**2 / (room + lacking), carbon)
    return bent


def anomalies(zone: str, like: str, seed: int, first_hour: int, last_hour: int) -> dict[Signal, Floats]:
    """Unit-variance anomalies of the hours `[first_hour, last_hour)` since 1970, each (last - first,)."""
    blocks = range(first_hour // BLOCK, (last_hour - 1) // BLOCK + 1)
    offset = blocks[0] * BLOCK
    span = slice(first_hour - offset, last_hour - offset)
    parts = [_block(zone, like, seed, b) for b in blocks]
    return {
        Signal.PRICE: np.concatenate([p for p, _ in parts])[span],
        Signal.CARBON: np.concatenate([c for _, c in parts])[span],
    }


@lru_cache(maxsize=256)
def _block(zone: str, like: str, seed: int, block: int) -> tuple[Floats, Floats]:
    """The anomalies of one block. It starts from the one before it, run from a fresh start: so the blocks
    join without a seam, and none needs more than its neighbour.
    """
    m = MEASURED[like]
    shared = m.correlation * (1 - m.price_lag1 * m.carbon_lag1)
    shared /= math.sqrt((1 - m.price_lag1**2) * (1 - m.carbon_lag1**2))

    def innovations(b: int) -> tuple[Floats, Floats]:
        e = _normal(f"{zone}|{seed}|{b}", 2 * BLOCK)
        return e[:BLOCK], shared * e[:BLOCK] + math.sqrt(1 - shared**2) * e[BLOCK:]

    pairs = zip(innovations(block - 1), innovations(block), (m.price_lag1, m.carbon_lag1), strict=True)
    price, carbon = (_ar1(np.concatenate([before, here]), rho)[BLOCK:] for before, here, rho in pairs)
    return price, carbon


def _ar1(innovations: Floats, rho: float) -> Floats:
    """A stationary AR(1) of unit variance driven by unit normals."""
    scale = math.sqrt(1 - rho**2)
    z = innovations.tolist()
    for k in range(1, len(z)):
        z[k] = rho * z[k - 1] + scale * z[k]
    return np.array(z)


def _normal(key: str, n: int) -> Floats:
    """`n` standard normals that belong to `key`, the same for ever.

    NumPy promises the raw bits of a bit generator for all versions, not what `Generator` makes of them; hence
    Box-Muller by hand.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    raw = np.random.Philox(key=seed).random_raw(2 * n)
    uniform = ((raw >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53
    return np.asarray(np.sqrt(-2 * np.log(uniform[:n])) * np.cos(2 * np.pi * uniform[n:]), dtype=float)


@dataclass(frozen=True, eq=False)
class _Profile:
    currency: str
    mean_sd: dict[Signal, tuple[Floats, Floats]]  # each (12, 2, 24): month, weekend, UTC hour


@lru_cache(maxsize=1)
def _profiles() -> dict[str, _Profile]:
    text = (files("forecasts") / "data" / "typical_days.csv").read_text("utf-8")
    rows = {
        (r["zone"], r["season"], int(r["weekend"]), int(r["hour_utc"])): r
        for r in csv.DictReader(text.splitlines())
    }
    found = {}
    for zone in MEASURED:
        tables = {name: np.empty((12, 2, 24)) for name in ("price_mean", "price_sd", *_CARBON)}
        currency = ""
        for month, season in enumerate(_SEASONS):
            had = season if (zone, season, 0, 0) in rows else "spring"  # GB has no autumn
            for weekend in (0, 1):
                for hour in range(24):
                    row = rows[zone, had, weekend, hour]
                    currency = row["currency"]
                    for name, table in tables.items():
                        table[month, weekend, hour] = float(row[name])
        price = tables["price_mean"], tables["price_sd"]
        carbon = tables[_CARBON[0]], tables[_CARBON[1]]
        found[zone] = _Profile(currency, {Signal.PRICE: price, Signal.CARBON: carbon})
    return found


_CARBON = ("carbon_mean_g_per_kwh", "carbon_sd_g_per_kwh")


def _rows(
    hours: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], ...]:
    """Indices into (month, weekend, hour) of hours since 1970, all in UTC."""
    days = hours // 24
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    weekend = ((days + 3) % 7 >= 5).astype(np.int64)  # 1970-01-01 was a Thursday
    return month, weekend, hours % 24
