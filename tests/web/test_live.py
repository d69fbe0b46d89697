"""The dashboard over the real daemon: the demo's work, real plans, a submission, a cancellation."""

from __future__ import annotations

import pytest
import requests

from shifter.demo.stage import Options, staged

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage():
    """The demo on a free port, with its first plan."""
    with staged(Options(port=0, port_is_asked=True, speed=30.0), lambda _: None) as running:
        running.open()
        yield running


def test_the_demo_from_first_plan_to_a_cancellation(stage, watch):
    watched = watch()
    page = watched.open(stage.url)
    view = requests.get(f"{stage.url}/v1/workloads?limit=1000", timeout=10).json()
    page.wait_for_selector(".uplot canvas")
    assert page.locator(".rows .row").count() == len(view)
    assert page.locator(".track .block").count() > 0
    assert "SIMULATED CLOCK ×30" in page.locator("#badges").inner_text()
    assert "SYNTHETIC DATA" in page.locator("#badges").inner_text()
    plan = requests.get(f"{stage.url}/v1/plan", timeout=10).json()
    sites = {row["site"] for row in plan["slots"]}
    assert page.locator(".uplot canvas").count() == 2 + 2 * len(sites)

    body = {
        "id": "from-the-test-1",
        "tenant": "tests",
        "accelerator_hours": 6,
        "deadline": plan["horizon"]["end"],
        "max_accelerators": 4,
        "interruptible": True,
        "mode": "batch",
    }
    answer = requests.post(f"{stage.url}/v1/workloads", json=body, timeout=60)
    assert answer.status_code in {200, 201}, answer.text
    row = page.locator('.row[data-id="from-the-test-1"]')
    row.wait_for(timeout=20_000)
    row.locator(".block").first.wait_for(state="attached", timeout=20_000)

    row.locator(".row-id").click()
    page.wait_for_selector("#when")
    text = page.locator("#workload").inner_text()
    assert "from-the-test-1" in text
    assert "Why these slots" in text
    assert "lease version" in text
    page.go_back()
    page.wait_for_selector("body[data-ready]")
    row.wait_for()
    assert requests.delete(f"{stage.url}/v1/workloads/from-the-test-1", timeout=60).status_code < 300
    row.wait_for(state="detached", timeout=20_000)

    assert watched.complaints == []
    assert all(url.startswith((stage.url, "data:", "blob:")) for url in watched.requests)
