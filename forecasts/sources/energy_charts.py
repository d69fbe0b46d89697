"""European day-ahead prices, and carbon intensity, expected and measured, from Energy-Charts (Fraunhofer ISE). No key.

https://api.energy-charts.info. Prices of 16 zones are CC BY 4.0; of every other the reply says "private and
internal use only", and those are refused unless the options allow them. No history of forecasts is kept, so
`known_at` is the time of the fetch. Replies give the starts of intervals only.

Carbon has two columns: `co2eq` is what was measured, as far as it is, and what `co2eq_forecast` says begins where that
ends, whatever it says of times before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, Times, as_datetime, as_datetime64, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.measured import stretches
from forecasts.sources.publication import Continuous, MarketDaily
from forecasts.sources.values import after_last_gap, numbers, trimmed
from forecasts.units import Unit, convert, parse_unit

CET = ZoneInfo("Europe/Berlin")

OPEN_ZONES = {
    "AT": "at",
    "BE": "be",
    "CH": "ch",
    "CZ": "cz",
    "DE-LU": "de",
    "DK1": "dk",
    "DK2": "dk",
    "FR": "fr",
    "HU": "hu",
    "IT-North": "it",
    "NL": "nl",
    "NO2": "no",
    "PL": "pl",
    "SE4": "se",
    "SI": "si",
}
"""Bidding zones whose prices are CC BY 4.0 (October 2026), and the country whose carbon is theirs."""

RESTRICTED_ZONES = {
    "ES": "es",
    "HR": "hr",
    "IT-Centre-North": "it",
    "IT-Centre-South": "it",
    "IT-Sardinia": "it",
    "IT-Sicily": "it",
    "IT-South": "it",
    "NO1": "no",
    "NO3": "no",
    "NO4": "no",
    "NO5": "no",
    "SE1": "se",
    "SE2": "se",
    "SE3": "se",
    "SK": "sk",
}
"""Zones whose prices are for private and internal use only. All keep the market's time, CET."""

PRIVATE = "private and internal use"
"""What a licence says that restricts, in lower case."""

COUNTRIES = OPEN_ZONES | RESTRICTED_ZONES


class EnergyChartsOptions(SourceOptions):
    """Where the API is, and which licences are fine."""

    base_url: str = Field("https://api.energy-charts.info", description="or a mirror's")
    allow_restricted: bool = Field(
        False,
        description="use prices that the reply allows for private and internal use only; they are stored and "
        "shown as restricted and must not be passed on",
    )


