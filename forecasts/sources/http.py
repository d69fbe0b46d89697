"""The one HTTP client that every source shares, so that none is a bad guest.

It says who it is, waits its turn (a token bucket a host), tries again only what may pass (no connection, 429,
5xx; `Retry-After` first, else exponential with full jitter), gives a host that keeps failing a rest (circuit
breaker), asks only for what changed (ETag), reads no more than `max_bytes`, and never writes a secret into an
error. `requests` is imported on the first call.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from forecasts.errors import SourceUnavailable
from forecasts.sources.faults import Fault, fault_of
from forecasts.sources.pace import HOST_RATES, Host, Retry, RetryPolicy, TokenBucket, left_s

MAX_BYTES = 16 * 2**20
MOST_REMEMBERED = 4 * 2**20  # of one body, kept with its ETag in case it has not changed
TIMEOUT_S = (5.0, 30.0)  # connect, each read
BODY_TIMEOUT_S = 60.0  # a whole body, however steadily it trickles
NEXT_POLL = "It is tried again at the next poll."

_SECRET = re.compile(
    r"(?i)((?:api[-_]?key|security[-_]?token|access[-_]?token|token|key|auth|password|passwd|secret|sig|signature)"
    r"=)[^&\s'\"]+"
)
_USERINFO = re.compile(r"(?i)(https?://)[^/@\s'\"]+@")


def redact(text: str) -> str:
    """`text` without the secrets that URLs in it carry.

    >>> redact("GET https://me:pw@example.org/a?securityToken=abc&zone=DE failed")
    'GET https://***@example.org/a?securityToken=***&zone=DE failed'
    """
    return _USERINFO.sub(r"\1***@", _SECRET.sub(r"\1***", text))


@dataclass(frozen=True)
class Reply:
    """A final answer: 2xx, or a 4xx that asking again would not change."""

    url: str  # redacted
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON. Raises SourceUnavailable when it is anything else, such as a page of HTML."""
        try:
            return json.loads(self.body.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValueError) as e:
            raise SourceUnavailable(
                f"{self.url} answered {self.status} with something that is not JSON: {excerpt(self.body)}",
                hint="Often a maintenance page; try again later and check base_url.",
                url=self.url,
                status=self.status,
            ) from e


def excerpt(body: bytes, length: int = 120) -> str:
    """The beginning of a body, on one line, for an error."""
    text = " ".join(redact(body[: 4 * length].decode("utf-8", "replace")).split())
    return repr(text[:length] + ("…" if len(text) > length else "")) if text else "an empty body"


class _TooSlow(Exception):
    """A body that does not end. Trying again at once would keep everybody else waiting."""


