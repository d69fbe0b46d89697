"""The page of forecasts in a real browser, over the real HTTP interface."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator

from forecasts.scores import report
from forecasts.scores.subject import from_series
from forecasts.series import Kind, Signal
from tests.web import fixture, history
from tests.web.fake_service import FakeService
from tests.web.history import scores_of

score: Any = report.score  # never None here
pytestmark = pytest.mark.browser
LEAST_CASES = 30
DAY = "2026-01-09"


@pytest.fixture(autouse=True)
def unresting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are computed as often as they are asked for."""
    monkeypatch.setattr("shifter.service.scored.REST", 0)


def at(line: Locator, *names: str) -> list[float]:
    """Attributes of an SVG element, as numbers."""
    return [float(line.get_attribute(name) or "nan") for name in names]


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
    assert "on trial" in page.locator('[data-source="energy_charts"] .block-head').first.inner_text()
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


def test_a_long_origin_runs_into_nothing(serve, watch, erring):
    page = watch(1300).open(serve(erring).url + "/forecasts?zone=DE-LU&signal=price")
    for note in page.locator("#course .readout i").all():
        note.evaluate("node => { node.textContent = 'tariff+our models model'; }")
    for line in page.locator("#course .readout li").all():
        name, note, value = (line.locator(part).bounding_box() for part in (".name", "i", "b"))
        assert name["y"] + name["height"] <= note["y"] + 1
        assert name["x"] + name["width"] <= value["x"] + 1
        assert name["height"] < 25, "on one line"


def test_the_key_of_skill_has_its_samples_beside_its_words(serve, watch, erring):
    page = watch(1300).open(serve(erring).url + "/forecasts?zone=DE-LU&signal=price")
    for line in page.locator('[data-plot="skill"] .plot-key li').all():
        sample, words = (line.locator("span").nth(k).bounding_box() for k in (0, 1))
        assert sample["width"] == 18
        assert sample["x"] + sample["width"] < words["x"]
        assert words["y"] < sample["y"] < words["y"] + words["height"]


def test_the_figures_as_a_table(serve, watch):
    page = watch().open(serve(FakeService(5)).url + "/forecasts")
    page.locator('button[data-key="table-scores-energy_charts"]').click()
    rows = page.locator('[data-source="energy_charts"] tbody tr')
    assert rows.count() == page.locator(".lead").count()
    assert "rMAE" in page.locator('[data-source="energy_charts"] thead').inner_text()


def test_the_plan_leads_here_and_back(serve, watch):
    page = watch().open(serve(FakeService(5)).url)
    page.locator("a.nav").click()
    page.wait_for_selector("#course .uplot")
    page.locator(".crumbs a").click()
    page.wait_for_selector("#savings .card")


def test_the_reliability_diagram_is_what_came(serve, watch, erring):
    watched = watch()
    page = watched.open(serve(erring).url + "/forecasts")
    parts = scores_of(erring).by_lead
    assert all(p.bands.n >= LEAST_CASES for p in parts), "or this test says little"
    assert [p.point.mae > 0 for p in parts] == [False] + [True] * 6, "it errs from an hour ahead on"
    never, *drawn = parts
    box = page.locator('[data-source="typical"] [data-plot="reliability"]')
    x0, y0, x1, y1 = at(box.locator(".plot-ideal"), "x1", "y1", "x2", "y2")
    assert x1 - x0 == pytest.approx(y0 - y1), "a square: the diagonal is at 45 degrees"
    seen = []
    for mark in box.locator("svg.plot .plot-mark").all():
        x, y = re.findall(r"[-\d.]+", mark.get_attribute("transform"))
        seen.append(((float(x) - x0) / (x1 - x0), (float(y) - y0) / (y1 - y0)))
    expected = [(q.p, q.below) for p in drawn for q in p.bands.levels]
    assert np.array(seen) == pytest.approx(np.array(expected), abs=1e-6)
    assert box.locator("svg.plot .plot-line").count() == len(drawn)
    key = box.locator(".plot-key li").all_inner_texts()
    assert [" ".join(one.split()) for one in key] == [
        f"{never.from_h}–{never.to_h} h ahead {never.bands.n:,} cases, never off: not drawn",
        *(f"{p.from_h}–{p.to_h} h ahead {p.bands.n:,} cases" for p in drawn),
    ]
    told = box.locator("svg.plot").get_attribute("aria-label")
    assert f"of {drawn[0].bands.n:,} cases" in told
    assert watched.complaints == []


