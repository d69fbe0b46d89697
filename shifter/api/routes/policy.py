"""The policy's overrides: what operators decided over its rules."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import SkipValidation
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import RuleOverrideRequest
from shifter.api.params import Actor, ServiceParam, answer, read_as
from shifter.api.problems import BODY_CODES, responses
from shifter.domain.workload import Override

router = APIRouter(tags=["workloads"], route_class=StrictRoute)


@router.post(
    "/policy/overrides",
    summary="Decide over a rule by hand",
    status_code=201,
    response_model=Override,
    responses={201: examples.shown(examples.RULE_OVERRIDE, "In force."), **responses(*BODY_CODES)},
)
def override_rule(
    service: ServiceParam,
    actor: Actor,
    body: Annotated[
        SkipValidation[RuleOverrideRequest], Body(openapi_examples=examples.body(examples.RULE_OVERRIDE_BODY))
    ],
) -> Response:
    """Turn round what a rule of the policy decides, or with `class: null` switch it off; the newest counts. All
    open workloads are classified anew, and the plan is made anew. A guard cannot be overridden. Who decided, when
    and why is kept in the audit, under `rule:NAME`, and in the reason of each workload that the rule decides.
    """
    wanted = read_as(RuleOverrideRequest, body)
    return answer(service.override(actor, wanted.decided, wanted.reason, rule=wanted.rule), 201)


@router.get(
    "/policy/overrides",
    summary="Overrides that are kept",
    response_model=list[Override],
    responses={200: examples.shown([examples.RULE_OVERRIDE]), **responses()},
)
def overrides(service: ServiceParam) -> Response:
    """Of rules and of single workloads, oldest first: the last of each. One of a workload that was lifted is not
    among them; the audit has it.
    """
    return answer(service.overrides())
