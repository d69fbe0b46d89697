"""The dashboard in a real browser, over the real HTTP interface."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from shifter.domain.risk import PlanRisk, RiskPath
from shifter.domain.rows import Duals, LateLimit
from shifter.domain.spent import PlanBudget
from shifter.domain.tenant import PlanTenant
from shifter.views import EventKind
from tests.web import fixture
from tests.web.fake_service import FakeService

pytestmark = pytest.mark.browser


def settle(page) -> None:
    """Two frames: what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_shows_what_runs_when_and_stays_at_home(serve, watch):
    service = FakeService(40)
    server, watched = serve(service), watch()
    page = watched.open(server.url)
    assert page.locator(".rows .row").count() == 40
    assert page.locator(".uplot canvas").count() == 2 + 2 * 3
    assert page.locator(".card").count() == 4
    assert "OK" in page.locator("#state").inner_text()
    assert re.search(r"within 0\.\d+ % of the best possible", page.locator("#subline").inner_text())
    assert "UTC" in page.locator("#clock .utc").inner_text()
    assert "CET" in page.locator("#clock .local").inner_text()
    assert watched.complaints == []
    assert watched.requests
    assert all(url.startswith((server.url, "data:", "blob:")) for url in watched.requests)


def test_says_no_simulation_where_there_is_none(serve, watch):
    page = watch().open(serve(FakeService(5)).url)
    assert page.locator(".badge").count() == 0
    assert "synthetic" not in page.locator("main").inner_text().lower()


def test_marks_a_simulated_clock_and_synthetic_data_everywhere(serve, watch):
    service = FakeService(5, synthetic=True, simulated=True)
    page = watch().open(serve(service).url)
    badges = page.locator("#badges").inner_text()
    assert "SIMULATED CLOCK ×60" in badges
    assert "SYNTHETIC DATA" in badges
    assert page.locator("#prices .kinds", has_text="SYNTHETIC").count() == 1
    assert page.locator("#prices .readout i.kind-synthetic").count() == 6
    for card in ("cost", "carbon"):
        assert "synthetic" in page.locator(f'[data-card="{card}"]').inner_text()
    assert "SYNTHETIC" in page.locator("#sources").inner_text()
    page.goto(f"{page.url}workloads/{service.items[0].id}")
    page.wait_for_selector("#when")
    assert "SYNTHETIC" in page.locator("#when").inner_text()
    assert "synthetic prices" in page.locator("#workload").inner_text()


def test_savings_are_the_plans(serve, watch):
    service = FakeService(40)
    plan = service.current
    page = watch().open(serve(service).url)
    card = page.locator('[data-card="cost"]')
    assert f"€{plan.baseline.total - plan.cost.total:.2f} less than at once" in card.inner_text()
    assert f"€{plan.cost.total:.2f}" in card.inner_text()
    saved = (plan.baseline.deferrable_total - plan.deferrable_total) / plan.baseline.deferrable_total
    assert f"−{saved * 100:.0f} % of what deferrable work costs" in card.inner_text()
    assert "good" in card.get_attribute("class")


def test_what_a_battery_brought_is_not_taken_for_what_work_did(serve, watch):
    service = FakeService(40)
    plan = service.current
    by_work = plan.deferrable_total - plan.baseline.deferrable_total
    now = replace(plan.baseline, total=plan.cost.total - by_work + 10.0)
    service.current = replace(plan, baseline=now)
    page = watch().open(serve(service).url)
    told = page.locator('[data-card="cost"] [data-besides]').inner_text()
    assert told == f"€{-by_work:.2f} less by deferrable work, €10.00 less by what else the sites have"


def test_is_honest_when_shifting_costs_more(serve, watch):
    service = FakeService(20)
    plan = service.current
    worse = replace(plan.baseline, total=plan.cost.total - 3.1, carbon_kg=plan.carbon_kg)
    service.current = replace(plan, baseline=worse)
    page = watch().open(serve(service).url)
    cost, carbon = page.locator('[data-card="cost"]'), page.locator('[data-card="carbon"]')
    assert "€3.10 more than at once" in cost.inner_text()
    assert "worse" in cost.get_attribute("class")
    assert "no difference" in carbon.inner_text()


