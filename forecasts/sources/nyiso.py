"""New York, from NYISO's postings: day-ahead prices (LBMP) of its zones, and their load for six days. No key.

https://www.nyiso.com/energy-market-operational-data: damlbmp_zone, a file for each day of the market, about 11:00 the
day before, and isolf, a file each day for itself and the five after. Since October 2026 they are at another host than
the old mis.nyiso.com/public, whose certificate needs GlobalSign's Root R46: an old store of certificates lacks it.

Times are those of a clock on a wall, without a mark: in autumn 01:00 comes twice, and the first in the file is the
first. That holds for prices; how a load forecast tells of that hour nobody has written down, so one that does not
say it twice has a hole there, and is refused. `known_at` is the time of the fetch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import AT_NEXT_POLL, ForecastRejected, SourceUnavailable
from forecasts.marketday import last_local_day, local_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, excerpt, join_url, shared_client
from forecasts.sources.publication import MarketDaily
from forecasts.sources.reports import NotPublished, day_spans, from_wall, joined, table
from forecasts.sources.steps import Step, arrays
from forecasts.sources.values import number
from forecasts.units import convert, parse_unit

EASTERN = ZoneInfo("America/New_York")
NAMES = {
    "NYISO-CAPITL": "CAPITL",
    "NYISO-CENTRL": "CENTRL",
    "NYISO-DUNWOD": "DUNWOD",
    "NYISO-GENESE": "GENESE",
    "NYISO-HUDVL": "HUD VL",
    "NYISO-LONGIL": "LONGIL",
    "NYISO-MHKVL": "MHK VL",
    "NYISO-MILLWD": "MILLWD",
    "NYISO-NORTH": "NORTH",
    "NYISO-NYC": "N.Y.C.",
    "NYISO-WEST": "WEST",
}
"""Zones, and how the files name them: in capitals those of prices, else those of loads."""

UNITS = {Signal.PRICE: "USD/MWh", Signal.LOAD: "MW"}
FILES = {Signal.PRICE: ("DAM_LBMP_ZONE", "damlbmp_zone"), Signal.LOAD: ("ISO_LF", "isolf")}
"""Folders and files of each signal."""

STAMP, NAME, PRICE = "Time Stamp", "Name", "LBMP ($/MWHr)"
LOAD_DAYS = 6
NONE_YET = frozenset({403, 404})
"""What a day answers that is not there: a store of objects has either."""
_NOT_YET = (
    "Not published yet: tomorrow's prices come about 11:00 Eastern. It is asked again at the next poll."
)


class NyisoOptions(SourceOptions):
    """Where the files are."""

    base_url: str = Field("https://oasis-postings.prod.nysdi.com", description="or a mirror's")


class NyisoSource:
    """The zones are those of the market by its names, such as `NYISO-NYC` and `NYISO-HUDVL`."""

    Options = NyisoOptions

    def __init__(self, options: NyisoOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="nyiso",
            title="NYISO day-ahead market (New York)",
            signals=tuple(UNITS),
            zones=tuple(NAMES),
            units=UNITS,
            resolution_minutes=(60,),
            horizon=timedelta(days=LOAD_DAYS),
            past=timedelta(days=90),
            publication=MarketDaily(time(10, 45), "America/New_York"),
            publications={Signal.LOAD: MarketDaily(time(8), "America/New_York", settled_by=None)},
            licence="public, no licence stated",
            attribution="New York Independent System Operator (NYISO)",
            url="https://www.nyiso.com",
            rate_limit="none published; once an hour is plenty",
            notes=("a wholesale price: network charges and a retailer's margin are not in it",),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole days of prices that the window touches, and the newest load forecast."""
        known_zone(self.info, request.zone)
        found: list[ForecastSeries] = []
        if Signal.PRICE in request.signals:
            found += self._prices(request, now)
        ahead = now + timedelta(days=LOAD_DAYS)
        if Signal.LOAD in request.signals and request.start < ahead and request.end > now - timedelta(days=1):
            found += request.overlapping(self._load(request.zone, now))
        return found

    def _prices(self, request: FetchRequest, now: datetime) -> list[ForecastSeries]:
        first = local_day(request.start, EASTERN)
        last = min(last_local_day(request.end, EASTERN), local_day(now, EASTERN) + timedelta(days=1))
        if last < first:
            return []
        steps = joined(day_spans(first, last, EASTERN, 1), partial(self._day, request.zone))
        series = self._series(request.zone, Signal.PRICE, steps, now)
        return [check_series(series, now=now if request.end > now else None, market_tz=EASTERN)]

    def _day(self, zone: str, opens: datetime, closes: datetime) -> list[Step]:
        """The prices of the day `[opens, closes)`."""
        day = local_day(opens, EASTERN)
        what, rows = self._rows(Signal.PRICE, day, (STAMP, NAME, PRICE))
        name = NAMES[zone]
        steps = _steps(what, [row for row in rows if row[NAME].strip().upper() == name], PRICE)
        if not steps:
            raise SourceUnavailable(f"{what} has no price of {name}.", hint="Has the zone another name now?")
        begins, ends = min(step.start for step in steps), max(step.end for step in steps)
        if (begins, ends) != (opens, closes):
            raise ForecastRejected(
                f"{what}: the prices are from {isoformat_z(begins)} to {isoformat_z(ends)}, not from "
                f"{isoformat_z(opens)} to {isoformat_z(closes)}.",
                field=STAMP,
                hint="The market clears whole days; it is asked again at the next poll.",
            )
        return steps

    def _load(self, zone: str, now: datetime) -> ForecastSeries:
        """Today's forecast or, until that is there, yesterday's, which reaches today and four days more."""
        today, name = local_day(now, EASTERN), NAMES[zone]
        try:
            what, rows = self._rows(Signal.LOAD, today, (STAMP,))
        except NotPublished:
            what, rows = self._rows(Signal.LOAD, today - timedelta(days=1), (STAMP,))
        column = next(
            (column for column in (rows[0] if rows else ()) if column.strip().upper() == name), None
        )
        if column is None:
            raise SourceUnavailable(f"{what} has no load of {name}.", hint="Has the zone another name now?")
        return check_series(self._series(zone, Signal.LOAD, _steps(what, rows, column), now), now=now)

    def _rows(self, signal: Signal, day: date, needed: Sequence[str]) -> tuple[str, list[Mapping[str, str]]]:
        """The name of a day's file, and its rows. Raises NotPublished where there is none."""
        folder, file = FILES[signal]
        url = join_url(self.options.base_url, f"{folder}/CSV/{day:%Y/%m/%d}/{file}-{day:%Y%m%d}.csv")
        reply = (self._http or shared_client()).get(url)
        if reply.status in NONE_YET:
            raise NotPublished(f"{url} answered {reply.status}.", hint=_NOT_YET, status=reply.status)
        if reply.status != 200:
            raise SourceUnavailable(
                f"{url} answered {reply.status}: {excerpt(reply.body)}",
                hint=AT_NEXT_POLL,
                status=reply.status,
            )
        return url, list(table(url, reply.body, needed))

    def _series(self, zone: str, signal: Signal, steps: Iterable[Step], now: datetime) -> ForecastSeries:
        unit = parse_unit(UNITS[signal], signal)
        start, end, values = arrays(steps)
        return ForecastSeries(
            zone=zone,
            signal=signal,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            start=start,
            end=end,
            values=convert(values, unit),
            kind=Kind.CLEARED if signal is Signal.PRICE else Kind.FORECAST,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )


def _steps(what: str, rows: Iterable[Mapping[str, str]], column: str) -> list[Step]:
    """The hours that rows tell of, in the order of the file: it alone tells the hour that comes twice apart.

    Raises ForecastRejected for a time that comes oftener than clocks show it.
    """
    seen: Counter[datetime] = Counter()
    steps = []
    for row in rows:
        wall = _wall(what, row[STAMP])
        seen[wall] += 1
        if seen[wall] > 2:
            raise ForecastRejected(f"{what}: {wall:%Y-%m-%d %H:%M} comes {seen[wall]} times.", field=STAMP)
        start = from_wall(wall, EASTERN, what, again=seen[wall] == 2)
        steps.append(Step(start, start + timedelta(hours=1), number(row[column], f"{what}: {column}")))
    return steps


def _wall(what: str, said: str) -> datetime:
    for form in ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S"):
        try:
            return datetime.strptime(said.strip(), form)  # noqa: DTZ007 - a clock on a wall in New York
        except ValueError:
            continue
    raise SourceUnavailable(f"{what}: {said[:40]!r} is not a time.", hint="Has the format changed?")
