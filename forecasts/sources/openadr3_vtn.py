"""Reads programs and events of an OpenADR 3 server (a VTN), logged in or not, page by page.

https://www.openadr.org (3.0.1 and 3.1.0). What it lists is whole, or an error: an event that was left out by mistake
would read as one that was withdrawn.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from forecasts.errors import AT_NEXT_POLL, SourceUnavailable
from forecasts.sources.http import HttpClient, Reply, join_url, shared_client
from forecasts.sources.keys import KeyOptions, body_of

PAGE = 50
"""Objects asked for at once: no more are allowed."""
MOST = 10_000
"""Objects of one list."""
TRIES = 3
"""How often a list is read that changes while it is read."""
TOKEN_LIFE_S = 600.0
"""Of a token that does not say."""
RENEW_RATIO = 0.9
"""A token is exchanged after this share of its life."""

ENV = "OPENADR3_CLIENT_SECRET"
WHERE = "Whoever runs the VTN gives a client its id and its secret."

Json = Mapping[str, Any]


class VtnOptions(KeyOptions):
    """Where the VTN is, and who asks: the key is the client's secret, and without a client id nobody is logged in."""

    base_url: str = Field(
        description="of the VTN, with all before /programs, such as https://vtn.example.org/openadr3/3.1.0"
    )
    ask_targets: bool = Field(
        True,
        description="for events that have some; false for a VTN of 3.0, which shows an account all of its own",
    )
    client_id: str | None = Field(
        None, min_length=1, description="of the account; without it, nobody logs in"
    )
    token_url: str | None = Field(
        None,
        description="where tokens are given; without it, auth/token of base_url (3.1 tells it at auth/server)",
    )
    scope: str | None = Field(None, description="to ask for with a token, where the VTN wants one")

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if self.client_id is None and (self.api_key or self.api_key_file or self.api_key_env):
            raise ValueError("a key is given and no client_id: say whose secret it is")
        return self


