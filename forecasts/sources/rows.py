"""A table of forecasts, as CSV text, into rows by vintage: every wrong one named by file and line, none skipped."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches

from forecasts.errors import InputError
from forecasts.series import Kind, Signal
from forecasts.slots import to_utc
from forecasts.spans import to_us
from forecasts.units import Unit, plausible

MOST_MISTAKES = 20
"""So many are named at once; a file in another format has one in every row."""

KINDS = (Kind.ACTUAL, Kind.CLEARED, Kind.FORECAST, Kind.SYNTHETIC)
"""What a row may say that its values are."""

UNKNOWN_YET = "Leave it empty where nothing is published yet."

_QUANTILE = re.compile(r"_p(\d{1,2}(?:\.\d+)?)$")


@dataclass(frozen=True)
class Layout:
    """Which column is what. `signals` maps to column names; a quantile's column is that name and `_p10`.
    `kind` is that of rows that do not say: `kind_column` may be missing, and its cells empty.
    """

    zone: str | None
    issued_at: str | None
    start: str
    end: str | None
    signals: Mapping[Signal, str]
    units: Mapping[Signal, Unit]
    kind: Kind = Kind.FORECAST
    kind_column: str | None = None
    constant_zone: str | None = None
    timezone: tzinfo | None = None
    step_minutes: int | None = None
    delimiter: str = ","


@dataclass
class Rows:
    """The rows of one zone and issue time. `cells` has, by column, a value or None for an empty cell."""

    line: list[int] = field(default_factory=list)
    start_us: list[int] = field(default_factory=list)
    end_us: list[int] = field(default_factory=list)
    kind: list[Kind] = field(default_factory=list)
    cells: dict[str, list[float | None]] = field(default_factory=dict)


def read_rows(body: bytes, place: str, layout: Layout) -> dict[tuple[str, int | None], Rows]:
    """The rows by zone and issue time [µs]. Raises InputError for those that are wrong, the others in `also`."""
    reader = _Reader(place, layout)
    reader.read(_decoded(body, place))
    reader.raise_mistakes()
    return reader.vintages


def check_header(line: bytes, place: str, layout: Layout) -> None:
    """Raises InputError, with every mistake in `also`, where a table's first line lacks a column."""
    reader = _Reader(place, layout)
    reader.check_header(_decoded(line, place))
    reader.raise_mistakes()


class _Reader:
    """Reads rows into vintages, collecting mistakes."""

    def __init__(self, place: str, layout: Layout) -> None:
        self.place, self.layout = place, layout
        self.mistakes: list[InputError] = []
        self.vintages: dict[tuple[str, int | None], Rows] = {}
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
        if self.mistakes:
            return
        if not self.vintages:
            self._wrong(1, "no row follows the header.", "An empty forecast says nothing.")
        elif all(
            cell is None for rows in self.vintages.values() for cells in rows.cells.values() for cell in cells
        ):
            self._wrong(1, f"no row has a value under {self._told(header)}.", self._misnamed(header))

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
        if not any(header):
            self._wrong(1, "the file is empty.", "Its first line names the columns.")
            return {}
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
        optional = [] if layout.kind_column is None else [layout.kind_column]
        return {name: header.index(name) for name in (*needed, *told, *bands, *optional) if name in header}

    def _told(self, header: list[str]) -> str:
        return " or ".join(c for c in self.layout.signals.values() if c in header)

    def _misnamed(self, header: list[str]) -> str:
        """A hint at a column that is not looked at, and sounds like one that would be."""
        for signal, column in self.layout.signals.items():
            like = [name for name in header if name.lower().startswith(signal.value) and column not in header]
            if like:
                return f"Is {like[0]!r} it? Name it {column!r}, or map it in the source's columns."
        return "An empty forecast says nothing."

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
        rows = self.vintages.setdefault((zone, issued), Rows())
        span = self._span(line, row, at, after=rows.start_us[-1] if rows.start_us else None)
        cells = None if span is None else self._cells(line, row, at)
        kind = None if cells is None else self._kind(line, row, at)
        if span is None or cells is None or kind is None:
            return
        if kind is Kind.ACTUAL and issued is not None and issued < to_us(span[1]):
            self._wrong(
                line,
                "it is said to be measured, and was issued before its interval was over.",
                "Give the time at which it was known, or the kind forecast.",
                layout.issued_at or "issued_at",
            )
            return
        rows.line.append(line)
        rows.start_us.append(to_us(span[0]))
        rows.end_us.append(to_us(span[1]))
        rows.kind.append(kind)
        for name, cell in cells.items():
            rows.cells.setdefault(name, []).append(cell)

    def _span(
        self, line: int, row: list[str], at: Mapping[str, int], *, after: int | None
    ) -> tuple[datetime, datetime] | None:
        layout = self.layout
        start = self._time(line, layout.start, row[at[layout.start]], after=after)
        if start is None:
            return None
        if layout.end is None:
            return start, start + timedelta(minutes=layout.step_minutes or 0)
        end = self._time(line, layout.end, row[at[layout.end]], after=to_us(start))
        if end is not None and end <= start:
            self._wrong(line, "the end is not after the start.", "Intervals are [start, end).", layout.end)
            return None
        return None if end is None else (start, end)

    def _cells(self, line: int, row: list[str], at: Mapping[str, int]) -> dict[str, float | None] | None:
        cells = {}
        for name, i in at.items():
            signal = self._signal_of(name)
            if signal is None:
                continue
            try:
                cells[name] = _number(row[i], signal, self.layout.units[signal])
            except ValueError as e:
                detail, hint = e.args
                self._wrong(line, detail, hint, name)
                return None
        return cells

    def _kind(self, line: int, row: list[str], at: Mapping[str, int]) -> Kind | None:
        column = self.layout.kind_column
        said = row[at[column]].strip() if column is not None and column in at else ""
        if not said or said in KINDS:
            return Kind(said) if said else self.layout.kind
        self._wrong(
            line,
            f"{said[:40]!r} is not {', '.join(KINDS[:-1])} or {KINDS[-1]}.",
            "Say what the values are, or map columns.kind to null where it means something else.",
            column or "",
        )
        return None

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

    def raise_mistakes(self) -> None:
        if self.mistakes:
            first, *rest = self.mistakes
            raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(rest))

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
    """A finite, plausible number, or None for an empty cell. Raises ValueError: what is wrong, and what to do."""
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number.", UNKNOWN_YET) from None
    if "_" in text or not math.isfinite(number):
        raise ValueError(f"{text[:40]!r} is not a finite number.", UNKNOWN_YET)
    low, high = plausible(signal, unit.canonical)
    if not low <= number * unit.factor <= high:
        outside = f"{text[:40]} is outside {low:g} to {high:g} {unit.canonical}."
        raise ValueError(outside, "No grid has that; the unit is probably another.")
    return number
