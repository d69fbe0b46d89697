"""When a source is asked next: never in the past, soon after something new is due, and rarely when nothing can be."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import InputError
from forecasts.marketday import local_day, market_day
from forecasts.series import Kind, Signal
from forecasts.sources.publication import (
    FIRST_RETRY,
    LONGEST_RETRY,
    MOST_JITTER,
    Continuous,
    MarketDaily,
    Publication,
)
from forecasts.sources.registry import make_source
from tests.forecasts.build import T0, hours, series

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SDAC = MarketDaily(time(12, 50), "Europe/Berlin")
NESO = Continuous(timedelta(minutes=30), offset=MINUTE, steady=True)
BERLIN = ZoneInfo("Europe/Berlin")

moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
# Lord Howe changes by half an hour, Cairo at midnight, Kathmandu keeps 5:45.
zones = st.sampled_from(
    ["Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "UTC"]
)
days = st.builds(
    MarketDaily,
    st.times(),
    zones,
    every=st.sampled_from([5 * MINUTE, 10 * MINUTE, HOUR]),
    slow=st.sampled_from([HOUR, 6 * HOUR, 12 * HOUR]),
    patience=st.sampled_from([2 * HOUR, 10 * HOUR]),
    ends=st.sampled_from([time(0), time(23)]),
)
steady = st.builds(
    Continuous,
    st.sampled_from([5 * MINUTE, 30 * MINUTE, HOUR]),
    offset=st.none() | st.sampled_from([timedelta(0), MINUTE, 4 * MINUTE]),
)
publications = st.one_of(days, steady)
jitters = st.floats(0, 1)


def at(text: str) -> datetime:
    """A moment by the clocks of Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def whole(day: str) -> datetime:
    """The end of that day in Berlin."""
    return market_day(datetime.fromisoformat(day).date(), BERLIN)[1]


class TestAlways:
    @given(publications, moments, st.none() | moments, st.integers(0, 60), jitters)
    def test_the_next_poll_lies_ahead_and_a_failure_never_puts_it_off(
        self, p: Publication, now: datetime, known: datetime | None, failures: int, jitter: float
    ) -> None:
        usual = p.next_poll(now, known)
        assert usual > now
        assert usual.tzinfo is UTC
        put_off = p.next_poll(now, known, 0, jitter)
        assert usual <= put_off <= usual + min(MOST_JITTER, p.every / 10)
        after_failures = p.next_poll(now, known, failures, jitter)
        assert now < after_failures <= put_off
        if failures:
            assert after_failures <= now + 1.1 * LONGEST_RETRY

    @given(moments, st.integers(1, 30), zones)
    def test_the_zone_in_which_now_is_written_does_not_matter(
        self, now: datetime, failures: int, zone: str
    ) -> None:
        local = now.astimezone(ZoneInfo(zone))
        for p in (SDAC, NESO):
            assert p.next_poll(local, now, failures) == p.next_poll(now, now, failures)


def test_failures_are_asked_again_ever_later() -> None:
    waits = [NESO.next_poll(T0, None, n) - T0 for n in range(1, 9)]
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, MINUTE]  # at 00:01 it would be asked anyway
    free = Continuous(HOUR)
    assert [free.next_poll(T0, None, n) - T0 for n in (1, 2, 3, 50)] == [
        FIRST_RETRY,
        2 * FIRST_RETRY,
        4 * FIRST_RETRY,
        LONGEST_RETRY,
    ]


