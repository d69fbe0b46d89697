"""The client against a real server on a port of its own: answers, errors as the daemon raised them, and
events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shifter.api.app import create_app
from shifter.api.errors import Unreachable
from shifter.api.server import ApiServer
from shifter.client import Client
from shifter.connection import EventStream
from shifter.errors import Conflict, InputError, NotFound, NotReady
from shifter.service import Service
from shifter.views import EventKind

DAY = "2026-01-11T06:00:00Z"
TOKENS = {"id": "w-17", "model": "llama-3.3-70b", "tokens": 4e7, "deadline": DAY, "max_accelerators": 16}
HOURS = {"id": "team/e-1", "accelerator_hours": 6, "accelerators": ["L40S"], "deadline": DAY}

Connect = Callable[[Service], Client]


def test_the_whole_story_of_two_workloads(planning: Service, connect: Connect) -> None:
    client = connect(planning)
    assert client.ready()
    first, second = client.submit([TOKENS, HOURS])
    assert (first["id"], second["state"]) == ("w-17", "planned")
    assert client.workload("team/e-1")["id"] == "team/e-1"
    assert {w["id"] for w in client.workloads()} == {"w-17", "team/e-1"}
    assert client.workloads(tenant="nobody") == []
    lease = client.allocations("w-17")
    assert lease["allocations"]
    assert (
        client.allocations("w-17", wait_s=0.2, after_version=lease["version"])["version"] == lease["version"]
    )
    assert client.admission("w-17")["state"] in {"wait", "run"}
    assert client.explanation("w-17")["sentences"]
    assert client.quote({**TOKENS, "id": "q"}, [datetime(2026, 1, 11, 6, tzinfo=UTC)])["options"]
    assert client.progress("team/e-1", remaining=3)["progress_ratio"] == 0.5
    assert client.override("w-17", "real_time", "now")["class"] == "real_time"
    assert client.override("w-17", None, "later")["class"] is None
    assert client.cancel("w-17")["state"] == "cancelled"
    plan = client.plan()
    assert client.plan(plan["plan_id"])["plan_id"] == plan["plan_id"]
    assert client.plan_inputs(plan["plan_id"])["fleet"]
    start = datetime(2026, 1, 10, 2, tzinfo=UTC)
    assert len(client.slots("frankfurt", start=start, end="2026-01-10T03:00:00Z")) == 2
    assert client.capacity("paris", "rack/1")["count"] == 16
    assert client.forecasts("FR", start=start)["signals"]
    event = {"id": "g", "site": "paris", "start": DAY, "end": "2026-01-11T07:00:00Z", "limit_kw": 5}
    assert client.add_grid_event(event)["limit_kw"] == 5
    assert len(client.grid_events()) == 1
    cut = {
        "id": "c/1",
        "site": "frankfurt",
        "start": "2026-01-10T17:00:00Z",
        "end": "2026-01-10T18:00:00Z",
        "cut_kw": 1,
    }
    quote = client.quote_grid_event(cut)
    assert quote["event"]["frozen_baseline"]["windows"]
    assert quote["realtime_untouched"]
    accepted = client.add_grid_event(cut)  # another plan may be in force by now
    assert [w["import_kw"] for w in accepted["frozen_baseline"]["windows"]] == [22.2, 22.2]
    assert client.grid_event_report("c/1")["slots"][0]["verdict"] == "ahead"
    assert client.withdraw_grid_event("c/1")["id"] == "c/1"
    assert len(client.grid_events()) == 1
    assert client.telemetry([{"site": "paris", "at": "2026-01-10T00:00:00Z", "import_kw": 3}]) == 1
    assert client.audit(subject="w-17")[0]["actor"].startswith("tests@")
    assert client.health()["status"] in {"ok", "degraded"}
    kinds = {e["kind"] for e in client.events()}
    assert {"workload.accepted", "plan.published", "grid_event.created", "workload.cancelled"} <= kinds


def test_more_workloads_than_a_page_are_asked_for_in_pages(
    unplanned: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shifter.client.PAGE", 4)
    client = connect(unplanned)
    client.submit([{**HOURS, "id": f"e-{i}"} for i in range(10)])
    assert len({w["id"] for w in client.workloads(limit=100)}) == 10
    assert len(client.workloads(limit=7)) == 7
    assert [e["id"] for e in client.events()] == [e.id for e in unplanned.events()]


def test_errors_come_back_as_the_classes_they_were(unplanned: Service, connect: Connect) -> None:
    client = connect(unplanned)
    with pytest.raises(InputError) as wrong:
        client.submit([{**TOKENS, "tokens": -1, "max_acelerators": 4}])
    assert wrong.value.field == "body[0].tokens"
    assert [e.field for e in wrong.value.also] == ["body[0].max_acelerators"]
    assert wrong.value.also[0].hint == "Did you mean `max_accelerators`?"
    client.submit([TOKENS])
    with pytest.raises(Conflict, match="w-17"):
        client.submit([{**TOKENS, "tokens": 5e7}])
    with pytest.raises(NotFound) as missing:
        client.workload("ghost")
    assert missing.value.field == "path.workload_id"
    with pytest.raises(NotReady) as waits:
        client.plan()
    assert waits.value.facts["retry_after_s"] > 0
    assert not client.ready()
    with pytest.raises(InputError, match="JSON"):
        client.submit([{**TOKENS, "tokens": float("nan")}])


@pytest.mark.parametrize(
    "url", ["", "localhost", "ftp://localhost", "http://", "http://h:99999999", "http://h:x"]
)
def test_what_is_no_address_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InputError) as wrong:
        Client(url)
    assert wrong.value.field == "url"
    assert "http://127.0.0.1:8321" in wrong.value.hint


def test_where_no_daemon_answers_it_says_what_to_do() -> None:
    with Client("http://127.0.0.1:9") as client:
        for call in (client.health, client.ready, lambda: next(client.events(follow=True))):
            with pytest.raises(Unreachable) as gone:
                call()
            assert "http://127.0.0.1:9" in gone.value.detail
            assert "shifter run" in gone.value.hint
            assert "SHIFTER_URL" in gone.value.hint


@contextmanager
def something_else(body: bytes, status: int = 200) -> Iterator[str]:
    """A server that is not shifter."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>", 200), (b"[]", 200), (b"<html>", 502), (b'{"error": 1}', 404), (b"", 500)]
)
def test_another_server_at_the_address_is_called_that(body: bytes, status: int) -> None:
    with (
        something_else(body, status) as url,
        Client(url) as client,
        pytest.raises(Unreachable, match="is not shifter"),
    ):
        client.health()


