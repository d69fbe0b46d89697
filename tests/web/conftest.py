"""A headless Chromium, and the dashboard on a port of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.service import Service
from shifter.web.router import create_router
from tests.web import history

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file of tests; skips where there is none.

    Not for the session: while it is open Playwright's loop runs in this thread, and no other test may run its own.
    """
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    if path is None:
        pytest.skip("no chromium on the PATH: `make test` installs it (tests/setup.sh)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., ApiServer]]:
    """`serve(service, port=0)`: the real app with the dashboard, on a port; stopped after the test."""
    with ExitStack() as stack:

        def start(service: Service, port: int = 0) -> ApiServer:
            app = create_app(service, web_router=create_router(service))
            return stack.enter_context(ApiServer(app, port=port))

        yield start


@pytest.fixture(scope="module")
def erring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Eight days of made-up forecasts that err and are too sure of themselves."""
    with history.remembered(tmp_path_factory.mktemp("erring")) as service:
        yield service


@pytest.fixture
def remember(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`remember(days=, error=, sure=)`: another history."""
    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(history.remembered(tmp_path, **given))


@dataclass
class Watched:
    """A page, and what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        """Go there and wait until it is drawn."""
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready]", timeout=15_000)
        return self.page


@pytest.fixture
def watch(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """`watch(width=1440, height=900, dark=False)`: a fresh page whose requests and complaints are noted."""
    contexts = []

    def make(width: int = 1440, height: int = 900, *, dark: bool = False) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id="Europe/Berlin",
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        page = watched.page
        page.set_default_timeout(10_000)
        page.on("request", lambda r: watched.requests.append(r.url))
        page.on("pageerror", lambda e: watched.complaints.append(f"error: {e}"))
        page.on(
            "console",
            lambda m: watched.complaints.append(m.text) if m.type in {"error", "warning"} else None,
        )
        return watched

    yield make
    for context in contexts:
        context.close()