class EnergyChartsSource:
    """Zones are bidding zones; carbon is that of the country."""

    Options = EnergyChartsOptions

    def __init__(self, options: EnergyChartsOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="energy_charts",
            title="Energy-Charts (Fraunhofer ISE)",
            signals=(Signal.PRICE, Signal.CARBON),
            zones=tuple(COUNTRIES) if options.allow_restricted else tuple(OPEN_ZONES),
            units={Signal.PRICE: "EUR / MWh", Signal.CARBON: CARBON_UNIT},
            resolution_minutes=(15, 60),
            horizon=timedelta(hours=36),
            past=timedelta(days=365),
            publication=MarketDaily(time(12, 55), "Europe/Berlin", slow=timedelta(hours=12)),
            publications={Signal.CARBON: Continuous(timedelta(hours=1))},
            licence="CC BY 4.0 where the reply's license_info says so",
            attribution="Energy-Charts.info, Fraunhofer ISE; prices: Bundesnetzagentur | SMARD.de",
            url="https://energy-charts.info",
            basis=Basis.AVERAGE,
            scope="lifecycle",
            rate_limit="1 request in 25 s",
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole local days that the window touches, as far as published."""
        known_zone(self.info, request.zone)
        first = local_day(request.start, CET)
        last = last_local_day(request.end, CET)
        window = {"start": first.isoformat(), "end": last.isoformat()}  # the last day is included
        end = market_day(last, CET)[1]
        # What has ended is stale, unless the past is what was asked for.
        still = now if request.end > now else None
        found = []
        if Signal.PRICE in request.signals:
            body = self._ask("price", "bzn", request.zone, window)
            found.append(self._price(request.zone, body, end, now=now, still=still))
        if Signal.CARBON in request.signals:
            body = self._ask("co2eq", "country", COUNTRIES[request.zone], window)
            told = self._carbon(request.zone, body, end, now=now, still=still)
            found += [s for s in told if s.kind is Kind.FORECAST or request.overlapping(s)]
        return found

    def _ask(self, path: str, key: str, value: str, window: Mapping[str, str]) -> Mapping[str, Any]:
        url = join_url(self.options.base_url, path)
        status, body = (self._http or shared_client()).get_json(url, {key: value, **window})
        if status == 200 and isinstance(body, Mapping) and body:
            return body
        detail = body.get("detail") if isinstance(body, Mapping) else None
        said = f": {detail}" if isinstance(detail, str) else " without any data"
        raise SourceUnavailable(
            f"{url} for {value} from {window['start']} to {window['end']} answered {status}{said}.",
            hint="Not published yet, or an outage; it is asked again at the next poll.",
            status=status,
        )

    def _price(
        self, zone: str, body: Mapping[str, Any], end: datetime, *, now: datetime, still: datetime | None
    ) -> ForecastSeries:
        licence = _licence(body) or "the reply states no licence"
        # What does not say that it is open is not.
        restricted = "cc by" not in licence.casefold() or PRIVATE in licence.casefold()
        self._allow(restricted, f"price of {zone}", licence)
        unit = _price_unit(body)
        rows = _rows(body, "price", end, still)
        told = _told(rows, "price", still)
        series = ForecastSeries(
            zone=zone,
            signal=Signal.PRICE,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            start=told.start,
            end=told.end,
            values=convert(told.values, unit),
            kind=Kind.CLEARED,
            licence=licence,
            attribution=self.info.attribution,
            restricted=restricted,
            note=told.note,
        )
        # Auctions clear whole days: one that came without nulls and yet not whole was counted wrongly.
        whole = told.end[-1] == rows.end[-1]
        return check_series(series, now=still, market_tz=CET if whole else None)

    def _carbon(
        self, zone: str, body: Mapping[str, Any], end: datetime, *, now: datetime, still: datetime | None
    ) -> list[ForecastSeries]:
        """What was measured, and what is forecast from there on."""
        # Their own figure, and the reply has no license_info; one that came would count.
        licence = _licence(body) or "not stated by the reply"
        restricted = PRIVATE in licence.casefold()
        self._allow(restricted, f"carbon of {zone}", licence)

        def series(rows: _Rows, kind: Kind) -> ForecastSeries:
            return ForecastSeries(
                zone=zone,
                signal=Signal.CARBON,
                unit=CARBON_UNIT,
                source=self.info.name,
                known_at=now,
                start=rows.start,
                end=rows.end,
                values=rows.values,
                kind=kind,
                basis=Basis.AVERAGE,
                licence=licence,
                attribution="Energy-Charts.info, Fraunhofer ISE",
                restricted=restricted,
                note=rows.note,
            )

        expected = _rows(body, "co2eq_forecast", end, still)
        measured: list[ForecastSeries] = []
        if "co2eq" in body:
            try:
                rows = replace(_rows(body, "co2eq", end, still), note="")
                measured = stretches(series(rows, Kind.ACTUAL), as_datetime(rows.start[0]), end)
            except ForecastRejected as e:  # the day ahead is not lost for it
                expected = replace(expected, note=f"what was measured is left out: {e.detail}")
        if measured and still is None:
            return measured  # nothing is ahead of what was asked for
        if measured:
            expected = expected.since(measured[-1].end[-1])
        forecast = series(_told(expected, "co2eq_forecast", still), Kind.FORECAST)
        return [*measured, check_series(forecast, now=still)]

    def _allow(self, restricted: bool, what: str, licence: str) -> None:
        if restricted and not self.options.allow_restricted:
            raise ForecastRejected(
                f"the licence of the {what} does not allow this use: {licence}",
                field="license_info",
                hint="Use another source for it, or set allow_restricted: true where your use is private.",
            )


def _licence(body: Mapping[str, Any]) -> str:
    said = body.get("license_info")
    return said.strip() if isinstance(said, str) else ""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Intervals that follow one another, and what a column says of them, NaN where it is null."""

    start: Times
    end: Times
    values: Floats
    note: str  # that its past was cut, and why

    def since(self, time: np.datetime64) -> _Rows:
        """Those that start at `time` or later."""
        later = self.start >= time
        return _Rows(self.start[later], self.end[later], self.values[later], self.note)


def _told(rows: _Rows, column: str, now: datetime | None) -> _Rows:
    """Those that have a value, nulls before and after cut off.

    So is the past up to its last null: the past only helps to guess what is not published yet, and a hole in
    it must not cost the day ahead. A null that is not over by `now` stays, to be refused; all do when it is None.
    """
    keep = trimmed(rows.values, f"{column}: every value is null.")
    begins = after_last_gap(rows.end, rows.values, keep, now)
    note = rows.note if begins == keep.start else _cut(column, rows.start[begins])
    keep = slice(begins, keep.stop)
    return _Rows(rows.start[keep], rows.end[keep], rows.values[keep], note)


def _cut(column: str, begins: np.datetime64) -> str:
    return f"{column}: what came before {isoformat_z(as_datetime(begins))} is left out, for it has a gap."


def _rows(body: Mapping[str, Any], column: str, end: datetime, now: datetime | None) -> _Rows:
    """The intervals before `end`: all of them, or those after the last that is missing and was over by `now`."""
    seconds, said = body.get("unix_seconds"), body.get(column)
    for name, array in (("unix_seconds", seconds), (column, said)):
        if not isinstance(array, list):
            raise ForecastRejected(f"{name} is not a list.", field=name, hint="Has the API changed?")
    if len(seconds) != len(said):  # type: ignore[arg-type]
        raise ForecastRejected(
            f"{column} has {len(said)} values for {len(seconds)} times.",  # type: ignore[arg-type]
            field=column,
            hint="Which belongs to which cannot be known; refused whole.",
        )
    if not seconds:
        raise SourceUnavailable(f"{column} is empty.", hint="Nothing is published for this window yet.")
    at = numbers(seconds, "unix_seconds")
    if not np.all(np.isfinite(at)) or np.any(at != np.floor(at)):
        raise ForecastRejected("unix_seconds holds something else than whole seconds.", field="unix_seconds")
    start = at.astype(np.int64).astype("datetime64[s]").astype("datetime64[us]")
    values = numbers(said, column)  # type: ignore[arg-type]
    wanted = start < as_datetime64(end)  # the end is included, so one more may come
    start, values = start[wanted], values[wanted]
    if not len(start):
        raise SourceUnavailable(f"{column} has nothing in the window.", hint="Nothing is published yet.")
    whole_from = _whole_from(start, column, now)
    start, values = start[whole_from:], values[whole_from:]
    ends = np.append(start[1:], start[-1] + (start[-1] - start[-2]))
    return _Rows(start, ends, values, _cut(column, start[0]) if whole_from else "")


def _price_unit(body: Mapping[str, Any]) -> Unit:
    said = body.get("unit")
    if not isinstance(said, str):
        raise ForecastRejected("the reply does not say which unit its price has.", field="unit")
    return parse_unit(said, Signal.PRICE)


def _whole_from(start: Times, column: str, now: datetime | None) -> int:
    """From which time on none is missing: 0, or more where something is, and all of that was over by `now`.

    An interval ends where the next begins, and the last is as long as the one before it. So a missing interval
    would look like a long one: the step may change only at midnight of the market (the day on which a zone
    goes from hours to quarters) and must be 15, 30 or 60 minutes.
    """
    if len(start) < 2:
        raise ForecastRejected(f"{column} holds one time; its length cannot be known.", field="unix_seconds")
    step = np.diff(start).astype("timedelta64[m]").astype(np.int64)
    odd = ~np.isin(step, (15, 30, 60))
    change = np.diff(step) != 0
    for c in np.flatnonzero(change) + 1:
        # Where the step changes, the longer one may hide a hole.
        if not _is_midnight(start[c]):
            odd[c if step[c] > step[c - 1] else c - 1] = True
    wrong = np.flatnonzero(odd)
    if not len(wrong):
        return 0
    # All of a run of such long ones, which midnight may have ended.
    last = int(wrong[-1])
    while last + 1 < len(step) and step[last] == step[last + 1]:
        last += 1
    over = now is not None and last + 1 < len(step) and start[last + 1] <= as_datetime64(now)
    if over and bool(np.all(step > 0)):
        return last + 1
    here, following = (isoformat_z(as_datetime(t)) for t in (start[wrong[-1]], start[wrong[-1] + 1]))
    raise ForecastRejected(
        f"{column}: {here} is followed by {following}; an interval is missing or comes twice.",
        field="unix_seconds",
        hint="A vintage has no gaps; it is asked again at the next poll.",
    )


def _is_midnight(time: np.datetime64) -> bool:
    local = as_datetime(time).astimezone(CET)
    return local.hour == 0 and local.minute == 0
