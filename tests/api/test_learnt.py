"""`GET /v1/forecasts/learnt`, over a real service."""

from __future__ import annotations

from fastapi.testclient import TestClient

from forecasts.series import Signal
from shifter.api import examples
from shifter.api.app import create_app
from shifter.service import Service
from shifter.views import LearntView, ShareView, to_plain
from tests.api.conftest import START, requests_to

URL = "/v1/forecasts/learnt"
VIEW = LearntView(
    "DE-LU",
    "price",
    planned_by=True,
    made_for=START,
    rounds=31,
    lead_hours=(6, 24, 48),
    sources=(ShareView("desk", (None, 0.75, 0.5)), ShareView("our models", (None, 0.25, 0.5))),
    models=(ShareView("ridge", (None, 1.0, 1.0)),),
)


def test_who_counts_for_how_much(unplanned: Service) -> None:
    nothing = LearntView(
        "FR",
        "carbon",
        planned_by=True,
        note="Too little to learn from: less than a week of outcomes, or all of it made up.",
    )
    unplanned.core.state.learnt = {("FR", Signal.CARBON): nothing, ("DE-LU", Signal.PRICE): VIEW}
    api = requests_to(create_app(unplanned))
    body = api.get(URL).json()
    assert body == [to_plain(VIEW), to_plain(nothing)]
    assert body[0]["made_for"] == "2026-01-10T00:00:00Z"
    assert body[0]["sources"][0] == {"name": "desk", "ratio": [None, 0.75, 0.5]}
    assert api.get(URL, params={"zone": "FR"}).json() == [to_plain(nothing)]
    assert set(body[0]) == set(examples.LEARNT)


def test_before_anything_was_learnt(still_api: TestClient) -> None:
    assert still_api.get(URL).json() == []


def test_a_zone_that_is_none(still_api: TestClient) -> None:
    answer = still_api.get(URL, params={"zone": "XX"})
    assert (answer.status_code, answer.json()["field"]) == (404, "query.zone")
