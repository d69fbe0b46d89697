"""The page and the stream of events: whatever happens while it opens, closes or begins anew, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Route

from shifter.views import EventKind
from tests.web import fixture
from tests.web.fake_service import FakeService

pytestmark = pytest.mark.browser


def is_stream(url: str) -> bool:
    return "/v1/events" in url and "format" not in url


def is_recall(url: str) -> bool:
    return "/v1/events" in url and "newest=30" in url


def hold(page: Page, which: Callable[[str], bool]) -> list[Route]:
    """Requests that wait until the test lets them go on."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(which, keep)
    return held


def wait_for(page: Page, held: list[Route]) -> Route:
    until = time.monotonic() + 15
    while not held:
        assert time.monotonic() < until, "it never asked"
        page.wait_for_timeout(20)
    return held[0]


def arrive(service: FakeService, workload_id: str) -> None:
    """One more workload; no plan has it yet, so that only its event tells of it."""
    service.items = (*service.items, replace(fixture.workloads(8)[7], id=workload_id))
    service.note(EventKind.WORKLOAD_ACCEPTED, {"workload_id": workload_id})


@pytest.mark.parametrize("before", ["events", "nothing yet", "nobody says"])
def test_what_happens_before_the_page_listens_is_not_lost(serve, watch, before):
    service, watched = FakeService(6), watch()
    if before == "nothing yet":
        service.log.clear()
    if before == "nobody says":
        watched.page.route(is_recall, lambda route: route.fulfill(status=503, body="{}"))
    held = hold(watched.page, is_stream)
    page = watched.open(serve(service).url)
    stream = wait_for(page, held)
    arrive(service, "meanwhile-1")
    stream.continue_()
    page.wait_for_selector('.row[data-id="meanwhile-1"]')


def test_the_page_does_not_wait_for_what_happened(serve, watch):
    service, watched = FakeService(6), watch()
    held = hold(watched.page, is_recall)
    page = watched.open(serve(service).url)
    assert page.locator(".rows .row").count() == 6
    assert page.locator("#events li").count() == 0
    arrive(service, "meanwhile-1")
    wait_for(page, held).continue_()
    page.wait_for_selector('.row[data-id="meanwhile-1"]')
    page.wait_for_selector('#events a:text("meanwhile-1")')


def test_events_of_another_database_take_the_place_of_those_of_the_last(serve, watch):
    service = FakeService(6)
    for i in range(80):  # its ids are far above those to come
        arrive(service, f"old-{i}")
    server = serve(service)
    port = server.port
    page = watch().open(server.url)
    page.wait_for_selector('#events a:text("old-79")')
    server.__exit__(None, None, None)
    page.wait_for_selector('body[data-connected="false"]', timeout=20_000)
    service = FakeService(6)
    service.started_at += timedelta(minutes=5)
    serve(service, port)
    page.wait_for_selector('body[data-connected="true"]', timeout=20_000)
    page.wait_for_selector('#events a:text("old-79")', state="detached")
    arrive(service, "new-life-1")
    page.wait_for_selector('#events a:text("new-life-1")', timeout=20_000)
    page.wait_for_selector('.row[data-id="new-life-1"]')
