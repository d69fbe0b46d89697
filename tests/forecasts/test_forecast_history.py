"""Vintages in memory answer exactly what the store does."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.history import VintageHistory
from forecasts.series import ForecastSeries, Kind, Signal
from tests.forecasts.build import hours, series
from tests.forecasts.test_forecast_store import memory

numbers = count()

# Sources whose names sort otherwise than their keys `source:zone:signal` do.
sources = st.sampled_from(["a", "a-b", "B"])
signals = st.sampled_from([Signal.PRICE, Signal.CARBON])
vintages = st.lists(
    st.tuples(
        sources,
        signals,
        st.integers(0, 8),  # known at [h]; several may be at once
        st.integers(-6, 14),  # start [quarters]
        st.sampled_from([15, 30, 60, 7]),
        st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.25, 1 / 3]), min_size=1, max_size=6),
        st.sampled_from([Kind.FORECAST, Kind.CLEARED]),
        st.booleans(),  # with quantiles
        st.sampled_from([None, 0, 1]),  # issued at [h]
    ),
    max_size=12,
)
windows = st.tuples(st.integers(-8, 24), st.integers(-4, 30)).map(
    lambda w: (hours(w[0] / 4), hours(w[1] / 4))
)


def one(zone: str, said: tuple[Any, ...]) -> ForecastSeries:
    source, signal, known, start, step, values, kind, banded, issued = said
    return series(
        values,
        zone=zone,
        signal=signal,
        source=source,
        known_at=hours(known),
        start=hours(start / 4),
        step_minutes=step,
        kind=kind,
        quantiles={0.1: np.asarray(values) - 1, 0.975: np.asarray(values) + 1} if banded else {},
        issued_at=None if issued is None else hours(issued),
        licence="CC BY 4.0" if banded else "",
        restricted=banded,
    )


def all_of(s: ForecastSeries) -> tuple[Any, ...]:
    """Everything that a series says, to the bit."""
    return (
        *(s.key, s.unit, s.basis, s.kind, s.known_at, s.issued_at, s.licence, s.attribution, s.restricted),
        *(a.astype("datetime64[us]").tolist() for a in (s.start, s.end)),
        s.values.tobytes(),
        {p: band.tobytes() for p, band in s.quantiles.items()},
    )


@settings(deadline=None)
@given(
    said=vintages,
    window=windows,
    known=st.integers(-1, 10),
    signal=signals,
    asked=st.none() | st.sets(sources),
)
def test_it_answers_what_the_store_answers(
    said: list[Any], window: Any, known: int, signal: Signal, asked: set[str] | None
) -> None:
    store, zone = memory(), f"history-{next(numbers)}"
    given_ = [one(zone, s) for s in said]
    store.append_all(given_)
    question = (zone, signal, hours(known), *window)
    answered = VintageHistory(given_).as_of(*question, sources=asked)
    assert [all_of(s) for s in store.as_of(*question, sources=asked)] == [all_of(s) for s in answered]


def test_the_same_at_the_same_moment_counts_once_where_it_was_told_first() -> None:
    a, b = series([1.0]), series([2.0])
    store, zone = memory(), f"history-{next(numbers)}"
    told = [
        one(zone, ("a", Signal.PRICE, 0, 0, 60, [v], Kind.FORECAST, False, None)) for v in (1.0, 2.0, 1.0)
    ]
    assert [done.status for done in store.append_all(told)] == ["new", "new", "duplicate"]
    (s,) = VintageHistory([a, b, a]).as_of("DE-LU", Signal.PRICE, hours(0), hours(0), hours(1))
    (kept,) = store.as_of(zone, Signal.PRICE, hours(0), hours(0), hours(1))
    assert s.values.tolist() == kept.values.tolist() == [2.0]
