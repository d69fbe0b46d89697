"""Events and the audit over HTTP, on a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
import requests
from fastapi.testclient import TestClient

from shifter.api.server import ApiServer
from shifter.errors import InputError
from shifter.service import Service
from shifter.views import EventKind

Serve = Callable[[Service], ApiServer]


def read(response: requests.Response, count: int) -> str:
    """The stream until it has told `count` events."""
    text = ""
    for chunk in response.iter_content(None):
        text += chunk.decode()
        if text.count("data:") >= count:
            break
    return text


def test_a_stream_has_ids_kinds_and_one_line_of_json_each(unplanned: Service, serve: Serve) -> None:
    for n in range(3):
        unplanned.core.tell(EventKind.FAULT, n=n)
    with requests.get(f"{serve(unplanned).url}/v1/events?after=0", stream=True, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        text = read(answer, 3)
    assert text.startswith("retry: 2000\n\n")
    assert "id: 1\nevent: fault\ndata: {" in text


@pytest.mark.parametrize(
    ("header", "query", "first"), [("2", "", 3), ("2", "?after=1", 3), (None, "?after=1", 2)]
)
def test_a_stream_resumes_after_the_last_event_that_was_seen(
    unplanned: Service, serve: Serve, header: str | None, query: str, first: int
) -> None:
    for n in range(4):
        unplanned.core.tell(EventKind.FAULT, n=n)
    headers = {} if header is None else {"Last-Event-ID": header}
    url = f"{serve(unplanned).url}/v1/events{query}"
    with requests.get(url, headers=headers, stream=True, timeout=10) as answer:
        text = read(answer, 5 - first)
    assert f"id: {first}\n" in text
    assert f"id: {first - 1}\n" not in text


@pytest.mark.parametrize("header", ["x", "-1", "1.5", "9" * 30, "²"])
def test_what_is_no_events_id_is_refused(still_api: TestClient, header: str) -> None:
    refused = still_api.get("/v1/events", headers={b"Last-Event-ID": header.encode()})
    assert refused.status_code == 422
    assert refused.json()["field"] == "header.Last-Event-ID"


def test_many_streams_end_when_the_server_stops_and_their_clients_when_they_leave(
    unplanned: Service, serve: Serve
) -> None:
    server = serve(unplanned)
    request = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    streams = []
    for _ in range(150):
        stream = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        stream.sendall(request)
        streams.append(stream)
    shared = server.app.state.shifter
    until(lambda: shared.events.listeners == 150)
    for stream in streams[:50]:
        stream.close()
    until(lambda: shared.waiting.now == 100)
    assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 8
    for stream in streams[50:]:
        assert drained(stream).startswith(b"HTTP/1.1 200")
        stream.close()


def drained(stream: socket.socket) -> bytes:
    data = b""
    while part := stream.recv(65536):
        data += part
    return data


def test_an_array_of_what_is_there(planned_api: TestClient, service: Service) -> None:
    service.core.tell(EventKind.FAULT, n=1)
    told = planned_api.get("/v1/events?format=json").json()
    assert [e["id"] for e in told] == sorted(e["id"] for e in told)
    assert {"plan.published", "fault"} <= {e["kind"] for e in told}
    only = planned_api.get(f"/v1/events?format=json&kind=fault&after={told[0]['id']}").json()
    assert {e["kind"] for e in only} == {"fault"}
    assert len(planned_api.get("/v1/events?format=json&limit=1").json()) == 1
    for query, field in (
        ("kind=plans", "query.kind[0]"),
        ("after=-1", "query.after"),
        ("format=xml", "query.format"),
    ):
        refused = planned_api.get(f"/v1/events?{query}")
        assert refused.status_code == 422
        assert refused.json()["field"] == field


def test_the_audit_tells_who_decided_and_from_what(planned_api: TestClient) -> None:
    entries = planned_api.get("/v1/audit").json()
    [published] = [e for e in entries if e["action"] == "plan.publish"]
    assert published["inputs_id"]
    assert published["actor"] == "shifter"
    assert planned_api.get(f"/v1/audit?after={entries[-1]['id']}").json() == []
    assert planned_api.get(f"/v1/audit?subject={published['subject']}").json() == [published]
    plan = planned_api.get(f"/v1/plans/{published['subject']}").json()
    assert plan["inputs_id"] == published["inputs_id"]


def test_a_taken_port_is_said(unplanned: Service, serve: Serve) -> None:
    server = serve(unplanned)
    with pytest.raises(InputError, match="cannot listen") as taken:
        ApiServer(server.app, port=server.port).bind()
    assert "--port" in taken.value.hint


def test_answers_are_not_held_back_by_the_system(unplanned: Service, serve: Serve) -> None:
    """asyncio switches Nagle's delay off only on sockets that name TCP."""
    server = serve(unplanned)
    assert server._socket is not None
    assert server._socket.proto == socket.IPPROTO_TCP


def until(condition: Callable[[], bool], wait_s: float = 20) -> None:
    ends = time.monotonic() + wait_s
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    assert condition()


def test_no_thread_is_left_behind(unplanned: Service, serve: Serve) -> None:
    server = serve(unplanned)
    server.stop()
    until(lambda: not any(t.name == "shifter-http" and t.is_alive() for t in threading.enumerate()))


def test_the_newest_events_come_in_one_answer(api: TestClient, unplanned: Service) -> None:
    for n in range(5):
        unplanned.core.tell(EventKind.FAULT, n=n)
    unplanned.core.tell(EventKind.SOURCE_FAILED, source="x")
    newest = api.get("/v1/events?format=json&newest=2").json()
    assert [e["kind"] for e in newest] == ["fault", "source.failed"]
    assert newest[0]["id"] < newest[1]["id"]
    faults = api.get("/v1/events?format=json&newest=2&kind=fault").json()
    assert [e["data"]["n"] for e in faults] == [3, 4]
    for wrong in (
        "newest=2",
        "newest=2&format=json&after=1",
        "newest=0&format=json",
        "newest=1001&format=json",
    ):
        refused = api.get(f"/v1/events?{wrong}")
        assert (refused.status_code, refused.json()["field"]) == (422, "query.newest"), wrong
