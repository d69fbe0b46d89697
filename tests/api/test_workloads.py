"""Workloads over HTTP: admitted all or nothing, told apart by content, and every mistake named by its
field.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shifter.api.app import create_app
from shifter.service import Service

DAY = "2026-01-11T06:00:00Z"
TOKENS = {"id": "w-17", "model": "llama-3.3-70b", "tokens": 4e7, "deadline": DAY, "max_accelerators": 16}
HOURS = {
    "id": "e-1",
    "accelerator_hours": 6,
    "accelerators": ["L40S"],
    "deadline": DAY,
    "max_accelerators": 4,
}


def test_one_object_is_classified_planned_and_found_again(planning: Service) -> None:
    api = TestClient(create_app(planning), base_url="http://127.0.0.1")
    answer = api.post("/v1/workloads", json=TOKENS, headers={"Shifter-Actor": "ana"})
    view = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/workloads/w-17"
    assert (view["id"], view["class"], view["state"], view["feasible"]) == (
        "w-17",
        "deferrable",
        "planned",
        True,
    )
    assert view["reason"]["text"]
    assert view["planned_finish"].endswith("Z")
    assert view["planned_finish"] <= DAY
    assert 0 < view["cost"] < view["run_now_cost"]
    assert view["carbon_kg"] > 0
    assert view.pop("created") is True
    assert api.get(answer.headers["location"]).json() == view
    assert api.get("/v1/workloads").json() == [view]
    [entry] = [e for e in api.get("/v1/audit?subject=w-17").json() if e["action"] == "workload.submit"]
    assert entry["actor"].startswith("ana@")


def test_the_same_again_is_the_same_and_other_content_is_a_conflict(api: TestClient) -> None:
    assert api.post("/v1/workloads", json=TOKENS).status_code == 201
    again = api.post("/v1/workloads", json={**TOKENS, "tokens": 40_000_000})
    assert again.status_code == 200
    assert again.json()["created"] is False
    both = api.post("/v1/workloads", json=[TOKENS, HOURS])
    assert both.status_code == 201
    assert [view["created"] for view in both.json()] == [False, True]
    other = api.post("/v1/workloads", json={**TOKENS, "tokens": 5e7})
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"
    assert "w-17" in other.json()["detail"]
    assert len(api.get("/v1/workloads").json()) == 2


def test_an_array_is_answered_in_order_and_taken_whole_or_not_at_all(api: TestClient) -> None:
    views = api.post("/v1/workloads", json=[HOURS, TOKENS])
    assert views.status_code == 201
    assert [v["id"] for v in views.json()] == ["e-1", "w-17"]
    assert api.post("/v1/workloads", json=[HOURS, TOKENS]).status_code == 200
    wrong = api.post(
        "/v1/workloads", json=[{**HOURS, "id": "e-2"}, {**TOKENS, "id": "w-18", "model": "llama"}]
    )
    assert wrong.status_code == 422
    assert wrong.json()["field"] == "body[1].model"
    assert {w["id"] for w in api.get("/v1/workloads").json()} == {"e-1", "w-17"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deadlin": DAY}, "body.deadlin"),
        ({"id": None}, "body.id"),
        ({"id": "no spaces"}, "body.id"),
        ({"id": "x" * 129}, "body.id"),
        ({"tokens": "4e7"}, "body.tokens"),
        ({"tokens": -1}, "body.tokens"),
        ({"tokens": True}, "body.tokens"),
        ({"tokens": 1e300}, "body.tokens"),
        ({"tokens": 1e17}, "body.tokens"),
        ({"accelerator_hours": 4}, "body.accelerator_hours"),
        ({"model": None}, "body.model"),
        ({"model": "gpt-9"}, "body.model"),
        ({"deadline": "tomorrow"}, "body.deadline"),
        ({"deadline": "2026-01-11"}, "body.deadline"),
        ({"deadline": "2026-01-11T06:00:00"}, "body.deadline"),
        ({"deadline": 1768000000}, "body.deadline"),
        ({"deadline": "0001-01-01T00:00:00+05:00"}, "body.deadline"),
        ({"earliest_start": "2026-01-12T00:00:00Z"}, "body.deadline"),
        ({"sites": ["nowhere"]}, "body.sites[0]"),
        ({"sites": []}, "body.sites"),
        ({"data_boundary": ["US"]}, "body.data_boundary"),
        ({"max_accelerators": 2}, "body.max_accelerators"),
        ({"max_accelerators": 0}, "body.max_accelerators"),
        ({"max_accelerators": 2.5}, "body.max_accelerators"),
        ({"depends_on": ["w-17"]}, "body.depends_on[0]"),
        ({"labels": {"a": 1}}, "body.labels.a"),
        ({"mode": "sometimes"}, "body.mode"),
    ],
)
def test_every_mistake_names_its_field_and_changes_nothing(
    still_api: TestClient, change: dict[str, Any], field: str
) -> None:
    refused = still_api.post("/v1/workloads", json={**TOKENS, **change})
    problem = refused.json()
    assert refused.status_code == 422, problem
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid_input"
    assert problem["field"] == field
    assert problem["errors"][0]["field"] == field
    assert still_api.get("/v1/workloads").json() == []


@pytest.mark.parametrize("depends_on", [["ghost"], ["w-17", "w-18"]])
def test_chains_that_lead_nowhere_or_around_are_refused_by_place(
    still_api: TestClient, depends_on: list[str]
) -> None:
    first = {**TOKENS, "depends_on": ["w-18"]} if len(depends_on) == 2 else HOURS
    refused = still_api.post(
        "/v1/workloads", json=[first, {**TOKENS, "id": "w-18", "depends_on": depends_on[:1]}]
    )
    assert refused.status_code == 422
    assert refused.json()["field"].startswith(("body[0].depends_on", "body[1].depends_on"))
    assert still_api.get("/v1/workloads").json() == []


@pytest.mark.parametrize("body", ["[]", "null", "3", '"w"', "[[]]", "[null]", "{}"])
def test_what_is_no_workload_is_refused(still_api: TestClient, body: str) -> None:
    refused = still_api.post("/v1/workloads", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert refused.json()["field"].startswith("body")


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b'{"id": "a", "id": "b"}', "application/json", 400, "malformed_body"),
        (b'{"id": "a", "tokens": NaN}', "application/json", 400, "malformed_body"),
        (b'{"id": "caf\xe9"}', "application/json", 400, "malformed_body"),
        (b'{"id": "a"', "application/json", 400, "malformed_body"),
        (b"", "application/json", 400, "malformed_body"),
        (b"id=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (json.dumps(TOKENS).encode(), "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_what_is_not_clean_json_is_refused(
    still_api: TestClient, content: bytes, kind: str, status: int, code: str
) -> None:
    refused = still_api.post("/v1/workloads", content=content, headers={"content-type": kind})
    assert refused.status_code == status
    assert refused.json()["code"] == code
    assert still_api.get("/v1/workloads").json() == []


def test_a_body_over_the_cap_is_refused(service: Service) -> None:
    api = TestClient(create_app(service, max_body_bytes=2000), base_url="http://127.0.0.1")
    refused = api.post("/v1/workloads", json=[TOKENS] * 100)
    assert refused.status_code == 413
    assert refused.json()["code"] == "body_too_large"


def test_what_cannot_be_done_in_time_is_admitted_and_says_so(planning: Service) -> None:
    api = TestClient(create_app(planning), base_url="http://127.0.0.1")
    view = api.post("/v1/workloads", json={**TOKENS, "deadline": "2026-01-10T00:30:00Z"}).json()
    if view["class"] == "real_time":  # too tight to wait: then nothing is shifted, and nothing is late
        view = api.post(
            "/v1/workloads/w-17/override", json={"class": "deferrable", "reason": "it is a batch"}
        ).json()
        planning.cycle("test")
        view = api.get("/v1/workloads/w-17").json()
    assert view["feasible"] is False
    assert view["unplaced_accelerator_hours"] > 0
    assert view["earliest_feasible_deadline"] > "2026-01-10T00:30:00Z"
    assert view["note"]


def test_pages_lead_on_and_filters_filter(api: TestClient) -> None:
    api.post("/v1/workloads", json=[{**HOURS, "id": f"e-{i}", "tenant": "ab"[i % 2]} for i in range(7)])
    found, address = [], "/v1/workloads?limit=3&tenant=a"
    pages = 0
    while address:
        page = api.get(address)
        found += [w["id"] for w in page.json()]
        link = page.headers.get("link", "")
        address = link.partition(">")[0].removeprefix("<")
        pages += 1
    assert sorted(found) == ["e-0", "e-2", "e-4", "e-6"]
    assert pages == 2
    assert api.get("/v1/workloads?class=real_time").json() == []
    assert len(api.get("/v1/workloads?state=accepted").json()) == 7


@pytest.mark.parametrize(
    ("query", "field", "hint"),
    [
        ("stat=planned", "query.stat", "Did you mean state?"),
        ("state=lost", "query.state", ""),
        ("limit=0", "query.limit", ""),
        ("limit=many", "query.limit", ""),
        ("class=deferable", "query.class", ""),
        ("after=%20", "query.after", "Use letters"),
    ],
)
def test_parameters_are_checked_and_unknown_ones_are_not_ignored(
    still_api: TestClient, query: str, field: str, hint: str
) -> None:
    refused = still_api.get(f"/v1/workloads?{query}")
    assert refused.status_code == 422
    assert refused.json()["field"] == field
    assert refused.json().get("hint", "").startswith(hint)


def test_what_is_not_there_is_404_for_every_question(still_api: TestClient) -> None:
    for path in ("", "/allocations", "/admission", "/explanation"):
        missing = still_api.get(f"/v1/workloads/ghost{path}")
        assert missing.status_code == 404
        assert missing.json()["code"] == "not_found"
        assert "ghost" in missing.json()["detail"]
    assert still_api.delete("/v1/workloads/ghost").status_code == 404
    assert still_api.post("/v1/workloads/ghost/progress", json={"done": 1}).status_code == 404


def test_cancelling_twice_is_cancelling_once(api: TestClient) -> None:
    api.post("/v1/workloads", json=TOKENS)
    for _ in range(2):
        cancelled = api.delete("/v1/workloads/w-17")
        assert cancelled.status_code == 200
        assert cancelled.json()["state"] == "cancelled"
    late = api.post("/v1/workloads/w-17/progress", json={"done": 1})
    assert late.status_code == 409


def test_progress_is_reported_in_done_or_remaining(api: TestClient) -> None:
    api.post("/v1/workloads", json=HOURS)
    view = api.post("/v1/workloads/e-1/progress", json={"remaining": 4.5}).json()
    assert (view["done"], view["progress_ratio"], view["progress_source"]) == (1.5, 0.25, "reported")
    for body, field in (
        ({}, "body.done"),
        ({"done": 1, "remaining": 1}, "body.done"),
        ({"done": -1}, "body.done"),
        ({"don": 1}, "body.don"),
        ({"done": 1, "at": "now"}, "body.at"),
    ):
        refused = api.post("/v1/workloads/e-1/progress", json=body)
        assert refused.status_code == 422, body
        assert refused.json()["field"] == field, body


def test_an_override_decides_is_explained_and_can_be_lifted(api: TestClient) -> None:
    api.post("/v1/workloads", json=TOKENS)
    body = {"class": "real_time", "reason": "the launch"}
    answer = api.post("/v1/workloads/w-17/override", json=body, headers={"Shifter-Actor": "ana"})
    assert answer.status_code == 200
    assert answer.json()["class"] == "real_time"
    assert answer.json()["by"].startswith("ana@")
    assert api.get("/v1/workloads/w-17").json()["class"] == "real_time"
    assert api.get("/v1/workloads/w-17/explanation").json()["override"]["reason"] == "the launch"
    assert api.post("/v1/workloads/w-17/override", json={"class": None, "reason": "over"}).status_code == 200
    assert api.get("/v1/workloads/w-17").json()["class"] == "deferrable"
    for wrong, field in (
        ({"reason": "x"}, "body.class"),
        ({"class": "batch", "reason": "x"}, "body.class"),
        ({"class": None, "reason": ""}, "body.reason"),
    ):
        refused = api.post("/v1/workloads/w-17/override", json=wrong)
        assert refused.status_code == 422
        assert refused.json()["field"] == field


def test_an_id_may_hold_a_slash(api: TestClient) -> None:
    answer = api.post("/v1/workloads", json={**HOURS, "id": "team/eval:1"})
    assert answer.headers["location"] == "/v1/workloads/team%2Feval%3A1"
    assert api.get(answer.headers["location"]).json()["id"] == "team/eval:1"
    assert api.get("/v1/workloads/team%2Feval:1/admission").json()["workload_id"] == "team/eval:1"
    assert api.get("/v1/capacity/paris/rack%2F1").json()["pool"] == "rack/1"


def test_real_time_work_without_an_amount_lives_on(service: Service) -> None:
    api = TestClient(create_app(service), base_url="http://127.0.0.1")
    body = {"id": "chat-1", "model": "llama-3.3-70b", "latency_slo_ms": 500, "max_accelerators": 4}
    answer = api.post("/v1/workloads", json=body)
    assert answer.status_code == 201, answer.text
    service.tick()
    assert api.get("/v1/workloads/chat-1").json()["state"] == "real_time"
    assert api.get("/v1/workloads/chat-1/admission").json()["admit"] is True


def test_alternatives_are_admitted_and_mistakes_in_them_named(planning: Service) -> None:
    api = TestClient(create_app(planning), base_url="http://127.0.0.1")
    other = {"model": "llama-3.3-70b-fp8", "tokens": 5e7}
    refused = api.post("/v1/workloads", json=TOKENS | {"alternatives": [other]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"].endswith("alternatives[0].model")
    again = api.post(
        "/v1/workloads", json=TOKENS | {"alternatives": [{"model": "llama-3.3-70b", "tokens": 0}]}
    )
    assert again.status_code == 422