class Vtn:
    """One VTN, for several threads. `asker` names in errors who needs the key; `clock` [s] is for tests."""

    def __init__(
        self,
        options: VtnOptions,
        asker: str,
        *,
        http: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options, self.asker = options, asker
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._token_ends = 0.0

    def programs(self, targets: Sequence[str] = ()) -> list[Json]:
        """Every program that may be read. Raises SourceUnavailable, InputError (no key)."""
        return self._listed("programs", {}, targets)

    def events(self, program_id: str | None = None, targets: Sequence[str] = ()) -> list[Json]:
        """Every event that may be read, of one program or of all. Raises SourceUnavailable, InputError (no key).

        A VTN of 3.1 shows an event that has targets only to who asks for one of them: so it is asked for each of
        `targets`, and without. Each event comes once, with all targets that were seen of it.
        """
        return self._listed("events", {} if program_id is None else {"programID": program_id}, targets)

    def _listed(self, path: str, query: Mapping[str, str], targets: Sequence[str]) -> list[Json]:
        asked = [query]
        if self.options.ask_targets:
            asked += [{**query, "targets": target} for target in dict.fromkeys(targets)]
        found: dict[str, Json] = {}
        for one in asked:
            for item in self._pages(path, one):
                known = found.get(item["id"])
                both = [*((known or {}).get("targets") or ()), *(item.get("targets") or ())]
                found[item["id"]] = item if known is None else {**item, "targets": both}
        return list(found.values())

    def _pages(self, path: str, query: Mapping[str, str]) -> list[Json]:
        """A list, each page begun with the last object of the one before: what is deleted meanwhile moves the rest,
        and the one that slipped to a page already read would be missed.
        """
        for _ in range(TRIES):
            items: list[Json] = []
            while True:
                skip = max(0, len(items) - 1)
                page = self._page(path, {**query, "skip": str(skip), "limit": str(PAGE)})
                if items and (not page or page[0]["id"] != items[-1]["id"]):
                    break
                items += page[1:] if items else page
                if len(page) != PAGE:  # fewer: the last one. More: it does not cut lists
                    return items
                if len(items) > MOST:
                    raise SourceUnavailable(
                        f"{self._url(path)} lists more than {MOST} objects.",
                        hint="Name the programs that matter, and ask its operator to remove what is over.",
                    )
        raise SourceUnavailable(
            f"{self._url(path)} gave pages that do not follow one another, {TRIES} times.",
            hint="Its events change as fast as they are read, or it does not know skip and limit; it is asked again.",
        )

    def _page(self, path: str, query: Mapping[str, str]) -> list[Json]:
        url = self._url(path)
        token = self._logged_in()
        reply = self._get(url, query, token)
        if (
            reply.status == 401 and token
        ):  # it was withdrawn, or their clock is ahead: once more, and no oftener
            token = self._logged_in(refused=token)
            reply = self._get(url, query, token)
        body = body_of(reply)
        if reply.status != 200:
            raise SourceUnavailable(
                f"{url} answered {reply.status}{_reason(body, token)}.",
                hint=_HINTS.get(reply.status, AT_NEXT_POLL),
                status=reply.status,
            )
        if not isinstance(body, list):
            raise SourceUnavailable(
                f"{url} answered with something else than a list.",
                hint="Is base_url that of a VTN, with its version?",
            )
        for item in body:
            if not isinstance(item, Mapping) or not isinstance(item.get("id"), str) or not item["id"]:
                raise SourceUnavailable(f"{url} lists something without an id.", hint="Has the API changed?")
            if not isinstance(item.get("targets") or [], list):
                raise SourceUnavailable(f"{url}: the targets of {item['id'][:64]!r} are no list.")
        return body

    def _get(self, url: str, query: Mapping[str, str], token: str) -> Reply:
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        return (self._http or shared_client()).get(url, query, headers)

    def _url(self, path: str) -> str:
        return join_url(self.options.base_url, path)

    def _logged_in(self, refused: str = "") -> str:
        """A token that is still good and is not the one that was `refused`; "" where nobody logs in."""
        if self.options.client_id is None:
            return ""
        with self._lock:  # several threads need one login, not one each
            asked_at = self._clock()
            if not self._token or self._token == refused or asked_at >= self._token_ends:
                self._token, life_s = self._login(self.options.client_id)
                self._token_ends = asked_at + RENEW_RATIO * life_s
            return self._token

    def _login(self, client_id: str) -> tuple[str, float]:
        """A new token and how long it lives [s]. Errors tell nothing of the body: it holds, or repeats, a secret."""
        url = self.options.token_url or self._url("auth/token")
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": self.options.key(self.asker, ENV, WHERE),
            **({"scope": self.options.scope} if self.options.scope else {}),
        }
        reply = (self._http or shared_client()).post_form(url, form, {"Accept": "application/json"})
        body = body_of(reply)
        said: Json = body if isinstance(body, Mapping) and reply.ok else {}
        token, life_s = said.get("access_token"), said.get("expires_in")
        # What is no token would be quoted by the error of whoever tries to send it.
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise SourceUnavailable(
                f"{reply.url} answered {reply.status} without a token.",
                hint="Are client_id and its secret (the key) right? Where another server gives tokens, set token_url.",
                status=reply.status,
            )
        known = isinstance(life_s, int | float) and not isinstance(life_s, bool) and life_s > 0
        return token, float(life_s) if known and life_s is not None else TOKEN_LIFE_S


_HINTS = {
    401: "It wants a login: set client_id and its secret (the key); or it refuses a token that it has just given.",
    403: "The account may not read this; ask whoever runs the VTN.",
    404: "Is base_url that of a VTN, with its version?",
}


def _reason(body: Any, token: str) -> str:
    """What a problem's body says, but for what it repeats of ours."""
    told = (body.get("detail") or body.get("title")) if isinstance(body, Mapping) else None
    if not isinstance(told, str):
        return ""
    told = " ".join((told.replace(token, "***") if token else told).split())
    return f": {told[:200].rstrip('.')}"