class HttpClient:
    """GET, and POST of a form, politely. Safe to use from several threads. `told` hears of each failure after which it
    tries again, and `hint` is what to do where that was in vain; `clock`, `sleep`, `wall`, `jitter` are for tests.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        rates: Mapping[str, float] = HOST_RATES,
        max_bytes: int = MAX_BYTES,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        body_timeout_s: float = BODY_TIMEOUT_S,
        told: Callable[[Retry], None] = lambda _: None,
        hint: str = NEXT_POLL,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.retry = retry or RetryPolicy()
        self.rates, self.max_bytes, self.timeout_s = rates, max_bytes, timeout_s
        self.body_timeout_s, self.told, self.hint = body_timeout_s, told, hint
        self.clock, self.sleep, self.wall, self.jitter = clock, sleep, wall, jitter
        self._hosts: dict[str, Host] = {}
        self._seen: OrderedDict[str, tuple[str, Reply]] = OrderedDict()  # url -> ETag, reply
        self._lock = threading.Lock()
        self._local = threading.local()

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer to GET `url`. Raises SourceUnavailable when, after all attempts, there is none."""
        full = url if not params else f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"
        return self._answer(full, headers or {}, None)

    def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to POST `url` with `form` as its body. Raises SourceUnavailable, as `get` does.

        It is tried again as a GET is, so it is for what may be done twice, such as asking for a token. Nothing of the
        form is in an error, and it is sent to no other address: a redirect is the answer, and is not followed.
        """
        return self._answer(url, headers or {}, form)

    def _answer(self, full: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Reply:
        scheme, netloc, *_ = urlsplit(full)
        if scheme not in {"http", "https"} or not netloc:
            raise SourceUnavailable(f"{redact(full)!r} is not an http(s) URL.", hint="Check base_url.")
        name = netloc.rpartition("@")[2]
        host = self._host(name)
        self._refuse_open(host, full)
        hasty = left_s() < math.inf
        attempts = 1 if hasty else self.retry.attempts
        pause_s, tried = host.turn_s(), 0
        if pause_s >= left_s():
            host.spared()
            raise SourceUnavailable(f"{redact(full)} is not asked: there is no time left.", hint=self.hint)
        while True:
            if pause_s > 0:
                self.sleep(pause_s)
            got = self._once(full, headers, form)
            if isinstance(got, Reply):
                host.failures = 0
                return got
            if not got.reached:
                host.spared()
            usual_s = min(self.retry.longest_s, self.retry.first_s * 2**tried)
            tried += 1
            left = attempts - tried
            if left <= 0 or got.wait_s < 0:  # told to come back later than we are willing to wait
                break
            pause_s = max(got.wait_s or self.jitter() * usual_s, host.turn_s())
            self.told(Retry(name, got.why, pause_s, left))
        if not hasty:
            self._count_failure(host, got)
        raise SourceUnavailable(
            f"{redact(full)} did not answer: {got.why}.", hint=self.hint, url=redact(full)
        )

    def get_json(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body. Raises SourceUnavailable, as `get` and `Reply.json` do."""
        reply = self.get(url, params, {"Accept": "application/json", **(headers or {})})
        return reply.status, reply.json()

    def close(self) -> None:
        """Close this thread's connections."""
        if hasattr(self._local, "session"):
            self._local.session.close()
            del self._local.session

    def _once(self, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Reply | Fault:
        import requests
        import urllib3

        cached = self._seen.get(url) if form is None else None
        method = "GET" if form is None else "POST"
        sent = {**headers, **({"If-None-Match": cached[0]} if cached else {})}
        most_s = max(0.1, round(left_s(), 1))
        timeout_s = min(self.timeout_s[0], most_s), min(self.timeout_s[1], most_s)
        try:
            with self._session().request(
                method,
                url,
                headers=sent,
                data=form,
                timeout=timeout_s,
                stream=True,
                allow_redirects=form is None,
            ) as got:
                if got.status_code == 429 or got.status_code >= 500:
                    wait_s = self._retry_after_s(got.headers.get("Retry-After"))
                    asked = f", and asks to wait {wait_s:.0f} s" if wait_s else ""
                    too_long = wait_s > self.retry.longest_s
                    return Fault(f"status {got.status_code}{asked}", -1.0 if too_long else wait_s)
                if got.status_code == 304 and cached:
                    return cached[1]
                body = self._read(got, min(self.body_timeout_s, most_s))
                reply = Reply(redact(url), got.status_code, body, _lower(got.headers))
        except _TooSlow as e:
            return Fault(str(e), -1.0)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as e:
            fault = fault_of(e, timeout_s)
            return replace(fault, why=redact(fault.why))
        if (
            form is None
            and reply.ok
            and len(reply.body) <= MOST_REMEMBERED
            and (etag := reply.headers.get("etag"))
        ):
            self._remember(url, etag, reply)
        return reply

    def _read(self, got: Any, within_s: float) -> bytes:
        """The decoded body, so that a small one that unpacks to a large one is noticed too."""
        parts, size = [], 0
        ends = self.clock() + within_s
        # What has come, not a full buffer of it: a body that trickles would never fill one in time.
        while part := got.raw.read1(65536, decode_content=True):
            if self.clock() > ends:
                raise _TooSlow(f"its body took longer than {within_s:g} s")
            size += len(part)
            if size > self.max_bytes:
                raise SourceUnavailable(
                    f"{redact(got.url)} answers with more than {self.max_bytes} bytes.",
                    hint="Nothing that is read here is so large: check the URL.",
                )
            parts.append(part)
        return b"".join(parts)

    def _remember(self, url: str, etag: str, reply: Reply) -> None:
        with self._lock:
            self._seen[url] = (etag, reply)
            self._seen.move_to_end(url)
            while len(self._seen) > 16:
                self._seen.popitem(last=False)

    def _session(self) -> Any:
        if not hasattr(self._local, "session"):
            import requests

            self._local.session = requests.Session()
            self._local.session.max_redirects = 5
            self._local.session.headers.update(
                {"User-Agent": f"shifter/{_version()} (inference-shifter)", "Accept-Encoding": "gzip"}
            )
        return self._local.session

    def _host(self, name: str) -> Host:
        with self._lock:
            if name not in self._hosts:
                rate = self.rates.get(name.partition(":")[0], 1.0)
                self._hosts[name] = Host(TokenBucket(rate, 2 if rate >= 1 else 1, self.clock))
            return self._hosts[name]

    def _refuse_open(self, host: Host, url: str) -> None:
        rest_s = host.open_until - self.clock()
        if rest_s > 0:
            failed = "the last call" if host.failures == 1 else f"{host.failures} calls in a row"
            raise SourceUnavailable(
                f"{redact(url)} is not asked: {failed} failed.",
                hint=f"It is asked again in {rest_s:.0f} s.",
                retry_after_s=rest_s,
            )

    def _count_failure(self, host: Host, fault: Fault) -> None:
        host.failures += 1
        most = self.retry.failures_to_open if fault.reached else self.retry.unreached_to_open
        if host.failures >= most:
            host.open_until = self.clock() + self.retry.rest_s

    def _retry_after_s(self, header: str | None) -> float:
        if not header:
            return 0.0
        if header.strip().isdigit():
            return float(header)
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - self.wall()).total_seconds())


def join_url(base: str, path: str) -> str:
    """`base` with `path` appended, keeping a path that `base` has."""
    scheme, netloc, stem, query, _ = urlsplit(base)
    return urlunsplit((scheme, netloc, f"{stem.rstrip('/')}/{path.lstrip('/')}", query, ""))


_shared: list[HttpClient] = []
_sharing = threading.Lock()


def shared_client() -> HttpClient:
    """The client of this process: its rate limits and breakers hold across all sources."""
    with _sharing:
        if not _shared:
            _shared.append(HttpClient())
        return _shared[-1]


@contextmanager
def sharing(client: HttpClient) -> Iterator[None]:
    """Meanwhile `client` is that of this process: one that tells a person how it fares, and gives up sooner."""
    with _sharing:
        _shared.append(client)
    try:
        yield
    finally:
        with _sharing:
            _shared.remove(client)
        client.close()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _version() -> str:
    try:
        return version("inference-shifter")
    except PackageNotFoundError:
        return "0"
