"""A simulated zone: what came of it hour by hour, and what sources said of it, as vintages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import Floats
from tests.forecasts.build import HOUR, series

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
DAY = timedelta(days=1)

Told = Callable[[datetime, Floats], Floats]
"""What a source makes of what will come, by when it says so."""


def day(n: float) -> datetime:
    """`n` days after the start."""
    return START + n * DAY


def grid_days(n_days: int, seed: int = 0, *, level: float = 300.0, noise: float = 25.0) -> Floats:
    """`n_days` of hours that go up and down each day, lower on weekends, about a level that drifts by itself."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24 * n_days)
    drift = np.empty(n_days)
    drift[0] = rng.normal(0, noise)
    for i in range(1, n_days):
        drift[i] = 0.8 * drift[i - 1] + rng.normal(0, 0.6 * noise)
    weekend = np.where(hour // 24 % 7 >= 5, -noise, 0.0)
    wave = 60 * np.sin(2 * np.pi * hour / 24) + 25 * np.cos(4 * np.pi * hour / 24)
    return level + wave + weekend + np.repeat(drift, 24) + rng.normal(0, 0.3 * noise, len(hour))


def measured(values: Floats, *, every_h: int = 6, late_h: int = 0, **more: Any) -> list[ForecastSeries]:
    """What came, told every few hours, so many hours after it was over. NaN is never told."""
    found = []
    for first in range(0, len(values), every_h):
        known_at = START + (first + every_h + late_h) * HOUR
        found += _runs(
            values[first : first + every_h],
            START + first * HOUR,
            known_at,
            **{"kind": Kind.ACTUAL, "source": "measured", **more},
        )
    return found


def forecasts(
    values: Floats, told: Told, *, reach_h: int = 48, every_h: int = 6, **more: Any
) -> list[ForecastSeries]:
    """What a source says every few hours of the hours after, being told what will come."""
    found = []
    for first in range(0, len(values) - reach_h, every_h):
        moment = START + first * HOUR
        said = told(moment, values[first : first + reach_h])
        found += _runs(said, moment, moment, **{"source": "told", **more})
    return found


def noisy(size: float, seed: int = 1) -> Told:
    """What will come, and noise upon it."""
    rng = np.random.default_rng(seed)
    return lambda _, values: values + rng.normal(0, size, len(values))


def exactly(_: datetime, values: Floats) -> Floats:
    """What will come."""
    return values


def _runs(values: Floats, start: datetime, known_at: datetime, **more: Any) -> list[ForecastSeries]:
    """One series for each run of finite values."""
    known = np.flatnonzero(np.isfinite(values))
    parts = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(known) else []
    return [
        series(
            values[part],
            start=start + int(part[0]) * HOUR,
            known_at=known_at,
            **{"signal": Signal.CARBON, **more},
        )
        for part in parts
    ]
