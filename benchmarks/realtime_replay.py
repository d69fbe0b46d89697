"""A week of real-time load and work through the daemon's own service, and what came of it.

The load is measured every 30 s, posted as telemetry, forecast and planned by the service; what was told to stop goes on
for 30 s more. A step of 30 s counts where real-time load at any site is more than the accelerators that are left to it.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy.event import listen

from benchmarks.fleet_replay import euros
from benchmarks.grid_data import ZONES, vintages
from benchmarks.llm_week import DAY, START, STEP, STEP_S, STEPS_AN_HOUR, Trace
from benchmarks.realtime_world import PLACES, WEEK, Scenario, Span, World, fleet_of
from forecasts.slots import SlotGrid
from shifter.clock import ManualClock
from shifter.domain.fleet import PoolKey
from shifter.domain.workload import Workload
from shifter.measuring import MeasuredLoads, learn_load
from shifter.realtime.calendar import Calendar
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service, ServiceConfig
from shifter.store import loads as loads_kept
from shifter.store.db import Database
from shifter.views import TelemetrySample, WorkloadState

DECLARED = (24.0, 64.0)
"""Accelerators at a site that real-time load is declared to need, and may reach: the prior."""


@dataclass
class Came:
    """What came of a scenario, over what is judged."""

    name: str
    over_ratio: float = 0.0
    """Of the steps in which it was over at any site."""
    over_longest_s: float = 0.0
    used_hours: float = 0.0
    """Accelerator-hours that deferrable work was let in to."""
    done_hours: float = 0.0
    """Accelerator-hours done, by the end or its deadline, of the work that was due in what is judged. Of work that may
    wait a plan leaves some for the night after, and that would not be seen in what was used.
    """
    due_hours: float = 0.0
    """Accelerator-hours of that work."""
    late: int = 0
    """How many of these workloads were late."""
    stops: int = 0
    held_ratio: float = 0.0
    """Accelerators held for real-time load over its mean."""
    cycles: int = 0
    failed: int = 0


def due(work: Sequence[Workload], span: Span) -> list[Workload]:
    """What comes, and has to be done, in what is planned and judged."""
    begins, judged, ends = (START + n * STEP for n in (span.planned_from, span.judged_from, span.n_steps))
    return [
        w
        for w in work
        if w.earliest_start is not None
        and w.deadline is not None
        and begins <= w.earliest_start
        and judged < w.deadline <= ends
    ]


def replayed(scenario: Scenario, data: Path, trace: Trace, span: Span = WEEK) -> Came:
    """The week through a service of its own, prices and carbon from `data`."""
    gc.disable()  # a long-lived heap is walked by the hour, not whenever enough was made
    try:
        with tempfile.TemporaryDirectory(prefix="shifter-replay-") as folder:
            return _Replay(scenario, data, trace, Path(folder), span).run()
    finally:
        gc.enable()


class _Replay:
    def __init__(self, scenario: Scenario, data: Path, trace: Trace, folder: Path, span: Span = WEEK) -> None:
        self.scenario, self.trace, self.span = scenario, trace, span
        self.world, self.work = World.of(scenario, trace, span), trace.by_step()
        self.clock = ManualClock(START)
        self.fleet = fleet_of(scenario)
        database = Database(f"sqlite:///{folder / 'shifter.db'}")
        database.upgrade()
        # Nothing that is replayed has to survive the power: a week would else be an hour of waiting for the disk.
        listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        calendars = {site.name: Calendar.of(ZoneInfo("UTC")) for site in self.fleet.sites}
        self.measured = MeasuredLoads(
            self.fleet, self.clock, database, calendars, prior=self._declared, prior_name="what was declared"
        )
        config = ServiceConfig(
            slot_minutes=30, horizon_hours=26, max_horizon_hours=30, admission_wait_s=0, telemetry_days=1
        )
        self.made = Service(config, self.fleet, database, self.clock, realtime=self._realtime)
        self.asked = False
        self.made.core.replan = self._ask
        _tell_forecasts(self.made, data, span)
        self.came = Came(scenario.name)
        self.before: dict[PoolKey, int] = dict.fromkeys(self.fleet.pools, 0)
        self.run_over_s = 0

    def _ask(self, why: str) -> None:
        self.asked = True

    def _declared(self, grid: SlotGrid) -> RealtimeLoad:
        """What an operator would say of the load before anything was measured: a median, and what it may reach."""
        levels = {p: np.full(grid.n_slots, DECLARED[p >= 0.9]) for p in (0.5, 0.9, 0.99)}
        return RealtimeLoad(grid, dict.fromkeys(self.fleet.pools, levels))

    def _realtime(self, grid: SlotGrid) -> RealtimeLoad:
        load = self.measured(grid)
        if self.scenario.guard:
            return load
        median = {key: {0.5: load.median(key)} for key in load.quantiles}  # nothing is held above it
        return replace(load, quantiles=median)

    def _expected(self, site: str) -> float:
        published = self.made.core.state.published
        row = published.row_at((site, "h100"), self.clock.now()) if published else None
        return 0.0 if row is None else row.realtime_p50

    def run(self) -> Came:
        for step in range(self.span.n_steps):
            self.clock.moment = START + step * STEP
            begun = step >= self.span.planned_from
            if step % STEPS_AN_HOUR == 0:
                if begun:
                    learn_load(self.made.core, self.measured)
                    self._submit(step)
                else:  # only the meters are there
                    self._remember(range(step, step + STEPS_AN_HOUR))
                gc.collect()
            if begun:
                self._take(step)
        self.came.over_ratio /= self.span.judged_steps
        self.came.held_ratio /= self.span.judged_steps
        self.clock.moment = START + self.span.n_steps * STEP
        self.made.heartbeat()
        self.made.tick()  # what was due at the very end
        core = self.made.core
        for w in due(self.trace.work, self.span):
            record = core.record(w.id)
            self.came.due_hours += w.amount
            self.came.done_hours += core.done(record)
            self.came.late += record.state is WorkloadState.LATE
        return self.came

    def _take(self, step: int) -> None:
        if step % (60 // STEP_S) == 0:
            self.made.heartbeat()
            self.made.tick()
        loads = self._measure(step)
        if self.asked or step % (1800 // STEP_S) == 0:
            outcome = self.made.cycle("replay").outcome
            self.came.cycles += 1
            self.came.failed += outcome != "published"
            self.asked = False  # what publishing asks for is this plan
        self._judge(step, loads)

    def _submit(self, step: int) -> None:
        come = self.work.get(step, [])
        if come:
            self.made.submit(come, "replay")

    def _remember(self, steps: range) -> None:
        self.clock.moment = START + steps.stop * STEP
        self.made.telemetry(
            [
                TelemetrySample(site, START + step * STEP, pool, self.world.load(site, step, self._expected))
                for step in steps
                for site, pool in self.fleet.pools
            ],
            "meter",
        )

    def _measure(self, step: int) -> dict[PoolKey, float]:
        loads = {}
        samples = []
        for key in self.fleet.pools:
            loads[key] = self.world.load(key[0], step, self._expected)
            there = self.world.available(key[0], step)
            samples.append(TelemetrySample(key[0], self.clock.now(), key[1], loads[key], None, there))
        if self.scenario.guard:
            self.made.telemetry(samples, "meter")
        else:  # the forecast learns, and nobody looks between plans
            learning = [replace(s, available_accelerators=None) for s in samples]
            with self.made.core.change() as change:
                loads_kept.count(change.db, learning)
        return loads

    def _judge(self, step: int, loads: Mapping[PoolKey, float]) -> None:
        judged, any_over = step >= self.span.judged_from, False
        for key, load in loads.items():
            let_in = self.made.capacity(*key).deferrable_accelerators
            there = self.world.available(key[0], step)
            # What was stopped goes on for a step more, but for what is lost with its accelerators.
            occupied = min(there, max(let_in, self.before[key]))
            any_over |= load > there - occupied + 1e-6 and load > 0
            if judged:
                self.came.used_hours += min(let_in, there) * STEP_S / 3600
                self.came.stops += let_in < self.before[key]
            self.before[key] = let_in
        if judged:
            self.came.over_ratio += any_over
            self.run_over_s = self.run_over_s + STEP_S if any_over else 0
            self.came.over_longest_s = max(self.came.over_longest_s, self.run_over_s)
        published = self.made.core.state.published
        if judged and published is not None:
            rows = [published.row_at(key, self.clock.now()) for key in loads]
            mean = sum(float(self.trace.realtime[key[0]][: self.span.n_steps].mean()) for key in loads)
            self.came.held_ratio += sum(r.reserved for r in rows if r is not None) / mean


def _tell_forecasts(made: Service, data: Path, span: Span) -> None:
    ends = START + span.taught + span.judged
    for place in PLACES:
        found = [
            euros(s) for s in vintages(data, ZONES[place]) if START - 9 * DAY <= s.known_at <= ends + DAY
        ]
        made.core.forecasts.append_all(sorted(found, key=lambda s: s.known_at))
