"""Carbon intensity of any zone of Electricity Maps, up to 72 h ahead, what came of it, and its day-ahead price. Needs a
paid plan.

https://portal.electricitymaps.com/docs/api (v4). What the grid consumes, imports included, in g CO2e a kWh, by the hour
or the quarter. No history of forecasts is kept, so `known_at` is the time of the fetch. Replies give the starts of
intervals only, in UTC.

What came is that of carbon-intensity/past-range, and where the plan has no such thing, of carbon-intensity/history, the
last day. Rows that are estimated count as nothing: what is measured later takes their place. How many days past-range
gives at once, and that its rows are under `data`, is taken from clients.

The price, where it is asked for, is that of price-day-ahead/combined: what exchanges published and, beyond, what
Electricity Maps expects, for about 24 h from the present hour on; or of price-day-ahead/history, the last day. Each row
has its unit and its source, by which the two cannot be told apart for certain, so all of it counts as a forecast. That
the rows are under `data` is taken from what clients recorded, and not from the documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Times, as_datetime64, floor_to_slot, isoformat_z
from forecasts.sources.base import ANY_ZONE, FetchRequest, SourceInfo
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.keys import KeyOptions, body_of, why
from forecasts.sources.measured import Past, Refusals, stretches
from forecasts.sources.publication import Continuous
from forecasts.sources.values import moment_in, numbers, trimmed
from forecasts.units import convert, parse_unit

UNIT = "gCO2eq/kWh"
HORIZONS_H = (6, 24, 48, 72)
"""How far ahead may be asked for [h]."""

PRICES_BACK = PRICES_AHEAD = timedelta(hours=24)
"""How far prices reach back and ahead."""

LAST_DAY = timedelta(hours=24)
"""How far `history` reaches back."""

FIGURES = {Signal.CARBON: "carbonIntensity", Signal.PRICE: "value"}
STEP_MINUTES = {"15_minutes": 15, "hourly": 60}
MOST_DAYS = {"15_minutes": 3, "hourly": 10}
"""Of the past, in one request."""

ZONE = r"^[A-Z]{2,3}(-[A-Z0-9]+)*$"


class ElectricityMapsOptions(KeyOptions):
    """The key, what its zones are called here, and which of its figures are wanted."""

    base_url: str = Field("https://api.electricitymaps.com/v4", description="or a mirror's")
    zones: dict[str, Annotated[str, Field(pattern=ZONE)]] = Field(
        default_factory=dict,
        description="zones that Electricity Maps has another name for, and that name, {DE-LU: DE}",
    )
    emission_factor_type: Literal["lifecycle", "direct"] = Field(
        "lifecycle", description="with what building and fuelling a plant emits, or its chimney alone"
    )
    temporal_granularity: Literal["15_minutes", "hourly"] = Field(
        "hourly", description="how long an interval is"
    )
    price: bool = Field(False, description="tell the day-ahead price too, where the plan has it")


class ElectricityMapsSource:
    """Zones are those of Electricity Maps, or of the option `zones`; it is never left to guess one from our address."""

    Options = ElectricityMapsOptions

    def __init__(self, options: ElectricityMapsOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        step = options.temporal_granularity
        self._past = Past(timedelta(days=MOST_DAYS[step]), STEP_MINUTES[step])
        self._no_range = Refusals()
        self.info = SourceInfo(
            name="electricity_maps",
            title="Electricity Maps",
            signals=(Signal.CARBON, Signal.PRICE) if options.price else (Signal.CARBON,),
            zones=(ANY_ZONE,),
            units={Signal.CARBON: UNIT, Signal.PRICE: "EUR/MWh, or as each row says"},
            resolution_minutes=(STEP_MINUTES[options.temporal_granularity],),
            horizon=timedelta(hours=HORIZONS_H[-1]),
            past=timedelta(days=365),
            publication=Continuous(timedelta(hours=1), steady=True),
            licence="Electricity Maps, by contract",
            attribution="Electricity Maps",
            url="https://www.electricitymaps.com",
            basis=Basis.AVERAGE,
            scope=options.emission_factor_type,
            key_needed=True,
            rate_limit="by contract",
            notes=(
                "forecasts are a paid plan",
                "what came is told where it was measured, and not where it is estimated",
                "a sandbox key is answered with made-up values, which nothing tells from real ones",
            ),
            wholesale=True,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: one vintage of each signal from about now on, as far as the window needs it, and
        before that of carbon what came.
        """
        theirs = self._theirs(request.zone)
        found: list[ForecastSeries] = []
        if Signal.CARBON in request.signals:
            found += self._carbon(request, theirs, now)
        if Signal.PRICE in request.signals and self.options.price:
            found += self._price(request, theirs, now)
        return [series for every in found for series in request.overlapping(every)]

    def _carbon(self, request: FetchRequest, theirs: str, now: datetime) -> list[ForecastSeries]:
        forecast: list[ForecastSeries] = []
        if request.end > now and request.start < now + timedelta(hours=HORIZONS_H[-1]):
            forecast = request.overlapping(self._forecast(request, theirs, now))
        measured = partial(self._measured, request.zone, theirs, now)
        return self._past.before(forecast, request, measured, now=now)

    def _forecast(self, request: FetchRequest, theirs: str, now: datetime) -> ForecastSeries:
        ahead = request.end - floor_to_slot(now, 60)  # which is where its forecasts begin
        hours = next((h for h in HORIZONS_H if timedelta(hours=h) >= ahead), HORIZONS_H[-1])
        asked = {"horizonHours": str(hours), "emissionFactorType": self.options.emission_factor_type}
        url, body = self._ask(request.zone, theirs, "carbon-intensity/forecast", asked)
        rows = _rows(url, body, "forecast", request.zone, theirs)
        self._same_factors(url, (body, *rows))
        updated = moment_in(body, "updatedAt", url) if body.get("updatedAt") is not None else None
        step = body.get("temporalGranularity")
        series = self._series(request.zone, Signal.CARBON, url, rows, step, UNIT, updated, now)
        return check_series(series, now=now)

    def _measured(
        self, zone: str, theirs: str, now: datetime, start: datetime, end: datetime
    ) -> list[ForecastSeries]:
        if not self._no_range.stands(zone, now):
            window = {"start": isoformat_z(start), "end": isoformat_z(end)}
            try:
                return stretches(self._of_past(zone, theirs, "past-range", window, now), start, end)
            except SourceUnavailable as error:
                old = end <= now - LAST_DAY  # of which a refusal says nothing of the plan
                if old or not self._no_range.add(zone, error, now):
                    raise
        if end <= now - LAST_DAY:
            return []
        return stretches(self._of_past(zone, theirs, "history", {}, now), start, end)

    def _of_past(
        self, zone: str, theirs: str, path: str, window: Mapping[str, str], now: datetime
    ) -> ForecastSeries:
        asked = {**window, "emissionFactorType": self.options.emission_factor_type}
        url, body = self._ask(zone, theirs, f"carbon-intensity/{path}", asked)
        rows = _rows(url, body, "data" if "data" in body else "history", zone, theirs)
        self._same_factors(url, (body, *rows))
        step = body.get("temporalGranularity", self.options.temporal_granularity)
        return self._series(zone, Signal.CARBON, url, rows, step, UNIT, None, now, Kind.ACTUAL)

    def _price(self, request: FetchRequest, theirs: str, now: datetime) -> list[ForecastSeries]:
        if request.end <= now - PRICES_BACK or request.start >= now + PRICES_AHEAD:
            return []
        ahead = request.end > now
        path = f"price-day-ahead/{'combined' if ahead else 'history'}"
        url, body = self._ask(request.zone, theirs, path, {})
        rows = _rows(url, body, "data", request.zone, theirs)
        units = {_told(url, row, "unit") for row in rows}
        if len(units) > 1:
            raise ForecastRejected(
                f"{url}: the prices are in {' and '.join(sorted(map(str, units)))}.",
                field="unit",
                hint="Refused whole; it is asked again at the next poll.",
            )
        updated = max(
            (moment_in(row, "updatedAt", url) for row in rows if row.get("updatedAt") is not None),
            default=None,
        )
        step = body.get("temporalGranularity", self.options.temporal_granularity)
        unit = str(min(units, key=str))
        series = self._series(request.zone, Signal.PRICE, url, rows, step, unit, updated, now)
        return [check_series(series, now=now if ahead else None)]

    def _theirs(self, zone: str) -> str:
        name = self.options.zones.get(zone, zone)
        if not re.fullmatch(ZONE, name):
            raise InputError(
                f"the source electricity_maps has no zone {zone!r}.",
                field="zone",
                hint="Its zones are such as DE, DK-DK1 and US-CAL-CISO; name yours in its option zones, {DE-LU: DE}.",
                zone=zone,
            )
        return name

    def _ask(
        self, zone: str, theirs: str, path: str, asked: Mapping[str, str]
    ) -> tuple[str, Mapping[str, Any]]:
        url = join_url(self.options.base_url, path)
        query = {
            "zone": theirs,
            **asked,
            "temporalGranularity": self.options.temporal_granularity,
            # Else a zone that it does not know is answered with the one where this machine stands.
            "disableCallerLookup": "true",
        }
        key = self.options.key(
            "electricity_maps", "ELECTRICITY_MAPS_API_KEY", "Get one at https://portal.electricitymaps.com."
        )
        headers = {"auth-token": key, "Accept": "application/json"}
        reply = (self._http or shared_client()).get(url, query, headers)
        body = body_of(reply)
        if reply.status == 200 and isinstance(body, Mapping):
            return url, body
        raise SourceUnavailable(
            f"{url} for {_named(zone, theirs)} answered {reply.status}{why(body, key)}.",
            hint=_HINTS.get(reply.status, _LATER),
            status=reply.status,
        )

    def _series(
        self,
        zone: str,
        signal: Signal,
        url: str,
        rows: list[Any],
        granularity: Any,
        unit_said: str,
        updated: datetime | None,
        now: datetime,
        kind: Kind = Kind.FORECAST,
    ) -> ForecastSeries:
        whole = kind is Kind.FORECAST
        start, step = _starts(url, granularity, rows, whole=whole)
        figure = FIGURES[signal]
        # Of the past only what is said not to be an estimate was measured.
        said = [_told(url, row, figure) if whole or row.get("isEstimated") is False else None for row in rows]
        values = numbers(said, f"{url}: {figure}")
        keep = trimmed(values, f"{url}: every value for {zone} is null.") if whole else slice(None)
        unit = parse_unit(unit_said, signal)
        return ForecastSeries(
            zone=zone,
            signal=signal,
            unit=unit.canonical,
            source=self.info.name,
            known_at=now,
            issued_at=updated if updated is not None and updated <= now else None,  # clocks differ
            start=start[keep],
            end=start[keep] + step,
            values=convert(values[keep], unit),
            kind=kind,
            basis=Basis.AVERAGE if signal is Signal.CARBON else None,
            licence=self.info.licence,
            attribution=self.info.attribution,
            restricted=True,
        )

    def _same_factors(self, url: str, said: tuple[Any, ...]) -> None:
        """Direct and life-cycle figures are never taken for one another, where the reply says which they are."""
        wanted = self.options.emission_factor_type
        for one in said:
            told = one.get("emissionFactorType", wanted) if isinstance(one, Mapping) else wanted
            if told != wanted:
                raise ForecastRejected(
                    f"{url} answers with {told!r} emission factors instead of {wanted}.",
                    field="emissionFactorType",
                    hint="The two are never mixed; set the option emission_factor_type to what the plan has.",
                )


