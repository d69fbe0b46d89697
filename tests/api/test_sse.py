"""The broadcaster and the stream, on a source of events in memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from shifter.api import sse
from shifter.api.sse import Broadcaster, encode, stream
from shifter.errors import NotReady
from shifter.views import Event, EventKind

START = datetime(2026, 1, 10, tzinfo=UTC)


class Source:
    """Events in memory; counts how often it is asked, and by how many threads at once."""

    def __init__(self, count: int = 0) -> None:
        self.kept: list[Event] = []
        self.changed = threading.Condition()
        self.waiting = self.most_waiting = self.pages = 0
        self.fail = 0
        for _ in range(count):
            self.emit()

    def emit(self, kind: EventKind = EventKind.FAULT, **data: object) -> int:
        with self.changed:
            self.kept.append(Event(len(self.kept) + 1, START, kind, data))
            self.changed.notify_all()
            return len(self.kept)

    def events(self, after_id: int = 0, limit: int = 1000) -> list[Event]:
        self.pages += 1
        return [e for e in self.kept if e.id > after_id][:limit]

    def wait_events(self, after_id: int, timeout_s: float) -> list[Event]:
        with self.changed:
            if self.fail:
                self.fail -= 1
                raise NotReady("the database cannot be reached.")
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            self.changed.wait_for(lambda: bool(self.kept) and self.kept[-1].id > after_id, timeout_s)
            self.waiting -= 1
            return [e for e in self.kept if e.id > after_id]


async def ids(
    events: Broadcaster, after: int | None, count: int, ready: Callable[[], None] | None = None
) -> list[int]:
    """The ids of the first `count` events of a stream."""
    found: list[int] = []
    pieces = stream(events, after, keep_alive_s=0.05)
    async for piece in pieces:
        text = piece.decode()
        if ready is not None and "keep-alive" in text:
            ready()
            ready = None
        if "data:" in text:
            found.append(int(text.split("\n")[0].removeprefix("id: ")))
        if len(found) == count:
            break
    await pieces.aclose()  # type: ignore[attr-defined]
    return found


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(bounded())


def test_one_event_is_four_lines() -> None:
    text = encode(Event(7, START, EventKind.FAULT, {"text": "two\nlines"})).decode()
    number, kind, data, *end = text.split("\n")
    assert (number, kind, end) == ("id: 7", "event: fault", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {
        "id": 7,
        "at": "2026-01-10T00:00:00Z",
        "kind": "fault",
        "data": {"text": "two\nlines"},
    }


def test_a_client_that_was_cut_off_misses_nothing_and_sees_nothing_twice() -> None:
    source = Source(2500)  # more than a page, and more than the ring holds

    async def work() -> None:
        events = Broadcaster(source)
        first = await ids(events, 0, 1200)
        source.emit()
        rest = await ids(events, first[-1], 1301)
        assert first + rest == list(range(1, 2502))

    run(work)


def test_without_a_position_it_starts_with_what_comes() -> None:
    source = Source(3)

    async def work() -> None:
        events = Broadcaster(source)
        assert await ids(events, None, 1, ready=lambda: print(source.emit())) == [4]
        assert await ids(events, 900, 1, ready=lambda: print(source.emit())) == [5]  # of another database

    run(work)


def test_five_hundred_clients_cost_one_thread_and_no_page_of_the_store() -> None:
    source = Source(3)

    async def work() -> None:
        events = Broadcaster(source)
        ready: list[int] = []
        clients = [
            asyncio.create_task(ids(events, None, 2, ready=lambda: ready.append(1))) for _ in range(500)
        ]
        while len(ready) < 500:
            await asyncio.sleep(0.01)
        pages = source.pages
        source.emit()
        source.emit()
        assert await asyncio.gather(*clients) == [[4, 5]] * 500
        assert source.most_waiting == 1
        assert source.pages == pages
        assert events.listeners == 0

    run(work)


def test_a_slow_client_that_fell_behind_the_ring_reads_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "RING", 5)
    source = Source()

    async def work() -> None:
        events = Broadcaster(source)
        async with events:
            for _ in range(3):
                source.emit()
            assert [e.id for e in await events.wait(0, 5)] == [1, 2, 3]
            for _ in range(20):
                source.emit()
            while events.newest_id < 23:
                await asyncio.sleep(0.01)
            assert [e.id for e in await events.wait(3, 5)] == list(range(4, 24))

    run(work)


def test_a_comment_comes_while_nothing_happens_and_moves_the_position() -> None:
    async def work() -> None:
        pieces = stream(Broadcaster(Source(9)), None, keep_alive_s=0.05)
        assert await anext(pieces) == b"retry: 2000\n\n"
        assert await anext(pieces) == b"id: 9\n: keep-alive\n\n"
        await pieces.aclose()  # type: ignore[attr-defined]

    run(work)


def test_kinds_are_filtered() -> None:
    source = Source()

    async def work() -> None:
        source.emit(EventKind.FAULT)
        source.emit(EventKind.PLAN_PUBLISHED)
        pieces = stream(Broadcaster(source), 0, frozenset({"plan.published"}), keep_alive_s=0.05)
        await anext(pieces)
        assert (await anext(pieces)).startswith(b"id: 2\nevent: plan.published\n")
        await pieces.aclose()  # type: ignore[attr-defined]

    run(work)


def test_a_store_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BACK_OFF_S", 0.02)
    source = Source(1)
    source.fail = 3

    async def work() -> None:
        events = Broadcaster(source)
        assert await ids(events, None, 1, ready=lambda: print(source.emit())) == [2]
        assert source.fail == 0

    run(work)


def test_closing_from_another_thread_ends_streams_at_once() -> None:
    async def work() -> None:
        events = Broadcaster(Source(1))
        threading.Timer(0.1, events.close).start()
        begun = time.monotonic()
        pieces = [piece async for piece in stream(events, None, keep_alive_s=30)]
        assert time.monotonic() - begun < 5
        assert pieces == [b"retry: 2000\n\n"]
        assert [p async for p in stream(events, 0)] == [b"retry: 2000\n\n"]

    run(work)
