"""`Service`: every question and every command of the product, thread-safe, one short method each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import TYPE_CHECKING, Any

from forecasts.assemble import frame_from_store
from forecasts.frame import ForecastFrame
from forecasts.heeded import Heeded
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import SlotGrid
from forecasts.store import ForecastStore
from shifter.classify.policy import Policy, default_policy
from shifter.clock import Clock, SystemClock
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Plan
from shifter.domain.workload import Override, Workload, WorkloadClass
from shifter.planner import InProcessPlanner, Planner
from shifter.realtime.load import RealtimeLoad
from shifter.service import expected, happened, health, let_in, life, published, quotes, submissions, told
from shifter.service.announcements import Announcing
from shifter.service.capacity import capacity, check_asked, slots
from shifter.service.config import ServiceConfig
from shifter.service.core import Core, FrameMaker, RealtimeMaker
from shifter.service.cycles import Cycles
from shifter.service.explain import explain
from shifter.service.gate import gate_of
from shifter.service.grid_demands import GridDemands
from shifter.service.heard import Ear
from shifter.service.load import load
from shifter.service.present import lease_view, listing, workload_view
from shifter.service.scored import ForecastScores, Scorer
from shifter.service.value import Value
from shifter.store import log
from shifter.store.db import Database
from shifter.telemetry import GaugeReader, Metrics
from shifter.views import (
    Admission,
    AuditEntry,
    Capacity,
    CycleView,
    Event,
    Explanation,
    FleetWorth,
    Health,
    LearntView,
    Lease,
    LoadView,
    Quote,
    Slack,
    SlotView,
    TelemetrySample,
    WorkloadState,
    WorkloadView,
)

if TYPE_CHECKING:
    from shifter.cycle import CycleInputs

MOST_AT_ONCE = 10_000
"""Rows of one answer."""


def at_most(limit: int) -> int:
    """How many rows are answered where `limit` are asked for."""
    return max(0, min(limit, MOST_AT_ONCE))


class Service(GridDemands, Announcing):
    """The façade. `actor` names who asks, for the audit. Errors are `shifter.errors`'.

    It stands on an upgraded `database` and reads what is kept there when it is made. Without a daemon nothing
    happens by itself: `cycle`, `heartbeat` and `tick` are what a daemon calls.
    """

    def __init__(
        self,
        config: ServiceConfig,
        fleet: Fleet,
        database: Database,
        clock: Clock | None = None,
        *,
        policy: Policy | None = None,
        frame: FrameMaker | None = None,
        realtime: RealtimeMaker | None = None,
        planner: Planner | None = None,
        quote_planner: Planner | None = None,
        metrics: Metrics | None = None,
        version: str = "0",
    ) -> None:
        clock = clock or SystemClock()
        planner = planner or InProcessPlanner()
        store = ForecastStore(database.engine)

        def from_store(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
            heeded = Heeded(store)
            return frame_from_store(heeded, grid, as_of=as_of, zones=fleet.zones, currency=fleet.currency)

        self.fleet = fleet
        self.core = Core(
            config=config,
            fleet=fleet,
            policy=policy or default_policy(),
            db=database,
            forecasts=store,
            clock=clock,
            frame=frame or from_store,
            realtime=realtime or RealtimeLoad,
            planner=planner,
            quote_planner=quote_planner or planner,
            metrics=metrics or Metrics(),
            version=version,
            started_at=clock.now(),
        )
        load(self.core)
        self.core.metrics.watch(GaugeReader(lambda: health.gauges(self.core)))
        self._cycles = Cycles(self.core)
        self._scorer = Scorer(self.core)
        self._ear = Ear(self.core)
        self._value = Value(self.core)

    # Workloads -------------------------------------------------------------------------------------------

    def submit(self, workloads: Sequence[Workload], actor: str) -> list[WorkloadView]:
        """Classify and admit, all or nothing; durable before it returns. In the order given.

        The same id with the same content is the same workload. Waits up to `admission_wait_s` for the plan
        that holds the new work; else the answer's state is `accepted`. Raises InputError (field
        `[i].name`), Conflict (the id with other content), NotReady (the store cannot be reached: nothing
        was accepted).
        """
        return submissions.submit(self.core, workloads, actor)

    def has(self, workload_id: str) -> bool:
        """Whether it is kept here."""
        return workload_id in self.core.state.records

    def workload(self, workload_id: str) -> WorkloadView:
        """One workload. Raises NotFound."""
        return workload_view(self.core.record(workload_id), self.core)

    def workloads(
        self,
        state: WorkloadState | None = None,
        tenant: str | None = None,
        decided: WorkloadClass | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[WorkloadView]:
        """By submission, newest first; `after` is the id of the last one of the page before."""
        return listing(self.core, state, tenant, decided, at_most(limit), after)

    def cancel(self, workload_id: str, actor: str) -> WorkloadView:
        """Withdraw it. Cancelling twice is once. Raises NotFound, Conflict (done, or others still need it)."""
        return submissions.cancel(self.core, workload_id, actor)

    def progress(
        self,
        workload_id: str,
        done: float | None = None,
        remaining: float | None = None,
        at: datetime | None = None,
        actor: str = "",
        accelerators: int | None = None,
    ) -> WorkloadView:
        """Work done so far, from whoever runs it, in the workload's unit; give `done` or `remaining`.

        `accelerators` is how many it has at that moment: told after it was to stop, it says how long that took. A
        report that is older than the last one changes nothing. Raises NotFound, InputError, Conflict (cancelled).
        """
        return submissions.progress(
            self.core,
            workload_id,
            done=done,
            remaining=remaining,
            at=at,
            accelerators=accelerators,
            actor=actor,
        )

    def override(
        self,
        actor: str,
        decided: WorkloadClass | None,
        reason: str,
        workload_id: str | None = None,
        rule: str | None = None,
    ) -> Override:
        """An operator's decision over the policy's; `decided=None` lifts it. Raises NotFound, InputError."""
        return submissions.override(
            self.core, actor, decided=decided, reason=reason, workload_id=workload_id, rule=rule
        )

    def overrides(self) -> list[Override]:
        """The overrides that are kept, of workloads and of rules, oldest first; the last of each subject."""
        return list(self.core.state.overrides)

    # Leases ----------------------------------------------------------------------------------------------

    def lease(self, workload_id: str) -> Lease:
        """Its slots, as a lease. Raises NotFound."""
        return lease_view(self.core.record(workload_id), gate_of(self.core))

    def admission(self, workload_id: str) -> Admission:
        """May it run now. Raises NotFound."""
        return let_in.asked(self.core, workload_id)

    def explain(self, workload_id: str) -> Explanation:
        """Why this class, why these slots. Raises NotFound."""
        return explain(self.core.record(workload_id), self.core)

    def quote(self, workload: Workload, deadlines: Sequence[datetime] | None = None) -> Quote:
        """Cost, carbon and finish against the deadline. Raises InputError, NotReady, SolverFailed."""
        return quotes.quote(self.core, workload, deadlines)

    # The plan --------------------------------------------------------------------------------------------

    def slots(
        self,
        site: str | None = None,
        pool: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[SlotView]:
        """What each slot holds, of the current plan. Raises NotFound (site, pool), NotReady (no plan yet)."""
        check_asked(self.fleet, site, pool, start, end)
        return slots(self.plan(), self.fleet, site, pool, start, end)

    def capacity(self, site: str, pool: str) -> Capacity:
        """Flat numbers for a gate, now. Raises NotFound. Without a plan: stale, and nothing free."""
        return capacity((site, pool), gate_of(self.core))

    def value(self, site: str | None = None) -> FleetWorth:
        """What one more of each limit would save at the most, by the current plan. Raises NotFound (site), NotReady."""
        check_asked(self.fleet, site, None, None, None)
        return self._value.of_sites(site)

    def slack(self, limit: int = 100) -> list[Slack]:
        """What deadlines cost, those first of which an hour more would save most. Raises NotReady."""
        return self._value.of_deadlines(at_most(limit))

    def plan(self) -> Plan:
        """The current plan. Raises NotReady before the first."""
        return published.current(self.core)

    def plan_by_id(self, plan_id: str) -> Plan:
        """An earlier plan. Raises NotFound."""
        return published.by_id(self.core, plan_id)

    def plan_inputs(self, plan_id: str) -> CycleInputs:
        """What that plan was made from; `plan_cycle` of it gives the same plan. A rejected one's go by `inputs_id`.

        Raises NotFound.
        """
        return published.inputs(self.core, plan_id)

    # Inputs ----------------------------------------------------------------------------------------------

    def forecasts(
        self,
        zone: str,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
    ) -> dict[str, Any]:
        """The forecast of a zone in use at a moment, as `ForecastFrame.to_dict`. Raises NotFound (zone)."""
        return told.forecasts(self.core, zone, start, end, as_of)

    def forecast_scores(self, zone: str, signal: Signal, days: int) -> ForecastScores:
        """How good the forecasts of the last `days` days were. Raises NotFound (zone), NotReady. Takes a moment."""
        return self._scorer.scores(zone, signal, days)

    def learnt(self, zone: str | None = None) -> list[LearntView]:
        """What was learnt from vintages, by zone and signal. Raises NotFound (zone)."""
        return told.learnt(self.core, zone)

    def push_forecasts(self, series: Sequence[ForecastSeries], actor: str) -> int:
        """Append vintages, all or nothing; how many were new. Raises ForecastRejected, NotReady."""
        return told.push_forecasts(self.core, series, actor)

    def telemetry(self, samples: Sequence[TelemetrySample], actor: str) -> int:
        """Measured real-time load and site power; how many were taken. Raises InputError, NotFound, NotReady."""
        return self.hear(samples, actor).result()

    def hear(self, samples: Sequence[TelemetrySample], actor: str) -> Future[int]:
        """The same for who has others to look after meanwhile. Raises InputError, NotFound; the future, NotReady."""
        return self._ear.hear(samples)

    def realtime(self, site: str | None = None, pool: str | None = None, days: int = 14) -> list[LoadView]:
        """What real-time load is expected, and how often that held in the last `days`. Raises NotFound, NotReady."""
        return expected.realtime(self.core, site, pool, days)

    # What happened ---------------------------------------------------------------------------------------

    def events(self, after_id: int = 0, limit: int = 1000) -> list[Event]:
        """Events with a larger id, oldest first."""
        return happened.events(self.core, after_id, at_most(limit))

    def newest_events(self, count: int, kinds: Collection[str] = ()) -> list[Event]:
        """The last `count` events, of all kinds or of some, oldest first."""
        return happened.newest_events(self.core, at_most(count), kinds)

    def wait_events(self, after_id: int, timeout_s: float) -> list[Event]:
        """As `events`, once there is one, or empty after `timeout_s` real seconds."""
        return self.events(after_id) if happened.wait(self.core, after_id, timeout_s) else []

    def audit(self, subject: str | None = None, after_id: int = 0, limit: int = 100) -> list[AuditEntry]:
        """Who did or decided what, oldest first."""
        with self.core.reading() as db:
            return log.audit(db, subject, after_id, at_most(limit))

    def health(self) -> Health:
        """Whether it does its work. Never raises."""
        return health.health(self.core)

    def ready(self) -> bool:
        """Whether there is a plan, and the store can be written."""
        return self.core.state.published is not None and health.database_answers(self.core)

    # What a daemon calls ------------------------------------------------------------------------------------

    def cycle(self, trigger: str = "asked") -> CycleView:
        """Plan on what is known now, and publish. Says what became of it; raises nothing for a failed one."""
        return self._cycles.run(trigger)

    def heartbeat(self) -> None:
        """The daemon lives: leases are renewed."""
        life.heartbeat(self.core)

    def tick(self) -> None:
        """What happens as time passes. Raises NotReady."""
        life.tick(self.core)

    def prune(self) -> dict[str, int]:
        """Forget what is older than its retention. Raises NotReady."""
        return life.prune(self.core)