def test_says_what_is_left_out(serve, watch):
    service = FakeService(40)
    short = {u.workload_id for u in service.current.unplaced}
    assert short
    page = watch().open(serve(service).url)
    listed = page.locator("#trouble li a").all_inner_texts()
    assert set(listed) == short
    assert page.locator("#trouble", has_text="would work").count() == 1
    assert page.locator(".row.trouble").count() == len(short)
    assert "not like for like" not in page.locator('[data-card="cost"]').inner_text()


def test_says_when_running_at_once_would_do_less(serve, watch):
    service = FakeService(40)
    less = replace(service.current.baseline, unfinished_accelerator_hours=12.0)
    service.current = replace(service.current, baseline=less)
    page = watch().open(serve(service).url)
    assert "not like for like: at once, 12" in page.locator('[data-card="cost"]').inner_text()


def test_clicking_a_row_explains_it(serve, watch):
    service = FakeService(40)
    watched = watch()
    page = watched.open(serve(service).url)
    name = service.items[13].id
    page.locator(f'.row[data-id="{name}"] .row-id').click()
    page.wait_for_selector("#when")
    assert page.url.endswith(f"/workloads/{name}")
    text = page.locator("#workload").inner_text()
    for words in (
        "Why this class",
        "batch-with-slack",
        "Why these slots",
        "midday sun",
        "Against running at once",
        "lease version",
        "latest start",
        "Overridden by ops",
        "No report has come",
    ):
        assert words in text, words
    assert watched.complaints == []


def test_an_unknown_workload_is_said_to_be_unknown(serve, watch):
    page = watch().open(serve(FakeService(3)).url + "/workloads/nobody-1")
    assert "no workload named “nobody-1”" in page.locator("#workload").inner_text()


def test_a_submission_appears_by_itself(serve, watch):
    service = FakeService(6)
    page = watch().open(serve(service).url)
    assert page.locator(".rows .row").count() == 6
    service.add(replace(fixture.workloads(8)[7], id="just-now-1"))
    page.wait_for_selector('.row[data-id="just-now-1"]')
    assert page.locator(".rows .row").count() == 7
    page.wait_for_selector('#events a:text("just-now-1")')


def test_a_lost_daemon_is_said_and_found_again(serve, watch):
    service = FakeService(6)
    server = serve(service)
    port = server.port
    page = watch().open(server.url)
    server.__exit__(None, None, None)
    banner = page.locator("#banner")
    banner.wait_for(state="visible", timeout=20_000)
    assert re.search(r"Connection lost\. Data as of Sat 10 Jan \d\d:\d\d:\d\d UTC", banner.inner_text())
    assert page.locator("#state").inner_text() == "No connection"
    assert page.locator(".rows .row").count() == 6, "what was last known stays"
    stopped = page.locator("#clock .utc").inner_text()
    page.wait_for_timeout(1300)
    assert page.locator("#clock .utc").inner_text() == stopped
    service.add(replace(fixture.workloads(8)[7], id="meanwhile-1"))
    serve(service, port)
    banner.wait_for(state="hidden", timeout=20_000)
    page.wait_for_selector('.row[data-id="meanwhile-1"]')


def test_before_the_first_plan(serve, watch):
    service = FakeService(4)
    service.no_plan = True
    page = watch().open(serve(service).url)
    assert "There is no plan yet" in page.locator("#savings").inner_text()
    assert page.locator(".rows .row").count() == 4
    service.no_plan = False
    service.note(EventKind.PLAN_PUBLISHED, {"plan_id": service.current.plan_id})
    page.wait_for_selector(".card")


