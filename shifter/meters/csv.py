"""A CSV file that grows: `at,site,pool,model,requests_per_s,prompt_tokens,output_tokens` or `at,site,pool,
realtime_accelerators`, one row a model or a pool and moment. What it has at the first look is history.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from forecasts.errors import SourceUnavailable
from forecasts.slots import to_utc
from shifter.errors import InputError
from shifter.files.places import suggestion
from shifter.meters.base import Told
from shifter.views import ModelTraffic, TelemetrySample

MOST_AT_ONCE = 16 * 2**20
"""[bytes] Read at one look; the rest at the next."""
TOLD = ("at", "site", "pool")
TRAFFIC = ("model", "requests_per_s", "prompt_tokens", "output_tokens")
SCVS = ("prompt_scv", "output_scv", "arrival_scv")
LOAD = ("realtime_accelerators",)


@dataclass
class _Place:
    """How far a file was read: of which one, to which byte and line, and what its columns are."""

    inode: int
    columns: tuple[str, ...] = ()
    offset: int = 0
    line: int = 0


@dataclass
class _Gathered:
    """Of one pool and moment."""

    line: int
    at: datetime
    site: str
    pool: str
    load: float | None = None
    traffic: list[ModelTraffic] = field(default_factory=list)
    more: bool = False
    """Whether a part of it was told before."""


class CsvMeter:
    """Rows that a file has got since the last look, whole lines only; another file in its place is read from its start.

    Rows of one pool and moment are one sample: all its models, or the higher of two loads. Where a look falls between
    the last of them, the next tells all of it again.
    """

    def __init__(self, name: str, path: str, *, every_s: float = 10.0) -> None:
        self.name, self.every_s = name, every_s
        self.pool: tuple[str, str] | None = None
        self._path = Path(path)
        self._place: _Place | None = None
        self._last: dict[tuple[str, str], _Gathered] = {}
        """Of each pool what was told last, which may still grow."""

    def read(self, now: datetime) -> Sequence[Told]:
        """See `Meter.read`. Raises BadRows where some cannot be read, which holds the others."""
        lines, place = self._new_lines()
        good, bad = self._samples(lines, place)
        self._place = place
        if bad:
            raise BadRows(good, bad)
        return good

    def _new_lines(self) -> tuple[list[bytes], _Place]:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                place = self._place
                if place is None or place.inode != status.st_ino or status.st_size < place.offset:
                    place = _Place(status.st_ino)
                    self._last = {}
                file.seek(place.offset)
                body = file.read(MOST_AT_ONCE)
                if len(body) == MOST_AT_ONCE and b"\n" not in body:
                    body += file.readline()  # no row is so long, and what comes after it must be reached
        except OSError as error:
            raise SourceUnavailable(
                f"{self._path} cannot be read: {error.strerror}.",
                hint="Check the path; it is looked for again soon.",
            ) from error
        whole = body[: body.rfind(b"\n") + 1]  # the last line may still be being written
        return whole.split(b"\n")[:-1], _Place(
            place.inode, place.columns, place.offset + len(whole), place.line
        )

    def _samples(self, lines: list[bytes], place: _Place) -> tuple[list[Told], list[InputError]]:
        gathered: dict[tuple[datetime, str, str], _Gathered] = {}
        bad: list[InputError] = []
        for line in lines:
            place.line += 1
            if not place.columns:
                place.columns = self._columns(self._cells(line, place))
                continue
            try:
                row = self._cells(line, place)
                if not row:
                    continue
                one = self._row(row, place)
            except InputError as error:
                bad.append(error)
                continue
            key = (one.at, one.site, one.pool)
            last = self._last.get(key[1:])
            if key not in gathered and last is not None and last.at == one.at:
                gathered[key] = replace(last, more=True)
            other = gathered.setdefault(key, one)
            if other is not one:
                other.traffic = [*other.traffic, *one.traffic]
                other.load = None if one.load is None else max(one.load, other.load or 0.0)
        self._last |= {(one.site, one.pool): one for one in gathered.values()}
        return [self._told(one) for one in gathered.values()], bad

    def _cells(self, line: bytes, place: _Place) -> list[str]:
        """Of one line, read by itself: what is wrong with it, a quote that does not end say, is no other's matter."""
        where = f"{self._path.name}:{place.line}"
        try:
            text = line.decode("utf-8-sig" if place.line == 1 else "utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InputError("it is not UTF-8 text.", field=where, hint="Write it as UTF-8.") from error
        try:
            return next(csv.reader([text]), [])
        except csv.Error as error:
            raise InputError(
                f"it is no row of CSV: {error}.", field=where, hint="Write one row a line."
            ) from error

    def _columns(self, row: list[str]) -> tuple[str, ...]:
        columns = tuple(name.strip() for name in row)
        wanted = (*TOLD, *(LOAD if LOAD[0] in columns else TRAFFIC))
        allowed = wanted if LOAD[0] in columns else (*wanted, *SCVS)
        for name in wanted:
            if columns.count(name) != 1:
                raise InputError(
                    f"it has {'no column' if name not in columns else 'two columns'} {name}.",
                    field=f"{self._path.name}:1",
                    hint=f"Its first line is {','.join((*TOLD, *LOAD))}, or {','.join((*TOLD, *TRAFFIC))}.",
                )
        for name in columns:
            if name not in allowed:
                raise InputError(
                    f"nobody knows its column {name}.",
                    field=f"{self._path.name}:1",
                    hint=suggestion(name, allowed, "columns"),
                )
        return columns

    def _row(self, row: list[str], place: _Place) -> _Gathered:
        where = f"{self._path.name}:{place.line}"
        if len(row) != len(place.columns):
            raise InputError(
                f"it has {len(row)} values, and there are {len(place.columns)} columns.",
                field=where,
                hint=f"They are {','.join(place.columns)}.",
            )
        cells = dict(zip(place.columns, map(str.strip, row), strict=True))
        found = _Gathered(place.line, _moment(cells["at"], f"{where}.at"), cells["site"], cells["pool"])
        if LOAD[0] in cells:
            found.load = _number(cells, LOAD[0], where)
            return found
        rate = _number(cells, "requests_per_s", where)
        lengths = [
            _number(cells, name, where) if cells[name] else None
            for name in ("prompt_tokens", "output_tokens")
        ]
        scvs = {name: _number(cells, name, where) for name in SCVS if cells.get(name)}
        if rate > 0 and lengths[1] is not None and lengths[1] < 1:
            raise InputError("each answer has one token at least.", field=f"{where}.output_tokens")
        found.traffic = [ModelTraffic(cells["model"], rate, lengths[0], lengths[1], **scvs)]
        return found

    def _told(self, one: _Gathered) -> Told:
        sample = TelemetrySample(
            one.site, one.at, one.pool, one.load, traffic=tuple(one.traffic) if one.traffic else None
        )
        return Told(sample, f"{self._path.name}:{one.line}.", one.more)


class BadRows(InputError):
    """Some rows cannot be read; the others can, and count."""

    def __init__(self, good: Sequence[Told], bad: Sequence[InputError]) -> None:
        super().__init__(bad[0].detail, field=bad[0].field, hint=bad[0].hint, also=tuple(bad[1:]))
        self.good, self.bad = tuple(good), tuple(bad)


def _moment(text: str, where: str) -> datetime:
    try:
        return to_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError, InputError) as error:
        raise InputError(
            f"{text[:40]!r} is no moment.",
            field=where,
            hint="Write it as 2026-01-10T00:30:00Z, with its zone.",
        ) from error


def _number(cells: dict[str, str], name: str, where: str) -> float:
    try:
        value = float(cells[name])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise InputError(
            f"{cells[name][:40]!r} is no amount.", field=f"{where}.{name}", hint="Write a number, 0 or more."
        )
    return value
