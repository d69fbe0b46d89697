"""Forecasts from a CSV file or URL: the contract's `forecasts.csv`, or any table with its columns mapped.

Several `issued_at` for one interval are vintages, known when they were issued. A row that is wrong is named
by file and line, and the file is refused whole: nothing is skipped.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forecasts.errors import InputError, SourceUnavailable
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources.base import ANY_ZONE, FetchRequest, SourceInfo, SourceOptions
from forecasts.sources.http import HttpClient, redact, shared_client
from forecasts.sources.publication import Continuous
from forecasts.sources.rows import Layout, check_header
from forecasts.sources.table import read_series
from forecasts.units import parse_unit

LONGEST_HEADER_BYTES = 2**16


class Columns(BaseModel):
    """The names of the columns; None for one that the file does not have. That of `kind` is read where it is
    there: actual, cleared, forecast or synthetic.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str | None = "zone"
    issued_at: str | None = "issued_at"
    start: str = "start"
    end: str | None = "end"
    price: str | None = "price_per_mwh"
    carbon: str | None = "carbon_g_per_kwh"
    kind: str | None = "kind"


class CsvOptions(SourceOptions):
    """Where the file is and how to read it. The defaults read the contract's `forecasts.csv`."""

    path: Path | None = Field(None, description="the file")
    url: str | None = Field(None, description="or where to fetch it from, http or https")
    name: str = Field(
        "csv", min_length=1, max_length=64, pattern="^[^:]+$", description="the source's name in the frame"
    )
    columns: Columns = Field(default_factory=Columns)
    currency: str = Field("EUR", description="of the price column, where price_unit does not say")
    price_unit: str | None = Field(None, description="of the price column; default <currency>/MWh")
    carbon_unit: str = Field(CARBON_UNIT, description="of the carbon column")
    basis: Basis = Field(Basis.AVERAGE, description="of the carbon column")
    kind: Literal["actual", "cleared", "forecast", "synthetic"] = Field(
        "forecast", description="of rows that do not say"
    )
    zone: str | None = Field(None, description="of every row, where there is no zone column")
    timezone: str | None = Field(
        None, description="of times without a zone; such times are refused without it"
    )
    step_minutes: int | None = Field(
        None, ge=1, description="length of an interval, where there is no end column"
    )
    delimiter: str = Field(",", min_length=1, max_length=1)
    max_bytes: int = Field(256 * 2**20, gt=0)
    refuse_flat_carbon: bool = Field(
        False, description="refuse carbon that stands still for 24 h: for a feed, not for a static factor"
    )
    licence: str = ""
    attribution: str = ""
    restricted: bool = Field(False, description="the licence forbids passing the values on")

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as e:
                raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from e
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path or url")
        if self.columns.zone is None and self.zone is None:
            raise ValueError("there is no zone column, so give zone")
        if self.columns.end is None and self.step_minutes is None:
            raise ValueError("there is no end column, so give step_minutes")
        if self.columns.price is None and self.columns.carbon is None:
            raise ValueError("there is neither a price nor a carbon column")
        return self


