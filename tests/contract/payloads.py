"""Replies in the shapes that the APIs give, with made-up values."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from forecasts.testing import Asked, Said

NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
SLOT = datetime(2026, 11, 23, 10, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)  # of the 23rd in Berlin

OPEN = "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de"
CLOSED = "For private and internal use only. Any use for commercial purposes is expressly prohibited."


def as_json(body: Any, status: int = 200, **headers: str) -> Said:
    return Said(json.dumps(body).encode(), status, {"Content-Type": "application/json", **headers})


def neso_rows(n: int = 96, start: datetime = SLOT, *, national: bool = True) -> list[dict[str, Any]]:
    rows = []
    for k in range(n):
        at = start + k * timedelta(minutes=30)
        value = 150 + 7 * k % 90
        intensity = {"forecast": value, "index": "moderate", **({"actual": None} if national else {})}
        row: dict[str, Any] = {
            "from": f"{at:%Y-%m-%dT%H:%MZ}",
            "to": f"{at + timedelta(minutes=30):%Y-%m-%dT%H:%MZ}",
            "intensity": intensity,
        }
        if not national:
            row["generationmix"] = [{"fuel": "wind", "perc": 40.2}, {"fuel": "gas", "perc": 59.8}]
        rows.append(row)
    return rows


def neso_actual(at: datetime) -> int | None:
    """What came in the half-hour from `at` on."""
    return 100 + int(at.timestamp()) // 1800 % 97


AFTER_THE_FACT = 999
"""What NESO's column `forecast` says of the past: nobody foresaw it."""


def neso_api(actual: Callable[[datetime], Any] = neso_actual, now: datetime = NOW) -> Callable[[Asked], Said]:
    """The national paths: 48 h from a half-hour on, and what came, both ends included, of 14 days at most."""

    def reply(asked: Asked) -> Said:
        *_, first, last = asked.path.split("/")
        start = datetime.strptime(first, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        if last == "fw48h":
            return as_json({"data": neso_rows(start=start.replace(minute=start.minute // 30 * 30))})
        end = datetime.strptime(last, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        if end - start > timedelta(days=14):
            return as_json({"error": {"code": "400 Bad Request", "message": "14 days at most."}}, 400)
        half_hour, origin = timedelta(minutes=30), datetime(2026, 1, 1, tzinfo=UTC)
        at = (
            origin + -((origin + half_hour - start) // half_hour) * half_hour
        )  # it ends at `start` at the earliest
        rows = []
        while at <= end:
            [row] = neso_rows(1, at)
            came = actual(at) if at + half_hour <= now else None
            row["intensity"] |= {"forecast": AFTER_THE_FACT, "actual": came}
            rows.append(row)
            at += half_hour
        return as_json({"data": rows})

    return reply


def neso_region(n: int = 96, region: int = 13) -> dict[str, Any]:
    return {
        "data": {
            "regionid": region,
            "dnoregion": "UKPN London",
            "shortname": "London",
            "data": neso_rows(n, national=False),
        }
    }


def ec_times(n: int, start: datetime = MIDNIGHT, step_minutes: int = 15) -> list[int]:
    return [int(start.timestamp()) + 60 * step_minutes * k for k in range(n)]


def ec_price(
    n: int = 192, start: datetime = MIDNIGHT, step_minutes: int = 15, licence: str = OPEN
) -> dict[str, Any]:
    return {
        "license_info": licence,
        "unix_seconds": ec_times(n, start, step_minutes),
        "price": [round(60 + 37 * (k % 11) / 11, 2) for k in range(n)],
        "unit": "EUR / MWh",
        "deprecated": False,
    }


def ec_carbon(n: int = 192, measured: int = 41) -> dict[str, Any]:
    values = [round(280 + 90 * (k % 17) / 17, 1) for k in range(n)]
    return {
        "unix_seconds": ec_times(n),
        "co2eq": values[:measured] + [None] * (n - measured),
        "co2eq_forecast": [None] * measured + values[measured:],
        "deprecated": False,
    }
