"""The immutable snapshot that a cycle works on, taken from what is known at one moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from forecasts.slots import SlotGrid, floor_to_slot, isoformat_z
from shifter.cycle import CycleInputs, Submission
from shifter.domain.announced import Announced, Since
from shifter.domain.workload import WorkloadClass
from shifter.errors import NotReady
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.profiles import MeasuredLoad, apply_measured
from shifter.service import leases, pinned
from shifter.service.core import Core
from shifter.service.fleet_now import fleet_now
from shifter.service.gate import is_forgotten
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, WorkloadState

REALTIME = "realtime"
"""The fault's name while the real-time load is known for less than the horizon."""
SOLVER_SHARE = 0.8
"""Of a cycle's deadline that the solver may use, so that it stops by itself before it is stopped."""


def take(core: Core, without: str | None = None, reach: datetime | None = None) -> CycleInputs:
    """What is known now. Raises InputError, ForecastRejected, NotReady.

    For quotes: `without` leaves a workload out, and the grid reaches at least to `reach`.
    """
    state, now = core.state, core.now()
    with state.changed:
        records = list(state.records.values())
        overrides, grid_events = state.overrides, state.grid_events
        published = state.published
    submissions = _submissions(core, records, now, without)
    try:
        load = core.realtime(grid_for(core, submissions, now, reach))
    except NotReady as error:
        core.lost_database(error)
        raise
    grid = load.grid
    ends_early = _ends_early(core, submissions, grid, now)
    submissions = _begins_before(grid.end, submissions)
    try:
        with core.db.errors():
            frame = core.frame(grid, now)
    except NotReady as error:
        core.lost_database(error)
        raise
    realtime = with_measured(core, load, now)
    if ends_early:
        frame = replace(frame, warnings=(*frame.warnings, ends_early))
    if without is None and reach is None:  # a quote looks further ahead, and says nothing of how planning is
        due = floor_to_slot(now + timedelta(hours=core.config.horizon_hours), grid.slot_minutes)
        core.set_fault(REALTIME, ends_early if grid.end < due else None)
    ids = {s.workload.id for s in submissions}
    return CycleInputs(
        now=now,
        fleet=fleet_now(core),
        frame=frame,
        realtime=realtime,
        submissions=submissions,
        policy=core.policy,
        overrides=tuple(o for o in overrides if o.workload_id is None or o.workload_id in ids),
        grid_events=tuple(e for e in grid_events if e.holds_until > now and e.holds_from < grid.end),
        time_limit_s=core.config.cycle_deadline_s * SOLVER_SHARE,
        deadline_margin_s=core.config.deadline_margin_s,
        announced=None
        if published is None
        else Announced.of(published.plan, now, _running(core, records, now)),
        hold_gap=core.config.hold_gap,
        pinned=pinned.pieces(core, (r for r in records if r.id in ids), now),
    )


def with_measured(core: Core, load: RealtimeLoad, now: datetime) -> RealtimeLoad:
    """The load, raised where more was measured than was expected."""
    with core.state.changed:
        measured, levels = dict(core.state.measured), dict(core.state.levels)
    max_age, hold = (
        timedelta(seconds=s) for s in (core.config.telemetry_max_age_s, core.config.guard_hold_s)
    )
    seen = {
        # A meter that fell silent is taken to have measured the same as long as it is not forgotten.
        key: MeasuredLoad(levels[key].at(now, hold), max(s.at, now - max_age))
        for key, s in measured.items()
        if not is_forgotten(s, now)
    }
    return apply_measured(load, seen, now, max_age=max_age, fleet=core.fleet)


def _running(core: Core, records: list[WorkloadRecord], now: datetime) -> Since:
    """Since when each workload runs where its lease has it; nothing of those that may have been kept out of it."""
    state = core.state
    if leases.vouched(state, core.config.lease_ttl, now) < now:  # there was nobody to let it in
        return {}
    return {
        r.id: r.serving if r.id in state.apart else leases.serving_at(r, now)
        for r in records
        if r.state in LIVE_STATES
    }


def grid_for(
    core: Core, submissions: tuple[Submission, ...], now: datetime, reach: datetime | None = None
) -> SlotGrid:
    """From the slot of this moment to the horizon, or to the last deadline where that is later."""
    config = core.config
    end = max(now + timedelta(hours=config.horizon_hours), reach or now)
    end = max([end, *(s.workload.deadline for s in submissions if s.workload.deadline is not None)])
    end = min(end, now + timedelta(hours=config.max_horizon_hours))
    first = SlotGrid.covering(now, timedelta(minutes=config.slot_minutes), config.slot_minutes).start
    return SlotGrid.covering(first, end - first, config.slot_minutes)


def _ends_early(core: Core, submissions: tuple[Submission, ...], grid: SlotGrid, now: datetime) -> str:
    """Says so where the real-time load that is known cuts the horizon, or a deadline within its reach."""
    config = core.config
    furthest = now + timedelta(hours=config.max_horizon_hours)
    ends = [s.workload.deadline for s in submissions if s.workload.deadline is not None]
    wanted = [min(furthest, end) for end in ends if now < end]
    # A horizon that ends inside a slot asks for the whole of it; that much less is no loss.
    wanted.append(floor_to_slot(now + timedelta(hours=config.horizon_hours), grid.slot_minutes))
    if max(wanted) <= grid.end:
        return ""
    later = sum(end > grid.end for end in ends)
    until = isoformat_z(grid.end)
    due = f" {later} workloads due later are planned to be done by then." if later > 1 else ""
    due = " One workload due later is planned to be done by then." if later == 1 else due
    return f"Real-time load is known to {until}; the plan ends there.{due}"


def _begins_before(end: datetime, submissions: tuple[Submission, ...]) -> tuple[Submission, ...]:
    """Without what may not begin before the grid's end, and what depends on it: it waits, and is not late."""
    starts = {s.workload.id: s.workload.earliest_start for s in submissions}
    later = {id for id, start in starts.items() if start is not None and start >= end}
    size = -1
    while size != len(later):
        size = len(later)
        later |= {s.workload.id for s in submissions if later.intersection(s.workload.depends_on)}
    return tuple(s for s in submissions if s.workload.id not in later)


def _submissions(
    core: Core, records: list[WorkloadRecord], now: datetime, without: str | None
) -> tuple[Submission, ...]:
    """Live workloads with work left. One that is late still stands before those that depend on it."""
    awaited = {d for r in records if r.state in LIVE_STATES for d in r.workload.depends_on}
    kept = []
    for r in records:
        blocks = r.state is WorkloadState.LATE and r.id in awaited
        if r.id == without or not (r.state in LIVE_STATES or blocks):
            continue
        done = core.done(r, now)
        stays = r.decided is WorkloadClass.REAL_TIME or bool(pinned.pieces(core, (r,), now))
        if done < r.workload.amount or stays:
            kept.append(Submission(r.workload, r.submitted_at, done))
    return tuple(kept)
