"""A VTN of OpenADR 3 over a local server: programs, events, tokens and pages, in the shapes of 3.0.1 and 3.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from forecasts.testing import Asked, Said

BASE = "/openadr3/3.1.0"
SECRET = "made-up-secret-9"
CLIENT = "shifter-1"
SAID_AT = "2026-11-23T09:00:00.000Z"
DESCRIPTOR = {
    "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
    "payloadType": "PRICE",
    "units": "KWH",
    "currency": "EUR",
}
PROGRAM = {
    "id": "p1",
    "objectType": "PROGRAM",
    "programName": "day-ahead",
    "createdDateTime": SAID_AT,
    "payloadDescriptors": [DESCRIPTOR],
}


def iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def period(start: datetime | str | None = None, duration: str | None = None, **more: Any) -> dict[str, Any]:
    said = iso(start) if isinstance(start, datetime) else start
    return {**({"start": said} if said else {}), **({"duration": duration} if duration else {}), **more}


def interval(
    number: int, payload: str | None, *values: Any, at: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    payloads = [] if payload is None else [{"type": payload, "values": list(values)}]
    return {"id": number, "payloads": payloads, **({} if at is None else {"intervalPeriod": dict(at)})}


def event(
    event_id: str, start: Any, intervals: Any, duration: str | None = "PT1H", **more: Any
) -> dict[str, Any]:
    """An event whose intervals follow one another from `start` on; prices may be given as bare numbers."""
    listed = [i if isinstance(i, dict) else interval(k, "PRICE", i) for k, i in enumerate(intervals)]
    whole = {
        "id": event_id,
        "objectType": "EVENT",
        "programID": "p1",
        "createdDateTime": SAID_AT,
        "modificationDateTime": SAID_AT,
        "eventName": f"event {event_id}",
        "intervals": listed,
        **({} if start is None else {"intervalPeriod": period(start, duration)}),
    }
    return {**whole, **more}


@dataclass
class FakeVtn:
    """`reply` is for a ReplyServer. Tokens are `token-1`, `token-2`, …, of which only the last is good; `wrong` may
    answer in its place.
    """

    programs: list[dict[str, Any]] = field(default_factory=lambda: [dict(PROGRAM)])
    events: list[dict[str, Any]] = field(default_factory=list)
    anonymous: bool = False
    by_target: bool = True
    """Whether targeted events are shown only to who asks for one of the targets, as in 3.1."""
    tokens: int = 0
    expires_in: Any = 3600
    wrong: Callable[[Asked], Said | None] = lambda _: None
    on_page: Callable[[int], None] = lambda _: None
    """Called before a page of events, with what is skipped."""

    def reply(self, asked: Asked) -> Said:
        if (said := self.wrong(asked)) is not None:
            return said
        path = asked.path.removeprefix(BASE)
        if path == "/auth/token" and asked.method == "POST":
            return self._token(asked)
        if path not in {"/programs", "/events"} or asked.method != "GET":
            return problem(404, "Not Found")
        if not self.anonymous and asked.headers.get("authorization") != f"Bearer token-{self.tokens}":
            return problem(401, "Unauthorized", "who are you?")
        skip, limit = int(asked.query.get("skip", 0)), int(asked.query.get("limit", 50))
        if not 0 <= limit <= 50:
            return problem(400, "Bad Request", "limit exceeds 50")
        if path == "/programs":
            return answer(self.programs[skip : skip + limit])
        self.on_page(skip)
        shown = [e for e in self.events if asked.query.get("programID") in (None, e["programID"])]
        return answer([e for e in shown if self._seen(e, asked.query.get("targets"))][skip : skip + limit])

    def _seen(self, one: Mapping[str, Any], target: str | None) -> bool:
        targets = one.get("targets") or []
        if not self.by_target:
            return True
        return target in targets if target else not targets

    def _token(self, asked: Asked) -> Said:
        form = {k: v[0] for k, v in parse_qs(asked.body.decode()).items()}
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != SECRET:
            return answer(
                {"error": "invalid_client", "error_description": f"not {form.get('client_secret')}"}, 401
            )
        self.tokens += 1
        said = {"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": self.expires_in}
        return answer(said)


def answer(body: Any, status: int = 200) -> Said:
    return Said(json.dumps(body).encode(), status, {"Content-Type": "application/json"})


def problem(status: int, title: str, detail: str = "") -> Said:
    return answer({"title": title, "status": status, "detail": detail}, status)
