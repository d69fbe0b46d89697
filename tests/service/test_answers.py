"""Plans, slots, quotes, explanations, forecasts, grid events, health, metrics: what the service answers."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from prometheus_client import generate_latest

from forecasts.series import Basis, ForecastSeries, Signal
from forecasts.slots import as_datetime64
from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.domain.grid_event import GridEvent
from shifter.domain.workload import WorkloadClass
from shifter.errors import Conflict, ForecastRejected, InputError, NotFound, NotReady
from shifter.service import Service
from shifter.service.quotes import telling
from shifter.store.db import Database
from shifter.views import EventKind, QuoteOption, TelemetrySample, to_plain
from tests.service.world import FLEET, HOUR, POOL, T0, config, frame, job, kinds, realtime, service


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock, realtime=realtime(2, 3))


def test_before_the_first_plan_nothing_is_made_up(made: Service) -> None:
    with pytest.raises(NotReady):
        made.plan()
    with pytest.raises(NotReady):
        made.slots()
    assert not made.ready()
    assert made.health().status == "ok"


def test_a_plan_is_replayed_from_its_inputs_byte_for_byte(made: Service, clock: ManualClock) -> None:
    made.submit([job(), job("w2", 6, 2, due_h=12, interruptible=False)], "ann")
    made.cycle()
    first = made.plan()
    clock.advance(minutes=11)
    made.submit([job("w3")], "ann")
    made.cycle()
    assert made.plan_by_id(first.plan_id) == first
    inputs = made.plan_inputs(first.plan_id)
    assert [s.workload.id for s in inputs.submissions] == ["w1", "w2"]
    assert replace(plan_cycle(inputs), inputs_id=first.inputs_id).to_json() == first.to_json()
    [entry] = made.audit(subject=first.plan_id)
    assert (entry.action, entry.inputs_id) == ("plan.publish", first.inputs_id)
    with pytest.raises(NotFound):
        made.plan_by_id("none")
    with pytest.raises(NotFound):
        made.plan_inputs("none")


def test_slots_say_what_is_free(made: Service) -> None:
    made.submit([job(hours=12 * 2, width=12, due_h=2.2)], "ann")
    made.cycle()
    first, *_ = made.slots("fra", "h100", T0, T0 + HOUR)
    assert (first.reserved, first.deferrable) == (4.0, 12.0)
    assert first.free == 0
    later = made.slots(start=T0 + 10 * HOUR, end=T0 + 11 * HOUR)
    assert [s.free for s in later] == [12.0]
    for wrong in ({"site": "none"}, {"pool": "none"}):
        with pytest.raises(NotFound):
            made.slots(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        made.slots(start=T0, end=T0)


def test_a_quote_falls_with_the_deadline_and_is_what_submitting_costs(made: Service) -> None:
    made.submit([job("other", 16, 4, due_h=20)], "ann")
    made.cycle()
    quote = made.quote(job("new", hours=8, width=4, due_h=20))
    assert quote.decided is WorkloadClass.DEFERRABLE
    assert 2 <= len(quote.options) <= 5
    deadlines = [o.deadline for o in quote.options]
    assert deadlines == sorted(deadlines)
    assert deadlines[0] == quote.earliest_feasible_deadline == T0 + 2 * HOUR
    assert deadlines[-1] == T0 + 20 * HOUR
    costs = [o.cost for o in quote.options]
    assert all(a >= b - 1e-6 for a, b in pairwise(costs)), "time to wait never costs more"
    at_once = quote.options[-1].run_now_cost
    assert at_once is not None
    assert costs[-1] < 0.8 * at_once
    assert all(o.feasible and o.finish is not None and o.finish <= o.deadline for o in quote.options)
    assert [v.id for v in made.workloads()] == ["other"], "a quote submits nothing"
    made.submit([job("new", hours=8, width=4, due_h=20)], "ann")
    made.cycle()
    assert made.workload("new").cost == pytest.approx(costs[-1], rel=1e-6)


def test_quotes_for_deadlines_of_ones_own(made: Service) -> None:
    quote = made.quote(job("q", hours=40, width=4), [T0 + 20 * HOUR, T0 + 5 * HOUR])
    soon, late = quote.options
    assert (soon.feasible, late.feasible) == (False, True)
    assert soon.unplaced_accelerator_hours == pytest.approx(20, rel=1e-3)
    assert soon.run_now_cost is None, "at once would be late too"
    assert late.run_now_cost is not None
    assert made.quote(job("q", latency_slo_ms=200.0)).options == ()
    assert made.quote(job("q", deadline=None)).options[-1].deadline == T0 + 24 * HOUR
    with pytest.raises(InputError):
        made.quote(job("q"), [T0 - HOUR])
    with pytest.raises(InputError):
        made.quote(job("q", deadline=T0 - HOUR))
    with pytest.raises(InputError):
        made.quote(job("q"), [T0 + i * HOUR for i in range(1, 30)])


def test_an_explanation_has_the_numbers(made: Service) -> None:
    made.submit(
        [job("a", 40, 12, due_h=20), job("b", 60, 12, due_h=20), job("c", 4, due_h=24, depends_on=("a",))],
        "ann",
    )
    made.cycle()
    told = made.explain("a")
    assert told.in_slots is not None
    assert told.in_window is not None
    assert told.in_slots.price_per_mwh is not None
    assert told.in_window.price_per_mwh is not None
    assert told.in_slots.price_per_mwh < told.in_window.price_per_mwh
    assert told.saved is not None
    assert told.saved > 0
    text = " ".join(told.sentences)
    assert f"{told.in_slots.price_per_mwh:.1f} EUR/MWh" in text
    assert f"{told.cost:.2f} EUR" in text
    assert "c waits for it" in text
    assert [(link.workload_id, link.relation) for link in told.chain] == [("c", "needed_by")]
    assert any(limit.kind in {"capacity", "reserve"} and limit.slots > 0 for limit in told.limits)
    assert to_plain(told)["class"] == "deferrable"
    with pytest.raises(NotFound):
        made.explain("nobody")


def test_options_that_change_nothing_are_left_out() -> None:
    def option(hours: float, cost: float, finish: float) -> QuoteOption:
        return QuoteOption(T0 + hours * HOUR, T0 + finish * HOUR, cost, 1.0, True, 0.0, None, None, cost, 1.0)

    first, same, better, as_last, last = given = [
        option(2, 5.0, 2),
        option(4, 5.001, 2.2),
        option(6, 4.0, 6),
        option(8, 3.0, 7.9),
        option(10, 3.0, 8),
    ]
    assert telling(given, HOUR / 2) == (first, better, last)
    assert telling([first, same], HOUR / 2) == (first, same), "the soonest and its own deadline stay"
    late = replace(as_last, feasible=False)
    assert telling([first, late, last], HOUR / 2) == (first, late, last)


def charged(sqlite_url: str, clock: ManualClock, **site: float) -> Service:
    """As `made`, with a demand charge."""
    [only] = FLEET.sites
    fleet = replace(FLEET, sites=(replace(only, **site),))  # type: ignore[arg-type]
    database = Database(sqlite_url)
    database.upgrade()
    made = Service(config(), fleet, database, clock, frame=frame, realtime=realtime(2, 3))
    made.heartbeat()
    return made


def test_an_explanation_says_what_at_once_would_do_to_the_demand_charge(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = charged(sqlite_url, clock, demand_charge_per_kw=10.0, peak_so_far_kw=5.2)
    made.submit([job("now", hours=4, width=4, due_h=1.2), job("later", hours=16, width=4, due_h=24)], "ann")
    made.cycle()
    told = made.explain("later")
    plan = made.plan()
    assert plan.cost.demand_charge == pytest.approx(0, abs=1e-6)
    # Beside "now" its four accelerators would make the first slot the peak: 16 idle, 2 + 4 + 4 busy.
    first = plan.power[0].import_kw + 0.6 * 4
    expected = 10 * (first - 5.2)
    assert expected > 1
    assert told.run_now_demand_charge == pytest.approx(expected, rel=1e-6)
    [said] = [s for s in told.sentences if "demand charge" in s and s.startswith("At once")]
    assert "fra's peak" in said
    assert f"{expected:.2f} EUR" in said
    assert said in told.why_slots
    assert made.explain("now").run_now_demand_charge == pytest.approx(0, abs=1e-6)


def test_a_peak_that_only_all_work_together_would_raise_is_told_as_such(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = charged(sqlite_url, clock, demand_charge_per_kw=10.0, peak_so_far_kw=6.0)
    made.submit([job(f"j{n}", hours=16, width=4, due_h=24) for n in range(3)], "ann")
    made.cycle()
    plan = made.plan()
    peak_at_once = plan.baseline.peak_kw  # 12 busy accelerators beside 2 of real-time load
    expected = 10 * (peak_at_once - 6.0) - plan.cost.demand_charge
    assert expected > 1
    told = made.explain("j0")
    assert told.run_now_demand_charge == 0, "alone it fits under the peak so far"
    [said] = [s for s in told.why_slots if "it alone would raise no peak" in s]
    assert f"{expected:.2f} EUR" in said


@pytest.mark.parametrize("site", [{"demand_charge_per_kw": 10.0, "peak_so_far_kw": 99.0}, {}])
def test_a_peak_that_costs_nothing_more_is_not_told(
    sqlite_url: str, clock: ManualClock, site: dict[str, float]
) -> None:
    made = charged(sqlite_url, clock, **site)
    made.submit([job("later", hours=16, width=4, due_h=24)], "ann")
    made.cycle()
    told = made.explain("later")
    assert told.run_now_demand_charge == 0
    assert not any(s.startswith("At once") for s in told.sentences)


def test_sentences_write_times_as_people_do_and_what_is_over_has_no_reasons(made: Service) -> None:
    made.submit([job("a", 4, 4, due_h=20), job("c", 4, due_h=24, depends_on=("a",)), job("x")], "ann")
    made.cycle()
    assert "Sat 10 Jan 2026" in made.workload("a").note
    text = " ".join(made.explain("c").sentences)
    assert "planned to finish by Sat 10 Jan 2026" in text
    assert "2026-01-1" not in text
    made.cancel("x", "ann")
    view, told = made.workload("x"), made.explain("x")
    assert (view.cost, view.run_now_cost, told.saved, told.limits) == (None, None, None, ())
    assert told.why_slots == ("It was cancelled.",)


def test_a_grid_event_is_kept_once_and_the_next_plan_keeps_it(made: Service, clock: ManualClock) -> None:
    event = GridEvent("g1", "fra", T0 + 17 * HOUR, T0 + 20 * HOUR, 4.0, "grid")
    assert made.add_grid_event(event, "grid") == event == made.add_grid_event(event, "grid")
    assert made.grid_events() == [event]
    assert kinds(made) == [EventKind.GRID_EVENT_CREATED]
    made.submit([job(hours=40, width=12)], "ann")
    made.cycle()
    limits = {row.start: row.limit_kw for row in made.plan().power}
    assert limits[T0 + 18 * HOUR] == 4.0
    with pytest.raises(Conflict):
        made.add_grid_event(replace(event, limit_kw=5.0), "grid")
    with pytest.raises(NotFound):
        made.add_grid_event(replace(event, id="g2", site="none"), "grid")
    for wrong in ({"end": event.start}, {"start": T0 - 2 * HOUR, "end": T0 - HOUR}):
        with pytest.raises(InputError):
            made.add_grid_event(replace(event, id="g2", **wrong), "grid")  # type: ignore[arg-type]
    clock.advance(hours=21)
    assert made.grid_events() == []
    assert made.grid_events(since=T0) == [event]


def series(hours: int = 48, scale: float = 1.0, **changes: object) -> ForecastSeries:
    start = as_datetime64(T0) + np.arange(hours) * np.timedelta64(1, "h")
    start = start.astype("datetime64[us]")
    values = scale * (60 + 20 * np.sin(np.arange(hours) / 24 * 2 * np.pi))
    given: dict[str, object] = {
        "zone": "DE-LU",
        "signal": Signal.PRICE,
        "unit": "EUR/MWh",
        "source": "desk",
        "known_at": T0 - 99 * HOUR,
        "start": start,
        "end": start + np.timedelta64(1, "h"),
        "values": values,
    }
    return ForecastSeries(**{**given, **changes})  # type: ignore[arg-type]


def test_pushed_forecasts_are_known_from_now_on_and_never_before(sqlite_url: str, clock: ManualClock) -> None:
    from shifter.service import Service as Made
    from shifter.store.db import Database
    from tests.service.world import FLEET, config

    database = Database(sqlite_url)
    database.upgrade()
    made = Made(config(), FLEET, database, clock)  # frames from the store itself
    clock.advance(hours=1)
    carbon = series(signal=Signal.CARBON, unit="gCO2e/kWh", basis=Basis.AVERAGE, scale=5.0)
    assert made.push_forecasts([series(), carbon], "desk") == 2
    assert made.push_forecasts([series()], "desk") == 0, "the same again says nothing new"
    assert EventKind.FORECAST_INGESTED in kinds(made)
    now = made.forecasts("DE-LU", T0, T0 + 3 * HOUR)
    [price] = [s for s in now["signals"] if s["signal"] == "price"]
    assert price["values"][0] == pytest.approx(60)
    assert price["provenance"][0]["known_at"] == "2026-01-10T01:00:00Z"
    before = made.forecasts("DE-LU", T0, T0 + 3 * HOUR, as_of=T0)
    assert all(v is None for s in before["signals"] for v in s["values"])
    assert made.cycle().outcome == "published"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"values": np.full(48, np.nan)}, ForecastRejected),
        ({"values": np.full(48, 1e9)}, ForecastRejected),
        ({"unit": "furlongs"}, ForecastRejected),
        ({"zone": "MARS"}, InputError),
    ],
)
def test_a_push_that_is_unfit_changes_nothing(
    made: Service, changes: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        made.push_forecasts([series(source="good"), series(48, 1.0, **changes)], "desk")
    assert made.core.forecasts.vintages() == []


def test_questions_about_forecasts_that_have_no_answer(made: Service) -> None:
    with pytest.raises(NotFound):
        made.forecasts("MARS")
    with pytest.raises(InputError):
        made.forecasts("DE-LU", T0 + HOUR, T0)
    with pytest.raises(InputError):
        made.forecasts("DE-LU", T0, T0 + timedelta(days=9999))


@pytest.mark.parametrize(
    ("sample", "error"),
    [
        (TelemetrySample("none", T0, "h100", 1.0), NotFound),
        (TelemetrySample("fra", T0, "none", 1.0), NotFound),
        (TelemetrySample("fra", T0, "h100"), InputError),
        (TelemetrySample("fra", T0, None, 1.0), InputError),
        (TelemetrySample("fra", T0), InputError),
        (TelemetrySample("fra", T0 + HOUR, import_kw=1.0), InputError),
    ],
)
def test_samples_that_make_no_sense(made: Service, sample: TelemetrySample, error: type[Exception]) -> None:
    with pytest.raises(error):
        made.telemetry([TelemetrySample("fra", T0, "h100", 1.0), sample], "meter")
    assert made.core.state.measured == {}


def test_measured_load_reaches_the_next_plan(made: Service) -> None:
    made.cycle()
    quiet = made.slots()[0].realtime_q
    made.telemetry(
        [TelemetrySample("fra", T0, "h100", 9.0), TelemetrySample("fra", T0, import_kw=7.5)], "meter"
    )
    made.cycle()
    assert made.slots()[0].realtime_q > quiet + 3
    metrics = generate_latest(made.core.metrics.registry).decode()
    assert 'shifter_site_measured_import_kilowatts{site="fra"} 7.5' in metrics


def test_events_wait_and_are_read_after_an_id(made: Service) -> None:
    found: list[EventKind] = []
    waiting = threading.Thread(target=lambda: found.extend(e.kind for e in made.wait_events(0, 20)))
    waiting.start()
    made.submit([job()], "ann")
    waiting.join(10)
    assert found == [EventKind.WORKLOAD_ACCEPTED]
    last = made.events()[-1].id
    assert made.wait_events(last, 0.01) == []
    assert [e.id for e in made.newest_events(1)] == [last]
    assert made.newest_events(5, {"plan.published"}) == []
    made.cycle()
    assert [e.kind for e in made.events(after_id=last)] == [EventKind.PLAN_PUBLISHED]
    made.core.state.events.clear()
    assert [e.kind for e in made.events(limit=1)] == [EventKind.WORKLOAD_ACCEPTED], (
        "older ones from the store"
    )
    published = made.newest_events(1, {"plan.published"})
    assert [e.kind for e in published] == [EventKind.PLAN_PUBLISHED]
    assert [e.id for e in made.newest_events(2)] == [last, published[0].id]


def test_metrics_say_what_is_now(made: Service, clock: ManualClock) -> None:
    made.submit([job(), job("chat", latency_slo_ms=300.0)], "ann")
    made.cycle()
    clock.advance(seconds=90)
    text = generate_latest(made.core.metrics.registry).decode()
    for line in (
        "shifter_plan_age_seconds 90.0",
        "shifter_plan_version 1.0",
        'shifter_workloads{state="planned"} 1.0',
        'shifter_workloads{state="real_time"} 1.0',
        'shifter_pool_accelerators{pool="h100",site="fra"} 16.0',
        'shifter_pool_reserved_accelerators{pool="h100",site="fra"} 4.0',
        'shifter_events_total{kind="plan.published"} 1.0',
        "shifter_leases 1.0",
        "shifter_database_up 1.0",
        "shifter_simulated_clock 1.0",
        'shifter_cycle_duration_seconds_count{outcome="published"} 1.0',
    ):
        assert line in text, line
    assert 'shifter_site_import_kilowatts{site="fra"}' in text


def test_retention_forgets_what_is_over_and_nothing_else(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, plans_days=1.0, events_days=1.0, audit_days=1.0, workloads_days=1.0)
    made.submit([job("gone"), job("kept", due_h=47)], "ann")
    made.cycle()
    old = made.plan().plan_id
    made.cancel("gone", "ann")
    clock.advance(hours=25)
    made.heartbeat()
    made.cycle()
    gone = made.prune()
    assert (gone["workloads"], gone["plans"]) == (1, 1)
    assert [v.id for v in made.workloads()] == ["kept"]
    with pytest.raises(NotFound):
        made.plan_inputs(old)
    assert made.plan_inputs(made.plan().plan_id).now == clock.now()
    assert made.capacity(*POOL).count == 16
