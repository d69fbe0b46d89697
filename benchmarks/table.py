"""Figures for people (a table) and for programs (JSON); progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchmarks.figure import Figure, Tell
from benchmarks.machine import about

PIPED_WIDTH = 160


@dataclass
class Outcome:
    """One benchmark: its figures, or why there are none."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""
    wall_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "benchmark": self.name,
            "figures": [figure.to_dict() for figure in self.figures],
            "skipped": self.skipped or None,
            "failed": self.failed or None,
            "wall_s": round(self.wall_s, 1),
        }


@contextmanager
def progress_bar(name: str) -> Iterator[Tell]:
    """A bar for one benchmark, gone when it is done; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=1.0)

        def tell(what: str, done_ratio: float) -> None:
            progress.update(task, description=f"{name}: {what}", completed=done_ratio)

        yield tell


def print_table(outcomes: Sequence[Outcome]) -> None:
    """All figures side by side, and what was left out."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", min_width=30)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("", width=1)
    table.add_column("beside it")
    for outcome in outcomes:
        if not outcome.figures:
            continue
        table.add_section()
        table.add_row(Text(f"{outcome.name}  ({outcome.wall_s:.0f} s)", style="bold"))
        for figure in outcome.figures:
            table.add_row(*_cells(figure))
    if table.row_count:
        console.print(table)
    for outcome in outcomes:
        if outcome.skipped:
            console.print(Text(f"{outcome.name}: skipped, it {outcome.skipped}", style="yellow"))
        if outcome.failed:
            console.print(Text(f"{outcome.name}: failed: {outcome.failed}", style="bold red"))
    where = about()
    load = ", ".join(map(str, where["load_average"]))
    console.print(
        Text(f"Python {where['python']}, {where['system']}, {where['cpus']} CPUs, load {load}", style="dim")
    )


def _cells(figure: Figure) -> tuple[Text, ...]:
    measured = (
        "–" if figure.measured is None else f"{figure.measured:.{figure.digits}f} {figure.unit}".strip()
    )
    mark = {None: Text(""), True: Text("✓", style="green"), False: Text("✗", style="bold red")}[figure.met]
    target = "" if figure.target is None else f"{figure.target} {figure.unit}".strip()
    return Text(f"  {figure.name}"), Text(measured), Text(target), mark, Text(figure.beside, style="dim")


def print_json(outcomes: Sequence[Outcome]) -> None:
    """One JSON object on stdout."""
    body = {"machine": about(), "benchmarks": [outcome.to_dict() for outcome in outcomes]}
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
