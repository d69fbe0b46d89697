"""One thing in full: its fields under each other, names left, values right."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shifter.cli.console import styled


def print_fields(console: Console, title: str, fields: Sequence[tuple[str, str | Text]]) -> None:
    """`title`, and below it one line a field; long values wrap beside their name."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, styled(value) if isinstance(value, str) else value)
    if title:
        console.print(styled(title, "bold"))
    console.print(table)
