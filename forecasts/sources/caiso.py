"""California, from CAISO's OASIS: day-ahead prices at three trading hubs, and the system's load, wind and sun. No key.

https://oasis.caiso.com (interface specification of OASIS, reports PRC_LMP, SLD_FCST and SLD_REN_FCST). A day of the
market is one of Los Angeles, 23 to 25 hours, and clears whole, about 13:00 the day before. Times are asked for and
read in UTC, so that the 25th hour of autumn is an hour like any other. `known_at` is the time of the fetch.

Load, wind and solar are the day-ahead forecasts that the market was run with, of the whole balancing area: prices at
all hubs come of it. Solar and wind are told by trading hub and added up; what is behind the meter is in neither. That
wind has rows of two hubs at least, and no row of a hub without any, is taken from clients, not from the specification.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.caiso_reports import MOST_DAYS, NOT_YET, Report
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.publication import MarketDaily
from forecasts.sources.reports import NotPublished, day_spans, joined
from forecasts.sources.steps import Step, added_up, arrays
from forecasts.units import convert, parse_unit

UNITS = {Signal.PRICE: "USD/MWh", Signal.LOAD: "MW", Signal.WIND: "MW", Signal.SOLAR: "MW"}
PACIFIC = ZoneInfo("America/Los_Angeles")
NODES = {f"CAISO-{hub}": f"TH_{hub}_GEN-APND" for hub in ("NP15", "SP15", "ZP26")}
"""The trading hubs: north of path 15, south of path 26, and between."""

SYSTEM = "CA ISO-TAC"
REPORTS = {
    Signal.PRICE: Report("PRC_LMP", "12", {"LMP_TYPE": "LMP"}, "NODE"),
    Signal.LOAD: Report("SLD_FCST", "1", {"MARKET_RUN_ID": "DAM", "TAC_AREA_NAME": SYSTEM}, "TAC_AREA_NAME"),
    Signal.WIND: Report(
        "SLD_REN_FCST", "1", {"MARKET_RUN_ID": "DAM", "RENEWABLE_TYPE": "Wind"}, "TRADING_HUB"
    ),
    Signal.SOLAR: Report(
        "SLD_REN_FCST", "1", {"MARKET_RUN_ID": "DAM", "RENEWABLE_TYPE": "Solar"}, "TRADING_HUB"
    ),
}
HUBS_AT_LEAST = {"NP15", "SP15"}
"""Without one of them, wind and solar would be those of half the state."""


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
            signals=tuple(UNITS),
            zones=tuple(NODES),
            units=UNITS,
            resolution_minutes=(60,),
            horizon=timedelta(hours=36),
            past=timedelta(days=365),
            publication=MarketDaily(time(13), "America/Los_Angeles"),
            publications={
                # What the market is run with is told in the morning.
                Signal.LOAD: MarketDaily(time(9, 10), "America/Los_Angeles", settled_by=None),
                Signal.WIND: MarketDaily(time(7), "America/Los_Angeles", settled_by=None),
                Signal.SOLAR: MarketDaily(time(7), "America/Los_Angeles", settled_by=None),
            },
            licence="public",
            attribution="California Independent System Operator (CAISO), OASIS",
            url="https://oasis.caiso.com",
            rate_limit="1 request in 5 s",
            notes=(
                "a wholesale price: network charges and a retailer's margin are not in it",
                "load, wind and solar are the whole system's, and the same for every hub",
            ),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole days of the market that the window touches, as far as published."""
        known_zone(self.info, request.zone)
        first = local_day(request.start, PACIFIC)
        last = min(last_local_day(request.end, PACIFIC), local_day(now, PACIFIC) + timedelta(days=1))
        if last < first:
            return []
        spans = list(day_spans(first, last, PACIFIC, MOST_DAYS))
        return [
            self._series(request, signal, joined(spans, partial(self._ask, request.zone, signal)), now)
            for signal in UNITS
            if signal in request.signals
        ]

    def _ask(self, zone: str, signal: Signal, start: datetime, end: datetime) -> list[tuple[str, Step]]:
        url, report, node = join_url(self.options.base_url, "SingleZip"), REPORTS[signal], NODES[zone]
        asked = report.query(start, end) | ({"node": node} if signal is Signal.PRICE else {})
        about = node if signal is Signal.PRICE else f"the {signal}"
        what = f"{url} for {about} from {isoformat_z(start)} to {isoformat_z(end)}"
        rows = report.read(what, (self._http or shared_client()).get(url, asked))
        others = {part for part, _ in rows} - {node}
        if signal is Signal.PRICE and others:
            raise ForecastRejected(
                f"{what} answered for the node {min(others)} instead of {node}.",
                field="NODE",
                hint="Another place's price is not used in its place.",
            )
        # Should it answer with an hour more: the days asked for are whole without it.
        kept = [(part, step) for part, step in rows if start <= step.start < end]
        if not kept:
            raise NotPublished(f"{what} answered without a {signal}.", hint=NOT_YET)
        return kept

    def _series(
        self, request: FetchRequest, signal: Signal, rows: Sequence[tuple[str, Step]], now: datetime
    ) -> ForecastSeries:
        parts: dict[str, list[Step]] = defaultdict(list)
        for part, step in rows:
            parts[part].append(step)
        if signal in {Signal.WIND, Signal.SOLAR} and (missing := HUBS_AT_LEAST - set(parts)):
            raise ForecastRejected(
                f"{request.zone}: the {signal} of {' and '.join(sorted(missing))} is missing.",
                field="TRADING_HUB",
                hint="A sum that lacks a part is not used; it is asked again at the next poll.",
            )
        unit = parse_unit(UNITS[signal], signal)
        start, end, values = arrays(added_up(parts.values()))
        series = ForecastSeries(
            zone=request.zone,
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
        check_series(series, now=now if request.end > now else None, market_tz=PACIFIC)
        begins = min(step.start for _, step in rows)
        if begins != market_day(local_day(begins, PACIFIC), PACIFIC)[0]:
            raise ForecastRejected(
                f"{request.zone}: the {signal} begins at {isoformat_z(begins)}, not at midnight in Los Angeles.",
                field="INTERVALSTARTTIME_GMT",
                hint="The market clears whole days; it is asked again at the next poll.",
            )
        return series
