"""The forecast store: every zone's price and carbon for 96 h told anew every half-hour, kept and asked about.

A store of its own for each size (`--ingest ZONESxDAYS`, as often as wanted) and each case of how sources revise, in
SQLite as the daemon has it: what all zones tell at one time is one durable transaction. The figures told are made up
from a seed: a daily wave, a slow drift and noise, prices in hundredths and carbon in whole grams, as they are
published; of what was told before, a share is revised each half-hour. Questions are asked of random zones as of random
moments of the second half, each on a connection of its own; they reach back as far as is told, or as the store is old.
Nothing is extrapolated but the line that says so.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from benchmarks.figure import Below, Figure, Line, Options, Row, Tell
from forecasts import tables
from forecasts.extend import LOOKBACK
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Signal
from forecasts.slots import Floats, as_datetime64
from forecasts.store import ForecastStore
from shifter.store.db import Database

START = datetime(2025, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
AHEAD = 192
"""Half-hours that a vintage tells of."""
A_DAY = timedelta(days=1) // STEP
SEED = 7
SOURCE = "grid"
QUESTIONS = 200
LIMIT_MS = 50.0
WINDOWS = {
    "as_of, 4 weeks back and 96 h ahead": (timedelta(weeks=4), AHEAD * STEP),
    "as_of, a plan's 7 days back and 48 h ahead": (LOOKBACK, timedelta(hours=48)),
}
"""What is asked about: how far back and how far ahead."""
YEAR_ZONES, YEAR_DAYS = 50, 365


@dataclass(frozen=True)
class Case:
    """How a source revises: the share of values that each vintage tells otherwise, and whether it rounds them."""

    name: str
    revised_ratio: float
    rounded: bool = True


CASES = (
    Case("one in ten changed", 0.1),
    Case("every value changed", 1.0),
    Case("every value changed, all digits", 1.0, rounded=False),
)


def name_of(zone: int) -> str:
    """A zone's name."""
    return f"Z{zone:02}"


class Curve:
    """One zone's price or carbon: what is told of it, half-hour by half-hour."""

    def __init__(self, zone: int, signal: Signal, days: int, case: Case) -> None:
        self.zone, self.signal, self.case = name_of(zone), signal, case
        self._rng = np.random.default_rng((SEED, zone, signal is Signal.CARBON))
        self._level, self._decimals = (80.0, 2) if signal is Signal.PRICE else (250.0, 0)
        n = days * A_DAY + AHEAD
        drift = np.cumsum(self._rng.normal(0, 0.004, n))
        wave = 0.35 * np.sin(2 * np.pi * (np.arange(n) + zone) / A_DAY)
        self._edges = as_datetime64(START) + np.arange(n + 1) * np.timedelta64(30, "m")
        self._told = self._as_published(self._level * (1 + wave + drift + self._rng.normal(0, 0.03, n)))

    def vintage(self, k: int) -> ForecastSeries:
        """What is told at the `k`th half-hour."""
        ahead = slice(k, k + AHEAD)
        revised = self._rng.random(AHEAD) < self.case.revised_ratio
        change = self._level * self._rng.normal(0, 0.02, AHEAD)
        self._told[ahead] = np.where(
            revised, self._as_published(self._told[ahead] + change), self._told[ahead]
        )
        carbon = self.signal is Signal.CARBON
        return ForecastSeries(
            zone=self.zone,
            signal=self.signal,
            unit=CARBON_UNIT if carbon else "EUR/MWh",
            source=SOURCE,
            known_at=START + k * STEP,
            start=self._edges[ahead],
            end=self._edges[k + 1 : k + 1 + AHEAD],
            values=self._told[ahead].copy(),
            basis=Basis.AVERAGE if carbon else None,
            licence="CC BY 4.0",
            attribution="An operator of transmission systems",
        )

    def _as_published(self, values: Floats) -> Floats:
        return np.round(values, self._decimals) if self.case.rounded else values


@dataclass
class Filled:
    """What came of filling a store; times are of appending alone."""

    n_vintages: int = 0
    n_changed: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


def fill(store: ForecastStore, zones: int, days: int, case: Case, tell: Callable[[float], None]) -> Filled:
    """Every half-hour of `days`."""
    signals = (Signal.PRICE, Signal.CARBON)
    curves = [Curve(zone, signal, days, case) for zone in range(zones) for signal in signals]
    filled = Filled()
    for k in range(days * A_DAY):
        polled = [curve.vintage(k) for curve in curves]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        done = store.append_all(polled)
        filled.wall_s += time.perf_counter() - wall_s
        filled.cpu_s += time.process_time() - cpu_s
        filled.n_vintages += sum(d.status == "new" for d in done)
        filled.n_changed += sum(d.changed_values for d in done)
        tell((k + 1) / (days * A_DAY))
    return filled


