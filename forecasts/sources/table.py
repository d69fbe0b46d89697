"""A table of forecasts, as CSV text, into series: every wrong row named by file and line, none skipped."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from itertools import pairwise

import numpy as np

from forecasts.checks import FLAT_CARBON, check_series
from forecasts.errors import ForecastRejected, InputError
from forecasts.log import from_us, to_us
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import to_utc
from forecasts.units import PLAUSIBLE, Unit

MOST_MISTAKES = 20
"""So many are named at once; a file in another format has one in every row."""

_QUANTILE = re.compile(r"_p(\d{1,2}(?:\.\d+)?)$")


@dataclass(frozen=True)
class Layout:
    """Which column is what. `signals` maps to column names; a quantile's column is that name and `_p10`."""

    zone: str | None
    issued_at: str | None
    start: str
    end: str | None
    signals: Mapping[Signal, str]
    units: Mapping[Signal, Unit]
    constant_zone: str | None = None
    timezone: tzinfo | None = None
    step_minutes: int | None = None
    delimiter: str = ","


@dataclass
class _Vintage:
    """The rows of one zone and issue time. `cells` has, by column, a value or None for an empty cell."""

    line: list[int] = field(default_factory=list)
    start_us: list[int] = field(default_factory=list)
    end_us: list[int] = field(default_factory=list)
    cells: dict[str, list[float | None]] = field(default_factory=dict)


def read_series(
    body: bytes,
    place: str,
    layout: Layout,
    *,
    now: datetime,
    source: str,
    kind: Kind = Kind.FORECAST,
    basis: Basis = Basis.AVERAGE,
    licence: str = "",
    attribution: str = "",
    refuse_flat_carbon: bool = False,
) -> list[ForecastSeries]:
    """One series a zone, signal and issue time, sorted by them. `place` names the file in errors.

    Raises InputError for rows that are wrong (the others found in `also`) and ForecastRejected for a vintage
    that is unfit, naming the line.
    """
    reader = _Reader(place, layout)
    reader.read(_decoded(body, place))
    if reader.mistakes:
        first, *rest = reader.mistakes
        raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(rest))
    found = []
    flat = FLAT_CARBON if refuse_flat_carbon else None
    for (zone, issued_us), rows in sorted(reader.vintages.items(), key=lambda kv: (kv[0][0], kv[0][1] or 0)):
        issued_at = None if issued_us is None else from_us(issued_us)
        for signal, column in layout.signals.items():
            part = _published(rows, column, place)
            if part is None:
                continue
            at, bands = part
            unit = layout.units[signal]
            series = ForecastSeries(
                zone=zone,
                signal=signal,
                unit=unit.canonical,
                source=source,
                known_at=issued_at or now,
                start=np.array([rows.start_us[i] for i in at], dtype="datetime64[us]"),
                end=np.array([rows.end_us[i] for i in at], dtype="datetime64[us]"),
                values=np.array(bands.pop(0.0)) * unit.factor,
                kind=kind,
                basis=basis if signal is Signal.CARBON else None,
                issued_at=issued_at,
                quantiles={p: np.array(band) * unit.factor for p, band in bands.items()},
                licence=licence,
                attribution=attribution,
            )
            _check_rows(rows, at, series, place)
            found.append(check_series(series, flat_carbon=flat))
    return found


def check_header(line: bytes, place: str, layout: Layout) -> None:
    """Raises InputError, with every mistake in `also`, where a table's first line lacks a column."""
    reader = _Reader(place, layout)
    reader.check_header(_decoded(line, place))
    if reader.mistakes:
        first, *rest = reader.mistakes
        raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(rest))


