"""What contradicts the vintage before beyond belief, and what is only unusual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import ForecastRejected
from forecasts.jumps import jump_from
from forecasts.series import ForecastSeries, Signal
from tests.forecasts.build import T0, hours, series

WAVE = np.sin(np.arange(48) / 4)
FRENCH = 30 + 8 * WAVE
GERMAN = 420 + 90 * WAVE
PRICES = 60 + 30 * WAVE


def carbon(values: Any, **more: Any) -> ForecastSeries:
    return series(values, signal=Signal.CARBON, **more)


def jump(
    series: ForecastSeries, previous: ForecastSeries, history: Iterable[ForecastSeries] = ()
) -> ForecastRejected | None:
    return jump_from(previous, series, lambda: history)


def test_another_zones_carbon_is_a_jump_and_it_says_where() -> None:
    found = jump(carbon(GERMAN), carbon(FRENCH))
    assert found is not None
    assert found.detail.startswith(
        "test:DE-LU:carbon: 100% of 48 values lie further from those of the vintage known"
    )
    assert "the first is 420 after 30 at 2026-01-10T00:00:00Z" in found.detail
    assert found.field == "carbon"
    assert found.hint


def test_crowns_for_euros_are_a_jump() -> None:
    assert jump(series(PRICES * 7.46), series(PRICES))
    assert jump(series(PRICES * 25), series(PRICES))


def test_a_revision_is_none_however_large_where_it_is_short() -> None:
    evening = PRICES.copy()
    evening[16:50] = 9000  # 32 of 48
    assert jump(series(evening), series(PRICES)) is None
    assert jump(series(PRICES), series(evening)) is None
    assert jump(series(PRICES * 3), series(PRICES)) is None
    assert jump(carbon(GERMAN / 2), carbon(GERMAN)) is None


@pytest.mark.parametrize("values", [np.zeros(48), -PRICES, PRICES - 120, np.full(48, 0.01)])
def test_zeros_and_negative_prices_are_legal(values: Any) -> None:
    assert jump(series(values), series(PRICES)) is None


def test_what_is_usual_comes_of_the_history() -> None:
    """A calm day before says little; a week of scarcity says that it can be so."""
    calm, wild = series(np.full(48, 30.0)), series(np.full(48, 2000.0))
    week = series(np.where(np.arange(168) % 3, 30.0, 4000.0), start=hours(-168))
    assert jump(wild, calm)
    assert jump(wild, calm, [week]) is None


def test_one_spike_in_the_history_does_not_make_a_jump_usual() -> None:
    spiky = np.tile(PRICES, 4)
    spiky[:6] = 15_000
    assert jump(series(PRICES * 10), series(PRICES), [series(spiky, start=hours(-192))])


def test_near_nothing_everything_is_small() -> None:
    hydro = series(np.linspace(1, 3, 48))
    assert jump(series(np.full(48, 75.0)), hydro) is None
    assert jump(series(np.full(48, 300.0)), hydro)
    yen = series(np.linspace(1, 3, 48), unit="JPY/MWh")
    assert jump(series(np.full(48, 9000.0), unit="JPY/MWh"), yen) is None, "45 Euro"
    assert jump(series(np.full(48, 90_000.0), unit="JPY/MWh"), yen)


def test_what_is_over_is_no_evidence() -> None:
    """The two days before are in it as they were; they do not vouch for what is to come."""
    known = series(np.tile(PRICES, 2), start=hours(-48), known_at=T0)
    wrong = np.r_[PRICES, PRICES * 10]
    assert jump(series(wrong, start=hours(-48), known_at=T0), known)
    assert jump(replace(series(wrong[::-1].copy(), start=hours(-48)), known_at=T0), known) is None


def test_a_few_intervals_prove_nothing() -> None:
    assert jump(carbon(GERMAN, start=hours(37)), carbon(FRENCH)) is None
    assert jump(carbon(GERMAN, start=hours(36)), carbon(FRENCH))
    assert jump(carbon(GERMAN, start=hours(500)), carbon(FRENCH)) is None


def test_the_history_is_only_asked_for_where_there_may_be_a_jump() -> None:
    def never() -> list[ForecastSeries]:
        raise AssertionError("a week of the store is dear")

    assert jump_from(series(PRICES), series(PRICES + 60), never) is None


@given(st.lists(st.floats(-300, 4000), min_size=48, max_size=48), st.lists(st.integers(0, 47), max_size=36))
def test_what_agrees_for_a_quarter_of_the_time_is_no_jump(values: list[float], where: list[int]) -> None:
    before = np.array(values)
    after = before.copy()
    after[where] = 15_000.0
    assert jump(series(after), series(before)) is None


@given(st.lists(st.floats(-300, 4000), min_size=48, max_size=48))
def test_a_jump_is_one_in_any_money(values: list[float]) -> None:
    before, after = np.array(values), np.array(values)[::-1] + 4000
    euro = jump(series(after), series(before))
    forint = jump(series(after * 500, unit="HUF/MWh"), series(before * 500, unit="HUF/MWh"))
    assert (euro is None) == (forint is None)