_CHANGED = "Has the API changed?"
_LATER = "Often an outage; check base_url, and it is asked again at the next poll."
_RENAME = "Is it a zone of theirs? Name theirs in the option zones, {DE-LU: DE}."
_HINTS = {
    400: _RENAME,
    401: "Only the newest key of an account works, and only for the zones of its plan.",
    403: "Forecasts are a paid plan, for the zones in it: the free one has only the present and the last day.",
    404: _RENAME,
}


def _named(zone: str, theirs: str) -> str:
    return zone if zone == theirs else f"{zone} ({theirs})"


def _rows(url: str, body: Mapping[str, Any], key: str, zone: str, theirs: str) -> list[Any]:
    """The rows under `key`. Raises ForecastRejected where they, or what holds them, are of another zone."""
    rows = body.get(key)
    said = [one["zone"] for one in (body, *(rows if isinstance(rows, list) else ())) if _has(one, "zone")]
    if others := [other for other in said if other != theirs]:
        raise ForecastRejected(
            f"{url} answers for the zone {others[0]!r} instead of {_named(zone, theirs)}.",
            field="zone",
            hint="Another zone's figures are not used in its place.",
        )
    if not isinstance(rows, list) or not rows:
        raise SourceUnavailable(
            f"{url} has no {key} for {_named(zone, theirs)}.",
            hint="Not every zone has one; it is asked again at the next poll.",
        )
    if not said:
        raise ForecastRejected(f"{url} does not say of which zone it tells.", field="zone", hint=_CHANGED)
    return rows


