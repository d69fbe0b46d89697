"""Steps added up, windows cut and joined, and times off a clock on a wall."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.sources.reports import NotPublished, day_spans, from_wall, joined, table
from forecasts.sources.steps import Step, added_up, arrays

T0 = datetime(2026, 3, 1, tzinfo=UTC)
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
EASTERN, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")

lengths = st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.integers(-50, 50), st.booleans()), max_size=12)


def part_of(told: Iterable[tuple[int, int, bool]], begins: int) -> list[Step]:
    """Steps of one, two or four quarters one after the other, some of them left out."""
    steps, at = [], T0 + begins * QUARTER
    for quarters, amount, there in told:
        if there:
            steps.append(Step(at, at + quarters * QUARTER, float(amount)))
        at += quarters * QUARTER
    return steps


def amount_at(part: Iterable[Step], moment: datetime) -> float | None:
    return next((step.amount for step in part if step.start <= moment < step.end), None)


@given(st.lists(st.tuples(lengths, st.integers(0, 5)), min_size=1, max_size=3), st.randoms())
def test_a_sum_is_there_where_every_part_is_and_nowhere_else(told, random) -> None:
    parts = [part_of(*one) for one in told]
    shuffled = [random.sample(part, len(part)) for part in parts]
    total = added_up(shuffled)
    assert total == sorted(total)
    for k in range(80):
        moment = T0 + k * QUARTER
        amounts = [amount_at(part, moment) for part in parts]
        told_of = [amount for amount in amounts if amount is not None]
        assert amount_at(total, moment) == (sum(told_of) if len(told_of) == len(parts) else None)


@given(lengths)
def test_one_part_is_its_own_sum_and_a_step_said_twice_is_said_once(told) -> None:
    part = part_of(told, 0)
    assert added_up([part + part]) == part
    start, end, values = arrays([*part, *part])
    assert (len(start), len(end), values.tolist()) == (len(part), len(part), [step.amount for step in part])
    assert start.dtype == np.dtype("datetime64[us]")


def test_a_part_that_tells_of_a_moment_twice_is_refused() -> None:
    part = [Step(T0, T0 + HOUR, 1.0), Step(T0 + QUARTER, T0 + 2 * QUARTER, 1.0)]
    with pytest.raises(ForecastRejected, match=r"2026-03-01T00:15:00Z is told of twice, as 1 and as 1"):
        added_up([part])


@given(st.dates(date(2025, 1, 1), date(2027, 1, 1)), st.integers(0, 500), st.integers(1, 40))
def test_spans_follow_one_another_from_midnight_to_midnight(first: date, days: int, most: int) -> None:
    last = first + days * DAY
    spans = list(day_spans(first, last, LONDON, most))
    assert (spans[0][0], spans[-1][1]) == (market_day(first, LONDON)[0], market_day(last, LONDON)[1])
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(end - start <= most * DAY + HOUR for start, end in spans)
    assert len(spans) == days // most + 1


def test_no_days_are_no_spans() -> None:
    assert list(day_spans(date(2026, 1, 2), date(2026, 1, 1), LONDON, 7)) == []


def test_what_is_not_published_of_a_part_is_left_out() -> None:
    def ask(start: datetime, end: datetime) -> list[datetime]:
        if start.day % 2:
            raise NotPublished(f"nothing of {start:%d}")
        return [start, end]

    spans = [(T0 + k * DAY, T0 + (k + 1) * DAY) for k in range(3)]
    assert joined(spans, ask) == list(spans[1])
    assert joined([], ask) == []
    with pytest.raises(NotPublished, match="nothing of 01"):
        joined(spans[::2], ask)


@given(st.dates(date(2026, 1, 1), date(2026, 12, 31)), st.times(), st.booleans())
@example(date(2026, 11, 1), time(1, 30), True)
@example(date(2026, 3, 8), time(2, 30), False)
def test_a_clock_on_a_wall_is_read_or_refused(day: date, of_day: time, again: bool) -> None:
    """Whoever is answered gets a moment at which clocks show that time: the later one where it is said so."""
    wall = datetime.combine(day, of_day)
    try:
        moment = from_wall(wall, EASTERN, "x", again=again)
    except ForecastRejected:
        twice = day == date(2026, 11, 1) and of_day.hour == 1
        never = day == date(2026, 3, 8) and of_day.hour == 2
        assert never or (again and not twice)
    else:
        assert moment.astimezone(EASTERN).replace(tzinfo=None) == wall
        if again:
            assert (moment - HOUR).astimezone(EASTERN).replace(tzinfo=None) == wall


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>Sorry</html>", "no column a, b"),
        (b"", "no column a, b"),
        (b"a,c\n1,2\n", "no column b"),
        (b"a,b\n1\n", "line 2 is too short"),
        (b'a,b\n1,"2\n', "cannot be read"),
    ],
)
def test_what_is_no_table(body: bytes, why: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"x.*{why}"):
        list(table("x", body, ("a", "b")))


def test_a_table_with_more_in_another_order() -> None:
    rows = list(table("x", "\ufeffb,more,a\r\n1,2,3\r\n\r\n4,5,6\r\n".encode(), ("a", "b")))
    assert [(row["a"], row["b"]) for row in rows] == [("3", "1"), ("6", "4")]
