"""What was measured, in stretches: nothing is filled in, nothing is told twice, and nothing before it was over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources import measured
from forecasts.sources.base import FetchRequest
from forecasts.sources.http import HttpClient
from forecasts.sources.measured import ASKED_AGAIN, Past, Refusals, stretches
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from tests.contract.payloads import NOW, neso_api

T0 = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(of: dict[int, float], known_h: int = 1000, order: list[int] | None = None) -> ForecastSeries:
    """A value for each of some hours, known after `known_h`, in some order."""
    at = list(of) if order is None else order
    edges = [[as_datetime64(T0 + (h + k) * HOUR) for h in at] for k in (0, 1)]
    start, end = (np.array(times, "datetime64[us]") for times in edges)
    return ForecastSeries(
        zone="GB",
        signal=Signal.CARBON,
        unit=CARBON_UNIT,
        source="neso",
        known_at=T0 + known_h * HOUR,
        start=start,
        end=end,
        values=np.array([of[h] for h in at], dtype=float),
        kind=Kind.ACTUAL,
        basis=Basis.AVERAGE,
        note="a warning",
    )


# Fewer hours than look frozen where they are all alike.
VALUES = st.dictionaries(
    st.integers(0, 22), st.one_of(st.just(float("nan")), st.floats(0, 2000)), max_size=40
)


@given(VALUES, st.integers(-2, 25), st.integers(-2, 25), st.integers(0, 25), st.randoms())
def test_each_hour_that_was_measured_is_told_once(
    of: dict[int, float], first: int, last: int, known: int, random: object
) -> None:
    order = list(of)
    random.shuffle(order)  # type: ignore[attr-defined]
    wanted = {h: v for h, v in of.items() if np.isfinite(v) and first <= h < last and h + 1 <= known}
    found = stretches(hours(of, known, order), T0 + first * HOUR, T0 + last * HOUR)
    told = {
        int((at - as_datetime64(T0)) / np.timedelta64(1, "h")): float(v)
        for s in found
        for at, v in zip(s.start, s.values, strict=True)
    }
    assert told == wanted
    assert sum(len(s) for s in found) == len(wanted)
    for s in found:
        assert np.array_equal(s.start[1:], s.end[:-1]), "no gap within"
    for before, after in pairwise(found):
        assert before.end[-1] < after.start[0], "a gap between, in order"
    assert [s.note for s in found] == [""] * (len(found) - 1) + ["a warning"] * bool(found)


def test_an_hour_that_is_told_twice_is_refused() -> None:
    with pytest.raises(ForecastRejected, match="2026-11-20T03:00:00Z is told of twice"):
        stretches(hours({1: 90, 3: 100, 4: 110}, order=[1, 3, 3, 4]), T0, T0 + 9 * HOUR)


def test_but_not_where_it_was_not_asked_for() -> None:
    [found] = stretches(hours({1: 90, 3: 100, 4: 110}, order=[1, 3, 3, 4]), T0, T0 + 3 * HOUR)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        (400, True),
        (401, True),
        (403, True),
        (404, True),
        (408, False),
        (429, False),
        (500, False),
        (None, False),
    ],
)
def test_what_is_a_refusal(status: int | None, stands: bool) -> None:
    refusals = Refusals()
    error = SourceUnavailable("no.") if status is None else SourceUnavailable("no.", status=status)
    assert refusals.add("GB", error, T0) is stands
    assert refusals.stands("GB", T0) is stands
    assert not refusals.stands("DE", T0)
    assert not refusals.stands("GB", T0 + ASKED_AGAIN)
    assert not refusals.stands("GB", T0 - HOUR), "a replay of earlier days asks for itself"


class TestPast:
    """The polls of a daemon and its one long look back share a `Past`."""

    NOW = T0 + 100 * HOUR
    MOST = timedelta(days=1)

    def before(
        self, past: Past, refused: tuple[datetime, datetime] | None, back_h: int = 48
    ) -> tuple[list[ForecastSeries], list[datetime]]:
        """What it says where the parts that begin within `refused` are refused, and where those it asked for begin."""
        forecast = replace(hours({h: 100.0 + h for h in range(100, 124)}), kind=Kind.FORECAST, note="")
        asked = []

        def ask(start: datetime, end: datetime) -> list[ForecastSeries]:
            asked.append(start)
            if refused and refused[0] <= start < refused[1]:
                raise SourceUnavailable("it answered 400.", status=400)
            first, last = ((t - T0) // HOUR for t in (start, end))
            return [replace(hours({h: 100.0 + h for h in range(first, last)}), note="")]

        window = FetchRequest("GB", (Signal.CARBON,), self.NOW - back_h * HOUR, self.NOW + timedelta(days=1))
        return past.before([forecast], window, ask, now=self.NOW), asked

    def test_what_is_refused_of_older_days_says_nothing_of_the_newest(self) -> None:
        past = Past(self.MOST, 60)
        old = self.NOW - timedelta(days=400), self.NOW - timedelta(days=3)
        told, asked = self.before(past, old, back_h=240)
        assert len(asked) == 4, "and the rest of it is not asked for"
        assert [s.kind for s in told] == [Kind.ACTUAL] * 3 + [Kind.FORECAST]
        assert "it answered 400" in told[-1].note
        told, asked = self.before(past, old)
        assert len(asked) == 2
        assert [(s.kind, s.note) for s in told] == [(Kind.ACTUAL, "")] * 2 + [(Kind.FORECAST, "")]

    def test_nor_does_a_refusal_of_a_long_look_back(self) -> None:
        """It may be the window that was too long."""
        past = Past(timedelta(days=10), 60)
        told, asked = self.before(past, (T0 - timedelta(days=99), T0), back_h=240)
        assert (len(told), len(asked)) == (1, 1)
        told, asked = self.before(past, None)
        assert [s.kind for s in told] == [Kind.ACTUAL, Kind.FORECAST]

    def test_what_is_refused_of_the_newest_stands(self) -> None:
        past = Past(self.MOST, 60)
        told, asked = self.before(past, (T0, self.NOW))
        assert (len(told), len(asked)) == (1, 1)
        told, asked = self.before(past, None)
        assert (len(told), len(asked), told[0].note) == (1, 0, "")


class TestHaste:
    """A forecast waits for what was measured, but not for long; who asks for months waits for the past."""

    @pytest.fixture
    def http(self) -> Iterator[HttpClient]:
        fake = FakeTime()
        client = HttpClient(rates={"127.0.0.1": 100}, clock=fake.clock, sleep=fake.sleep, wall=fake.wall)
        yield client
        client.close()

    @staticmethod
    def ask(server: ReplyServer, http: HttpClient, days: int = 2, zone: str = "GB") -> list[ForecastSeries]:
        source = NesoSource(NesoOptions(base_url=server.url), http=http)
        window = FetchRequest(zone, (Signal.CARBON,), NOW - timedelta(days=days), NOW + timedelta(days=1))
        return source.fetch(window, now=NOW)

    def test_one_that_hangs_delays_no_forecast(
        self, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measured, "WITHIN_S", 0.3)
        api, over = neso_api(), threading.Event()

        def reply(asked: Asked) -> Said:
            if not asked.path.endswith("fw48h"):
                over.wait(20)
            return api(asked)

        with ReplyServer(reply) as server:
            for _ in range(6):
                began = time.monotonic()
                [forecast] = self.ask(server, http)
                assert time.monotonic() - began < 2
                assert forecast.kind is Kind.FORECAST
                assert "no answer within 0.3 s" in forecast.note, "it is not held against the host"
            assert len(server.asked) == 12, "one try each"
            over.set()

    @pytest.mark.parametrize(("days", "tries"), [(2, 1), (20, 4)])
    def test_a_long_look_back_tries_again(self, http: HttpClient, days: int, tries: int) -> None:
        api, failures = neso_api(), [503] * 3

        def reply(asked: Asked) -> Said:
            if asked.path.endswith("fw48h") or not failures:
                return api(asked)
            return Said(status=failures.pop())

        with ReplyServer(reply) as server:
            *came, forecast = self.ask(server, http, days)
            assert bool(came) is (tries > 1)
            assert ("status 503" in forecast.note) is (tries == 1)