def _starts(url: str, said: Any, rows: list[Any], *, whole: bool) -> tuple[Times, np.timedelta64]:
    """Where the intervals start (n,), and how long each is: what the reply says, and what its times agree on.

    One that is not `whole` may lack some, and yet not every second one: those are longer than they are said to be.
    """
    minutes = STEP_MINUTES.get(said) if isinstance(said, str) else None
    if minutes is None:
        raise ForecastRejected(
            f"{url}: temporalGranularity is {said!r}, so that the length of an interval is unknown.",
            field="temporalGranularity",
            hint=f"Known are {', '.join(STEP_MINUTES)}. Has the API changed?",
        )
    times = [moment_in(row, "datetime", url) for row in rows]
    step = timedelta(minutes=minutes)
    some_follow = not whole and any(later - earlier == step for earlier, later in pairwise(times))
    for earlier, later in pairwise(times):
        if later - earlier != step and not (some_follow and later - earlier > step):
            raise ForecastRejected(
                f"{url}: {isoformat_z(earlier)} is followed by {isoformat_z(later)}, and the intervals are said to be "
                f"{said}.",
                field="datetime",
                hint="One is missing, comes twice or has another length; it is asked again at the next poll.",
            )
    return np.array([as_datetime64(time) for time in times]), np.timedelta64(minutes, "m")


def _has(one: Any, key: str) -> bool:
    return isinstance(one, Mapping) and key in one


def _told(url: str, row: Any, key: str) -> Any:
    if not _has(row, key):
        raise SourceUnavailable(f"{url}: a row has no {key}.", hint=_CHANGED)
    return row[key]
