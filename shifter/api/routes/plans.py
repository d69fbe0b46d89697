"""The plan, its slots, and the flat numbers for gates and autoscalers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import Moment, PlanDocument
from shifter.api.params import PlanId, ServiceParam, answer, answer_tagged, path_name
from shifter.api.problems import responses
from shifter.domain.fields import Name
from shifter.store.snapshots import inputs_to_json
from shifter.views import Capacity, FleetWorth, Slack, SlotView

router = APIRouter(tags=["plan"], route_class=StrictRoute)

FOREVER = "private, max-age=31536000, immutable"
NOT_MODIFIED: dict[str, Any] = {"description": "The reader has it already: If-None-Match holds its ETag."}


@router.get(
    "/slots",
    summary="What each slot holds",
    response_model=list[SlotView],
    responses={
        200: examples.shown([examples.SLOT]),
        **responses("not_found", "invalid_input", "not_ready"),
    },
)
def slots(
    service: ServiceParam,
    site: Annotated[Name | None, Query(description="Only this site's.")] = None,
    pool: Annotated[Name | None, Query(description="Only pools of this name.")] = None,
    start: Annotated[Moment | None, Query(description="Only slots that end after it.")] = None,
    end: Annotated[Moment | None, Query(description="Only slots that start before it.")] = None,
) -> Response:
    """Of the current plan, by site, pool and slot: real-time load at its median and at the site's quantile,
    what is reserved for it, what deferrable work holds, and what is free.
    """
    return answer(service.slots(site, pool, start, end))


@router.get(
    "/value",
    summary="What one more kW, accelerator or kWh of battery would be worth",
    response_model=FleetWorth,
    responses={
        200: examples.shown(examples.VALUE),
        **responses("not_found", "invalid_input", "not_ready"),
    },
)
def value(
    service: ServiceParam,
    site: Annotated[Name | None, Query(description="Only this site's.")] = None,
) -> Response:
    """By the prices of the current plan's limits, by site and slot, and where the next step is worth most. Each figure
    is the most that one more could save, beside `above_bound`.
    """
    return answer(service.value(site))


@router.get(
    "/value/deadlines",
    summary="What deadlines cost",
    response_model=list[Slack],
    responses={200: examples.shown([examples.SLACK]), **responses("invalid_input", "not_ready")},
)
def deadlines(
    service: ServiceParam,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many.")] = 100,
) -> Response:
    """Of the workloads that the current plan shifts, those first of which an hour more would save most."""
    return answer(service.slack(limit))


@router.get(
    "/capacity/{site}/{pool}",
    summary="Flat numbers for autoscalers and gates",
    response_model=Capacity,
    responses={200: examples.shown(examples.CAPACITY), **responses("not_found", "invalid_input")},
)
def capacity(
    service: ServiceParam,
    site: path_name("The site's name.", "frankfurt"),  # type: ignore[valid-type]
    pool: path_name("The pool's name.", "h100"),  # type: ignore[valid-type]
) -> Response:
    """What deferrable work may hold now, and what is kept for real-time load. What is `stale` reads as no
    free capacity, never as no demand.
    """
    return answer(service.capacity(site, pool))


@router.get(
    "/plan",
    summary="The current plan",
    response_model=PlanDocument,
    responses={
        200: examples.shown(examples.PLAN),
        304: NOT_MODIFIED,
        **responses("invalid_input", "not_ready"),
    },
)
def plan(request: Request, service: ServiceParam) -> Response:
    """`plan.json` of the contract. Its duals prove its bound: anyone can check them without a solver."""
    found = service.plan()
    return answer_tagged(request, found.to_json().encode(), found.plan_id)


@router.get(
    "/plans/{plan_id}",
    summary="An earlier plan",
    response_model=PlanDocument,
    responses={
        200: examples.shown(examples.PLAN),
        304: NOT_MODIFIED,
        **responses("not_found", "invalid_input"),
    },
)
def plan_by_id(request: Request, service: ServiceParam, plan_id: PlanId) -> Response:
    """A plan never changes after it was published."""
    found = service.plan_by_id(plan_id)
    return answer_tagged(request, found.to_json().encode(), found.plan_id, FOREVER)


@router.get(
    "/plans/{plan_id}/inputs",
    summary="What a plan was made from",
    response_model=dict[str, Any],
    responses={
        200: examples.shown(examples.PLAN_INPUTS),
        304: NOT_MODIFIED,
        **responses("not_found", "invalid_input"),
    },
)
def plan_inputs(request: Request, service: ServiceParam, plan_id: PlanId) -> Response:
    """The whole snapshot: fleet, forecasts, real-time load, workloads, policy. Planning from it again gives
    the same plan, byte for byte. Where a plan was rejected, the `inputs_id` of its event takes the place of `plan_id`.
    """
    return answer_tagged(
        request, inputs_to_json(service.plan_inputs(plan_id)).encode(), f"{plan_id}-inputs", FOREVER
    )
