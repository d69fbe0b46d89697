"""What a runner and a gate ask: which slots, may it run now, and why."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from pydantic import SkipValidation
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import QuoteRequest
from shifter.api.params import (
    ServiceParam,
    Shared,
    SharedParam,
    WorkloadId,
    answer,
    answer_tagged,
    read_as,
    to_json,
)
from shifter.api.problems import BODY_CODES, responses
from shifter.api.routes.workloads import parse_one
from shifter.errors import InputError
from shifter.views import Admission, Explanation, Lease, Quote

router = APIRouter(tags=["leases"], route_class=StrictRoute)

MAX_WAIT_S = 300.0
RECHECK_S = 5.0
"""A waiting lease is looked at this often even if no event told of a change [real s]."""


@router.get(
    "/workloads/{workload_id}/allocations",
    summary="Its slots, as a lease",
    response_model=Lease,
    responses={
        200: examples.shown(examples.LEASE),
        304: {"description": "The reader has it already: If-None-Match holds its ETag."},
        **responses("not_found", "invalid_input", "too_busy"),
    },
)
async def allocations(
    request: Request,
    shared: SharedParam,
    workload_id: WorkloadId,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Wait so long for a change before answering [s].")
    ] = 0.0,
    after_version: Annotated[
        int | None,
        Query(ge=0, le=2**62, description="The version that the reader has: only a later one is a change."),
    ] = None,
) -> Response:
    """The slots hold until `valid_until`, and are renewed while the daemon lives. A reader that loses the
    daemon follows them until then, and after it starts the work at `latest_start`: an outage costs savings
    first.

    With `wait` it is a long poll: it answers as soon as `version` exceeds `after_version`, and when the time
    is up with what there is. Without `after_version` the version of the moment of asking counts. `ETag` is of
    the whole answer: a renewed `valid_until` is another answer, though the version is the same.
    """
    lease = await wait_for_change(shared, workload_id, after_version, wait)
    return answer_tagged(request, to_json(lease))


async def wait_for_change(
    shared: Shared, workload_id: str, after_version: int | None, wait_s: float
) -> Lease:
    """The lease, once its version exceeds `after_version`, or after `wait_s`; waiting holds no thread.

    Raises NotFound, TooBusy.
    """
    lease = await shared.quickly(lambda: shared.service.lease(workload_id))
    known = lease.version if after_version is None else after_version
    if wait_s <= 0 or lease.version > known:
        return lease
    deadline = time.monotonic() + wait_s
    with shared.waiting:
        async with shared.events as events:
            while True:
                # The position is taken before the lease is read: a change in between wakes us at once.
                position = events.newest_id
                lease = await shared.quickly(lambda: shared.service.lease(workload_id))
                left = deadline - time.monotonic()
                if lease.version > known or left <= 0 or events.closed:
                    return lease
                await events.wait(position, min(left, RECHECK_S))


@router.get(
    "/workloads/{workload_id}/admission",
    summary="May it run now?",
    response_model=Admission,
    responses={200: examples.shown(examples.ADMISSION), **responses("not_found", "invalid_input")},
)
def admission(service: ServiceParam, workload_id: WorkloadId) -> Response:
    """For a gate in front of the accelerators: `admit` says yes or no, `retry_after_s` when to ask again (the
    header `Retry-After` says it in real seconds), `not_after` when it has to be off again.
    """
    found = service.admission(workload_id)
    if found.admit:
        return answer(found)
    # The header counts real seconds, as HTTP does; the field counts the daemon's, which may be simulated.
    real_s = service.core.clock.real_s(found.retry_after_s)
    return answer(found, Retry_After=str(max(1, round(real_s))))


@router.get(
    "/workloads/{workload_id}/explanation",
    summary="Why this class, why these slots",
    response_model=Explanation,
    responses={200: examples.shown(examples.EXPLANATION), **responses("not_found", "invalid_input")},
)
def explanation(service: ServiceParam, workload_id: WorkloadId) -> Response:
    """The rule and the values that decided its class, what its slots cost against running now, the limits
    that bind, and the chain that it stands in.
    """
    return answer(service.explain(workload_id))


@router.post(
    "/quotes",
    summary="Cost, carbon and finish against the deadline",
    response_model=Quote,
    responses={
        200: examples.shown(examples.QUOTE),
        **responses(*BODY_CODES, "solver_failed"),
    },
)
async def quotes(
    shared: SharedParam,
    body: Annotated[SkipValidation[QuoteRequest], Body(openapi_examples=examples.body(examples.QUOTE_BODY))],
) -> Response:
    """What it would cost, without submitting it: each deadline is planned with the current snapshot by the
    same planning cycle that plans in earnest.
    """
    if not isinstance(body, dict) or "workload" not in body:
        raise InputError(
            "a quote needs the workload.",
            field="body.workload",
            hint='Send {"workload": {…}, "deadlines": […]}.',
        )
    deadlines = read_as(QuoteRequest, {**body, "workload": _STAND_IN}).deadlines
    workload = parse_one(body["workload"], "workload", shared.service.fleet)
    return answer(await shared.slowly(lambda: shared.service.quote(workload, deadlines)))


_STAND_IN = {"id": "quote"}
"""The workload is read by `parse_one`, whose errors say more."""
