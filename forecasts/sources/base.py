"""What a forecast source is. To add one, write a class that keeps this protocol and register its entry point.

`forecasts.testing.ForecastSourceContract` is the suite that every source passes, built-in or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from forecasts.errors import InputError
from forecasts.series import Basis, ForecastSeries, Signal
from forecasts.slots import as_datetime64, isoformat_z, to_utc
from forecasts.sources.publication import Publication

ANY_ZONE = "*"
ADDRESSES = ("base_url", "url", "token_url")
MOST_ZONES = 12
"""So many are named to somebody who asked for another."""


class SourceOptions(BaseModel):
    """Base of every source's `Options`: what settings may say about it. Unknown keys are errors, and so are addresses
    that nobody could ask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator(*ADDRESSES, check_fields=False)
    @classmethod
    def _address(cls, value: str | None, info: ValidationInfo) -> str | None:
        # The value is not shown: a password may be in it.
        if value is not None and not is_address(value):
            raise ValueError(f"{info.field_name} is no address that begins with http:// or https://")
        return value


def is_address(value: str) -> bool:
    """Whether it is an http(s) URL with a host.

    >>> is_address("http://127.0.0.1:9"), is_address("127.0.0.1:9"), is_address("https:///v1")
    (True, False, False)
    """
    try:
        scheme, host, *_ = urlsplit(value)
    except ValueError:
        return False
    return scheme in {"http", "https"} and bool(host) and not any(c.isspace() for c in value)


@dataclass(frozen=True)
class SourceInfo:
    """A source, in data: what it tells, how far, how often, on which terms.

    `units` is what the source publishes in, before conversion. `basis` and `scope` qualify carbon. `horizon` is how
    far past `now` it reaches at best, None when that is up to its author; `past` is how far back it can be asked, zero
    where it tells nothing older than two days. `publication` says when new values appear, and so when to ask;
    `publications` has the signals for which that differs. `synthetic` means that the values are made up, `wholesale`
    that the price is a market's, before network charges and tax.
    """

    name: str
    title: str
    signals: tuple[Signal, ...]
    zones: tuple[str, ...]  # ANY_ZONE when any may be asked
    units: Mapping[Signal, str]
    resolution_minutes: tuple[int, ...]
    horizon: timedelta | None
    publication: Publication
    licence: str
    attribution: str
    url: str
    basis: Basis | None = None
    scope: Literal["direct", "lifecycle"] | None = None
    key_needed: bool = False
    rate_limit: str = ""
    synthetic: bool = False
    wholesale: bool = False
    notes: tuple[str, ...] = field(default=())
    publications: Mapping[Signal, Publication] = field(default_factory=dict)
    past: timedelta | None = timedelta(0)

    def publication_of(self, signal: Signal) -> Publication:
        """When new values of `signal` appear."""
        return self.publications.get(signal, self.publication)

    def covers(self, zone: str) -> bool:
        """Whether the source can be asked about `zone`."""
        return ANY_ZONE in self.zones or zone in self.zones


@dataclass(frozen=True)
class FetchRequest:
    """What is asked of a source: signals of one zone that overlap `[start, end)`."""

    zone: str
    signals: tuple[Signal, ...]
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", to_utc(self.start))
        object.__setattr__(self, "end", to_utc(self.end))
        if self.end <= self.start:
            raise InputError(
                f"the window ends at {isoformat_z(self.end)}, not after {isoformat_z(self.start)}.",
                field="end",
                hint="Windows are [start, end).",
            )

    def overlapping(self, series: ForecastSeries) -> list[ForecastSeries]:
        """The series, where any of it lies in the window; else nothing."""
        start, end = as_datetime64(self.start), as_datetime64(self.end)
        return [series] if series.start[0] < end and series.end[-1] > start else []


@runtime_checkable
class ForecastSource(Protocol):
    """Something that can be asked what the grid will do.

    A class also has `Options`, a subclass of `SourceOptions`, and is made as `cls(options)`. One that reads a local
    file may have `check_local()`, which raises InputError or SourceUnavailable where that file cannot serve.
    """

    @property
    def info(self) -> SourceInfo:
        """What the source is."""

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """The vintages known at `now`, not later, that overlap the window; they may reach beyond it.

        Each is checked (`forecasts.checks.check_series`), in canonical units, and has `source` = `info.name`.
        A signal that the source does not have is absent, and so is one of which it has nothing in the window.

        Raises InputError for a zone that it does not cover and for a file that is wrong, SourceUnavailable
        when it does not answer or answers with something else, ForecastRejected when what it says is unfit.
        """


def known_zone(info: SourceInfo, zone: str) -> None:
    """Raises InputError, naming the nearest zones, when the source does not cover `zone`."""
    if info.covers(zone):
        return
    from difflib import get_close_matches

    near = get_close_matches(zone, info.zones, n=3, cutoff=0.55)  # GB is not BE
    known = f"It knows {known_zones(info)}."
    raise InputError(
        f"the source {info.name} does not know the zone {zone!r}.",
        field="zone",
        hint=f"Did you mean {' or '.join(near)}? {known}" if near else known,
        zone=zone,
    )


def known_zones(info: SourceInfo) -> str:
    """Those that a source knows, in a few words."""
    more = len(info.zones) - MOST_ZONES
    return f"{', '.join(info.zones[:MOST_ZONES])}{f' and {more} more' if more > 0 else ''}"
