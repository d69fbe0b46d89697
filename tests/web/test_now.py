"""Real-time load now, on the dashboard: measured against held, who yields, and what is to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shifter.domain.grid_event import GridEvent
from shifter.domain.rows import SlotRow
from shifter.domain.survival import PlanResilience, Promise
from shifter.views import AnnouncementView, EventKind
from tests.web.fake_service import FakeService

pytestmark = pytest.mark.browser

HOUR = timedelta(hours=1)
LULEA, CENTRAL, EDGE = ("lulea", "h100"), ("frankfurt", "h100"), ("lyon-edge", "l40s")


def row_now(service: FakeService, place: tuple[str, str]) -> SlotRow:
    return next(
        r for r in service.current.slots if (r.site, r.pool) == place and r.start <= service.now < r.end
    )


def measure(service: FakeService, place: tuple[str, str], load: float, **more: Any) -> None:
    service.measured[place] = {
        "realtime_accelerators": load,
        "measured_accelerators": load,
        "last_sample_at": service.now - timedelta(seconds=40),
    } | more


def surging() -> FakeService:
    """A surge to which work yields, a meter that fell silent, and accelerators that were lost."""
    service = FakeService(30)
    held = row_now(service, LULEA)
    measure(service, LULEA, held.reserved + 12, yielded_accelerators=8)
    silent_since = service.now - timedelta(minutes=12)
    measure(
        service,
        CENTRAL,
        row_now(service, CENTRAL).realtime_q,
        stale=True,
        last_sample_at=silent_since,
        measured_accelerators=2.0,
    )
    measure(service, EDGE, row_now(service, EDGE).realtime_p50, available_accelerators=17)
    name = service.items[0].id
    yields = {"site": "lulea", "pool": "h100", "yielded_accelerators": 8, "workloads": {name: 8}}
    service.note(EventKind.GUARD_YIELDED, {**yields, "endangered": [name]})
    return service


def pool(page: Any, place: tuple[str, str]) -> Any:
    return page.locator(f'[data-pool="{place[0]}/{place[1]}"]')


def words(locator: Any) -> str:
    return " ".join(locator.inner_text().split())


def test_a_calm_day_shows_what_is_held_and_no_more(serve, watch):
    service = FakeService(10)
    measure(service, LULEA, row_now(service, LULEA).realtime_p50)
    watched = watch()
    page = watched.open(serve(service).url)
    page.wait_for_selector("#now:not([hidden])")
    assert page.locator("#now [data-pool]").count() == 4
    held = row_now(service, LULEA)
    for value in (held.realtime_p50, held.realtime_q, held.reserved):
        assert f"{value:.1f}" in words(pool(page, LULEA))
    assert "no meter" in words(pool(page, CENTRAL))
    counts = f"{service.capacity(*CENTRAL).realtime_accelerators:.1f}"
    assert words(pool(page, CENTRAL).locator(".now-counts")) == counts, "where nothing is measured, too"
    assert page.locator("#now .now-said").count() == 0
    assert page.locator("#now .now-notes section").count() == 1
    own = words(page.locator("[data-note=promises] li").nth(0))
    assert own.startswith("Surviving the loss of 1 failure domain of each pool at frankfurt costs "), own
    assert "Carrying real-time load at frankfurt for 10 minutes without the grid" in words(
        page.locator("[data-note=promises] li").nth(1)
    )
    assert page.locator("#badges .promises").count() == 0
    assert page.locator("#now .now-lost").count() == 0
    assert watched.complaints == []


def test_a_cut_s_limits_are_told_from_the_lowest_slot_to_the_highest(serve, watch):
    service = FakeService(6)
    first = service.now.replace(minute=0, second=0, microsecond=0) + 9 * HOUR
    limits = {first + i * HOUR / 2: kw for i, kw in enumerate((11.9, 11.6, 9.2, 9.2))}
    rows = (
        replace(r, limit_kw=limits.get(r.start, r.limit_kw)) if r.site == "lyon-edge" else r
        for r in service.current.power
    )
    service.current = replace(service.current, power=tuple(rows))
    cut = GridEvent("g", "lyon-edge", first, first + 2 * HOUR, source="VTN", cut_ratio=0.2)
    service.limits = [cut, replace(cut, id="h", start=first + HOUR)]
    page = watch().open(serve(service).url)
    page.wait_for_selector("[data-note=limits]")
    told = [" ".join(text.split()) for text in page.locator("[data-note=limits] li").all_inner_texts()]
    assert "lyon-edge 20 % less: at most 9.20 to 11.9 kW," in told[0]
    assert "lyon-edge 20 % less: at most 9.20 kW," in told[1]


def test_a_fleet_without_real_time_load_has_no_such_panel(serve, watch):
    service = FakeService(6)
    none = tuple(replace(r, realtime_p50=0.0, realtime_q=0.0, reserved=0.0) for r in service.current.slots)
    service.current = replace(service.current, slots=none)
    watched = watch()
    page = watched.open(serve(service).url)
    page.wait_for_timeout(500)
    assert page.locator("#now").is_hidden()
    assert watched.complaints == []


def test_a_surge_says_who_yields_to_what_and_marks_what_is_stale_or_lost(serve, watch):
    service = surging()
    watched = watch()
    page = watched.open(serve(service).url)
    said = pool(page, LULEA).locator(".now-said")
    said.wait_for()
    name = service.items[0].id
    assert words(said) == (
        f"12.0 more than is reserved. Deferrable work yields 8 accelerators to real-time load: {name} (8). "
        f"{name} may be late."
    )
    assert said.locator("a").first.get_attribute("href") == f"/workloads/{name}"
    assert "Stale: not measured for 12 min." in words(pool(page, CENTRAL))
    assert words(pool(page, CENTRAL).locator(".now-measured")) == "2.00 12 min ago", "not what counts"
    counts = f"{row_now(service, CENTRAL).realtime_q:.1f}"
    assert words(pool(page, CENTRAL).locator(".now-counts")) == counts
    assert "7 of 24 accelerators are not there." in words(pool(page, EDGE))
    load, bar = (pool(page, LULEA).locator(part).bounding_box() for part in (".now-load", ".now-bar"))
    share = service.measured[LULEA]["realtime_accelerators"] / 96
    assert load["width"] / bar["width"] == pytest.approx(share, abs=0.01)
    lost = pool(page, EDGE).locator(".now-lost").bounding_box()
    assert lost["width"] / bar["width"] == pytest.approx(7 / 24, abs=0.02)
    label = pool(page, LULEA).locator(".now-bar").get_attribute("aria-label")
    assert "accelerators measured" in label
    assert watched.complaints == []


def test_what_changes_between_plans_appears_by_itself(serve, watch):
    service = FakeService(6)
    measure(service, LULEA, 4.0)
    page = watch().open(serve(service).url)
    pool(page, LULEA).wait_for()
    page.wait_for_selector("#events li")
    page.wait_for_timeout(300)  # until it listens
    measure(service, LULEA, 80.0, yielded_accelerators=3)
    service.note(EventKind.GUARD_YIELDED, {"site": "lulea", "pool": "h100", "yielded_accelerators": 3})
    pool(page, LULEA).locator(".now-said").wait_for(timeout=9_000)
    assert "Deferrable work yields 3 accelerators to real-time load." in words(pool(page, LULEA))
    assert "Work yields" in page.locator("#events").inner_text()


def test_many_promises_are_folded_and_one_that_is_not_kept_stays_in_sight(serve, watch):
    service = surging()
    kept = [
        Promise("site", f"s{i}", "north", cost, "solved", 0.0, 0.0, 0, f"surviving the loss of s{i} costs")
        for i, cost in enumerate((0.15, 0.4, None))
    ]
    broken = replace(kept[0], name="s9", missing_slots=3, text="of s9 some are missing")
    service.current = replace(service.current, resilience=PlanResilience("program", 10.0, (*kept, broken)))
    page = watch().open(serve(service).url)
    page.wait_for_selector("[data-note=promises]")
    assert words(page.locator("[data-note=promises] > ul > li").nth(0)) == "Not kept: Of s9 some are missing."
    fold = page.locator("[data-note=promises] details")
    assert words(fold) == "3 promises: the dearest costs €0.40 a day, of 1 it is not known"
    fold.locator("summary").click()
    assert fold.locator("li").count() == 3
    assert words(fold.locator("li").nth(1)) == "Surviving the loss of s1 costs."
    service.note(EventKind.GUARD_YIELDED, {"site": "lulea", "pool": "h100", "yielded_accelerators": 3})
    pool(page, LULEA).locator(".now-said").wait_for(timeout=9_000)
    assert fold.locator("li").nth(1).is_visible(), "drawn again it is as it was"


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_limits_announcements_and_promises_are_told_where_there_are_any(serve, watch, width, dark):
    service = surging()
    now = service.now
    service.limits = [
        GridEvent("g1", "frankfurt", now - HOUR, now + HOUR, 70.0, "DSO"),
        GridEvent("g2", "lyon-edge", now + 9 * HOUR, now + 10 * HOUR, source="VTN", cut_ratio=0.25),
    ]
    told = AnnouncementView(
        "a1", "launch", now + HOUR, now + 3 * HOUR, 1.8, 4.0, "lulea", None, False, True, now, "ann"
    )
    service.told = [told, replace(told, id=None, name="holiday", start=now - HOUR, fixed=True, heeded=False)]
    promise = Promise(
        "site",
        "lulea",
        "north",
        0.15,
        "solved",
        0.0,
        0.0,
        0,
        "surviving the loss of site lulea costs 0.15 EUR a day",
    )
    short = replace(
        promise,
        name="frankfurt",
        missing_accelerators=3.0,
        missing_slots=52,
        text="of site frankfurt 3 are missing",
    )
    service.current = replace(service.current, resilience=PlanResilience("program", 10.0, (promise, short)))
    watched = watch(width, dark=dark)
    page = watched.open(serve(service).url)
    page.wait_for_selector("[data-note=promises]")
    until = (now + HOUR).strftime("%H:%M")
    assert (
        words(page.locator("[data-note=limits] li").nth(0))
        == f"frankfurt at most 70 kW, now, until {until} DSO"
    )
    assert "lyon-edge 25 % less" in words(page.locator("[data-note=limits] li").nth(1))
    assert "launch × 1.8 + 4 accelerators, lulea, " in words(page.locator("[data-note=announced] li").nth(0))
    assert "not held" in words(page.locator("[data-note=announced] li").nth(1))
    assert words(page.locator("[data-note=promises] li").nth(1)) == f"S{promise.text[1:]}."
    assert page.locator("[data-note=promises] li.bad").count() == 1
    assert page.locator("#state b").inner_text() == "OK", "it is no fault of the daemon"
    assert words(page.locator("#badges .promises")) == "1 promise is not kept"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert watched.complaints == []


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        ("measured over 20 days", "Real-time load now"),
        ("typical (synthetic)", "Real-time load now SYNTHETIC MEDIAN AND QUANTILE"),
        (
            "typical (synthetic), measured by a typical meter (synthetic)",
            "Real-time load now SYNTHETIC made up, and not measured",
        ),
    ],
)
def test_load_that_is_made_up_is_marked(serve, watch, basis, said):
    service = FakeService(3)
    service.basis = basis
    watched = watch()
    page = watched.open(serve(service).url)
    page.wait_for_selector("#now:not([hidden])")
    assert words(page.locator("#now-title")) == said
    assert watched.complaints == []


def test_what_yielded_a_while_ago_is_told_for_an_hour(serve, watch):
    service = FakeService(10)
    measure(service, LULEA, row_now(service, LULEA).realtime_p50)
    name, began = service.items[0].id, service.now
    of = {"site": "lulea", "pool": "h100"}
    service.note(EventKind.GUARD_YIELDED, of | {"yielded_accelerators": 8, "workloads": {name: 8}})
    service.note(EventKind.GUARD_RETURNED, of | {"yielded_accelerators": 0, "workloads": {}})
    service.log = [replace(event, at=began - HOUR / 2) for event in service.log]
    url = serve(service).url
    page = watch().open(url)
    at = (began - HOUR / 2).strftime("%H:%M")
    page.wait_for_selector(".now-said")
    assert words(pool(page, LULEA).locator(".now-said")) == (
        f"Work yielded 8 accelerators at {at}: {name} (8); none yields now."
    )
    assert page.locator("#now .now-said").count() == 1
    service.log = [replace(event, at=began - HOUR * 2) for event in service.log]
    page = watch().open(url)
    page.wait_for_selector("#now:not([hidden])")
    assert page.locator("#now .now-said").count() == 0


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"by": "load"}, "; it has returned."),
        ({"by": "plan", "drill": True}, " (a drill); a new plan has taken over."),
    ],
)
def test_it_is_said_whether_what_yielded_came_back_and_whether_in_a_drill(serve, watch, told, said):
    service = FakeService(10)
    measure(service, LULEA, row_now(service, LULEA).realtime_p50)
    of = {"site": "lulea", "pool": "h100"} | told
    yields = {k: v for k, v in of.items() if k != "by"}
    service.note(EventKind.GUARD_YIELDED, yields | {"yielded_accelerators": 8, "workloads": {"w": 8}})
    service.note(EventKind.GUARD_RETURNED, of | {"yielded_accelerators": 0, "workloads": {}})
    watched = watch()
    page = watched.open(serve(service).url)
    page.wait_for_selector(".now-said")
    assert words(pool(page, LULEA).locator(".now-said")).endswith(f": w (8){said}")
    assert watched.complaints == []
    shown = page.evaluate(
        """async (data) => {
            const { eventWord, eventDetail } = await import("/static/js/words.js");
            return [eventWord("guard.returned", data), eventDetail({ at: null, data }).more];
        }""",
        of,
    )
    word = "Work returns" if told["by"] == "load" else "Work yielded; a new plan has taken over"
    assert shown == [word, "a drill" if "drill" in told else ""]


def test_many_pools_are_told_worst_first_and_the_rest_is_counted(serve, watch):
    page = watch().open(serve(FakeService(3)).url)
    shown = page.evaluate(
        """async () => {
            const { drawNow } = await import("/static/js/now.js");
            const site = { name: "big", quantile: 0.99 };
            const pools = Array.from({ length: 40 }, (_, i) => ({ site, pool: `p${i}`, count: 10, holds: {
                available_accelerators: i === 33 ? 4 : 10, yielded_accelerators: 0, realtime_accelerators: i / 10,
                last_sample_at: "2026-01-10T06:00:00Z", stale: false } }));
            const host = document.getElementById("now");
            drawNow(host, null, { pools, limits: [], announced: [], guard: [] }, Date.parse("2026-01-10T06:00:30Z"));
            return host.innerText;
        }"""
    )
    lines = " ".join(shown.split())
    assert lines.index("p33") < lines.index("6 of 10 accelerators are not there.") < lines.index("p39")
    assert "and 30 more pools, of which there is nothing to tell." in lines
