"""`GET /v1/forecasts/scores`, over a real service and its store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from forecasts.scores.subject import from_store
from forecasts.series import Kind, Signal
from forecasts.slots import isoformat_z
from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.clock import ManualClock
from shifter.service import Service
from shifter.service.scored import KEEP_S, Scorer
from tests.api.conftest import START, requests_to
from tests.forecasts.build import series

URL = "/v1/forecasts/scores"
HOUR = timedelta(hours=1)


@pytest.fixture
def told(unplanned: Service, clock: ManualClock) -> Service:
    """Four weeks of prices that were measured, and of forecasts that were 3 EUR/MWh too high; it is their end."""
    truth = np.random.default_rng(4).normal(60, 20, 24 * 28)
    store = unplanned.core.forecasts
    for d in range(28):
        at = START + timedelta(days=d)
        part = truth[24 * d : 24 * d + 24]
        store.append(
            series(part, start=at, known_at=at + timedelta(days=1), kind=Kind.ACTUAL, source="meter")
        )
        store.append(
            series(part + 3, start=at, known_at=at, source="desk", restricted=True, licence="internal")
        )
    clock.advance(days=28)
    return unplanned


def test_scores_of_the_last_days(told: Service) -> None:
    api = requests_to(create_app(told))
    body = api.get(URL, params={"zone": "DE-LU", "signal": "price", "days": 7}).json()
    assert (body["zone"], body["signal"], body["unjudged"]) == ("DE-LU", "price", [])
    assert body["until"] == isoformat_z(START + timedelta(days=28))
    [desk] = body["sources"]
    assert (desk["source"], desk["outcomes_of"], desk["vintages"], desk["slot_minutes"]) == (
        "desk",
        "meter",
        7,
        30,
    )
    assert desk["overall"]["point"]["n"] == 7 * 48
    assert desk["overall"]["point"]["mae"] == pytest.approx(3)
    assert desk["overall"]["point"]["bias"] == pytest.approx(3)
    assert desk["decision"]["captured"] == pytest.approx(1), "too high all the same is as good to decide by"
    assert desk["decision"]["captured_low"] is None, "too few days"
    assert "values" not in desk
    longer = api.get(URL, params={"zone": "DE-LU", "days": 31}).json()
    assert longer["sources"][0]["vintages"] == 28
    assert longer["sources"][0]["against_persistence"]["p_value"] < 0.001


def test_nobody_said_anything(still_api: TestClient) -> None:
    answer = still_api.get(URL, params={"zone": "FR", "signal": "carbon"})
    assert answer.status_code == 200
    assert answer.json()["sources"] == []


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"zone": "XX"}, 404, "zone"),
        ({}, 422, "zone"),
        ({"zone": "FR", "signal": "tide"}, 422, "signal"),
        ({"zone": "FR", "days": 0}, 422, "days"),
        ({"zone": "FR", "days": 32}, 422, "days"),
    ],
)
def test_wrong_questions_are_problems(
    still_api: TestClient, query: dict[str, object], status: int, field: str
) -> None:
    answer = still_api.get(URL, params=query)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert field in answer.json()["field"]


def test_an_answer_stands_for_a_while(told: Service, clock: ManualClock) -> None:
    now_s = [1000.0]
    scorer = Scorer(told.core, monotonic=lambda: now_s[0])
    first = scorer.scores("DE-LU", Signal.PRICE, 14)
    clock.advance(hours=1)
    now_s[0] += KEEP_S - 1
    assert scorer.scores("DE-LU", Signal.PRICE, 14) is first
    assert scorer.scores("DE-LU", Signal.PRICE, 7) is not first
    now_s[0] += 2
    assert scorer.scores("DE-LU", Signal.PRICE, 14).until == first.until + HOUR


def test_one_is_computed_at_a_time(told: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many dashboards that ask at once cost one computation."""
    computed = []

    def counted(*args: Any, **more: Any) -> Any:
        computed.append(1)
        return from_store(*args, **more)

    monkeypatch.setattr("shifter.service.scored.from_store", counted)
    got = []

    def ask() -> None:
        got.append(told.forecast_scores("DE-LU", Signal.PRICE, 14))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert len(got) == 8
    assert len(computed) == 1
    assert all(g is got[0] for g in got)


def test_the_loop_is_not_held_up(
    told: Service, serve: Callable[[Service], ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While scores are computed, everything else is answered."""
    import requests

    entered, leave = threading.Event(), threading.Event()

    def slow(*args: Any, **more: Any) -> Any:
        entered.set()
        assert leave.wait(20)
        return from_store(*args, **more)

    monkeypatch.setattr("shifter.service.scored.from_store", slow)
    url = serve(told).url
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(requests.get(f"{url}{URL}?zone=DE-LU", timeout=30).status_code)
    )
    asking.start()
    assert entered.wait(20)
    assert requests.get(f"{url}/healthz", timeout=5).status_code in {200, 503}
    assert requests.get(f"{url}/v1/workloads", timeout=5).status_code == 200
    leave.set()
    asking.join(30)
    assert answers == [200]
