"""Does a vintage contradict the one before beyond belief? Another zone's values, a column mistaken for another.

Whether a value is unusual is not asked: spikes, scarcity and negative prices are legal, and a few hours may do what
they like. A jump is that three quarters of the intervals to come which both tell of differ by more than `BEYOND`
times the scale of the series: the spread between the quartiles of what was known of the last days, which no spike
moves, and never less than a quarter of its usual size nor than what is small anywhere.

Measured on three zones: of 537 carbon forecasts issued a day apart, the quarter of the intervals that agrees best was
revised by 1.1 times that scale at most. Where yesterday's prices stood for a forecast of today's, of 3388 days in four
zones three went beyond 4, all in Texas in February 2021. So a jump may be true, and whoever refuses one has to believe
it when it is said again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from forecasts.errors import ForecastRejected
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import as_datetime, as_datetime64, isoformat_z
from forecasts.units import roughly_per_euro

BEYOND = 4.0
AGREEING_RATIO = 0.25
FEWEST = 12
"""Intervals in common; fewer prove nothing."""
SMALL = {Signal.PRICE: 20.0, Signal.CARBON: 20.0}
"""A scale is no less [Euro/MWh, gCO2e/kWh, else MW]: below it everything is about the same."""
SMALL_MW = 100.0

History = Callable[[], Iterable[ForecastSeries]]


def jump_from(previous: ForecastSeries, series: ForecastSeries, history: History) -> ForecastRejected | None:
    """Why `series` cannot follow `previous`, naming the first interval that jumps; None where it can.

    `history` answers what was known of the last days and of those to come, which says what is usual; where nothing was,
    `previous` does. It is asked only where there may be a jump.
    """
    _, here, there = np.intersect1d(series.start, previous.start, assume_unique=True, return_indices=True)
    ahead = series.end[here] > as_datetime64(series.known_at)
    here, there = here[ahead], there[ahead]
    if len(here) < FEWEST:
        return None
    apart = np.abs(series.values[here] - previous.values[there])
    least = float(np.quantile(apart, AGREEING_RATIO))
    if least <= BEYOND * _small(series):
        return None
    scale = _scale(series, [s for s in history() if s.unit == series.unit] or [previous])
    if least <= BEYOND * scale:
        return None
    first = int(np.argmax(apart > BEYOND * scale))
    at = series.start[here[first]]
    return ForecastRejected(
        f"{series.key}: {np.mean(apart > BEYOND * scale):.0%} of {len(here)} values lie further from those of the "
        f"vintage known at {isoformat_z(previous.known_at)} than {BEYOND:g} times what is usual, {scale:.3g} "
        f"{series.unit}; the first is {series.values[here[first]]:g} after {previous.values[there[first]]:g} at "
        f"{isoformat_z(as_datetime(at))}.",
        field=str(series.signal),
        hint="Check the zone, the unit and the column. It is believed where the source stands by it.",
        series=series.key,
    )


def _small(series: ForecastSeries) -> float:
    euro = roughly_per_euro(series.unit) if series.signal is Signal.PRICE else 1.0
    return SMALL.get(series.signal, SMALL_MW) * euro


def _scale(series: ForecastSeries, known: list[ForecastSeries]) -> float:
    values = np.concatenate([s.values for s in known])
    low, high = np.quantile(values, [0.25, 0.75])
    return max(float(high - low), float(np.median(np.abs(values))) / 4, _small(series))
