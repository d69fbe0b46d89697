"""All units of a backtest into one folder; what is there already is not done again.

units/<digest of its inputs>.parquet      one a unit, written as soon as its executor tells that it is done
results.parquet  slots.parquet            all of them, in the order of the units
report.html                               the same to look at
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shifter.backtest.case import Case, Unit
from shifter.backtest.executors import Executor
from shifter.backtest.results import Row, arrow, read_row, write_results, write_unit

Told = Callable[[str], None]
"""Called with a unit's name as it is done."""


@dataclass(frozen=True)
class Campaign:
    """Units, and the files that hold what they came to."""

    units: tuple[Unit, ...]
    files: tuple[Path, ...]
    there: frozenset[str]
    """Names of those that were done before."""

    @classmethod
    def of(cls, cases: Iterable[Case], policies: Sequence[str], folder: Path) -> Campaign:
        """Every policy on every case. Raises InputError where pyarrow is not installed, or a file is none of ours."""
        arrow()
        (folder / "units").mkdir(parents=True, exist_ok=True)
        units = tuple(Unit(case, policy) for case in cases for policy in policies)
        files = tuple(folder / "units" / f"{unit.digest()}.parquet" for unit in units)
        kept = [(unit.name, read_row(path)) for unit, path in zip(units, files, strict=True) if path.exists()]
        there = frozenset(name for name, _ in kept)
        return cls(units, files, there)

    def run(self, executor: Executor, told: Told = lambda _: None) -> list[Row]:
        """Do what is not done yet. Returns the rows of all units; the folder holds all results."""
        path_of = {id(unit): path for unit, path in zip(self.units, self.files, strict=True)}
        todo = [unit for unit in self.units if unit.name not in self.there]
        if todo:
            for unit, result in executor.map(todo):
                write_unit(path_of[id(unit)], result)
                told(unit.name)
        return write_results(self.files[0].parents[1], self.files)
