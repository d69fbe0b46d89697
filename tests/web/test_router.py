"""The pages' headers and assets, without a browser."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import requests

from shifter.web import router
from tests.web.fake_service import FakeService

STATIC = Path(router.__file__).parent / "static"


@pytest.mark.parametrize(
    "path", ["/", "/forecasts", "/workloads/eval-013", "/workloads/a/b", "/static/js/dashboard.js"]
)
def test_nothing_may_come_from_outside(serve, path):
    answer = requests.get(serve(FakeService(3)).url + path, timeout=10)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_load_only_own_assets_and_hold_no_inline_script(serve):
    url = serve(FakeService(3)).url
    for path in ("/", "/forecasts", "/workloads/eval-013"):
        text = requests.get(url + path, timeout=10).text
        links = re.findall(r'(?:src|href)="([^"]*)"', text)
        assert links
        assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert "style=" not in text
        for link in links:
            if link.startswith("/static/"):
                assert requests.get(url + link, timeout=10).status_code == 200, link


def test_a_workload_id_cannot_become_markup(serve):
    url = serve(FakeService(3)).url
    text = requests.get(url + "/workloads/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", timeout=10).text
    assert "<script>alert" not in text


@pytest.mark.parametrize("path", ["../router.py", "..%2Frouter.py", "%2e%2e/router.py", "js/none.js", "js"])
def test_assets_stay_in_their_folder(serve, path):
    server = serve(FakeService(3))
    request = requests.Request("GET", server.url).prepare()
    request.url = f"{server.url}/static/{path}"  # as it stands: requests would tidy it
    with requests.Session() as session:
        assert session.send(request, timeout=10).status_code in {400, 404}


def test_assets_are_revalidated_and_cost_nothing_then(serve):
    url = serve(FakeService(3)).url + "/static/js/dashboard.js"
    first = requests.get(url, timeout=10)
    assert first.headers["Cache-Control"] == "no-cache"
    again = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
    assert again.status_code == 304


def test_pages_work_below_a_prefix(serve):
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    app = FastAPI()
    app.include_router(router.create_router(FakeService(3)))
    with TestClient(app, root_path="/shifter") as client:
        text = client.get("/shifter/").text
    assert 'data-root="/shifter"' in text
    assert 'src="/shifter/static/js/dashboard.js"' in text


def test_vendored_files_are_what_is_noted():
    noted = dict(
        re.findall(r"\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|", (STATIC / "vendor/VENDORED.md").read_text())
    )
    present = {p.name for p in (STATIC / "vendor").iterdir()} - {"VENDORED.md"}
    assert set(noted) == present
    for name, digest in noted.items():
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_modules_stay_small_and_make_no_markup_from_text():
    for path in (STATIC / "js").glob("*.js"):
        text = path.read_text()
        assert text.count("\n") < 350, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), (
            path.name
        )
