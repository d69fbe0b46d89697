"""Samples become steps: the same ones in whatever order, however often, and on every day of the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shifter.realtime.announced import AnnouncedLoad, as_if_none, changes
from shifter.realtime.calendar import Calendar
from shifter.realtime.measured import History, peaks_of, start_of, step_of

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
BERLIN = Calendar.of(ZoneInfo("Europe/Berlin"))
MINUTE = timedelta(minutes=1)

samples = st.lists(st.tuples(st.integers(0, 3_600), st.floats(0, 1e6)), min_size=1, max_size=30)


@given(samples, st.randoms())
def test_the_same_samples_make_the_same_steps_in_any_order_and_however_often(
    seconds: list[tuple[int, float]], chance: Random
) -> None:
    given_ = [(MONDAY + timedelta(seconds=s), value) for s, value in seconds]
    again = [*given_, *given_[: len(given_) // 2]]
    chance.shuffle(again)
    found = peaks_of(given_)
    assert peaks_of(again) == found
    assert found.keys() == {step_of(at) for at, _ in given_}
    assert max(found.values()) == max(value for _, value in given_)


def test_a_step_is_its_highest_sample() -> None:
    found = peaks_of([(MONDAY + i * MINUTE, value) for i, value in enumerate((2.0, 8.0, 2.0, 4.0, 4.0, 7.0))])
    assert {start_of(step): peak for step, peak in found.items()} == {MONDAY: 8.0, MONDAY + 5 * MINUTE: 7.0}


def test_a_gap_stays_a_gap_and_zero_is_a_value() -> None:
    history = History.of([(105, 0.0), (100, 3.0), (102, 4.0)])
    assert (history.first, history.end, history.last) == (100, 106, 105)
    assert np.array_equal(history.values, [3, np.nan, 4, np.nan, np.nan, 0], equal_nan=True)
    assert history.days == pytest.approx(1 / 24)
    assert np.array_equal(history.window(98, 102), [np.nan, np.nan, 3, np.nan], equal_nan=True)
    assert len(history.window(200, 190)) == 0
    assert history.until(102).last == 100
    assert (History.of([]).last, History.of([]).end) == (None, 0)


@pytest.mark.parametrize(
    ("day", "hours", "missing", "twice"),
    [(date(2026, 3, 29), 23, 2, None), (date(2026, 10, 25), 25, None, 2), (date(2026, 6, 1), 24, None, None)],
)
def test_days_on_which_clocks_change_are_counted_by_the_wall(
    day: date, hours: int, missing: int | None, twice: int | None
) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Europe/Berlin"))
    places = BERLIN.places(step_of(start), hours * 12, 5)
    assert set(places.day) == {(day - date(1970, 1, 1)).days}
    assert set(places.kind) == {2 if day.weekday() == 6 else 0}
    count = np.bincount(places.time // 12, minlength=24)
    assert [h for h in range(24) if count[h] == 0] == ([] if missing is None else [missing])
    assert [h for h in range(24) if count[h] == 24] == ([] if twice is None else [twice])


def test_holidays_are_as_sundays() -> None:
    calendar = Calendar.of(ZoneInfo("Europe/Berlin"), [date(2026, 5, 1)])
    places = calendar.places(step_of(datetime(2026, 4, 30, 22, tzinfo=UTC)), 4 * 288, 5)
    assert list(places.kind[144::288]) == [2, 1, 2, 0]  # Friday, Saturday, Sunday, Monday by Berlin's noon
    assert len(calendar.places(5, 0, 5).day) == 0


def test_what_is_announced_multiplies_and_adds_in_the_steps_that_it_touches() -> None:
    launch = AnnouncedLoad("launch", MONDAY + 7 * MINUTE, MONDAY + 16 * MINUTE, factor=2.0)
    move = AnnouncedLoad("move", MONDAY, MONDAY + 10 * MINUTE, added=3.0, site="fra")
    factor, added = changes([launch, move], step_of(MONDAY), 6, 5)
    assert (list(factor), list(added)) == ([1, 2, 2, 2, 1, 1], [3, 3, 0, 0, 0, 0])
    assert list(changes([launch], step_of(MONDAY) + 2, 3, 5)[0]) == [2, 2, 1]
    assert (launch.concerns(("lon", "a")), move.concerns(("lon", "a")), move.concerns(("fra", "a"))) == (
        True,
        False,
        True,
    )


def test_what_was_announced_is_not_learnt() -> None:
    first = step_of(MONDAY)
    history = History(first, np.array([4.0, 8.0, 1.0, np.nan]))
    event = AnnouncedLoad("launch", MONDAY + 5 * MINUTE, MONDAY + 15 * MINUTE, factor=2.0, added=2.0)
    usual = as_if_none(history, [event])
    assert np.array_equal(usual.values, [4, 3, 0, np.nan], equal_nan=True)
    none_at_all = AnnouncedLoad("closed", MONDAY, MONDAY + 5 * MINUTE, factor=0.0)
    assert np.isnan(as_if_none(history, [none_at_all]).values[0])
    assert as_if_none(history, []) is history
