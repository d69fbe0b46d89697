"""Who is answered: no strange host, no page of another origin, and never a stack trace."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from shifter.api import problems
from shifter.api.guard import Guard, keep_encoded_slashes
from shifter.errors import NotReady


def app() -> FastAPI:
    made = FastAPI(middleware=[Middleware(Guard, allowed_hosts=["grid.example.org"])])
    problems.install(made)

    @made.get("/thing")
    @made.post("/thing")
    async def thing() -> str:
        return "done"

    @made.get("/broken")
    async def broken() -> str:
        raise RuntimeError("postgresql://admin:hunter2@db")

    @made.get("/later")
    async def later() -> str:
        raise NotReady("there is no plan yet.", retry_after_s=7.4)

    @made.get("/half")
    async def half() -> StreamingResponse:
        async def pieces() -> Any:
            yield b"half"
            raise RuntimeError("the other half")

        return StreamingResponse(pieces())

    return made


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8321",
        "[::1]:8321",
        "localhost",
        "shifter:8321",
        "a.localhost",
        "10.1.2.3",
        "GRID.example.org.",
    ],
)
def test_addresses_own_names_and_allowed_names_are_answered(host: str) -> None:
    assert TestClient(app()).get("/thing", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "grid.example.org.evil.example", "127.0.0.1.evil.example"])
def test_a_rebound_name_is_not_answered(host: str) -> None:
    refused = TestClient(app()).get("/thing", headers={"Host": host})
    assert refused.status_code == 421
    assert refused.json()["code"] == "unknown_host"
    assert refused.json()["field"] == "header.Host"
    assert "done" not in refused.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8321"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(headers: dict[str, str]) -> None:
    client = TestClient(app(), base_url="http://127.0.0.1:8321")
    refused = client.post("/thing", headers=headers)
    assert refused.status_code == 403
    assert refused.json()["code"] == "cross_origin"
    assert client.get("/thing", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8321", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_own_pages_may(headers: dict[str, str]) -> None:
    client = TestClient(app(), base_url="http://127.0.0.1:8321")
    assert client.post("/thing", headers=headers).status_code == 200


def test_an_unexpected_error_is_an_incident_that_tells_nothing() -> None:
    with capture_logs() as logged:
        answer = TestClient(app()).get("/broken")
    problem = answer.json()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "internal"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    [line] = logged
    assert line["incident"] == problem["facts"]["incident"]
    assert "hunter2" in line["exception"]


def test_half_an_answer_is_not_ended_as_if_it_were_whole() -> None:
    with capture_logs(), pytest.raises(RuntimeError):
        TestClient(app()).get("/half")


def test_not_ready_says_when_to_come_again() -> None:
    answer = TestClient(app()).get("/later")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["facts"] == {"retry_after_s": 7.4}


def test_every_answer_carries_the_fixed_headers() -> None:
    for path in ("/thing", "/nothing", "/broken"):
        with capture_logs():
            headers = TestClient(app()).get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_an_encoded_slash_stays_in_its_segment() -> None:
    scope = {"path": "/v1/workloads/a/b/admission", "raw_path": b"/v1/workloads/a%2fb/admission"}
    assert keep_encoded_slashes(scope)["path"] == "/v1/workloads/a%2Fb/admission"
    plain = {"path": "/v1/plan", "raw_path": b"/v1/plan"}
    assert keep_encoded_slashes(plain) is plain