class TestContinuous:
    def test_neso_is_asked_a_minute_past(self) -> None:
        assert [NESO.next_poll(T0 + m * MINUTE) for m in (0, 1, 20, 31, 45)] == [
            T0 + m * MINUTE for m in (1, 31, 31, 61, 61)
        ]

    def test_without_an_offset_it_is_counted_from_now(self) -> None:
        assert Continuous(timedelta(minutes=15)).next_poll(T0 + 7 * MINUTE) == T0 + 22 * MINUTE

    def test_a_steady_feed_that_says_nothing_new_is_overdue(self) -> None:
        assert NESO.overdue(hours(6), None, T0) == ""
        assert NESO.overdue(hours(6.01), None, T0) == (
            "has said nothing new since 2026-01-10T00:00:00Z, and should every 30 min"
        )
        assert Continuous(30 * MINUTE).overdue(hours(900), None, T0) == "", "a file need not change"
        assert Continuous(MINUTE, steady=True).overdue(hours(1.9), None, T0) == "", "not for an hour or two"

    @pytest.mark.parametrize("every", [timedelta(0), -MINUTE])
    def test_a_rhythm_takes_time(self, every: timedelta) -> None:
        with pytest.raises(InputError, match="not a span of time"):
            Continuous(every)
        with pytest.raises(InputError):
            MarketDaily(time(12), "UTC", every=every)


class TestMarketDay:
    def test_before_it_is_due_today_is_enough(self) -> None:
        noon = at("2026-01-10T12:00")
        assert SDAC.next_poll(noon, whole("2026-01-10")) == at("2026-01-10T12:50")
        assert SDAC.next_poll(at("2026-01-10T03:00"), whole("2026-01-10")) == at("2026-01-10T09:00")

    def test_from_then_on_it_is_asked_until_tomorrow_is_whole(self) -> None:
        due = at("2026-01-10T12:50")
        assert SDAC.next_poll(due, whole("2026-01-10")) == due + 10 * MINUTE
        assert SDAC.next_poll(due, whole("2026-01-11") - HOUR) == due + 10 * MINUTE, "a part is not the whole"
        assert SDAC.next_poll(due, None) == due + 10 * MINUTE
        assert SDAC.next_poll(due + 8 * MINUTE, whole("2026-01-11")) == due + 8 * MINUTE + 6 * HOUR

    def test_patience_ends(self) -> None:
        late = at("2026-01-10T22:50")
        assert SDAC.next_poll(late - MINUTE, whole("2026-01-10")) == late + 9 * MINUTE
        assert SDAC.next_poll(late, whole("2026-01-10")) == late + 6 * HOUR
        early = at("2026-01-11T12:00")
        assert SDAC.next_poll(early, whole("2026-01-10")) == at("2026-01-11T12:50"), "and a new day begins"

    def test_what_ends_at_eleven(self) -> None:
        agile = MarketDaily(time(16), "Europe/London", slow=HOUR, ends=time(23))
        five = datetime(2026, 7, 1, 16, 0, tzinfo=UTC)  # 17:00 in London
        assert agile.next_poll(five, datetime(2026, 7, 2, 22, tzinfo=UTC)) == five + HOUR
        assert agile.next_poll(five, datetime(2026, 7, 2, 21, 30, tzinfo=UTC)) == five + 10 * MINUTE

    @pytest.mark.parametrize(
        ("day", "due"),
        [
            ("2026-03-28", "2026-03-28T11:50:00+00:00"),
            ("2026-03-29", "2026-03-29T10:50:00+00:00"),
            ("2026-10-24", "2026-10-24T10:50:00+00:00"),
            ("2026-10-25", "2026-10-25T11:50:00+00:00"),
        ],
    )
    def test_the_clocks_change_and_the_time_of_day_stays(self, day: str, due: str) -> None:
        before = at(f"{day}T12:40")
        assert SDAC.next_poll(before, whole(day)).isoformat() == due

    def test_a_day_of_25_hours_is_whole_after_25(self) -> None:
        now = at("2026-10-24T14:00")
        start, end = market_day(datetime(2026, 10, 25, tzinfo=UTC).date(), BERLIN)
        assert (end - start) / HOUR == 25
        assert SDAC.next_poll(now, end - HOUR) == now + 10 * MINUTE
        assert SDAC.next_poll(now, end) == now + 6 * HOUR

    def test_its_absence_is_told(self) -> None:
        three = at("2026-01-10T15:00")
        assert SDAC.overdue(at("2026-01-10T14:50"), whole("2026-01-10"), None) == ""
        assert SDAC.overdue(three, whole("2026-01-11"), None) == ""
        assert SDAC.overdue(three, whole("2026-01-10"), None) == (
            "has not said all that was due at 2026-01-10T11:50:00Z, and is known until 2026-01-10T23:00:00Z"
        )
        assert SDAC.overdue(three, None, None) == "has not said all that was due at 2026-01-10T11:50:00Z"
        assert SDAC.overdue(at("2026-01-11T03:00"), whole("2026-01-10"), None), "not forgotten overnight"

    def test_only_what_is_settled_counts(self) -> None:
        """EXAA's prices are there before the auction that they stand in for."""
        said = [
            series(np.arange(24.0), kind=Kind.CLEARED),
            series(np.arange(24.0), start=hours(24), kind=Kind.FORECAST),
        ]
        assert SDAC.end_known(said) == hours(24)
        assert MarketDaily(time(9), "UTC", settled_by=None).end_known(said) == hours(48)
        assert NESO.end_known(said) == hours(48)
        assert SDAC.end_known([]) is None

    @given(days, moments, st.floats(0, 30), st.integers(0, 2**32))
    def test_what_is_published_is_soon_known_and_then_there_is_quiet(
        self, p: MarketDaily, start: datetime, delay_h: float, seed: int
    ) -> None:
        """Through three days of polls, from any moment, with each day published `delay_h` after it was due."""
        tz, jitter = ZoneInfo(p.timezone), Random(seed)
        published: dict[datetime, datetime] = {}  # when -> until when values are known then
        for n in range(-3, 5):
            day = local_day(start, tz) + n * DAY
            due = datetime.combine(day, p.due, tz).astimezone(UTC)
            ends = datetime.combine(day + DAY + (DAY if p.ends == time(0) else timedelta(0)), p.ends, tz)
            published[due + delay_h * HOUR] = ends.astimezone(UTC)
        polls, now, known = [], start, None
        while now < start + 3 * DAY:
            told = [until for when, until in published.items() if when <= now]
            known = max(told, default=None)
            polls.append(now)
            now = p.next_poll(now, known, 0, jitter.random())
        wait = p.every if delay_h * HOUR < p.patience else p.slow
        for when in published:
            if start <= when < start + 2 * DAY:
                seen = min(poll for poll in polls if poll >= when)
                assert seen - when <= wait * 1.1 + timedelta(seconds=1)
        # A hunt lasts until what is published is seen; beside hunts there is the slow rhythm, and one poll a due.
        hunt = min(delay_h * HOUR, p.patience) + p.every
        most = 5 * (hunt / p.every + 2) + 3 * DAY / p.slow + 5
        assert len(polls) <= most