class _Reader:
    """Reads rows into vintages, collecting mistakes."""

    def __init__(self, place: str, layout: Layout) -> None:
        self.place, self.layout = place, layout
        self.mistakes: list[InputError] = []
        self.vintages: dict[tuple[str, int | None], _Vintage] = {}
        self._times: dict[str, datetime] = {}

    def read(self, text: str) -> None:
        rows = self._rows(text)
        _, header = next(rows, (1, []))
        header = [name.strip() for name in header]
        at = self._columns(header)
        if self.mistakes:
            return
        for line, row in rows:
            if not row:  # a blank line
                continue
            if len(row) != len(header):
                self._wrong(line, f"{len(row)} fields where the header has {len(header)}.", "Is it cut off?")
            else:
                self._row(line, row, at)
            if len(self.mistakes) >= MOST_MISTAKES:
                return
        if not self.vintages and not self.mistakes:
            self._wrong(1, "no row follows the header.", "An empty forecast says nothing.")

    def check_header(self, text: str) -> None:
        _, header = next(self._rows(text), (1, []))
        self._columns([name.strip() for name in header])

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.layout.delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as e:
                self._wrong(line, f"the row cannot be read: {e}.", "A quote that is not closed, or cut off.")
                return
            yield line, row

    def _columns(self, header: list[str]) -> dict[str, int]:
        layout = self.layout
        twice = {name for name in header if name and header.count(name) > 1}
        if twice:
            self._wrong(1, f"the column {min(twice)!r} comes twice.", "Rename or remove one.")
        needed = [c for c in (layout.zone, layout.issued_at, layout.start, layout.end) if c is not None]
        told = [c for c in layout.signals.values() if c in header]
        if not told:
            needed += list(layout.signals.values())[:1]
        for name in needed:
            if name not in header:
                near = get_close_matches(name, header, n=1)
                hint = f"Is it {near[0]!r}? " if near else ""
                self._wrong(1, f"there is no column {name!r}.", f"{hint}Map it in the source's columns.")
        bands = [n for n in header for c in told if n.startswith(f"{c}_p") and _QUANTILE.search(n)]
        return {name: header.index(name) for name in (*needed, *told, *bands) if name in header}

    def _row(self, line: int, row: list[str], at: Mapping[str, int]) -> None:
        layout = self.layout
        zone = layout.constant_zone if layout.zone is None else row[at[layout.zone]].strip()
        if not zone:
            self._wrong(line, "the zone is empty.", "Name the grid zone.", layout.zone or "zone")
            return
        issued: int | None = None
        if layout.issued_at is not None:
            moment = self._time(line, layout.issued_at, row[at[layout.issued_at]])
            if moment is None:
                return
            issued = to_us(moment)
        rows = self.vintages.setdefault((zone, issued), _Vintage())
        start = self._time(line, layout.start, row[at[layout.start]], after=_last(rows.start_us))
        if start is None:
            return
        if layout.end is None:
            end: datetime | None = start + timedelta(minutes=layout.step_minutes or 0)
        else:
            end = self._time(line, layout.end, row[at[layout.end]], after=to_us(start))
        if end is None:
            return
        if end <= start:
            self._wrong(
                line, "the end is not after the start.", "Intervals are [start, end).", layout.end or ""
            )
            return
        cells = {}
        for name, i in at.items():
            signal = self._signal_of(name)
            if signal is None:
                continue
            try:
                cells[name] = _number(row[i], signal, self.layout.units[signal])
            except ValueError as e:
                self._wrong(line, str(e), "Leave it empty where nothing is published yet.", name)
                return
        rows.line.append(line)
        rows.start_us.append(to_us(start))
        rows.end_us.append(to_us(end))
        for name, cell in cells.items():
            rows.cells.setdefault(name, []).append(cell)

    def _signal_of(self, column: str) -> Signal | None:
        for signal, name in self.layout.signals.items():
            if column == name or (column.startswith(f"{name}_p") and _QUANTILE.search(column)):
                return signal
        return None

    def _time(self, line: int, column: str, text: str, *, after: int | None = None) -> datetime | None:
        """The moment; of the two that a local time at the autumn change may mean, the first one `after`."""
        found = self._times.get(text)
        if found is None:
            try:
                found = datetime.fromisoformat(text.strip())
            except ValueError:
                self._wrong(line, f"{text[:40]!r} is not a time.", "Write 2026-01-10T00:00:00Z.", column)
                return None
            self._times[text] = found
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        if self.layout.timezone is None:
            self._wrong(
                line, f"{text!r} has no time zone.", "End it in Z, or set the source's timezone.", column
            )
            return None
        local = found.replace(tzinfo=self.layout.timezone)
        first, second = to_utc(local), to_utc(local.replace(fold=1))
        if (
            first > second
        ):  # the hour that the spring change leaves out: fold tells apart the two ways to miss it
            self._wrong(line, f"{text!r} does not exist in {self.layout.timezone}.", "Use UTC.", column)
            return None
        return second if after is not None and to_us(first) <= after < to_us(second) else first

    def _wrong(self, line: int, detail: str, hint: str, column: str = "") -> None:
        where = f"{self.place}:{line}"
        self.mistakes.append(InputError(f"{column}: {detail}" if column else detail, field=where, hint=hint))


