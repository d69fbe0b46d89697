"""Whether it does its work, and the gauges of the moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from shifter.errors import NotReady
from shifter.service import peaks, preemption
from shifter.service.capacity import capacity
from shifter.service.core import DATABASE, Core
from shifter.service.gate import FORGOTTEN, gate_of
from shifter.service.grid_faults import missing_kw_by_event, unmet_events
from shifter.service.present import state_at
from shifter.views import LIVE_STATES, Health, WorkloadState

Gauged = tuple[str, str, dict[str, str], float]
BROKEN = ("exceeds the power limit", "short of what it must hold", "that real-time load may need")
"""What a warning of a plan says where no plan can keep a limit: power, a battery, a pool. The others are of the
forecasts, and no faults.
"""


def health(core: Core) -> Health:
    """See `Service.health`."""
    reachable = database_answers(core)
    state, now = core.state, core.now()
    published = state.published
    faults = dict(state.faults)
    sources = tuple(state.sources.values())
    for source in sources:
        if source.shadow:
            continue  # nothing stands on it
        if not source.up:
            faults[f"source {source.name}"] = f"The source {source.name} fails: {source.error}"
        if source.stale:
            faults[f"source {source.name} stale"] = f"The source {source.name} is stale: {source.stale}"
    for site, pool in sorted(state.telemetry_stale):
        faults[f"telemetry {site}/{pool}"] = (
            f"{site}/{pool} has stopped reporting its real-time load: no less than was last measured counts until it "
            f"reports again, or has been silent for {FORGOTTEN // timedelta(hours=1)} h."
        )
    if published is not None and now >= published.plan.horizon.end:
        faults["plan"] = "The plan has run out: its horizon lies in the past."
    elif published is not None:
        faults |= {warning: warning for warning in published.plan.warnings if _is_broken(warning)}
        faults |= unmet_events(core)
    if state.alive_at is not None and gate_of(core).stale:
        faults["heartbeat"] = "The daemon has not renewed its leases."
    status: Literal["ok", "degraded", "failing"] = "degraded" if faults else "ok"
    if not reachable or (published is None and core.state.last_cycle is not None):
        status = "failing"
    counts = Counter(str(state_at(r, now)) for r in list(state.records.values()))
    return Health(
        status=status,
        now=now,
        simulated_clock=core.clock.simulated,
        speed=core.clock.speed,
        plan_id=published.plan.plan_id if published else None,
        plan_age_s=(now - published.at).total_seconds() if published else None,
        last_cycle=state.last_cycle,
        sources=sources,
        database="ok" if reachable else "unreachable",
        faults=tuple(faults.values()),
        version=core.version,
        synthetic=published.plan.synthetic if published else False,
        started_at=core.started_at,
        workloads=dict(sorted(counts.items())),
        next_replan_at=core.next_replan_at(),
        peak_so_far_kw=peaks.so_far_kw(core),
        guard_hold_s=core.config.guard_hold_s,
        telemetry_max_age_s=core.config.telemetry_max_age_s,
    )


def _is_broken(warning: str) -> bool:
    return any(words in warning for words in BROKEN)


def database_answers(core: Core) -> bool:
    """Whether the store can be written now; remembers it where it cannot."""
    try:
        core.db.check()
    except NotReady as error:
        core.lost_database(error)
        return False
    core.found_database()
    return True


def gauges(core: Core) -> Iterator[Gauged]:
    """What is now, for Prometheus. Reads memory only, so that a scrape never waits for the store."""
    state, now, gate = core.state, core.now(), gate_of(core)
    published = state.published
    yield "shifter_simulated_clock", "1 when the time is simulated.", {}, float(core.clock.simulated)
    yield "shifter_clock_timestamp_seconds", "The daemon's time.", {}, now.timestamp()
    if published is not None:
        plan = published.plan
        yield (
            "shifter_plan_age_seconds",
            "Since the plan was published.",
            {},
            (now - published.at).total_seconds(),
        )
        yield "shifter_plan_version", "Plans published so far.", {}, published.version
        money = {"currency": plan.currency}
        yield "shifter_plan_cost", "What the current plan costs, in its currency.", money, plan.cost.total
        yield "shifter_plan_run_now_cost", "What running at once would cost.", money, plan.baseline.total
        yield "shifter_plan_carbon_kilograms", "CO2e of the current plan.", {}, plan.carbon_kg
        yield "shifter_plan_relative_gap_ratio", "Cost above the proven bound.", {}, plan.relative_gap
        yield "shifter_plan_unplaced_workloads", "Workloads not wholly placed.", {}, len(plan.unplaced)
        for row in plan.power:
            if row.start <= now < row.end:
                site = {"site": row.site}
                yield "shifter_site_import_kilowatts", "Planned import of this slot.", site, row.import_kw
                if row.limit_kw is not None:
                    yield "shifter_site_limit_kilowatts", "Import limit of this slot.", site, row.limit_kw
    for name, sample in state.measured_import.items():
        if sample.import_kw is not None:
            labels = {"site": name}
            yield "shifter_site_measured_import_kilowatts", "Import last measured.", labels, sample.import_kw
    for name, kw in peaks.so_far_kw(core).items():
        text = "Highest slot-mean import of this month so far."
        yield "shifter_site_peak_so_far_kilowatts", text, {"site": name}, kw
    for event, missing in missing_kw_by_event(core):
        labels = {"event": event.id, "site": event.site}
        yield "shifter_grid_event_missing_kilowatts", "By which the plan does not meet it.", labels, missing
    for key in core.fleet.pools:
        yield from _pool_gauges(capacity(key, gate))
    for at in core.fleet.by_site:
        seconds = preemption.learnt_s(core, at)
        if seconds is not None:
            text = "What preemptible work takes to stop, 95 % of it at most; as learnt."
            yield "shifter_preemption_seconds", text, {"site": at}, seconds
    yield from _others(core)


def _pool_gauges(c: Any) -> Iterator[Gauged]:
    pool = {"site": c.site, "pool": c.pool}
    yield "shifter_pool_accelerators", "Accelerators of the pool.", pool, c.count
    yield "shifter_pool_reserved_accelerators", "Held back for real-time load.", pool, c.reserved_accelerators
    yield (
        "shifter_pool_realtime_accelerators",
        "Real-time load, measured or expected.",
        pool,
        c.realtime_accelerators,
    )
    yield "shifter_pool_deferrable_accelerators", "Held by deferrable work.", pool, c.deferrable_accelerators
    yield "shifter_pool_dispatch_budget_ratio", "Share that deferrable work may use.", pool, c.dispatch_budget
    there = "Accelerators that there are now."
    yield "shifter_pool_available_accelerators", there, pool, c.available_accelerators
    left = "What deferrable work leaves now of what it holds by lease."
    yield "shifter_guard_yielded_accelerators", left, pool, c.yielded_accelerators
    yield "shifter_pool_stale", "1 when these figures are stale.", pool, float(c.stale)


def _others(core: Core) -> Iterator[Gauged]:
    state, now = core.state, core.now()
    records = list(state.records.values())
    counts = Counter(state_at(r, now) for r in records)
    for each in WorkloadState:
        yield "shifter_workloads", "Workloads, by state.", {"state": str(each)}, counts[each]
    held = sum(1 for r in records if r.state in LIVE_STATES and r.lease.allocations)
    yield "shifter_leases", "Live workloads that hold slots.", {}, held
    for source in state.sources.values():
        if source.shadow:
            continue  # nothing stands on it: no alert may ring for it
        label = {"source": source.name}
        yield "shifter_source_up", "1 when the last fetch went well.", label, float(source.up)
        stale = float(bool(source.stale))
        yield "shifter_source_stale", "1 when it answers and has nothing new for too long.", label, stale
        if source.last_success_at is not None:
            age = (now - source.last_success_at).total_seconds()
            yield "shifter_source_success_age_seconds", "Since the last fetch that went well.", label, age
    for (zone, signal), known_at in state.forecast_known_at.items():
        labels = {"zone": zone, "signal": signal}
        yield (
            "shifter_forecast_age_seconds",
            "Age of the newest vintage.",
            labels,
            (now - known_at).total_seconds(),
        )
    for (zone, signal), learnt in list(state.learnt.items()):
        if learnt.made_for is not None:
            labels = {"zone": zone, "signal": str(signal)}
            age = (now - learnt.made_for).total_seconds()
            yield "shifter_outlook_age_seconds", "Since the moment that was learnt from.", labels, age
    yield "shifter_faults", "What is wrong now.", {}, len(state.faults)
    up = 0.0 if DATABASE in state.faults else 1.0
    yield "shifter_database_up", "1 when the store answered last time.", {}, up
