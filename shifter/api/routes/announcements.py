"""Real-time load that is known to come: announce it, list it, take it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import SkipValidation
from starlette.responses import Response

from shifter.api import examples
from shifter.api.body import StrictRoute
from shifter.api.models import Moment
from shifter.api.params import Actor, AnnouncementId, ServiceParam, answer, read_as
from shifter.api.problems import BODY_CODES, responses
from shifter.realtime.announcement import Announcement
from shifter.views import AnnouncementView

router = APIRouter(tags=["inputs"], route_class=StrictRoute)


@router.post(
    "/realtime/announcements",
    summary="Announce real-time load to come",
    status_code=201,
    response_model=AnnouncementView,
    responses={
        201: examples.shown(examples.ANNOUNCEMENT, "Kept."),
        **responses(*BODY_CODES, "not_found", "conflict"),
    },
)
def announce(
    service: ServiceParam,
    actor: Actor,
    body: Annotated[
        SkipValidation[Announcement], Body(openapi_examples=examples.body(examples.ANNOUNCEMENT_BODY))
    ],
) -> Response:
    """A launch, a campaign, a holiday: in its window the load is `factor` times what it would be, and
    `added_accelerators` more. It takes part in the next plan, which is made at once. The same again is the same; other
    content under an id is refused, and so is any where real-time load is not forecast from what is measured.
    """
    return answer(service.announce(read_as(Announcement, body), actor), 201)


@router.get(
    "/realtime/announcements",
    summary="Real-time load that is announced",
    response_model=list[AnnouncementView],
    responses={200: examples.shown([examples.ANNOUNCEMENT]), **responses("invalid_input", "not_ready")},
)
def announcements(
    service: ServiceParam,
    since: Annotated[Moment | None, Query(description="Those that end after it; default now.")] = None,
) -> Response:
    """What was sent to `POST /v1/realtime/announcements`, and, `fixed` and without an id, what the settings announce
    (`realtime.announced`).
    """
    return answer(service.announcements(since))


@router.delete(
    "/realtime/announcements/{announcement_id}",
    summary="Take an announcement back",
    response_model=AnnouncementView,
    responses={
        200: examples.shown(examples.ANNOUNCEMENT, "What it was."),
        **responses("invalid_input", "not_found", "not_ready"),
    },
)
def withdraw_announcement(service: ServiceParam, actor: Actor, announcement_id: AnnouncementId) -> Response:
    """As if it had never been said: a new plan is made at once, and what was measured in its window is learnt from as
    any other load. What stands in the settings is taken back there.
    """
    return answer(service.withdraw_announcement(announcement_id, actor))
