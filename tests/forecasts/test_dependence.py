"""How errors go together: what is planted is found, and drawn again in paths."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.dependence import DECAY_HOURS, LEAST_PAIRS, correlation, decay_hours
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.scenarios import PathRules, scenario_paths
from forecasts.series import CARBON_UNIT, Basis, Kind, Signal
from forecasts.slots import Floats, SlotGrid
from tests.forecasts.build import T0


def fading(hours: float, n_rounds: int = 200, n_hours: int = 96, seed: int = 1) -> Floats:
    """Errors that fade to 1/e in so many hours."""
    draw = np.random.default_rng(seed).standard_normal((n_rounds, n_hours))
    rho = math.exp(-1 / hours)
    errors = draw.copy()
    for t in range(1, n_hours):
        errors[:, t] = rho * errors[:, t - 1] + math.sqrt(1 - rho * rho) * draw[:, t]
    return errors


@pytest.mark.parametrize("hours", [2.0, 6.0, 24.0])
def test_the_decay_that_was_planted_is_found(hours: float) -> None:
    assert decay_hours(fading(hours)) == pytest.approx(hours, rel=0.15)


def test_holes_in_the_record_do_not_matter() -> None:
    errors = fading(6.0)
    errors[np.random.default_rng(2).random(errors.shape) < 0.3] = np.nan
    assert decay_hours(errors) == pytest.approx(6.0, rel=0.2)


def test_noise_fades_at_once_and_a_lasting_error_within_a_week_at_most() -> None:
    assert decay_hours(np.random.default_rng(0).standard_normal((50, 96))) == DECAY_HOURS[0]
    assert decay_hours(np.ones((50, 96))) == pytest.approx(DECAY_HOURS[1])


def test_few_errors_tell_nothing() -> None:
    few = np.ones((1, LEAST_PAIRS))  # one pair fewer than hours
    assert decay_hours(few) is None
    assert correlation(few[:, 1:], few[:, 1:]) is None
    assert correlation(np.full((50, 96), np.nan), np.ones((50, 96))) is None


@given(st.floats(-0.95, 0.95))
def test_the_correlation_that_was_planted_is_found(r: float) -> None:
    first, own = np.random.default_rng(3).standard_normal((2, 60, 96))
    assert correlation(first, r * first + math.sqrt(1 - r * r) * own) == pytest.approx(r, abs=0.06)


def test_rounds_are_matched_from_the_last_one_back() -> None:
    errors = fading(6.0, n_rounds=40)
    assert correlation(errors, errors[10:]) == pytest.approx(1.0)
    assert abs(correlation(errors, errors[:30]) or 0.0) < 0.2


def test_paths_fade_and_go_together_as_was_learnt() -> None:
    grid = SlotGrid(T0, 60, 96)
    values, n = np.full(96, 500.0), 96

    def signal(which: Signal, fades_hours: float, with_price: float | None = None) -> SignalFrame:
        band = {0.1: values - 50, 0.9: values + 50}
        unit, basis = ("EUR/MWh", None) if which is Signal.PRICE else (CARBON_UNIT, Basis.AVERAGE)
        frame = SignalFrame("A", which, unit, basis, values, (Kind.MODEL,) * n, ("x",) * n, (T0,) * n, band)
        return replace(frame, autocorrelation_hours=fades_hours, price_correlation=with_price)

    frame = ForecastFrame(
        grid, T0, "EUR", (signal(Signal.PRICE, 3.0), signal(Signal.CARBON, 3.0, with_price=-0.8))
    )
    learnt = PathRules(400, 0, None, None, 0.0)
    price, carbon = (scenario_paths(frame, learnt).offsets["A", s] for s in (Signal.PRICE, Signal.CARBON))
    lagged = np.corrcoef(price[:, :-1].ravel(), price[:, 1:].ravel())[0, 1]
    assert lagged == pytest.approx(math.exp(-1 / 3), abs=0.03)
    assert np.corrcoef(price.ravel(), carbon.ravel())[0, 1] == pytest.approx(-0.8, abs=0.05)
    # What the fleet's owner says goes before what was learnt.
    said = scenario_paths(frame, replace(learnt, price_carbon_correlation=0.6)).offsets
    both = np.corrcoef(said["A", Signal.PRICE].ravel(), said["A", Signal.CARBON].ravel())[0, 1]
    assert both == pytest.approx(0.6, abs=0.06)
    # A frame keeps what it learnt on its way through the store.
    again = ForecastFrame.from_dict(frame.to_dict())
    assert [s.autocorrelation_hours for s in again.signals] == [3.0, 3.0]
    assert again.signals[1].price_correlation == -0.8
