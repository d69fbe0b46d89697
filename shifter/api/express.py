"""A short way for the one request that comes a thousand times a second: a measurement.

It takes what is plainly right, by the same functions as the route of `POST /v1/telemetry`, and skips what routing and
dependencies cost. Whatever else comes goes on to that route, with its body, and is answered there: this says no to
nobody, and there is one place that says what is wrong.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from types import SimpleNamespace

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shifter.api.body import parse_json, require_json
from shifter.api.params import read_as
from shifter.api.problems import problem_response
from shifter.errors import NotReady, ShifterError
from shifter.service import Service
from shifter.views import TelemetrySample

PATH = "/v1/telemetry"
MOST_BYTES = 4096
"""A body over this is worth the usual way [bytes]."""
_ACTOR = re.compile(r"[\x20-\x7e]{0,128}")
_ROUTE = SimpleNamespace(path=PATH)


class Express:
    """Answers measurements; hands on all else."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH or not _may_be_right(scope):
            await self.app(scope, receive, send)
            return
        first = await receive()
        try:
            taken = await self._taken(first)
        except NotReady as error:
            await problem_response(error, Request(scope))(scope, receive, send)
            return
        if taken is None:
            await self.app(scope, _again(first, receive), send)
            return
        scope["route"] = _ROUTE  # what it is counted as
        body = b'{"accepted":%d}' % taken
        headers = [
            (b"cache-control", b"no-cache"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _taken(self, first: Message) -> int | None:
        """How many samples were taken; None where that is not for us to say."""
        body = first.get("body", b"")
        if first["type"] != "http.request" or first.get("more_body") or len(body) > MOST_BYTES:
            return None
        try:
            raw = parse_json(body)
            samples = read_as(list[TelemetrySample], raw if isinstance(raw, list) else [raw])
            return await heard(self.service, samples, "") or None
        except NotReady:  # the store that is away is not asked twice
            raise
        except ShifterError:
            return None


async def heard(service: Service, samples: Sequence[TelemetrySample], actor: str) -> int:
    """How many were taken. No thread waits for it: a thousand of these a second share few transactions. Only traffic is
    sized in one, which takes a second where lengths like these never came before. Raises as `Service.telemetry`.
    """
    if any(sample.traffic is not None for sample in samples):
        return await asyncio.wrap_future(await anyio.to_thread.run_sync(service.hear, samples, actor))
    return await asyncio.wrap_future(service.hear(samples, actor))


def _may_be_right(scope: Scope) -> bool:
    if scope["method"] != "POST" or scope["query_string"]:
        return False
    headers = Headers(scope=scope)
    try:
        require_json(headers)
    except ShifterError:
        return False
    return _ACTOR.fullmatch(headers.get("shifter-actor", "")) is not None


def _again(first: Message, receive: Receive) -> Receive:
    """The same messages once more, from the first one on."""
    waiting = [first]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again
