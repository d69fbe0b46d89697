"""Bodies: what is not clean JSON is refused, whatever it would have meant."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.datastructures import Headers
from starlette.middleware import Middleware

from shifter.api import problems
from shifter.api.body import BodyLimit, parse_json, require_json
from shifter.api.errors import MalformedBody, UnsupportedMediaType
from shifter.api.server import ApiServer


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        (b"", "body", "empty"),
        (b"  \n", "body", "empty"),
        (b'{"id": "w-1",\n  "tokens": }', "body:2:13", "line 2, column 13"),
        (b'{"id": "w-1"', "body:1:13", "line 1, column 13"),
        (b'{"id": "w-1"} {"id": "w-2"}', "body:1:15", "Extra data"),
        (b'{"id": "caf\xe9"}', "body:1", "byte 11 (line 1) is 0xe9"),
        (b'{\n"id": "\xff"}', "body:2", "(line 2)"),
        ('{"id": "w"}'.encode("utf-16"), "body:1", "UTF-8"),
        (b'{"tokens": NaN}', "body", "NaN"),
        (b'{"tokens": -Infinity}', "body", "-Infinity"),
        (b'{"tokens": 1e400}', "body", "1e400"),
        (b'{"tokens": ' + b"9" * 5000 + b"}", "body", "too large"),
        (b'{"id": "a", "id": "b"}', "body.id", "given twice"),
        (b'[{"labels": {"x": "1", "y": "2", "x": "3"}}]', "body.x", "given twice"),
        (b'{"tenant": "\\ud800"}', "body", "surrogate"),
        (b'["\\u0000"]', "body", "NUL"),
        (b"[" * 100_000, "body", "nested too deeply"),
        (b'{"a":' * 50_000, "body", "nested too deeply"),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(body: bytes, field: str, said: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_json(body)
    assert refused.value.field == field
    assert said in refused.value.detail
    assert refused.value.hint


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        ('{"tenant": "Zürich 🏔"}'.encode(), {"tenant": "Zürich 🏔"}),
        (b'{"tenant": "\\ud83c\\udfd4"}', {"tenant": "🏔"}),
        (b'{"path": "a\\\\u0000"}', {"path": "a\\u0000"}),
        (b"12345678901234567890", 12345678901234567890),
        (b"null", None),
    ],
)
def test_clean_json_is_taken_as_it_is(body: bytes, value: Any) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_a_body_must_say_that_it_is_json(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_json(Headers(headers))


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"]
)
def test_json_by_its_other_names(kind: str) -> None:
    require_json(Headers({"content-type": kind}))


def limited_app() -> FastAPI:
    app = FastAPI(middleware=[Middleware(BodyLimit, max_bytes=1000)])
    problems.install(app)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    return app


def test_an_announced_length_over_the_cap_is_refused_unread() -> None:
    client = TestClient(limited_app())
    assert client.post("/length", content=b"x" * 1000).json() == 1000
    refused = client.post("/length", content=b"x" * 1001)
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "body_too_large"
    assert refused.json()["field"] == "body"
    assert refused.json()["facts"]["max_body_bytes"] == 1000


def test_a_body_without_a_length_is_refused_as_soon_as_it_runs_over() -> None:
    """Chunked, over a real socket, and never ending: the answer comes all the same."""
    with ApiServer(limited_app(), port=0) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("POST", "/length")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for _ in range(3):
            connection.send(b"190\r\n" + b"x" * 0x190 + b"\r\n")
        answer = connection.getresponse()
        assert answer.status == 413
        assert answer.getheader("connection") == "close"
        assert json.loads(answer.read())["code"] == "body_too_large"
        connection.close()
