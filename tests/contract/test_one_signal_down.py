"""A source that fails at one signal is still heard on the other, whoever asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine

from forecasts.errors import InputError, SourceUnavailable
from forecasts.ingest import ingest
from forecasts.series import Signal
from forecasts.sources import energy_charts
from forecasts.sources.asking import ask, one_by_one
from forecasts.sources.base import FetchRequest
from forecasts.sources.energy_charts import EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.store import ForecastStore
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from shifter.clock import ManualClock
from shifter.demo.grid import frame_now, synthetic_source
from shifter.ingest import Polled, Poller
from shifter.settings import SourceSettings
from shifter.views import EventKind
from tests.contract.payloads import CLOSED, NOW, as_json, ec_carbon, ec_price
from tests.service.world import kinds, service

PRICE, CARBON = Signal.PRICE, Signal.CARBON

DOWN = [
    pytest.param(as_json({"detail": "no content available"}, 404), "unavailable", id="404"),
    pytest.param(as_json({"detail": "bad"}, 400), "unavailable", id="400"),
    pytest.param(Said(status=500), "unavailable", id="500"),
    pytest.param(Said(b"<html>Sorry</html>"), "unavailable", id="html"),
    pytest.param(Said(b'{"unix_seconds": [17'), "unavailable", id="cut off"),
    pytest.param(as_json({"unix_seconds": "none"}), "rejected", id="shape"),
    pytest.param(as_json(ec_price(licence=CLOSED) | {"co2eq_forecast": []}), "rejected", id="licence"),
]


@pytest.fixture
def source_of() -> Iterator[Callable[[Signal, Said], EnergyChartsSource]]:
    time = FakeTime()
    http = HttpClient(clock=time.clock, sleep=time.sleep, wall=time.wall)
    with ReplyServer() as server:

        def made(down: Signal, said: Said) -> EnergyChartsSource:
            def reply(asked: Asked) -> Said:
                signal = PRICE if asked.path == "/price" else CARBON
                return said if signal is down else as_json(ec_price() if signal is PRICE else ec_carbon())

            server.reply = reply
            return EnergyChartsSource(EnergyChartsOptions(base_url=server.url), http=http)

        yield made
    http.close()


@pytest.mark.parametrize("down", [PRICE, CARBON])
@pytest.mark.parametrize(("said", "status"), DOWN)
class TestTheOtherIsKept:
    def test_by_ingest(self, source_of: Any, down: Signal, said: Said, status: str) -> None:
        store = ForecastStore(create_engine("sqlite://"))
        store.create_tables()
        window = FetchRequest("DE-LU", (PRICE, CARBON), NOW, NOW + timedelta(days=1))
        done = {d.signal: d.status for d in ingest(store, source_of(down, said), window, now=NOW)}
        assert done == {down: status, CARBON if down is PRICE else PRICE: "new"}

    def test_by_all_that_ask_at_once(self, source_of: Any, down: Signal, said: Said, status: str) -> None:
        source = source_of(down, said)
        requests = one_by_one(source, ["DE-LU"], [PRICE, CARBON], NOW, NOW + timedelta(days=1))
        answers = ask(source, requests, now=NOW)
        assert {s.signal for s in answers.series} == {CARBON if down is PRICE else PRICE}
        (failure,) = answers.failures
        assert str(failure).startswith(f"energy_charts tells no {down} of DE-LU: ")
        assert answers.or_raise() is answers

    def test_by_the_demo(
        self, source_of: Any, down: Signal, said: Said, status: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = source_of(down, said)
        monkeypatch.setattr(energy_charts, "shared_client", lambda: source._http)
        live = SourceSettings(name="energy_charts", options={"base_url": source.options.base_url})
        frame, failures = frame_now([live, synthetic_source(["DE-LU"])], ["DE-LU"], "EUR", NOW, 60)
        assert len(failures) == 1
        assert f"tells no {down} of DE-LU" in failures[0]
        told = {s.signal: s.source[0] for s in frame.signals}
        assert told == {down: "typical", CARBON if down is PRICE else PRICE: "energy_charts"}

    def test_by_the_daemon(
        self, source_of: Any, down: Signal, said: Said, status: str, sqlite_url: str
    ) -> None:
        made = service(sqlite_url, ManualClock(NOW))
        every = timedelta(minutes=30)
        polled = Polled(source_of(down, said), ("DE-LU",), (PRICE, CARBON), every, timedelta(days=2))
        outcome = Poller(made.core, polled).poll()
        # Carbon comes as two vintages: what was measured, and what is expected.
        assert (outcome.new, len(outcome.errors)) == (1 if down is CARBON else 2, 1)
        assert (outcome.next_at == NOW + every) == (status == "rejected"), "soon, where it did not answer"
        kept = [v.signal for v in made.core.forecasts.vintages() if v.status == "accepted"]
        assert set(kept) == {CARBON if down is PRICE else PRICE}
        refused = [v.signal for v in made.core.forecasts.vintages() if v.status == "rejected"]
        assert refused == ([down] if status == "rejected" else [])
        assert EventKind.FORECAST_INGESTED in kinds(made)
        assert (EventKind.FORECAST_REJECTED in kinds(made)) == (status == "rejected")


def test_where_nothing_is_said_the_first_failure_is_raised(source_of: Any) -> None:
    source = source_of(PRICE, Said(status=404))
    requests = one_by_one(source, ["DE-LU", "FR"], [PRICE], NOW, NOW + timedelta(days=1))
    answers = ask(source, requests, now=NOW)
    assert [f.request.zone for f in answers.failures] == ["DE-LU", "FR"]
    with pytest.raises(SourceUnavailable):
        answers.or_raise()


def test_a_wrong_question_is_the_askers_mistake(source_of: Any) -> None:
    source = source_of(PRICE, Said(status=404))
    with pytest.raises(InputError, match="does not know the zone"):
        ask(source, one_by_one(source, ["XX"], [PRICE], NOW, NOW + timedelta(days=1)), now=NOW)
