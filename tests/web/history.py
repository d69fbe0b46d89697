"""A daemon that does not run, upon weeks of made-up vintages that err, with bands: what the page of forecasts shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forecasts.series import PLANNED, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources.base import FetchRequest
from forecasts.sources.registry import make_source
from forecasts.store import ForecastStore
from shifter.clock import ManualClock
from shifter.daemon import Daemon
from shifter.planner import InProcessPlanner
from shifter.service import Service
from shifter.settings import Settings
from tests.forecasts.build import series

NOW = datetime(2026, 1, 10, 6, 47, tzinfo=UTC)
EVERY = timedelta(hours=6)
BACK, AHEAD = timedelta(days=2), timedelta(days=5)
SIGMA = {0.05: -1.645, 0.1: -1.282, 0.25: -0.674, 0.5: 0.0, 0.75: 0.674, 0.9: 1.282, 0.95: 1.645}
"""Standard normal quantiles."""
FLEET: dict[str, Any] = {
    "currency": "EUR",
    "sites": [
        {
            "name": "frankfurt",
            "zone": "DE-LU",
            "jurisdiction": "DE",
            "pools": [
                {"name": "h100", "accelerator": "H100-SXM", "count": 64, "idle_kw": 0.12, "busy_kw": 0.75}
            ],
        }
    ],
    "models": [{"name": "llama-3.3-70b", "throughput_tokens_per_s": {"H100-SXM": 950}}],
}


@contextmanager
def remembered(
    folder: Path,
    *,
    days: float = 8,
    error: float = 0.5,
    sure: float = 0.6,
    signals: tuple[Signal, ...] = PLANNED,
) -> Iterator[Service]:
    """A service that has planned, in whose store `typical` has spoken every 6 h for `days`, of 2 days back, too.

    Its error is `error` standard deviations a day ahead; its bands are `sure` times as wide as that asks for, 0: none.
    """
    fleet = folder / "fleet.json"
    fleet.write_text(json.dumps(FLEET), "utf-8")
    options = {"seed": 3, "forecast_error": error}
    settings = Settings.model_validate(
        {
            "fleet": str(fleet),
            "database": f"sqlite:///{folder / 'shifter.db'}",
            "forecasts": {"sources": [{"name": "typical", "options": options}]},
            "log": {"level": "error"},
        }
    )
    daemon = Daemon(settings, ManualClock(NOW), planner=InProcessPlanner())
    try:
        store = ForecastStore(daemon.database.engine)
        for at in moments(days):
            store.append_all(said(options, at, sure, signals))
        if days:
            daemon.service.cycle("test")
        yield daemon.service
    finally:
        daemon.stop()


def scores_of(service: Service, signal: Signal = Signal.PRICE) -> Any:
    """Those of the only source."""
    [scores] = service.forecast_scores("DE-LU", signal, 14).sources
    return scores


def measure_with_a_hole(service: Service) -> None:
    """The price of 7 January was 50, that of the 8th 60 and of the 9th 80, of which 6 to 12 h were not measured. Each
    day is told when it is over, and the last two on the 10th once more.
    """
    midnight = NOW.replace(hour=0, minute=0)

    def measured(value: float, begins_h: int, n: int, told_h: int) -> ForecastSeries:
        start, told = (midnight + timedelta(hours=h) for h in (begins_h, told_h))
        return series([value] * n, start=start, known_at=told, source="meter", kind=Kind.ACTUAL)

    days = [measured(50, -72, 24, -48), measured(60, -48, 24, -24), measured(60, -48, 24, 0)]
    parts = [measured(80, -24, 6, 0), measured(80, -12, 12, 0)]
    service.core.forecasts.append_all([*days, *parts])


def moments(days: float) -> list[datetime]:
    """When it spoke: every 6 h until now."""
    last = NOW.replace(hour=NOW.hour // 6 * 6, minute=0)
    return [last - k * EVERY for k in reversed(range(int(days * 4)))]


def said(
    options: Mapping[str, Any], at: datetime, sure: float, signals: tuple[Signal, ...]
) -> list[ForecastSeries]:
    """What `typical` says at a moment of two days back and three ahead, with bands."""
    request = FetchRequest("DE-LU", signals, at - BACK, at + AHEAD)
    told = make_source("typical", dict(options)).fetch(request, now=at)
    return [banded(s, at, sure * options["forecast_error"]) for s in told] if sure else told


def banded(s: ForecastSeries, at: datetime, width: float) -> ForecastSeries:
    """With quantiles that widen with the square root of the lead, as its errors do."""
    lead_days = np.maximum((s.start - as_datetime64(at)) / np.timedelta64(1, "D"), 0)
    spread = width * s.values.std() * np.sqrt(lead_days)
    return replace(s, quantiles={p: s.values + z * spread for p, z in SIGMA.items()})
