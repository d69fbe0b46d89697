"""Californian day-ahead prices from CAISO's OASIS: hours until the end of tomorrow, at three trading hubs. No key.

https://oasis.caiso.com (interface specification of OASIS, report PRC_LMP). A day of the market is one of Los Angeles,
23 to 25 hours, and clears whole, about 13:00 the day before. Times are asked for and read in UTC, so that the 25th
hour of autumn is an hour like any other. Errors come with status 200, as XML in the zip. `known_at` is the time of
the fetch.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64, isoformat_z, to_utc
from forecasts.sources.archive import unzip
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, excerpt, join_url, shared_client
from forecasts.sources.values import moment, number
from forecasts.units import convert, parse_unit

UNIT = "USD/MWh"
PACIFIC = ZoneInfo("America/Los_Angeles")
NODES = {f"CAISO-{hub}": f"TH_{hub}_GEN-APND" for hub in ("NP15", "SP15", "ZP26")}
"""The trading hubs: north of path 15, south of path 26, and between."""

VALUE_COLUMNS = ("MW", "VALUE", "LMP")
"""What reports call the price: in this one it is, of all things, MW."""

MOST_MEMBERS = 4
MOST_BYTES = 16 * 2**20  # unpacked; a day is about 20 kB

_LATER = "It is asked again at the next poll; the last vintage stays in use."
_NOT_YET = (
    "Not published yet: tomorrow's prices come about 13:00 Pacific. It is asked again at the next poll."
)
_HINTS = {
    "1000": _NOT_YET,  # no data
    "1001": _NOT_YET,  # no data
    "1004": "Ask for a shorter window.",  # 31 days at most
    "1015": _NOT_YET,  # being made
}


class CaisoOptions(SourceOptions):
    """Where the API is."""

    base_url: str = Field("https://oasis.caiso.com/oasisapi", description="or a mirror's")


class CaisoSource:
    """The zones are the trading hubs, `CAISO-NP15`, `CAISO-SP15` and `CAISO-ZP26`."""

    Options = CaisoOptions

    def __init__(self, options: CaisoOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="caiso",
            title="CAISO day-ahead market (California)",
            signals=(Signal.PRICE,),
            zones=tuple(NODES),
            units={Signal.PRICE: UNIT},
            resolution_minutes=(60,),
            horizon=timedelta(hours=36),
            publication="tomorrow's prices about 13:00 Pacific",
            poll=timedelta(hours=1),
            licence="public",
            attribution="California Independent System Operator (CAISO), OASIS",
            url="https://oasis.caiso.com",
            rate_limit="1 request in 5 s",
            notes=("a wholesale price: network charges and a retailer's margin are not in it",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole days of the market that the window touches, as far as published."""
        known_zone(self.info, request.zone)
        first = local_day(request.start, PACIFIC)
        last = min(last_local_day(request.end, PACIFIC), local_day(now, PACIFIC) + timedelta(days=1))
        if Signal.PRICE not in request.signals or last < first:
            return []
        opens, closes = market_day(first, PACIFIC)[0], market_day(last, PACIFIC)[1]
        node = NODES[request.zone]
        url = join_url(self.options.base_url, "SingleZip")
        what = f"{url} for {node} from {isoformat_z(opens)} to {isoformat_z(closes)}"
        query = {
            "resultformat": "6",  # CSV
            "queryname": "PRC_LMP",
            "version": "12",
            "market_run_id": "DAM",
            "node": node,
            "startdatetime": _gmt(opens),
            "enddatetime": _gmt(closes),
        }
        reply = (self._http or shared_client()).get(url, query)
        if reply.status != 200:
            raise SourceUnavailable(
                f"{what} answered {reply.status}: {excerpt(reply.body)}", hint=_LATER, status=reply.status
            )
        files = unzip(reply.body, what, most_members=MOST_MEMBERS, most_bytes=MOST_BYTES)
        hours = [hour for name, body in files for hour in _hours(what, name, body, node)]
        # Should it answer with an hour more: the days asked for are whole without it.
        spans = sorted({hour for hour in hours if opens <= hour[0] < closes})
        if not spans:
            raise SourceUnavailable(f"{what} answered without a price.", hint=_NOT_YET)
        return [self._series(request, spans, now)]

    def _series(
        self, request: FetchRequest, spans: list[tuple[datetime, datetime, float]], now: datetime
    ) -> ForecastSeries:
        begins = spans[0][0]
        if begins != market_day(local_day(begins, PACIFIC), PACIFIC)[0]:
            raise ForecastRejected(
                f"{request.zone}: the prices begin at {isoformat_z(begins)}, not at midnight in Los Angeles.",
                field="INTERVALSTARTTIME_GMT",
                hint="The market clears whole days; it is asked again at the next poll.",
            )
        unit = parse_unit(UNIT, Signal.PRICE)
        series = ForecastSeries(
            zone=request.zone,
            signal=Signal.PRICE,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            start=np.array([as_datetime64(start) for start, _, _ in spans]),
            end=np.array([as_datetime64(end) for _, end, _ in spans]),
            values=convert(np.array([price for _, _, price in spans]), unit),
            kind=Kind.CLEARED,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )
        return check_series(series, now=now if request.end > now else None, market_tz=PACIFIC)


def _hours(what: str, name: str, body: bytes, node: str) -> Iterator[tuple[datetime, datetime, float]]:
    """Start, end and price of every row that is one: the others are what a price is made of (energy, losses, ...)."""
    text = body.decode("utf-8-sig", "replace")
    if name.lower().endswith(".xml"):
        raise _error(what, text)
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = table.fieldnames or ()
        value = next((column for column in VALUE_COLUMNS if column in header), " or ".join(VALUE_COLUMNS))
        needed = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "NODE", "LMP_TYPE", value)
        if missing := [column for column in needed if column not in header]:
            raise SourceUnavailable(
                f"{what}: {name} has no column {', '.join(missing)}.", hint="Has the API changed?"
            )
        for row in table:
            if row["LMP_TYPE"] != "LMP":
                continue
            if row["NODE"] != node:
                raise ForecastRejected(
                    f"{what} answered for the node {row['NODE']} instead of {node}.",
                    field="NODE",
                    hint="Another place's price is not used in its place.",
                )
            start, end = (moment(row[column], f"{what}: {column}") for column in needed[:2])
            yield start, end, number(row[value], f"{what}: {value}")
    except csv.Error as e:
        raise SourceUnavailable(f"{what}: {name} cannot be read: {e}.", hint=_LATER) from e


def _error(what: str, text: str) -> SourceUnavailable:
    """What the XML says that comes in place of prices. It is not parsed: two elements are all that matters."""
    code, description = (
        " ".join(html.unescape(found[1]).split())[:200] if found else ""
        for found in (re.search(rf"<(?:\w+:)?{tag}>([^<]*)<", text) for tag in ("ERR_CODE", "ERR_DESC"))
    )
    said = (
        f"the error {code}: {description}" if code else f"XML without an error code: {excerpt(text.encode())}"
    )
    return SourceUnavailable(f"{what} answered with {said}", hint=_HINTS.get(code, _LATER), err_code=code)


def _gmt(moment: datetime) -> str:
    return f"{to_utc(moment):%Y%m%dT%H:%M}-0000"
