"""Day-ahead prices, and forecasts of load, wind and sun, of Europe's bidding zones, from ENTSO-E. Needs a free token.

https://transparency.entsoe.eu, documents A44 (energy prices, 12.1.D), A65 (day-ahead total load, 6.1.B) and A69
(generation of wind and solar, 14.1.D). A price is final once it is published, but in some zones two auctions are told
in one document, and the earlier is not what most contracts settle at: only sequence 1 counts as cleared. Load, wind and
solar are the day-ahead forecasts; wind is what is on land and at sea, added up. The document's times of creation are
those of the reply, so `known_at` is the fetch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import groupby
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import SourceUnavailable
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, known_zone
from forecasts.sources.entsoe_documents import (
    LATER,
    PRICE,
    QUANTITY,
    Slot,
    document,
    keep,
    newest_first,
    refused,
    required,
    slots,
    text,
    whole,
)
from forecasts.sources.http import HttpClient, redact, shared_client
from forecasts.sources.keys import KeyOptions
from forecasts.sources.publication import MarketDaily
from forecasts.sources.reports import NotPublished, day_spans, joined
from forecasts.sources.steps import Step, added_up, arrays
from forecasts.units import convert, parse_unit

CET = ZoneInfo("Europe/Brussels")
"""The market's time, also of the zones that keep another."""

EIC_OF_ZONE = {
    "AT": "10YAT-APG------L",
    "BE": "10YBE----------2",
    "CH": "10YCH-SWISSGRIDZ",
    "DE-LU": "10Y1001A1001A82H",
    "DK1": "10YDK-1--------W",
    "DK2": "10YDK-2--------M",
    "ES": "10YES-REE------0",
    "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C",
    "IE-SEM": "10Y1001A1001A59C",
    "NL": "10YNL----------L",
    "NO2": "10YNO-2--------T",
    "PL": "10YPL-AREA-----S",
    "SE3": "10Y1001A1001A46L",
}
"""Bidding zones and their Energy Identification Codes. Great Britain has no prices here any more."""

TWO_AUCTIONS = frozenset({"AT", "DE-LU"})
"""Where sequence 1 is the coupled auction (SDAC, noon) and sequence 2 that of EXAA (10:15), seen hours earlier."""

DAY_AHEAD = "A01"
MOST_DAYS = 30
"""What one request is for: a month is all that is given of some documents, and a year of the others."""

MOST_SERIES = 100
"""The most TimeSeries that a reply has, however many there are."""

SEQUENCE = "classificationSequence_AttributeInstanceComponent.position"
DOCUMENT = {Signal.PRICE: "A44", Signal.LOAD: "A65", Signal.WIND: "A69", Signal.SOLAR: "A69"}
TYPES = {Signal.WIND: {"B18", "B19"}, Signal.SOLAR: {"B16"}}
"""Types of generation: wind at sea and on land, and the sun."""

UNIT_NAMES = {"MAW": "MW"}
"""What the platform calls units by another name."""


class EntsoeOptions(KeyOptions):
    """The token, and where the API is."""

    base_url: str = Field("https://web-api.tp.entsoe.eu/api", description="or a mirror's")


