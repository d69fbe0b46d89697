"""Sources that fail, lie and recover: the last good vintage stands, and everything is told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from forecasts.assemble import frame_from_store
from forecasts.errors import ForecastRejected, InputError
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import SlotGrid, Times, as_datetime64
from forecasts.sources.base import FetchRequest, SourceInfo
from forecasts.sources.http import NEXT_POLL
from forecasts.sources.publication import FIRST_RETRY
from forecasts.sources.registry import make_source
from shifter.clock import ManualClock
from shifter.errors import SourceUnavailable
from shifter.ingest import Outcome, Polled, Poller
from shifter.planner import InProcessPlanner
from shifter.service import Service
from shifter.service.told import keep_series
from shifter.views import EventKind
from tests.daemon.world import daemon
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


def poll(made: Service, polled: Polled) -> Outcome:
    """By one who has never asked before."""
    return Poller(made.core, polled).poll()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock)


def test_new_vintages_ask_for_a_new_plan_and_repeated_ones_do_not(made: Service, clock: ManualClock) -> None:
    asked: list[str] = []
    made.core.replan = asked.append
    assert poll(made, polled(prices)).new == 1
    clock.advance(minutes=30)
    outcome = poll(made, polled(prices))
    assert (outcome.new, outcome.next_at) == (0, T0 + timedelta(hours=1))
    assert asked == ["forecast"]
    assert kinds(made) == [EventKind.FORECAST_INGESTED]
    [view] = made.health().sources
    assert (view.up, view.last_success_at) == (True, T0 + timedelta(minutes=30))


@pytest.mark.parametrize("fails", [unavailable, broken])
def test_a_failing_source_is_asked_again_ever_later_and_told_once(
    made: Service, clock: ManualClock, fails: Callable[[datetime], Sequence[ForecastSeries]]
) -> None:
    source = Scripted(prices)
    poller = Poller(made.core, replace(polled(prices), source=source))
    next_at = poller.poll().next_at
    source.answer, waits = fails, []
    for _ in range(8):
        clock.moment = next_at
        next_at = poller.poll().next_at
        waits.append(next_at - clock.now())
    assert waits[:3] == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4]
    assert waits[-1] == timedelta(minutes=30), "never less often than usual"
    assert kinds(made).count(EventKind.SOURCE_FAILED) == 1
    assert made.health().status == "degraded"
    [view] = made.health().sources
    assert (view.failures, view.next_due_at) == (8, next_at)
    frame = made.forecasts("DE-LU", T0, T0 + timedelta(hours=1))
    assert frame, "the last good vintage stands"
    latest = made.core.forecasts.latest("desk:DE-LU:price", clock.now())
    assert latest is not None
    source.answer, clock.moment = prices, next_at
    poller.poll()
    made.heartbeat()
    assert kinds(made).count(EventKind.SOURCE_RECOVERED) == 1
    assert made.health().status == "ok"


def test_who_fails_promises_nothing_of_what_the_store_has(made: Service) -> None:
    def away(_: datetime) -> list[ForecastSeries]:
        raise SourceUnavailable("no answer.", hint=NEXT_POLL)

    poll(made, polled(away))
    made.heartbeat()
    error = "no answer. It is tried again at the next poll."
    assert [view.error for view in made.health().sources] == [error]
    assert made.health().faults == (f"The source desk fails: {error}",)


def test_a_refused_vintage_is_recorded_and_never_used(made: Service, clock: ManualClock) -> None:
    poll(made, polled(prices))
    clock.advance(minutes=30)
    outcome = poll(made, polled(refused))
    assert outcome.next_at == clock.now() + timedelta(minutes=30), "at once it would be the same"
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
    outcome = poll(made, both)
    assert (outcome.new, len(outcome.errors)) == (1, 1)


def test_prices_that_became_a_thousandth_are_refused(made: Service, clock: ManualClock) -> None:
    """Only the vintage before can tell; the source has none."""
    poll(made, polled(prices))
    clock.advance(minutes=30)

    def per_kwh(now: datetime) -> list[ForecastSeries]:
        return [replace(s, values=s.values / 1000) for s in prices(now)]

    outcome = poll(made, polled(per_kwh))
    assert outcome.new == 0
    assert "a thousandth of" in outcome.errors[0]
    latest = made.core.forecasts.latest("desk:DE-LU:price", clock.now())
    assert latest is not None
    assert latest.values[0] == 50.0


def test_a_file_of_ones_own_is_believed_at_once(made: Service, clock: ManualClock) -> None:
    """Of somebody else's server this would be a jump; and a replay must be what it was."""
    poll(made, polled(prices))
    clock.advance(minutes=30)

    def scarcity(now: datetime) -> list[ForecastSeries]:
        return [replace(s, values=9000 - s.values) for s in prices(now)]

    theirs = replace(INFO, url="https://grid.example.org", synthetic=False)
    outcome = poll(made, replace(polled(scarcity), source=Scripted(scarcity, theirs)))
    assert "100% of 24 values lie further" in outcome.errors[0]
    assert poll(made, polled(scarcity)).new == 1


def test_what_was_left_out_is_told(made: Service) -> None:
    def cut(now: datetime) -> list[ForecastSeries]:
        return [replace(s, note="price: what came before noon is left out.") for s in prices(now)]

    poll(made, polled(cut))
    [event] = [e for e in made.events() if e.kind is EventKind.FORECAST_INGESTED]
    assert event.data["notes"] == ["price: what came before noon is left out."]