def test_the_reliability_diagram_as_a_table(serve, watch, erring):
    page = watch().open(serve(erring).url + "/forecasts")
    page.locator('button[data-key="table-reliability-typical"]').click()
    rows = [row.inner_text().split("\t") for row in page.locator("[data-plot='reliability'] tbody tr").all()]
    parts = scores_of(erring).by_lead
    expected = [(p.from_h, p.to_h, p.bands.n, q.p, q.below) for p in parts for q in p.bands.levels]
    assert len(rows) == len(expected)
    for row, values in zip(rows, expected, strict=True):
        assert [float(cell) for cell in row[:5]] == pytest.approx(values, abs=5e-4)


def test_leads_of_too_few_cases_are_not_drawn(serve, watch, remember):
    service = remember(days=1.5)
    page = watch().open(serve(service).url + "/forecasts")
    parts = scores_of(service).by_lead
    enough = [p for p in parts if p.bands.n >= LEAST_CASES]
    assert all(p.point.mae > 0 for p in enough)
    assert 0 < len(enough) < len(parts), "or this test says nothing"
    box = page.locator('[data-plot="reliability"]')
    assert box.locator("svg.plot .plot-line").count() == len(enough)
    assert box.locator(".plot-key").inner_text().count("too few to draw") == len(parts) - len(enough)


def test_the_bars_of_skill_are_the_error_avoided(serve, watch, erring):
    page = watch().open(serve(erring).url + "/forecasts")
    box = page.locator('[data-source="typical"] [data-plot="skill"]')
    parts = [p for p in scores_of(erring).by_lead if p.point.skill is not None]
    bars = box.locator("svg.plot rect")
    assert bars.count() == len(parts)
    [zero] = at(box.locator(".plot-zero"), "y1")
    heights = []
    for bar, part in zip(bars.all(), parts, strict=True):
        y, height = at(bar, "y", "height")
        assert (y + height if part.point.skill > 0 else y) == pytest.approx(zero, abs=1)
        heights.append(height)
    assert np.array(heights) / max(heights) == pytest.approx(
        np.abs([p.point.skill for p in parts]) / max(abs(p.point.skill) for p in parts), abs=0.02
    )
    assert "no better than repeating the past" in box.inner_text()
    assert box.locator(".plot-value").all_text_contents()[0] == "100\u202f%"
    assert box.locator(".plot-value").all_text_contents()[1] == f"{parts[1].point.skill * 100:.0f}\u202f%"


def test_a_source_worse_than_persistence_hangs_below_the_line(serve, watch, remember):
    service = remember(days=6, error=2.0, sure=0, signals=(Signal.PRICE,))
    page = watch().open(serve(service).url + "/forecasts")
    box = page.locator('[data-plot="skill"]')
    skills = [p.point.skill for p in scores_of(service).by_lead if p.point.skill is not None]
    assert min(skills) < 0
    assert box.locator(".bar-worse").count() == sum(s < 0 for s in skills)
    [zero] = at(box.locator(".plot-zero"), "y1")
    for bar in box.locator(".bar-worse rect").all():
        assert at(bar, "y")[0] == pytest.approx(zero)
    bottom = box.locator("svg.plot").evaluate("svg => svg.viewBox.baseVal.height")
    assert all(sum(at(bar, "y", "height")) < bottom for bar in box.locator("rect").all()), "not out of it"
    assert "error that it adds" in box.inner_text()
    assert "−" in box.locator(".bar-worse .plot-value").first.text_content()


def test_says_so_where_a_source_gives_no_bands(serve, watch, remember):
    page = watch().open(serve(remember(days=4, sure=0)).url + "/forecasts")
    box = page.locator('[data-plot="reliability"]')
    assert "come without bands" in box.inner_text()
    assert box.locator("svg").count() == 0
    assert page.locator('[data-plot="skill"] rect').count() > 0


def test_says_so_where_persistence_knew_nothing(serve, watch, remember, monkeypatch):
    monkeypatch.setattr(history, "BACK", timedelta(hours=6))
    service = remember(days=0.5)
    page = watch().open(serve(service).url + "/forecasts")
    skill = page.locator('[data-plot="skill"]')
    assert [p.point.skill for p in scores_of(service).by_lead] == [None, None]
    assert "it could repeat nothing yet" in skill.inner_text()
    assert skill.locator("svg").count() == 0
    assert page.locator(".lead-track b").count() == 0
    assert "Too little has come" in page.locator('[data-plot="reliability"]').inner_text()


def test_what_is_made_up_without_an_error_shows_no_empty_charts(serve, watch, remember):
    service = remember(days=4, error=0.0, sure=0)
    page = watch().open(serve(service).url + "/forecasts")
    panel = page.locator('[data-source="typical"]')
    n = scores_of(service).overall.point.n
    told = panel.inner_text()
    assert f"In all {n:,} cases of which it is known, what came was what it had said" in told
    assert "It is made up" in told
    for drawn in (".lead", ".figures", "svg.plot", "button"):
        assert panel.locator(drawn).count() == 0
    assert "Not drawn, since it is the same to the last digit" in page.locator("#course").inner_text()
    assert page.locator("#course .readout li").count() == 1


