"""Who holds what by lease now: asked often, worked out again only where a record changed or a piece began or ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shifter.domain.fleet import PoolKey
from shifter.service import leases
from shifter.service.state import State
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Standing:
    """What holds in `[since, until)` while the records are those of `generation`."""

    generation: int
    since: datetime
    until: datetime
    live: tuple[WorkloadRecord, ...]
    """Workloads that have not ended."""
    held: Mapping[str, Mapping[PoolKey, int]]
    """Accelerators that they hold, by site and pool."""
    holders: Mapping[str, tuple[WorkloadRecord, ...]]
    """Who holds any, by site."""


def standing(state: State, now: datetime) -> Standing:
    """At this moment."""
    known = state.standing
    if known is not None and known.generation == state.generation and known.since <= now < known.until:
        return known
    state.standing = found = _worked_out(state, now)
    return found


def _worked_out(state: State, now: datetime) -> Standing:
    generation = state.generation  # before the records: what changes meanwhile makes it out of date
    live = tuple(r for r in list(state.records.values()) if r.state in LIVE_STATES)
    held: defaultdict[str, defaultdict[PoolKey, int]] = defaultdict(lambda: defaultdict(int))
    holders: defaultdict[str, dict[str, WorkloadRecord]] = defaultdict(dict)
    until = NEVER
    for record in live:
        for a in record.lease.allocations:
            until = min(until, next((edge for edge in (a.start, a.end) if edge > now), NEVER))
        for a in leases.current(record.lease.allocations, now):
            held[a.site][a.site, a.pool] += a.accelerators
            holders[a.site][record.id] = record
    by_site = {site: tuple(found.values()) for site, found in holders.items()}
    return Standing(generation, now, until, live, {site: dict(of) for site, of in held.items()}, by_site)
