"""Australia, from AEMO's pre-dispatch on NEMWEB: prices, load, wind and sun, in half-hours to the end of a trading day.

https://nemweb.com.au/Reports/Current/PredispatchIS_Reports/, no key. Every half-hour there is a run: a zip whose name
says when it was published, and which reaches until 04:00 tomorrow or, from 12:30 on, the day after. Market time is
UTC+10, all year and in all regions, and a time is the end of its interval. `known_at` is the time of the fetch.

Load is a region's demand that the market meets, so what roofs make is not in it. Wind and solar are what semi-scheduled
plants could give (UIGF, before any limit of the grid); smaller plants are not in them.

What prices came is not told. A run looks ahead only, and NEMWEB has the prices of dispatch in a file for every five
minutes: 576 of them would have to be asked for at each poll, to know the last two days.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import AT_NEXT_POLL, SourceUnavailable
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import floor_to_slot, isoformat_z
from forecasts.sources.archive import unzip
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.publication import Continuous
from forecasts.sources.steps import Step, arrays
from forecasts.sources.values import number
from forecasts.units import convert, parse_unit

UNITS = {Signal.PRICE: "AUD/MWh", Signal.LOAD: "MW", Signal.WIND: "MW", Signal.SOLAR: "MW"}
NEM_TIME = timezone(timedelta(hours=10), "NEM time")
"""The market's, in winter and in summer, in regions that have daylight saving and in those that have not."""

SLOT = timedelta(minutes=30)
HORIZON = timedelta(hours=40)
REPORTS = "Reports/Current/PredispatchIS_Reports/"
FIGURES = {
    Signal.PRICE: ("REGION_PRICES", "RRP"),
    Signal.LOAD: ("REGION_SOLUTION", "TOTALDEMAND"),
    Signal.WIND: ("REGION_SOLUTION", "SS_WIND_UIGF"),
    Signal.SOLAR: ("REGION_SOLUTION", "SS_SOLAR_UIGF"),
}
"""The tables of PREDISPATCH, and the column of each signal."""

COLUMNS = ("REGIONID", "INTERVENTION", "DATETIME")
MOST_MEMBERS = 4
MOST_BYTES = 64 * 2**20  # unpacked; about 10 MiB are usual

_RUN = re.compile(r"PUBLIC_PREDISPATCHIS_(\d{12})_(\d{14})\.zip", re.IGNORECASE | re.ASCII)


class AemoOptions(SourceOptions):
    """Where NEMWEB is, and who asks."""

    base_url: str = Field("https://nemweb.com.au", description="or a mirror's")
    user_agent: str | None = Field(
        None, min_length=1, description="sent in place of ours, where NEMWEB answers 403 to it"
    )


