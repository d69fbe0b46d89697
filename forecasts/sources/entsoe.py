"""Day-ahead prices of Europe's bidding zones from the ENTSO-E Transparency Platform. Needs a free token.

https://transparency.entsoe.eu, document A44 (energy prices, 12.1.D). A price is final once it is published, but in
some zones two auctions are told in one document, and the earlier is not what most contracts settle at: only
sequence 1 counts as cleared. The document's times of creation are those of the reply, so `known_at` is the fetch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, known_zone
from forecasts.sources.http import HttpClient, Reply, excerpt, redact, shared_client
from forecasts.sources.keys import KeyOptions
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
STEPS = {f"PT{minutes}M": timedelta(minutes=minutes) for minutes in (15, 30, 60)}
LONGEST = timedelta(days=366)
MOST_SERIES = 100
"""The most TimeSeries that a reply has, however many there are."""

SEQUENCE = "classificationSequence_AttributeInstanceComponent.position"
_WHOLE = re.compile(r"\d{1,3}(,\d{3}){1,2}|\d{1,9}")  # "1,000" has been seen
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


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
            signals=(Signal.PRICE,),
            zones=tuple(EIC_OF_ZONE),
            units={Signal.PRICE: "EUR/MWh, or as the document says"},
            resolution_minutes=(15, 30, 60),
            horizon=timedelta(hours=36),
            publication="tomorrow's prices about 12:55 to 13:15 CET, at times hours later; final",
            poll=timedelta(minutes=30),
            licence="ENTSO-E Transparency Platform terms: free re-use, source to be cited",
            attribution="ENTSO-E Transparency Platform",
            url="https://transparency.entsoe.eu",
            key_needed=True,
            rate_limit="400 requests a minute",
            notes=("where sequence 1 (SDAC) is not published yet, an earlier auction is told as a forecast",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole market days that the window touches, as far as published.

        One series for each run of days that the same auction tells; the lowest sequence speaks for a day.
        """
        known_zone(self.info, request.zone)
        if Signal.PRICE not in request.signals:
            return []
        start = market_day(local_day(request.start, CET), CET)[0]
        end = market_day(last_local_day(request.end, CET), CET)[1]
        days = _days(self._ask(request.zone, start, end), request.zone, start, end)
        if not days:
            raise SourceUnavailable(
                f"{self._what(request.zone)} has no price from {isoformat_z(start)} to {isoformat_z(end)}.",
                hint=_LATER,
            )
        found = []
        for sequence, run in groupby(sorted(days), key=lambda day: min(days[day])):
            slots = sorted(slot for day in run for slot in days[day][sequence].values())
            found.append(self._series(request.zone, sequence, slots, now))
        # What has ended is stale, unless the past is what was asked for.
        check_series(found[-1], now=now if request.end > now else None)
        return found

    def _what(self, zone: str) -> str:
        return f"{redact(self.options.base_url)} for {zone}"

    def _ask(self, zone: str, start: datetime, end: datetime) -> ET.Element:
        """The document of prices in `[start, end)`."""
        where = "Register at https://transparency.entsoe.eu and ask for a token of its API."
        token = self.options.key("entsoe", "ENTSOE_API_KEY", where)
        query = {
            "documentType": "A44",
            "in_Domain": EIC_OF_ZONE[zone],
            "out_Domain": EIC_OF_ZONE[zone],
            "contract_MarketAgreement.type": DAY_AHEAD,
            "periodStart": f"{start:%Y%m%d%H%M}",
            "periodEnd": f"{end:%Y%m%d%H%M}",
            "securityToken": token,
        }
        reply = (self._http or shared_client()).get(self.options.base_url, query)
        return _document(self._what(zone), reply, token)

    def _series(self, zone: str, sequence: int, slots: Sequence[_Slot], now: datetime) -> ForecastSeries:
        first = sequence == 1
        unit = parse_unit(slots[0].unit, Signal.PRICE, field="currency_Unit.name")
        which = "the earlier auction, EXAA's" if zone in TWO_AUCTIONS else "another auction"
        instead = f"sequence {sequence} ({which}) stands in for sequence 1, which is not published."
        series = ForecastSeries(
            zone=zone,
            signal=Signal.PRICE,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            start=np.array([as_datetime64(slot.start) for slot in slots]),
            end=np.array([as_datetime64(slot.end) for slot in slots]),
            values=convert(np.array([slot.price for slot in slots]), unit),
            kind=Kind.CLEARED if first else Kind.FORECAST,
            licence=self.info.licence,
            attribution=self.info.attribution,
            note="" if first else instead,
        )
        # Auctions clear whole days: of the one that counts, a part of a day was cut off or counted wrongly.
        return check_series(series, market_tz=CET if first else None)


