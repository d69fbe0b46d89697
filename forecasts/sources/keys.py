"""A source's key: from its options, a file, or the environment; never in an error, a log or a `repr`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator

from forecasts.errors import InputError, SourceUnavailable
from forecasts.sources.base import SourceOptions
from forecasts.sources.http import Reply


class KeyOptions(SourceOptions):
    """Base of the options of a source that needs a key. At most one of the three ways to give it."""

    api_key: SecretStr | None = Field(None, description="the key itself; better one of the others")
    api_key_file: Path | None = Field(
        None, description="a file that holds nothing else, such as a mounted secret"
    )
    api_key_env: str | None = Field(None, description="the environment variable that holds it")

    @model_validator(mode="after")
    def _one(self) -> KeyOptions:
        given = [name for name in KeyOptions.model_fields if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: keep one")
        return self

    def key(self, source: str, usual_env: str, where: str) -> str:
        """The key of `source`; read anew each time, so that one that is exchanged is seen.

        Without any option it is the environment's `usual_env`. Raises InputError, which says `where` to get one, when
        there is none.
        """
        if self.api_key is not None:
            found, named = self.api_key.get_secret_value(), "api_key"
        elif self.api_key_file is not None:
            named = f"the file {self.api_key_file}"
            try:
                found = self.api_key_file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as e:
                raise InputError(
                    f"{named} with the key of {source} cannot be read: {getattr(e, 'strerror', None) or e}.",
                    field="api_key_file",
                ) from e
        else:
            name = self.api_key_env or usual_env
            found, named = os.environ.get(name, ""), f"the environment variable {name}"
        found = found.strip()
        if not found or not found.isascii() or not found.isprintable():
            raise InputError(
                f"the source {source} needs a key, and {named} holds {'no proper one' if found else 'none'}.",
                field="api_key",
                hint=f"{where} Then set its option api_key_file or api_key_env, or {usual_env} in the environment.",
            )
        return found


def body_of(reply: Reply) -> Any:
    """A reply's JSON; None where it is a page, of which nothing is told, for it may repeat what was sent."""
    try:
        return reply.json()
    except SourceUnavailable:
        return None


def why(body: Any, secret: str) -> str:
    """What an error's body says, but for what it repeats of ours; to follow "answered 403"."""
    told = (body.get("message") or body.get("error")) if isinstance(body, Mapping) else None
    if not isinstance(told, str):
        return " with something else than a forecast"
    return f": {told.replace(secret, '***').rstrip('.')}"
