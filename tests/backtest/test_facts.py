"""The fast history answers as the plain one does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.assemble import frame_from_store
from forecasts.history import VintageHistory
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid
from shifter.backtest.facts import FactHistory
from tests.backtest.world import HOUR, START, day_ahead, series


def asked(vintages: list[ForecastSeries], hour: float) -> None:
    """Both frames are the same, but for when each measured value was known."""
    now = START + timedelta(hours=hour)
    grid = SlotGrid.covering(now, 48 * HOUR, 30)
    plain, fast = (
        frame_from_store(history(vintages), grid, as_of=now, zones=["DE-LU"], currency="EUR")
        for history in (VintageHistory, FactHistory)
    )
    for a, b in zip(plain.signals, fast.signals, strict=True):
        assert np.array_equal(a.values, b.values, equal_nan=True)
        assert (a.kind, a.source, a.unit, a.basis) == (b.kind, b.source, b.unit, b.basis)
        assert a.quantiles.keys() == b.quantiles.keys()
    assert plain.warnings == fast.warnings


@settings(max_examples=40, deadline=None)
@given(hour=st.floats(-20, 24 * 9), gone=st.sets(st.integers(0, 180)), seed=st.integers(0, 99))
def test_at_any_moment_whatever_is_missing(hour: float, gone: set[int], seed: int) -> None:
    told = [s for i, s in enumerate(day_ahead(9)) if i not in gone]
    order = np.random.default_rng(seed).permutation(len(told))
    asked([told[i] for i in order], hour)


def test_a_correction_is_heard() -> None:
    told = day_ahead(3)
    meter = next(s for s in told if s.source == "meter")
    corrected = replace(meter, known_at=meter.known_at + 9 * HOUR, values=meter.values + 100)
    for hour in (5, 10, 11, 12, 30):
        asked([*told, corrected], hour)


def test_quantiles_and_kinds_that_change_are_left_as_they_are() -> None:
    told = day_ahead(2)
    told.append(series(START + HOUR, START + 48 * HOUR, [50.0] * 24, kind=Kind.FORECAST))
    band = {0.9: np.full(24, 80.0)}
    told.append(
        series(START + HOUR, START + 72 * HOUR, [50.0] * 24, Signal.PRICE, source="other", quantiles=band)
    )
    for hour in (0, 2, 30):
        asked(told, hour)
