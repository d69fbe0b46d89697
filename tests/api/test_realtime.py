"""`GET /v1/realtime`, over a real service: what is expected, on what basis, and how often it held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
from fastapi.testclient import TestClient

from shifter.api import examples
from shifter.api.app import create_app
from shifter.clock import ManualClock
from shifter.errors import InputError
from shifter.realtime.measured import step_of
from shifter.service import Service
from shifter.service.expected import coverage
from shifter.store import loads
from shifter.views import TelemetrySample
from tests.api.conftest import START, requests_to

URL = "/v1/realtime"
MINUTE = timedelta(minutes=1)


def test_what_is_configured_is_shown_of_every_pool(still_api: TestClient) -> None:
    body = still_api.get(URL).json()
    assert [(v["site"], v["pool"], v["basis"]) for v in body] == [
        ("frankfurt", "h100", "as the settings say"),
        ("paris", "rack/1", "no real-time load is configured"),
    ]
    first = body[0]
    assert set(first) == set(examples.LOAD)
    assert len(first["slots"]) == 96
    assert first["slots"][0]["accelerators"] == {"p50": 16.0, "p99": 24.0}
    assert (first["last_sample_at"], first["silent"], first["coverage"]) == (None, False, [])
    assert [v["pool"] for v in still_api.get(URL, params={"site": "paris"}).json()] == ["rack/1"]


def test_a_measurement_and_how_often_what_was_said_held(unplanned: Service, clock: ManualClock) -> None:
    made = START - 30 * MINUTE
    said = loads.Said("frankfurt", "h100", made, 0.99, step_of(made), 6, (24.0,) * 96)
    with unplanned.core.db.write() as db:
        loads.add_said(db, [said])
        loads.add_said(db, [said])
    samples = [
        TelemetrySample("frankfurt", START - i * 5 * MINUTE, "h100", 30.0 if i == 1 else 8.0)
        for i in range(5)
    ]
    unplanned.telemetry(samples, "meter")
    api = requests_to(create_app(unplanned))
    [view] = api.get(URL, params={"site": "frankfurt", "pool": "h100", "days": 1}).json()
    assert view["coverage"][0] == {"lead_hours_from": 0, "lead_hours_to": 6, "steps": 5, "held_ratio": 0.8}
    assert view["coverage"][1]["held_ratio"] is None
    assert (view["last_sample_at"], view["last_sample_age_s"]) == ("2026-01-10T00:00:00Z", 0.0)
    clock.advance(minutes=10)
    [view] = api.get(URL, params={"site": "frankfurt"}).json()
    assert (view["silent"], view["last_sample_age_s"]) == (True, 600.0)


def test_coverage_is_by_how_far_ahead_it_was_said() -> None:
    made, first = START, step_of(START)
    one = loads.Said("a", "p", made, 0.99, first, 12, tuple(float(h) for h in range(48)))
    came = {first + i: 10.5 for i in range(600) if i % 2}
    near, day, far = coverage([one], came)
    assert [(c.steps, c.held_ratio) for c in (near, day, far)] == [(36, 0.0), (108, 13 / 18), (144, 1.0)]
    assert coverage([one], {}) == ()
    assert [c.held_ratio for c in coverage([], came)] == [None] * 3


def test_what_cannot_be_said_now_is_no_mistake_of_the_caller(unplanned: Service) -> None:
    def ended(_: object) -> None:
        raise InputError("realtime.csv ends.", hint="Give a longer one.")

    unplanned.core.realtime = ended  # type: ignore[assignment]
    answer = requests_to(create_app(unplanned)).get(URL)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


def test_a_pool_that_is_none_and_days_that_are_none(still_api: TestClient) -> None:
    for query, status, field in (({"pool": "x"}, 404, "query.pool"), ({"days": 0}, 422, "query.days")):
        answer = still_api.get(URL, params=query)
        assert (answer.status_code, answer.json()["field"]) == (status, field)


def test_the_median_of_what_is_shown_is_finite(make_service: Callable[..., Service]) -> None:
    views = make_service().realtime()
    assert all(np.isfinite(s.accelerators["p50"]) for v in views for s in v.slots)
