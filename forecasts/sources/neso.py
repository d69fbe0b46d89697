"""GB carbon intensity from NESO: national and 17 regions, 48 h ahead in half-hours. No key.

https://carbon-intensity.github.io/api-definitions/ (CC BY 4.0). The API keeps no history of its forecasts: a
vintage is what was said when it was asked, so `known_at` is the time of the fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64, floor_to_slot, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.publication import Continuous
from forecasts.sources.values import numbers, trimmed
from forecasts.units import convert, parse_unit

REGIONS = tuple(range(1, 18))
HORIZON = timedelta(hours=48)
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
        self.info = SourceInfo(
            name="neso",
            title="NESO Carbon Intensity (Great Britain)",
            signals=(Signal.CARBON,),
            zones=("GB", *(f"GB-{i}" for i in REGIONS)),
            units={Signal.CARBON: UNIT},
            resolution_minutes=(30,),
            horizon=HORIZON,
            publication=Continuous(timedelta(minutes=30), offset=timedelta(minutes=1), steady=True),
            licence="CC BY 4.0",
            attribution="National Energy System Operator, Carbon Intensity API",
            url="https://carbonintensity.org.uk",
            basis=Basis.AVERAGE,
            scope="direct",
            rate_limit="none published; once a half-hour is plenty",
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: one vintage from the current half-hour on, however far it reaches."""
        known_zone(self.info, request.zone)
        slot = floor_to_slot(now, 30)
        if Signal.CARBON not in request.signals or request.end <= slot or request.start >= slot + HORIZON:
            return []
        # A time on the half-hour answers with the one that ends there first, 97 in all. A minute later is
        # unambiguous, and the same URL for half an hour, so that caches between us and them work.
        asked = (slot + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%MZ")
        region = request.zone.partition("-")[2]
        path = f"regional/intensity/{asked}/fw48h/regionid/{region}" if region else f"intensity/{asked}/fw48h"
        url = join_url(self.options.base_url, path)
        status, body = (self._http or shared_client()).get_json(url)
        data = _data(url, status, body)
        rows = _rows(url, data, int(region)) if region else _list(url, data)
        return [self._series(request.zone, url, rows, slot, now)]

    def _series(self, zone: str, url: str, rows: list[Any], slot: datetime, now: datetime) -> ForecastSeries:
        # The half-hour before, should the API answer with it after all: it is past, not part of a forecast.
        spans = [(_time(url, r, "from"), _time(url, r, "to"), r) for r in rows]
        spans = [s for s in spans if s[1] > slot]
        if not spans:
            raise SourceUnavailable(
                f"{url} answers with no half-hour from {isoformat_z(slot)} on.", hint=_LATER
            )
        if spans[0][0] != slot:
            raise ForecastRejected(
                f"{zone}: the forecast begins at {isoformat_z(spans[0][0])} instead of {isoformat_z(slot)}.",
                field="data[0].from",
                hint="The answer is cut off at its beginning; it is asked again at the next poll.",
            )
        said = [_intensity(url, r) for _, _, r in spans]
        values = numbers(said, f"{url}: forecast")
        keep = trimmed(values, f"{url}: every forecast is null.")
        series = ForecastSeries(
            zone=zone,
            signal=Signal.CARBON,
            unit=CARBON_UNIT,
            source=self.info.name,
            known_at=now,
            start=np.array([as_datetime64(s[0]) for s in spans])[keep],
            end=np.array([as_datetime64(s[1]) for s in spans])[keep],
            values=convert(values[keep], parse_unit(UNIT, Signal.CARBON)),
            kind=Kind.FORECAST,
            basis=Basis.AVERAGE,
            licence=self.info.licence,
            attribution=self.info.attribution,
        )
        return check_series(series, now=now)


_LATER = "It is asked again at the next poll; the last vintage stays in use."


def _data(url: str, status: int, body: Any) -> Any:
    if isinstance(body, Mapping) and (error := body.get("error")):
        said = error.get("message") or error.get("code") if isinstance(error, Mapping) else error
        raise SourceUnavailable(f"{url} answered {status}: {said}", hint=_LATER, status=status)
    if status != 200 or not isinstance(body, Mapping) or not body.get("data"):
        raise SourceUnavailable(
            f"{url} answered {status} without any data.",
            hint=f"NESO does this at times. {_LATER}",
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


def _intensity(url: str, row: Any) -> Any:
    try:
        return row["intensity"]["forecast"]
    except (TypeError, KeyError) as e:
        raise SourceUnavailable(
            f"{url}: the half-hour from {row.get('from')} has no forecast.",
            hint="Has the API changed?",
        ) from e