@pytest.mark.parametrize(
    ("known", "gap", "said"),
    [
        (0, 0.0, "proven the best possible without prices"),
        (0, 0.0028, "within 0.3 % of the best possible without prices"),
        (1, 0.0, "proven the best possible by the prices that are known"),
        (10**6, 0.0, "proven the best possible"),
    ],
)
def test_what_is_proven_without_prices_says_so(serve, watch, known, gap, said):
    service = FakeService(4)
    power = tuple(
        p if k < known else replace(p, price_per_mwh=None) for k, p in enumerate(service.current.power)
    )
    service.current = replace(service.current, power=power, relative_gap=gap)
    page = watch().open(serve(service).url)
    assert f"{said} (" in page.locator("#subline").inner_text().replace("\u202f", " ")


def test_nothing_submitted_yet(serve, watch):
    watched = watch()
    page = watched.open(serve(FakeService(0)).url)
    assert "Nothing has been submitted yet" in page.locator(".rows").inner_text()
    assert "every deadline can be met" in page.locator("#trouble").inner_text()
    assert "no deferrable work" in page.locator('[data-card="deadlines"]').inner_text()
    assert watched.complaints == []


def test_degraded_says_why(serve, watch):
    service = FakeService(4)
    service.faults = ("source energy_charts has failed 3 times in a row",)
    page = watch().open(serve(service).url)
    assert page.locator("#state").inner_text() == "Degraded source energy_charts has failed 3 times in a row"
    assert "fails (3 times in a row)" in page.locator("#sources").inner_text()
    assert "connection refused" in page.locator("#sources").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_many_faults_leave_the_page_in_sight_and_are_all_there_once_opened(serve, watch, width):
    service = FakeService(4)
    long = "The meter csv fails: load.csv:3.site: there is no site rome. Sites are lulea, frankfurt. " * 4
    service.faults = (long, "source energy_charts has failed 3 times in a row", "the plan is 2 h old")
    page = watch(width).open(serve(service).url)
    state = page.locator("#state")
    assert state.inner_text().startswith("Degraded: 3 faults")
    assert state.evaluate("node => node.offsetHeight") < 80
    assert page.locator("#state li").first.is_hidden()
    page.locator("#state summary").click()
    assert page.locator("#state li").all_inner_texts() == list(service.faults[1:])
    assert state.evaluate("node => node.querySelector('summary').scrollHeight <= node.offsetHeight")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_search_filter_and_order(serve, watch):
    service = FakeService(40)
    page = watch().open(serve(service).url)
    page.fill("#workloads input[type=search]", "rank")
    wanted = [w.id for w in service.items if w.id.startswith("rank")]
    assert page.locator(".rows .row").count() == len(wanted)
    page.fill("#workloads input[type=search]", "")
    page.select_option('[data-choice="state"]', "real_time")
    assert page.locator(".rows .row").count() == 2
    page.select_option('[data-choice="state"]', "all")
    page.select_option('[data-choice="site"]', "lyon-edge")
    there = {a.workload_id for a in service.current.allocations if a.site == "lyon-edge"}
    assert page.locator(".rows .row").count() == len(there)
    page.select_option('[data-choice="sort"]', "name")
    assert page.locator(".row-id").all_inner_texts() == sorted(there)
    page.fill("#workloads input[type=search]", "nothing like it")
    assert "No workload matches" in page.locator(".rows").inner_text()


def test_keyboard_reaches_rows_and_their_reasons(serve, watch):
    page = watch().open(serve(FakeService(6)).url)
    page.focus("#workloads .block-head button")
    page.keyboard.press("Tab")
    link = page.locator(".row-link").first
    assert link.evaluate("(node) => node === document.activeElement")
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "Runs where the window is cheapest" in tip.inner_text()
    assert link.get_attribute("aria-describedby") == "tip"
    assert "due" in link.get_attribute("aria-label")
    page.evaluate("scrollBy(0, 40)")
    settle(page)
    assert tip.is_visible(), "what is scrolled to by its focus keeps its tip"
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.keyboard.press("Enter")
    page.wait_for_selector("#when")