def test_an_empty_store_says_so(serve, watch, remember):
    page = watch().open(serve(remember(days=0)).url + "/forecasts")
    assert page.locator("canvas, svg.plot, .lead").count() == 0
    assert "Nothing to score yet" in page.locator("#scores").inner_text()
    assert "Nobody says anything of these hours" in page.locator("#course").inner_text()


def test_a_day_as_it_was_forecast_and_what_came(serve, watch, erring):
    watched = watch()
    page = watched.open(serve(erring).url + "/forecasts")
    page.locator('select[name="day"]').select_option(DAY)
    page.wait_for_selector(f'body[data-ready="DE-LU|price|14|{DAY}"]')
    assert page.url.endswith(f"?zone=DE-LU&signal=price&days=14&day={DAY}")
    course = page.locator("#course")
    assert "what was forecast of Fri 9 Jan, and what came" in course.inner_text()
    assert not page.locator("#course .line-now").is_visible(), "that day is over"
    start = history.NOW.replace(day=9, hour=0, minute=0)

    def values(as_of=None):
        frame = erring.forecasts("DE-LU", start, start + timedelta(hours=24), as_of)
        [price] = [s for s in frame["signals"] if s["signal"] == "price"]
        return np.array(price["values"])

    came = values()
    off = [np.abs(values(start - timedelta(hours=h)) - came).mean() for h in (0, 12, 24, 48)]
    rows = [" ".join(row.split()) for row in course.locator(".readout li").all_inner_texts()]
    names = ("as it began", "12 h before", "24 h before", "2 d before")
    assert rows == ["what came –"] + [
        f"{name} mean error {x:.{0 if x >= 100 else 1 if x >= 10 else 2}f}"
        for name, x in zip(names, off, strict=True)
    ]
    course.locator("button", has_text="Table").click()
    assert course.locator("tbody tr").count() == len(came)
    page.reload()
    page.wait_for_selector(f'body[data-ready="DE-LU|price|14|{DAY}"]')
    page.locator('select[name="day"]').select_option("")
    page.wait_for_selector('body[data-ready="DE-LU|price|14"]')
    assert watched.complaints == []


def test_a_forecast_that_was_not_said_again_is_not_what_came(serve, watch, remember, monkeypatch):
    monkeypatch.setattr(history, "BACK", timedelta(0))
    page = watch().open(serve(remember(days=4)).url + f"/forecasts?day={DAY}")
    page.wait_for_selector(f'body[data-ready$="|{DAY}"]')
    assert "What came is not shown" in page.locator("#course").inner_text()
    assert "mean error" not in page.locator("#course").inner_text()
    assert "nobody says yet what came of its forecasts" in page.locator("#scores").inner_text()


def test_a_hole_in_what_was_measured_is_not_what_came(serve, watch, remember):
    """The frame fills it with the day before: plans need a value, and nobody measured it."""
    service = remember(days=0)
    history.measure_with_a_hole(service)
    page = watch().open(serve(service).url + f"/forecasts?day={DAY}")
    page.wait_for_selector(f'body[data-ready$="|{DAY}"]')
    course = page.locator("#course")
    rows = [" ".join(row.split()) for row in course.locator(".readout li").all_inner_texts()]
    assert rows[:3] == ["what came –", "as it began mean error 20.0", "12 h before mean error 30.0"]
    course.locator("button", has_text="Table").click()
    came = [row.inner_text().split("\t")[1] for row in course.locator("tbody tr").all()]
    drawn = [float(text) if text else None for text in came]
    assert drawn == [80.0] * 12 + [None] * 12 + [80.0] * 24, "by the half hour"


def test_a_day_before_the_first_forecast_says_so(serve, watch, remember):
    page = watch().open(serve(remember(days=1)).url + f"/forecasts?day={DAY}")
    page.wait_for_selector(f'body[data-ready$="|{DAY}"]')
    assert "Nothing had been said of this day before it began." in page.locator("#course").inner_text()


def test_a_day_that_there_is_not_is_around_now(serve, watch, erring):
    page = watch().open(serve(erring).url + "/forecasts?day=2031-02-30")
    page.wait_for_selector('body[data-ready="DE-LU|price|14"]')
    assert page.locator('select[name="day"]').input_value() == ""


@pytest.mark.parametrize("dark", [False, True])
def test_the_plots_fit_a_phone(serve, watch, erring, dark):
    watched = watch(390, 844, dark=dark)
    page = watched.open(serve(erring).url + "/forecasts?signal=carbon")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in page.locator("svg.plot").all():
        assert 300 <= box.bounding_box()["width"] <= 390
    assert watched.complaints == []
