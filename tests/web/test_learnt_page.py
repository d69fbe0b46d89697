"""Who is believed how far, on the page of forecasts, in a real browser."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forecasts.heeded import CANDIDATE
from tests.web.fake_service import FakeService

pytestmark = pytest.mark.browser


def test_shows_who_counts_for_how_much(serve, watch):
    watched = watch()
    page = watched.open(serve(FakeService(5)).url + "/forecasts?zone=DE-LU&signal=carbon")
    panel = page.locator("#learnt")
    assert panel.locator("h2").inner_text() == "Who is believed how far"
    assert "from 60 days of outcomes" in panel.inner_text()
    assert panel.locator("thead").inner_text().split() == ["source", "6", "h", "24", "h", "48", "h"]
    rows = [row.inner_text().split("\t") for row in panel.locator("tbody tr").all()]
    assert rows == [
        ["energy_charts", "known", "71 %", "44 %"],
        ["our models", "known", "29 %", "56 %"],
        ["ridge", "known", "60 %", "55 %"],
        ["climatology", "known", "40 %", "45 %"],
    ]
    assert "in shadow" not in panel.inner_text()
    assert watched.complaints == []


def test_says_why_nothing_was_learnt_and_what_is_in_shadow(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts?zone=DE-LU&signal=price")
    assert (
        "Too little to learn from: less than a week of outcomes, or all of it made up."
        in page.locator("#learnt").inner_text()
    )
    assert page.locator("#learnt table").count() == 0
    page.locator('select[name="zone"]').select_option("FR")
    page.wait_for_selector('body[data-ready="FR|price|14"]')
    assert "in shadow, nothing is planned by it" in page.locator("#learnt").inner_text()


def test_a_candidate_stands_below_what_is_planned_by_and_is_marked(serve, watch, monkeypatch):
    service = FakeService(5)
    live = [v for v in service.learnt("DE-LU") if v.signal == "carbon"]
    other = replace(
        live[0], name=CANDIDATE, planned_by=False, rounds=31, sources=live[0].sources[:1], models=()
    )
    monkeypatch.setattr(service, "learnt", lambda zone=None: [*live, other])
    watched = watch()
    page = watched.open(serve(service).url + "/forecasts?zone=DE-LU&signal=carbon")
    panel = page.locator("#learnt")
    assert panel.locator("h2").all_inner_texts() == ["Who is believed how far", "By the candidate"]
    assert panel.locator(".block-head .badge").all_inner_texts() == ["CANDIDATE"]
    first, second = panel.locator(".block-head small").all_inner_texts()
    assert "from 60 days of outcomes" in first
    assert "nothing is planned by it" not in first
    assert second.endswith("from 31 days of outcomes; nothing is planned by it")
    assert [table.locator("tbody tr").count() for table in panel.locator("table").all()] == [4, 1]
    assert watched.complaints == []


def test_is_not_there_where_nothing_is_learnt(serve, watch, monkeypatch):
    service = FakeService(5)
    monkeypatch.setattr(service, "learnt", lambda zone=None: [])
    watched = watch()
    page = watched.open(serve(service).url + "/forecasts")
    assert not page.locator("#learnt").is_visible()
    assert watched.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True)])
def test_fits_a_phone(serve, watch, width, dark):
    watched = watch(width, 800, dark=dark)
    page = watched.open(serve(FakeService(5)).url + "/forecasts?zone=DE-LU&signal=carbon")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.complaints == []
