"""GB carbon intensity from NESO: national and 17 regions, 48 h ahead in half-hours, and what came of it. No key.

https://carbon-intensity.github.io/api-definitions/ (CC BY 4.0). The API keeps no history of its forecasts: a
vintage is what was said when it was asked, so `known_at` is the time of the fetch.

Of the past, `actual` is what came, nationally; it is revised for about a day. Regional figures are a model's, of the
past too: none is told. What stands as `forecast` in a half-hour that is over was written when the wind was known, so
it is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import AT_NEXT_POLL, ForecastRejected, SourceUnavailable
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, as_datetime64, floor_to_slot, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.measured import Past, stretches
from forecasts.sources.publication import Continuous
from forecasts.sources.values import numbers, trimmed
from forecasts.units import convert, parse_unit

REGIONS = tuple(range(1, 18))
HORIZON = timedelta(hours=48)
MINUTE = timedelta(minutes=1)
MOST_AT_ONCE = timedelta(days=14)
"""Of the past, in one request."""

UNIT = "gCO2/kWh"


class NesoOptions(SourceOptions):
    """Where the API is."""

    base_url: str = Field("https://api.carbonintensity.org.uk", description="or a mirror's")


class NesoSource:
    """The zones are `GB`, and `GB-1` to `GB-17` for the distribution regions by their id."""

    Options = NesoOptions

    def __init__(self, options: NesoOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self._past = Past(MOST_AT_ONCE, 30)
        self.info = SourceInfo(
            name="neso",
            title="NESO Carbon Intensity (Great Britain)",
            signals=(Signal.CARBON,),
            zones=("GB", *(f"GB-{i}" for i in REGIONS)),
            units={Signal.CARBON: UNIT},
            resolution_minutes=(30,),
            horizon=HORIZON,
            past=timedelta(days=365),
            publication=Continuous(timedelta(minutes=30), offset=timedelta(minutes=1), steady=True),
            licence="CC BY 4.0",
            attribution="National Energy System Operator, Carbon Intensity API",
            url="https://carbonintensity.org.uk",
            basis=Basis.AVERAGE,
            scope="direct",
            rate_limit="none published; once a half-hour is plenty",
            notes=("what came is told of GB as a whole, and of no region",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: one vintage from the current half-hour on, however far it reaches, and before it
        what came of the window's half-hours.
        """
        known_zone(self.info, request.zone)
        if Signal.CARBON not in request.signals:
            return []
        slot = floor_to_slot(now, 30)
        region = request.zone.partition("-")[2]
        forecast: list[ForecastSeries] = []
        if request.end > slot and request.start < slot + HORIZON:
            forecast.append(self._forecast(request.zone, region, slot, now))
        if region:
            return forecast
        return self._past.before(forecast, request, partial(self._measured, request.zone, now), now=now)

    def _forecast(self, zone: str, region: str, slot: datetime, now: datetime) -> ForecastSeries:
        # A time on the half-hour answers with the one that ends there first, 97 in all. A minute later is
        # unambiguous, and the same URL for half an hour, so that caches between us and them work.
        asked = _stamp(slot + MINUTE)
        path = f"regional/intensity/{asked}/fw48h/regionid/{region}" if region else f"intensity/{asked}/fw48h"
        url, data = self._ask(path)
        rows = _rows(url, data, int(region)) if region else _list(url, data)
        return self._series(zone, url, rows, slot, now)

    def _measured(self, zone: str, now: datetime, start: datetime, end: datetime) -> list[ForecastSeries]:
        # Both ends within the first and the last half-hour, for the same reason.
        url, data = self._ask(f"intensity/{_stamp(start + MINUTE)}/{_stamp(end - MINUTE)}")
        rows = _list(url, data)
        spans = [(_time(url, r, "from"), _time(url, r, "to")) for r in rows]
        values = numbers([_intensity(url, r).get("actual") for r in rows], f"{url}: actual")
        return stretches(self._of(zone, spans, values, Kind.ACTUAL, now), start, end)

    def _ask(self, path: str) -> tuple[str, Any]:
        url = join_url(self.options.base_url, path)
        status, body = (self._http or shared_client()).get_json(url)
        return url, _data(url, status, body)

    def _series(self, zone: str, url: str, rows: list[Any], slot: datetime, now: datetime) -> ForecastSeries:
        # The half-hour before, should the API answer with it after all: it is past, not part of a forecast.
        spans = [(_time(url, r, "from"), _time(url, r, "to"), r) for r in rows]
        spans = [s for s in spans if s[1] > slot]
        if not spans:
            raise SourceUnavailable(
                f"{url} answers with no half-hour from {isoformat_z(slot)} on.", hint=AT_NEXT_POLL
            )
        if spans[0][0] != slot:
            raise ForecastRejected(
                f"{zone}: the forecast begins at {isoformat_z(spans[0][0])} instead of {isoformat_z(slot)}.",
                field="data[0].from",
                hint="The answer is cut off at its beginning; it is asked again at the next poll.",
            )
        values = numbers([_foreseen(url, r) for _, _, r in spans], f"{url}: forecast")
        keep = trimmed(values, f"{url}: every forecast is null.")
        times = [(start, end) for start, end, _ in spans[keep]]
        return check_series(self._of(zone, times, values[keep], Kind.FORECAST, now), now=now)

    def _of(
        self, zone: str, spans: Sequence[tuple[datetime, datetime]], values: Floats, kind: Kind, now: datetime
    ) -> ForecastSeries:
        return ForecastSeries(
            zone=zone,
            signal=Signal.CARBON,
            unit=CARBON_UNIT,
            source=self.info.name,
            known_at=now,
            start=np.array([as_datetime64(start) for start, _ in spans], "datetime64[us]"),
            end=np.array([as_datetime64(end) for _, end in spans], "datetime64[us]"),
            values=convert(values, parse_unit(UNIT, Signal.CARBON)),
            kind=kind,
            basis=Basis.AVERAGE,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )


