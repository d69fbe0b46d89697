"""Leases, admission, explanation and quotes: what a runner and a gate see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from fastapi.testclient import TestClient

from shifter.api.server import ApiServer
from shifter.clock import ManualClock
from shifter.files import parse_workload
from shifter.service import Service

DAY = "2026-01-11T06:00:00Z"
TOKENS = {"id": "w-17", "model": "llama-3.3-70b", "tokens": 4e7, "deadline": DAY, "max_accelerators": 16}


def submit(service: Service, **change: object) -> None:
    service.submit([parse_workload({**TOKENS, **change})], "tests")


def test_a_lease_has_slots_a_tag_and_a_time_it_is_valid_until(
    service: Service, planned_api: TestClient
) -> None:
    submit(service)
    service.cycle("test")
    service.heartbeat()
    answer = planned_api.get("/v1/workloads/w-17/allocations")
    lease = answer.json()
    assert lease["version"] >= 1
    assert lease["stale"] is False
    assert lease["valid_until"] > "2026-01-10T00:00:00Z"
    assert lease["latest_start"] < DAY
    assert lease["plan_id"] == planned_api.get("/v1/plan").json()["plan_id"]
    hours = 0.0
    for a in lease["allocations"]:
        assert a["workload_id"] == "w-17"
        assert a["accelerators"] % 4 == 0
        assert a["start"] < a["end"] <= DAY
        hours += a["accelerators"]
    assert hours > 0
    again = planned_api.get(
        "/v1/workloads/w-17/allocations", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == answer.headers["etag"]


def test_a_renewed_lease_is_another_answer_though_its_version_is_the_same(
    service: Service, planned_api: TestClient, clock: ManualClock
) -> None:
    """Answering 304 would let the reader's copy run out while the daemon renews it."""
    submit(service)
    service.cycle("test")
    service.heartbeat()
    first = planned_api.get("/v1/workloads/w-17/allocations")
    clock.advance(minutes=5)
    service.heartbeat()
    second = planned_api.get(
        "/v1/workloads/w-17/allocations", headers={"If-None-Match": first.headers["etag"]}
    )
    assert second.status_code == 200
    assert second.json()["version"] == first.json()["version"]
    assert second.json()["valid_until"] > first.json()["valid_until"]


def test_a_long_poll_answers_when_the_plan_changes_the_lease(
    service: Service, serve: Callable[[Service], ApiServer]
) -> None:
    submit(service)
    url = f"{serve(service).url}/v1/workloads/w-17/allocations"
    version = requests.get(url, timeout=10).json()["version"]
    threading.Timer(0.3, service.cycle).start()
    begun = time.monotonic()
    lease = requests.get(url, params={"wait": 20, "after_version": version}, timeout=30).json()
    assert time.monotonic() - begun < 15
    assert lease["version"] > version
    assert lease["allocations"]


def test_a_long_poll_ends_when_its_time_is_up_and_at_once_when_it_is_late(
    service: Service, serve: Callable[[Service], ApiServer]
) -> None:
    submit(service)
    service.cycle("test")
    url = f"{serve(service).url}/v1/workloads/w-17/allocations"
    begun = time.monotonic()
    unchanged = requests.get(url, params={"wait": 0.5}, timeout=10)
    assert time.monotonic() - begun >= 0.5
    begun = time.monotonic()
    known = unchanged.json()["version"] - 1
    assert requests.get(url, params={"wait": 30, "after_version": known}, timeout=40).status_code == 200
    assert time.monotonic() - begun < 5


def test_an_old_tag_and_a_wait_end_in_304_when_nothing_changed(
    service: Service, serve: Callable[[Service], ApiServer]
) -> None:
    submit(service)
    service.cycle("test")
    url = f"{serve(service).url}/v1/workloads/w-17/allocations"
    etag = requests.get(url, timeout=10).headers["etag"]
    answer = requests.get(url, params={"wait": 0.3}, headers={"If-None-Match": etag}, timeout=10)
    assert answer.status_code == 304


def test_two_hundred_long_polls_leave_every_thread_free_and_end_with_the_server(
    service: Service, serve: Callable[[Service], ApiServer]
) -> None:
    submit(service)
    service.cycle("test")
    server = serve(service)
    url = f"{server.url}/v1/workloads/w-17/allocations"
    with ThreadPoolExecutor(200) as pool:
        polls = [pool.submit(requests.get, url, params={"wait": 60}, timeout=90) for _ in range(200)]
        shared = server.app.state.shifter
        ends = time.monotonic() + 30
        while shared.waiting.now < 200 and time.monotonic() < ends:
            time.sleep(0.05)
        assert shared.waiting.now == 200
        begun = time.monotonic()
        assert requests.get(f"{server.url}/v1/plan", timeout=10).status_code == 200
        assert time.monotonic() - begun < 5
        server.stop()
        assert {p.result().status_code for p in polls} == {200}
    assert time.monotonic() - begun < 30


