"""The page of forecasts in a real browser, over the real HTTP interface."""

from __future__ import annotations

from typing import Any

import pytest

from forecasts.scores import report
from forecasts.scores.subject import from_series
from forecasts.series import Kind, Signal
from tests.web import fixture
from tests.web.fake_service import FakeService

score: Any = report.score  # never None here
pytestmark = pytest.mark.browser


def test_shows_what_was_said_and_how_good_it_was(serve, watch):
    server, watched = serve(FakeService(5)), watch()
    page = watched.open(server.url + "/forecasts?zone=DE-LU&signal=carbon")
    assert page.locator("body").get_attribute("data-ready") == "DE-LU|carbon|14"
    assert page.locator("#course .uplot canvas").count() == 1
    course = page.locator("#course").inner_text()
    for words in ("DE-LU: what was forecast, and what came", "known now", "g CO₂e/kWh, average", "forecast"):
        assert words in course, words
    told = fixture.told("DE-LU", Signal.CARBON, synthetic=False)
    found = from_series("DE-LU", Signal.CARBON, told)
    expected = score(found.forecasts["energy_charts"], found.known["energy_charts"])
    panel = page.locator('[data-source="energy_charts"]').inner_text()
    assert "judged by meter" in panel
    assert f"{expected.decision.captured * 100:.0f} %" in panel
    assert "with 90 %" in panel
    assert "Inside its 80 % band" in panel
    assert page.locator(".lead").count() == len(expected.by_lead)
    assert "late_source: nobody says yet" in page.locator("#scores").inner_text()
    assert page.locator("#scores").get_attribute("aria-busy") == "false"
    assert watched.complaints == []
    assert all(url.startswith((server.url, "data:", "blob:")) for url in watched.requests)


def test_the_bars_are_the_errors(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts?zone=FR")
    told = fixture.told("FR", Signal.PRICE, synthetic=False)
    found = from_series("FR", Signal.PRICE, told)
    expected = score(found.forecasts["energy_charts"], found.known["energy_charts"])
    most = max(max(p.point.mae, p.point.persistence_mae or 0) for p in expected.by_lead)
    for part, bar in zip(expected.by_lead, page.locator(".lead").all(), strict=True):
        track = bar.locator(".lead-track").bounding_box()
        assert bar.locator("i").bounding_box()["width"] / track["width"] == pytest.approx(
            part.point.mae / most, abs=0.01
        )
        assert f"{part.from_h} to {part.to_h} hours ahead" in bar.locator(".lead-track").get_attribute(
            "aria-label"
        )


def test_choosing_another_zone_and_signal(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts")
    page.locator('select[name="zone"]').select_option("FR")
    page.wait_for_selector('body[data-ready="FR|price|14"]')
    page.locator('select[name="signal"]').select_option("carbon")
    page.wait_for_selector('body[data-ready="FR|carbon|14"]')
    assert page.url.endswith("/forecasts?zone=FR&signal=carbon&days=14")
    page.reload()
    page.wait_for_selector('body[data-ready="FR|carbon|14"]')


def test_says_so_where_there_is_nothing_to_score(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts?days=7")
    page.wait_for_selector('body[data-ready$="|7"]')
    assert page.locator(".lead").count() == 0
    assert "nobody says yet what came of its forecasts" in page.locator("#scores").inner_text()


def test_a_source_on_trial_is_marked(serve, watch):
    service = FakeService(5)
    service.on_trial = {"energy_charts"}
    page = watch().open(serve(service).url + "/forecasts?zone=DE-LU&signal=carbon")
    assert "on trial" in page.locator('[data-source="energy_charts"] .block-head').inner_text()
    assert page.locator("#scores").inner_text().count("on trial") == 1


def test_while_scoring_rests_the_rest_is_shown(serve, watch):
    service = FakeService(5)
    service.scoring_rests = True
    page = watch().open(serve(service).url + "/forecasts?zone=DE-LU&signal=carbon")
    page.wait_for_selector('body[data-ready="DE-LU|carbon|14"]')
    assert "Scoring rests" in page.locator("#scores").inner_text()
    assert page.locator("#course .uplot canvas").count() == 1


def test_what_is_made_up_is_marked(serve, watch):
    page = watch().open(serve(FakeService(5, synthetic=True)).url + "/forecasts?zone=SE1")
    assert "SYNTHETIC" in page.locator("#course .kinds").inner_text()
    assert page.locator('[data-source="energy_charts"] .badge').inner_text() == "SYNTHETIC"
    assert Kind.SYNTHETIC in fixture.frame((Kind.SYNTHETIC,)).signals[0].kind


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
def test_fits_a_phone_and_the_dark(serve, watch, width, dark):
    watched = watch(width, 800, dark=dark)
    page = watched.open(serve(FakeService(5)).url + "/forecasts")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.complaints == []


def test_the_figures_as_a_table(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts")
    page.locator('[data-source="energy_charts"] button', has_text="Table").click()
    rows = page.locator('[data-source="energy_charts"] tbody tr')
    assert rows.count() == page.locator(".lead").count()
    assert "rMAE" in page.locator('[data-source="energy_charts"] thead').inner_text()


def test_the_plan_leads_here_and_back(serve, watch):
    page = watch().open(serve(FakeService(5)).url)
    page.locator("a.nav").click()
    page.wait_for_selector("#course .uplot")
    page.locator(".crumbs a").click()
    page.wait_for_selector("#savings .card")
