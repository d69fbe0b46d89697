"""Texas, from ERCOT's public documents: day-ahead prices of the hubs, and the system's load, wind and sun. No key.

https://www.ercot.com/mp/data-products: NP4-190-CD (day-ahead settlement point prices), NP3-560-CD (seven-day load), and
NP4-732-CD and NP4-737-CD (wind and solar power). Each is a list of documents with the time of their publication, which
the server keeps for some days, and each document a zip with one CSV. Forecasts are published every hour, and the newest
is told, from the hours just gone to seven days ahead; wind and solar are what plants could give (STWPF, STPPF).

Hours are named by the local time at which they end, 01 to 24: in spring there is no 03, and in autumn 02 comes twice,
the second time with the flag Y. That Y marks the repeated hour is how clients read it; a file that has it elsewhere
means something else by it, and is refused. `known_at` is the time of the fetch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import AT_NEXT_POLL, ForecastRejected, SourceUnavailable
from forecasts.marketday import last_local_day, local_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.sources.archive import unzip
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, excerpt, join_url, shared_client
from forecasts.sources.publication import Continuous, MarketDaily
from forecasts.sources.reports import NotPublished, day_spans, from_wall, joined, table
from forecasts.sources.steps import Step, arrays
from forecasts.sources.values import moment_in, number, trimmed
from forecasts.units import convert, parse_unit

CENTRAL = ZoneInfo("America/Chicago")
HUBS = {
    "ERCOT": "HB_HUBAVG",
    **{f"ERCOT-{hub}": f"HB_{hub}" for hub in ("HOUSTON", "NORTH", "SOUTH", "WEST")},
}
"""Zones and their hubs; that of the whole is the mean of the four."""

LIST = "misapp/servlets/IceDocListJsonWS"
DOWNLOAD = "misdownload/servlets/mirDownload"
REACH = timedelta(days=8)
LOOK_BACK = timedelta(days=2)
"""How far a forecast reaches ahead and back."""

PRICES_FROM = timedelta(hours=13)
"""From when on before midnight a document tells of the day to come, and no more of the one that is on: about two hours
before the market's results."""

MOST_MEMBERS = 4
MOST_BYTES = 16 * 2**20  # unpacked; a day of prices is about 1 MB
_NOT_YET = (
    "Not published yet: tomorrow's prices come about 13:00 Central. It is asked again at the next poll."
)
_HOUR = re.compile(r"(\d{1,2})(:00)?")
_ID = re.compile(r"\d{1,20}")


@dataclass(frozen=True)
class Report:
    """A kind of document, and its columns of the day, the hour and the figure."""

    type_id: int
    day: str
    hour: str
    figure: str


UNITS = {Signal.PRICE: "USD/MWh", Signal.LOAD: "MW", Signal.WIND: "MW", Signal.SOLAR: "MW"}
REPORTS = {
    Signal.PRICE: Report(12331, "DeliveryDate", "HourEnding", "SettlementPointPrice"),
    Signal.LOAD: Report(12311, "DeliveryDate", "HourEnding", "SystemTotal"),
    Signal.WIND: Report(13028, "DELIVERY_DATE", "HOUR_ENDING", "STWPF_SYSTEM_WIDE"),
    Signal.SOLAR: Report(13483, "DELIVERY_DATE", "HOUR_ENDING", "STPPF_SYSTEM_WIDE"),
}
POINT = "SettlementPoint"
FLAG = "DSTFlag"


class _Document(NamedTuple):
    published: datetime  # first: documents are sorted by it
    id: str


class ErcotOptions(SourceOptions):
    """Where the documents are."""

    base_url: str = Field("https://www.ercot.com", description="or a mirror's")