class EntsoeSource:
    """The zones are bidding zones, those of `EIC_OF_ZONE`."""

    Options = EntsoeOptions

    def __init__(self, options: EntsoeOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="entsoe",
            title="ENTSO-E Transparency Platform",
            signals=tuple(DOCUMENT),
            zones=tuple(EIC_OF_ZONE),
            units={
                Signal.PRICE: "EUR/MWh, or as the document says",
                **dict.fromkeys((Signal.LOAD, Signal.WIND, Signal.SOLAR), "MW"),
            },
            resolution_minutes=(15, 30, 60),
            horizon=timedelta(hours=36),
            past=timedelta(days=365),
            publication=MarketDaily(time(12, 50), "Europe/Brussels"),
            publications={
                # Load two hours before the auction closes, wind and solar at 18:00 at the latest; both revised.
                Signal.LOAD: MarketDaily(time(10), "Europe/Brussels", settled_by=None),
                Signal.WIND: MarketDaily(time(18), "Europe/Brussels", settled_by=None),
                Signal.SOLAR: MarketDaily(time(18), "Europe/Brussels", settled_by=None),
            },
            licence="ENTSO-E Transparency Platform terms: free re-use, source to be cited",
            attribution="ENTSO-E Transparency Platform",
            url="https://transparency.entsoe.eu",
            key_needed=True,
            rate_limit="400 requests a minute",
            notes=("where sequence 1 (SDAC) is not published yet, an earlier auction is told as a forecast",),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole market days that the window touches, as far as published.

        Of the price one series for each run of days that the same auction tells; the lowest sequence speaks for a day.
        """
        known_zone(self.info, request.zone)
        first, last = local_day(request.start, CET), last_local_day(request.end, CET)
        found = []
        for signal in DOCUMENT:
            if signal in request.signals:
                spans = day_spans(first, last, CET, MOST_DAYS)
                told = joined(spans, partial(self._time_series, request.zone, signal))
                of_signal = self._prices if signal is Signal.PRICE else partial(self._power, signal=signal)
                newest = sorted(told, key=lambda pair: -pair[0])
                found += of_signal(request, newest, now=now)
        return found

    def _what(self, zone: str) -> str:
        return f"{redact(self.options.base_url)} for {zone}"

    def _time_series(
        self, zone: str, signal: Signal, start: datetime, end: datetime
    ) -> list[tuple[int, ET.Element]]:
        """The time series about `[start, end)` and their revisions. A reply that is full may lack some: it is asked
        for in halves then, down to a day.
        """
        told = newest_first(self._ask(zone, signal, start, end))
        if len(told) < MOST_SERIES:
            return told
        first, last = local_day(start, CET), last_local_day(end, CET)
        if first == last:
            raise SourceUnavailable(
                f"{zone}: the reply about {first} has {len(told)} TimeSeries, where more may have been left out.",
                hint="No market has so many in a day: check base_url.",
            )
        middle = market_day(first + (last - first) // 2, CET)[1]
        return joined(((start, middle), (middle, end)), partial(self._time_series, zone, signal))

    def _ask(self, zone: str, signal: Signal, start: datetime, end: datetime) -> ET.Element:
        """The document about `[start, end)`."""
        where = "Register at https://transparency.entsoe.eu and ask for a token of its API."
        token = self.options.key("entsoe", "ENTSOE_API_KEY", where)
        area = EIC_OF_ZONE[zone]
        which = {
            Signal.PRICE: {"in_Domain": area, "out_Domain": area, "contract_MarketAgreement.type": DAY_AHEAD},
            Signal.LOAD: {"outBiddingZone_Domain": area, "processType": DAY_AHEAD},
            Signal.WIND: {"in_Domain": area, "processType": DAY_AHEAD},
            Signal.SOLAR: {"in_Domain": area, "processType": DAY_AHEAD},
        }
        query = {
            "documentType": DOCUMENT[signal],
            **which[signal],
            "periodStart": f"{start:%Y%m%d%H%M}",
            "periodEnd": f"{end:%Y%m%d%H%M}",
            "securityToken": token,
        }
        reply = (self._http or shared_client()).get(self.options.base_url, query)
        kind = "Publication" if signal is Signal.PRICE else "GL"
        return document(self._what(zone), reply, token, f"{kind}_MarketDocument")

    def _prices(
        self, request: FetchRequest, told: Sequence[tuple[int, ET.Element]], *, now: datetime
    ) -> list[ForecastSeries]:
        start, end = _window(request)
        days = _days(told, request.zone, start, end)
        if not days:
            raise self._nothing(request.zone, Signal.PRICE, start, end)
        found = []
        for sequence, run in groupby(sorted(days), key=lambda day: min(days[day])):
            rows = [slot for day in run for slot in days[day][sequence].values()]
            found.append(self._price(request.zone, sequence, rows, now))
        # What has ended is stale, unless the past is what was asked for.
        check_series(found[-1], now=now if request.end > now else None)
        return found

    def _price(self, zone: str, sequence: int, rows: Sequence[Slot], now: datetime) -> ForecastSeries:
        first = sequence == 1
        which = "the earlier auction, EXAA's" if zone in TWO_AUCTIONS else "another auction"
        instead = f"sequence {sequence} ({which}) stands in for sequence 1, which is not published."
        series = self._series(
            zone,
            Signal.PRICE,
            [Step(slot.start, slot.end, slot.amount) for slot in rows],
            rows[0].unit,
            now,
            kind=Kind.CLEARED if first else Kind.FORECAST,
            note="" if first else instead,
        )
        # Auctions clear whole days: of the one that counts, a part of a day was cut off or counted wrongly.
        return check_series(series, market_tz=CET if first else None)

    def _power(
        self, request: FetchRequest, told: Sequence[tuple[int, ET.Element]], *, now: datetime, signal: Signal
    ) -> list[ForecastSeries]:
        start, end = _window(request)
        parts = _parts(told, request.zone, signal, start, end)
        if not parts:
            raise self._nothing(request.zone, signal, start, end)
        units = {slot.unit for part in parts for slot in part}
        if len(units) > 1:
            raise refused("quantity_Measure_Unit.name", f"it is in {' and '.join(sorted(units))}.")
        steps = added_up([Step(slot.start, slot.end, slot.amount) for slot in part] for part in parts)
        unit = min(units)
        series = self._series(request.zone, signal, steps, UNIT_NAMES.get(unit, unit), now)
        return [check_series(series, now=now if request.end > now else None)]

    def _nothing(self, zone: str, signal: Signal, start: datetime, end: datetime) -> NotPublished:
        span = f"from {isoformat_z(start)} to {isoformat_z(end)}"
        return NotPublished(f"{self._what(zone)} has no {signal} {span}.", hint=LATER)

    def _series(
        self,
        zone: str,
        signal: Signal,
        steps: Iterable[Step],
        said: str,
        now: datetime,
        *,
        kind: Kind = Kind.FORECAST,
        note: str = "",
    ) -> ForecastSeries:
        """`steps` in the unit that is `said`, as a vintage that is yet to be checked."""
        field = "currency_Unit.name" if signal is Signal.PRICE else "quantity_Measure_Unit.name"
        unit = parse_unit(said, signal, field=field)
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
            kind=kind,
            licence=self.info.licence,
            attribution=self.info.attribution,
            note=note,
        )


_Days = dict[date, dict[int, dict[datetime, Slot]]]
"""By market day, sequence of the auction, and start."""


def _window(request: FetchRequest) -> tuple[datetime, datetime]:
    first, last = local_day(request.start, CET), last_local_day(request.end, CET)
    return market_day(first, CET)[0], market_day(last, CET)[1]


def _days(told: Iterable[tuple[int, ET.Element]], zone: str, start: datetime, end: datetime) -> _Days:
    """The prices of slots that start in `[start, end)`."""
    days: _Days = {}
    units: set[str] = set()
    for revision, series in told:
        _check_area(series, zone, ("in_Domain.mRID", "out_Domain.mRID"))
        if text(series, "contract_MarketAgreement.type") not in {None, DAY_AHEAD}:
            continue  # intraday auctions, which have been seen among these
        sequence = _sequence(series, zone)
        for slot in slots(series, revision, start, end, PRICE):
            keep(
                days.setdefault(local_day(slot.start, CET), {}).setdefault(sequence, {}),
                slot,
                f"sequence {sequence}",
            )
            units.add(slot.unit)
    if len(units) > 1:
        raise refused("currency_Unit.name", f"the prices are in {' and '.join(sorted(units))}.")
    return days


def _parts(
    told: Iterable[tuple[int, ET.Element]], zone: str, signal: Signal, start: datetime, end: datetime
) -> list[list[Slot]]:
    """The slots of load, or of each type of generation that `signal` is made of, that start in `[start, end)`."""
    of_type: dict[str, dict[datetime, Slot]] = defaultdict(dict)
    for revision, series in told:
        kind = "load"
        if signal in TYPES:
            if text(series, "outBiddingZone_Domain.mRID"):
                continue  # what plants take out of the grid
            kind = required(series, "MktPSRType/{*}psrType")
            if kind not in TYPES[signal]:
                continue
        _check_area(series, zone, ("inBiddingZone_Domain.mRID", "outBiddingZone_Domain.mRID"))
        for slot in slots(series, revision, start, end, QUANTITY):
            keep(of_type[kind], slot, f"type {kind}")
    return [list(part.values()) for part in of_type.values()]


def _check_area(series: ET.Element, zone: str, sides: Iterable[str]) -> None:
    for side in sides:
        if (area := text(series, side)) not in {None, EIC_OF_ZONE[zone]}:
            raise refused(side, f"the reply is about {area} instead of {zone} ({EIC_OF_ZONE[zone]}).")


def _sequence(series: ET.Element, zone: str) -> int:
    said = text(series, SEQUENCE)
    if said is None and zone in TWO_AUCTIONS:
        raise refused(SEQUENCE, f"{zone} has two auctions, and a TimeSeries does not say whose it is.")
    return whole(said or "1", SEQUENCE)
