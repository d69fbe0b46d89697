"""Bodies: read with a cap, and parsed as JSON that every reader takes the same way."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import anyio.to_thread
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shifter.api.errors import BodyTooLarge, MalformedBody, UnsupportedMediaType
from shifter.api.problems import MANY, problem_response
from shifter.errors import InputError, ShifterError

MAX_BODY_BYTES = 32 * 2**20
"""A hundred thousand workloads, or a week of five-minute forecasts for every zone there is [bytes]."""

LARGE_BYTES = 2**18
"""What takes longer to parse than anyone should wait for someone else's body [bytes]."""

_SUSPECT_ESCAPE = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def parse_json(body: bytes) -> Any:
    r"""The one JSON value in `body`.

    Raises MalformedBody, with line and column, for what is not JSON in UTF-8, and for what JSON allows but
    two readers take differently: a key given twice, NaN and Infinity, numbers that overflow, lone surrogates,
    NUL.

    >>> parse_json(b'{"id": "w-1", "tokens": 4.1e9}')
    {'id': 'w-1', 'tokens': 4100000000.0}
    >>> parse_json(b'{"id": 1, "id": 2}')
    Traceback (most recent call last):
    ...
    shifter.api.errors.MalformedBody: body.id: the key "id" is given twice in one object. Keep one of them.
    """
    text = _decode(body)
    if not text.strip():
        raise MalformedBody("the body is empty.", field="body", hint="Send one JSON value.")
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            field=f"body:{error.lineno}:{error.colno}",
            hint="Send one JSON value.",
            line=error.lineno,
            column=error.colno,
        ) from None
    except RecursionError:
        raise MalformedBody("the body is nested too deeply.", field="body", hint="Flatten it.") from None
    if _SUSPECT_ESCAPE.search(text):
        _refuse_unstorable_text(value)
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise MalformedBody(
            f"the body is not UTF-8: byte {error.start} (line {line}) is 0x{body[error.start]:02x}.",
            field=f"body:{line}",
            hint="Encode it in UTF-8.",
            byte=error.start,
            line=line,
        ) from None


def _no_constant(text: str) -> Any:
    raise MalformedBody(f"{text} is not a JSON number.", field="body", hint="Give a finite number, or null.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedBody(
            f"the number {text[:40]} is too large.", field="body", hint="Give a finite number."
        )
    return number


def _whole(text: str) -> int | float:
    # A number of thousands of digits costs a quadratic time to convert, and nothing here counts that high.
    return int(text) if len(text) <= 30 else _finite(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise MalformedBody(
            f'the key "{twice}" is given twice in one object.',
            field=f"body.{twice}",
            hint="Keep one of them.",
        )
    return found


def _refuse_unstorable_text(value: Any) -> None:
    """Escapes can spell what no database stores and no UTF-8 carries."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and _UNSTORABLE.search(one):
            raise MalformedBody(
                "a text holds a NUL character or half of a surrogate pair.", field="body", hint="Remove it."
            )


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:
        """The body's value. Raises MalformedBody."""
        if not hasattr(self, "_json"):
            body = await self.body()
            if len(body) > LARGE_BYTES:  # in a thread, so that the others are still answered meanwhile
                self._json = await anyio.to_thread.run_sync(parse_json, body)
            else:
                self._json = parse_json(body)
            self.scope[MANY] = isinstance(self._json, list)
        return self._json


class StrictRoute(APIRoute):
    """A route that wants JSON, and says so with 415 and 400 before anything looks at the fields."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, given a StrictRequest whose body was already read and parsed."""
        handler = super().get_route_handler()
        wants_body = self.body_field is not None
        known = tuple(p.alias for p in self.dependant.query_params)

        async def strict(request: Request) -> Response:
            strict_request = StrictRequest(request.scope, request.receive)
            refuse_unknown(request.query_params, known)
            if wants_body:
                require_json(request.headers)
                await strict_request.json()  # here, because FastAPI hides what its own reading raises
            return await handler(strict_request)

        return strict


def refuse_unknown(given: Iterable[str], known: Sequence[str]) -> None:
    """Raise InputError for a query parameter that the endpoint does not know: ignored, it would mislead."""
    unknown = [
        InputError(f"there is no parameter {n!r} here.", field=f"query.{n}", hint=_meant(n, known))
        for n in given
        if n not in known
    ]
    if unknown:
        first = unknown[0]
        raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(unknown[1:]))


def _meant(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"It takes {', '.join(known)}." if known else "It takes none."


def require_json(headers: Headers) -> None:
    """Raise UnsupportedMediaType unless the body says that it is JSON.

    It also keeps plain HTML forms of other sites out: they cannot send this type without asking first.
    """
    given = headers.get("content-type", "")
    essence, _, parameters = given.partition(";")
    essence = essence.strip().lower()
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]+)", parameters, re.IGNORECASE)
    if essence != "application/json" and not re.fullmatch(r"application/[\w.!#$&^-]+\+json", essence):
        said = f"the body is sent as {given}." if given else "the body does not say what it is."
        raise UnsupportedMediaType(
            said, field="header.Content-Type", hint="Send Content-Type: application/json."
        )
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMediaType(
            f"the body is sent in {charset[1]}.", field="header.Content-Type", hint="Encode it in UTF-8."
        )
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType(
            "the body is sent compressed.", field="header.Content-Encoding", hint="Send it as it is."
        )


class BodyLimit:
    """Answers 413 to a body over `max_bytes`, by its announced length at once, else as soon as it has run
    over.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and (len(announced) > 18 or int(announced) > self.max_bytes):
            return await self._refuse(scope, receive, send)
        taken, started = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self.max_bytes:
                    raise _too_large(self.max_bytes)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except BodyTooLarge:
            if started:
                raise
            await self._refuse(scope, receive, send)
        except ClientDisconnect:
            return None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(_too_large(self.max_bytes), Request(scope, receive))
        await response(scope, receive, send)


def _too_large(max_bytes: int) -> ShifterError:
    return BodyTooLarge(
        f"the body is larger than {max_bytes} bytes.",
        field="body",
        hint="Send it in smaller parts.",
        max_body_bytes=max_bytes,
    )
