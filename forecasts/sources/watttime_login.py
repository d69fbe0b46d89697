"""Who asks WattTime: a token for a name and a password, good for half an hour of our own clock."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Mapping

from forecasts.errors import InputError, SourceUnavailable
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.keys import KeyOptions, body_of

TOKEN_LIFE_S = 1800.0
WHERE = "Register at https://docs.watttime.org; the key is the account's password."


class Login:
    """The account `username` at `base_url`; its password is the key of `options`. `clock` [s] ages its token."""

    def __init__(
        self,
        options: KeyOptions,
        username: str | None,
        base_url: str,
        http: HttpClient | None,
        clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._username = username
        self._base_url = base_url
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._token_ends = 0.0

    def token(self, refused: str = "") -> str:
        """A token that is still good and is not the one that was `refused`."""
        with self._lock:  # several threads need one login, not one each
            asked_at = self._clock()
            if self._token == refused or asked_at >= self._token_ends:
                self._token = self._new()
                self._token_ends = asked_at + TOKEN_LIFE_S
            return self._token

    def _new(self) -> str:
        """A new token. Errors tell nothing of the reply's body: it holds, or repeats, a secret."""
        if self._username is None:
            raise InputError(
                "the source watttime needs a username.",
                field="username",
                hint=f"{WHERE} Set its option username.",
            )
        password = self._options.key("watttime", "WATTTIME_PASSWORD", WHERE)
        pair = base64.b64encode(f"{self._username}:{password}".encode()).decode()
        url = join_url(self._base_url, "login")
        headers = {"Authorization": f"Basic {pair}", "Accept": "application/json"}
        reply = (self._http or shared_client()).get(url, headers=headers)
        body = body_of(reply)
        token = body.get("token") if isinstance(body, Mapping) and reply.status == 200 else None
        # What is no token would be quoted by the error of whoever tries to send it.
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise SourceUnavailable(
                f"{url} answered {reply.status} without a token.",
                hint="Are the option username and the password (the key) right, and the account confirmed by e-mail?",
                status=reply.status,
            )
        return token
