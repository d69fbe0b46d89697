"""The demo's executor: it runs what the plan says when the plan says it, not quite at the promised speed.

It stands for whatever really runs the work. It reads the plan and reports progress through the service, as an
executor does over HTTP, and knows nothing that a real one would not.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

from shifter.clock import Clock
from shifter.domain.fleet import Fleet
from shifter.domain.options import option_of
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload
from shifter.errors import Conflict, NotFound, NotReady
from shifter.service import Service

ACTOR = "demo-executor"
REPORT_EVERY = timedelta(minutes=30)
"""Of the demo's clock. Each report causes a new plan, as it would for a real executor."""

_USUAL_SPREAD, _SLOW_CHANCE, _SLOW_RATIO = 0.03, 0.08, 0.8
_DONE_RATIO = 0.9995

Run = tuple[str, str, str, str | None]
"""(workload, site, pool, model): one piece of work on one pool."""


class Executor:
    """`step()` it often; it is not thread-safe. Deterministic for a seed and the moments it is stepped at.

    What has to yield to real-time load does not run, as admission says.
    """

    def __init__(self, service: Service, fleet: Fleet, clock: Clock, seed: int = 1) -> None:
        self._service = service
        self._fleet = fleet
        self._clock = clock
        self._random = random.Random(seed)
        self._plan: Plan | None = None
        self._at = clock.now()
        self._next_report = self._at + REPORT_EVERY
        self._serving_from: dict[Run, datetime] = {}
        self._speed: dict[str, float] = {}
        self._gained: dict[str, float] = {}
        self._done: dict[str, float] = {}

    def step(self) -> None:
        """Work from the last step until now, and report where a report is due."""
        now = self._clock.now()
        try:
            plan = self._service.plan()
        except NotReady:
            self._at = now
            return
        # Until the newest plan was made, the one before it held.
        before, self._plan = self._plan or plan, plan
        changed = min(now, max(self._at, plan.created_at))
        self._work(before, self._at, changed)
        self._work(plan, changed, now)
        self._at = now
        if now >= self._next_report:
            self._next_report = now + REPORT_EVERY
            self._report(now)

    def _work(self, plan: Plan, start: datetime, end: datetime) -> None:
        if end <= start:
            return
        held = [a for a in plan.allocations if a.start < end and a.end > start]
        running: dict[Run, datetime] = {}
        workloads: dict[str, Workload] = {}
        for a in held:
            workload = workloads.get(a.workload_id) or self._find(a.workload_id)
            if workload is None:
                continue
            workloads[a.workload_id] = workload
            option = option_of(workload, self._fleet, a)
            if option is None:
                continue
            let_in = self._let_in(a) if a.start <= end < a.end else a.accelerators
            if let_in == 0:
                continue
            run = (a.workload_id, a.site, a.pool, a.model)
            ready = self._serving_from.get(run, max(a.start, start) + option.load)
            running[run] = min(ready, running.get(run, ready))
            self._gain(replace(a, accelerators=let_in), option.rate, max(ready, start), end)
        # A loaded model stays loaded while its work goes on; it is gone when the work leaves the pool.
        self._serving_from = running

    def _let_in(self, a: Allocation) -> int:
        """How many of its accelerators it may use now: fewer than planned while it yields."""
        standing = self._service.admission(a.workload_id).allocations
        there = sum(
            s.accelerators for s in standing if (s.site, s.pool, s.model) == (a.site, a.pool, a.model)
        )
        return min(a.accelerators, there)

    def _gain(self, a: Allocation, rate: float, start: datetime, end: datetime) -> None:
        hours = (min(a.end, end) - max(a.start, start)) / timedelta(hours=1)
        if hours > 0:
            done = hours * a.accelerators * rate * self._speed_of(a.workload_id)
            self._gained[a.workload_id] = self._gained.get(a.workload_id, 0.0) + done

    def _speed_of(self, workload_id: str) -> float:
        if workload_id not in self._speed:
            slow = _SLOW_RATIO if self._random.random() < _SLOW_CHANCE else 1.0
            self._speed[workload_id] = slow * min(1.06, max(0.9, self._random.gauss(1.0, _USUAL_SPREAD)))
        return self._speed[workload_id]

    def _report(self, now: datetime) -> None:
        gained, self._gained = self._gained, {}
        self._speed.clear()  # the next stretch goes at another speed
        for workload_id, more in gained.items():
            self._done[workload_id] = self._done.get(workload_id, 0.0) + more
            try:
                amount = self._service.workload(workload_id).amount
                done = self._done[workload_id]
                done = amount if done >= _DONE_RATIO * amount else done
                self._service.progress(workload_id, done=done, at=now, actor=ACTOR)
            except (NotFound, Conflict):
                continue  # cancelled, or ended by another's word: nothing left to report

    def _find(self, workload_id: str) -> Workload | None:
        try:
            return self._service.workload(workload_id).workload
        except NotFound:
            return None
