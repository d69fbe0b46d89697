"""Sources that fail, lie and recover: the last good vintage stands, and everything is told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from forecasts.errors import ForecastRejected
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import Times, as_datetime64
from forecasts.sources.base import FetchRequest, SourceInfo
from forecasts.sources.registry import make_source
from shifter.clock import ManualClock
from shifter.errors import SourceUnavailable
from shifter.ingest import FIRST_RETRY, Polled, poll
from shifter.service import Service
from shifter.views import EventKind
from tests.service.world import T0, kinds, service

INFO = replace(make_source("typical").info, name="desk", zones=("DE-LU",), signals=(Signal.PRICE,))


@dataclass
class Scripted:
    """A source that answers what the test says."""

    answer: Callable[[datetime], Sequence[ForecastSeries]]
    info: SourceInfo = INFO

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        return list(self.answer(now))


def prices(now: datetime, level: float = 50.0) -> list[ForecastSeries]:
    start: Times = (as_datetime64(T0) + np.arange(24) * np.timedelta64(1, "h")).astype("datetime64[us]")
    end: Times = (start + np.timedelta64(1, "h")).astype("datetime64[us]")
    values = level + np.arange(24.0)
    return [ForecastSeries("DE-LU", Signal.PRICE, "EUR/MWh", "desk", now, start, end, values)]


def unavailable(_: datetime) -> list[ForecastSeries]:
    raise SourceUnavailable("the server answered 503.")


def broken(_: datetime) -> list[ForecastSeries]:
    raise KeyError("a source with a bug")


def refused(_: datetime) -> list[ForecastSeries]:
    raise ForecastRejected("a gap at noon.", field="price")


def polled(answer: Callable[[datetime], Sequence[ForecastSeries]]) -> Polled:
    return Polled(Scripted(answer), ("DE-LU",), (Signal.PRICE,), timedelta(minutes=30), timedelta(days=2))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock)


def test_new_vintages_ask_for_a_new_plan_and_repeated_ones_do_not(made: Service, clock: ManualClock) -> None:
    asked: list[str] = []
    made.core.replan = asked.append
    assert poll(made.core, polled(prices)).new == 1
    clock.advance(minutes=30)
    outcome = poll(made.core, polled(prices))
    assert (outcome.new, outcome.retry) == (0, None)
    assert asked == ["forecast"]
    assert kinds(made) == [EventKind.FORECAST_INGESTED]
    [view] = made.health().sources
    assert (view.up, view.last_success_at) == (True, T0 + timedelta(minutes=30))


@pytest.mark.parametrize("fails", [unavailable, broken])
def test_a_failing_source_is_asked_again_ever_later_and_told_once(
    made: Service, clock: ManualClock, fails: Callable[[datetime], Sequence[ForecastSeries]]
) -> None:
    poll(made.core, polled(prices))
    waits = [poll(made.core, polled(fails)).retry for _ in range(8)]
    assert waits[:3] == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4]
    assert waits[-1] == timedelta(minutes=30), "never less often than usual"
    assert kinds(made).count(EventKind.SOURCE_FAILED) == 1
    assert made.health().status == "degraded"
    frame = made.forecasts("DE-LU", T0, T0 + timedelta(hours=1))
    assert frame, "the last good vintage stands"
    latest = made.core.forecasts.latest("desk:DE-LU:price", clock.now())
    assert latest is not None
    poll(made.core, polled(prices))
    assert kinds(made).count(EventKind.SOURCE_RECOVERED) == 1
    assert made.health().status == "ok"


def test_a_refused_vintage_is_recorded_and_never_used(made: Service, clock: ManualClock) -> None:
    poll(made.core, polled(prices))
    clock.advance(minutes=30)
    outcome = poll(made.core, polled(refused))
    assert outcome.retry is None, "asking again at once would bring the same"
    newest, *_ = made.core.forecasts.vintages()
    assert (newest.status, newest.source) == ("rejected", "desk")
    assert "a gap at noon" in newest.reason
    assert EventKind.FORECAST_REJECTED in kinds(made)
    latest = made.core.forecasts.latest("desk:DE-LU:price", clock.now())
    assert latest is not None
    assert latest.values[0] == 50.0


def test_one_zone_that_fails_does_not_stop_the_others(made: Service) -> None:
    def by_zone(zone: str) -> Callable[[datetime], Sequence[ForecastSeries]]:
        return prices if zone == "DE-LU" else unavailable

    class Mixed(Scripted):
        def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
            return list(by_zone(request.zone)(now))

    both = replace(polled(prices), source=Mixed(prices), zones=("FR", "DE-LU"))
    outcome = poll(made.core, both)
    assert (outcome.new, len(outcome.errors)) == (1, 1)