_LATER = (
    "Not published yet, or an outage; tomorrow's come about 12:55 CET, and it is asked again at each poll."
)


class _Slot(NamedTuple):
    start: datetime  # first: slots are sorted by it
    end: datetime
    price: float
    unit: str  # as written
    revision: int


_Days = dict[date, dict[int, dict[datetime, _Slot]]]
"""By market day, sequence of the auction, and start."""


def _document(asked: str, reply: Reply, token: str) -> ET.Element:
    """The Publication_MarketDocument. Raises SourceUnavailable, saying what came, for anything else."""
    answered = f"{asked} answered {reply.status}"
    if reply.status == 401:
        raise SourceUnavailable(
            f"{answered}: the token is wrong or has expired.",
            field="api_key",
            hint="Make a new one at https://transparency.entsoe.eu and put it where the old one is.",
            status=401,
        )
    root = _root(answered, reply.body, token)
    name = root.tag.rpartition("}")[2]
    if name == "Acknowledgement_MarketDocument":
        # That there is no data is said so, with code 999 and status 200; other statuses find fault with the question.
        said = _text(root, "Reason/{*}text") or "no reason is given."
        raise SourceUnavailable(
            f"{answered}: {said.replace(token, '***')}",
            hint=_LATER if reply.ok else "Ask for another window, and check base_url.",
            status=reply.status,
        )
    if not reply.ok or name != "Publication_MarketDocument":
        what = f"{answered} with {name}, not with a Publication_MarketDocument."
        raise SourceUnavailable(what, hint="Check base_url.", status=reply.status)
    return root


def _root(answered: str, body: bytes, token: str) -> ET.Element:
    """The root of the XML in `body`, which must be UTF-8 without a document type."""
    problem = "a ZIP archive" if body.startswith(b"PK") else ""
    if not problem:
        try:
            # Text rather than bytes: the parser then takes no other encoding, which would hide a document type.
            text = body.decode("utf-8-sig")
            if "<!DOCTYPE" not in text and "<!ENTITY" not in text:
                return ET.fromstring(text)
            problem = "a DTD or entities, which no market document has"
        except (UnicodeDecodeError, ET.ParseError):
            problem = "something that is not XML, or is cut off"
    raise SourceUnavailable(
        f"{answered} with {problem}: {excerpt(body.replace(token.encode(), b'***'))}",
        hint="Often a maintenance page; it is asked again at the next poll. Check base_url.",
    )


def _days(document: ET.Element, zone: str, start: datetime, end: datetime) -> _Days:
    """The slots that start in `[start, end)`. Of those that come twice a later revision counts."""
    every = document.findall("{*}TimeSeries")
    if len(every) >= MOST_SERIES:
        raise SourceUnavailable(
            f"{zone}: the reply has {len(every)} TimeSeries, where more may have been left out.",
            hint="Ask for a shorter window.",
        )
    of_all = _text(document, "revisionNumber") or "1"
    revised = [(_whole(_text(s, "revisionNumber") or of_all, "revisionNumber"), s) for s in every]
    days: _Days = {}
    units: set[str] = set()
    for revision, series in sorted(revised, key=lambda pair: -pair[0]):
        for side in ("in_Domain.mRID", "out_Domain.mRID"):
            if (area := _text(series, side)) not in {None, EIC_OF_ZONE[zone]}:
                raise _refused(side, f"the reply is about {area} instead of {zone} ({EIC_OF_ZONE[zone]}).")
        if _text(series, "contract_MarketAgreement.type") not in {None, DAY_AHEAD}:
            continue  # intraday auctions, which have been seen among these
        sequence = _sequence(series, zone)
        for slot in _slots(series, revision, start, end):
            known = days.setdefault(local_day(slot.start, CET), {}).setdefault(sequence, {})
            before = known.setdefault(slot.start, slot)
            units.add(before.unit)
            if before.revision == revision and before != slot:
                raise _refused(
                    "TimeSeries",
                    f"two of sequence {sequence} disagree about {isoformat_z(slot.start)}: {before.price:g} for "
                    f"{before.end - before.start} and {slot.price:g} for {slot.end - slot.start}.",
                )
    if len(units) > 1:
        raise _refused("currency_Unit.name", f"the prices are in {' and '.join(sorted(units))}.")
    return days


