"""What a site would draw without an event: frozen when the event is accepted, and the same for its quote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from forecasts.slots import floor_to_slot, isoformat_z
from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.fleet import Site
from shifter.domain.grid_event import MINUTE, Baseline, BaselineWindow, GridEvent
from shifter.domain.metered import DAY, LOOK_BACK_DAYS, Metered, similar_days
from shifter.domain.plan import Plan
from shifter.errors import InputError
from shifter.service import metering, snapshot
from shifter.service.core import Core
from shifter.service.met import site_slots
from shifter.store import grid_events
from shifter.store.snapshots import inputs_to_json

DAY_MINUTES = 1440


def frozen(core: Core, event: GridEvent) -> GridEvent:
    """The event with its baseline, where it needs one and its sender gave none. Raises InputError, NotReady."""
    if event.frozen_baseline is not None and event.frozen_baseline.method != "given":
        raise InputError(
            f"a baseline that is sent along is given, not of a {event.frozen_baseline.method}.",
            field="frozen_baseline.method",
            hint="Write method: given, or leave frozen_baseline out.",
        )
    if event.frozen_baseline is not None or not event.needs_baseline:
        return event
    until = event.rebound_end if event.rebound_ratio is not None else event.end
    if event.baseline == "plan":
        plan = _plan(core, event.start, until)
        since = max(event.start, plan.horizon.start)  # of one that has begun only the rest can be limited
        return replace(event, frozen_baseline=of_plan(plan, core.fleet.by_site[event.site], since, until))
    with core.reading() as db:
        metered = metering.metered(core, db, event.site, event.start)
        kept = grid_events.ending_after(db, event.start - timedelta(days=LOOK_BACK_DAYS + 1))
    return replace(event, frozen_baseline=of_days(core, event, until, metered, kept))


def under(inputs: CycleInputs, events: Sequence[GridEvent]) -> tuple[GridEvent, ...]:
    """Those that are known at the moment of planning, with baselines from the plan without any of them.

    An event with an agreed notice is known from so long before its start. Raises InputError for one that is to be cut
    from what was metered, of which inputs know nothing, and for one that the plan does not reach.
    """
    now = inputs.now
    without: Plan | None = None
    found = []
    for event in events:
        ahead = event.notice_minutes is not None and event.start - event.notice_minutes * MINUTE > now
        if ahead or event.holds_until <= now or event.holds_from >= inputs.frame.grid.end:
            continue
        if event.needs_baseline and event.frozen_baseline is None:
            if event.baseline != "plan":
                raise InputError(
                    f"{event.id} is to be cut from {event.baseline}, and nothing was metered here.",
                    field="baseline",
                    hint="Give its frozen_baseline, or take the baseline plan.",
                )
            without = without or plan_cycle(inputs)
            until = event.rebound_end if event.rebound_ratio is not None else event.end
            since = max(event.start, without.horizon.start)
            of = of_plan(without, inputs.fleet.by_site[event.site], since, until)
            found.append(replace(event, frozen_baseline=of))
        else:
            found.append(event)
    return tuple(found)


def of_plan(plan: Plan, site: Site, start: datetime, end: datetime) -> Baseline:
    """What a plan draws in `[start, end)`. Raises InputError where it does not reach so far."""
    found = [s for s in site_slots(plan, site) if s.row.start < end and s.row.end > start]
    windows = tuple(
        BaselineWindow(s.row.start, s.row.end, max(0.0, s.row.import_kw), max(0.0, s.at_quantile_kw))
        for s in found
    )
    source = f"plan {plan.plan_id} of {isoformat_z(plan.created_at.replace(microsecond=0))}"
    baseline = Baseline("plan", source, windows) if windows else None
    if baseline is None or not baseline.covers(start, end):
        raise _unreached(start, end, plan.horizon.start, plan.horizon.end)
    return baseline


def of_days(
    core: Core, event: GridEvent, until: datetime, metered: Metered, kept: list[GridEvent]
) -> Baseline:
    """What days like it drew. Raises InputError where too few were metered."""
    others = [e for e in kept if e.site == event.site and e.id != event.id]

    def held(start: datetime, end: datetime) -> bool:
        first, last = (floor_to_slot(at, DAY_MINUTES) for at in (start, end))
        return any(e.start < last + DAY and e.rebound_end > first for e in others)

    method = "similar_days" if event.baseline == "plan" else event.baseline
    return similar_days(metered, edges_of(core, event.start, until), held, method)


def edges_of(core: Core, start: datetime, end: datetime) -> list[datetime]:
    """`[start, end)` cut where slots begin."""
    slot = timedelta(minutes=core.config.slot_minutes)
    first = floor_to_slot(start, core.config.slot_minutes) + slot
    inside = takewhile(lambda at: at < end, (first + i * slot for i in range(100_000)))
    return [start, *inside, end]


def _plan(core: Core, start: datetime, until: datetime) -> Plan:
    """The plan in force, or where it does not reach so far, one of this moment that does. Raises InputError."""
    published = core.state.published
    if published is not None and published.plan.horizon.end >= until:
        return published.plan
    inputs = snapshot.take(core, reach=until)
    if inputs.frame.grid.end < until:
        raise _unreached(start, until, inputs.frame.grid.start, inputs.frame.grid.end)
    return core.quote_planner.plan(inputs_to_json(inputs), core.config.cycle_deadline_s)


def _unreached(start: datetime, end: datetime, begins: datetime, ends: datetime) -> InputError:
    """Of what a plan that goes from when to when does not hold."""
    return InputError(
        f"no plan reaches from {isoformat_z(start)} to {isoformat_z(end)}: this one ends at "
        f"{isoformat_z(ends)}.",
        field="start" if start < begins else "end",
        hint="Send it nearer to its time, or name a limit_kw or another baseline.",
    )
