"""A meter that falls silent: its load counts as no less than before, capacity and admission agree, and it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shifter.clock import ManualClock
from shifter.service import Service
from shifter.views import AdmissionState, Capacity, TelemetrySample
from tests.service.world import HOUR, POOL, job, live_until, realtime, service


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Iterator[Service]:
    """Sixteen accelerators: real-time load at its quantile takes 5, and two workloads hold the rest."""
    made = service(sqlite_url, clock, realtime=realtime(3, 5))
    firm, soft = job("firm", 8 * 6, 8, due_h=6.2), job("soft", 3 * 6, 3, due_h=6.2, preemptible=True)
    made.submit([firm, soft], "ann")
    made.cycle()
    clock.advance(minutes=5)
    yield made
    made.core.db.close()


def _measure(made: Service, load: float) -> None:
    made.telemetry([TelemetrySample("fra", made.core.now(), "h100", load)], "meter")


def _agreed(made: Service) -> Capacity:
    """Capacity, after it was seen to be what admission lets in."""
    seen = made.capacity(*POOL)
    let_in = {name: made.admission(name).accelerators for name in ("firm", "soft")}
    assert seen.deferrable_accelerators == sum(let_in.values()), let_in
    assert seen.dispatch_budget == seen.deferrable_accelerators / seen.count
    return seen


@pytest.mark.parametrize(("last", "counts", "left"), [(1.0, 5.0, 11), (7.0, 7.0, 9)])
def test_a_silent_meter_counts_as_the_larger_of_the_last_measured_and_the_plan(
    made: Service, clock: ManualClock, last: float, counts: float, left: int
) -> None:
    _measure(made, last)
    fresh = _agreed(made)
    assert (fresh.stale, fresh.realtime_accelerators, fresh.deferrable_accelerators) == (False, last, left)
    live_until(made, clock, clock.now() + timedelta(minutes=6))
    made.tick()
    silent = _agreed(made)
    assert (silent.stale, silent.realtime_accelerators, silent.deferrable_accelerators) == (
        True,
        counts,
        left,
    )
    [told] = made.realtime()
    for view in (silent, told):
        assert (view.measured_accelerators, view.realtime_accelerators) == (last, counts)
    assert any("fra/h100 has stopped reporting" in f for f in made.health().faults)


def test_a_load_that_a_sample_raised_says_so(made: Service) -> None:
    def basis() -> str:
        [view] = made.realtime()
        return view.basis

    assert basis() == "as the settings say"
    _measure(made, 0.5)
    assert basis() == "as the settings say", "it raises nothing"
    _measure(made, 9.0)
    assert basis() == "as the settings say, raised to what was measured"


def test_what_may_not_be_preempted_and_runs_is_counted_as_admission_counts_it(
    made: Service, clock: ManualClock
) -> None:
    _measure(made, 1.0)
    assert made.admission("firm").admit
    _measure(made, 11.0)
    assert made.admission("firm").state is AdmissionState.RUN
    assert _agreed(made).deferrable_accelerators == 8
    live_until(made, clock, clock.now() + timedelta(minutes=6))
    assert _agreed(made).stale


def test_a_plan_counts_what_a_silent_meter_measured_last(made: Service, clock: ManualClock) -> None:
    _measure(made, 12.0)
    live_until(made, clock, clock.now() + HOUR)
    made.cycle()
    now = [s for s in made.plan().slots if s.start <= clock.now() < s.end]
    assert now[0].realtime_q > 8, "the last measured, on its way back to the forecast"


def test_after_a_day_without_samples_a_pool_is_unmetered_again(
    made: Service, sqlite_url: str, clock: ManualClock
) -> None:
    made.submit([job("firm2", 48, 2, due_h=30)], "ann")
    _measure(made, 12.0)
    last = clock.now()
    live_until(made, clock, last + timedelta(hours=23, minutes=59))
    made.tick()
    made.cycle()
    assert (made.capacity(*POOL).stale, made.health().status) == (True, "degraded")
    live_until(made, clock, last + timedelta(hours=24, minutes=1))
    made.tick()
    made.cycle()
    seen = made.capacity(*POOL)
    assert (seen.stale, seen.realtime_accelerators, made.health().status) == (False, 5.0, "ok")
    _measure(made, 2.0)
    assert made.capacity(*POOL).realtime_accelerators == 2.0
