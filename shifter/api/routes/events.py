"""What happened: the stream of events, and the audit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import EventFormat
from shifter.api.params import ServiceParam, SharedParam, Waiting, answer
from shifter.api.problems import responses
from shifter.api.sse import kinds_of, stream
from shifter.errors import InputError
from shifter.views import AuditEntry, Event, EventKind

router = APIRouter(tags=["events"], route_class=StrictRoute)

MAX_ID = 2**62


class CountedStream(StreamingResponse):
    """A stream that counts as waiting from before its first byte until after its last."""

    def __init__(self, content: Any, waiting: Waiting, **given: Any) -> None:
        super().__init__(content, **given)
        self.waiting = waiting

    async def __call__(self, *asgi: Any) -> None:
        """ASGI."""
        with self.waiting:
            await super().__call__(*asgi)


@router.get(
    "/events",
    summary="Events, as a stream",
    response_model=list[Event],
    responses={
        200: {
            "description": "A stream of Server-Sent Events, or with `format=json` an array.",
            "content": {
                "application/json": {"example": [examples.EVENT]},
                "text/event-stream": {"schema": {"type": "string"}, "example": examples.EVENT_STREAM},
            },
        },
        **responses("invalid_input", "too_busy"),
    },
)
async def events(
    *,
    shared: SharedParam,
    after: Annotated[
        int | None,
        Query(ge=0, le=MAX_ID, description="Only events with a larger id; default what comes from now on."),
    ] = None,
    kind: Annotated[list[EventKind] | None, Query(description="Only these kinds.")] = None,
    format: Annotated[  # noqa: A002 - the name on the wire
        EventFormat, Query(description="`json` answers an array of what is there, and does not wait.")
    ] = "sse",
    limit: Annotated[int, Query(ge=1, le=1000, description="Of the array.")] = 100,
    newest: Annotated[
        int | None,
        Query(
            ge=1, le=1000, description="The last so many, oldest first, in an array; stands without `after`."
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(description="The id of the last event that was seen; browsers send it by themselves."),
    ] = None,
) -> Response:
    """Plans, admissions, grid events, faults, as they happen. Each has an `id` that only grows; who was cut
    off sends the last one as `Last-Event-ID` and misses nothing. A comment comes every 15 seconds while
    nothing happens.
    """
    position = resume_from(last_event_id, after)
    kinds = kinds_of(kind)
    if newest is not None:
        if format != "json" or position is not None:
            raise InputError(
                "the newest events are an array, and stand without a position.",
                field="query.newest",
                hint="Ask with format=json, and leave out after and Last-Event-ID.",
            )
        return answer(await shared.quickly(lambda: shared.service.newest_events(newest, kinds)))
    if format == "json":
        found = await shared.quickly(lambda: shared.service.events(position or 0, limit))
        return answer([e for e in found if not kinds or e.kind in kinds])
    with shared.waiting:
        pass  # says no here, while it still can be an answer
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return CountedStream(
        stream(shared.events, position, kinds),
        shared.waiting,
        media_type="text/event-stream",
        headers=headers,
    )


def resume_from(last_event_id: str | None, after: int | None) -> int | None:
    """After which id; the header wins, for a browser that connects again asks for the first address again."""
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:19]) <= MAX_ID):
        raise InputError(
            f"{last_event_id[:40]!r} is no event's id.",
            field="header.Last-Event-ID",
            hint="Send the id of the last event that was seen.",
        )
    return min(int(last_event_id[:19]), MAX_ID)


@router.get(
    "/audit",
    summary="Who did or decided what",
    response_model=list[AuditEntry],
    responses={200: examples.shown([examples.AUDIT_ENTRY]), **responses("invalid_input")},
)
def audit(
    service: ServiceParam,
    subject: Annotated[
        str | None, Query(max_length=256, description="Only about this workload, plan or event.")
    ] = None,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="Only entries with a larger id.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> Response:
    """Oldest first: who, when, what, about what, and `inputs_id` of the snapshot that a decision was made
    from.
    """
    return answer(service.audit(subject, after, limit))
