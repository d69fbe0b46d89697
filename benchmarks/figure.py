"""A figure: what was measured, beside what it should be and beside what somebody else gets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

CASES = ("small", "gang", "quarter", "fleet")
"""The cases that every benchmark of plans takes, in this order."""
SEED = 1
"""Of cases that a generator makes; further seeds come after it."""


class Skipped(Exception):
    """A benchmark cannot run here; the message says what it lacks and how to give it."""


class Target(Protocol):
    """What a figure should be."""

    def met(self, measured: float) -> bool:
        """Whether it is."""
        ...


@dataclass(frozen=True)
class Below:
    """At most `limit`, exclusive."""

    limit: float

    def met(self, measured: float) -> bool:
        """Whether it is."""
        return measured < self.limit

    def __str__(self) -> str:
        return f"< {self.limit:g}"


@dataclass(frozen=True)
class AtMost:
    """At most `limit`, inclusive."""

    limit: float

    def met(self, measured: float) -> bool:
        """Whether it is."""
        return measured <= self.limit

    def __str__(self) -> str:
        return f"≤ {self.limit:g}"


@dataclass(frozen=True)
class AtLeast:
    """At least `limit`, inclusive."""

    limit: float

    def met(self, measured: float) -> bool:
        """Whether it is."""
        return measured >= self.limit

    def __str__(self) -> str:
        return f"≥ {self.limit:g}"


@dataclass(frozen=True)
class Within:
    """No farther than `tolerance` from `value`."""

    value: float
    tolerance: float

    def met(self, measured: float) -> bool:
        """Whether it is."""
        return abs(measured - self.value) <= self.tolerance

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.tolerance:g}" if self.tolerance else f"{self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `measured` is None for what others published and we only quote."""

    name: str
    measured: float | None
    unit: str = ""
    target: Target | None = None
    beside: str = ""
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None or self.measured is None else bool(self.target.met(self.measured))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "figure": self.name,
            "measured": self.measured,
            "unit": self.unit,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
            "beside": self.beside,
        }


@dataclass(frozen=True)
class Row:
    """Figures of one thing, side by side: rows in a run make a table, headed by their figures' names and units."""

    name: str
    figures: tuple[Figure, ...]
    beside: str = ""

    def flat(self) -> Iterator[Figure]:
        """The same figures one by one, each under the row's name and its own."""
        for figure in self.figures:
            beside = "; ".join(filter(None, (figure.beside, self.beside)))
            yield replace(figure, name=f"{self.name}, {figure.name}", beside=beside)


Line = Figure | Row


def flat(lines: Iterable[Line]) -> Iterator[Figure]:
    """All figures, those of rows one by one."""
    for line in lines:
        yield from line.flat() if isinstance(line, Row) else (line,)


def left_out(names: Sequence[str], found: Container[str]) -> Iterator[Figure]:
    """A line for each case that there is not."""
    for name in names:
        if name not in found:
            said = f"there is no {name}: give --cases PATH, or --generator PROGRAM that makes it"
            yield Figure(f"{name}: skipped", None, beside=said)


Tell = Callable[[str, float], None]
"""Progress: what is being done, and the share of the benchmark that is done (0..1)."""


def quiet(_what: str, _done_ratio: float) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Options:
    """Where data, cases and the judge lie; None where they are not given.

    `generator` makes a case that does not lie among the cases: a program that takes KIND SEED OUT_DIR. What may not
    live, such as a model of somebody else, is stopped after `time_limit_s` or beyond `memory_limit_mib`. `seeds` is how
    many further ones of each kind are made, `repeat` how often a large case is planned. `ingest` are the stores that
    are filled: zones, days.
    """

    data: Path | None = None
    cases: Path | None = None
    judge: Path | None = None
    processes: int = 2
    generator: Path | None = None
    time_limit_s: float = 600.0
    memory_limit_mib: float = 12 * 1024.0
    seeds: int = 3
    repeat: int = 1
    ingest: tuple[tuple[int, int], ...] = ((2, 35),)

    @property
    def limits(self) -> dict[str, float]:
        """What one run may take, by the names that `machine.watch` has for them."""
        return {"time_limit_s": self.time_limit_s, "memory_limit_mib": self.memory_limit_mib}

    def data_folder(self, name: str) -> Path:
        """A folder of the data. Raises Skipped where it is not there."""
        if self.data is None:
            raise Skipped("needs the data: give --data PATH (make bench DATA=PATH).")
        folder = self.data / name
        if not folder.is_dir():
            raise Skipped(f"finds no {name} in {self.data}: give --data the folder that holds it.")
        return folder

    def case(self, name: str) -> Path | None:
        """The folder of one case, None where it is not there."""
        folder = None if self.cases is None else self.cases / name
        return folder if folder is not None and (folder / "case.json").is_file() else None

    def case_or_made(self, name: str, kept: Path) -> Path | None:
        """The folder of one case; where it is not there, a generator makes it in `kept`. None without one."""
        found = self.case(name)
        return found if found is not None or self.generator is None else self.made(name, SEED, kept / name)

    def cases_or_made(self, names: Sequence[str], kept: Path) -> dict[str, Path]:
        """Those of some cases that there are or that a generator makes. Raises Skipped where that is none."""
        found = {name: self.case_or_made(name, kept) for name in names}
        if not any(found.values()):
            wanted = f"needs {' or '.join(names)} among the cases"
            raise Skipped(f"{wanted}: give --cases PATH, or --generator PROGRAM that makes them.")
        return {name: folder for name, folder in found.items() if folder is not None}

    def made(self, kind: str, seed: int, folder: Path) -> Path:
        """A folder in which the generator has made a case. Raises Skipped without one, RuntimeError where it fails."""
        if self.generator is None:
            raise Skipped("needs a program that makes cases: give --generator PROGRAM.")
        command = [sys.executable, str(self.generator), kind, str(seed), str(folder)]
        # A seed is not all that a generator's sets and dicts hang on.
        same = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=same)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise RuntimeError(f"the generator made no case {kind}: {last}")
        return folder


Run = Callable[[Options, Tell], Iterator[Line]]
"""A benchmark: yields its figures, alone or in rows, tells how far it is, raises Skipped."""
