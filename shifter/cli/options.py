"""Options that many commands share, and the connection that `--url` names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

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