def test_hundreds_of_workloads(serve, watch):
    service = FakeService(320)
    page = watch().open(serve(service).url)
    assert page.locator(".rows .row").count() == 200
    assert "200 of 320" in page.locator("#workloads .count").inner_text()
    page.click("#workloads .more")
    assert page.locator(".rows .row").count() == 320
    took_ms = page.evaluate(
        """async () => {
            const gantt = await import("/static/js/gantt.js"), model = await import("/static/js/model.js");
            const plan = await (await fetch("/v1/plan")).json();
            const list = await (await fetch("/v1/workloads?limit=1000")).json();
            const start = performance.now();
            const host = document.getElementById("workloads");
            gantt.drawGantt(host, { rows: model.ganttRows(plan, list), sites: [], currency: "EUR" });
            return performance.now() - start;
        }"""
    )
    assert took_ms < 2000


def test_every_chart_has_its_figures_as_table_and_csv(serve, watch):
    service = FakeService(10)
    page = watch().open(serve(service).url)
    for block, rows in (("prices", 96), ("workloads", 10), ("sites", 3 * 96)):
        page.click(f"#{block} .block-head button:text-is('Table')")
        assert page.locator(f"#{block} .table-view tbody tr").count() == rows
    with page.expect_download() as download:
        page.click("#workloads .table-view button")
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("workload,tenant,class,state,opens,start,finish,deadline")
    assert len(lines) == 11
    assert "2026-01-1" in lines[1]


@pytest.mark.parametrize("width", [1440, 1280, 768, 390])
def test_fits_the_screen(serve, watch, width):
    page = watch(width, 844).open(serve(FakeService(40, synthetic=True, simulated=True)).url)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(page.url + "workloads/" + FakeService(40).items[13].id)
    page.wait_for_selector("#when")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_day_s_name_is_cut_at_the_end_of_the_axis(serve, watch):
    page = watch(390).open(serve(FakeService(3)).url)
    nearest_px = page.evaluate(
        """async () => {
            const { timeTicks } = await import("/static/js/format.js");
            const [hour, width] = [36e5, 308];
            const starts = Array.from({ length: 48 }, (_, i) => Date.parse("2026-01-10T00:00Z") + i * hour / 2);
            const named = starts.flatMap((start) => timeTicks(start, start + 48 * hour, width)
                .filter((tick) => tick.midnight && tick.label).map((tick) => start + 48 * hour - tick.t));
            return Math.min(...named) * width / (48 * hour);
        }"""
    )
    assert nearest_px >= 29, "half of its name"


def test_the_bill_stays_within_its_card(serve, watch):
    page = watch(390).open(serve(FakeService(12)).url)
    inside = page.evaluate(
        """() => {
            const card = document.querySelector("[data-items=cost]").closest(".card");
            const edge = card.getBoundingClientRect().right - parseFloat(getComputedStyle(card).paddingRight);
            return [...card.querySelectorAll(".item")].every((item) => item.getBoundingClientRect().right <= edge + 1);
        }"""
    )
    assert inside


def test_dark_is_dark(serve, watch):
    page = watch(dark=True).open(serve(FakeService(3)).url)
    red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert red < 40


def test_times_can_be_local_and_say_so(serve, watch):
    page = watch().open(serve(FakeService(10)).url)
    page.click("#clock button")
    assert page.locator("#clock button").inner_text() == "Times in CET"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    settle(page)
    assert page.locator("#clock button").inner_text() == "Times in CET"


def test_text_from_tenants_is_text(serve, watch):
    service = FakeService(3)
    evil = "<img src=x onerror=alert(1)>"
    service.items = tuple(replace(w, tenant=evil) for w in service.items)
    watched = watch()
    page = watched.open(serve(service).url)
    assert page.locator("main img").count() == 0
    assert evil in page.locator(".row-note").all_inner_texts()
    assert watched.complaints == []


def test_layers_never_stand_above_the_accelerators_there_are(serve, watch):
    page = watch().open(serve(FakeService(40)).url)
    worst = page.evaluate(
        """async () => {
            const model = await import("/static/js/model.js");
            const plan = await (await fetch("/v1/plan")).json();
            const edges = model.slotEdges(plan);
            let over = 0;
            for (const name of ["lulea", "frankfurt", "lyon-edge"]) {
                const { layers, count } = model.siteSeries(plan, { name }, edges);
                count.forEach((n, i) => {
                    const sum = Object.values(layers).reduce((total, one) => total + one[i], 0);
                    over = Math.max(over, sum - n);
                });
            }
            return over;
        }"""
    )
    assert worst < 1e-6


