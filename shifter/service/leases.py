"""Leases: what a workload holds, until when, and what rules when nobody vouches for it any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shifter.domain.fleet import Fleet
from shifter.domain.options import option_of, shortest_run
from shifter.domain.rows import Allocation
from shifter.service.state import State
from shifter.store.workloads import LeaseRecord, Serving, WorkloadRecord
from shifter.views import LIVE_STATES


def valid_until(state: State, ttl: timedelta, now: datetime) -> datetime:
    """Until when slots are held: `ttl` after the daemon's last sign of life.

    Before the first one (a restart), it is after the plan was published; without a plan nothing is held.
    """
    alive = state.alive_at or (state.published.at if state.published else None)
    return now if alive is None else alive + ttl


def vouched(state: State, ttl: timedelta, now: datetime) -> datetime:
    """Until when what was planned counts as done: while leases hold, readers follow the plan, and
    no longer.
    """
    return min(now, valid_until(state, ttl, now))


def latest_start(
    record: WorkloadRecord, fleet: Fleet, vouched_at: datetime, margin: timedelta
) -> datetime | None:
    """The last moment at which its remaining work, at full width on its fastest pool, still ends `margin` before
    the deadline.

    None without a deadline, for work that nothing can run, and for work that has ended.
    """
    if record.window_deadline is None or record.state not in LIVE_STATES:
        return None
    left = record.workload.amount - done_at(record, fleet, vouched_at)
    run = shortest_run(record.workload, fleet, max(0.0, left))
    return None if run is None else record.window_deadline - run - margin


def renewed(
    record: WorkloadRecord, held: Sequence[Allocation], plan_id: str, done: float, now: datetime
) -> WorkloadRecord:
    """The record under a new plan that holds `held` for it; the record itself when nothing changes from now
    on.

    What is `done` by now under the old lease is kept, so that it never depends on the new one.
    """
    if clipped(record.lease.allocations, now) == clipped(held, now):
        return record
    credited = replace(
        record,
        done=done,
        done_at=max(now, record.done_at),
        serving=serving_at(record, now),
    )
    lease = LeaseRecord(record.lease.version + 1, plan_id, now, tuple(held))
    return replace(credited, lease=lease)


def clipped(allocations: Sequence[Allocation], start: datetime) -> tuple[Allocation, ...]:
    """What is left of them from `start` on, in time."""
    left = (a if a.start >= start else replace(a, start=start) for a in allocations if a.end > start)
    return tuple(
        sorted(
            left,
            key=lambda a: (a.start, a.site, a.pool, a.end, a.accelerators, a.model or "", a.cap_kw or 0.0),
        )
    )


def done_at(record: WorkloadRecord, fleet: Fleet, now: datetime) -> float:
    """Work done by `now`, in the workload's unit.

    Until the first report, what was planned counts as done as planned; afterwards only reports count.
    """
    if record.progress_source == "reported" or now <= record.done_at or record.state not in LIVE_STATES:
        return record.done
    done = record.done
    for a in record.lease.allocations:
        option = option_of(record.workload, fleet, a) if a.start < now else None
        if option is None:  # it is still to come, or the fleet has changed since
            continue
        serves_from = _serving_since(record, a) + option.load
        start, end = max(a.start, record.done_at, serves_from), min(a.end, now)
        if end > start:
            done += option.rate * a.accelerators * ((end - start) / timedelta(hours=1))
    return min(done, record.workload.amount)


def _serving_since(record: WorkloadRecord, a: Allocation) -> datetime:
    """A piece that a new plan cut at its beginning goes on serving: it is not loaded again.

    One that has begun and was not serving when its work was last counted begins there: it was kept out until then.
    """
    if a.start > record.done_at:
        return a.start
    return record.serving.get((a.site, a.pool, a.model or ""), record.done_at)


def serving_at(record: WorkloadRecord, now: datetime) -> dict[Serving, datetime]:
    """What its lease runs at `now`, and since when without a break."""
    running: dict[Serving, datetime] = {}
    for a in record.lease.allocations:
        if a.start < now <= a.end:
            key = (a.site, a.pool, a.model or "")
            since = _serving_since(record, a)
            running[key] = min(since, running.get(key, since))
    return running


def current(allocations: Sequence[Allocation], now: datetime) -> tuple[Allocation, ...]:
    """Those that hold at this moment."""
    return tuple(a for a in allocations if a.start <= now < a.end)


Place = tuple[str, str, str, float, int]
"""Site, pool, model, cap and accelerators."""


def place(a: Allocation) -> Place:
    """Where it is, what it runs at which power and how wide, whatever its times."""
    return a.site, a.pool, a.model or "", a.cap_kw or 0.0, a.accelerators


def holds_until(allocations: Sequence[Allocation], now: datetime) -> datetime | None:
    """The end of the time that they hold without a gap from `now`; None where they do not hold now."""
    end = None
    for a in sorted(allocations, key=lambda a: a.start):
        if a.start <= (end or now) and a.end > (end or now):
            end = a.end
    return end


def next_start(allocations: Sequence[Allocation], now: datetime) -> datetime | None:
    """When they next hold, after `now`; None where they do not."""
    return min((a.start for a in allocations if a.start > now), default=None)
