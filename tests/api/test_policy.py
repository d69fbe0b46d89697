"""Overrides of a rule of the policy over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from shifter.client import Client
from shifter.service import Service
from tests.api.test_workloads import HOURS

OVER = {"rule": "deadline", "class": "real_time", "reason": "freeze before the launch"}


def test_a_rule_is_turned_round_listed_and_audited(api: TestClient) -> None:
    assert api.post("/v1/workloads", json=HOURS).json()["class"] == "deferrable"
    made = api.post("/v1/policy/overrides", json=OVER, headers={"Shifter-Actor": "ana"})
    assert made.status_code == 201
    assert made.json() | OVER == made.json()
    assert made.json()["by"].startswith("ana@")
    assert api.get("/v1/workloads/e-1").json()["class"] == "real_time"
    assert api.get("/v1/policy/overrides").json() == [made.json()]
    [entry] = api.get("/v1/audit?subject=rule:deadline").json()
    assert (entry["action"], entry["detail"]["class"]) == ("override.set", "real_time")
    assert api.get("/v1/workloads/e-1/explanation").json()["override"]["rule"] == "deadline"
    again = api.post("/v1/policy/overrides", json={**OVER, "class": "deferrable"})
    assert api.get("/v1/policy/overrides").json() == [again.json()], "the newest of each rule"
    assert api.get("/v1/workloads/e-1").json()["class"] == "deferrable"


def test_a_rule_is_switched_off(api: TestClient) -> None:
    api.post("/v1/workloads", json=HOURS)
    assert api.post("/v1/policy/overrides", json={**OVER, "class": None}).status_code == 201
    assert api.get("/v1/workloads/e-1").json()["reason"]["rule"] != "deadline"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": "nothing"}, "body.rule"),
        ({"rule": "guard.no-deadline"}, "body.rule"),
        ({"rule": None}, "body.rule"),
        ({"class": "soon"}, "body.class"),
        ({"reason": ""}, "body.reason"),
        ({"reason": "  "}, "body.reason"),
    ],
)
def test_what_could_have_no_effect_is_refused(
    still_api: TestClient, change: dict[str, object], field: str
) -> None:
    refused = still_api.post("/v1/policy/overrides", json={**OVER, **change})
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert still_api.get("/v1/policy/overrides").json() == []


def test_the_client_overrides_a_rule_and_lists(
    unplanned: Service, connect: Callable[[Service], Client]
) -> None:
    client = connect(unplanned)
    made = client.override_rule("deadline", None, "freeze")
    assert made["class"] is None
    assert client.overrides() == [made]
    [view] = client.submit([HOURS])
    assert view["created"] is True
    [again] = client.submit([HOURS])
    assert again["created"] is False
    assert [e["kind"] for e in client.newest_events(1)] == ["workload.accepted"]
