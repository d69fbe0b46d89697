"""What real-time load is expected."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from shifter.api import examples
from shifter.api.params import ServiceParam, answer
from shifter.api.problems import responses
from shifter.domain.fields import Name
from shifter.service.expected import MOST_DAYS
from shifter.views import LoadView

router = APIRouter(tags=["inputs"])


@router.get(
    "/realtime",
    summary="What real-time load is expected",
    response_model=list[LoadView],
    responses={200: examples.shown([examples.LOAD]), **responses("not_found", "invalid_input", "not_ready")},
)
def realtime(
    service: ServiceParam,
    site: Annotated[Name | None, Query(description="Only this site's.")] = None,
    pool: Annotated[Name | None, Query(description="Only pools of this name.")] = None,
    days: Annotated[
        int, Query(ge=1, le=MOST_DAYS, description="Over how many days it is told how often it held [d].")
    ] = 14,
) -> Response:
    """By pool, what a plan made now would hold for real-time load in each slot of the horizon, by quantile; what that
    stands on, in words; how old the last sample is; and how often what was held at the site's quantile was enough, by
    how far ahead it was said. Where telemetry tells traffic, also what arrived last, by model.
    """
    return answer(service.realtime(site, pool, days))
