"""What many endpoints take: the service, who asks, names in paths, and bodies as domain values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

import anyio
import anyio.to_thread
from fastapi import Depends, Header, Path, Request
from pydantic import BeforeValidator, TypeAdapter
from starlette.responses import Response

from shifter.api.errors import TooBusy
from shifter.api.sse import Broadcaster
from shifter.domain.fields import Name
from shifter.files.places import in_body
from shifter.files.validation import validate
from shifter.service import Service
from shifter.views import to_plain

T = TypeVar("T")
SLOW_CALLS = 16
"""Submissions and quotes that may stand in a thread at once, beside the threads that answer everything
else.
"""
MAX_WAITING = 2000
"""Streams and long polls at once."""


class Waiting:
    """Counts who waits, and says no before it is too many."""

    def __init__(self, most: int = MAX_WAITING) -> None:
        self.most = most
        self.now = 0

    def __enter__(self) -> None:
        if self.now >= self.most:
            raise TooBusy(
                f"{self.most} clients are waiting already.",
                hint="Poll without wait, or come again.",
                retry_after_s=10,
            )
        self.now += 1

    def __exit__(self, *_: object) -> None:
        self.now -= 1


class Shared:
    """What the requests of one app share; it stands at `app.state.shifter`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.events = Broadcaster(service)
        self.waiting = Waiting()
        self.slow = anyio.CapacityLimiter(SLOW_CALLS)
        self.scorer = anyio.CapacityLimiter(1)

    async def slowly(self, call: Callable[[], T]) -> T:
        """`call` in one of the few threads for calls that take seconds."""
        return await anyio.to_thread.run_sync(call, limiter=self.slow)

    async def scoring(self, call: Callable[[], T]) -> T:
        """`call` in the one thread for scores, which are computed one at a time: who waits for them holds no thread."""
        return await anyio.to_thread.run_sync(call, limiter=self.scorer)

    async def quickly(self, call: Callable[[], T]) -> T:
        """`call` in one of the common threads."""
        return await anyio.to_thread.run_sync(call)


async def _shared(request: Request) -> Shared:
    shared: Shared = request.app.state.shifter
    return shared


async def _service(request: Request) -> Service:
    shared: Shared = request.app.state.shifter
    return shared.service


async def _actor(
    request: Request,
    shifter_actor: Annotated[
        str | None,
        Header(
            description="Who asks, for the audit: taken at its word, and kept with the address it came from.",
            max_length=128,
            pattern=r"^[\x20-\x7e]*$",
        ),
    ] = None,
) -> str:
    address = request.client.host if request.client else "unknown"
    name = (shifter_actor or "").strip() or "anonymous"
    return f"{name}@{address}"


SharedParam = Annotated[Shared, Depends(_shared)]
ServiceParam = Annotated[Service, Depends(_service)]
Actor = Annotated[str, Depends(_actor)]


def _decode_slashes(value: Any) -> Any:
    return re.sub("%2F", "/", value, flags=re.IGNORECASE) if isinstance(value, str) else value


def path_name(description: str, example: str) -> Any:
    """The type of a name in a path; a `/` in it is written `%2F`."""
    return Annotated[
        Name, BeforeValidator(_decode_slashes), Path(description=description, examples=[example])
    ]


WorkloadId = path_name("The workload's id.", "w-17")
PlanId = path_name("The plan's id.", "p-5f0c2d9a1b7e")
GridEventId = path_name("The grid event's id.", "dso-2026-01-10-1")
AnnouncementId = path_name("The announcement's id.", "launch-1")


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_as(kind: type[T], raw: Any, where: str = "body") -> T:
    """`raw` as a `kind`. Raises InputError that lists every mistake, each at its place."""
    value: T = validate(_adapter(cast("Hashable", kind)), raw, in_body(where))
    return value


def to_json(value: Any) -> bytes:
    """Views as JSON."""
    return json.dumps(to_plain(value), separators=(",", ":"), allow_nan=False).encode()


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """Views as an answer. What a daemon says of now is not for a cache to keep."""
    given = {"Cache-Control": "no-cache", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Response(to_json(value), status, given, "application/json")


def answer_tagged(request: Request, body: bytes, tag: str | None = None, cache: str = "no-cache") -> Response:
    """The body with an ETag (of its content, where no `tag` names it), or 304 where the reader has it
    already.
    """
    etag = f'"{tag or hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": etag, "Cache-Control": cache}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match holds the tag, by RFC 9110's weak comparison.

    >>> matches('W/"a", "b"', '"a"'), matches("*", '"a"'), matches('"c"', '"a"'), matches(None, '"a"')
    (True, True, False, False)
    """
    if if_none_match is None:
        return False
    tags = [t.strip().removeprefix("W/") for t in if_none_match.split(",")]
    return "*" in tags or etag in tags