class CsvSource:
    """A CSV file or URL; read again only when it has changed."""

    Options = CsvOptions

    def __init__(self, options: CsvOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self._read: tuple[object, list[ForecastSeries]] | None = None
        columns = options.columns
        self._layout = Layout(
            zone=columns.zone,
            issued_at=columns.issued_at,
            start=columns.start,
            end=columns.end,
            signals={
                signal: column
                for signal, column in ((Signal.PRICE, columns.price), (Signal.CARBON, columns.carbon))
                if column is not None
            },
            units={
                Signal.PRICE: parse_unit(
                    options.price_unit or f"{options.currency}/MWh", Signal.PRICE, field="price_unit"
                ),
                Signal.CARBON: parse_unit(options.carbon_unit, Signal.CARBON, field="carbon_unit"),
            },
            kind=Kind(options.kind),
            kind_column=columns.kind,
            constant_zone=options.zone,
            timezone=None if options.timezone is None else ZoneInfo(options.timezone),
            step_minutes=options.step_minutes,
            delimiter=options.delimiter,
        )
        self.info = SourceInfo(
            name=options.name,
            title="CSV file",
            signals=tuple(self._layout.signals),
            zones=(ANY_ZONE,) if options.zone is None else (options.zone,),
            units={s: u.canonical for s, u in self._layout.units.items() if s in self._layout.signals},
            resolution_minutes=(),
            horizon=None,
            past=None,
            publication=Continuous(timedelta(minutes=5)),
            licence=options.licence or "the file's own",
            attribution=options.attribution or "the operator's own file",
            url=redact(options.url or str(options.path)),
            basis=options.basis,
            synthetic=options.kind == "synthetic",
        )

    def read(self, *, now: datetime) -> list[ForecastSeries]:
        """Every vintage of every zone in the file, checked, those issued after `now` too: for replays.

        `now` is when rows without an issue time were learnt. Raises InputError for a row that is wrong,
        ForecastRejected for a vintage with a gap, SourceUnavailable when the file cannot be had.
        """
        state = self._state()
        if state is None:  # a URL: what tells whether it changed is its content
            body = self._download()
            state = hashlib.sha256(body).hexdigest()
        else:
            body = None
        if self._layout.issued_at is None:
            state = (state, now)
        if self._read is None or self._read[0] != state:
            o = self.options
            series = read_series(
                self._load() if body is None else body,
                redact(o.url or str(o.path)),
                self._layout,
                now=now,
                source=o.name,
                basis=o.basis,
                licence=o.licence,
                attribution=self.info.attribution,
                restricted=o.restricted,
                refuse_flat_carbon=o.refuse_flat_carbon,
            )
            self._read = (state, series)
        return list(self._read[1])

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`; vintages come whole. Raises InputError for a zone not in the file."""
        series = self.read(now=now)
        of_zone = [s for s in series if s.zone == request.zone]
        if not of_zone:
            zones = sorted({s.zone for s in series})
            raise InputError(
                f"{self.info.url} says nothing about the zone {request.zone!r}.",
                field="zone",
                hint=f"It has {', '.join(zones)}.",
                zone=request.zone,
            )
        start, end = as_datetime64(request.start), as_datetime64(request.end)
        return [
            s
            for s in of_zone
            if s.signal in request.signals and s.known_at <= now and s.start[0] < end and s.end[-1] > start
        ]

    def check_local(self) -> None:
        """Whether the file is there, and its header has the columns; nothing for a URL. Raises InputError,
        SourceUnavailable.
        """
        path = self.options.path
        if path is None:
            return
        try:
            with path.open("rb") as file:
                line = file.readline(LONGEST_HEADER_BYTES)
        except OSError as e:
            raise _unreadable(path, e) from e
        check_header(line, str(path), self._layout)

    def _state(self) -> object:
        """What changes when the file does; None for a URL."""
        path = self.options.path
        if path is None:
            return None
        try:
            stat = path.stat()
        except OSError as e:
            raise _unreadable(path, e) from e
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _load(self) -> bytes:
        path = self.options.path
        assert path is not None
        try:
            if path.stat().st_size > self.options.max_bytes:
                raise InputError(
                    f"{path} holds more than {self.options.max_bytes} bytes.",
                    field=str(path),
                    hint="Split it, or raise max_bytes.",
                )
            return path.read_bytes()
        except OSError as e:
            raise _unreadable(path, e) from e

    def _download(self) -> bytes:
        url = self.options.url
        assert url is not None
        reply = (self._http or shared_client()).get(url)
        if not reply.ok:
            raise SourceUnavailable(f"{redact(url)} answered {reply.status}.", hint="Check the URL.")
        return reply.body


def _unreadable(path: Path, e: OSError) -> SourceUnavailable:
    return SourceUnavailable(
        f"{path} cannot be read: {e.strerror or e}.",
        hint="Check the path and its permissions.",
        path=str(path),
    )
