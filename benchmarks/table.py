"""Figures for people (tables) and for programs (JSON); progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchmarks.figure import Figure, Line, Row, Tell, flat
from benchmarks.machine import about

PIPED_WIDTH = 160


@dataclass
class Outcome:
    """One benchmark: what it measures, its figures, or why there are none."""

    name: str
    about: str = ""
    lines: list[Line] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""
    wall_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "benchmark": self.name,
            "figures": [figure.to_dict() for figure in flat(self.lines)],
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
    """Each benchmark under its name, what it measures, its tables, and what was left out."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    for outcome in outcomes:
        console.print(
            Text.assemble((outcome.name, "bold"), (f"  {outcome.about}  ({outcome.wall_s:.0f} s)", "dim"))
        )
        for kind, some in groupby(outcome.lines, type):
            lines: list[Any] = [*some]
            if kind is not Row:
                console.print(_one_by_one(lines))
                continue
            console.print(_side_by_side(lines), width=max(console.width, PIPED_WIDTH), crop=False)
            for line in lines:
                if line.beside:
                    console.print(Text(f"{line.name}: {line.beside}", style="dim"))
        if outcome.skipped:
            console.print(Text(f"{outcome.name}: skipped, it {outcome.skipped}", style="yellow"))
        if outcome.failed:
            console.print(Text(f"{outcome.name}: failed: {outcome.failed}", style="bold red"))
        console.print()
    where = about()
    load = ", ".join(map(str, where["load_average"]))
    said = "✓ the target is met, ✗ it is missed; what has neither has no target"
    machine = f"Python {where['python']}, {where['system']}, {where['cpus']} CPUs, load {load}"
    console.print(Text(f"{said}\n{machine}", style="dim"))


def _one_by_one(figures: Sequence[Any]) -> Table:
    """A line for each figure."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", min_width=30)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("", width=1)
    table.add_column("beside it")
    for figure in figures:
        value, target = _number(figure), "" if figure.target is None else str(figure.target)
        cells = (f"{value} {figure.unit}", f"{target} {figure.unit}" if target else "")
        name, beside = Text(figure.name), Text(figure.beside, style="dim")
        table.add_row(name, *map(str.strip, cells), _mark(figure), beside)
    return table


def _side_by_side(rows: Sequence[Any]) -> Table:
    """A column for each figure of the rows, headed by its name and unit, and by the target where all have the same."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    columns: list[list[Text]] = []
    for figures in zip(*(row.figures for row in rows), strict=True):
        targets = {str(f.target) for f in figures if f.target is not None}
        head = figures[0].name + (f" [{figures[0].unit}]" if figures[0].unit else "")
        head += f", target {min(targets)}" if len(targets) == 1 else ""
        cells = [_cell(figure, told=len(targets) == 1) for figure in figures]
        widest = max(*map(len, head.split()), *map(len, cells))  # or words and figures are cut in two
        table.add_column(Text(head), justify="right", min_width=widest)
        columns.append(cells)
    for row, in_row in zip(rows, zip(*columns, strict=True), strict=True):
        table.add_row(Text(row.name), *in_row)
    return table


def _cell(figure: Figure, *, told: bool) -> Text:
    """A figure in a row, with its target where the column's head has not told it."""
    target = "" if told or figure.target is None else str(figure.target)
    return Text(" ").join(part for part in (Text(_number(figure)), Text(target), _mark(figure)) if part)


def _number(figure: Figure) -> str:
    return "–" if figure.measured is None else f"{figure.measured:,.{figure.digits}f}"


def _mark(figure: Figure) -> Text:
    return {None: Text(""), True: Text("✓", style="green"), False: Text("✗", style="bold red")}[figure.met]


def print_json(outcomes: Sequence[Outcome]) -> None:
    """One JSON object on stdout."""
    body = {"machine": about(), "benchmarks": [outcome.to_dict() for outcome in outcomes]}
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
