"""Series and moments that tests are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64

T0 = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(n: float) -> datetime:
    """`n` hours after T0."""
    return T0 + n * HOUR


def series(
    values: Any,
    *,
    start: datetime = T0,
    step_minutes: int = 60,
    zone: str = "DE-LU",
    signal: Signal = Signal.PRICE,
    source: str = "test",
    known_at: datetime = T0 - HOUR,
    **more: Any,
) -> ForecastSeries:
    """Contiguous intervals from `start`."""
    values = np.asarray(values, dtype=float)
    edges = as_datetime64(start) + np.arange(len(values) + 1) * np.timedelta64(step_minutes, "m")
    carbon = signal is Signal.CARBON
    return ForecastSeries(
        zone=zone,
        signal=signal,
        source=source,
        known_at=known_at,
        start=edges[:-1],
        end=edges[1:],
        values=values,
        **{
            "unit": CARBON_UNIT if carbon else "EUR/MWh",
            "basis": Basis.AVERAGE if carbon else None,
            "kind": Kind.FORECAST,
            **more,
        },
    )
