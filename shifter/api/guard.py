"""What stands before every route: whom the daemon answers, what browsers may do, and no error without an
answer.

There is no authentication yet, and the daemon listens on loopback. So the danger is a web page in a browser
on the same machine: it may send requests to 127.0.0.1 (refused by origin), or make its own name point there
to read the answers (DNS rebinding, refused by host name).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shifter.api.errors import CrossOrigin, UnknownHost
from shifter.api.problems import problem_response, unexpected_response
from shifter.errors import ShifterError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FIXED_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses strange hosts and other origins, and answers what nobody else answered with 500."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] = ()) -> None:
        self.app = app
        self.allowed_hosts = tuple(h.lower() for h in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request, started = Request(scope, receive), False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in FIXED_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(request.method, request.headers)
        try:
            if refusal is not None:
                return await problem_response(refusal, request)(scope, receive, guarded)
            await self.app(keep_encoded_slashes(scope), receive, guarded)
        except Exception as error:
            response = unexpected_response(error, request)
            if not started:
                await response(scope, receive, guarded)
            else:
                raise  # half an answer is out: break the connection rather than pretend that it ended well

    def _refusal(self, method: str, headers: Headers) -> ShifterError | None:
        host = headers.get("host", "")
        if not host_allowed(host, self.allowed_hosts):
            return UnknownHost(
                f"the daemon does not answer to the host name {host[:200]!r}.",
                field="header.Host",
                hint="Use its address, or add the name to allowed_hosts.",
            )
        if method not in SAFE_METHODS and not same_origin(headers):
            return CrossOrigin(
                "a page of another origin asked for a change.",
                field="header.Origin" if "origin" in headers else "header.Sec-Fetch-Site",
                hint="Call from a program, or from a page that the daemon itself serves.",
            )
        return None


def host_allowed(host: str, allowed_hosts: Sequence[str]) -> bool:
    """Whether the daemon answers to a Host header.

    Addresses and names without a dot always pass: a public page cannot carry one, so it is not a rebound
    name. Others must match a pattern in `allowed_hosts`; `*` lets all pass.

    >>> [
    ...     host_allowed(h, ["*.example.org"])
    ...     for h in ("127.0.0.1:8321", "[::1]:8321", "shifter", "a.example.org")
    ... ]
    [True, True, True, True]
    >>> host_allowed("evil.example", ["*.example.org"])
    False
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if not name or "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return any(fnmatchcase(name, pattern) for pattern in allowed_hosts)
    return True


def same_origin(headers: Headers) -> bool:
    """Whether a request for a change comes from no browser, or from a page of this very daemon."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == headers.get("host", "").lower()


def keep_encoded_slashes(scope: Scope) -> Scope:
    """The scope with `%2F` left as it is in its path, so that an id may hold a slash and stay one segment.

    `shifter.api.params` decodes it. Names hold no `%`, so there is nothing to confuse it with.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return scope
    path = "/".join(
        unquote(segment).replace("/", "%2F") for segment in raw.split(b"?", 1)[0].decode("latin-1").split("/")
    )
    return {**scope, "path": path}
