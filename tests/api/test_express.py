"""Measurements take a short way; what is not plainly right is answered as everywhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shifter.api.app import create_app
from shifter.api.express import MOST_BYTES
from shifter.clock import ManualClock
from shifter.service import Service
from shifter.views import TelemetrySample
from tests.service.test_traffic import SERVED
from tests.service.world import T0
from tests.service.world import service as sized_service

RIGHT = {"site": "frankfurt", "pool": "h100", "at": "2026-01-10T00:00:00Z", "realtime_accelerators": 3}
JSON = {"Content-Type": "application/json"}


def post(api: TestClient, body: bytes, **headers: str) -> Any:
    return api.post("/v1/telemetry", content=body, headers={**JSON, **headers})


@pytest.mark.parametrize("body", [RIGHT, [RIGHT, {**RIGHT, "realtime_accelerators": 4}]])
def test_both_ways_answer_the_same(api: TestClient, service: Service, body: Any) -> None:
    short = post(api, json.dumps(body).encode())
    padded = json.dumps(body).encode() + b" " * MOST_BYTES
    long = post(api, padded)
    assert (short.status_code, short.json()) == (long.status_code, long.json())
    assert {k: v for k, v in short.headers.items() if k != "date"} == {
        k: v for k, v in long.headers.items() if k != "date"
    }
    assert service.core.state.measured["frankfurt", "h100"].realtime_accelerators in {3, 4}


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"", {}, 400, "body"),
        (b"[]", {}, 422, "body"),
        (b"{", {}, 400, "body:1:2"),
        (b'{"site": "frankfurt", "site": "paris"}', {}, 400, "body.site"),
        (json.dumps({**RIGHT, "realtime_accelerators": -1}).encode(), {}, 422, "body.realtime_accelerators"),
        (json.dumps(RIGHT).replace("3", "NaN").encode(), {}, 400, "body"),
        (json.dumps({**RIGHT, "site": "nowhere"}).encode(), {}, 404, "body.site"),
        (
            json.dumps({**RIGHT, "available_accelerators": 1.5}).encode(),
            {},
            422,
            "body.available_accelerators",
        ),
        (json.dumps({**RIGHT, "at": "2026-01-10T00:00:00"}).encode(), {}, 422, "body.at"),
        (json.dumps([RIGHT, {**RIGHT, "pool": None}]).encode(), {}, 422, "body[1].realtime_accelerators"),
        (json.dumps(RIGHT).encode(), {"Content-Type": "text/plain"}, 415, "header.Content-Type"),
        (json.dumps(RIGHT).encode(), {"Shifter-Actor": "x" * 129}, 422, "header.shifter-actor"),
    ],
)
def test_what_is_wrong_is_told_by_the_route(
    api: TestClient, service: Service, body: bytes, headers: dict[str, str], status: int, field: str
) -> None:
    refused = post(api, body, **headers)
    assert refused.status_code == status, refused.text
    assert refused.json()["field"].lower() == field.lower()
    assert not service.core.state.measured


def test_it_is_counted_as_its_route(api: TestClient) -> None:
    post(api, json.dumps(RIGHT).encode())
    text = api.get("/metrics").text
    assert 'shifter_http_requests_total{method="POST",route="/v1/telemetry",status="202"} 1.0' in text


ARRIVING = {"model": "llama-3.3-70b", "requests_per_s": 4, "prompt_tokens": 9, "output_tokens": 9}


class TestTraffic:
    def test_it_is_sized_off_the_loop_and_taken_both_ways(self, sqlite_url: str) -> None:
        clock = ManualClock(T0)
        made = sized_service(sqlite_url, clock, fleet=SERVED)
        traffic = [{"model": "embed", "requests_per_s": 40.0}]
        body = {"site": "fra", "pool": "h100", "at": "2026-01-10T00:00:00Z", "traffic": traffic}
        traffic[0] |= {"prompt_tokens": 20, "output_tokens": 1}
        on_loop: list[bool] = []
        hear = made.hear

        def heard(samples: Sequence[TelemetrySample], actor: str) -> Future[int]:
            on_loop.append(asyncio._get_running_loop() is not None)
            return hear(samples, actor)

        made.hear = heard  # type: ignore[method-assign]
        with TestClient(create_app(made)) as client:
            for padding in (b"", b" " * MOST_BYTES):
                taken = post(client, json.dumps(body).encode() + padding)
                assert (taken.status_code, taken.json()) == (202, {"accepted": 1}), taken.text
        assert made.core.state.measured["fra", "h100"].realtime_accelerators == 1.0
        assert on_loop == [False, False]

    def test_who_sends_no_traffic_is_told_how_to_say_that_none_came(self, api: TestClient) -> None:
        change: dict[str, Any] = {"realtime_accelerators": None, "traffic": []}
        hint = post(api, json.dumps({**RIGHT, **change}).encode()).json()["hint"]
        assert "where no requests come, a model with requests_per_s: 0" in hint

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({}, "body.traffic"),
            ({"realtime_accelerators": None}, "body.traffic[0].model"),
            ({"realtime_accelerators": None, "traffic": []}, "body.traffic"),
            ({"realtime_accelerators": None, "traffic": [{"model": "m"}]}, "body.traffic[0].requests_per_s"),
            (
                {"traffic": [{"model": "m", "requests_per_s": 1, "output_tokens": 0}]},
                "body.traffic[0].output_tokens",
            ),
            ({"traffic": [{"model": "m", "requests_per_s": -1}]}, "body.traffic[0].requests_per_s"),
        ],
    )
    def test_what_is_wrong_is_named(self, api: TestClient, change: dict[str, Any], field: str) -> None:
        refused = post(api, json.dumps({**RIGHT, "traffic": [ARRIVING], **change}).encode())
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
