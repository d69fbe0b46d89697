"""The plan, its slots and inputs, capacity, and the probes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from shifter.clock import ManualClock
from shifter.domain.plan import Plan
from shifter.files import parse_workload
from shifter.service import Service
from shifter.store.snapshots import inputs_from_json

HOURS = {"id": "e-1", "accelerator_hours": 6, "accelerators": ["L40S"], "deadline": "2026-01-11T06:00:00Z"}


def test_before_the_first_plan_it_says_not_ready_and_why(api: TestClient) -> None:
    for path in ("/readyz", "/v1/plan", "/v1/slots"):
        waits = api.get(path)
        assert waits.status_code == 503
        assert waits.json()["code"] == "not_ready"
        assert "no plan yet" in waits.json()["detail"]
        assert int(waits.headers["retry-after"]) >= 1
    assert api.get("/healthz").status_code == 200
    capacity = api.get("/v1/capacity/frankfurt/h100").json()
    assert capacity["stale"] is True
    assert capacity["deferrable_accelerators"] == 0
    assert capacity["dispatch_budget"] == 0


def test_the_plan_is_the_contracts_and_is_tagged_by_its_id(service: Service, planned_api: TestClient) -> None:
    service.submit([parse_workload(HOURS)], "tests")
    service.cycle("test")
    answer = planned_api.get("/v1/plan")
    plan = Plan.from_dict(answer.json())
    assert plan == service.plan()
    assert [a.workload_id for a in plan.allocations] == ["e-1"] * len(plan.allocations)
    assert answer.headers["etag"] == f'"{plan.plan_id}"'
    tag = {"If-None-Match": f'W/"{plan.plan_id}"'}
    assert planned_api.get("/v1/plan", headers=tag).status_code == 304
    by_id = planned_api.get(f"/v1/plans/{plan.plan_id}")
    assert by_id.json() == answer.json()
    assert "immutable" in by_id.headers["cache-control"]


def test_a_plans_inputs_make_the_same_plan_again(service: Service, planned_api: TestClient) -> None:
    from shifter.cycle import plan_cycle

    plan = service.plan()
    answer = planned_api.get(f"/v1/plans/{plan.plan_id}/inputs")
    assert answer.status_code == 200
    assert answer.json()["fleet"]["currency"] == "EUR"
    again = plan_cycle(inputs_from_json(answer.text))
    assert replace(Plan.from_dict(again.to_dict()), inputs_id=plan.inputs_id).to_json() == plan.to_json()
    assert planned_api.get("/v1/plans/none").status_code == 404
    assert planned_api.get("/v1/plans/none/inputs").status_code == 404


def test_slots_are_filtered_and_add_up(planned_api: TestClient) -> None:
    slots = planned_api.get("/v1/slots?site=frankfurt").json()
    assert len(slots) == 96
    for slot in slots:
        assert slot["pool"] == "h100"
        assert slot["reserved"] == pytest.approx(24 / (1 - 1 / 8))
        assert slot["free"] == pytest.approx(64 - slot["reserved"] - slot["deferrable"])
    window = "start=2026-01-10T06:00:00Z&end=2026-01-10T08:00:00%2B01:00"
    assert len(planned_api.get(f"/v1/slots?site=paris&pool=rack/1&{window}").json()) == 2
    for query, status, field in (
        ("site=nowhere", 404, "query.site"),
        ("pool=nothing", 404, "query.pool"),
        ("start=yesterday", 422, "query.start"),
        ("start=2026-01-10", 422, "query.start"),
        ("start=1768000000", 422, "query.start"),
        ("start=2026-01-10T06:00:00Z&end=2026-01-10T06:00:00Z", 422, "query.end"),
        ("place=paris", 422, "query.place"),
    ):
        refused = planned_api.get(f"/v1/slots?{query}")
        assert refused.status_code == status, query
        assert refused.json()["field"] == field, query


def test_capacity_is_flat_numbers_and_runs_out_with_its_lease(
    service: Service, planned_api: TestClient, clock: ManualClock
) -> None:
    urgent = {"id": "now", "accelerator_hours": 32, "accelerators": ["H100-SXM"], "max_accelerators": 16}
    service.submit([parse_workload({**urgent, "deadline": "2026-01-10T02:00:00Z"})], "tests")
    service.cycle("test")
    service.heartbeat()
    fresh = planned_api.get("/v1/capacity/frankfurt/h100").json()
    assert fresh["stale"] is False
    assert fresh["deferrable_accelerators"] == 16
    assert 0 < fresh["dispatch_budget"] <= 1
    assert fresh["dispatch_budget"] == pytest.approx(fresh["deferrable_accelerators"] / fresh["count"])
    clock.advance(hours=2)
    stale = planned_api.get("/v1/capacity/frankfurt/h100").json()
    assert stale["stale"] is True
    assert stale["deferrable_accelerators"] == 0
    assert planned_api.get("/v1/capacity/frankfurt/gpu").status_code == 404
    assert planned_api.get("/v1/capacity/nowhere/h100").status_code == 404


def test_probes_and_metrics(planned_api: TestClient) -> None:
    health = planned_api.get("/healthz").json()
    assert health["status"] == "ok"
    assert health["version"] == "9.9"
    assert health["simulated_clock"] is True
    assert planned_api.get("/readyz").json() == {"ready": True, "reasons": []}
    planned_api.get("/v1/workloads/ghost")
    planned_api.request("BREW", "/healthz")
    text = planned_api.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert 'shifter_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text.text
    assert 'route="/v1/workloads/{workload_id}",status="404"' in text.text
    assert 'method="other"' in text.text
    assert "ghost" not in text.text
    assert "shifter_plan" in text.text or "shifter_cycle" in text.text


def test_a_database_that_is_gone_is_not_ready_and_still_alive(
    service: Service, planned_api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shifter.errors import NotReady

    def gone() -> None:
        raise NotReady("the database cannot be reached.", retry_after_s=5)

    monkeypatch.setattr(service.core.db, "check", gone)
    monkeypatch.setattr(service.core.db, "write", gone)
    assert planned_api.get("/readyz").status_code == 503
    assert "database" in planned_api.get("/readyz").json()["detail"]
    assert planned_api.get("/healthz").status_code == 200
    refused = planned_api.post("/v1/workloads", json=HOURS)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
