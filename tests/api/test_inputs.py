"""Forecasts, measurements and grid events over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shifter.api.app import create_app
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet
from shifter.service import Service, ServiceConfig
from shifter.store.db import Database
from tests.api.conftest import START, requests_to

HOUR = [f"2026-01-10T{h:02}:00:00Z" for h in range(24)] + ["2026-01-11T00:00:00Z"]


def series(**change: Any) -> dict[str, Any]:
    """A day of hourly prices of DE-LU."""
    points = [{"start": a, "end": b, "value": 60.0 + i} for i, (a, b) in enumerate(pairwise(HOUR))]
    return {"zone": "DE-LU", "signal": "price", "unit": "EUR/MWh", "points": points, **change}


def test_a_pushed_forecast_is_stored_and_audited(api: TestClient) -> None:
    pushed = api.post("/v1/forecasts", json=series(source="desk"), headers={"Shifter-Actor": "energy desk"})
    assert pushed.status_code == 201, pushed.text
    assert pushed.json() == {"accepted": 1}
    told = [e["kind"] for e in api.get("/v1/events?format=json").json()]
    assert "forecast.ingested" in told
    assert any(e["actor"].startswith("energy desk@") for e in api.get("/v1/audit").json())


def test_one_series_twice_in_a_body_is_refused(still_api: TestClient) -> None:
    refused = still_api.post("/v1/forecasts", json=[series(source="desk"), series(source="desk")])
    assert refused.status_code == 422, refused.text
    assert (refused.json()["code"], refused.json()["field"]) == ("invalid_input", "body[1].source")
    assert "forecast.ingested" not in {e["kind"] for e in still_api.get("/v1/events?format=json").json()}


def test_a_forecast_says_who_said_it_and_when(planned_api: TestClient) -> None:
    told = planned_api.get("/v1/forecasts?zone=DE-LU").json()
    assert told["grid"]["slot_minutes"] == 30
    assert {s["signal"] for s in told["signals"]} == {"price", "carbon"}
    for signal in told["signals"]:
        assert len(signal["values"]) == told["grid"]["n_slots"]
        assert sum(run["n_slots"] for run in signal["provenance"]) == told["grid"]["n_slots"]
    assert planned_api.get("/v1/forecasts?zone=XX").status_code == 404
    assert planned_api.get("/v1/forecasts").json()["field"] == "query.zone"
    window = "zone=FR&start=2026-01-10T06:00:00Z&end=2026-01-10T08:00:00Z"
    assert planned_api.get(f"/v1/forecasts?{window}").json()["grid"]["n_slots"] == 4


@pytest.fixture(params=[False, True], ids=["by default", "shared"])
def from_store(
    request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path, fleet: Fleet
) -> Iterator[tuple[bool, TestClient]]:
    """An interface to what is stored, and whether what is restricted may be handed out."""
    path = tmp_path / "stored.db"
    shutil.copy(empty_database, path)
    config = ServiceConfig(horizon_hours=24, slot_minutes=60, share_restricted=request.param)
    made = Service(config, fleet, Database(f"sqlite:///{path}"), ManualClock(START))
    yield request.param, requests_to(create_app(made))
    made.core.db.close()


def test_what_may_not_be_passed_on_is_shown_and_withheld(from_store: tuple[bool, TestClient]) -> None:
    shared, api = from_store
    terms = {"licence": "private and internal use only", "attribution": "EPEX", "restricted": True}
    carbon = series(source="desk", signal="carbon", unit="gCO2e/kWh", basis="average", licence="CC BY 4.0")
    pushed = api.post("/v1/forecasts", json=[series(source="desk", **terms), carbon])
    assert pushed.status_code == 201, pushed.text
    told = api.get("/v1/forecasts?zone=DE-LU").json()
    by_signal = {s["signal"]: s for s in told["signals"]}
    price, intensity = by_signal["price"], by_signal["carbon"]
    assert {k: price["provenance"][0][k] for k in terms} == terms
    assert price["provenance"][0]["source"] == "push:desk"
    assert price["provenance"][0]["n_slots"] == 24
    assert (price["values"] == [60.0 + i for i in range(24)]) is shared
    assert (price["values"] == [None] * 24) is not shared
    withheld = "zone DE-LU price: 24 of 24 slots are withheld, their licence does not allow passing them on"
    assert any(w.startswith(withheld) for w in told["warnings"]) is not shared
    assert intensity["values"][0] == 60.0
    assert (intensity["provenance"][0]["licence"], intensity["provenance"][0]["restricted"]) == (
        "CC BY 4.0",
        False,
    )


@pytest.mark.parametrize(
    ("change", "codes", "field"),
    [
        ({"unit": "EUR/banana"}, {"forecast_rejected", "invalid_input"}, None),
        ({"signal": "tide"}, {"invalid_input"}, "body.signal"),
        ({"points": []}, {"invalid_input"}, "body.points"),
        ({"source": "The Desk"}, {"invalid_input"}, "body.source"),
        ({"known_at": "2020-01-01T00:00:00Z"}, {"invalid_input"}, "body.known_at"),
        ({"issued_at": "yesterday"}, {"invalid_input"}, "body.issued_at"),
        (
            {"points": [{"start": HOUR[1], "end": HOUR[0], "value": 1}]},
            {"invalid_input"},
            "body.points[0].end",
        ),
        (
            {"points": [{"start": HOUR[0], "end": HOUR[1], "value": "60"}]},
            {"invalid_input"},
            "body.points[0].value",
        ),
        ({"points": [{"start": HOUR[0], "end": HOUR[1]}]}, {"invalid_input"}, "body.points[0].value"),
        (
            {"points": [{"start": HOUR[0], "end": HOUR[1], "value": 60, "quantiles": {"ten": 1}}]},
            {"invalid_input"},
            "body.points.quantiles",
        ),
        (
            {
                "points": [
                    {"start": HOUR[0], "end": HOUR[2], "value": 60},
                    {"start": HOUR[1], "end": HOUR[2], "value": 1},
                ]
            },
            {"forecast_rejected"},
            None,
        ),
        ({"points": [{"start": HOUR[0], "end": HOUR[1], "value": 9e9}]}, {"forecast_rejected"}, None),
    ],
)
def test_what_is_no_forecast_is_refused_whole(
    still_api: TestClient, change: dict[str, Any], codes: set[str], field: str | None
) -> None:
    before = len(still_api.get("/v1/audit?limit=1000").json())
    refused = still_api.post("/v1/forecasts", json=[series(source="good"), series(**change)])
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] in codes
    if field is not None:
        assert refused.json()["field"] == field.replace("body", "body[1]")
    assert len(still_api.get("/v1/audit?limit=1000").json()) == before


def test_measurements_are_taken_one_or_many(api: TestClient) -> None:
    one = {"site": "frankfurt", "pool": "h100", "at": "2026-01-10T00:00:00Z", "realtime_accelerators": 20}
    assert api.post("/v1/telemetry", json=one).json() == {"accepted": 1}
    power = {"site": "paris", "at": "2026-01-10T00:00:00Z", "import_kw": 4.5}
    many = api.post("/v1/telemetry", json=[one, power])
    assert many.status_code == 202
    for wrong, status, field in (
        ({**one, "site": "nowhere"}, {404, 422}, "site"),
        ({**one, "realtime_accelerators": -1}, {422}, "realtime_accelerators"),
        ({**one, "at": "2026-01-10T00:00:00"}, {422}, "at"),
        ({**one, "watts": 1}, {422}, "watts"),
        ([], {422}, ""),
    ):
        refused = api.post("/v1/telemetry", json=wrong)
        assert refused.status_code in status, wrong
        assert refused.json()["field"].endswith(field), wrong


def test_a_grid_event_is_in_force_once_and_only_once(api: TestClient) -> None:
    event = {
        "id": "dso-1",
        "site": "frankfurt",
        "start": "2026-01-10T17:00:00Z",
        "end": "2026-01-10T19:00:00Z",
        "limit_kw": 600,
    }
    for _ in range(2):
        assert api.post("/v1/grid-events", json=event).status_code == 201
    [told] = api.get("/v1/grid-events").json()
    assert told == {**event, "limit_kw": 600.0, "source": "operator"}
    assert api.get("/v1/grid-events?since=2026-01-10T19:00:00Z").json() == []
    assert api.post("/v1/grid-events", json={**event, "limit_kw": 500}).status_code == 409
    assert "grid_event.created" in {e["kind"] for e in api.get("/v1/events?format=json").json()}
    for change, field in (
        ({"end": event["start"]}, "body.end"),
        ({"limit_kw": -1}, "body.limit_kw"),
        ({"limit": 1}, "body.limit"),
        ({"start": "17:00"}, "body.start"),
    ):
        refused = api.post("/v1/grid-events", json={**event, "id": "dso-2", **change})
        assert refused.status_code == 422
        assert refused.json()["field"] == field
    assert api.post("/v1/grid-events", json={**event, "id": "dso-2", "site": "nowhere"}).status_code in {
        404,
        422,
    }
    assert len(api.get("/v1/grid-events").json()) == 1


@pytest.mark.parametrize("number", [1e300, -1e300])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("workloads/w/progress", {"done": "HUGE"}, "done"),
        ("workloads/w/progress", {"remaining": "HUGE"}, "remaining"),
        ("telemetry", {"site": "frankfurt", "at": HOUR[0], "import_kw": "HUGE"}, "import_kw"),
        (
            "grid-events",
            {"id": "e", "site": "paris", "start": HOUR[1], "end": HOUR[2], "limit_kw": "HUGE"},
            "limit_kw",
        ),
        ("forecasts", series(points=[{"start": HOUR[0], "end": HOUR[1], "value": "HUGE"}]), "value"),
        ("workloads", {"id": "w", "deadline": HOUR[9], "accelerator_hours": "HUGE"}, "accelerator_hours"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_that_nothing_real_has_are_refused_by_name(
    still_api: TestClient, path: str, body: dict[str, Any], field: str, number: float
) -> None:
    text = json.dumps(body).replace('"HUGE"', repr(number))
    refused = still_api.post(f"/v1/{path}", content=text, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422, refused.text
    assert refused.json()["field"].endswith(field)
