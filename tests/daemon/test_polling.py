"""Real servers, asked when something is due: a market's day costs few requests, and what is bad is never used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecasts.marketday import local_day, market_day
from forecasts.series import Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources.energy_charts import EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.sources.publication import FIRST_RETRY
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from shifter.clock import ManualClock
from shifter.ingest import Outcome, Polled, Poller
from shifter.service import Service
from shifter.service.health import gauges
from shifter.views import EventKind
from tests.contract.payloads import OPEN, as_json, neso_actual, neso_api
from tests.daemon.world import daemon, until
from tests.service.world import kinds, service

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AHEAD = 3 * DAY


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


class Market:
    """Energy-Charts with prices that appear at 12:57 and carbon to the end of today; a test may spoil what it says."""

    def __init__(self, clock: ManualClock, server: ReplyServer) -> None:
        self.clock, self.server = clock, server
        self.opens = time(12, 57)
        self.spoil: Callable[[dict[str, Any]], Any] = lambda body: body
        server.reply = self.reply

    def reply(self, asked: Asked) -> Said:
        now = self.clock.now()
        today = local_day(now, BERLIN)
        carbon = asked.path == "/co2eq"
        cleared = not carbon and now >= datetime.combine(today, self.opens, BERLIN)
        start = market_day(datetime.fromisoformat(asked.query["start"]).date(), BERLIN)[0]
        end = market_day(today + DAY if cleared else today, BERLIN)[1]
        times = np.arange(start.timestamp(), end.timestamp(), 900).astype(int)
        wave = np.round(np.sin(times / 20_000), 3)
        if carbon:
            measured = times < now.timestamp()
            said: dict[str, Any] = {
                "co2eq": [float(v) if m else None for v, m in zip(300 + 90 * wave, measured, strict=True)],
                "co2eq_forecast": (300 + 91 * wave).tolist(),
            }
        else:
            said = {"price": (70 + 40 * wave).tolist(), "unit": "EUR / MWh", "license_info": OPEN}
        spoilt = self.spoil({"unix_seconds": times.tolist(), **said})
        return spoilt if isinstance(spoilt, Said) else as_json(spoilt)

    def requests(self, path: str) -> int:
        return sum(asked.path == path for asked in self.server.asked)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(berlin("2026-10-23T09:00"))


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock)


@pytest.fixture
def http() -> Iterator[HttpClient]:
    fake = FakeTime()
    client = HttpClient(clock=fake.clock, sleep=fake.sleep, wall=fake.wall)
    yield client
    client.close()


@pytest.fixture
def market(clock: ManualClock) -> Iterator[Market]:
    with ReplyServer() as server:
        yield Market(clock, server)


@pytest.fixture
def poller(made: Service, market: Market, http: HttpClient) -> Poller:
    return poller_of(made, market, http, Signal.PRICE)


def poller_of(made: Service, market: Market, http: HttpClient, *signals: Signal) -> Poller:
    source = EnergyChartsSource(EnergyChartsOptions(base_url=market.server.url), http=http)
    return Poller(made.core, Polled(source, ("DE-LU",), signals, None, AHEAD))


def run(poller: Poller, clock: ManualClock, end: datetime) -> list[tuple[datetime, Outcome]]:
    """As the daemon does: each poll at the time that the one before named."""
    done = []
    while clock.now() < end:
        done.append((clock.now(), poller.poll()))
        clock.moment = done[-1][1].next_at
    return done


def price(made: Service, clock: ManualClock) -> Any:
    found = made.core.forecasts.latest("energy_charts:DE-LU:price", clock.now())
    assert found is not None
    return found


class TestMarketDay:
    def test_it_is_asked_until_tomorrow_is_there_and_then_left_alone(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        """Through the change of the clocks on 25 October."""
        polls = run(poller, clock, berlin("2026-10-27T00:00"))
        for day in ("23", "24", "25", "26"):
            seen = [at for at, o in polls if o.new and berlin(f"2026-10-{day}T12:00") < at]
            assert berlin(f"2026-10-{day}T12:57") <= seen[0] <= berlin(f"2026-10-{day}T13:07")
            asked = [at for at, _ in polls if local_day(at, BERLIN).day == int(day)]
            assert len(asked) <= 4, (
                "before it is due, when it is, when it is there, and a look for corrections"
            )
        assert market.requests("/price") == len(polls)
        assert price(made, clock).end[-1] == as_datetime64(berlin("2026-10-28T00:00"))

    def test_what_comes_late_is_hunted_for_until_patience_ends_and_told(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        market.opens = time(19, 3)
        clock.moment = berlin("2026-10-23T12:55")
        polls = run(poller, clock, berlin("2026-10-23T15:10"))
        assert len(polls) == 14, "every 10 minutes"
        [view] = made.health().sources
        assert view.up, "it answers"
        assert view.stale.startswith(
            "The price of DE-LU has not said all that was due at 2026-10-23T10:55:00Z"
        )
        assert any(view.stale in fault for fault in made.health().faults)
        run(poller, clock, berlin("2026-10-23T19:20"))
        [view] = made.health().sources
        assert view.stale == ""
        assert view.next_due_at is not None
        assert view.next_due_at > berlin("2026-10-24T06:00")

    def test_each_signal_has_its_own_rhythm(
        self, made: Service, market: Market, http: HttpClient, clock: ManualClock
    ) -> None:
        both = poller_of(made, market, http, Signal.PRICE, Signal.CARBON)
        run(both, clock, berlin("2026-10-24T09:00"))
        assert market.requests("/price") <= 6
        assert market.requests("/co2eq") == 24

    def test_one_that_fails_is_asked_again_alone(
        self, made: Service, market: Market, http: HttpClient, clock: ManualClock
    ) -> None:
        both = poller_of(made, market, http, Signal.PRICE, Signal.CARBON)
        market.spoil = lambda body: Said(status=404) if "price" in body else body
        run(both, clock, clock.now() + 10 * MINUTE)
        assert (market.requests("/price"), market.requests("/co2eq")) == (5, 1)  # at 0, 30, 90, 210 and 450 s
        [view] = made.health().sources
        assert (view.up, view.failures) == (False, 5)
        market.spoil = lambda body: body
        run(both, clock, clock.now() + HOUR)
        assert made.health().sources[0].up

    def test_the_settings_may_say_how_often(
        self, made: Service, market: Market, http: HttpClient, clock: ManualClock
    ) -> None:
        source = EnergyChartsSource(EnergyChartsOptions(base_url=market.server.url), http=http)
        often = Poller(made.core, Polled(source, ("DE-LU",), (Signal.PRICE,), 20 * MINUTE, AHEAD))
        assert len(run(often, clock, clock.now() + 4 * HOUR)) == 12


def spoilt(name: str, change: Callable[[list[float]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda body: {**body, name: change(body[name])}


def times(factor: float) -> Callable[[list[float]], Any]:
    return lambda values: [v * factor for v in values]


def plus(more: float) -> Callable[[list[float]], Any]:
    return lambda values: [v + more for v in values]


def gap(body: dict[str, Any]) -> dict[str, Any]:
    """An hour of tomorrow is null."""
    values = list(body["price"])
    values[-12:-8] = [None] * 4
    return {**body, "price": values}


BAD = [
    pytest.param(lambda _: Said(b"<html><h1>Sorry</h1></html>"), "failed", id="html with 200"),
    pytest.param(lambda _: Said(b'{"unix_seconds": [17'), "failed", id="cut off"),
    pytest.param(gap, "rejected", id="gap"),
    pytest.param(lambda body: {**body, "unix_seconds": body["unix_seconds"][:-1]}, "rejected", id="lengths"),
    pytest.param(spoilt("price", lambda v: [x / 1000 for x in v]), "rejected", id="per kWh"),
    pytest.param(spoilt("price", times(1000)), "rejected", id="a thousand times"),
    pytest.param(spoilt("price", lambda v: [25_000.0] * len(v)), "rejected", id="out of range"),
    pytest.param(spoilt("price", times(7.46)), "rejected", id="crowns for euros"),
    pytest.param(spoilt("unix_seconds", lambda v: [*v[:50], v[49], *v[51:]]), "rejected", id="twice"),
    pytest.param(
        lambda body: {k: v[:-4] if isinstance(v, list) else v for k, v in body.items()},
        "rejected",
        id="short day",
    ),
]


class TestBadVintages:
    @pytest.mark.parametrize(("spoil", "outcome"), BAD)
    def test_it_is_refused_whole_and_the_last_good_one_stands(
        self,
        poller: Poller,
        market: Market,
        made: Service,
        clock: ManualClock,
        spoil: Callable[[dict[str, Any]], Any],
        outcome: str,
    ) -> None:
        assert poller.poll().new == 1
        good = price(made, clock)
        market.spoil = spoil
        clock.moment = berlin("2026-10-23T13:00")
        result = poller.poll()
        assert (result.new, len(result.errors)) == (0, 1)
        stands = price(made, clock)
        assert (stands.values.tolist(), stands.known_at) == (good.values.tolist(), good.known_at)
        counter = made.core.metrics.ingests.labels(source="energy_charts", outcome=outcome)
        assert counter._value.get() == 1
        refused = [v for v in made.core.forecasts.vintages() if v.status == "rejected"]
        assert len(refused) == kinds(made).count(EventKind.FORECAST_REJECTED) == (outcome == "rejected")
        [view] = made.health().sources
        assert (view.up, view.error) == (False, result.errors[0])
        soon = clock.now() + (FIRST_RETRY if outcome == "failed" else 10 * MINUTE)
        assert result.next_at == soon
        market.spoil, clock.moment = lambda body: body, soon
        assert poller.poll().new == 1
        assert made.health().sources[0].up

    def test_what_is_refused_again_for_the_same_reason_is_told_once(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        market.spoil = gap
        run(poller, clock, clock.now() + DAY)
        assert 1 <= kinds(made).count(EventKind.FORECAST_REJECTED) <= 3, "each day's gap is another"
        assert made.core.metrics.ingests.labels(source="energy_charts", outcome="rejected")._value.get() > 10


class TestJumps:
    """What contradicts the vintage before is refused until the source has stood by it."""

    def test_a_slip_is_never_used(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        poller.poll()
        market.spoil = spoilt("price", times(25))
        clock.moment = berlin("2026-10-23T12:58")
        outcome = poller.poll()
        assert "100% of" in outcome.errors[0]
        market.spoil = lambda body: body
        clock.moment = outcome.next_at
        assert poller.poll().new == 1
        assert max(v for s in self.stored(made, clock) for v in s.values) < 120

    def test_what_is_stood_by_is_believed(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        poller.poll()
        market.spoil = spoilt("price", times(25))
        clock.moment = began = berlin("2026-10-23T12:58")
        polls = run(poller, clock, began + 2 * HOUR)
        believed = [at for at, outcome in polls if outcome.new]
        assert believed == [began + 50 * MINUTE]
        assert kinds(made).count(EventKind.FORECAST_REJECTED) == 1
        assert made.health().sources[0].up
        assert price(made, clock).values.max() > 1000

    def test_what_changes_its_story_is_doubted_anew(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        poller.poll()
        clock.moment = berlin("2026-10-23T12:58")
        for factor in (25, 100, 25, 100):
            market.spoil = spoilt("price", times(factor))
            assert poller.poll().errors
            clock.advance(minutes=55)
        assert price(made, clock).values.max() < 120

    def test_what_was_measured_stands_by_no_story(
        self, made: Service, market: Market, http: HttpClient, clock: ManualClock
    ) -> None:
        """It comes with each of them, and agrees with all."""
        poller = poller_of(made, market, http, Signal.CARBON)
        assert poller.poll().new == 2
        for more in (900, 1900, 900, 1900):
            clock.advance(minutes=65)
            market.spoil = spoilt("co2eq_forecast", plus(more))
            assert poller.poll().errors

    def test_a_scarcity_of_some_hours_is_no_jump(
        self, poller: Poller, market: Market, made: Service, clock: ManualClock
    ) -> None:
        poller.poll()
        market.spoil = spoilt("price", lambda v: [*v[:-110], *[9000.0] * 60, *v[-50:]])
        clock.moment = berlin("2026-10-23T12:58")
        assert poller.poll().new == 1
        assert price(made, clock).values.max() == 9000

    @staticmethod
    def stored(made: Service, clock: ManualClock) -> Any:
        now = clock.now()
        return made.core.forecasts.as_of("DE-LU", Signal.PRICE, now, now - 7 * DAY, now + 7 * DAY)


@pytest.mark.parametrize("measured", [False, True])
def test_a_feed_that_stands_still_is_stale_and_not_refused(
    made: Service, http: HttpClient, measured: bool
) -> None:
    """NESO answers, with what it said in the morning: each time there is less of it ahead. That it goes on to tell
    what came makes it no younger.
    """
    clock: Any = made.core.clock
    clock.moment = frozen_at = datetime(2026, 1, 10, 6, 1, tzinfo=UTC)

    def rows(asked: Asked) -> Said:
        if measured and not asked.path.endswith("fw48h"):
            return neso_api(now=clock.now())(asked)
        slot = clock.now().replace(minute=clock.now().minute // 30 * 30, second=0)
        last = min(clock.now(), frozen_at) + 2 * DAY
        starts = [slot + i * 30 * MINUTE for i in range(97) if slot + i * 30 * MINUTE < last]
        stamp = "%Y-%m-%dT%H:%MZ"
        data = [
            {
                "from": s.strftime(stamp),
                "to": (s + 30 * MINUTE).strftime(stamp),
                "intensity": {"forecast": 150 + round(s.timestamp() / 1800) % 37, "actual": None},
            }
            for s in starts
        ]
        return as_json({"data": data})

    with ReplyServer(rows) as server:
        source = NesoSource(NesoOptions(base_url=server.url), http=http)
        poller = Poller(made.core, Polled(source, ("GB",), (Signal.CARBON,), None, AHEAD))
        run(poller, clock, frozen_at + 6 * HOUR)
        made.heartbeat()
        assert made.health().faults == ()
        polls = run(poller, clock, frozen_at + 8 * HOUR)
        assert not any(outcome.errors for _, outcome in polls)
        made.heartbeat()
        [fault] = made.health().faults
        assert fault == (
            "The source neso is stale: The carbon of GB has said nothing new since 2026-01-10T06:01:00Z, "
            "and should every 30 min."
        )
        told = {n: v for n, _, labels, v in gauges(made.core) if labels.get("source") == "neso"}
        assert (told["shifter_source_stale"], told["shifter_source_up"]) == (1, 1)
        assert kinds(made).count(EventKind.FORECAST_REJECTED) == 0
        frozen_at = clock.now()  # it moves again
        run(poller, clock, frozen_at + HOUR)
        made.heartbeat()
        assert made.health().faults == ()


class TestMeasured:
    """What came is asked for again with each poll, two days of it, and kept once."""

    AT = datetime(2026, 1, 10, 6, 1, tzinfo=UTC)

    @pytest.fixture
    def poller(self, made: Service, clock: ManualClock, http: HttpClient) -> Iterator[Poller]:
        clock.moment = self.AT
        self.came: Callable[[datetime], Any] = neso_actual
        self.status = 200

        def reply(asked: Asked) -> Said:
            if asked.path.endswith("fw48h"):
                return neso_api()(asked)
            return neso_api(self.came, clock.now())(asked) if self.status == 200 else Said(status=self.status)

        with ReplyServer(reply) as server:
            source = NesoSource(NesoOptions(base_url=server.url), http=http)
            yield Poller(made.core, Polled(source, ("GB",), (Signal.CARBON,), None, AHEAD))

    @staticmethod
    def kept(made: Service) -> list[int]:
        """How many values each vintage of what came has, the newest first."""
        return [v.n_values for v in made.core.forecasts.vintages(limit=999) if v.kind is Kind.ACTUAL]

    @staticmethod
    def known(made: Service, clock: ManualClock) -> dict[datetime, float]:
        now = clock.now()
        told = made.core.forecasts.as_of("GB", Signal.CARBON, now, now - 9 * DAY, now)
        facts = [s for s in told if s.kind is Kind.ACTUAL]
        return {
            at.astype(datetime).replace(tzinfo=UTC): value
            for s in facts
            for at, value in zip(s.start, s.values.tolist(), strict=True)
        }

    def test_what_is_known_of_it_is_not_kept_again(
        self, poller: Poller, made: Service, clock: ManualClock
    ) -> None:
        polls = run(poller, clock, self.AT + 12 * HOUR)
        assert len(polls) == 24
        assert self.kept(made) == [1] * 23 + [96]
        assert (
            self.known(made, clock).items()
            == {
                self.AT.replace(minute=0) + k * 30 * MINUTE: neso_actual(self.AT + k * 30 * MINUTE)
                for k in range(-96, 23)
            }.items()
        )

    def test_a_revision_is_kept_and_what_lies_beside_it_is_not(
        self, poller: Poller, made: Service, clock: ManualClock
    ) -> None:
        poller.poll()
        slot = self.AT.replace(minute=0)
        revised = {slot - 20 * HOUR: 77, slot - 19 * HOUR: 78}
        self.came = lambda at: revised.get(at, neso_actual(at))
        assert poller_again(poller, clock, 10 * MINUTE).new == 1
        assert self.kept(made) == [3, 96]
        assert {at: self.known(made, clock)[at] for at in revised} == revised
        self.came = neso_actual
        poller_again(poller, clock, 50 * MINUTE)
        assert self.kept(made) == [42, 3, 96], "it was taken back, and an hour came"
        before = made.core.forecasts.as_of("GB", Signal.CARBON, self.AT, slot - DAY, slot)
        assert {at: v for s in before for at, v in zip(s.start, s.values, strict=True)}[
            as_datetime64(slot - 20 * HOUR)
        ] == neso_actual(slot - 20 * HOUR), "as it was known then"

    def test_what_was_expected_is_not_what_came(
        self, poller: Poller, made: Service, clock: ManualClock
    ) -> None:
        """Its first half-hours were forecast, by chance as they came."""
        self.came = lambda at: 150 if at >= self.AT.replace(minute=0) else neso_actual(at)
        poller.poll()
        poller_again(poller, clock, 31 * MINUTE)
        assert self.kept(made) == [1, 96]

    def test_it_is_no_reason_for_a_plan(self, poller: Poller, made: Service, clock: ManualClock) -> None:
        asked: list[str] = []
        made.core.replan = asked.append
        assert poller.poll().new == 2
        assert (asked, kinds(made)) == (["forecast"], [EventKind.FORECAST_INGESTED])
        assert made.events()[0].data["series"] == ["neso:GB:carbon"]
        self.came = lambda at: (neso_actual(at) or 0) + 1
        assert poller_again(poller, clock, 10 * MINUTE).new == 1, (
            "revised, and nothing is expected but as before"
        )
        assert (asked, kinds(made)) == (["forecast"], [EventKind.FORECAST_INGESTED])

    def test_that_it_is_left_out_is_told_once_until_it_is_well(
        self, poller: Poller, made: Service, clock: ManualClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def told() -> tuple[int, int]:
            notes = [e.data["notes"] for e in made.events() if "notes" in e.data]
            logged[0] += sum("left out" in line for line in "".join(capsys.readouterr()).splitlines())
            return len(notes), logged[0]

        logged = [0]
        self.status = 503
        run(poller, clock, clock.now() + 4 * HOUR)
        assert told() == (1, 1), "whatever window was asked for"
        self.status = 200
        run(poller, clock, clock.now() + HOUR)
        assert told() == (1, 1)
        self.status = 502
        run(poller, clock, clock.now() + 4 * HOUR)
        assert told() == (2, 2)


def poller_again(poller: Poller, clock: ManualClock, after: timedelta) -> Outcome:
    clock.moment = clock.now() + after
    for state in poller._asked.values():
        state.due_at = clock.now()
    return poller.poll()


class TestDaemon:
    ROWS = (
        "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh\n"
        "DE-LU,2026-01-09T12:00:00Z,2026-01-10T00:00:00Z,2026-01-14T00:00:00Z,80,300\n"
    )

    def test_it_asks_again_and_again_even_where_a_poll_breaks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "f.csv").write_text(self.ROWS)
        desk = {"name": "csv", "options": {"path": str(tmp_path / "f.csv")}}
        made = daemon(tmp_path, speed=1200, forecasts={"sources": [desk]})
        whole, times = Poller.poll, []

        def poll(self: Poller) -> Outcome:
            times.append(self.core.now())
            if len(times) == 2:
                raise RuntimeError("the store has a bad day")
            return whole(self)

        monkeypatch.setattr(Poller, "poll", poll)
        made.start()
        try:
            until(lambda: len(times) >= 4)
            [view] = made.service.health().sources
            assert view.next_due_at is not None
            assert view.last_attempt_at is not None
            assert view.next_due_at - view.last_attempt_at >= 5 * MINUTE
        finally:
            made.stop()
        gaps = np.diff(np.array([as_datetime64(t) for t in times])) / np.timedelta64(1, "m")
        assert all(gap > 4.9 for gap in gaps[[0, 2]]), "every five minutes of the clock's, or a real second"
        asked = len(times)
        made.stop()
        assert len(times) == asked