def _sequence(series: ET.Element, zone: str) -> int:
    said = _text(series, SEQUENCE)
    if said is None and zone in TWO_AUCTIONS:
        raise _refused(SEQUENCE, f"{zone} has two auctions, and a TimeSeries does not say whose it is.")
    return _whole(said or "1", SEQUENCE)


def _slots(series: ET.Element, revision: int, start: datetime, end: datetime) -> Iterator[_Slot]:
    """A series' slots that start in `[start, end)`; as many a period as its length says, never 24 or 96."""
    currency, energy = (_required(series, name) for name in ("currency_Unit.name", "price_Measure_Unit.name"))
    curve = _text(series, "curveType") or "A01"
    if curve not in {"A01", "A03"}:
        raise _refused(
            "curveType", f"the curve {curve} is neither A01 (every position) nor A03 (changes only)."
        )
    for period in series.iterfind("{*}Period"):
        opens, closes = (_time(period, f"timeInterval/{{*}}{side}") for side in ("start", "end"))
        if closes <= start or opens >= end:
            continue
        said = _required(period, "resolution")
        step = STEPS.get(said)
        if step is None or not opens < closes <= opens + LONGEST or (closes - opens) % step:
            span = f"{isoformat_z(opens)} to {isoformat_z(closes)}"
            raise _refused("resolution", f"{said!r} is not 15, 30 or 60 minutes, or does not divide {span}.")
        told = _points(period, n := (closes - opens) // step)
        # A03 leaves out what repeats the position before, also at the end; before the first there is nothing.
        missing = next((k for k in range(1, n + 1) if k not in told and (k == 1 or curve == "A01")), None)
        if missing is not None:
            raise _refused("position", f"position {missing} of {n} from {isoformat_z(opens)} on is missing.")
        price = told[1]
        for k in range(n):
            price = told.get(k + 1, price)
            if start <= opens + k * step < end:
                yield _Slot(opens + k * step, opens + (k + 1) * step, price, f"{currency}/{energy}", revision)


def _points(period: ET.Element, n: int) -> dict[int, float]:
    """Prices by position, 1 to `n`."""
    told: dict[int, float] = {}
    for point in period.iterfind("{*}Point"):
        position = _whole(_required(point, "position"), "position")
        amount = _required(point, "price.amount")
        if not 1 <= position <= n or position in told:
            raise _refused(
                "position", f"position {position} comes twice or is not among the {n} of its period."
            )
        if not _DECIMAL.fullmatch(amount):
            raise _refused("price.amount", f"the price at position {position} is {amount!r}, not a number.")
        told[position] = float(amount)
    return told


def _text(parent: ET.Element, path: str) -> str | None:
    """What is in the child at `path`, whatever its namespace; None where there is nothing."""
    return (parent.findtext(f"{{*}}{path}") or "").strip() or None


def _required(parent: ET.Element, path: str) -> str:
    if (said := _text(parent, path)) is None:
        raise _refused(
            path.replace("{*}", ""), f"a {parent.tag.rpartition('}')[2]} has no {path.replace('{*}', '')}."
        )
    return said


def _whole(said: str, field: str) -> int:
    if not _WHOLE.fullmatch(said):
        raise _refused(field, f"{field} is {said!r}, not a whole number.")
    return int(said.replace(",", ""))


def _time(period: ET.Element, path: str) -> datetime:
    said = _required(period, path)
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _refused("timeInterval", f"a period's time is {said!r}, without its zone or no time.")


def _refused(field: str, detail: str) -> ForecastRejected:
    return ForecastRejected(detail, field=field, hint="Refused whole; it is asked again at the next poll.")
