"""Options that many commands share, the connection that `--url` names, and mistakes by the options that were typed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.cli.edge import CommandClient

DEFAULT_URL = "http://127.0.0.1:8321"
EVERY = sys.maxsize
"""As a `limit`: page after page, to the end."""

Url = Annotated[
    str,
    typer.Option("--url", envvar="SHIFTER_URL", help="The daemon to talk to.", rich_help_panel="Connection"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def connect(url: str) -> CommandClient:
    """A client of the daemon at `url`. Nothing is sent yet."""
    from shifter.cli.edge import CommandClient

    return CommandClient(url)


def spelt(*fields: str) -> dict[str, str]:
    """Options that are called as the fields are.

    >>> spelt("limit_kw")
    {'limit_kw': '--limit-kw'}
    """
    return {name: f"--{name.replace('_', '-')}" for name in fields}


@contextmanager
def told_by(options: Mapping[str, str]) -> Iterator[None]:
    """Meanwhile a mistake in a field is told as one of the option that says it: a person knows no fields."""
    try:
        yield
    except InputError as error:
        raise in_options(error, options) from None


def in_options(error: InputError, options: Mapping[str, str]) -> InputError:
    """The same mistake, and those beside it, with each field by its option."""
    return InputError(
        in_words(error.detail, options),
        field=options.get(error.field, error.field),
        hint=in_words(error.hint, options),
        also=tuple(in_options(other, options) for other in error.also),
        **dict(error.facts),
    )


def in_words(text: str, options: Mapping[str, str]) -> str:
    """A sentence with fields by their options. Words of everyday language (start, end) stay where they stand in no
    backticks: they may be just that.

    >>> in_words("limit_kw and cut_kw are both given.", {"limit_kw": "--limit-kw", "cut_kw": "--cut-kw"})
    '--limit-kw and --cut-kw are both given.'
    >>> in_words("a factor is missing: `factor`.", {"factor": "--factor"})
    'a factor is missing: --factor.'
    """
    field = r"`[a-z]+`|\b[a-z]+(?:_[a-z]+)+\b"
    return re.sub(field, lambda found: options.get(found[0].strip("`"), found[0]), text)
