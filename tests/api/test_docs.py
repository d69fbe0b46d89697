"""`/docs`: everything it loads is our own copy, and is what it says it is."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import shifter.api
from shifter.api import docs, problems
from shifter.api.errors import ERRORS

VENDORED = Path(shifter.api.__file__).parent / "static/swagger-ui"


class Links(HTMLParser):
    """What a page loads and leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [v for k, v in attrs if k in {"src", "href", "action"} and v]
        self.inline = tag if tag in {"script", "style"} and "src" not in given else ""

    def handle_data(self, data: str) -> None:
        assert not (self.inline and data.strip()), "an inline script or style"


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(title="shifter", docs_url=None)
    docs.install(app)
    problems.install(app)
    return TestClient(app)


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
def test_pages_load_nothing_from_outside(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    links = Links()
    links.feed(page.text)
    assert links.found
    for link in links.found:
        assert link.startswith(("/docs", "#")), link
        if link.startswith("/docs/static"):
            asset = client.get(link)
            assert asset.status_code == 200
            assert asset.content
    assert not re.search(r"(?:https?:)?//", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_our_own_scripts_and_styles_name_no_other_host(client: TestClient) -> None:
    for name in ("swagger-start.js", "errors.css"):
        assert not re.search(r"https?://", client.get(f"/docs/static/{name}").text)
    assert 'url: "/openapi.json"' in client.get("/docs/static/swagger-start.js").text


def test_what_is_vendored_is_what_was_published_with_its_licence() -> None:
    text = (VENDORED / "VENDORED.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
    assert set(sums) == {p.name for p in VENDORED.iterdir()} - {"VENDORED.md"}
    assert {"LICENSE", "NOTICE"} <= set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == expected, name


def test_the_page_of_errors_has_every_code_where_problems_point(client: TestClient) -> None:
    text = client.get(problems.DOCS_PATH).text
    for entry in ERRORS:
        assert f'id="{entry.code}"' in text


def test_what_is_not_there_is_a_problem(client: TestClient) -> None:
    for path in ("/docs/static/nothing.js", "/docs/static/../docs.py", "/docs/static/%2e%2e/docs.py"):
        missing = client.get(path)
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/problem+json"
