"""What one more would be worth, over HTTP, by a real plan of a real service."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from shifter.clock import ManualClock
from shifter.files import parse_workload
from shifter.service import Service


def job(id: str, hours: float, deadline: str, on: str = "L40S") -> dict[str, object]:
    return {
        "id": id,
        "accelerator_hours": hours,
        "accelerators": [on],
        "max_accelerators": 16,
        "deadline": deadline,
    }


@pytest.fixture
def busy(service: Service) -> Service:
    """Paris is full in its cheap hours; in Frankfurt one job may not wait for them."""
    works = [
        job("tight", 20, "2026-01-10T03:00:00Z", "H100-SXM"),
        *(job(id, 220, "2026-01-11T23:00:00Z") for id in ("loose", "slow")),
    ]
    service.submit([parse_workload(work) for work in works], "tests")
    service.cycle("test")
    return service


def test_before_the_first_plan_there_is_no_answer(api: TestClient) -> None:
    for path in ("/v1/value", "/v1/value/deadlines"):
        assert api.get(path).json()["code"] == "not_ready"


def test_it_says_what_one_more_is_worth_where_and_when(busy: Service, planned_api: TestClient) -> None:
    told = planned_api.get("/v1/value").json()
    assert told["plan_id"] == busy.plan().plan_id
    assert told["currency"] == "EUR"
    paris = next(site for site in told["sites"] if site["site"] == "paris")
    assert paris["kw"] is None
    assert paris["peak"] is None
    assert paris["new_battery"] is True
    [rack] = paris["pools"]
    assert rack["accelerator"]["bound_hours"] > 0
    assert rack["accelerator"]["horizon"] > 0
    assert len(rack["accelerator"]["values"]) == len({row.start for row in busy.plan().slots})
    step = told["energise_next"][0]
    assert (step["site"], step["kind"], step["pool"], step["amount"]) == ("paris", "pool", "rack/1", 16.0)
    assert step["horizon"] == pytest.approx(16 * rack["accelerator"]["horizon"])


def test_one_site_alone_and_one_that_is_not_there(busy: Service, planned_api: TestClient) -> None:
    told = planned_api.get("/v1/value", params={"site": "frankfurt"}).json()
    assert [site["site"] for site in told["sites"]] == ["frankfurt"]
    assert all(step["site"] == "frankfurt" for step in told["energise_next"])
    missing = planned_api.get("/v1/value", params={"site": "berlin"})
    assert missing.status_code == 404
    assert missing.json()["code"] == "not_found"


def test_it_is_worked_out_once_a_plan(busy: Service) -> None:
    first = busy.value()
    assert busy.value() is first
    busy.submit([parse_workload(job("more", 5, "2026-01-11T23:00:00Z"))], "tests")
    busy.cycle("test")
    assert busy.value().plan_id != first.plan_id


def test_deadlines_come_with_what_they_cost_the_dearest_first(busy: Service, planned_api: TestClient) -> None:
    rows = planned_api.get("/v1/value/deadlines").json()
    assert {row["workload_id"] for row in rows} == {"tight", "loose", "slow"}
    saved = [row["hour_later_saves"] for row in rows]
    assert saved == sorted(saved, reverse=True)
    tight = next(row for row in rows if row["workload_id"] == "tight")
    assert tight["deadline_costs"] > tight["hour_later_saves"] > 0
    assert planned_api.get("/v1/value/deadlines", params={"limit": 1}).json() == rows[:1]
    assert planned_api.get("/v1/value/deadlines", params={"limit": 0}).status_code == 422


def test_an_explanation_says_what_its_deadline_costs(busy: Service, planned_api: TestClient) -> None:
    told = planned_api.get("/v1/workloads/tight/explanation").json()
    rows = planned_api.get("/v1/value/deadlines").json()
    assert told["slack"] == next(row for row in rows if row["workload_id"] == "tight")
    assert told["slack"]["text"] in told["sentences"]
    busy.cancel("tight", "tests")
    assert planned_api.get("/v1/workloads/tight/explanation").json()["slack"] is None
    assert {row["workload_id"] for row in planned_api.get("/v1/value/deadlines").json()} == {"loose", "slow"}


def test_work_that_runs_and_may_not_be_interrupted_has_no_slack_left(
    service: Service, clock: ManualClock
) -> None:
    whole = {**job("whole", 16, "2026-01-11T23:00:00Z"), "interruptible": False, "sites": ["paris"]}
    service.submit([parse_workload(whole)], "tests")
    service.cycle("test")
    assert [row.workload_id for row in service.slack()] == ["whole"]
    start = min(a.start for a in service.plan().allocations)
    clock.advance(seconds=(start - clock.now()).total_seconds() + 60)
    assert service.slack() == []
    assert service.explain("whole").slack is None
