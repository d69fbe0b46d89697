"""Carbon of the grid's next or of its average kWh from WattTime, 72 h ahead in 5 minutes, and what came of it. Needs an
account.

https://docs.watttime.org (v3). The one source with an archive of its forecasts: `WattTimeSource.vintages`. All
times are UTC; the unit is read from each reply. A marginal and an average figure are two sources, by their basis.

What came is that of v3/historical: the same signal by the same model, once the grid's data were there. Where they were
not, and the figure is imputed, it counts as nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import AT_NEXT_POLL, ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Times, as_datetime64, isoformat_z
from forecasts.sources.base import ANY_ZONE, FetchRequest, SourceInfo
from forecasts.sources.http import HttpClient, Reply, join_url, shared_client
from forecasts.sources.keys import KeyOptions, body_of, why
from forecasts.sources.measured import Past, stretches
from forecasts.sources.publication import Continuous
from forecasts.sources.values import moment_in, numbers, trimmed
from forecasts.sources.watttime_login import Login
from forecasts.units import Unit, convert, parse_unit

BASIS = {"co2_moer": Basis.MARGINAL, "co2_aoer": Basis.AVERAGE}
HORIZON_H = 72
HORIZON = {"horizon_hours": str(HORIZON_H)}
CHUNK = timedelta(hours=12)
"""Of the archive, at once. It gives a day, which at 72 h and 17 digits a value is more than `http.MAX_BYTES`."""

MOST_AT_ONCE = timedelta(days=30)
"""Of what came, in one request."""

REGION = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


class WattTimeOptions(KeyOptions):
    """Whose account (the key is its password), what its regions are called here, and which figure is wanted."""

    base_url: str = Field("https://api.watttime.org", description="or a mirror's")
    username: str | None = Field(None, pattern=r"^[^:]+$", description="of the account")
    zones: dict[str, Annotated[str, Field(pattern=REGION)]] = Field(
        default_factory=dict,
        description="zones that WattTime has another name for, and that name, {US-CA: CAISO_NORTH}",
    )
    signal_type: Literal["co2_moer", "co2_aoer"] = Field(
        "co2_moer", description="marginal, or average where the account has a forecast of it"
    )
    model: date | None = Field(None, description="the date of the model to ask; without it, the newest")


class WattTimeSource:
    """Zones are WattTime's regions, or those of the option `zones`; `clock` [s] is for tests."""

    Options = WattTimeOptions

    def __init__(
        self,
        options: WattTimeOptions,
        *,
        http: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self._http = http
        self._login = Login(options, options.username, options.base_url, http, clock)
        self._past = Past(MOST_AT_ONCE, 5)
        self.info = SourceInfo(
            name="watttime",
            title="WattTime",
            signals=(Signal.CARBON,),
            zones=(ANY_ZONE,),
            units={Signal.CARBON: "lbs CO2/MWh, as meta.units says"},
            resolution_minutes=(5,),
            horizon=timedelta(hours=HORIZON_H),
            past=timedelta(days=365),
            publication=Continuous(timedelta(minutes=15), steady=True),
            licence="WattTime, by contract",
            attribution="WattTime",
            url="https://watttime.org",
            basis=BASIS[options.signal_type],
            key_needed=True,
            rate_limit="3,000 requests in 5 minutes",
            notes=("the region CAISO_NORTH is free, the others are by contract",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: the newest vintage, from about now on, and before it what came."""
        region = self._region(request.zone)
        if Signal.CARBON not in request.signals:
            return []
        forecast: list[ForecastSeries] = []
        models: list[str] = []
        if request.end > now and request.start < now + timedelta(hours=HORIZON_H):
            url, body = self._ask("v3/forecast", request.zone, region, HORIZON)
            meta = self._meta(url, body, region)
            series = self._series(request.zone, url, meta, body.get("data"), now, meta.generated_at)
            forecast = request.overlapping(check_series(series, now=now))
            models.append(meta.model)
        measured = partial(self._measured, request.zone, region, models, now)
        return self._past.before(forecast, request, measured, now=now)

    def _measured(
        self, zone: str, region: str, models: list[str], now: datetime, start: datetime, end: datetime
    ) -> list[ForecastSeries]:
        """What came in `[start, end)` by the first of `models`; where there is none yet, by that of the reply."""
        window = {"start": isoformat_z(start), "end": isoformat_z(end), "include_imputed_marker": "true"}
        url, body = self._ask("v3/historical", zone, region, window)
        meta = self._meta(url, body, region)
        models.append(meta.model)
        if meta.model != models[0]:
            raise ForecastRejected(
                f"{url}: the model is of {meta.model} instead of {models[0]}.",
                field="meta.model.date",
                hint="What came by one model is not held against forecasts of another; set the option model.",
            )
        if not _list(url, body.get("data"), "data"):
            return []
        return stretches(self._series(zone, url, meta, body["data"], now, None, Kind.ACTUAL), start, end)

    def vintages(self, zone: str, start: datetime, end: datetime, *, now: datetime) -> list[ForecastSeries]:
        """Every forecast of `zone` that was generated in `[start, end)` before `now`, in that order: for backtests.

        An imported archive: `known_at` and `issued_at` are when WattTime says that it generated each, so nothing is
        added for the minutes until it could have been fetched. Some 6 MB a day; whole, or an error.

        Raises what `fetch` does, and ForecastRejected where the model changes within the window.
        """
        window = FetchRequest(zone, (Signal.CARBON,), start, end)
        region = self._region(zone)
        found: list[ForecastSeries] = []
        model: str | None = None
        begin, last = window.start, min(window.end, now)
        while begin < last:
            until = min(begin + CHUNK, last)
            asked = {**HORIZON, "start": isoformat_z(begin), "end": isoformat_z(until)}
            url, body = self._ask("v3/forecast/historical", zone, region, asked)
            meta = self._meta(url, body, region)
            if model is not None and meta.model != model:
                raise ForecastRejected(
                    f"{url}: from {isoformat_z(begin)} on, the model is of {meta.model} and no more of {model}.",
                    field="meta.model.date",
                    hint="Forecasts of two models are not compared: ask for each apart, or set the option model.",
                )
            model = meta.model
            for one in _list(url, body.get("data"), "data"):
                generated = moment_in(one, "generated_at", url)
                if not begin <= generated < until:
                    continue  # ends are included: what was generated at a join belongs to the next
                series = self._series(zone, url, meta, one.get("forecast"), generated, generated)
                found.append(check_series(series))
            begin = until
        return sorted(found, key=lambda series: series.known_at)

    def _region(self, zone: str) -> str:
        name = self.options.zones.get(zone, zone)
        if not re.fullmatch(REGION, name):
            raise InputError(
                f"the source watttime has no region {zone!r}.",
                field="zone",
                hint="Its regions are such as CAISO_NORTH; name yours in its option zones, {US-CA: CAISO_NORTH}.",
                zone=zone,
            )
        return name

    def _ask(
        self, path: str, zone: str, region: str, more: Mapping[str, str]
    ) -> tuple[str, Mapping[str, Any]]:
        url = join_url(self.options.base_url, path)
        query = {
            "region": region,
            "signal_type": self.options.signal_type,
            **({"model": self.options.model.isoformat()} if self.options.model else {}),
            **more,
        }
        token = self._login.token()
        reply = self._get(url, query, token)
        if reply.status == 401:  # it was withdrawn, or their clock is ahead: once more, and no oftener
            token = self._login.token(refused=token)
            reply = self._get(url, query, token)
        body = body_of(reply)
        if reply.status == 200 and isinstance(body, Mapping):
            return url, body
        place = zone if zone == region else f"{zone} ({region})"
        raise SourceUnavailable(
            f"{url} for {place} answered {reply.status}{why(body, token)}.",
            hint=_HINTS.get(reply.status, _LATER),
            status=reply.status,
        )

    def _get(self, url: str, query: Mapping[str, str], token: str) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return (self._http or shared_client()).get(url, query, headers)

    def _meta(self, url: str, body: Mapping[str, Any], region: str) -> _Meta:
        """What the reply says of itself. Raises ForecastRejected where that is not what was asked for."""
        meta = body.get("meta")
        if not isinstance(meta, Mapping):
            raise SourceUnavailable(f"{url}: there is no meta.", hint="Has the API changed?")
        model = meta["model"].get("date") if isinstance(meta.get("model"), Mapping) else None
        same = [
            ("region", meta.get("region"), region),
            ("signal_type", meta.get("signal_type"), self.options.signal_type),
        ]
        if self.options.model:
            same.append(("model", model, self.options.model.isoformat()))
        for name, said, asked in same:
            if said != asked:
                raise ForecastRejected(
                    f"{url} answers for the {name} {said!r} instead of {asked}.",
                    field=f"meta.{name}",
                    hint="Another one's forecast is not used in its place.",
                )
        units, period = meta.get("units"), meta.get("data_point_period_seconds")
        if not isinstance(units, str):
            raise ForecastRejected(f"{url} does not say which unit its values have.", field="meta.units")
        if isinstance(period, bool) or not isinstance(period, int) or period <= 0:
            raise ForecastRejected(
                f"{url}: data_point_period_seconds is {period!r}, so that the length of an interval is unknown.",
                field="meta.data_point_period_seconds",
                hint="Has the API changed?",
            )
        return _Meta(
            # lbs_co2_per_mwh
            unit=parse_unit(units.replace("_per_", "/"), Signal.CARBON, field="meta.units"),
            period=np.timedelta64(period, "s"),
            model=model if isinstance(model, str) else "an unknown date",
            note=_warnings(meta.get("warnings")),
            generated_at=moment_in(meta, "generated_at", url)
            if meta.get("generated_at") is not None
            else None,
        )

    def _series(
        self,
        zone: str,
        url: str,
        meta: _Meta,
        points: Any,
        known_at: datetime,
        issued_at: datetime | None,
        kind: Kind = Kind.FORECAST,
    ) -> ForecastSeries:
        rows = _list(url, points, "the forecast")
        if not rows:
            raise SourceUnavailable(f"{url} has an empty forecast for {zone}.", hint=AT_NEXT_POLL)
        start: Times = np.array([as_datetime64(moment_in(row, "point_time", url)) for row in rows])
        values = numbers([_value(url, row) for row in rows], f"{url}: value")
        whole = kind is Kind.FORECAST  # of what came some may not be there yet
        keep = trimmed(values, f"{url}: every value for {zone} is null.") if whole else slice(None)
        return ForecastSeries(
            zone=zone,
            signal=Signal.CARBON,
            unit=meta.unit.canonical,
            source=self.info.name,
            known_at=known_at,
            issued_at=issued_at if issued_at is not None and issued_at <= known_at else None,  # clocks differ
            start=start[keep],
            end=start[keep] + meta.period,
            values=convert(values[keep], meta.unit),
            kind=kind,
            basis=BASIS[self.options.signal_type],
            licence=self.info.licence,
            # Kept with the vintage, so that a jump between two is seen to be a new model.
            attribution=f"{self.info.attribution}, model of {meta.model}",
            restricted=True,
            note=meta.note,
        )


@dataclass(frozen=True)
class _Meta:
    unit: Unit
    period: np.timedelta64
    model: str  # the date of it
    note: str  # its warnings, "" where there are none
    generated_at: datetime | None


_LATER = "Often an outage; check base_url, and it is asked again at the next poll."
_RENAME = "Is it a region of theirs? Name theirs in the option zones, {US-CA: CAISO_NORTH}."
_HINTS = {
    400: _RENAME,
    401: "It refuses a token that it has just given; is the account still in force?",
    403: "The account does not include this signal of this region; the region CAISO_NORTH is free.",
    404: _RENAME,
    422: _RENAME,
}


def _warnings(said: Any) -> str:
    if not said:
        return ""
    said = said if isinstance(said, list) else [said]
    told = [f"{w.get('type')}: {w.get('message')}" if isinstance(w, Mapping) else str(w) for w in said]
    return f"WattTime warns: {'; '.join(told)}"


def _list(url: str, said: Any, what: str) -> list[Any]:
    if not isinstance(said, list):
        raise SourceUnavailable(f"{url}: {what} is not a list.", hint="Has the API changed?")
    return said


def _value(url: str, row: Any) -> Any:
    """A point's value, None where it has none or is imputed, as only points of the past can be."""
    if "value" not in row:
        raise SourceUnavailable(f"{url}: a point has no value.", hint="Has the API changed?")
    return None if row.get("imputed_data_used") else row["value"]
