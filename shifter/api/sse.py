"""Events to many listeners at once: one reader of the service feeds every stream and every long poll.

A waiting client costs a coroutine, never a thread: a single worker thread stands in `service.wait_events`,
and what it brings is kept in a short ring and handed to whoever waits. A client that has fallen behind the
ring reads the store until it has caught up.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import structlog

from shifter.errors import ShifterError
from shifter.views import Event, to_plain

T = TypeVar("T")

log = structlog.get_logger("shifter.api")

KEEP_ALIVE_S = 15.0
RETRY_MS = 2000
"""What a browser waits before it connects again [ms]."""
PAGE = 500
WAIT_S = 1.0
"""How long the reader stands in one call [real s]; also the most that closing waits for it."""
RING = 2000
BACK_OFF_S = 1.0


class EventSource(Protocol):
    """What the broadcaster needs of the service."""

    def events(self, after_id: int = 0, limit: int = 1000) -> list[Event]:
        """Events with a larger id, oldest first."""
        ...

    def wait_events(self, after_id: int, timeout_s: float) -> list[Event]:
        """As `events`, once there is one, or empty after `timeout_s` real seconds."""
        ...


class Broadcaster:
    """Reads the service's events while somebody listens, and wakes every listener.

    It lives in one event loop; `close` may be called from any thread and ends every stream within `WAIT_S`.
    """

    def __init__(self, source: EventSource) -> None:
        self.source = source
        self.closed = False
        self.listeners = 0
        self._ring: deque[Event] = deque(maxlen=RING)
        self._base_id = 0
        """The newest id that the ring does not hold: everything later is in it."""
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: asyncio.Task[None] | None = None
        self._thread = anyio.CapacityLimiter(1)
        self._starting = asyncio.Lock()

    @property
    def newest_id(self) -> int:
        """The largest id that was read."""
        return self._ring[-1].id if self._ring else self._base_id

    async def __aenter__(self) -> Broadcaster:
        """Listen: the reader runs while at least one listener is in."""
        loop = asyncio.get_running_loop()
        if (
            self._loop is not loop
        ):  # a test client makes a loop a request; nothing of another loop can be used
            self._loop, self._reader, self._news = loop, None, asyncio.Event()
            self._thread, self._starting, self.listeners = anyio.CapacityLimiter(1), asyncio.Lock(), 0
        self.listeners += 1
        try:
            async with self._starting:
                if self._reader is None or self._reader.done():
                    newest = await _in_thread(self._newest_stored, self._thread)
                    self._ring.clear()
                    self._base_id = newest
                    self._reader = loop.create_task(self._read(), name="shifter-events")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        self.listeners -= 1
        if self.listeners == 0 and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def close(self) -> None:
        """End every stream and long poll; none starts afterwards."""
        self.closed = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    async def position(self, after_id: int | None) -> int:
        """Where to start: after `after_id`; from now on where it is None, or the id of another database's
        life.
        """
        if after_id is None:
            return self.newest_id
        if after_id > self.newest_id and not await _in_thread(partial(self.source.events, after_id - 1, 1)):
            return self.newest_id
        return after_id

    async def wait(self, after_id: int, timeout_s: float) -> list[Event]:
        """Events after `after_id`, at most `PAGE`; empty after `timeout_s`, or when it is closed."""
        deadline = time.monotonic() + timeout_s
        while not self.closed:
            news = self._news  # taken before looking: what comes while we look wakes us at once
            if after_id < self._base_id or (self._ring and after_id + 1 < self._ring[0].id):
                found = await _in_thread(partial(self.source.events, after_id, PAGE))
            else:
                found = [e for e in self._ring if e.id > after_id][:PAGE]
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0 or news is None:
                break
            with anyio.move_on_after(left):
                await news.wait()
        return []

    async def _read(self) -> None:
        while not self.closed:
            newest = self.newest_id
            try:
                found = await _in_thread(partial(self.source.wait_events, newest, WAIT_S), self._thread)
            except ShifterError as error:
                log.warning("events cannot be read", code=error.code, detail=error.detail)
                await asyncio.sleep(BACK_OFF_S)
                continue
            if found:
                self._ring.extend(e for e in found if e.id > newest)
                self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        if news is not None:
            news.set()

    def _newest_stored(self) -> int:
        """The newest id in the store, found by pages from the newest that was read: ids only grow."""
        newest = self.newest_id
        while page := self.source.events(newest, 10_000):
            newest = page[-1].id
            if len(page) < 10_000:
                break
        return newest


async def stream(
    events: Broadcaster,
    after_id: int | None,
    kinds: frozenset[str] = frozenset(),
    *,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> AsyncIterator[bytes]:
    """Server-Sent Events after `after_id` (None: from now on), for as long as the client and the daemon
    live.
    """
    yield f"retry: {RETRY_MS}\n\n".encode()
    async with events:
        position = await events.position(after_id)
        while not events.closed:
            found = await events.wait(position, keep_alive_s)
            for event in found:
                position = event.id
                if not kinds or event.kind in kinds:
                    yield encode(event)
            if not found and not events.closed:
                # The id goes along, so that a client that filters does not start far back when it connects
                # again.
                yield f"id: {position}\n: keep-alive\n\n".encode()


def encode(event: Event) -> bytes:
    """One event of the stream: `id`, `event` (its kind) and `data` (one line of JSON)."""
    data = json.dumps(to_plain(event), separators=(",", ":"), allow_nan=False)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()


async def _in_thread(call: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
    # Abandoned when its listener goes: the thread finishes its short wait by itself.
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)


def kinds_of(wanted: Sequence[str] | None) -> frozenset[str]:
    """The `kind` parameters as a set; empty means all."""
    return frozenset(wanted or ())
