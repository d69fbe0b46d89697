"""The peak so far: counted slot by slot, from what was measured and else from the plans in force; paid once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.service import Service
from shifter.store.db import Database
from shifter.store.snapshots import inputs_to_json
from shifter.views import TelemetrySample
from tests.service.world import FLEET, HOUR, T0, config, frame, job, live_until, realtime

MINUTE = timedelta(minutes=1)
IDLE_KW = 16 * 0.1 + 2 * 0.6
"""The site with its two accelerators of real-time load, and nothing else."""
BUSY_KW = 0.6
"""What one busy accelerator adds."""

Make = Callable[..., Service]


@pytest.fixture
def make(sqlite_url: str, clock: ManualClock) -> Make:
    """`make(...)`: a service on the same database each time, whose site has these fields."""

    def made(url: str = sqlite_url, **site: float) -> Service:
        [only] = FLEET.sites
        fleet = replace(FLEET, sites=(replace(only, **{"demand_charge_per_kw": 10.0, **site}),))  # type: ignore[arg-type]
        database = Database(url)
        database.upgrade()
        service = Service(config(), fleet, database, clock, frame=frame, realtime=realtime(2, 3))
        service.heartbeat()
        return service

    return made


def at_once(name: str = "now", width: int = 4, hours: float = 1.0, after: timedelta = 0 * HOUR) -> object:
    """Work that has to run from now (T0 + `after`) on."""
    return job(name, hours * width, width, deadline=T0 + after + hours * HOUR)


def plan(made: Service, *work: object) -> None:
    if work:
        made.submit(list(work), "ann")  # type: ignore[arg-type]
    view = made.cycle()
    assert view.outcome == "published", view.error


def pass_time(made: Service, clock: ManualClock, moment: datetime) -> None:
    live_until(made, clock, moment)
    made.tick()


def peak_kw(made: Service) -> float:
    return made.health().peak_so_far_kw["fra"]


def test_a_peak_that_was_planned_and_came_is_not_priced_again(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once())
    first = made.plan()
    drawn = IDLE_KW + 4 * BUSY_KW
    assert first.power[0].import_kw == pytest.approx(drawn)
    assert first.cost.demand_charge == pytest.approx(10 * drawn)
    assert peak_kw(made) == 0, "the slot has not ended"
    pass_time(made, clock, T0 + HOUR)
    plan(made)
    second = made.plan_inputs(made.plan().plan_id)
    assert second.fleet.sites[0].peak_so_far_kw == pytest.approx(drawn)
    assert made.plan().cost.demand_charge == pytest.approx(0, abs=1e-6)
    again = replace(plan_cycle(second), inputs_id=made.plan().inputs_id)
    assert again.to_json() == made.plan().to_json(), "a stored snapshot reproduces"
    assert peak_kw(made) == pytest.approx(drawn)
    assert b'shifter_site_peak_so_far_kilowatts{site="fra"} 5.2' in generate_latest(
        made.core.metrics.registry
    )


def test_every_plan_in_force_counts_for_its_part_of_the_slot(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once("a", 8, 0.5))
    live_until(made, clock, T0 + 30 * MINUTE)
    plan(made, at_once("b", 4, 0.5, after=30 * MINUTE))
    live_until(made, clock, T0 + 40 * MINUTE)
    plan(made)
    pass_time(made, clock, T0 + HOUR)
    assert peak_kw(made) == pytest.approx(IDLE_KW + (8 / 2 + 4 / 2) * BUSY_KW)


def test_what_was_measured_counts_before_what_was_planned(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once())
    for minute in range(0, 30, 5):
        clock.moment = T0 + minute * MINUTE
        made.heartbeat()
        made.telemetry([TelemetrySample("fra", clock.now(), import_kw=8.0)], "meter")
    pass_time(made, clock, T0 + HOUR)  # the meter falls silent, and the plan speaks for the other half
    assert peak_kw(made) == pytest.approx((8.0 + IDLE_KW + 4 * BUSY_KW) / 2)


def test_a_batch_of_samples_counts_as_when_they_were_taken(make: Make, clock: ManualClock) -> None:
    made = make()
    live_until(made, clock, T0 + 59 * MINUTE)
    batch = [TelemetrySample("fra", T0 + 4 * i * MINUTE, import_kw=float(i)) for i in range(15)]
    made.telemetry(batch[::-1], "meter")
    pass_time(made, clock, T0 + HOUR)
    assert peak_kw(made) == pytest.approx(7.0)


def test_a_lower_slot_changes_nothing_and_counting_twice_is_once(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once())
    asked: list[str] = []
    made.core.replan = asked.append
    for moment in (T0 + HOUR, T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR):
        pass_time(made, clock, moment)
    assert peak_kw(made) == pytest.approx(IDLE_KW + 4 * BUSY_KW)
    assert asked.count("peak") == 1, "a new plan is asked for when the peak moved, and only then"


def test_it_survives_a_restart_in_the_midst_of_a_slot(
    make: Make, clock: ManualClock, database_url: str
) -> None:
    made = make(database_url)
    plan(made, at_once())
    pass_time(made, clock, T0 + 20 * MINUTE)
    made.telemetry([TelemetrySample("fra", clock.now(), import_kw=20.0)], "meter")
    made.core.db.close()
    clock.moment = T0 + 30 * MINUTE
    again = make(database_url)
    pass_time(again, clock, T0 + HOUR)
    planned = IDLE_KW + 4 * BUSY_KW
    expected = (planned * 55 + 20.0 * 5) / 60
    assert peak_kw(again) == pytest.approx(expected)
    again.core.db.close()
    third = make(database_url)
    assert peak_kw(third) == pytest.approx(expected)
    third.core.db.close()


def test_the_configured_figure_counts_in_the_month_in_which_it_was_first_seen(
    make: Make, clock: ManualClock
) -> None:
    made = make(peak_so_far_kw=50.0)
    plan(made)
    assert peak_kw(made) == 50.0
    clock.moment = datetime(2026, 2, 1, tzinfo=UTC)
    made.heartbeat()
    made.tick()
    assert peak_kw(made) == 0, "a new month, and nothing drawn in it"
    made.core.db.close()
    same = make(peak_so_far_kw=50.0)
    assert peak_kw(same) == 0, "the same figure again is the old one"
    plan(same)
    pass_time(same, clock, clock.now() + HOUR)
    assert peak_kw(same) == pytest.approx(IDLE_KW)
    same.core.db.close()
    other = make(peak_so_far_kw=40.0)
    assert peak_kw(other) == 40.0, "another figure is news"
    other.core.db.close()
    lower = make(peak_so_far_kw=1.0)
    assert peak_kw(lower) == pytest.approx(IDLE_KW), "what was drawn was drawn"


def test_a_new_month_starts_from_nothing_and_is_planned_for(make: Make, clock: ManualClock) -> None:
    clock.moment = datetime(2026, 1, 31, 22, tzinfo=UTC)
    made = make()
    plan(made)
    pass_time(made, clock, clock.now() + HOUR)
    assert peak_kw(made) == pytest.approx(IDLE_KW)
    asked: list[str] = []
    made.core.replan = asked.append
    pass_time(made, clock, clock.now() + HOUR)
    assert (peak_kw(made), asked) == (0, ["peak"])


def test_what_nobody_vouched_for_does_not_count(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once(hours=3))
    clock.moment = T0 + 2 * HOUR  # no sign of life in between: leases held for 15 minutes
    made.heartbeat()
    made.tick()
    assert peak_kw(made) == pytest.approx((IDLE_KW + 4 * BUSY_KW) / 4)


def test_a_slot_that_ends_while_a_plan_is_made_counts_in_the_next(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once())
    live_until(made, clock, T0 + HOUR)  # and nothing ticks
    plan(made)
    fleet = made.plan_inputs(made.plan().plan_id).fleet
    assert fleet.sites[0].peak_so_far_kw == pytest.approx(IDLE_KW + 4 * BUSY_KW)


def test_an_explanation_knows_the_peak_too(make: Make, clock: ManualClock) -> None:
    made = make()
    plan(made, at_once(width=8), job("later", hours=16, width=4, due_h=24))
    assert made.explain("later").run_now_demand_charge == pytest.approx(10 * 4 * BUSY_KW)
    pass_time(made, clock, T0 + HOUR)
    plan(made)
    told = made.explain("later")
    assert told.run_now_demand_charge == 0, "four more stay under the eight that have run"


def test_the_text_of_a_snapshot_has_the_peak(make: Make, clock: ManualClock) -> None:
    made = make(peak_so_far_kw=7.5)
    plan(made)
    assert '"peak_so_far_kw":7.5' in inputs_to_json(made.plan_inputs(made.plan().plan_id))