class AemoSource:
    """The zones are the regions of the National Electricity Market, by AEMO's names."""

    Options = AemoOptions

    def __init__(self, options: AemoOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="aemo",
            title="AEMO pre-dispatch (Australia, NEM)",
            signals=tuple(UNITS),
            zones=("NSW1", "QLD1", "SA1", "TAS1", "VIC1"),
            units=UNITS,
            resolution_minutes=(30,),
            horizon=HORIZON,
            publication=Continuous(timedelta(minutes=30), offset=timedelta(minutes=4), steady=True),
            licence="AEMO copyright permission, attribution",
            attribution="Australian Energy Market Operator (AEMO)",
            url="https://nemweb.com.au",
            rate_limit="none published; once a half-hour is plenty",
            notes=(
                "a wholesale price: network charges and a retailer's margin are not in it",
                "what came of it is not told",
            ),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: the newest run published by `now`, whole."""
        known_zone(self.info, request.zone)
        wanted = [signal for signal in FIGURES if signal in request.signals]
        if not wanted or request.end <= floor_to_slot(now, 30) or request.start >= now + HORIZON:
            return []
        name, published = self._newest(now)
        url = join_url(self.options.base_url, REPORTS + name)
        files = unzip(self._get(url), url, most_members=MOST_MEMBERS, most_bytes=MOST_BYTES)
        tables = [body for file, body in files if file.lower().endswith(".csv")]
        found = [self._series(request.zone, signal, url, tables, published, now) for signal in wanted]
        return [series for every in found for series in request.overlapping(every)]

    def _newest(self, now: datetime) -> tuple[str, datetime]:
        """The name of the newest run's file that `now` can know of, and when it was published."""
        url = join_url(self.options.base_url, REPORTS)
        # Only names are read, whatever the links look like and wherever they lead.
        listing = unquote(html.unescape(self._get(url).decode("utf-8", "replace")))
        until = now.astimezone(NEM_TIME).strftime("%Y%m%d%H%M%S")
        runs = [m for m in _RUN.finditer(listing) if m[2] <= until]
        if not runs:
            raise SourceUnavailable(f"{url} lists no run published by {isoformat_z(now)}.", hint=AT_NEXT_POLL)
        newest = max(runs, key=lambda m: m.groups())
        return newest[0], _time(url, newest[2], "%Y%m%d%H%M%S")

    def _get(self, url: str) -> bytes:
        agent = self.options.user_agent
        reply = (self._http or shared_client()).get(url, headers={"User-Agent": agent} if agent else None)
        if reply.status == 200:
            return reply.body
        hint = AT_NEXT_POLL
        if reply.status == 403:
            hint = "A User-Agent like a browser's may be wanted: set the source's option user_agent."
        raise SourceUnavailable(f"{url} answered {reply.status}.", hint=hint, status=reply.status)

    def _series(
        self, zone: str, signal: Signal, url: str, files: list[bytes], published: datetime, now: datetime
    ) -> ForecastSeries:
        name, figure = FIGURES[signal]
        rows = [row for body in files for row in _rows(url, body, name, (*COLUMNS, figure))]
        if not rows:
            raise SourceUnavailable(f"{url} has no table PREDISPATCH,{name}.", hint="Has the format changed?")
        # Of a run in which AEMO intervenes there are two: 1 is what is to be done, and 0 what prices are made of.
        ends = [
            (_time(url, row["DATETIME"], "%Y/%m/%d %H:%M:%S"), number(row[figure], f"{url}: {figure}"))
            for row in rows
            if row["REGIONID"] == zone and number(row["INTERVENTION"], f"{url}: INTERVENTION") == 0
        ]
        if not ends:
            raise SourceUnavailable(f"{url} has no {signal} of {zone}.", hint=AT_NEXT_POLL)
        unit = parse_unit(UNITS[signal], signal)
        start, end, values = arrays(Step(end - SLOT, end, amount) for end, amount in ends)
        series = ForecastSeries(
            zone=zone,
            signal=signal,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            issued_at=published,
            start=start,
            end=end,
            values=convert(values, unit),
            kind=Kind.FORECAST,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )
        return check_series(series, now=now)


def _rows(url: str, body: bytes, table: str, needed: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The rows of a table, of the many in a file: an `I` row names its columns, in any order, `D` rows fill them.

    The fourth field is the table's version, and does not matter: the columns do. Raises SourceUnavailable.
    """
    columns: list[str] = []
    try:
        for row in csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""), strict=True):
            if row[1:3] != ["PREDISPATCH", table]:
                continue
            if row[0] == "I":
                columns = row
                missing = [name for name in needed if name not in columns]
                if missing:
                    raise SourceUnavailable(
                        f"{url}: the table PREDISPATCH,{table} has no column {', '.join(missing)}.",
                        hint="Has the format changed?",
                    )
            elif row[0] == "D":
                if not columns or len(row) != len(columns):
                    raise SourceUnavailable(
                        f"{url}: a row of {table} has {len(row)} fields where its header has {len(columns)}.",
                        hint="Is it cut off?",
                    )
                yield dict(zip(columns, row, strict=True))
    except csv.Error as e:
        raise SourceUnavailable(f"{url}: the table cannot be read: {e}.", hint=AT_NEXT_POLL) from e


def _time(url: str, said: str, form: str) -> datetime:
    try:
        return datetime.strptime(said, form).replace(tzinfo=NEM_TIME).astimezone(UTC)
    except ValueError as e:
        raise SourceUnavailable(f"{url}: {said[:40]!r} is not a time.", hint="Has the format changed?") from e
