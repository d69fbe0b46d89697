"""What every admission and every capacity figure of one moment looks at, worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from shifter.domain.fleet import Fleet, PoolKey, Site
from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass, work_left
from shifter.service import leases
from shifter.service.core import Core
from shifter.service.standing import Standing, standing
from shifter.service.state import State
from shifter.service.yielding import yields_at
from shifter.store.workloads import WorkloadRecord
from shifter.views import TelemetrySample, WorkloadState

STILL = timedelta(minutes=5)
"""What ended so lately may be running still: whoever runs it asks whether it may go on."""
FORGOTTEN = timedelta(days=1)
"""A meter that has been silent for longer is as one that never reported: its pool is unmetered again."""
PLAYED = timedelta(hours=1)
"""The same of what a drill told: where it was killed and could not take that back, it ends by itself."""


def is_forgotten(sample: TelemetrySample, now: datetime) -> bool:
    """Whether what it told counts no more."""
    return now - sample.at > (PLAYED if sample.drill else FORGOTTEN)


@dataclass(frozen=True)
class Gate:
    """What every admission of one moment looks at."""

    state: State
    fleet: Fleet
    ttl: timedelta
    telemetry_max_age: timedelta
    margin: timedelta
    hold: timedelta
    """How long measured load must have been lower before it counts as that."""
    now: datetime
    _by_site: dict[str, Mapping[str, Mapping[PoolKey, int]]] = field(
        default_factory=dict, init=False, repr=False
    )

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
    def standing(self) -> Standing:
        """Who holds what by lease now."""
        return standing(self.state, self.now)

    @property
    def live(self) -> tuple[WorkloadRecord, ...]:
        """Workloads that have not ended."""
        return self.standing.live

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
        holders = self.standing.holders.get(key[0], ())
        stands = (a for record in holders for a in self.stands_in(record) if (a.site, a.pool) == key)
        return sum(a.accelerators for a in stands) - self.yielded_in(key)

    def most_held(self, end: datetime) -> Mapping[PoolKey, int]:
        """The most accelerators of each pool that leases in force hold at one moment of `[now, end)`.

        Under a stale plan, those of work that goes on.
        """
        held: dict[PoolKey, list[Allocation]] = {}
        for record in self.live:
            if not self.stale or self.goes_on(record):
                for a in leases.clipped(record.lease.allocations, self.now):
                    if a.start < end:
                        held.setdefault((a.site, a.pool), []).append(a)
        return {
            key: max(sum(a.accelerators for a in of if a.start <= t < a.end) for t in {a.start for a in of})
            for key, of in held.items()
        }

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
        """Real-time load of a pool as it was measured, its highest of late; None where it is unmetered.

        Of a meter that fell silent the larger of that and the plan's quantile counts, and the whole pool where no plan
        tells that: what is not known reads neither as no demand nor as free.
        """
        sample = self.state.measured.get(key)
        if sample is None or is_forgotten(sample, self.now):
            return None
        level = self.state.levels.get(key)  # a drill may have ended since
        lately = (sample.realtime_accelerators or 0.0) if level is None else level.at(self.now, self.hold)
        if not self.silent(key):
            return lately
        published = self.state.published
        row = published.row_at(key, self.now) if published else None
        return max(
            lately, float(self.fleet.pools[key][1].present(self.now)) if row is None else row.realtime_q
        )

    def last_sample(self, key: PoolKey) -> TelemetrySample | None:
        """What last measured its real-time load; None where it is unmetered."""
        sample = self.state.measured.get(key)
        return None if sample is None or is_forgotten(sample, self.now) else sample

    def count(self, key: PoolKey, end: datetime | None = None) -> int:
        """Accelerators of a pool that there are now, or at the fewest up to `end`: by maintenance, and as was told.

        The fewest that were told of late: what was lost counts until it is told otherwise, and is back once it has been
        there for as long as measured load must have been low.
        """
        told, count = self.state.available.get(key), self.fleet.pools[key][1].present(self.now, end)
        if told is None or (told.drill and is_forgotten(told, self.now)):
            return count
        level = self.state.missing.get(key)  # a drill may have ended since
        there = told.available_accelerators if level is None else round(-level.at(self.now, self.hold))
        return min(count, max(0, there or 0))

    def played(self, key: PoolKey) -> bool:
        """Whether what a drill tells counts there now: of its load, or of its accelerators."""
        state = self.state
        for name, last, levels in (
            ("realtime_accelerators", state.measured, state.levels),
            ("available_accelerators", state.available, state.missing),
        ):
            real, sample, level = state.real_levels.get((*key, name)), last.get(key), levels.get(key)
            if real is None or sample is None or level is None or is_forgotten(sample, self.now):
                continue
            # A meter may have spoken since: the higher of the two counts.
            if sample.drill or level.at(self.now, self.hold) != real.at(self.now, self.hold):
                return True
        return False

    def silent(self, key: PoolKey) -> bool:
        """Whether a pool reported once and not lately, and is not forgotten yet."""
        sample = self.state.measured.get(key)
        if sample is None or is_forgotten(sample, self.now):
            return False
        return self.now - sample.at > self.telemetry_max_age

    def yields_of(self, record: WorkloadRecord) -> Mapping[PoolKey, int]:
        """Accelerators of its slots that a workload leaves to real-time load now, where it leaves any."""
        here = {a.site for a in leases.current(record.lease.allocations, self.now)}
        found: dict[PoolKey, int] = {}
        for name in here & self.fleet.by_site.keys():
            found.update(self.yielded_at(self.fleet.by_site[name]).get(record.id, {}))
        return found

    def yielded_in(self, key: PoolKey) -> int:
        """Accelerators of a pool that workloads leave to real-time load now."""
        return sum(taken.get(key, 0) for taken in self.yielded_at(self.fleet.by_site[key[0]]).values())

    def yielded_at(self, site: Site) -> Mapping[str, Mapping[PoolKey, int]]:
        """What workloads leave at one site, by workload; see `yielding`."""
        if site.name not in self._by_site:
            self._by_site[site.name] = yields_at(site, self)
        return self._by_site[site.name]

    @cached_property
    def grants(self) -> Mapping[str, tuple[Allocation, ...]]:
        """What work without a live slot may run in now, by workload; see `fallback`."""
        from shifter.service.fallback import fallback_grants

        return fallback_grants(self)


def gate_of(core: Core, now: datetime | None = None) -> Gate:
    """Everything that admissions of a moment look at."""
    config = core.config
    max_age, margin = (timedelta(seconds=s) for s in (config.telemetry_max_age_s, config.deadline_margin_s))
    hold = timedelta(seconds=config.guard_hold_s)
    return Gate(core.state, core.fleet, config.lease_ttl, max_age, margin, hold, now or core.now())
