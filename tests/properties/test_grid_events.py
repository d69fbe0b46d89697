"""What an event limits: half-open windows, slots that are cut by them, several at once, cuts, ramps and rebounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shifter.domain.fleet import Pool, PowerWindow, Site
from shifter.domain.grid_event import (
    Baseline,
    BaselineWindow,
    GridEvent,
    check_grid_event,
    limits_in_force,
    most_kw,
)
from shifter.domain.metered import Metered, Step
from shifter.domain.plant import Battery
from shifter.errors import InputError
from shifter.store import grid_events as rows
from shifter.store.imports import in_steps

T0 = datetime(2026, 1, 10, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SITE = Site("a", "Z", (Pool("p", "X", 10, busy_kw=1.0),))
INF = float("inf")
minutes = st.integers(0, 24 * 60)
kw = st.floats(0, 1000, allow_nan=False)


def event(start: int, length: int, limit: float | None = 5.0, **more: Any) -> GridEvent:
    """From `start` [min], `length` of them."""
    first = T0 + start * MINUTE
    return GridEvent("e", "a", first, first + length * MINUTE, limit, **more)


def baseline(*values: float) -> Baseline:
    """One value for each hour from T0."""
    edges = [T0 + i * HOUR for i in range(len(values) + 1)]
    return Baseline(
        "given", "", tuple(BaselineWindow(a, b, v) for (a, b), v in zip(pairwise(edges), values, strict=True))
    )


@given(minutes, st.integers(1, 300), minutes, st.integers(1, 60))
def test_a_window_is_half_open_and_limits_each_slot_that_it_touches(
    a: int, length: int, b: int, slot: int
) -> None:
    told = limits_in_force(SITE, (event(a, length),), T0 + b * MINUTE, T0 + (b + slot) * MINUTE)
    touched = any(a <= t < a + length for t in range(b, b + slot))
    assert told == (5.0 if touched else INF)


@given(st.lists(st.tuples(minutes, st.integers(1, 300), kw), max_size=5), minutes, st.integers(1, 60))
def test_the_lowest_limit_rules(told: list[tuple[int, int, float]], b: int, slot: int) -> None:
    start, end = T0 + b * MINUTE, T0 + (b + slot) * MINUTE
    events = [event(*each) for each in told]
    site = Site("a", "Z", SITE.pools, power_limit_kw=500.0, power_limits=(PowerWindow(T0, T0 + HOUR, 400.0),))
    alone = [limits_in_force(SITE, (e,), start, end) for e in events]
    assert limits_in_force(site, events, start, end) == min([*alone, 400.0 if b < 60 else 500.0])
    assert limits_in_force(Site("b", "Z", SITE.pools), events, start, end) == INF


@given(st.lists(kw, min_size=4, max_size=4), st.floats(0.001, 1), st.integers(0, 239), st.integers(1, 60))
def test_a_cut_is_taken_from_the_lowest_baseline_that_a_slot_touches(
    values: list[float], ratio: float, b: int, slot: int
) -> None:
    cut = event(0, 240, None, cut_ratio=ratio, frozen_baseline=baseline(*values))
    check_grid_event(cut)
    end = min(240, b + slot)
    touched = [values[h] for h in range(4) if b < 60 * (h + 1) and end > 60 * h]
    told = limits_in_force(SITE, (cut,), T0 + b * MINUTE, T0 + end * MINUTE)
    assert told == pytest.approx((1 - ratio) * min(touched))
    by_kw = event(0, 240, None, cut_kw=7.0, frozen_baseline=baseline(*values))
    assert limits_in_force(SITE, (by_kw,), T0 + b * MINUTE, T0 + end * MINUTE) == max(0.0, min(touched) - 7.0)


def test_a_ramp_comes_down_to_the_limit_and_goes_up_from_it() -> None:
    told = event(120, 60, 2.0, ramp_kw_per_minute=0.1)

    def limit(first: int, last: int) -> float:
        return limits_in_force(SITE, (told,), T0 + first * MINUTE, T0 + last * MINUTE)

    # The mean of a slot of 30 minutes is what the line says in its middle; above what the site can draw, nothing.
    steps = [limit(t, t + 30) for t in range(0, 300, 30)]
    assert steps == pytest.approx([INF, 9.5, 6.5, 3.5, 2.0, 2.0, 3.5, 6.5, 9.5, INF])
    assert most_kw(SITE) == 10.0
    assert most_kw(Site("a", "Z", SITE.pools, battery=Battery(10, 5))) == 15.0


def test_a_rebound_has_a_limit_of_its_own() -> None:
    told = event(60, 60, 2.0, rebound_minutes=60, rebound_ratio=1.1, frozen_baseline=baseline(4, 5, 6))
    hours = [limits_in_force(SITE, (told,), T0 + h * HOUR, T0 + (h + 1) * HOUR) for h in range(4)]
    assert hours == pytest.approx([INF, 2.0, 6.6, INF])
    assert (told.holds_from, told.holds_until) == (T0 + HOUR, T0 + 3 * HOUR)
    over = told.withdrawn(T0 + 90 * MINUTE)
    assert limits_in_force(SITE, (over,), T0 + 2 * HOUR, T0 + 3 * HOUR) == INF
    assert over.holds_until == T0 + 90 * MINUTE


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": T0}, "end"),
        ({"limit_kw": None}, "limit_kw"),
        ({"cut_kw": 3.0}, "cut_kw"),
        ({"limit_kw": None, "cut_kw": 3.0, "cut_ratio": 0.5}, "cut_ratio"),
        ({"rebound_minutes": 30.0}, "rebound_limit_kw"),
        ({"rebound_limit_kw": 30.0}, "rebound_minutes"),
        ({"rebound_minutes": 30.0, "rebound_limit_kw": 3.0, "rebound_ratio": 1.0}, "rebound_ratio"),
        ({"frozen_baseline": baseline(1.0)}, "frozen_baseline.windows"),
        (
            {"frozen_baseline": Baseline("given", "", (BaselineWindow(T0 + HOUR, T0, 1.0),))},
            "frozen_baseline.windows[0]",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refused:
        check_grid_event(replace(event(60, 60), **changes))
    assert refused.value.field == field
    assert refused.value.hint


def test_a_cut_without_its_baseline_limits_nothing_silently() -> None:
    with pytest.raises(InputError, match="is a cut"):
        limits_in_force(SITE, (event(0, 60, None, cut_kw=1.0),), T0, T0 + HOUR)


def test_an_event_is_written_as_it_ever_was_and_comes_back_whole() -> None:
    plain = event(0, 60).to_dict()
    assert list(plain) == ["id", "site", "start", "end", "limit_kw", "source"]
    assert plain["start"] == "2026-01-10T00:00:00Z"
    whole = event(
        0, 60, None, cut_ratio=0.25, rebound_minutes=5, rebound_limit_kw=3, frozen_baseline=baseline(4.0)
    )
    for each in (event(0, 60), whole):
        assert rows.from_dict(each.to_dict()) == each


spans = st.lists(st.tuples(st.integers(0, 3600), st.integers(1, 1800), kw), min_size=1, max_size=4)


@given(spans, st.integers(0, 5400), st.integers(0, 5400))
def test_what_was_metered_is_counted_once_wherever_it_is_cut(
    told: list[tuple[int, int, float]], first: int, last: int
) -> None:
    at, one_by_one = 0, []
    for gap, length, power in told:  # one after the other, with gaps
        start = T0 + timedelta(seconds=at + gap)
        at += gap + length
        one_by_one.append(("a", start, start + timedelta(seconds=length), power))
    found = in_steps(one_by_one)
    metered = Metered({start: Step(kwh, seconds) for (_, start), (kwh, seconds) in found.items()})
    assert all(0 < seconds <= 300 for _, seconds in found.values())
    end = T0 + (at // 300 + 1) * 5 * MINUTE
    kwh, ratio = metered.drawn(T0, end)
    assert kwh == pytest.approx(sum(power * length / 3600 for _, length, power in told))
    assert ratio == pytest.approx(sum(length for _, length, _ in told) / (end - T0).total_seconds())
    cuts = sorted(T0 + timedelta(seconds=min(s, at)) for s in (first, last))
    parts = [metered.drawn(a, b)[0] for a, b in pairwise([T0, *cuts, end])]
    assert sum(parts) == pytest.approx(kwh)