def _data(url: str, status: int, body: Any) -> Any:
    if isinstance(body, Mapping) and (error := body.get("error")):
        said = error.get("message") or error.get("code") if isinstance(error, Mapping) else error
        raise SourceUnavailable(f"{url} answered {status}: {said}", hint=AT_NEXT_POLL, status=status)
    if status != 200 or not isinstance(body, Mapping) or not body.get("data"):
        raise SourceUnavailable(
            f"{url} answered {status} without any data.",
            hint=f"NESO does this at times. {AT_NEXT_POLL}",
            status=status,
        )
    return body["data"]


def _list(url: str, data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise SourceUnavailable(f"{url}: data is not a list of half-hours.", hint="Has the API changed?")
    return data


def _rows(url: str, data: Any, region: int) -> list[Any]:
    """A region's half-hours: `data` is an object with a list in it or, by another path, a list of one."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, Mapping) or not data.get("data"):
        raise SourceUnavailable(f"{url}: data has no half-hours of a region.", hint="Has the API changed?")
    if data.get("regionid") != region:
        raise ForecastRejected(
            f"{url} answers for region {data.get('regionid')} instead of {region}.",
            field="data.regionid",
            hint="Another region's forecast is not used in its place.",
        )
    return _list(url, data["data"])


def _time(url: str, row: Any, key: str) -> datetime:
    try:
        return datetime.strptime(row[key], "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except (TypeError, KeyError, ValueError) as e:
        raise SourceUnavailable(
            f"{url}: a half-hour has no proper {key!r}.", hint="Has the API changed?"
        ) from e


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _intensity(url: str, row: Any) -> Mapping[str, Any]:
    intensity = row.get("intensity") if isinstance(row, Mapping) else None
    if not isinstance(intensity, Mapping):
        raise SourceUnavailable(f"{url}: a half-hour has no intensity.", hint="Has the API changed?")
    return intensity


def _foreseen(url: str, row: Any) -> Any:
    intensity = _intensity(url, row)
    if "forecast" not in intensity:
        raise SourceUnavailable(
            f"{url}: the half-hour from {row.get('from')} has no forecast.", hint="Has the API changed?"
        )
    return intensity["forecast"]