def test_pieces_that_overlap_stand_on_each_other(serve, watch):
    page = watch().open(serve(FakeService(1)).url)
    blocks = page.evaluate(
        """async () => {
            const { stackPieces } = await import("/static/js/model.js");
            const piece = (site, from, to, accelerators) => ({ site, pool: "p", from, to, accelerators });
            return stackPieces([piece("b", 0, 4, 2), piece("a", 2, 4, 3), piece("b", 4, 6, 2)]);
        }"""
    )
    found = {(b["site"], b["from"], b["to"], b["base"], b["accelerators"]) for b in blocks}
    assert found == {("b", 0, 2, 0, 2), ("b", 2, 4, 3, 2), ("a", 2, 4, 0, 3), ("b", 4, 6, 0, 2)}


def test_what_is_reserved_is_called_so_everywhere(serve, watch):
    page = watch().open(serve(FakeService(10)).url)
    page.wait_for_selector("#now .kinds")
    assert page.locator(".kinds li", has_text="reserved for failures").count() == 2, (
        "beside now, and the sites"
    )
    assert page.locator("#sites .readout", has_text="reserved beside it").count() == 3
    assert "held back" not in page.locator("main").inner_text()


def test_a_workload_s_page_adds_up_pieces_that_overlap(serve, watch):
    service = FakeService(40)
    [piece] = [a for a in service.current.allocations if a.workload_id == service.items[13].id][:1]
    half = piece.start + (piece.end - piece.start) / 2
    pieces = (
        replace(piece, accelerators=2),
        replace(piece, accelerators=1, end=half),
        replace(piece, site="lulea", pool="h100", accelerators=4, start=half),
    )
    others = tuple(a for a in service.current.allocations if a.workload_id != piece.workload_id)
    service.current = replace(service.current, plan_id="p-over", allocations=(*others, *pieces))
    page = watch().open(f"{serve(service).url}/workloads/{piece.workload_id}")
    page.wait_for_selector("#when tbody")
    found = [
        (row.locator("td").nth(1).inner_text(), row.locator("td").nth(2).inner_text())
        for row in page.locator("#when tbody tr").all()
    ]
    own = f"{piece.site}/{piece.pool}"
    both = ", ".join(sorted((f"2 on {own}", "4 on lulea/h100"), key=lambda text: text[5:]))
    assert found == [(own, "3"), (both, "6")]


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_budgets_and_tenants_are_shown_only_where_the_fleet_has_them(serve, watch, width, dark):
    service = FakeService(10)
    watched = watch(width, dark=dark)
    page = watched.open(serve(service).url)
    assert page.locator("#limited").is_hidden()
    budgets = (
        PlanBudget("budgets[0]", "kg CO2e", 400.0, 300.0, 0.042),
        PlanBudget("budgets[1]", "EUR", 14.0, 14.5, None),
    )
    tenants = (
        PlanTenant("ads", 1.0, 474.0, 0.0, 0.0, 0.0, 0.0, 0.0125),
        PlanTenant("search", 3.0, 800.0, 40.0, 6.5, 2.6, 0.64, 0.0375, 48.0, 48.0, 1.24),
    )
    service.current = replace(service.current, plan_id="p-limited", budgets=budgets, tenants=tenants)
    page.reload()
    page.wait_for_selector("[data-panel=tenants]")
    carbon, money = page.locator("[data-panel=budgets] li").all_inner_texts()
    assert "300 of 400 kg CO2e 75 %" in carbon
    assert "One more kg would save €0.042." in carbon
    assert "14.5 of 14 EUR more than that" in money
    assert "is not known: no program was solved" in money
    late, whole = page.locator("[data-panel=tenants] li").all_inner_texts()
    for part in (
        "48 of 48 accelerators all of it", "40 of 800 accelerator-hours are late, 5.0 %.",
        "6.50 are beyond its quota, for €2.60.", "Fairness charges €0.64.", "next late hour would cost €0.038",
        "One more accelerator of its quota would save €1.24.",
    ):  # fmt: skip
        assert part in late
    assert "None of 474 accelerator-hours is late." in whole
    assert "quota" not in whole
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("[data-key=table-tenants]").click()
    assert "quota price" in page.locator("[data-panel=tenants] thead").inner_text()
    assert watched.complaints == []


