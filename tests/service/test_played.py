"""What a drill tells: it counts, is in no store, and is taken back; and a loss where nobody measures the load."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from shifter.clock import ManualClock
from shifter.errors import InputError
from shifter.service import Service
from shifter.service.gate import gate_of
from shifter.views import AdmissionState, TelemetrySample
from tests.service.world import POOL, job, realtime, service

HOLD_S = 300.0


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    """Real-time load is 2, and 6 at its quantile; nobody measures it. Preemptible work holds 10 of 16."""
    made = service(sqlite_url, clock, guard_hold_s=HOLD_S, realtime=realtime(2, 6))
    made.submit([job("soft", 60, 10, due_h=6.2, preemptible=True)], "ann")
    assert made.cycle().outcome == "published"
    made.tick()
    assert made.admission("soft").accelerators == 10
    return made


def tell(made: Service, load: float | None = None, there: int | None = None, *, drill: bool = True) -> None:
    made.telemetry([TelemetrySample("fra", made.core.now(), "h100", load, None, there, drill=drill)], "ann")


def test_a_loss_where_nobody_measures_leaves_what_was_planned_for_real_time_load(
    made: Service, clock: ManualClock
) -> None:
    clock.advance(minutes=10)
    made.heartbeat()
    made.tick()
    tell(made, there=12)
    assert made.admission("soft").accelerators == 12 - 6
    assert made.capacity(*POOL).yielded_accelerators == 4
    assert made.capacity(*POOL).available_accelerators == 12
    tell(made, there=4)
    assert made.admission("soft").state is AdmissionState.STOP
    tell(made)
    assert made.admission("soft").accelerators == 10


def test_it_counts_and_is_forgotten_when_the_drill_is_over(made: Service) -> None:
    tell(made, 12.0)
    assert made.admission("soft").accelerators == 4
    tell(made)
    assert made.admission("soft").accelerators == 10
    now = made.capacity(*POOL)
    assert (now.last_sample_at, now.stale, now.yielded_accelerators) == (None, False, 0)


def guards(made: Service) -> list[tuple[str, bool | None, str | None]]:
    """What the guard told: the event, whether of a drill, and why work returns."""
    told = (e for e in made.events() if str(e.kind).startswith("guard."))
    return [(str(e.kind), e.data.get("drill"), e.data.get("by")) for e in told]


def test_what_the_guard_tells_of_a_drill_is_marked_to_its_end(made: Service) -> None:
    tell(made, 12.0)
    tell(made)
    tell(made, there=8)
    tell(made)
    both = [("guard.yielded", True, None), ("guard.returned", True, "load")]
    assert guards(made) == both * 2
    tell(made, 12.0, drill=False)
    assert guards(made)[len(both * 2) :] == [("guard.yielded", None, None)]


def test_what_a_meter_tells_under_a_drill_is_marked_while_the_higher_is_played(
    made: Service, clock: ManualClock
) -> None:
    tell(made, 3.0, drill=False)
    clock.advance(seconds=1)
    tell(made, 8.0)
    clock.advance(seconds=1)
    tell(made, 3.0, drill=False)
    assert made.core.state.measured[POOL].drill is False
    made.cancel("soft", "ann")
    made.tick()
    assert guards(made)[-1][1] is True
    clock.advance(seconds=HOLD_S + 1)  # the drill was killed: what it told of the load is over with the hold
    tell(made, 3.0, drill=False)
    made.tick()
    gate = gate_of(made.core)
    assert not gate.played(POOL)


def test_what_a_killed_drill_told_is_a_drill_no_more_once_it_is_forgotten(
    made: Service, clock: ManualClock
) -> None:
    tell(made, there=12)
    assert gate_of(made.core).played(POOL)
    clock.advance(hours=1, seconds=1)
    assert not gate_of(made.core).played(POOL)


def test_what_a_meter_said_before_counts_again(made: Service, clock: ManualClock) -> None:
    tell(made, 3.0, drill=False)
    told_at = clock.now()
    clock.advance(seconds=60)
    tell(made, 12.0)
    clock.advance(seconds=1)
    tell(made, there=14)
    tell(made)
    now = made.capacity(*POOL)
    assert (now.last_sample_at, now.realtime_accelerators, now.available_accelerators) == (told_at, 3.0, 16)


def test_what_a_meter_says_during_a_drill_is_what_counts_after_it(made: Service, clock: ManualClock) -> None:
    tell(made, 12.0)
    clock.advance(seconds=1)
    tell(made, 5.0, drill=False)
    tell(made)
    assert made.core.state.measured[POOL].realtime_accelerators == 5.0


def test_it_is_in_no_store(made: Service, clock: ManualClock, sqlite_url: str) -> None:
    tell(made, 12.0, 10)
    again = service(sqlite_url, clock, guard_hold_s=HOLD_S, realtime=realtime(2, 6))
    now = again.capacity(*POOL)
    assert (now.last_sample_at, now.available_accelerators) == (None, 16)


def test_a_drill_that_was_killed_is_forgotten_after_an_hour(made: Service, clock: ManualClock) -> None:
    tell(made, 12.0, 10)
    clock.advance(minutes=59)
    made.heartbeat()
    assert made.capacity(*POOL).stale
    clock.advance(minutes=2)
    made.heartbeat()
    now = made.capacity(*POOL)
    assert (now.last_sample_at, now.stale, now.available_accelerators) == (None, False, 16)


@pytest.mark.parametrize(
    ("pool", "import_kw", "field"),
    [(None, 5.0, "[0].pool"), ("h100", 5.0, "[0].import_kw"), (None, None, "[0].pool")],
)
def test_no_bill_is_played(made: Service, pool: str | None, import_kw: float | None, field: str) -> None:
    sample = TelemetrySample("fra", made.core.now(), pool, None, import_kw, drill=True)
    with pytest.raises(InputError) as raised:
        made.telemetry([sample], "ann")
    assert raised.value.field == field


def test_the_metrics_say_what_yields_what_is_there_and_how_long_stopping_takes(
    made: Service, clock: ManualClock
) -> None:
    tell(made, 12.0, 14)
    made.core.state.freed = {"fra": (10.0, 20.0, 30.0, 40.0, 50.0)}
    text = generate_latest(made.core.metrics.registry).decode()
    assert 'shifter_guard_yielded_accelerators{pool="h100",site="fra"} 8.0' in text
    assert 'shifter_pool_available_accelerators{pool="h100",site="fra"} 14.0' in text
    assert 'shifter_preemption_seconds{site="fra"} 50.0' in text
    assert made.health().guard_hold_s == HOLD_S