def asked(store: ForecastStore, zones: int, days: int) -> Iterator[Figure]:
    """How long each kind of question takes."""
    rng = np.random.default_rng(SEED)
    ask = {name: partial(_as_of, store, *window) for name, window in WINDOWS.items()}
    ask["latest"] = partial(_latest, store)
    for name, answer in ask.items():
        wall_ms, cpu_ms = [], []
        for _ in range(QUESTIONS):
            zone, signal = name_of(int(rng.integers(zones))), (Signal.PRICE, Signal.CARBON)[rng.integers(2)]
            moment = START + days * timedelta(days=1) * float(rng.uniform(0.5, 1.0))
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            told = answer(zone, signal, moment)
            wall_ms.append(1000 * (time.perf_counter() - wall_s))
            cpu_ms.append(1000 * (time.process_time() - cpu_s))
            if not told:
                raise RuntimeError(f"nothing is known of the {signal} of {zone} at {moment}")
        beside = (
            f"99 of 100 within {np.quantile(wall_ms, 0.99):.1f} ms; of CPU time {np.median(cpu_ms):.1f} ms, "
            f"99 of 100 within {np.quantile(cpu_ms, 0.99):.1f} ms"
        )
        target = None if name == "latest" else Below(LIMIT_MS)
        yield Figure(name, float(np.median(wall_ms)), "ms", target, beside, digits=1)


def _as_of(
    store: ForecastStore, back: timedelta, ahead: timedelta, zone: str, signal: Signal, at: datetime
) -> object:
    return store.as_of(zone, signal, at, at - back, at + ahead)


def _latest(store: ForecastStore, zone: str, signal: Signal, at: datetime) -> object:
    return store.latest(f"{SOURCE}:{zone}:{signal}", at)


def measured(
    folder: Path, zones: int, days: int, case: Case, tell: Callable[[float], None]
) -> tuple[Row, list[Figure]]:
    """One store: filled, weighed, asked, pruned."""
    path = folder / "store.db"
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    store = ForecastStore(database.engine)
    filled = fill(store, zones, days, case, tell)
    with database.read() as db:
        counts = [select(func.count()).select_from(table) for table in tables.metadata.sorted_tables]
        rows = sum(db.execute(count).scalar_one() for count in counts)
    size = path.stat().st_size  # no connection is open, so that all is in it
    each = size / filled.n_vintages
    n_values = filled.n_vintages * AHEAD
    row = Row(
        f"{zones} zones, {days} days, {case.name}",
        (
            Figure("vintages", filled.n_vintages, digits=0),
            Figure("values told", n_values / 1e6, "million", digits=1),
            Figure("of them changed", 100 * filled.n_changed / n_values, "%", digits=0),
            Figure("rows", rows, digits=0),
            Figure("size", size / 1e6, "MB", digits=1),
            Figure("a vintage", each, "B", digits=0),
            Figure("vintages appended", filled.n_vintages / filled.wall_s, "1/s", digits=0),
            Figure("CPU a vintage", 1000 * filled.cpu_s / filled.n_vintages, "ms"),
        ),
        f"extrapolated, a year of {YEAR_ZONES} zones at as many bytes a vintage: "
        f"{each * 2 * YEAR_ZONES * YEAR_DAYS * A_DAY / 1e9:.2f} GB",
    )
    questions = [replace(figure, name=f"{row.name}: {figure.name}") for figure in asked(store, zones, days)]
    half = START + timedelta(days=days / 2)
    store.prune(half)
    begun = time.perf_counter()
    gone = store.prune(half + timedelta(hours=6))
    pruned = Figure(
        f"{row.name}: prune, 6 h more",
        time.perf_counter() - begun,
        "s",
        beside=f"{gone:,} intervals gone or cut",
    )
    database.close()
    return row, [*questions, pruned]


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each size in each case: first how it grows, then what it answers how fast."""
    todo = [(zones, days, case) for zones, days in options.ingest for case in CASES]
    whole, done = sum(zones * days for zones, days, _ in todo), 0
    figures: list[Figure] = []
    for zones, days, case in todo:
        title = f"{zones} zones, {days} days, {case.name}"
        told = partial(_share, tell, title, done / whole, zones * days / whole)
        with tempfile.TemporaryDirectory(prefix="shifter-ingest-") as folder:
            row, answers = measured(Path(folder), zones, days, case, told)
        yield row
        figures += answers
        done += zones * days
    yield from figures


def _share(tell: Tell, what: str, done_ratio: float, share_ratio: float, ratio: float) -> None:
    tell(what, done_ratio + ratio * share_ratio)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("ingest")
