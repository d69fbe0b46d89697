"""The past of a source, asked for once: after it has answered, and as far back as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from forecasts.errors import ForecastRejected
from forecasts.known import Knowledge
from forecasts.marketday import market_day
from forecasts.outlook import make_outlook
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources.base import FetchRequest, ForecastSource, SourceInfo
from forecasts.sources.electricity_maps import ElectricityMapsOptions, ElectricityMapsSource
from forecasts.sources.energy_charts import CET, EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.sources.registry import make_source
from forecasts.sources.watttime import WattTimeOptions, WattTimeSource
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from shifter.clock import ManualClock
from shifter.errors import NotReady, SourceUnavailable
from shifter.history import TRIES, History
from shifter.ingest import LOOK_BACK, Polled, Poller
from shifter.service import Service
from shifter.service.told import AT_ONCE
from shifter.views import EventKind
from tests.contract import test_electricity_maps as maps
from tests.contract import test_watttime as watt
from tests.contract.payloads import NOW, as_json, ec_times, neso_api
from tests.service.world import T0, service

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
INFO = replace(
    make_source("typical").info,
    name="archive",
    zones=("DE-LU",),
    signals=(Signal.PRICE,),
    url="https://grid.example.org",
    synthetic=False,
    past=timedelta(days=365),
)


@dataclass
class Archive:
    """Tells a daily wave of as many days as it is asked for, unless it would rather not."""

    info: SourceInfo = INFO
    refuses: Callable[[timedelta], Exception | None] = lambda _: None
    level: Callable[[timedelta], float] = lambda _: 80.0
    asked: list[timedelta] = field(default_factory=list)

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        back = now - request.start
        self.asked.append(back)
        if (error := self.refuses(back)) is not None:
            raise error
        start = as_datetime64(request.start) + np.arange(
            (request.end - request.start) // HOUR
        ) * np.timedelta64(1, "h")
        hours = start.astype("datetime64[h]").astype(int)
        values = self.level(back) + 20 * np.sin(hours / 24 * 2 * np.pi)
        end = start + np.timedelta64(1, "h")
        return [
            ForecastSeries("DE-LU", Signal.PRICE, "EUR/MWh", "archive", now, start, end, values, Kind.CLEARED)
        ]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock)


def polled(source: Archive) -> Polled:
    return Polled(source, ("DE-LU",), (Signal.PRICE,), timedelta(minutes=30), 2 * DAY)


def history(made: Service, source: Archive, days: float = 60) -> History:
    return History(made.core, polled(source), timedelta(days=days))


def reach(made: Service, clock: ManualClock) -> datetime:
    """From when on anything is known."""
    told = made.core.forecasts.as_of("DE-LU", Signal.PRICE, clock.now(), T0 - 400 * DAY, T0)
    return min(s.start[0] for s in told).astype(datetime).replace(tzinfo=T0.tzinfo)


def test_it_is_asked_for_once_the_source_has_answered(made: Service, clock: ManualClock) -> None:
    source = Archive()
    past = history(made, source)
    assert past.ask() == 0, "it may be down, and is asked for nothing more"
    assert source.asked == []
    Poller(made.core, polled(source)).poll()
    assert reach(made, clock) == T0 - LOOK_BACK
    assert past.wanted
    assert past.ask() == 1
    assert reach(made, clock) == T0 - 60 * DAY
    assert source.asked == [LOOK_BACK, 60 * DAY]
    assert not past.wanted
    assert past.ask() == 0
    newest = made.core.forecasts.latest("archive:DE-LU:price", clock.now())
    assert newest is not None
    assert newest.known_at == T0, "known from now on, and no sooner"
    assert made.core.forecasts.as_of("DE-LU", Signal.PRICE, T0 - DAY, T0 - 60 * DAY, T0) == ()


def test_after_a_restart_it_is_known_already(made: Service, clock: ManualClock) -> None:
    source = Archive()
    poller = Poller(made.core, polled(source))
    poller.poll()
    history(made, source).ask()
    clock.advance(days=3)
    poller.poll()
    again = history(made, source)
    assert again.ask() == 0
    assert not again.wanted
    assert source.asked.count(60 * DAY) == 1


def test_a_store_of_before_is_filled_up(made: Service, clock: ManualClock) -> None:
    """It ran with two days back for a while."""
    source = Archive()
    poller = Poller(made.core, polled(source))
    for _ in range(5):
        poller.poll()
        clock.advance(days=1)
    history(made, source).ask()
    assert reach(made, clock) == clock.now() - 60 * DAY


def test_a_hole_of_an_outage_is_filled(made: Service, clock: ManualClock) -> None:
    """The oldest days are known, and the newest: what lies between is asked for all the same."""
    source = Archive()
    poller = Poller(made.core, polled(source))
    poller.poll()
    history(made, source).ask()
    clock.advance(days=7)  # it was down: of T0 + 2 days to T0 + 5 days nothing is known
    poller.poll()
    hole = (T0 + 2 * DAY, T0 + 5 * DAY)
    assert made.core.forecasts.as_of("DE-LU", Signal.PRICE, clock.now(), *hole) == ()
    again = history(made, source)
    assert again.ask() == 1
    assert not again.wanted
    [filled] = made.core.forecasts.as_of("DE-LU", Signal.PRICE, clock.now(), *hole)
    assert len(filled) == 72


def test_one_that_was_interrupted_is_asked_for_again(made: Service, clock: ManualClock) -> None:
    """Of a file with a vintage a day the oldest were written when the store went away."""

    class Daily(Archive):
        def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
            [whole] = super().fetch(request, now=now)
            if now - request.start == LOOK_BACK:
                return [whole]
            days = [slice(i, i + 24) for i in range(0, len(whole) - 48, 24)]
            return [
                replace(
                    whole,
                    known_at=now - (len(days) - i) * DAY,
                    start=whole.start[d],
                    end=whole.end[d],
                    values=whole.values[d],
                )
                for i, d in enumerate(days)
            ]

    source = Daily(replace(INFO, url="the operator's own"))
    Poller(made.core, polled(source)).poll()
    whole, calls = made.core.forecasts.append_all, []

    def once(series: list[ForecastSeries], **how: object) -> object:
        calls.append(len(series))
        if len(calls) == 2:
            raise NotReady("the database is away.")
        return whole(series, **how)  # type: ignore[arg-type]

    made.core.forecasts.append_all = once  # type: ignore[method-assign, assignment]
    past = history(made, source, days=90)
    assert past.ask() == 0
    assert past.wanted
    assert past.ask() == 90 - AT_ONCE
    assert not past.wanted


def test_a_store_that_is_away_is_not_the_sources(made: Service, clock: ManualClock) -> None:
    """Whenever that happens: it is not asked twice for it, and loses none of its tries."""
    source = Archive(level=lambda back: 80.0 if back == LOOK_BACK else 4_000.0)  # a jump: the store is asked
    Poller(made.core, polled(source)).poll()
    past, whole = history(made, source), made.core.forecasts.as_of

    def away(*args: Any, **how: Any) -> Any:
        if len(source.asked) == tries + 1:  # what it said has come
            raise OperationalError("SELECT", {}, Exception("database is locked"))
        return whole(*args, **how)

    made.core.forecasts.as_of = away  # type: ignore[method-assign]
    for _ in range(2 * TRIES):
        tries = len(source.asked)
        assert past.ask() == 0
        assert len(source.asked) == tries + 1, "no shorter window is asked for"
        assert past.wanted


@pytest.mark.parametrize(
    ("past", "days", "asked"),
    [
        (timedelta(0), 60, []),
        (timedelta(days=20), 60, [20 * DAY]),
        (None, 60, [60 * DAY]),
        (timedelta(days=365), 0, []),
        (timedelta(days=365), 2, []),
    ],
)
def test_no_further_back_than_it_goes_and_is_wanted(
    made: Service, past: timedelta | None, days: float, asked: list[timedelta]
) -> None:
    source = Archive(replace(INFO, past=past))
    Poller(made.core, polled(source)).poll()
    wanted = history(made, source, days)
    assert wanted.wanted is bool(asked)
    wanted.ask()
    assert source.asked[1:] == asked


@pytest.mark.parametrize("error", [ForecastRejected("a gap in May."), SourceUnavailable("it answered 400.")])
def test_one_that_refuses_a_long_window_is_asked_for_a_shorter_one(
    made: Service, clock: ManualClock, error: Exception
) -> None:
    source = Archive(refuses=lambda back: error if back > 31 * DAY else None)
    Poller(made.core, polled(source)).poll()
    assert history(made, source).ask() == 1
    assert source.asked == [LOOK_BACK, 60 * DAY, 15 * DAY]
    assert reach(made, clock) == T0 - 15 * DAY


@pytest.mark.parametrize("error", [SourceUnavailable("it answered 503."), KeyError("a source with a bug")])
def test_one_that_refuses_all_of_it_is_left_alone_in_the_end(
    made: Service, clock: ManualClock, error: Exception
) -> None:
    source = Archive(refuses=lambda back: error if back > LOOK_BACK else None)
    Poller(made.core, polled(source)).poll()
    past = history(made, source)
    for _ in range(TRIES):
        assert past.wanted
        assert past.ask() == 0
    assert not past.wanted
    assert reach(made, clock) == T0 - LOOK_BACK, "the short one stands"
    assert made.health().sources[0].up, "it does what is needed of it"


def test_a_past_that_contradicts_what_was_just_said_is_not_taken(made: Service, clock: ManualClock) -> None:
    source = Archive(level=lambda back: 80.0 if back == LOOK_BACK else 4_000.0)
    Poller(made.core, polled(source)).poll()
    assert history(made, source).ask() == 0
    assert reach(made, clock) == T0 - LOOK_BACK
    newest = made.core.forecasts.latest("archive:DE-LU:price", clock.now())
    assert newest is not None
    assert newest.values.max() < 200


def test_thousands_of_vintages_are_written_some_at_a_time(made: Service, clock: ManualClock) -> None:
    """A transaction that lasts for seconds would hold up the renewal of leases."""
    n = 3 * AT_ONCE + 1

    class Vintages(Archive):
        def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
            [whole] = super().fetch(request, now=now)
            if now - request.start == LOOK_BACK:
                return [whole]
            times = [now - (i + 1) * timedelta(minutes=30) for i in range(n)]
            return [replace(whole, known_at=at, values=whole.values + i % 7) for i, at in enumerate(times)]

    source = Vintages(replace(INFO, url="the operator's own"))
    Poller(made.core, polled(source)).poll()
    sizes: list[int] = []
    whole = made.core.forecasts.append_all

    def counted(series: list[ForecastSeries], **how: object) -> object:
        sizes.append(len(series))
        return whole(series, **how)  # type: ignore[arg-type]

    made.core.forecasts.append_all = counted  # type: ignore[method-assign, assignment]
    assert history(made, source).ask() == n
    assert sizes == [AT_ONCE] * 3 + [1]
    told = [e for e in made.events() if e.kind is EventKind.FORECAST_INGESTED and "history" in e.data]
    assert [(e.data["source"], e.data["history"]) for e in told] == [("archive", n)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("energy_charts", {}),
        ("entsoe", {}),
        ("caiso", {}),
        ("octopus_agile", {}),
        ("neso", {}),
        ("electricity_maps", {}),
        ("watttime", {}),
        ("nyiso", {}),
        ("csv", {"path": "x"}),
    ],
)
def test_sources_that_keep_their_past_say_so(name: str, options: dict[str, str]) -> None:
    past = make_source(name, options).info.past
    assert past is None or past >= 60 * DAY


@pytest.mark.parametrize("name", ["aemo", "typical", "ercot"])
def test_those_that_do_not_are_never_asked(name: str) -> None:
    assert make_source(name).info.past == timedelta(0)


ZONES = {
    "neso": "GB",
    "energy_charts": "DE-LU",
    "electricity_maps": "DE",
    "watttime": watt.REGION,
}


def charts(asked: Asked) -> Said:
    """Measured until an hour ago, and what is expected from then on, to the end of today."""
    start = market_day(datetime.fromisoformat(asked.query["start"]).date(), CET)[0]
    end = market_day(NOW.astimezone(CET).date(), CET)[1]
    times = ec_times((end - start) // timedelta(minutes=15), start)
    came = [t <= (NOW - HOUR).timestamp() for t in times]
    values = [250.0 + t // 900 % 91 for t in times]
    return as_json(
        {
            "unix_seconds": times,
            "co2eq": [v if m else None for v, m in zip(values, came, strict=True)],
            "co2eq_forecast": [None if m else v for v, m in zip(values, came, strict=True)],
        }
    )


def watttime(asked: Asked) -> Said:
    if asked.path == "/login":
        return as_json({"token": "token-1"})
    historical = asked.path == "/v3/historical"
    return watt.historical(asked) if historical else as_json(watt.reply_of())


SERVERS: dict[str, Callable[[Asked], Said]] = {
    "neso": neso_api(),
    "energy_charts": charts,
    "electricity_maps": maps.api(),
    "watttime": watttime,
}


class TestWhatCame:
    """Sources that publish what came, each against a server that answers as its API does."""

    @pytest.fixture(params=list(SERVERS))
    def told(
        self, request: pytest.FixtureRequest, sqlite_url: str
    ) -> Iterator[tuple[Service, Polled, ReplyServer]]:
        fake = FakeTime()
        http = HttpClient(clock=fake.clock, sleep=fake.sleep, wall=fake.wall)
        with ReplyServer(SERVERS[request.param]) as server:
            url: dict[str, Any] = {"base_url": server.url}
            sources: dict[str, Callable[[], ForecastSource]] = {
                "neso": lambda: NesoSource(NesoOptions(**url), http=http),
                "energy_charts": lambda: EnergyChartsSource(EnergyChartsOptions(**url), http=http),
                "electricity_maps": lambda: ElectricityMapsSource(
                    ElectricityMapsOptions(api_key=SecretStr("made-up"), **url), http=http
                ),
                "watttime": lambda: WattTimeSource(
                    WattTimeOptions(username="me", api_key=SecretStr("made-up"), **url), http=http
                ),
            }
            polled = Polled(
                sources[request.param](), (ZONES[request.param],), (Signal.CARBON,), None, 2 * DAY
            )
            yield service(sqlite_url, ManualClock(NOW)), polled, server
        http.close()

    def test_alone_it_is_enough_to_learn_from(self, told: tuple[Service, Polled, ReplyServer]) -> None:
        made, polled, _ = told
        clock: Any = made.core.clock
        [zone], at = polled.zones, NOW.replace(minute=0) + HOUR

        def outlook() -> Any:
            return make_outlook(Knowledge(made.core.forecasts), zone, Signal.CARBON, at)

        assert not Poller(made.core, polled).poll().errors
        assert outlook() is None, "two days are too few"
        clock.advance(minutes=1)
        past = History(made.core, polled, 60 * DAY)
        assert past.ask() > 0
        assert not past.wanted
        assert outlook() is not None
        record = Knowledge(made.core.forecasts).hours(zone, Signal.CARBON, at)
        assert record is not None
        assert record.measured
        assert record.forecasters == (polled.name,)
        known = np.flatnonzero(np.isfinite(record.hourly))
        assert len(known) == known[-1] - known[0] + 1, "no hole where two parts meet"
        assert 60 * 24 - 2 <= len(known) <= 60 * 24 + 24
        newest = made.core.forecasts.latest(f"{polled.name}:{zone}:carbon", clock.now())
        assert newest is not None
        assert newest.kind is Kind.FORECAST, "what comes next is compared with it"

    def test_what_was_expected_is_no_substitute_for_what_came(
        self, told: tuple[Service, Polled, ReplyServer]
    ) -> None:
        """A store of before: it has heard forecasts of all these days, and nothing of what came."""
        made, polled, server = told
        [zone] = polled.zones
        n = 60 * 24
        start = as_datetime64(NOW.replace(minute=0) - 60 * DAY) + np.arange(n) * np.timedelta64(1, "h")
        [*_, forecast] = polled.source.fetch(FetchRequest(zone, (Signal.CARBON,), NOW, NOW + DAY), now=NOW)
        old = replace(
            forecast,
            known_at=NOW - 61 * DAY,
            issued_at=None,
            start=start,
            end=start + np.timedelta64(1, "h"),
            values=300 + np.arange(n, dtype=float) % 7,
        )
        made.core.forecasts.append(old)
        Poller(made.core, polled).poll()
        server.asked.clear()
        for again in (True, False):
            past = History(made.core, polled, 60 * DAY)
            assert (past.ask() > 0) is again
            assert not past.wanted
            assert bool(server.asked) is again, "once it is there, it is not asked for after every start"
            server.asked.clear()
