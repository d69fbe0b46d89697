"""What every admission and every capacity figure of one moment looks at, worked out once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.workload import WorkloadClass, replica_size
from shifter.service import leases
from shifter.service.state import State
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, WorkloadState

ENOUGH = 1 - 1e-9
"""Share of a workload's work that counts as all of it."""


@dataclass(frozen=True)
class Gate:
    """What every admission of one moment looks at."""

    state: State
    fleet: Fleet
    ttl: timedelta
    telemetry_max_age: timedelta
    now: datetime

    @property
    def until(self) -> datetime:
        """Until when leases hold."""
        return leases.valid_until(self.state, self.ttl, self.now)

    @property
    def stale(self) -> bool:
        """Whether nobody vouches for the plan now."""
        return self.now >= self.until

    @property
    def vouched(self) -> datetime:
        """Until when what was planned counts as done."""
        return min(self.now, self.until)

    @cached_property
    def live(self) -> tuple[WorkloadRecord, ...]:
        """Workloads that have not ended."""
        return tuple(r for r in list(self.state.records.values()) if r.state in LIVE_STATES)

    @cached_property
    def held(self) -> Mapping[PoolKey, int]:
        """Accelerators that live workloads hold now by their leases, by pool."""
        held: dict[PoolKey, int] = {}
        for record in self.live:
            for a in leases.current(record.lease.allocations, self.now):
                held[a.site, a.pool] = held.get((a.site, a.pool), 0) + a.accelerators
        return held

    def goes_on(self, record: WorkloadRecord) -> bool:
        """Whether it stays in its old slots though nobody vouches for the plan: it may not be interrupted,
        and began while its lease was live.
        """
        if record.workload.interruptible or record.decided is WorkloadClass.REAL_TIME:
            return False
        held = leases.current(record.lease.allocations, self.now)
        return any(a.start < self.vouched for a in held)

    def most_held(self, key: PoolKey, end: datetime) -> int:
        """The most accelerators of a pool that leases in force hold at one moment of `[now, end)`.

        Under a stale plan, those of work that goes on.
        """
        held = [
            a
            for r in self.live
            if not self.stale or self.goes_on(r)
            for a in leases.clipped(r.lease.allocations, self.now)
            if (a.site, a.pool) == key and a.start < end
        ]
        starts = {a.start for a in held}
        return max((sum(a.accelerators for a in held if a.start <= t < a.end) for t in starts), default=0)

    def waits_for(self, record: WorkloadRecord) -> tuple[str, ...]:
        """What it depends on and is not done, also where that is late.

        What is not kept any more was done; real-time work without an amount has no end to wait for.
        """
        return tuple(d for d in record.workload.depends_on if self._unfinished(self.state.records.get(d)))

    def _unfinished(self, record: WorkloadRecord | None) -> bool:
        if record is None or record.state is WorkloadState.DONE or not record.workload.amount:
            return False
        return leases.done_at(record, self.fleet, self.vouched) < record.workload.amount * ENOUGH

    def measured(self, key: PoolKey) -> float | None:
        """Real-time load last measured in a pool; None where it never reported, or not lately."""
        sample = self.state.measured.get(key)
        if sample is None or self.now - sample.at > self.telemetry_max_age:
            return None
        return sample.realtime_accelerators

    def silent(self, key: PoolKey) -> bool:
        """Whether a pool reported once, and not lately."""
        return key in self.state.measured and self.measured(key) is None

    @cached_property
    def squeezed(self) -> Mapping[str, Mapping[PoolKey, int]]:
        """Accelerators that preemptible work yields now, by workload: measured real-time load needs them.

        The workload with the latest deadline yields first, in whole replicas.
        """
        taken: dict[str, dict[PoolKey, int]] = {}
        for key in self.held.keys() & self.state.measured.keys() & self.fleet.pools.keys():
            over = math.ceil(
                (self.measured(key) or 0.0) + self.held[key] - self.fleet.pools[key][1].count - 1e-9
            )
            for record in self._most_patient() if over > 0 else ():
                size = replica_size(record.workload, self.fleet, key)
                mine = leases.current(record.lease.allocations, self.now)
                has = sum(a.accelerators for a in mine if (a.site, a.pool) == key)
                gives = min(has, math.ceil(over / size) * size)
                if gives > 0:
                    taken.setdefault(record.id, {})[key] = gives
                    over -= gives
                if over <= 0:
                    break
        return taken

    def _most_patient(self) -> Iterable[WorkloadRecord]:
        yielding = [r for r in self.live if r.workload.preemptible]
        return sorted(yielding, key=lambda r: (r.window_deadline or r.submitted_at, r.id), reverse=True)