class ErcotSource:
    """The zones are the hubs: `ERCOT`, the mean of the others, and `ERCOT-HOUSTON`, `-NORTH`, `-SOUTH` and `-WEST`."""

    Options = ErcotOptions

    def __init__(self, options: ErcotOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="ercot",
            title="ERCOT day-ahead market (Texas)",
            signals=tuple(UNITS),
            zones=tuple(HUBS),
            units=UNITS,
            resolution_minutes=(60,),
            horizon=REACH,
            publication=MarketDaily(time(12, 45), "America/Chicago"),
            publications=dict.fromkeys(
                (Signal.LOAD, Signal.WIND, Signal.SOLAR), Continuous(timedelta(hours=1), steady=True)
            ),
            licence="public",
            attribution="Electric Reliability Council of Texas (ERCOT)",
            url="https://www.ercot.com",
            rate_limit="none published; once an hour is plenty",
            notes=(
                "a wholesale price: network charges and a retailer's margin are not in it",
                "load, wind and solar are the whole system's, and the same for every hub",
            ),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole days of prices that the window touches, and the newest forecasts."""
        known_zone(self.info, request.zone)
        found: list[ForecastSeries] = []
        for signal in REPORTS:
            if signal not in request.signals:
                continue
            if signal is Signal.PRICE:
                found += self._prices(request, now)
            elif request.start < now + REACH and request.end > now - LOOK_BACK:
                found += request.overlapping(self._forecast(request, signal, now))
        return found

    def _prices(self, request: FetchRequest, now: datetime) -> list[ForecastSeries]:
        first = local_day(request.start, CENTRAL)
        last = min(last_local_day(request.end, CENTRAL), local_day(now, CENTRAL) + timedelta(days=1))
        if last < first:
            return []
        documents = self._documents(Signal.PRICE, now)
        days = day_spans(first, last, CENTRAL, 1)
        steps = joined(days, partial(self._day, HUBS[request.zone], documents))
        series = self._series(request.zone, Signal.PRICE, steps, now, None)
        return [check_series(series, now=now if request.end > now else None, market_tz=CENTRAL)]

    def _day(
        self, hub: str, documents: Sequence[_Document], opens: datetime, closes: datetime
    ) -> Sequence[Step]:
        """The prices of the day `[opens, closes)`, from what was published for it: the last of that, where it was
        corrected.
        """
        day = local_day(opens, CENTRAL)
        found = [at for at in documents if opens - PRICES_FROM <= at.published < closes - PRICES_FROM]
        if not found:
            raise NotPublished(f"ERCOT lists no prices of {day}.", hint=_NOT_YET)
        what, rows = self._rows(Signal.PRICE, max(found))
        steps = [step for row, step in rows if row[POINT] == hub]
        if not steps:
            raise SourceUnavailable(f"{what} has no price of {hub}.", hint="Has the hub another name now?")
        begins, ends = min(step.start for step in steps), max(step.end for step in steps)
        if (begins, ends) != (opens, closes):
            raise ForecastRejected(
                f"{what}: the prices of {day} are from {isoformat_z(begins)} to {isoformat_z(ends)}, not from "
                f"{isoformat_z(opens)} to {isoformat_z(closes)}.",
                field=REPORTS[Signal.PRICE].day,
                hint="The market clears whole days; it is asked again at the next poll.",
            )
        return steps

    def _forecast(self, request: FetchRequest, signal: Signal, now: datetime) -> ForecastSeries:
        newest = max(self._documents(signal, now))
        _, rows = self._rows(signal, newest)
        series = self._series(request.zone, signal, [step for _, step in rows], now, newest.published)
        return check_series(series, now=now)

    def _documents(self, signal: Signal, now: datetime) -> list[_Document]:
        """What is listed of the report's CSV that can be known at `now`. Raises NotPublished where that is nothing."""
        url, type_id = join_url(self.options.base_url, LIST), REPORTS[signal].type_id
        what = f"{url} of the {signal} (report {type_id})"
        reply = (self._http or shared_client()).get(url, {"reportTypeId": str(type_id)})
        body = reply.json() if reply.status == 200 else None
        result = body.get("ListDocsByRptTypeRes") if isinstance(body, Mapping) else None
        listed = (result.get("DocumentList") or []) if isinstance(result, Mapping) else None
        listed = [listed] if isinstance(listed, Mapping) else listed
        if not isinstance(listed, list):
            raise SourceUnavailable(
                f"{what} answered {reply.status} without a list of documents: {excerpt(reply.body)}",
                hint=AT_NEXT_POLL,
                status=reply.status,
            )
        found = [_document(item, what) for item in listed]
        known = [document for document in found if document and document.published <= now]
        if not known:
            raise NotPublished(f"{what} has no document published by {isoformat_z(now)}.", hint=AT_NEXT_POLL)
        return known

    def _rows(self, signal: Signal, document: _Document) -> tuple[str, list[tuple[Mapping[str, str], Step]]]:
        """The name of a document, and its rows, each with its step; a figure that is not told is NaN."""
        report = REPORTS[signal]
        url = join_url(self.options.base_url, DOWNLOAD)
        what = f"{url} of document {document.id}"
        reply = (self._http or shared_client()).get(url, {"doclookupId": document.id})
        if reply.status != 200:
            raise SourceUnavailable(
                f"{what} answered {reply.status}: {excerpt(reply.body)}",
                hint=AT_NEXT_POLL,
                status=reply.status,
            )
        files = unzip(reply.body, what, most_members=MOST_MEMBERS, most_bytes=MOST_BYTES)
        bodies = [body for name, body in files if name.lower().endswith(".csv")]
        if not bodies:
            raise SourceUnavailable(f"{what} holds no CSV.", hint="Has the format changed?")
        needed = [report.day, report.hour, report.figure, FLAG, *([POINT] if signal is Signal.PRICE else ())]
        return what, [pair for body in bodies for pair in _steps(what, report, table(what, body, needed))]

    def _series(
        self, zone: str, signal: Signal, steps: Sequence[Step], now: datetime, published: datetime | None
    ) -> ForecastSeries:
        unit = parse_unit(UNITS[signal], signal)
        start, end, values = arrays(steps)
        # Of the hours just gone a forecast may be blank, and of the last ones ahead.
        keep = (
            trimmed(values, f"ERCOT has no figure of the {signal}.")
            if signal is not Signal.PRICE
            else slice(None)
        )
        return ForecastSeries(
            zone=zone,
            signal=signal,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            issued_at=published,
            start=start[keep],
            end=end[keep],
            values=convert(values[keep], unit),
            kind=Kind.CLEARED if signal is Signal.PRICE else Kind.FORECAST,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )


def _document(item: Any, what: str) -> _Document | None:
    """A document in a list of them; None where it is the same as XML, or not public."""
    told = item.get("Document") if isinstance(item, Mapping) else None
    if not isinstance(told, Mapping):
        raise SourceUnavailable(f"{what}: {repr(item)[:80]} is no document.", hint="Has the format changed?")
    if not str(told.get("FriendlyName")).lower().endswith("_csv") or told.get("SecurityStatus", "P") != "P":
        return None
    id = str(told.get("DocID"))
    if not _ID.fullmatch(id):
        raise SourceUnavailable(f"{what}: DocID is {id[:40]!r}.", hint="Has the format changed?")
    return _Document(moment_in(told, "PublishDate", what), id)


def _steps(
    what: str, report: Report, rows: Iterator[Mapping[str, str]]
) -> Iterator[tuple[Mapping[str, str], Step]]:
    for row in rows:
        start = _start(what, row[report.day], row[report.hour], row[FLAG])
        said = row[report.figure].strip()
        blank = not said and report is not REPORTS[Signal.PRICE]
        amount = float("nan") if blank else number(said, f"{what}: {report.figure}")
        yield row, Step(start, start + timedelta(hours=1), amount)


def _start(what: str, day: str, hour: str, flag: str) -> datetime:
    """When the hour starts that ends at `hour` of the local `day`, in UTC."""
    found = _HOUR.fullmatch(hour.strip())
    try:
        midnight = datetime.strptime(day.strip(), "%m/%d/%Y")  # noqa: DTZ007 - a day of ERCOT's clock
    except ValueError:
        midnight = None
    if found is None or midnight is None or not 1 <= int(found[1]) <= 24 or flag not in {"Y", "N"}:
        raise ForecastRejected(
            f"{what}: {day!r}, {hour!r} and {flag!r} are not a day, the hour that ends (01 to 24) and Y or N.",
            hint="Refused whole. Has the format changed?",
        )
    return from_wall(midnight + timedelta(hours=int(found[1]) - 1), CENTRAL, what, again=flag == "Y")