def test_more_than_may_wait_are_told_to_come_again(
    service: Service, serve: Callable[[Service], ApiServer]
) -> None:
    submit(service)
    server = serve(service)
    server.app.state.shifter.waiting.most = 0
    busy = requests.get(f"{server.url}/v1/workloads/w-17/allocations", params={"wait": 5}, timeout=10)
    assert busy.status_code == 503
    assert busy.json()["code"] == "too_busy"
    assert int(busy.headers["retry-after"]) >= 1
    assert requests.get(f"{server.url}/v1/events", timeout=10).status_code == 503
    assert requests.get(f"{server.url}/v1/workloads/w-17/allocations", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wait=-1", "query.wait"),
        ("wait=1e9", "query.wait"),
        ("wait=nan", "query.wait"),
        ("after_version=x", "query.after_version"),
        ("wait_s=3", "query.wait_s"),
    ],
)
def test_waiting_is_bounded(still_api: TestClient, query: str, field: str) -> None:
    refused = still_api.get(f"/v1/workloads/w-17/allocations?{query}")
    assert refused.status_code == 422
    assert refused.json()["field"] == field


def test_a_gate_is_told_yes_or_when_to_ask_again(
    service: Service, planned_api: TestClient, clock: ManualClock
) -> None:
    submit(service)
    service.cycle("test")
    service.heartbeat()
    waits = planned_api.get("/v1/workloads/w-17/admission")
    said = waits.json()
    assert (said["admit"], said["state"]) == (False, "wait")
    assert said["not_before"] > "2026-01-10T00:00:00Z"
    assert int(waits.headers["retry-after"]) == max(1, round(said["retry_after_s"]))
    start = service.lease("w-17").allocations[0].start
    clock.moment = start
    service.heartbeat()
    runs = planned_api.get("/v1/workloads/w-17/admission")
    assert (runs.json()["admit"], runs.json()["state"]) == (True, "run")
    assert runs.json()["accelerators"] >= 4
    assert "retry-after" not in runs.headers
    planned_api.delete("/v1/workloads/w-17")
    assert planned_api.get("/v1/workloads/w-17/admission").json()["state"] in {"stop", "rejected"}


def test_an_explanation_says_why_and_what_it_saves(service: Service, planned_api: TestClient) -> None:
    submit(service)
    service.cycle("test")
    told = planned_api.get("/v1/workloads/w-17/explanation").json()
    assert told["class"] == "deferrable"
    assert told["reason"]["rule"]
    assert told["sentences"]
    assert told["saved"] == pytest.approx(told["run_now_cost"] - told["cost"])
    assert told["saved"] > 0
    assert told["in_slots"]["price_per_mwh"] < told["in_window"]["price_per_mwh"]
    assert told["currency"] == "EUR"


def test_a_quote_falls_with_the_deadline_and_submits_nothing(planned_api: TestClient) -> None:
    body = {"workload": TOKENS, "deadlines": ["2026-01-10T02:00:00Z", "2026-01-10T12:00:00Z", DAY]}
    quote = planned_api.post("/v1/quotes", json=body)
    assert quote.status_code == 200
    costs = [o["cost"] for o in quote.json()["options"]]
    assert len(costs) == 3
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
    assert quote.json()["class"] == "deferrable"
    assert planned_api.get("/v1/workloads").json() == []
    spread = planned_api.post("/v1/quotes", json={"workload": TOKENS})
    assert len(spread.json()["options"]) >= 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.workload"),
        (TOKENS, "body.workload"),
        ({"workload": {**TOKENS, "model": "gpt-9"}}, "body.workload.model"),
        ({"workload": {**TOKENS, "token": 1}}, "body.workload.token"),
        ({"workload": 3}, "body.workload"),
        ({"workload": TOKENS, "deadlines": []}, "body.deadlines"),
        ({"workload": TOKENS, "deadlines": ["soon"]}, "body.deadlines[0]"),
        ({"workload": TOKENS, "deadline": [DAY]}, "body.deadline"),
    ],
)
def test_a_quote_names_its_mistakes(still_api: TestClient, body: object, field: str) -> None:
    refused = still_api.post("/v1/quotes", json=body)
    assert refused.status_code == 422
    assert refused.json()["field"] == field
