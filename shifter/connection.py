"""The connection under `shifter.client`: requests sent, problems raised as errors, events followed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from shifter.api.errors import BY_CODE, RequestRefused, Unreachable
from shifter.errors import InputError, ShifterError

DEFAULT_URL = "http://127.0.0.1:8321"
CONNECT_TIMEOUT_S = 5.0
STREAM_TIMEOUT_S = 45.0
"""Three missed keep-alives: the stream is dead."""
MAX_PAUSE_S = 30.0

Json = dict[str, Any]


class Connection:
    """Sends to the daemon at `base_url`. Raises what the daemon raised; Unreachable where none answers."""

    def __init__(self, base_url: str = DEFAULT_URL, *, actor: str = "", timeout_s: float = 30.0) -> None:
        self.base_url = _checked(base_url)
        self.timeout_s = timeout_s
        self._closed = False
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "shifter-client"
        self._session.headers["Accept"] = "application/json, application/problem+json"
        if actor:
            self._session.headers["Shifter-Actor"] = actor
        # A proxy of the environment is for the way out; a daemon on this machine is not out there.
        self._session.trust_env = not _on_this_machine(self.base_url)

    def close(self) -> None:
        """Give its connections back; who follows ends where the stream next breaks off."""
        self._closed = True
        self._session.close()

    def json(
        self,
        kind: type,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The answer's JSON, which is a `kind` (dict or list)."""
        response = self.send(method, path, query, body=body, timeout_s=timeout_s)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, kind):
            raise _not_shifter(self.base_url, response)
        return answer

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        timeout_s: float | None = None,
        raising: bool = True,
        **options: Any,
    ) -> requests.Response:
        """The answer; one of 400 and more raises its error, unless not `raising`. None in a query is left
        out.
        """
        timeout = (CONNECT_TIMEOUT_S, timeout_s or self.timeout_s)
        try:
            response = self._session.request(
                method, self.base_url + path, params=given(query or {}), json=body, timeout=timeout, **options
            )
        except (requests.exceptions.InvalidJSONError, TypeError) as error:  # NaN, a type of Python's
            raise InputError(
                f"this cannot be sent as JSON: {error}.", field="body", hint="Correct it."
            ) from None
        except requests.Timeout:
            raise Unreachable(
                f"{self.base_url} did not answer in time.", hint="Is the daemon overloaded? Try again."
            ) from None
        except requests.RequestException as error:
            raise Unreachable(
                f"no daemon answers at {self.base_url}.",
                hint="Is `shifter run` running? Set --url or SHIFTER_URL to where it listens.",
                cause=type(error).__name__,
            ) from None
        if raising and response.status_code >= 400:
            raise error_of(response, self.base_url)
        return response

    def follow(self, after_id: int | None, kinds: Sequence[str]) -> Iterator[Json]:
        """Events after `after_id` (None: from now on), for ever; a daemon that was reached and goes away is
        waited for.
        """
        stream, reached, pause_s = EventStream(None if after_id is None else str(after_id)), False, 0.5
        while not self._closed:
            headers = {"Accept": "text/event-stream, application/problem+json"}
            if stream.last_id is not None:
                headers["Last-Event-ID"] = stream.last_id
            try:
                with self.send(
                    "GET",
                    "/v1/events",
                    {"kind": list(kinds)},
                    headers=headers,
                    stream=True,
                    timeout_s=STREAM_TIMEOUT_S,
                ) as response:
                    reached, pause_s = True, stream.retry_s
                    for block in _blocks(response):
                        event = stream.read(block)
                        if event is not None:
                            yield event
            except requests.RequestException:
                pass
            except ShifterError as error:
                if not reached or error.code not in {Unreachable.code, "not_ready", "too_busy"}:
                    raise
            time.sleep(pause_s)
            pause_s = min(MAX_PAUSE_S, pause_s * 2)


@dataclass
class EventStream:
    """The state of one stream of Server-Sent Events: where it is, and how long to wait before connecting
    again.
    """

    last_id: str | None = None
    retry_s: float = 2.0

    def read(self, block: str) -> Json | None:
        """The event of one block of lines, where it holds one."""
        data: list[str] = []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "id" and "\0" not in value:
                self.last_id = value
            elif name == "retry" and value.isdecimal():
                self.retry_s = int(value) / 1000
        if not data:
            return None
        event: Json = json.loads("\n".join(data))
        return event


def _blocks(response: requests.Response) -> Iterator[str]:
    """Blocks of lines between empty lines; what follows the last one is an event cut short, and dropped."""
    kept = b""
    for chunk in response.iter_content(chunk_size=None):
        *whole, kept = (kept + chunk).split(b"\n\n")
        for block in whole:
            yield block.decode("utf-8")


def error_of(response: requests.Response, base_url: str) -> ShifterError:
    """The error that an answer tells of, as the class that the daemon raised."""
    try:
        problem = response.json()
        entry = BY_CODE.get(problem["code"])
        detail = str(problem["detail"])
    except (ValueError, TypeError, KeyError):
        return _not_shifter(base_url, response)
    kind = RequestRefused if entry is None else entry.error
    facts = {
        k: v for k, v in (problem.get("facts") or {}).items() if k not in {"hint", "field", "also", "detail"}
    }
    where, hint = problem.get("field") or "", problem.get("hint") or ""
    if issubclass(kind, InputError):
        also = tuple(
            InputError(e.get("detail", ""), field=e.get("field", ""), hint=e.get("hint", ""))
            for e in (problem.get("errors") or [])[1:]
        )
        return kind(detail, field=where, hint=hint, also=also, **facts)
    return kind(detail, field=where, hint=hint, **facts)


def _not_shifter(base_url: str, response: requests.Response) -> ShifterError:
    return Unreachable(
        f"what answers at {base_url} is not shifter (status {response.status_code}).",
        hint="Set --url or SHIFTER_URL to where `shifter run` listens.",
        status=response.status_code,
    )


def _checked(base_url: str) -> str:
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named, parts = False, urlsplit("")
    if parts.scheme not in {"http", "https"} or not named:
        raise InputError(
            f"{base_url!r} is no address of a daemon.", field="url", hint=f"Write it as {DEFAULT_URL}."
        )
    return url


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def given(values: Mapping[str, Any]) -> Json:
    """Without what is None."""
    return {k: v for k, v in values.items() if v is not None}
