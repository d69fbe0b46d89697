"""Where output goes: data on stdout, words on stderr; tables that fit the terminal, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import IO, Any, Literal, Protocol

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 400
"""Columns of output that no terminal shows: nothing is cut off or wrapped for a screen that is not there."""


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, emoji=False)


def out() -> Console:
    """Data: stdout as it is now (tests and pagers replace it)."""
    return _console(sys.stdout)


def err() -> Console:
    """Words: stderr."""
    return _console(sys.stderr)


def styled(text: str, style: str = "") -> Text:
    """Text that is never read as markup nor, whatever somebody put into a name, as commands to a terminal."""
    shown = (c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return Text("".join(shown), style)


def spark_width(beside: int, most: int = 48) -> int:
    """How many characters a sparkline may take beside `beside` others on stdout."""
    return max(8, min(most, out().width - beside))


def say(message: str | Text, style: str = "") -> None:
    """One line of words for a person, on stderr."""
    err().print(styled(message, style) if isinstance(message, str) else message, soft_wrap=True)


def utc(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`: `forecasts.slots.isoformat_z` without NumPy, which is slow to import."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """Dataclasses, times and mappings as plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line, for streams; flushed, so that a reader sees it at once."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


LEAST_SENTENCE = 36
"""Narrower than this, a sentence is a column of single words."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its header (with the unit), and how soon a narrow terminal goes without it."""

    header: str
    justify: Literal["left", "right", "center"] = "left"
    expendable: int = 0
    """Of the columns for which there is no room, the highest is left out first; 0: never."""
    style: str = ""
    wrap: bool = False
    """A sentence: it may take several lines, but not less than `LEAST_SENTENCE` columns."""


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, title: str = "", empty: str = ""
) -> None:
    """A table on stdout, without columns that a narrow terminal has no room for; `empty` on stderr.

    No cell is ever cut: what finds no room even when all that can be left out is, goes on in the next line.
    """
    if not rows:
        if empty:
            say(empty, "dim")
        return
    console = out()
    shown = list(range(len(columns)))
    while _least_width(console, columns, rows, shown) > console.width:
        first_out = max(shown, key=lambda i: columns[i].expendable)
        if not columns[first_out].expendable:
            break
        shown.remove(first_out)
    fits = _least_width(console, columns, rows, shown) <= console.width
    table = _table(columns, rows, shown, fits=fits)
    table.title, table.title_justify = title or None, "left"
    console.print(table)
    hidden = [c.header for i, c in enumerate(columns) if i not in shown and c.header]
    if hidden:
        say(f"This terminal is narrow; left out: {', '.join(hidden)}.", "dim")


def _table(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], shown: Sequence[int], *, fits: bool
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i in shown:
        c = columns[i]
        table.add_column(
            c.header, justify=c.justify, style=c.style, no_wrap=fits and not c.wrap, overflow="fold"
        )
    for row in rows:
        table.add_row(*(_cell(row[i]) for i in shown))
    return table


def _least_width(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], shown: Sequence[int]
) -> int:
    """How many columns of the terminal the table needs at least, for nothing of it to be cut."""
    table = _table(columns, [], shown, fits=True)
    frame = console.measure(table, options=console.options.update(width=10_000)).maximum
    frame -= sum(cell_len(columns[i].header) for i in shown)
    return frame + sum(_column_width(columns[i], [row[i] for row in rows]) for i in shown)


def _column_width(column: Column, cells: Sequence[str | Text]) -> int:
    longest = max(_cell(cell).cell_len for cell in cells)
    return max(cell_len(column.header), min(longest, LEAST_SENTENCE) if column.wrap else longest)


def _cell(cell: str | Text) -> Text:
    return styled(cell) if isinstance(cell, str) else cell


@contextmanager
def working(message: str) -> Iterator[None]:
    """A spinner on stderr while something takes long; nothing at all where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield
        return
    with console.status(message, spinner="dots"):
        yield


class Told(Protocol):
    """Called with how many more are done, and which."""

    def __call__(self, n: int = 1, which: str = "") -> None: ...


@contextmanager
def progress(what: str, total: int, *, done: int = 0) -> Iterator[Told]:
    """A bar on stderr; nothing at all where that is no terminal.

    What is yielded is told of how many more are done, and of which; the bar grows where there is more to do than was
    thought.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = err()
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, completed=done)

        def told(n: int = 1, which: str = "") -> None:
            completed = bar.tasks[0].completed + n
            bar.update(task, completed=completed, total=max(total, completed), description=which)

        yield told


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keeps what compiled libraries print (a solver's banner) out of stdout, where only data belongs."""
    import ctypes

    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what they still hold back goes the same way
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
