"""Delivered against requested: by the meter alone, with its gaps, through a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.errors import NotFound
from shifter.service import Service
from shifter.views import TelemetrySample
from tests.service.test_grid_events import metered_days
from tests.service.world import HOUR, T0, job, realtime, service

MINUTE = timedelta(minutes=1)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.submit([job("w1", hours=60, width=12, due_h=5, preemptible=True)], "ann")
    made.cycle()
    return made


EVENT = GridEvent("g1", "fra", T0 + HOUR, T0 + 3 * HOUR, cut_kw=4.0, notice_minutes=15)


def meter(made: Service, clock: ManualClock, start: datetime, end: datetime, kw: float) -> None:
    """A sample each five minutes, `end` included: what is said at `end` speaks on."""
    at = start
    while at <= end:
        clock.moment = at
        made.telemetry([TelemetrySample("fra", at, import_kw=kw)], "meter")
        at += 5 * MINUTE


def test_what_was_not_metered_is_a_gap_and_never_filled_in(
    made: Service, clock: ManualClock, sqlite_url: str
) -> None:
    accepted = made.add_grid_event(EVENT, "dso")
    assert accepted.frozen_baseline is not None
    base_kw = accepted.frozen_baseline.windows[0].import_kw
    ahead = made.grid_event_report("g1")
    assert (ahead.state, ahead.slots_ahead, ahead.delivered_kwh, ahead.metered_ratio) == (
        "ahead",
        2,
        None,
        0.0,
    )
    assert ahead.notice_minutes == 60
    assert ahead.notice_kept is True
    meter(made, clock, T0 + HOUR, T0 + 1.5 * HOUR, base_kw - 5.0)
    clock.moment = T0 + 2 * HOUR  # the last sample spoke for five minutes; then the meter was silent
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    meter(made, clock, T0 + 2 * HOUR, T0 + 3 * HOUR, base_kw - 3.0)
    clock.moment = T0 + 3.5 * HOUR
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    told = made.grid_event_report("g1")
    assert told.state == "over"
    first, second, *after = told.slots
    assert [first.part, first.verdict, second.part, second.verdict] == ["event", "kept", "event", "exceeded"]
    assert [first.metered_kw, second.metered_kw] == pytest.approx([base_kw - 5.0, base_kw - 3.0])
    assert first.metered_ratio == pytest.approx(35 / 60)
    assert first.delivered_kwh == pytest.approx(5.0 * 35 / 60), "of the metered part alone"
    assert second.metered_ratio == pytest.approx(1.0)
    assert [first.requested_kw, second.requested_kw] == pytest.approx([4.0, 4.0])
    assert told.requested_kwh == pytest.approx(4.0 * 95 / 60)
    assert told.delivered_kwh == pytest.approx(5.0 * 35 / 60 + 3.0)
    assert told.delivered_ratio == pytest.approx((5.0 * 35 + 3.0 * 60) / (4.0 * 95))
    assert told.metered_ratio == pytest.approx(95 / 120)
    assert told.highest_over_kw == pytest.approx(1.0)
    assert [s.verdict for s in after] == ["unlimited", "ahead"]
    assert after[0].metered_kw == pytest.approx(base_kw - 3.0), "five minutes of it, of the last sample"
    assert told.rebound_peak_kw == pytest.approx(base_kw - 3.0)
    assert told.baseline_method == "plan"
    assert "No metered baseline" in told.baseline_source
    with pytest.raises(NotFound):
        made.grid_event_report("g2")


def test_an_event_that_nobody_metered_delivered_nothing_that_is_known(
    made: Service, clock: ManualClock
) -> None:
    made.add_grid_event(replace(EVENT, cut_kw=None, limit_kw=5.0), "dso")
    clock.moment = T0 + 4 * HOUR
    told = made.grid_event_report("g1")
    assert (told.slots_unmetered, told.slots_kept, told.slots_exceeded) == (2, 0, 0)
    assert (told.delivered_kwh, told.delivered_ratio, told.rebound_peak_kw) == (None, None, None)
    assert told.baseline_method == "plan", "of a limit, the plan that was in force when it came"
    assert told.slots[0].requested_kw is not None


def test_delivery_is_counted_from_days_like_it_scaled_to_the_day(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock)
    metered_days(made, clock, 17, lambda day, hour: 10.0)
    day = T0 + 17 * 24 * HOUR
    clock.moment = day
    made.add_grid_event(GridEvent("g1", "fra", day + 20 * HOUR, day + 21 * HOUR, 8.0), "dso")
    meter(made, clock, day + 16 * HOUR, day + 20 * HOUR, 11.0)
    meter(made, clock, day + 20 * HOUR, day + 21 * HOUR, 7.0)
    told = made.grid_event_report("g1")
    assert told.baseline_method == "similar_days"
    assert "mean of 10 metered days" in told.baseline_source
    assert "times 1.1" in told.baseline_source
    [inside] = [s for s in told.slots if s.part == "event"]
    assert inside.baseline_kw == pytest.approx(11.0)
    assert inside.delivered_kw == pytest.approx(4.0)
    assert inside.requested_kw == pytest.approx(3.0)
    assert told.delivered_ratio == pytest.approx(4 / 3)
    assert made.prune()["imports"] == 0