def test_a_day_that_came_at_once_takes_few_requests() -> None:
    now, polls = at("2026-01-10T00:00"), 0
    while now < at("2026-01-17T00:00"):
        today = local_day(now, BERLIN)
        cleared = now >= datetime.combine(today, time(12, 57), BERLIN)
        polls += 1
        now = SDAC.next_poll(now, market_day(today + DAY if cleared else today, BERLIN)[1])
    assert polls <= 7 * 6, "two until it is there, and four looks for corrections"


@pytest.mark.parametrize(
    ("name", "options", "signal", "words"),
    [
        ("neso", {}, Signal.CARBON, "every 30 min, 1 min past"),
        (
            "energy_charts",
            {},
            Signal.PRICE,
            "daily from 12:55 Europe/Berlin, every 10 min until the next day is whole, then every 12 h",
        ),
        ("energy_charts", {}, Signal.CARBON, "every 1 h"),
        (
            "octopus_agile",
            {},
            Signal.PRICE,
            "daily from 16:00 Europe/London, every 10 min until the next day is whole, then every 1 h",
        ),
        ("tariff", {"currency": "EUR", "timezone": "UTC", "price_per_mwh": 9}, Signal.PRICE, "every 1 h"),
        (
            "tariff",
            {"currency": "USD", "timezone": "UTC", "wholesale": {"name": "caiso"}},
            Signal.PRICE,
            "daily from 13:00 America/Los_Angeles, every 10 min until the next day is whole, then every 6 h",
        ),
    ],
)
def test_what_sources_say(name: str, options: dict[str, object], signal: Signal, words: str) -> None:
    assert str(make_source(name, options).info.publication_of(signal)) == words
