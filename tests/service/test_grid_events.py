"""Grid events: a cut is frozen when it is accepted, kept through a restart, replayed to the byte, and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.domain.grid_event import GridEvent
from shifter.domain.moments import by_in_words, in_words
from shifter.errors import Conflict, InputError, NotFound
from shifter.service import Service
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from shifter.views import EventKind, TelemetrySample
from tests.service.world import HOUR, T0, job, kinds, live_until, realtime, service

MINUTE = timedelta(minutes=1)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    """Four accelerators of sixteen with real-time load, and work that runs at 18:00, when it is cheapest."""
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.submit([job("w1", hours=40, width=12, preemptible=True)], "ann")
    made.cycle()
    return made


def cut(start: float = 17, hours: float = 3, **changes: Any) -> GridEvent:
    asked: dict[str, Any] = {"cut_ratio": 0.5} if not changes.keys() & {"limit_kw", "cut_kw"} else {}
    return GridEvent("g1", "fra", T0 + start * HOUR, T0 + (start + hours) * HOUR, **asked, **changes)


def drawn(made: Service, start: float, end: float) -> list[float]:
    """Import by slot [kW]."""
    first, last = T0 + start * HOUR, T0 + end * HOUR
    return [r.import_kw for r in made.plan().power if r.start >= first and r.end <= last]


def test_a_cut_is_of_what_the_plan_would_draw_and_stays_so(
    made: Service, sqlite_url: str, clock: ManualClock
) -> None:
    before, plan_id = drawn(made, 17, 20), made.plan().plan_id
    accepted = made.add_grid_event(cut(), "dso")
    assert accepted.frozen_baseline is not None
    assert [w.import_kw for w in accepted.frozen_baseline.windows] == before
    assert plan_id in accepted.frozen_baseline.source
    made.cycle()
    assert [kw <= 0.5 * was + 1e-6 for kw, was in zip(drawn(made, 17, 20), before, strict=True)] == [True] * 3
    made.cycle()  # a baseline that followed the plan would shrink with it
    assert made.grid_events() == [accepted]
    assert made.add_grid_event(cut(), "dso") == accepted, "the same content is the same event"
    assert made.add_grid_event(accepted, "dso") == accepted
    with pytest.raises(Conflict):
        made.add_grid_event(cut(cut_kw=1.0), "dso")
    again = service(sqlite_url, clock, realtime=realtime(4.0))
    assert again.grid_events() == [accepted]
    inputs = again.plan_inputs(again.plan().plan_id)
    assert inputs.grid_events == (accepted,)
    text = inputs_to_json(inputs)
    assert inputs_to_json(inputs_from_json(text)) == text
    assert replace(plan_cycle(inputs), inputs_id=again.plan().inputs_id).to_json() == again.plan().to_json()


def test_a_limit_is_in_a_snapshot_as_it_ever_was(made: Service) -> None:
    made.add_grid_event(cut(limit_kw=4.0), "dso")
    made.cycle()
    inputs = made.plan_inputs(made.plan().plan_id)
    told = '"grid_events":[{"end":"2026-01-10T20:00:00Z","id":"g1","limit_kw":4.0,"site":"fra","source":"operator",'
    assert told + '"start":"2026-01-10T17:00:00Z"}]' in inputs_to_json(inputs)


def test_ramp_and_rebound_bound_what_surrounds_the_window(made: Service, clock: ManualClock) -> None:
    alone = made.add_grid_event(cut(16, 2), "dso")
    made.cycle()
    loose = drawn(made, 18, 20)
    made.withdraw_grid_event("g1", "dso")
    assert made.grid_events() == []
    held = made.add_grid_event(
        cut(16, 2, ramp_kw_per_minute=0.02, rebound_minutes=120.0, rebound_limit_kw=max(loose) - 1), "dso"
    )
    made.cycle()
    assert max(drawn(made, 18, 20)) <= max(loose) - 1 + 1e-6
    limits = {r.start: r.limit_kw for r in made.plan().power}
    assert limits[T0 + 15 * HOUR] == pytest.approx((limits[T0 + 16 * HOUR] or 0.0) + 0.02 * 30)
    assert held.frozen_baseline is not None
    assert alone.frozen_baseline is not None
    live_until(made, clock, T0 + 19 * HOUR)
    assert made.grid_events() == [held], "its rebound still holds"
    assert held in made.core.state.grid_events
    live_until(made, clock, T0 + 21 * HOUR)
    assert made.grid_events() == []


def test_an_event_is_taken_back_by_whoever_sent_it(made: Service, clock: ManualClock) -> None:
    made.add_grid_event(cut(1, 2), "dso")
    with pytest.raises(Conflict, match="told by dso"):
        made.withdraw_grid_event("g1", "ann")
    with pytest.raises(NotFound):
        made.withdraw_grid_event("g2", "dso")
    live_until(made, clock, T0 + 2 * HOUR)
    over = made.withdraw_grid_event("g1", "dso")
    assert over.end == T0 + 2 * HOUR
    with pytest.raises(NotFound, match="g1 is over since"):
        made.withdraw_grid_event("g1", "dso")
    assert made.grid_events() == []
    assert kinds(made).count(EventKind.GRID_EVENT_WITHDRAWN) == 1
    made.add_grid_event(replace(cut(20, 1), id="g3"), "dso")
    made.withdraw_grid_event("g3", "dso")
    with pytest.raises(NotFound):
        made.withdraw_grid_event("g3", "dso")


def test_a_cut_needs_something_to_be_cut_from(sqlite_url: str, clock: ManualClock, made: Service) -> None:
    beyond = cut(47, 3)
    with pytest.raises(InputError, match="no plan reaches") as refused:
        made.add_grid_event(beyond, "dso")
    assert refused.value.field == "end"
    far = made.add_grid_event(cut(44, 3), "dso")  # beyond the plan in force: one that reaches so far is made
    assert far.frozen_baseline is not None
    with pytest.raises(InputError, match="is given") as refused:  # nobody speaks in the name of a plan
        made.add_grid_event(replace(far, id="g4"), "dso")
    assert refused.value.field == "frozen_baseline.method"
    given = replace(far.frozen_baseline, method="given")
    assert made.add_grid_event(replace(far, id="g5", frozen_baseline=given), "dso").frozen_baseline == given
    with pytest.raises(InputError, match="were metered") as refused:
        made.add_grid_event(replace(cut(), id="g2", baseline="similar_days"), "dso")
    assert refused.value.field == "baseline"


def test_an_event_that_the_plan_does_not_meet_is_a_fault_with_what_is_missing(made: Service) -> None:
    event = cut(limit_kw=3.0)
    odd = replace(
        event, start=event.start + timedelta(seconds=54.415483), end=event.end + timedelta(seconds=5)
    )
    made.add_grid_event(odd, "dso")
    made.cycle()
    [fault] = [f for f in made.health().faults if "grid event g1" in f]
    assert "1.0 kW are missing" in fault
    assert f"from {in_words(event.start)} to {by_in_words(odd.end)}:" in fault
    assert made.health().status == "degraded"
    shown = made.core.metrics.registry.get_sample_value(
        "shifter_grid_event_missing_kilowatts", {"event": "g1", "site": "fra"}
    )
    assert shown == pytest.approx(1.0)
    made.withdraw_grid_event("g1", "dso")
    made.cycle()
    assert not [f for f in made.health().faults if "grid event" in f]


def metered_days(made: Service, clock: ManualClock, days: int, kw: Any) -> None:
    """A sample each five minutes from 16:00 to 21:00 of each day from T0 on; `kw(day, hour)`."""
    for day in range(days):
        at = T0 + day * 24 * HOUR + 16 * HOUR
        samples = [
            TelemetrySample("fra", at + i * 5 * MINUTE, import_kw=kw(day, 16 + i // 12)) for i in range(61)
        ]
        clock.moment = samples[-1].at
        made.telemetry(samples, "meter")


def test_a_metered_baseline_is_the_mean_of_days_like_it(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock)
    metered_days(made, clock, 17, lambda day, hour: 4.0 + day % 2 + (hour - 16))  # a Saturday is the first
    clock.moment = (
        T0 + 17 * 24 * HOUR
    )  # Tuesday: 11 weekdays have passed, the last ten are even and odd alike
    day = clock.moment
    asked = GridEvent("d", "fra", day + 18 * HOUR, day + 20 * HOUR, cut_kw=2.0, baseline="similar_days")
    told = made.add_grid_event(asked, "dso")
    assert told.frozen_baseline is not None
    assert [w.import_kw for w in told.frozen_baseline.windows] == pytest.approx([6.5, 7.5], abs=0.11)
    assert "mean of 10 metered days" in told.frozen_baseline.source
    assert "2026-01-24" not in told.frozen_baseline.source, "a Saturday is no day like it"
    assert "not adjusted" in told.frozen_baseline.source
    assert made.grid_events()[0].limit_of(day + 18 * HOUR, day + 19 * HOUR) == pytest.approx(4.5, abs=0.11)
    highest = made.add_grid_event(replace(asked, id="h", baseline="highest_days"), "dso")
    assert highest.frozen_baseline is not None
    assert highest.frozen_baseline.windows[0].import_kw == pytest.approx(7.0, abs=0.2)
