"""`GET /v1/forecasts/scores`, over a real service and its store."""

from __future__ import annotations

import threading
import time
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
from shifter.api.params import SLOW_CALLS
from shifter.api.server import ApiServer
from shifter.clock import ManualClock
from shifter.errors import NotReady
from shifter.service import Service
from shifter.service.scored import KEEP_S, MOST_KEPT, REST, Scorer
from shifter.views import SourceView
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
    longer = Scorer(told.core).scores("DE-LU", Signal.PRICE, 31).sources[0]
    assert longer.vintages == 28
    assert longer.against_persistence is not None
    assert longer.against_persistence.p_value < 0.001


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
    now_s[0] += 2
    assert scorer.scores("DE-LU", Signal.PRICE, 14).until == first.until + HOUR


def test_between_two_computations_it_rests(told: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked: who asks for 31 lengths of each zone takes no more of the daemon than who asks once."""
    now_s, took_s = [1000.0], 5.0

    def slow(*args: Any, **more: Any) -> Any:
        now_s[0] += took_s
        return from_store(*args, **more)

    monkeypatch.setattr("shifter.service.scored.from_store", slow)
    scorer = Scorer(told.core, monotonic=lambda: now_s[0])
    first = scorer.scores("DE-LU", Signal.PRICE, 14)
    ended = now_s[0]
    for _ in range(3):
        with pytest.raises(NotReady) as caught:
            scorer.scores("FR", Signal.PRICE, 14)
        assert caught.value.facts["retry_after_s"] == REST * took_s
    assert now_s[0] == ended, "nothing was computed"
    now_s[0] += REST * took_s - 0.5
    assert now_s[0] - ended > KEEP_S
    assert scorer.scores("DE-LU", Signal.PRICE, 14) is first, "what is known already is answered meanwhile"
    with pytest.raises(NotReady) as caught:
        scorer.scores("DE-LU", Signal.PRICE, 7)
    assert caught.value.facts["retry_after_s"] == 1
    now_s[0] += 0.5
    assert scorer.scores("DE-LU", Signal.PRICE, 7).sources
    with pytest.raises(NotReady):
        scorer.scores("FR", Signal.PRICE, 7)


def test_it_rests_after_one_that_failed_too(told: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1000.0]

    def broken(*args: Any, **more: Any) -> Any:
        now_s[0] += 2
        raise NotReady("the database is away.")

    monkeypatch.setattr("shifter.service.scored.from_store", broken)
    scorer = Scorer(told.core, monotonic=lambda: now_s[0])
    with pytest.raises(NotReady, match="database"):
        scorer.scores("DE-LU", Signal.PRICE, 14)
    with pytest.raises(NotReady, match="rest"):
        scorer.scores("DE-LU", Signal.PRICE, 14)


def test_only_the_last_answers_are_kept(told: Service) -> None:
    now_s = [1000.0]
    scorer = Scorer(told.core, monotonic=lambda: now_s[0])
    for i in range(MOST_KEPT + 1):
        scorer.scores("FR", [Signal.PRICE, Signal.CARBON][i % 2], 1 + i // 2)
    assert len(scorer._kept) == MOST_KEPT


def test_who_comes_too_soon_is_told_when(told: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.service.scored.REST", 1e6)
    api = requests_to(create_app(told))
    assert api.get(URL, params={"zone": "DE-LU"}).status_code == 200
    assert api.get(URL, params={"zone": "DE-LU"}).status_code == 200, "it is kept"
    answer = api.get(URL, params={"zone": "FR"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 100
    assert answer.json()["code"] == "not_ready"


def test_a_source_on_trial_is_marked(told: Service) -> None:
    api = requests_to(create_app(told))
    told.core.state.sources["desk"] = SourceView("desk", up=True, shadow=True)
    [desk] = api.get(URL, params={"zone": "DE-LU"}).json()["sources"]
    assert desk["shadow"] is True
    told.core.state.sources["desk"] = SourceView("desk", up=True)
    assert [s.shadow for s in Scorer(told.core).scores("DE-LU", Signal.PRICE, 14).sources] == [False]


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


def test_submissions_are_not_held_up(
    told: Service, serve: Callable[[Service], ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for scores, none of them takes the place of a submission or a quote."""
    import requests

    entered, leave = threading.Event(), threading.Event()

    def slow(*args: Any, **more: Any) -> Any:
        entered.set()
        assert leave.wait(20)
        return from_store(*args, **more)

    monkeypatch.setattr("shifter.service.scored.from_store", slow)
    url = serve(told).url
    answers: list[int] = []

    def ask(days: int) -> None:
        answers.append(requests.get(f"{url}{URL}?zone=DE-LU&days={days}", timeout=30).status_code)

    asking = [threading.Thread(target=ask, args=(1 + i,)) for i in range(SLOW_CALLS)]
    for thread in asking:
        thread.start()
    try:
        assert entered.wait(20)
        time.sleep(0.5)  # all of them have come
        work = {"id": "w-1", "accelerator_hours": 2, "max_accelerators": 2}
        said = requests.post(f"{url}/v1/workloads", json=work, timeout=10)
        assert said.status_code in {201, 202}, said.text
    finally:
        leave.set()
        for thread in asking:
            thread.join(30)
    assert min(answers) == 200
    assert set(answers) <= {200, 503}
