"""What was learnt from vintages: who counts for how much."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from shifter.api import examples
from shifter.api.params import ServiceParam, answer
from shifter.api.problems import responses
from shifter.domain.fields import Name
from shifter.views import LearntView

router = APIRouter(tags=["inputs"])


@router.get(
    "/forecasts/learnt",
    summary="Who counts for how much in forecasts",
    response_model=list[LearntView],
    responses={200: examples.shown([examples.LEARNT]), **responses("not_found", "invalid_input")},
)
def learnt(
    service: ServiceParam,
    zone: Annotated[Name | None, Query(description="The grid zone; default all.", examples=["DE-LU"])] = None,
) -> Response:
    """By zone and signal, what was learnt from what came of earlier forecasts: the share of each source, and of our own
    models, in what is expected so many hours ahead, and each model's share in ours. Nothing is there while
    `forecasts.learn` is off, and before the first time.
    """
    return answer(service.learnt(zone))
