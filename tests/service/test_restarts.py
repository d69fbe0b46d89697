"""A restart changes nothing of what runs: what was let in goes on as wide as it was, what was kept out stays out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shifter.clock import ManualClock
from shifter.domain.rows import Allocation
from shifter.service import Service, let_in
from shifter.store import workloads as rows
from shifter.store.workloads import LetIn
from shifter.views import AdmissionState, TelemetrySample
from tests.service.world import HOUR, T0, job, live_until, realtime, service

MINUTE = timedelta(minutes=1)


def measure(made: Service, accelerators: float) -> None:
    made.telemetry([TelemetrySample("fra", made.core.now(), "h100", accelerators)], "meter")


def live(made: Service, clock: ManualClock, minutes: int, load: float | None = None) -> None:
    """Time passes with a daemon that lives, and a meter that tells this load."""
    for _ in range(minutes):
        clock.advance(minutes=1)
        made.heartbeat()
        if load is not None:
            measure(made, load)
        made.tick()


def again(made: Service, clock: ManualClock, url: str, away: timedelta = MINUTE) -> Service:
    """The daemon after it was killed, and was away for that long: shorter than leases hold."""
    made.core.db.close()
    clock.moment += away
    return service(url, clock, realtime=made.core.realtime)


def planned(made: Service, *work: object) -> None:
    made.submit(list(work), "ann")  # type: ignore[arg-type]
    view = made.cycle()
    assert view.outcome == "published", view.error


@pytest.mark.parametrize("asked_only", [False, True])
def test_what_was_let_in_narrower_than_planned_goes_on_as_wide_as_it_was(
    sqlite_url: str, clock: ManualClock, asked_only: bool
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("firm", 48, 8, due_h=6.2))
    measure(made, 13.0)
    if asked_only:  # by a gate, and killed before the next beat
        clock.advance(seconds=2)
        assert made.admission("firm").accelerators == 3
    else:
        live(made, clock, 20, 13.0)
        assert made.workload("firm").done == pytest.approx(3 / 3)
    other = again(made, clock, sqlite_url)
    assert other.admission("firm").accelerators == 3
    assert other.capacity("fra", "h100").deferrable_accelerators == 3
    other.tick()
    assert other.admission("firm").accelerators == 3, "and 13 are in use beside it"
    measure(other, 16.0)
    other.tick()
    assert other.admission("firm").accelerators == 3, "it may not be preempted"
    measure(other, 0.0)
    other.tick()
    assert other.admission("firm").accelerators == 8
    live(other, clock, 5, 0.0)
    ran = 0.0 if asked_only else 20.0
    since = 1 + ran  # minutes at three accelerators, and those that it was away
    assert other.workload("firm").done == pytest.approx((since * 3 + 5 * 8) / 60, rel=0.02)


@pytest.mark.parametrize("shape", [{}, {"interruptible": False}])
@pytest.mark.parametrize("reported", [False, True])
def test_what_was_kept_out_stays_out(
    sqlite_url: str, clock: ManualClock, shape: dict[str, bool], reported: bool
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("firm", 40, 8, due_h=6.2, **shape))
    if reported:
        made.progress("firm", done=0.1)
    begins = made.lease("firm").allocations[0].start
    measure(made, 16.0)
    live_until(made, clock, begins)
    live(made, clock, 5, 16.0)
    assert not made.admission("firm").admit
    other = again(made, clock, sqlite_url)
    for _ in range(2):
        assert not other.admission("firm").admit
        other.tick()
    assert other.capacity("fra", "h100").deferrable_accelerators == 0


def test_what_came_back_just_before_it_was_killed_runs(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, guard_hold_s=60)
    planned(made, job("firm", 48, 8, due_h=6.2))
    measure(made, 13.0)
    live(made, clock, 5, 13.0)
    measure(made, 0.0)
    clock.advance(seconds=61)  # asked before the next beat or measurement
    assert made.admission("firm").accelerators == 8
    other = again(made, clock, sqlite_url, timedelta(seconds=2))
    measure(other, 13.0)
    other.tick()
    assert other.admission("firm").accelerators == 8, "it may not be preempted"


def test_what_runs_without_a_slot_and_may_not_be_interrupted_goes_on(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, realtime=realtime(2, 3))
    planned(made, job("early", 4, 4, due_h=2))
    made.submit([job("whole", 24, 8, due_h=4.2, interruptible=False)], "ann")  # no plan holds it
    live_until(made, clock, T0 + 1.5 * HOUR)
    made.tick()
    running = made.admission("whole")
    assert (running.state, running.accelerators) == (AdmissionState.RUN, 8)
    # Were it not known to run, the more urgent one would be given all that there is.
    made.submit([job("urgent", 36, 12, due_h=4.1)], "ann")
    live(made, clock, 7)
    assert made.admission("urgent").accelerators == 4
    other = again(made, clock, sqlite_url)
    assert [other.admission(i).accelerators for i in ("urgent", "whole")] == [4, 8]
    other.tick()
    assert other.cycle().outcome == "published"
    [pinned] = other.plan_inputs(other.plan().plan_id).pinned
    assert (pinned.workload_id, pinned.accelerators) == ("whole", 8)


def test_what_began_while_the_daemon_was_away_is_taken_to_run_where_its_lease_held(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("whole", 16, 8, due_h=30, interruptible=False))
    [piece] = made.lease("whole").allocations
    live_until(made, clock, piece.start - MINUTE)
    made.tick()
    other = again(made, clock, sqlite_url, 2 * MINUTE)
    assert other.core.state.let_in["whole"] == (piece,)
    measure(other, 16.0)
    other.tick()
    assert other.admission("whole").accelerators == 8


@pytest.mark.parametrize("behind", [False, True])
def test_a_slot_that_ended_while_the_daemon_was_away_is_over_unless_its_work_is_behind(
    sqlite_url: str, clock: ManualClock, behind: bool
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("whole", 16, 8, due_h=30, interruptible=False))
    [piece] = made.lease("whole").allocations
    live_until(made, clock, piece.end - MINUTE)
    if behind:
        made.progress("whole", done=8.0)
    made.tick()
    assert made.core.state.let_in["whole"] == (piece,)
    other = again(made, clock, sqlite_url, 2 * MINUTE)
    assert other.core.state.let_in["whole"] == ((piece,) if behind else ())
    assert other.admission("whole").admit is behind
    other.tick()
    assert other.workload("whole").state == ("planned" if behind else "done")


def test_a_slot_that_goes_on_goes_on_after_a_restart(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("whole", 16, 8, due_h=30, interruptible=False))
    [piece] = made.lease("whole").allocations
    live_until(made, clock, piece.start + MINUTE)
    made.tick()
    other = again(made, clock, sqlite_url, 2 * MINUTE)
    assert other.core.state.let_in["whole"] == (piece,)
    measure(other, 16.0)
    assert other.admission("whole").accelerators == 8, "it may not be preempted"


def test_what_is_kept_of_live_work_stays_where_nobody_has_asked_for_it_since(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("a", 100, 8, due_h=40), job("b", 100, 8, due_h=40))
    made.tick()
    kept = {"a": LetIn((), T0), "b": LetIn((), T0), "gone": LetIn((), T0)}
    made.core.state.kept_let_in, made.core.state.let_in = dict(kept), {"gone": ()}
    with made.core.change() as change:
        let_in.keep(change, made.core.state, {"b": LetIn((), T0 + MINUTE)})
    assert made.core.state.kept_let_in == {"a": kept["a"], "b": LetIn((), T0 + MINUTE)}


def test_only_what_changes_is_written(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, realtime=realtime(2, 3))
    planned(made, job("firm", 48, 8, due_h=6.2), job("later", 4, 4, due_h=30))
    made.tick()
    kept = made.core.state.kept_let_in
    live(made, clock, 40)
    assert made.core.state.kept_let_in is kept
    assert kept.keys() == {"firm"}


def hold(made: Service, *pieces: tuple[float, float, int]) -> None:
    """Its lease holds these since T0: hours from and to, and accelerators."""
    held = tuple(Allocation("w", "fra", "h100", T0 + a * HOUR, T0 + b * HOUR, n) for a, b, n in pieces)
    record = made.core.state.records["w"]
    record = replace(record, lease=replace(record.lease, allocations=held), done_at=T0)
    with made.core.change() as change:
        rows.save(change.db, [record])
        rows.save_leases(change.db, [record])
        change.put([record])


@pytest.mark.parametrize("after", [(), ((2.0, 3.0, 6),)])
def test_pieces_that_are_over_are_counted_after_a_restart_that_falls_upon_an_edge(
    sqlite_url: str, clock: ManualClock, after: tuple[tuple[float, float, int], ...]
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("w", 100, 8, due_h=40))
    hold(made, (0, 1, 8), (1, 2, 4), *after)
    live(made, clock, 119)
    other = again(made, clock, sqlite_url, 1.5 * MINUTE)
    live(other, clock, 1)
    assert other.workload("w").done == pytest.approx(12 + 6 * 1.5 / 60 * bool(after), rel=0.01)


def test_pieces_that_are_over_are_counted_where_it_stops_before_its_lease_does(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock)
    planned(made, job("w", 100, 8, due_h=40))
    hold(made, (0, 1, 8), (1, 2, 4))
    live(made, clock, 90)
    clock.moment = T0 + 1.9 * HOUR
    made.tick()  # nobody vouches for it any more
    assert made.workload("w").done == pytest.approx(10 + 4 * (made.core.config.lease_ttl / HOUR), rel=0.01)
