"""How good the forecasts were."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from forecasts.scores.report import to_dict
from forecasts.series import Signal
from shifter.api import examples
from shifter.api.params import ServiceParam, SharedParam, answer
from shifter.api.problems import responses
from shifter.domain.fields import Name
from shifter.service.scored import MOST_DAYS, ForecastScores

router = APIRouter(tags=["inputs"])


@router.get(
    "/forecasts/scores",
    summary="How good the forecasts were",
    response_model=ForecastScores,
    responses={
        200: examples.shown(examples.FORECAST_SCORES),
        **responses("not_found", "invalid_input", "not_ready"),
    },
)
async def forecast_scores(
    shared: SharedParam,
    service: ServiceParam,
    zone: Annotated[Name, Query(description="The grid zone.", examples=["DE-LU"])],
    signal: Annotated[Literal["price", "carbon"], Query(description="What was forecast.")] = "price",
    days: Annotated[
        int, Query(description="Forecasts known in the last so many days.", ge=1, le=MOST_DAYS)
    ] = 14,
) -> Response:
    """Each source's errors by lead time and by hour of the day, against persistence; how honest its bands were; and
    what a job of 4 hours within 24 captured by it. Of forecasts in the store, one an hour at most, and of what came of
    them by now; a slot that was decided already when it was forecast does not count. `shadow` marks a source that is on
    trial. An answer stands for a minute. After one was computed, none is for 20 times as long as that took: meanwhile
    what was computed before is answered, however old (`until` says), and 503 for anything else.
    """
    scores = await shared.scoring(lambda: service.forecast_scores(zone, Signal(signal), days))
    return answer(to_dict(scores))
