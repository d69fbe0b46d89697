"""What comes in from outside: forecasts and measurements."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Body, Query
from pydantic import Field, SkipValidation
from starlette.responses import Response

from forecasts.series import ForecastSeries
from forecasts.slots import as_datetime64
from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.express import heard
from shifter.api.models import Accepted, ForecastPush, Forecasts, Moment
from shifter.api.params import Actor, ServiceParam, answer, read_as
from shifter.api.problems import BODY_CODES, responses
from shifter.domain.fields import Name
from shifter.errors import InputError
from shifter.views import TelemetrySample

router = APIRouter(tags=["inputs"], route_class=StrictRoute)

MAX_SERIES = 100
MAX_SAMPLES = 100_000
QUICKLY_READ = 1000
"""Samples that may be checked between two other requests."""

SeriesBody = ForecastPush | Annotated[list[ForecastPush], Field(min_length=1, max_length=MAX_SERIES)]
SamplesBody = TelemetrySample | Annotated[list[TelemetrySample], Field(min_length=1, max_length=MAX_SAMPLES)]


@router.get(
    "/forecasts",
    summary="The forecast in use at a moment",
    response_model=Forecasts,
    responses={
        200: examples.shown(examples.FORECASTS),
        **responses("not_found", "invalid_input", "not_ready"),
    },
)
def forecasts(
    service: ServiceParam,
    zone: Annotated[Name, Query(description="The grid zone.", examples=["DE-LU"])],
    start: Annotated[Moment | None, Query(description="From here; default now.")] = None,
    end: Annotated[
        Moment | None, Query(description="Until here; default the planning horizon's end.")
    ] = None,
    as_of: Annotated[Moment | None, Query(description="As it was known then; default now.")] = None,
) -> Response:
    """Price and carbon of a zone on the planning grid. Every value says who said it, when it was known and
    under which licence; with `as_of` nothing is answered that was not known then. Values whose licence forbids
    passing them on are withheld (null, `restricted`, and a warning) unless `forecasts.share_restricted` is set.
    """
    return answer(service.forecasts(zone, start, end, as_of))


@router.post(
    "/forecasts",
    summary="Push a forecast",
    status_code=201,
    response_model=Accepted,
    responses={
        201: examples.shown({"accepted": 1}, "Stored."),
        **responses(*BODY_CODES, "forecast_rejected"),
    },
)
def push_forecasts(
    service: ServiceParam,
    actor: Actor,
    body: Annotated[SkipValidation[SeriesBody], Body(openapi_examples=examples.body(examples.FORECAST_BODY))],
) -> Response:
    """One vintage, or several, all or nothing. What has gaps, duplicates, absurd values or a unit that does
    not fit is refused, and nothing is stored. It counts as known from now on: nobody can push into the past.
    Its source is shown as `push:<source>`, and comes after the sources that are configured.
    """
    many = isinstance(body, list)
    pushed = read_as(list[ForecastPush], body) if many else [read_as(ForecastPush, body)]
    if not pushed:
        raise InputError("the array is empty.", field="body", hint="Send at least one series.")
    now = service.health().now
    series = [_series(p, now, f"body[{i}]" if many else "body") for i, p in enumerate(pushed)]
    return answer({"accepted": service.push_forecasts(series, actor)}, 201)


def _series(push: ForecastPush, now: Moment, where: str) -> ForecastSeries:
    for i, point in enumerate(push.points):
        if point.end <= point.start:
            raise InputError(
                "the end is not after the start.", field=f"{where}.points[{i}].end", hint="Give a later end."
            )
    points = sorted(push.points, key=lambda p: p.start)
    names = sorted({name for p in points for name in p.quantiles})
    for name in names:
        short = next((i for i, p in enumerate(push.points) if name not in p.quantiles), None)
        if short is not None:
            raise InputError(
                f"the quantile {name} is given for some points only.",
                field=f"{where}.points[{short}].quantiles",
                hint="Give it for every point, or for none.",
            )
    return ForecastSeries(
        zone=push.zone,
        signal=push.signal,
        unit=push.unit,
        source=push.source,
        known_at=now,
        start=np.array([as_datetime64(p.start) for p in points], dtype="datetime64[us]"),
        end=np.array([as_datetime64(p.end) for p in points], dtype="datetime64[us]"),
        values=np.array([p.value for p in points], dtype=float),
        kind=push.kind,
        basis=push.basis,
        issued_at=push.issued_at,
        quantiles={
            _probability(name, where): np.array([p.quantiles[name] for p in points], dtype=float)
            for name in names
        },
        licence=push.licence,
        attribution=push.attribution,
        restricted=push.restricted,
    )


def _probability(name: str, where: str) -> float:
    """`p10` is 0.1."""
    number = name.removeprefix("p")
    percent = float(number) if number != name and number.replace(".", "", 1).isdecimal() else 0.0
    if not 0 < percent < 100:
        raise InputError(
            f"{name!r} is no quantile.", field=f"{where}.points.quantiles", hint="Write p10, p50, p90."
        )
    return round(percent / 100, 10)


@router.post(
    "/telemetry",
    summary="Push measurements",
    status_code=202,
    response_model=Accepted,
    responses={202: examples.shown({"accepted": 4}, "Taken."), **responses(*BODY_CODES, "not_found")},
)
async def telemetry(
    service: ServiceParam,
    actor: Actor,
    body: Annotated[
        SkipValidation[SamplesBody], Body(openapi_examples=examples.body(examples.TELEMETRY_BODY))
    ],
) -> Response:
    """What real-time load uses of a pool in accelerators, or what arrives there by model (`traffic`), which is sized
    into accelerators; those that the pool has; and the site's import, as measured. Where real-time load has outgrown
    the plan, work yields before this answers. A pool that has reported once and falls silent is stale: no less than it
    last measured counts, for 24 hours.
    """
    if isinstance(body, list) and len(body) > QUICKLY_READ:
        samples = await anyio.to_thread.run_sync(read_as, list[TelemetrySample], body)
    else:
        samples = (
            read_as(list[TelemetrySample], body)
            if isinstance(body, list)
            else [read_as(TelemetrySample, body)]
        )
    if not samples:
        raise InputError("the array is empty.", field="body", hint="Send at least one sample.")
    return answer({"accepted": await heard(service, samples, actor)}, 202)
