"""Carbon intensity in the formats of the Carbon Aware SDK (Green Software Foundation): its JSON file, or its WebApi.

https://github.com/Green-Software-Foundation/carbon-aware-sdk. The file is
`{"Emissions": [{"Location", "Time", "Rating" [, "Duration"]}]}`, where .NET's readers mind neither the case of the keys
nor numbers in quotes. Files that others publish in it, such as bluehands', have `GeneratedAt` and `UpdatedAt` too, and
no Location, for each is of one. Values are g/kWh. Neither format keeps a history, so `known_at` is the time of the
fetch; and neither says whether its figures are average or marginal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import numpy as np
from pydantic import Field, field_validator, model_validator

from forecasts.checks import FLAT_CARBON, check_series
from forecasts.errors import AT_NEXT_POLL, InputError, SourceUnavailable
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Signal
from forecasts.slots import Times, as_datetime64
from forecasts.sources.base import ANY_ZONE, FetchRequest, SourceInfo, SourceOptions
from forecasts.sources.carbon_aware_format import (
    Origin,
    Point,
    Told,
    emissions,
    keys_of,
    lengths,
    listed,
    refuse_rolling,
    time_of,
    timespan,
    unquoted,
    whole_minutes,
)
from forecasts.sources.http import MAX_BYTES, HttpClient, join_url, redact, shared_client
from forecasts.sources.publication import Continuous
from forecasts.sources.values import numbers, trimmed

LOCATION = "{location}"


class CarbonAwareOptions(SourceOptions):
    """Where the figures are, what they mean, and what our zones are called there."""

    path: Path | None = Field(None, description="the JSON file")
    url: str | None = Field(
        None,
        description=f"or where to fetch it from; {LOCATION} in it is the location, where each has a file",
    )
    base_url: str | None = Field(None, description="or where a WebApi of the SDK is")
    basis: Basis = Field(
        None, validate_default=True, description="what the figures are: average or marginal; required"
    )
    zones: dict[str, str] = Field(
        default_factory=dict, description="zones that are called otherwise there, {DE-LU: de}"
    )
    window_minutes: int | None = Field(
        None,
        ge=1,
        description="windowSize to ask a WebApi for: the step of its data, where it averages over more",
    )
    refuse_flat_carbon: bool = Field(
        True, description="refuse carbon that stands still for 24 h; false for a static factor"
    )
    licence: str = Field("", description="that of the figures, which the formats do not tell")
    attribution: str = ""
    restricted: bool = Field(True, description="false where the licence allows to pass the values on")

    @field_validator("basis", mode="before")
    @classmethod
    def _basis_said(cls, value: object) -> object:
        if value is None:
            raise ValueError("say average or marginal, for the format does not")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.base_url)) != 1:
            raise ValueError("give exactly one of path, url and base_url")
        if self.window_minutes is not None and self.base_url is None:
            raise ValueError("window_minutes is for a base_url: a file is as it is")
        return self


class CarbonAwareSource:
    """Carbon of the locations that a file or a service in the Carbon Aware SDK's formats knows."""

    Options = CarbonAwareOptions

    def __init__(self, options: CarbonAwareOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="carbon_aware",
            title="Carbon Aware SDK",
            signals=(Signal.CARBON,),
            zones=(ANY_ZONE,),
            units={Signal.CARBON: "g/kWh"},
            resolution_minutes=(),
            horizon=None,
            publication=Continuous(timedelta(minutes=15)),
            licence=options.licence or "not stated by the format",
            attribution=options.attribution or "figures in the format of the Carbon Aware SDK",
            url=redact(options.base_url or options.url or str(options.path)),
            basis=options.basis,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: all that the file or the service says of the location."""
        if Signal.CARBON not in request.signals:
            return []
        location = self.options.zones.get(request.zone, request.zone)
        told = (self._of_service if self.options.base_url else self._of_file)(request.zone, location)
        if told.issued_at is not None and told.issued_at > now:
            if self.options.path is not None:
                return []  # a replay: nobody knew the file yet
            told = Told(told.place, told.points, None)  # clocks differ
        series = self._series(request.zone, told, now)
        check_series(
            series,
            now=now if request.end > now else None,
            flat_carbon=FLAT_CARBON if self.options.refuse_flat_carbon else None,
        )
        return request.overlapping(series)

    def check_local(self) -> None:
        """Whether the file is there and in the format; nothing for a URL. Raises InputError, SourceUnavailable."""
        if self.options.path is not None:
            emissions(*self._load(self.options.path))

    def _of_file(self, zone: str, location: str) -> Told:
        if self.options.path is not None:
            origin, body = self._load(self.options.path)
        else:
            origin, body = self._download(zone, location)
        whole, rows = emissions(origin, body)
        named = {str(row["location"]) for row in rows if row.get("location") is not None}
        if named and any(row.get("location") is None for row in rows):
            raise origin.wrong("some rows have a Location and some have none.", "Add it; it is not guessed.")
        if named:
            rows = [row for row in rows if row.get("location") == location]
        elif LOCATION not in (self.options.url or "") and list(self.options.zones) != [zone]:
            raise InputError(
                f"{origin.place} does not say which location it is of, so nothing is known of the zone {zone!r}.",
                field="zone",
                hint=f"Name the one zone in the option zones, {{DE-LU: de}}, or write {LOCATION} in the url.",
                zone=zone,
            )
        if not rows:
            raise _nowhere(origin.place, zone, location, named)
        points = [Point.of(origin, row, "time", "rating", timespan) for row in rows]
        # Not the first of them: bluehands' GeneratedAt is the first time that the data are of.
        said = [whole[key] for key in ("generatedat", "updatedat") if whole.get(key) is not None]
        issued = [time_of(origin, moment, "GeneratedAt or UpdatedAt") for moment in said]
        return Told(origin.place, points, max(issued, default=None))

    def _of_service(self, zone: str, location: str) -> Told:
        url = join_url(self.options.base_url or "", "emissions/forecasts/current")
        query = {"location": location}
        if self.options.window_minutes is not None:
            query["windowSize"] = str(self.options.window_minutes)
        status, body = (self._http or shared_client()).get_json(url, query)
        origin = Origin(redact(url))
        if status != 200 or not isinstance(body, list):
            raise SourceUnavailable(
                f"{origin.place} for {zone} ({location}) answered {status}{_problem(body)}.",
                hint="Is it a location that the service knows? Name its own in the option zones, {DE-LU: eastus}.",
                status=status,
            )
        forecasts = [keys_of(origin, one) for one in body]
        # By the forecast's location: that of its points is the grid behind it, PJM_ROANOKE for eastus.
        ours = [one for one in forecasts if one.get("location") == location]
        if not ours:
            raise _nowhere(origin.place, zone, location, {str(one.get("location")) for one in forecasts})
        rows = [
            keys_of(origin, row)
            for one in ours
            for row in listed(origin, one.get("forecastdata"), "forecastData")
        ]
        points = [Point.of(origin, row, "timestamp", "value", whole_minutes) for row in rows]
        refuse_rolling(origin, points)
        generated = ours[0].get("generatedat")
        issued_at = None if generated is None else time_of(origin, generated, "generatedAt")
        return Told(origin.place, points, issued_at)

    def _series(self, zone: str, told: Told, now: datetime) -> ForecastSeries:
        if not told.points:
            raise SourceUnavailable(f"{told.place} has an empty forecast for {zone}.", hint=AT_NEXT_POLL)
        points = sorted(told.points, key=lambda point: point.start)
        start: Times = np.array([as_datetime64(point.start) for point in points])
        values = numbers([unquoted(point.value) for point in points], f"{told.place}: value of {zone}")
        keep = trimmed(values, f"{told.place}: every value of {zone} is null.")
        return ForecastSeries(
            zone=zone,
            signal=Signal.CARBON,
            unit=CARBON_UNIT,
            source=self.info.name,
            known_at=now,
            issued_at=told.issued_at,
            start=start[keep],
            end=(start + lengths(told.place, start, points))[keep],
            values=values[keep],
            basis=self.options.basis,
            licence=self.info.licence,
            attribution=self.info.attribution,
            restricted=self.options.restricted,
        )

    def _load(self, path: Path) -> tuple[Origin, Any]:
        origin = Origin(str(path), local=True)
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except OSError as e:
            raise SourceUnavailable(
                f"{path} cannot be read: {e.strerror or e}.",
                hint="Check the path and its permissions.",
                path=str(path),
            ) from e
        if len(body) > MAX_BYTES:
            raise origin.wrong(f"there are more than {MAX_BYTES} bytes.", "No forecast is so large.")
        try:
            return origin, json.loads(body.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValueError) as e:
            raise origin.wrong(f"it is not JSON: {e}.", "Is it cut off, or another file?") from e

    def _download(self, zone: str, location: str) -> tuple[Origin, Any]:
        url = (self.options.url or "").replace(LOCATION, quote(location, safe=""))
        reply = (self._http or shared_client()).get(url, headers={"Accept": "application/json"})
        if not reply.ok:
            raise SourceUnavailable(
                f"{redact(url)} for the zone {zone!r} answered {reply.status}.",
                hint="Check the url, and what the location is called there: the option zones, {DE-LU: de}.",
                status=reply.status,
            )
        return Origin(redact(url)), reply.json()


def _problem(body: Any) -> str:
    """What a body says is wrong (RFC 7807), in one line."""
    if not isinstance(body, Mapping):
        return " with something else than a list of forecasts"
    said = [body[key] for key in ("title", "detail") if isinstance(body.get(key), str)]
    errors = body.get("errors")
    said += [f"{key}: {why}" for key, why in errors.items()] if isinstance(errors, Mapping) else []
    return f": {'; '.join(said)}".rstrip(".: ") if said else " without a forecast"


def _nowhere(place: str, zone: str, location: str, there: set[str]) -> InputError:
    named = ", ".join(sorted(there)[:20]) or "none"
    asked = "" if location == zone else f" ({location})"
    return InputError(
        f"{place} says nothing about the zone {zone!r}{asked}.",
        field="zone",
        hint=f"It has {named}: name the one in the option zones, {{{zone}: …}}.",
        zone=zone,
    )
