"""What every admission and every capacity figure of one moment looks at, worked out once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.options import option_of
from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass, work_left
from shifter.service import leases
from shifter.service.core import Core
from shifter.service.state import State
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, WorkloadState

STILL = timedelta(minutes=5)
"""What ended so lately may be running still: whoever runs it asks whether it may go on."""
FORGOTTEN = timedelta(days=1)
"""A meter that has been silent for longer is as one that never reported: its pool is unmetered again."""


@dataclass(frozen=True)
class Gate:
    """What every admission of one moment looks at."""

    state: State
    fleet: Fleet
    ttl: timedelta
    telemetry_max_age: timedelta
    margin: timedelta
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

    def latest_start(self, record: WorkloadRecord) -> datetime | None:
        """By when it has to run where nobody vouches for a plan; see `leases.latest_start`."""
        return leases.latest_start(record, self.fleet, self.vouched, self.margin)

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

    def let_in(self, record: WorkloadRecord) -> tuple[Allocation, ...] | None:
        """What it was last told to run in, and may be running in still; None where nobody asked yet."""
        told = self.state.let_in.get(record.id)
        return None if told is None else tuple(a for a in told if a.end + STILL > self.now)

    def running(self, record: WorkloadRecord) -> Allocation | None:
        """The piece in which work runs that may not be interrupted. It stays there to its end, whatever is planned.

        It was let in there. Where nobody asked yet, it began where its lease holds, as far as that was vouched for.
        """
        if record.workload.interruptible or record.decided is WorkloadClass.REAL_TIME:
            return None
        held = leases.current(record.lease.allocations, self.now)
        told = self.let_in(record)
        if told is None:
            return next((a for a in held if a.start < self.vouched), None)
        if not told:
            return None
        return next((a for a in held if leases.place(a) == leases.place(told[0])), told[0])

    def goes_on(self, record: WorkloadRecord) -> bool:
        """Whether it runs in its slots and stays there, also where nobody vouches for the plan."""
        return self.running(record) in leases.current(record.lease.allocations, self.now)

    def stands_in(self, record: WorkloadRecord) -> tuple[Allocation, ...]:
        """What its lease lets it run in now, were there room for all."""
        held = leases.current(record.lease.allocations, self.now)
        piece = self.running(record) if held else None
        if piece is not None:
            return held if piece in held else ()
        return () if self.stale or self.waits_for(record) else held

    def let_in_slots(self, key: PoolKey) -> int:
        """Accelerators of a pool that workloads are let into now by their leases."""
        yields = sum(taken.get(key, 0) for taken in self.yielded.values())
        return sum(self._stands(record, key) for record in self.live) - yields

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
        return work_left(record.workload.amount, leases.done_at(record, self.fleet, self.vouched)) > 0

    def measured(self, key: PoolKey) -> float | None:
        """Real-time load of a pool as it was measured; None where it is unmetered.

        Of a meter that fell silent the larger of the last measured and the plan's quantile counts, and the whole
        pool where no plan tells that: what is not known reads neither as no demand nor as free.
        """
        sample = self.state.measured.get(key)
        if sample is None or self.now - sample.at > FORGOTTEN:
            return None
        last = sample.realtime_accelerators or 0.0
        if not self.silent(key):
            return last
        published = self.state.published
        row = published.row_at(key, self.now) if published else None
        return max(last, float(self.fleet.pools[key][1].present(self.now)) if row is None else row.realtime_q)

    def silent(self, key: PoolKey) -> bool:
        """Whether a pool reported once and not lately, and is not forgotten yet."""
        sample = self.state.measured.get(key)
        return sample is not None and self.telemetry_max_age < self.now - sample.at <= FORGOTTEN

    @cached_property
    def yielded(self) -> Mapping[str, Mapping[PoolKey, int]]:
        """Accelerators of their slots that workloads leave to measured real-time load now, by workload.

        First what may be preempted gives way, then what is not yet let in waits. What runs and may not be preempted
        stays. Among equals the latest deadline yields first; in whole replicas, and all of it where it may not be cut.
        """
        taken: dict[str, dict[PoolKey, int]] = {}
        for key in self.held.keys() & self.state.measured.keys() & self.fleet.pools.keys():
            if self._over(key, self.held[key]) <= 0:
                continue
            over = self._over(key, sum(self._stands(r, key) for r in self.live))
            for record in self._most_patient() if over > 0 else ():
                gives = self._gives(record, key, over)
                if gives > 0:
                    taken.setdefault(record.id, {})[key] = gives
                    over -= gives
                if over <= 0:
                    break
        return taken

    def _over(self, key: PoolKey, held: int) -> int:
        count = self.fleet.pools[key][1].present(self.now)
        # A plan's figures are rounded: that much is no load.
        return math.ceil((self.measured(key) or 0.0) + held - count - 1e-6)

    def _stands(self, record: WorkloadRecord, key: PoolKey) -> int:
        return sum(a.accelerators for a in self.stands_in(record) if (a.site, a.pool) == key)

    def _gives(self, record: WorkloadRecord, key: PoolKey, over: int) -> int:
        most = self._stands(record, key)
        if not record.workload.preemptible:
            most -= sum(a.accelerators for a in self.let_in(record) or () if (a.site, a.pool) == key)
        if most <= 0 or not record.workload.interruptible:
            return max(0, most)
        held = (a for a in self.stands_in(record) if (a.site, a.pool) == key)
        options = (option_of(record.workload, self.fleet, a) for a in held)
        size = max((option.replica for option in options if option is not None), default=1)
        return min(most, math.ceil(over / size) * size)

    def _most_patient(self) -> Iterable[WorkloadRecord]:
        def key(record: WorkloadRecord) -> tuple[bool, datetime, str]:
            return record.workload.preemptible, record.window_deadline or record.submitted_at, record.id

        return sorted(self.live, key=key, reverse=True)


def gate_of(core: Core, now: datetime | None = None) -> Gate:
    """Everything that admissions of a moment look at."""
    config = core.config
    max_age, margin = (timedelta(seconds=s) for s in (config.telemetry_max_age_s, config.deadline_margin_s))
    return Gate(core.state, core.fleet, config.lease_ttl, max_age, margin, now or core.now())