class TestOneTransaction:
    """A vintage without its event would be one that nobody was told of, and no plan was asked for."""

    LOST: ClassVar[str] = "CREATE TRIGGER lost BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'lost'); END"

    @pytest.mark.parametrize("table", ["events", "audit"])
    def test_what_cannot_be_told_is_not_kept(self, made: Service, table: str) -> None:
        with made.core.db.write() as db:
            db.exec_driver_sql(self.LOST.format(table))
        with pytest.raises(IntegrityError):
            keep_series(made.core, prices(T0), "desk", "shifter")
        assert made.core.forecasts.vintages() == []
        with made.core.db.write() as db:
            db.exec_driver_sql("DROP TRIGGER lost")
        assert keep_series(made.core, prices(T0), "desk", "shifter") == 1, "it is news still"
        assert kinds(made) == [EventKind.FORECAST_INGESTED]

    def test_nor_is_a_refusal(self, made: Service) -> None:
        with made.core.db.write() as db:
            db.exec_driver_sql(self.LOST.format("events"))
        with pytest.raises(IntegrityError):
            poll(made, polled(refused))
        assert made.core.forecasts.vintages() == []

    def test_on_either_database(self, database_url: str, clock: ManualClock) -> None:
        either = service(database_url, clock)
        assert poll(either, polled(prices)).new == 1
        clock.advance(minutes=1)
        assert poll(either, polled(refused)).new == 0
        assert [v.status for v in either.core.forecasts.vintages()] == ["rejected", "accepted"]
        assert kinds(either) == [
            EventKind.FORECAST_INGESTED,
            EventKind.FORECAST_REJECTED,
            EventKind.SOURCE_FAILED,
        ]
        either.core.db.close()


def test_signals_that_it_does_not_have_are_not_asked(made: Service) -> None:
    both = replace(polled(prices), signals=(Signal.CARBON, Signal.PRICE))
    assert poll(made, both).new == 1


def test_a_source_keeps_its_place_under_the_name_that_it_was_given(tmp_path: Path) -> None:
    """A csv of the desk's comes before a made-up grid: preference goes by what a source calls itself."""
    day = [f"2026-01-{d:02}T00:00:00Z" for d in range(9, 14)]
    rows = [f"DE-LU,{day[0]},{a},{b},10,300" for a, b in pairwise(day)]
    header = "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh"
    (tmp_path / "desk.csv").write_text("\n".join([header, *rows]))
    desk = {"name": "csv", "options": {"name": "desk", "path": str(tmp_path / "desk.csv")}}
    made = daemon(tmp_path, planner=InProcessPlanner(), forecasts={"sources": [desk, {"name": "typical"}]})
    try:
        for one in made._polled:
            assert not poll(made.service, one).errors
        told = made.service.forecasts("DE-LU", T0, T0 + timedelta(hours=2))
        assert {run["source"] for s in told["signals"] for run in s["provenance"]} == {"desk"}
    finally:
        made.stop()


class TestPush:
    def series(self, **change: Any) -> ForecastSeries:
        return replace(prices(T0)[0], **change)

    def test_it_cannot_speak_in_the_name_of_a_source(self, made: Service, clock: ManualClock) -> None:
        poll(made, polled(prices))
        clock.advance(minutes=1)
        made.push_forecasts([self.series(values=np.full(24, 9.0))], "mallory")
        said = made.core.forecasts.as_of("DE-LU", Signal.PRICE, clock.now(), T0, T0 + timedelta(hours=24))
        assert {s.source: s.values[0] for s in said} == {"desk": 50.0, "push:desk": 9.0}
        grid = SlotGrid.covering(T0, timedelta(hours=2), 60)
        ranked = {("*", Signal.PRICE): ["desk"]}
        frame = frame_from_store(
            made.core.forecasts,
            grid,
            as_of=clock.now(),
            zones=["DE-LU"],
            currency="EUR",
            preference=ranked,
        )
        price = frame.get("DE-LU", Signal.PRICE)
        assert price is not None
        assert (price.source[0], price.values[0]) == ("desk", 50.0), "after those that are configured"

    def test_one_series_twice_is_refused_and_named(self, made: Service) -> None:
        twice = [self.series(), self.series(zone="DE-LU", values=np.full(24, 9.0))]
        with pytest.raises(InputError, match=r"given twice, first by \[0\]") as caught:
            made.push_forecasts(twice, "desk")
        assert caught.value.field == "[1].source"
        assert made.core.forecasts.vintages() == []

    @pytest.mark.parametrize("wrong_at", [0, 1])
    def test_what_only_the_store_finds_out_undoes_all(
        self, made: Service, monkeypatch: pytest.MonkeyPatch, wrong_at: int
    ) -> None:
        """Another push was stored between the check and the append."""
        made.push_forecasts([self.series()], "desk")
        before = made.core.forecasts.vintages()
        told = kinds(made)
        monkeypatch.setattr(made.core.forecasts, "latest", lambda *_: None)
        batch = [self.series(source="another"), self.series(unit="GBP/MWh")]
        with pytest.raises(ForecastRejected, match="is kept in EUR/MWh"):
            made.push_forecasts(batch[::-1] if wrong_at == 0 else batch, "desk")
        assert made.core.forecasts.vintages() == before
        assert kinds(made) == [*told, EventKind.FORECAST_REJECTED]
