"""A small grid whose past can be told: price and carbon of a zone by the hour, and a desk that forecasts them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forecasts.marketday import market_day
from forecasts.slots import Floats, isoformat_z
from forecasts.testing import Asked, Said
from tests.contract.payloads import OPEN, as_json

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(2025, 10, 1, tzinfo=UTC)
HEADER = "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh"
_NOISE = np.random.default_rng(3).normal(0, 1, (2, 24 * 400))


def truth(start: datetime, n: int) -> tuple[Floats, Floats]:
    """Price and carbon of the `n` hours from `start`: a wave a day, a slow drift, some noise."""
    first = (start - EPOCH) // HOUR
    hours = np.arange(first, first + n)
    wave = np.sin(2 * np.pi * hours / 24)
    slow = np.sin(2 * np.pi * hours / (24 * 17))
    price = 70 + 25 * wave + 15 * slow + 4 * _NOISE[0, hours]
    carbon = 300 + 90 * wave + 60 * slow + 12 * _NOISE[1, hours]
    return np.round(price, 2), np.round(carbon, 1)


def meter(path: Path, zone: str, start: datetime, end: datetime) -> None:
    """A file of what came, each day known when it was over."""
    rows = [f"{HEADER},kind"]
    while start + DAY <= end:
        rows += _rows(zone, start + DAY, start, *truth(start, 24), "actual")
        start += DAY
    path.write_text("\n".join(rows))


def desk(
    path: Path,
    zone: str,
    start: datetime,
    end: datetime,
    error: float,
    *,
    seed: int = 5,
    ahead_h: int = 36,
    outcomes: bool = False,
) -> None:
    """A file of a forecast each midnight, `ahead_h` hours ahead, whose errors have a size of `error` [gCO2e/kWh]; and
    where wanted, what came of each day before.
    """
    rng, rows = np.random.default_rng(seed), [f"{HEADER},kind"]
    while start <= end:
        price, carbon = truth(start, ahead_h)
        price, carbon = (
            v + error * share * rng.normal(0, 1, ahead_h) for v, share in ((price, 0.3), (carbon, 1))
        )
        rows += _rows(zone, start, start, price, np.maximum(0.0, carbon), "forecast")
        if outcomes:
            rows += _rows(zone, start, start - DAY, *truth(start - DAY, 24), "actual")
        start += DAY
    path.write_text("\n".join(rows))


def both(folder: Path, zone: str, start: datetime, end: datetime) -> None:
    """What came, in meter.csv, and what a desk that errs by 15 forecast, in desk.csv."""
    meter(folder / "meter.csv", zone, start, end)
    desk(folder / "desk.csv", zone, start, end, error=15)


def _rows(
    zone: str, issued: datetime, start: datetime, price: Floats, carbon: Floats, kind: str
) -> list[str]:
    """The hours from `start` on."""
    edges = [isoformat_z(start + h * HOUR) for h in range(len(price) + 1)]
    return [
        f"{zone},{isoformat_z(issued)},{a},{b},{p:.2f},{c:.1f},{kind}"
        for a, b, p, c in zip(edges, edges[1:], price, carbon, strict=False)
    ]


def csv_source(name: str, path: Path, **options: Any) -> dict[str, Any]:
    """Settings of a csv source."""
    return {"name": "csv", "options": {"name": name, "path": str(path), **options}}


def energy_charts(now: Callable[[], datetime]) -> Callable[[Asked], Said]:
    """A server that tells the truth of as many days as it is asked for, to the end of today."""
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")

    def reply(asked: Asked) -> Said:
        start = market_day(datetime.fromisoformat(asked.query["start"]).date(), berlin)[0]
        end = market_day(now().astimezone(berlin).date(), berlin)[1]
        n = (end - start) // HOUR
        price, carbon = truth(start, n)
        times = (int(start.timestamp()) + 3600 * np.arange(n)).tolist()
        if asked.path == "/co2eq":
            told: dict[str, Any] = {"co2eq_forecast": carbon.tolist()}
        else:
            told = {"price": price.tolist(), "unit": "EUR / MWh", "license_info": OPEN}
        return as_json({"unix_seconds": times, **told})

    return reply
