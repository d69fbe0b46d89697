"""Answers from the fixture, behind the real HTTP interface; rare states are a call away."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from forecasts.frame import ForecastFrame
from forecasts.scores.report import score
from forecasts.scores.subject import from_series
from forecasts.series import Kind, Signal
from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.workload import Classified, Override, Reason, Workload, WorkloadClass
from shifter.errors import NotFound, NotReady
from shifter.schedule.slack import most_worth_first, worth_of_slack
from shifter.schedule.value import fleet_worth, only_site
from shifter.service import Service
from shifter.service.scored import ForecastScores, Scored
from shifter.views import (
    Admission,
    AdmissionState,
    AnnouncementView,
    BindingLimit,
    Capacity,
    ChainLink,
    CycleView,
    Event,
    EventKind,
    Explanation,
    FleetWorth,
    Health,
    LearntView,
    Lease,
    LoadView,
    MeanSignals,
    Slack,
    SourceView,
    WorkloadState,
    WorkloadView,
)
from tests.web import fixture


class FakeService(Service):
    """Everything the dashboard reads, from `tests.web.fixture`."""

    def __init__(
        self, count: int = 40, *, synthetic: bool = False, simulated: bool = False, worse: bool = False
    ) -> None:
        self.fleet = fixture.fleet()
        self.items = fixture.workloads(count)
        self.synthetic, self.simulated, self.worse = synthetic, simulated, worse
        self.frame: ForecastFrame = fixture.frame((Kind.SYNTHETIC,)) if synthetic else fixture.frame()
        self.speed = 60.0 if simulated else 1.0
        self.core: Any = SimpleNamespace(clock=ManualClock(fixture.START))
        self.started = time.monotonic()
        self.started_at = fixture.START
        self.faults: tuple[str, ...] = ()
        self.no_plan = False
        self.measured: dict[tuple[str, str], dict[str, Any]] = {}
        self.basis = "as the settings say"
        self.limits: list[GridEvent] = []
        self.told: list[AnnouncementView] = []
        self.on_trial: Collection[str] = ()
        self.scoring_rests = False
        self.log: list[Event] = []
        self.news = threading.Condition()
        self.current = fixture.plan(self.items, synthetic=synthetic, worse=worse)
        self.note(EventKind.FORECAST_INGESTED, {"source": "energy_charts", "zone": "DE-LU"})
        self.note(EventKind.WORKLOAD_ACCEPTED, {"workload_id": self.items[0].id if self.items else "w-0"})
        self.note(EventKind.PLAN_PUBLISHED, {"plan_id": self.current.plan_id})

    @property
    def now(self) -> datetime:
        """Shortly after the plan's start, and on from there."""
        return (
            fixture.START
            + timedelta(minutes=47)
            + timedelta(seconds=(time.monotonic() - self.started) * self.speed)
        )

    def realtime(self, site: str | None = None, pool: str | None = None, days: int = 14) -> list[LoadView]:
        """Of each pool what its load stands on, and no more."""
        asked = [key for key in self.fleet.pools if site in {None, key[0]} and pool in {None, key[1]}]
        return [LoadView(*key, self.basis, 0.0, None, None, False, 0.99, days, (), ()) for key in asked]

    def note(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Something happened."""
        with self.news:
            self.log.append(Event(len(self.log) + 1, self.now, kind, data))
            self.news.notify_all()

    def add(self, workload: Workload) -> None:
        """One more, planned at once."""
        self.items = (*self.items, workload)
        plan = fixture.plan(self.items, synthetic=self.synthetic, worse=self.worse)
        self.current = replace(plan, plan_id=f"p-{len(self.items)}")
        self.note(EventKind.WORKLOAD_ACCEPTED, {"workload_id": workload.id})
        self.note(EventKind.PLAN_PUBLISHED, {"plan_id": self.current.plan_id})

    def _view(self, w: Workload) -> WorkloadView:
        share = next((s for s in self.current.workloads if s.workload_id == w.id), None)
        short = next((u for u in self.current.unplaced if u.workload_id == w.id), None)
        pieces = [a for a in self.current.allocations if a.workload_id == w.id]
        running = any(a.start <= self.now < a.end for a in pieces)
        realtime = w.latency_slo_ms is not None
        state = (
            WorkloadState.REAL_TIME
            if realtime
            else WorkloadState.RUNNING
            if running
            else WorkloadState.PLANNED
        )
        reason = (
            Reason(
                "latency-slo", "It has to answer within 400 ms, so it cannot wait.", {"latency_slo_ms": 400}
            )
            if realtime
            else Reason(
                "batch-with-slack",
                "It is a batch with 14 h of slack, and nobody waits for single answers.",
                {"mode": "batch", "slack_h": 14.2, "interruptible": w.interruptible},
            )
        )
        return WorkloadView(
            w.id,
            w.tenant,
            state,
            WorkloadClass.REAL_TIME if realtime else WorkloadClass.DEFERRABLE,
            reason,
            w.amount,
            w.unit,
            w.amount * 0.12 if running else 0.0,
            0.12 if running else 0.0,
            "planned",
            fixture.START - timedelta(minutes=20),
            w.earliest_start,
            w.deadline,
            w.deadline - timedelta(hours=2) if w.deadline else None,
            share.start if share else None,
            share.finish if share else None,
            share.cost if share else None,
            share.carbon_kg if share else None,
            share.run_now_cost if share else None,
            share.run_now_carbon_kg if share else None,
            short is None,
            short.accelerator_hours if short else 0.0,
            short.earliest_feasible_deadline if short else None,
            "Runs as it arrives." if realtime else "Waits for cheaper hours.",
            w,
        )

    def _find(self, workload_id: str) -> Workload:
        for item in self.items:
            if item.id == workload_id:
                return item
        raise NotFound(f"there is no workload {workload_id}.", hint="GET /v1/workloads lists them.")

    def workload(self, workload_id: str) -> WorkloadView:
        return self._view(self._find(workload_id))

    def workloads(
        self,
        state: WorkloadState | None = None,
        tenant: str | None = None,
        decided: WorkloadClass | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[WorkloadView]:
        views = [self._view(w) for w in self.items]
        views = [v for v in views if state is None or v.state == state]
        skip = next((i + 1 for i, v in enumerate(views) if v.id == after), 0)
        return views[skip : skip + limit]

    def plan(self) -> Plan:
        if self.no_plan:
            raise NotReady("there is no plan yet.", hint="Wait for the first forecasts.", retry_after_s=2)
        return self.current

    def forecasts(
        self,
        zone: str,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
    ) -> dict[str, Any]:
        found = tuple(s for s in self.frame.signals if s.zone == zone)
        return replace(self.frame, signals=found).to_dict()

    def learnt(self, zone: str | None = None) -> list[LearntView]:
        zones = {site.zone for site in self.fleet.sites} if zone is None else {zone}
        return [fixture.learnt(z, signal) for z in sorted(zones) for signal in ("carbon", "price")]

    def forecast_scores(self, zone: str, signal: Signal, days: int) -> ForecastScores:
        told = fixture.told(zone, signal, self.synthetic) if days > 7 else {}
        found = from_series(zone, signal, told)
        if self.scoring_rests:
            raise NotReady("scoring rests.", retry_after_s=60)
        scores = (score(said, found.known[name]) for name, said in sorted(found.forecasts.items()))
        marked = tuple(
            Scored(**{f.name: getattr(s, f.name) for f in fields(s)}, shadow=s.source in self.on_trial)
            for s in scores
            if s
        )
        since = self.now - timedelta(days=days)
        return ForecastScores(zone, signal, since, self.now, marked, ("late_source",))

    def capacity(self, site: str, pool: str) -> Capacity:
        """By the plan, and what a test says was measured, in `measured`."""
        row = next((r for r in self.current.slots if (r.site, r.pool) == (site, pool)), None)
        count = self.fleet.pools[site, pool][1].count
        load = row.realtime_q if row else float(count)
        held = Capacity(site, pool, 0, load, load, 0.0, count, 1, self.now, False, count)
        return replace(held, **self.measured.get((site, pool), {}))

    def grid_events(self, since: datetime | None = None) -> list[GridEvent]:
        return self.limits

    def announcements(self, since: datetime | None = None) -> list[AnnouncementView]:
        return self.told

    def lease(self, workload_id: str) -> Lease:
        w = self._find(workload_id)
        pieces = tuple(a for a in self.current.allocations if a.workload_id == w.id)
        latest = w.deadline - timedelta(hours=2) if w.deadline else None
        return Lease(w.id, 3, self.now + timedelta(minutes=15), latest, self.current.plan_id, False, pieces)

    def admission(self, workload_id: str) -> Admission:
        lease = self.lease(workload_id)
        now = tuple(a for a in lease.allocations if a.start <= self.now < a.end)
        return Admission(
            workload_id,
            bool(now),
            AdmissionState.RUN if now else AdmissionState.WAIT,
            None if now else next((a.start for a in lease.allocations if a.start > self.now), None),
            now[0].end if now else None,
            600.0,
            3,
            lease.valid_until,
            sum(a.accelerators for a in now),
            now,
            "It stands in one of its allocations." if now else "Its next slot has not come.",
        )

    def explain(self, workload_id: str) -> Explanation:
        v = self.workload(workload_id)
        other = next(w for w in self.items if w.id != workload_id)
        return Explanation(
            workload_id,
            v.state,
            v.decided,
            v.reason,
            Override(WorkloadClass.DEFERRABLE, "ops", fixture.START, "agreed with the tenant", workload_id)
            if workload_id.endswith("3")
            else None,
            (v.reason.text,),
            (
                "It waits for the midday sun: its slots cost 31.20 EUR/MWh on average, its window 58.40.",
                "It runs on lulea because power is cheapest there in its window.",
                "Two half-hours that are cheaper still are full with work of nearer deadlines.",
            ),
            MeanSignals(31.2, 22.0),
            MeanSignals(58.4, 61.0),
            v.cost,
            v.run_now_cost,
            0.4,
            v.carbon_kg,
            v.run_now_carbon_kg,
            1.1,
            "EUR",
            (
                BindingLimit(
                    "capacity",
                    "lulea",
                    "h100",
                    7,
                    0.021,
                    "lulea/h100, where it runs, is full in 7 slots of its window.",
                ),
            ),
            (ChainLink(other.id, "depends_on", WorkloadState.PLANNED, fixture.START, None),),
            self.current.plan_id,
            self.synthetic,
            slack=next((row for row in self.slack(1000) if row.workload_id == workload_id), None),
        )

    def value(self, site: str | None = None) -> FleetWorth:
        if site is not None and site not in self.fleet.by_site:
            raise NotFound(f"there is no site {site}.", field="site")
        worth = fleet_worth(self.plan(), self.fleet)
        return worth if site is None else only_site(worth, site)

    def slack(self, limit: int = 100) -> list[Slack]:
        views = [v for v in map(self._view, self.items) if v.decided is WorkloadClass.DEFERRABLE]
        work = [self._classified(v) for v in views]
        return most_worth_first(worth_of_slack(self.plan(), self.fleet, work))[:limit]

    def _classified(self, view: WorkloadView) -> Classified:
        start = view.workload.earliest_start or fixture.START
        return Classified(view.workload, view.decided, lambda: view.reason, start, view.workload.deadline)

    def events(self, after_id: int = 0, limit: int = 1000) -> list[Event]:
        return [e for e in self.log if e.id > after_id][:limit]

    def newest_events(self, count: int, kinds: Collection[str] = ()) -> list[Event]:
        return [e for e in self.log if not kinds or e.kind in kinds][-count:]

    def wait_events(self, after_id: int, timeout_s: float) -> list[Event]:
        with self.news:
            self.news.wait_for(lambda: len(self.log) > after_id, timeout_s)
        return self.events(after_id)

    def health(self) -> Health:
        source = "typical" if self.synthetic else "energy_charts"
        return Health(
            "degraded" if self.faults else "ok",
            self.now,
            self.simulated,
            self.speed,
            None if self.no_plan else self.current.plan_id,
            (self.now - self.current.created_at).total_seconds(),
            CycleView(self.current.created_at, 1.4, "published", "interval", self.current.plan_id),
            (
                SourceView(
                    source,
                    not self.faults,
                    ("SE1", "DE-LU", "FR"),
                    fixture.START - timedelta(minutes=25),
                    fixture.START,
                    3 if self.faults else 0,
                    "connection refused" if self.faults else "",
                ),
            ),
            "ok",
            self.faults,
            "0.1.0",
            self.synthetic,
            self.started_at,
        )

    def ready(self) -> bool:
        return not self.no_plan
