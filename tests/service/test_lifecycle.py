"""Whatever happens to workloads in whatever order, what the product promises about them holds."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shifter.clock import ManualClock
from shifter.domain.workload import WorkloadClass
from shifter.errors import Conflict
from shifter.service import Service
from shifter.service.gate import gate_of
from shifter.views import LIVE_STATES, AdmissionState, TelemetrySample, WorkloadState
from tests.service.world import HOUR, POOL, T0, job, realtime, service

OVER = {WorkloadState.DONE, WorkloadState.CANCELLED}
COUNT = 16


class Life(RuleBasedStateMachine):
    """Submissions, cycles, time, reports, cancellations, outages and restarts, interleaved."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'shifter.db'}"
        self.clock = ManualClock(T0)
        self.made: Service = service(self.url, self.clock, realtime=realtime(2, 3))
        self.versions: dict[str, tuple[int, Any]] = {}
        self.ended: dict[str, WorkloadState] = {}
        self.accepted: set[str] = set()
        self.last_event = 0

    def teardown(self) -> None:
        self.made.core.db.close()
        self.folder.cleanup()

    def pick(self, n: int) -> str:
        return sorted(self.accepted)[n % len(self.accepted)]

    @rule(
        n=st.integers(0, 5),
        hours=st.sampled_from([1.0, 6.0, 30.0]),
        width=st.integers(1, 8),
        due_h=st.integers(1, 30),
        interruptible=st.booleans(),
        preemptible=st.booleans(),
    )
    def submit(self, n: int, hours: float, width: int, due_h: int, **flags: bool) -> None:
        work = job(f"w{n}", hours, width, deadline=self.clock.now() + due_h * HOUR, **flags)
        try:
            [view] = self.made.submit([work], "test")
        except Conflict:
            assert work.id in self.accepted
            return
        assert view.workload == work
        self.accepted.add(work.id)

    @rule()
    def plan(self) -> None:
        view = self.made.cycle()
        assert view.outcome == "published", view.error
        assert all(
            a.start >= self.clock.now() - timedelta(milliseconds=1) for a in self.made.plan().allocations
        )

    @rule(minutes=st.sampled_from([1, 7, 30, 60]), beats=st.integers(1, 4))
    def live(self, minutes: int, beats: int) -> None:
        for _ in range(beats):
            self.clock.advance(minutes=min(minutes, 14))
            self.made.heartbeat()
        self.made.tick()

    @rule(hours=st.integers(1, 5))
    def outage(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @precondition(lambda self: self.accepted)
    @rule(n=st.integers(0, 5), share=st.floats(0, 1))
    def report(self, n: int, share: float) -> None:
        name = self.pick(n)
        amount = self.made.workload(name).amount
        try:
            view = self.made.progress(name, done=share * amount, actor="runner")
        except Conflict:
            assert self.made.workload(name).state is WorkloadState.CANCELLED
            return
        assert view.progress_source == "reported" or view.state is WorkloadState.DONE

    @precondition(lambda self: self.accepted)
    @rule(n=st.integers(0, 5))
    def cancel(self, n: int) -> None:
        name = self.pick(n)
        try:
            assert self.made.cancel(name, "test").state is WorkloadState.CANCELLED
        except Conflict:
            assert self.made.workload(name).state is WorkloadState.DONE

    @rule(accelerators=st.integers(0, 16))
    def measure(self, accelerators: int) -> None:
        self.made.telemetry([TelemetrySample("fra", self.clock.now(), "h100", float(accelerators))], "meter")

    @precondition(lambda self: self.accepted)
    @rule(n=st.integers(0, 5), decided=st.sampled_from([None, *WorkloadClass]))
    def override(self, n: int, decided: WorkloadClass | None) -> None:
        self.made.override("olga", decided, "to see what happens", workload_id=self.pick(n))

    @rule()
    def restart(self) -> None:
        before = {v.id: (v.state, v.done) for v in self.made.workloads()}
        self.made.core.db.close()
        self.made = service(self.url, self.clock, realtime=realtime(2, 3))
        after = {v.id: (v.state, v.done) for v in self.made.workloads()}
        assert after.keys() == before.keys()
        for name, (state, done) in before.items():
            assert abs(after[name][1] - done) <= 1e-6 * max(1.0, done) or state in LIVE_STATES

    @invariant()
    def nothing_accepted_is_lost_and_an_end_is_an_end(self) -> None:
        views = {v.id: v for v in self.made.workloads()}
        assert views.keys() == self.accepted
        for name, view in views.items():
            if name in self.ended:
                assert view.state is self.ended[name]
            if view.state in OVER:
                self.ended[name] = view.state
            assert 0 <= view.progress_ratio <= 1
            assert view.done <= view.amount * (1 + 1e-9)

    @invariant()
    def a_version_grows_exactly_when_the_slots_change(self) -> None:
        for name in self.accepted:
            lease = self.made.lease(name)
            version, held = self.versions.get(name, (0, ()))
            assert lease.version >= version
            assert (lease.version == version) == (lease.allocations == held)
            self.versions[name] = (lease.version, lease.allocations)

    @invariant()
    def what_is_let_in_stays_outside_real_time_capacity(self) -> None:
        answers = [self.made.admission(name) for name in sorted(self.accepted)]
        running = [a for a in answers if a.admit and a.accelerators]
        at_once = sum(a.accelerators for a in running)
        assert at_once <= COUNT
        for a in answers:
            assert a.admit == (a.state is AdmissionState.RUN)
            if a.admit and a.accelerators:
                view = self.made.workload(a.workload_id)
                assert view.state in LIVE_STATES
                assert view.deadline is not None
                assert self.clock.now() < view.deadline
                assert a.accelerators <= view.workload.max_accelerators
                assert self.made.core.state.published is not None, "without a plan nobody knows the reserve"

    @invariant()
    def capacity_never_reads_as_free_when_it_is_stale(self) -> None:
        seen = self.made.capacity(*POOL)
        assert 0 <= seen.dispatch_budget <= 1
        let_in = [self.made.admission(v.id) for v in self.made.workloads()]
        assert seen.deferrable_accelerators <= sum(a.accelerators for a in let_in)
        if gate_of(self.made.core).stale:
            assert (seen.stale, seen.deferrable_accelerators) == (True, 0)
        if seen.version == 0:
            assert seen.stale
            assert seen.reserved_accelerators == COUNT, "without a plan the whole pool is held back"

    @invariant()
    def events_only_grow(self) -> None:
        ids = [e.id for e in self.made.events(limit=10_000)]
        assert ids == sorted(set(ids))
        assert (ids[-1] if ids else 0) >= self.last_event
        self.last_event = ids[-1] if ids else 0


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

__all__ = ["TestLife"]
