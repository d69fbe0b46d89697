"""What the grid asks: accept it, list it, take it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import SkipValidation
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import Moment
from shifter.api.params import Actor, GridEventId, ServiceParam, SharedParam, answer, read_as
from shifter.api.problems import BODY_CODES, responses
from shifter.domain.grid_event import GridEvent
from shifter.views import GridEventQuote, GridEventReport

router = APIRouter(tags=["inputs"], route_class=StrictRoute)

EventBody = Annotated[
    SkipValidation[GridEvent], Body(openapi_examples=examples.body(examples.GRID_EVENT_BODY))
]


@router.post(
    "/grid-events",
    summary="Limit a site's power for a while",
    status_code=201,
    response_model=GridEvent,
    responses={
        201: examples.shown(examples.GRID_EVENT, "In force."),
        **responses(*BODY_CODES, "not_found", "conflict", "solver_failed"),
    },
)
async def add_grid_event(shared: SharedParam, actor: Actor, body: EventBody) -> Response:
    """From the grid, or from its operator: a limit, or a cut against a baseline, which is frozen now and answered with
    it. It takes part in the next plan, which is made at once; the lowest limit that holds in a slot rules.
    """
    event = read_as(GridEvent, body)
    return answer(await shared.slowly(lambda: shared.service.add_grid_event(event, actor)), 201)


@router.post(
    "/grid-events/quote",
    summary="What a grid event would cost, before it is accepted",
    response_model=GridEventQuote,
    responses={
        200: examples.shown(examples.GRID_EVENT_QUOTE),
        **responses(*BODY_CODES, "not_found", "conflict", "solver_failed"),
    },
)
async def quote_grid_event(shared: SharedParam, body: EventBody) -> Response:
    """Whether it can be met in every slot, what it costs, and which workloads pay: planned with and without it on the
    current snapshot. Where it cannot be met, by how much, and what could be. Nothing is accepted.
    """
    event = read_as(GridEvent, body)
    return answer(await shared.slowly(lambda: shared.service.quote_grid_event(event)))


@router.get(
    "/grid-events",
    summary="Grid events that are in force or to come",
    response_model=list[GridEvent],
    responses={200: examples.shown([examples.GRID_EVENT]), **responses("invalid_input")},
)
def grid_events(
    service: ServiceParam,
    since: Annotated[Moment | None, Query(description="Those that end after it; default now.")] = None,
) -> Response:
    """What was sent to `POST /v1/grid-events`, or is followed; the fleet's own power limits are not among them."""
    return answer(service.grid_events(since))


@router.get(
    "/grid-events/{event_id}/report",
    summary="What was delivered against what was requested",
    response_model=GridEventReport,
    responses={200: examples.shown(examples.GRID_EVENT_REPORT), **responses("invalid_input", "not_found")},
)
async def grid_event_report(shared: SharedParam, event_id: GridEventId) -> Response:
    """Slot by slot, as the site's import was metered (`import_kw` of `POST /v1/telemetry`): the limit, the baseline,
    what was drawn, and what that delivers. What was not metered is told as a gap.
    """
    return answer(await shared.slowly(lambda: shared.service.grid_event_report(event_id)))


@router.delete(
    "/grid-events/{event_id}",
    summary="Take a grid event back",
    response_model=GridEvent,
    responses={
        200: examples.shown(examples.GRID_EVENT, "What is left of it."),
        **responses("invalid_input", "not_found", "conflict"),
    },
)
def withdraw_grid_event(service: ServiceParam, actor: Actor, event_id: GridEventId) -> Response:
    """By whoever sent it. One that has begun ends now, and its rebound limits nothing; one that lies ahead never was.
    One that is followed (OpenADR, a file) is taken back there.
    """
    return answer(service.withdraw_grid_event(event_id, actor))