def _decoded(body: bytes, place: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = body[: e.start].count(b"\n") + 1
        raise InputError(
            f"the byte 0x{body[e.start]:02x} is not UTF-8.",
            field=f"{place}:{line}",
            hint="Save the file as UTF-8.",
        ) from e


def _number(text: str, signal: Signal, unit: Unit) -> float | None:
    """A finite, plausible number, or None for an empty cell. Raises ValueError that says what is wrong."""
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number.") from None
    if "_" in text or not math.isfinite(number):
        raise ValueError(f"{text[:40]!r} is not a finite number.")
    low, high = PLAUSIBLE[signal]
    if not low <= number * unit.factor <= high:
        raise ValueError(f"{text[:40]} is outside {low:g} to {high:g} {unit.canonical}.")
    return number


def _last(values: list[int]) -> int | None:
    return values[-1] if values else None


def _published(rows: _Vintage, column: str, place: str) -> tuple[list[int], dict[float, list[float]]] | None:
    """The rows by start, less the empty cells before and after, and their numbers by quantile (0: the value).

    None where every cell is empty. Raises ForecastRejected for an empty cell in between.
    """
    cells = rows.cells.get(column)
    if cells is None:
        return None
    order = sorted(range(len(rows.line)), key=lambda i: rows.start_us[i])
    told = [k for k, i in enumerate(order) if cells[i] is not None]
    if not told:
        return None
    at = order[told[0] : told[-1] + 1]
    bands: dict[float, list[float]] = {}
    for name, band in rows.cells.items():
        if name == column:
            p = 0.0
        elif name.startswith(f"{column}_p"):
            p = float(name[len(column) + 2 :]) / 100
        else:
            continue
        said = [band[i] for i in at]
        if all(v is None for v in said):
            continue
        for i, v in zip(at, said, strict=True):
            if v is None:
                raise ForecastRejected(
                    f"{name} is empty between rows that have it.",
                    field=f"{place}:{rows.line[i]}",
                    hint="A vintage has no holes; only what is not published yet, at its end, may be empty.",
                )
        bands[p] = [v for v in said if v is not None]
    return at, bands


def _check_rows(rows: _Vintage, at: list[int], series: ForecastSeries, place: str) -> None:
    """Gaps and overlaps, with the lines they stand on, which `check_series` cannot know."""
    for earlier, later in pairwise(at):
        step = rows.start_us[later] - rows.end_us[earlier]
        if step == 0:
            continue
        start = from_us(rows.start_us[later])
        if rows.start_us[later] == rows.start_us[earlier]:
            what, hint = f"comes twice, first in line {rows.line[earlier]}", "Remove one."
        elif step < 0:
            what, hint = f"overlaps the one in line {rows.line[earlier]}", "Intervals may not overlap."
        else:
            what = f"follows a gap of {timedelta(microseconds=step)} after line {rows.line[earlier]}"
            hint = "Add the missing rows; a gap is not filled in."
        raise ForecastRejected(
            f"{series.key}: the interval from {start:%Y-%m-%dT%H:%M:%SZ} {what}.",
            field=f"{place}:{rows.line[later]}",
            hint=hint,
            series=series.key,
        )