def test_events_are_followed_through_a_restart_with_nothing_missed_or_doubled(
    unplanned: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shifter.api.sse.RETRY_MS", 100)
    core = unplanned.core
    core.tell(EventKind.FAULT, n=1)
    got: list[int] = []
    ended = threading.Event()

    def follow(url: str) -> None:
        with Client(url) as client:
            for event in client.events(0, follow=True):
                got.append(event["data"]["n"])
                if event["data"]["n"] == 6:
                    break
        ended.set()

    first = ApiServer(create_app(unplanned), port=0)
    first.start()
    port = first.port
    reader = threading.Thread(target=follow, args=(first.url,), daemon=True)
    reader.start()
    core.tell(EventKind.FAULT, n=2)
    until(lambda: got == [1, 2])
    first.stop()
    core.tell(EventKind.FAULT, n=3)
    core.tell(EventKind.FAULT, n=4)
    with ApiServer(create_app(unplanned), port=port):
        until(lambda: got == [1, 2, 3, 4])
        core.tell(EventKind.FAULT, n=5)
        core.tell(EventKind.FAULT, n=6)
        assert ended.wait(20)
    assert got == [1, 2, 3, 4, 5, 6]


def test_following_from_now_on_and_by_kind(unplanned: Service, connect: Connect) -> None:
    client = connect(unplanned)
    unplanned.core.tell(EventKind.FAULT, n=1)
    ended = threading.Event()

    def emit() -> None:
        while not ended.is_set():
            unplanned.core.tell(EventKind.SOURCE_FAILED, n=2)
            unplanned.core.tell(EventKind.FAULT, n=3)
            time.sleep(0.05)

    worker = threading.Thread(target=emit, daemon=True)
    worker.start()
    event = next(iter(client.events(None, follow=True, kinds=["fault"])))
    ended.set()
    worker.join()
    assert event["data"] == {"n": 3}


def test_a_mistake_in_what_is_followed_is_an_error_and_no_endless_try(
    unplanned: Service, connect: Connect
) -> None:
    with pytest.raises(InputError) as wrong:
        next(connect(unplanned).events(0, follow=True, kinds=["plans"]))
    assert wrong.value.field.startswith("query.kind")


def test_the_stream_is_read_as_the_standard_says() -> None:
    stream = EventStream()
    assert stream.read(": a comment") is None
    assert stream.read("retry: 150\nid: 7") is None
    assert (stream.retry_s, stream.last_id) == (0.15, "7")
    assert stream.read('id: 8\nevent: fault\ndata: {"a":\ndata: 1}') == {"a": 1}
    assert stream.last_id == "8"
    assert stream.read("retry: soon\nid: 9\0") is None
    assert (stream.retry_s, stream.last_id) == (0.15, "8")


def until(condition: Callable[[], bool], wait_s: float = 20) -> None:
    ends = time.monotonic() + wait_s
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    assert condition()
