"""Workloads: submit, list, look at, cancel, and say how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Body, Query, Request
from pydantic import Field, SkipValidation
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import OverrideRequest, ProgressReport
from shifter.api.params import Actor, ServiceParam, SharedParam, WorkloadId, answer, read_as
from shifter.api.problems import BODY_CODES, responses
from shifter.domain.fields import Name
from shifter.domain.fleet import Fleet
from shifter.domain.options import shortest_run
from shifter.domain.workload import Override, Workload, WorkloadClass
from shifter.errors import InputError
from shifter.files import parse_workload
from shifter.files.places import all_of, raise_all
from shifter.views import Submitted, WorkloadState, WorkloadView

router = APIRouter(tags=["workloads"], route_class=StrictRoute)

MAX_AT_ONCE = 100_000
LONGEST_RUN = timedelta(days=36_525)
"""Times further off than this leave the calendar."""


@router.post(
    "/workloads",
    summary="Submit one workload, or several",
    status_code=201,
    response_model=Submitted | list[Submitted],
    responses={
        200: {
            "model": Submitted | list[Submitted],
            **examples.shown(
                {**examples.WORKLOAD_VIEW, "created": False},
                "All of it was there already, with the same content: nothing changed.",
            ),
        },
        201: examples.shown({**examples.WORKLOAD_VIEW, "created": True}, "Accepted, and durable."),
        **responses(*BODY_CODES, "conflict"),
    },
)
async def submit(
    shared: SharedParam,
    actor: Actor,
    body: Annotated[
        SkipValidation[Workload | Annotated[list[Workload], Field(min_length=1, max_length=MAX_AT_ONCE)]],
        Body(openapi_examples=examples.BODY_WORKLOADS),
    ],
) -> Response:
    """Classify and admit: the answer says which class each got and why, when it is planned to finish, and at
    what cost and carbon. An array is taken whole or not at all, and answered by an array in the same order.

    The same `id` with the same content is the same workload, so that sending it again is safe: `created` is
    false for what was there already, and where that is all of it the status is 200. Other content is 409.

    Work that cannot be done in time is admitted, and the answer says so: `feasible` is false,
    `earliest_feasible_deadline` is the earliest deadline that would work. The answer waits a few seconds for the
    plan that holds the new work; where that takes longer, `state` is `accepted`, and `planned_finish` comes later.
    """
    workloads = await shared.quickly(lambda: parse_workloads(body, shared.service.fleet))
    known = {w.id for w in workloads if shared.service.has(w.id)}
    try:
        views = await shared.slowly(lambda: shared.service.submit(workloads, actor))
    except InputError as error:
        raise _in_body(error, [w.id for w in workloads]) from None
    told = [_submitted(view, created=view.id not in known) for view in views]
    status = 201 if any(one.created for one in told) else 200
    if isinstance(body, list):
        return await shared.quickly(lambda: answer(told, status))
    return answer(told[0], status, Location=f"/v1/workloads/{quote(told[0].id, safe='')}")


def _submitted(view: WorkloadView, *, created: bool) -> Submitted:
    return Submitted(**{f.name: getattr(view, f.name) for f in fields(view)}, created=created)


def parse_workloads(raw: Any, fleet: Fleet) -> list[Workload]:
    """The body of `POST /v1/workloads`. Raises InputError that names the place, `body.deadline` or
    `body[3].id`.
    """
    if isinstance(raw, list):
        if not raw:
            raise InputError("the array is empty.", field="body", hint="Send at least one workload.")
        if len(raw) > MAX_AT_ONCE:
            raise InputError(
                f"{len(raw)} workloads are too many at once.",
                field="body",
                hint=f"Send at most {MAX_AT_ONCE}.",
            )
    elif not isinstance(raw, dict):
        raise InputError(
            "a workload is a JSON object.", field="body", hint="Send one object, or an array of them."
        )
    many = isinstance(raw, list)
    found: list[Workload] = []
    wrong: list[InputError] = []
    for i, one in enumerate(raw if many else [raw]):
        try:
            found.append(parse_one(one, f"body[{i}]" if many else "body", fleet))
        except InputError as error:
            wrong += all_of(error)
    raise_all(wrong)
    return found


def parse_one(raw: Any, place: str, fleet: Fleet) -> Workload:
    """The workload at `place` of a body. Raises InputError that names the place of every mistake."""
    workload = parse_workload(raw, where=place, fleet=fleet)
    try:
        absurd = (shortest_run(workload, fleet) or timedelta()) > LONGEST_RUN
    except OverflowError:
        absurd = True
    if absurd:
        raise InputError(
            f"{workload.amount:g} {workload.unit} would take more than a century on all that it may use.",
            field=f"{place}.{workload.unit}",
            hint="Check the unit, or split the work.",
        )
    return workload


def _in_body(error: InputError, ids: Sequence[str]) -> InputError:
    """Of a chain the service tells the workload by its id, `w-17.depends_on`; in the body it has a place."""
    field = error.field
    place = next((i for i, w in enumerate(ids) if field == w or field.startswith(f"{w}.")), None)
    if place is not None:
        field = f"[{place}]{field[len(ids[place]) :]}"
    also = tuple(_in_body(e, ids) for e in error.also)
    return InputError(error.detail, field=field, hint=error.hint, also=also, **dict(error.facts))


@router.get(
    "/workloads",
    summary="List workloads",
    response_model=list[WorkloadView],
    responses={200: examples.shown([examples.WORKLOAD_VIEW]), **responses("not_found", "invalid_input")},
)
def workloads(
    *,
    request: Request,
    service: ServiceParam,
    state: Annotated[WorkloadState | None, Query(description="Only those in this state.")] = None,
    tenant: Annotated[str | None, Query(description="Only this tenant's.", max_length=128)] = None,
    decided: Annotated[
        WorkloadClass | None, Query(alias="class", description="Only those of this class.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    after: Annotated[Name | None, Query(description="The id of the last one of the page before.")] = None,
) -> Response:
    """Newest first. Where there may be more, the header `Link` with `rel="next"` leads to the next page."""
    page = service.workloads(state=state, tenant=tenant, decided=decided, limit=limit, after=after)
    if len(page) < limit:
        return answer(page)
    again = {**request.query_params, "limit": limit, "after": page[-1].id}
    return answer(page, Link=f'</v1/workloads?{urlencode(again)}>; rel="next"')


@router.get(
    "/workloads/{workload_id}",
    summary="Look at one workload",
    response_model=WorkloadView,
    responses={200: examples.shown(examples.WORKLOAD_VIEW), **responses("not_found", "invalid_input")},
)
def workload(service: ServiceParam, workload_id: WorkloadId) -> Response:
    """Its class and the reason, its state and progress, and its share of the current plan."""
    return answer(service.workload(workload_id))


@router.delete(
    "/workloads/{workload_id}",
    summary="Cancel a workload",
    response_model=WorkloadView,
    responses={
        200: examples.shown(examples.WORKLOAD_VIEW),
        **responses("not_found", "conflict", "invalid_input", "not_ready"),
    },
)
def cancel(service: ServiceParam, actor: Actor, workload_id: WorkloadId) -> Response:
    """Withdraw it: its slots are freed by the next plan. Cancelling twice is cancelling once; what is done,
    or what others still wait for, cannot be cancelled (409).
    """
    return answer(service.cancel(workload_id, actor))


@router.post(
    "/workloads/{workload_id}/progress",
    summary="Report progress",
    response_model=WorkloadView,
    responses={
        200: examples.shown(examples.WORKLOAD_VIEW),
        **responses(*BODY_CODES, "not_found", "conflict"),
    },
)
def progress(
    service: ServiceParam,
    actor: Actor,
    workload_id: WorkloadId,
    body: Annotated[
        SkipValidation[ProgressReport], Body(openapi_examples=examples.body(examples.PROGRESS_BODY))
    ],
) -> Response:
    """Work done so far, from whoever runs it. Until the first report, work counts as done as it was planned;
    after it, reports rule. A report that is older than the last one changes nothing.
    """
    report = read_as(ProgressReport, body)
    return answer(
        service.progress(workload_id, report.done, report.remaining, report.at, actor, report.accelerators)
    )


@router.post(
    "/workloads/{workload_id}/override",
    summary="Decide its class by hand",
    response_model=Override,
    responses={
        200: examples.shown(examples.OVERRIDE),
        **responses(*BODY_CODES, "not_found", "conflict"),
    },
)
def override(
    service: ServiceParam,
    actor: Actor,
    workload_id: WorkloadId,
    body: Annotated[
        SkipValidation[OverrideRequest], Body(openapi_examples=examples.body(examples.OVERRIDE_BODY))
    ],
) -> Response:
    """An operator's decision over the policy's, until it is lifted with `class: null`. Who decided, when and
    why is kept in the audit and shown in the explanation.
    """
    wanted = read_as(OverrideRequest, body)
    return answer(service.override(actor, wanted.decided, wanted.reason, workload_id=workload_id))