def test_shows_every_item_of_the_bill_in_use_what_prices_may_come_to_and_what_would_help(serve, watch):
    service = FakeService(40)
    plan = service.current
    bill = replace(plan.cost, demand_charge=41.0, generation=3.25, export=-1.5)
    risk = PlanRisk(
        "cvar", 0.5, 0.9, 410.0, 400.0, 430.0, 452.5, 10.0, (RiskPath(1.0, 1.0, 400.0),), {"FR": ()}
    )
    help_ = LateLimit(
        "power", "frankfurt", None, None, 4.2, "One more kW at frankfurt in its window would do 4.2."
    )
    late = tuple(replace(u, limits=(help_,)) for u in plan.unplaced)
    assert late
    service.current = replace(plan, cost=bill, risk=risk, unplaced=late, status="coarse")
    page = watch().open(serve(service).url)
    card = page.locator('[data-card="cost"]').inner_text()
    for part in ("demand charge €41.00", "battery wear €0.40", "own generation €3.25", "export −€1.50"):
        assert part in card
    assert "€400.00 expected, €430.00 in the worst 10 %, €452.50 at worst" in card
    assert page.locator("#trouble .limit").first.inner_text() == help_.text
    assert "by the prices of a coarser program" in page.locator("#subline").inner_text()
    assert "optimal" not in page.locator("#subline").inner_text()
    page.goto(f"{page.url}workloads/{late[0].workload_id}")
    page.wait_for_selector("#when")
    assert page.locator("#workload .limit").first.inner_text() == help_.text


def test_says_what_one_more_would_be_worth_at_each_site_and_when(serve, watch):
    service = FakeService(40)
    watched = watch()
    page = watched.open(serve(service).url)
    panel = page.locator("#value")
    worth = service.value()
    assert panel.locator(".worth h3").all_inner_texts() == ["lulea", "frankfurt", "lyon-edge"]
    frankfurt = panel.locator(".worth", has_text="frankfurt")
    power = frankfurt.locator("li", has_text="kW of power limit")
    assert worth.sites[1].kw is not None
    assert f"€{worth.sites[1].kw.per_day:.2f}" in power.inner_text()
    assert "8 h" in power.inner_text()
    assert "binds for 8 h, first at" in power.locator("svg").get_attribute("aria-label")
    assert "kWh of battery" in frankfurt.inner_text()
    assert (
        "never binds"
        in panel.locator(".worth", has_text="lulea").locator("li", has_text="kW of power").inner_text()
    )
    best = worth.energise_next[0]
    first = panel.locator(".energise li").first.inner_text()
    assert best.site in first
    assert f"€{best.per_day:.2f} a day" in first
    panel.get_by_role("button", name="Table").click()
    assert panel.locator(".table-view tbody tr").count() > 0
    assert watched.complaints == []
    page.set_viewport_size({"width": 390, "height": 900})
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_prices_the_worth_of_one_more_is_not_made_up(serve, watch):
    service = FakeService(5)
    service.current = replace(service.current, status="greedy", duals=Duals())
    page = watch().open(serve(service).url)
    assert "is not known" in page.locator("#value").inner_text()
    assert page.locator("#value .worth").count() == 0


def test_a_workload_s_page_says_what_its_deadline_costs(serve, watch):
    service = FakeService(12)
    row = service.slack()[0]
    page = watch().open(f"{serve(service).url}/workloads/{row.workload_id}")
    assert row.text in page.locator("#workload").inner_text()
