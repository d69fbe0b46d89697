"""`/v1/realtime/announcements`, over a real service."""

from __future__ import annotations

from fastapi.testclient import TestClient

from shifter.api import examples
from shifter.api.app import create_app
from tests.api.conftest import requests_to
from tests.service.test_announcements import measured

URL = "/v1/realtime/announcements"
BODY = {
    "id": "launch-1",
    "name": "launch",
    "start": "2026-01-10T08:00:00Z",
    "end": "2026-01-10T10:00:00+01:00",
}


def test_announced_listed_and_taken_back(sqlite_url: str) -> None:
    world = measured(sqlite_url)
    api = requests_to(create_app(world.service))
    body = {**BODY, "end": "2026-01-10T18:00:00Z", "factor": 1.8, "site": "fra"}
    made = api.post(URL, json=body, headers={"Shifter-Actor": "ann"})
    assert made.status_code == 201, made.text
    view = made.json()
    assert set(view) == set(examples.ANNOUNCEMENT)
    assert {key: view[key] for key in body} == body
    assert view["created_by"].startswith("ann@")
    assert api.post(URL, json=body).json() == view
    other = api.post(URL, json={**body, "factor": 2})
    assert (other.status_code, other.json()["code"], other.json()["field"]) == (409, "conflict", "body.id")
    assert api.get(URL).json() == [view]
    assert api.get(URL, params={"since": "2026-02-01T00:00:00Z"}).json() == []
    assert api.delete(f"{URL}/launch-1").json() == view
    assert api.delete(f"{URL}/launch-1").status_code == 404
    world.service.core.db.close()


def test_each_mistake_names_its_field(sqlite_url: str) -> None:
    world = measured(sqlite_url)
    api = requests_to(create_app(world.service))
    for change, status, field in (
        ({"site": "muc"}, 404, "body.site"),
        ({"pool": "x"}, 404, "body.pool"),
        ({"end": "2026-01-10T08:00:00Z"}, 422, "body.end"),
        ({"start": "2026-01-10T08:00:00"}, 422, "body.start"),
        ({"factor": -1}, 422, "body.factor"),
        ({"factor": 1}, 422, "body.factor"),
        ({"added_accelerators": -4}, 422, "body.added_accelerators"),
        ({"id": "a b"}, 422, "body.id"),
        ({"tenfold": True}, 422, "body.tenfold"),
    ):
        body = {**BODY, "end": "2026-01-10T18:00:00Z", "factor": 2.0, **change}
        answer = api.post(URL, json=body)
        assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert api.get(URL).json() == []
    world.service.core.db.close()


def test_where_it_would_be_heeded_by_nobody(still_api: TestClient) -> None:
    answer = still_api.post(URL, json={**BODY, "end": "2026-01-10T18:00:00Z", "factor": 2.0})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "profile: measured" in answer.json()["hint"]
