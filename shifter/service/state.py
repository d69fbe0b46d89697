"""What is served, in memory: it answers every reader, also while a cycle runs and while the
database is away.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from forecasts.series import Signal
from shifter.domain.fleet import PoolKey
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation, PowerRow, SlotRow, Unplaced, WorkloadPlan
from shifter.domain.workload import Override
from shifter.store.meters import Meter
from shifter.store.traffic import Arrived
from shifter.store.workloads import LetIn, WorkloadRecord
from shifter.views import AdmissionState, CycleView, Event, LearntView, SourceView, TelemetrySample

if TYPE_CHECKING:
    from shifter.service.level import Level
    from shifter.service.peaks import Course
    from shifter.service.preemption import Stopping
    from shifter.service.standing import Standing

EVENTS_KEPT = 10_000

Row = TypeVar("Row", SlotRow, PowerRow)


@dataclass(frozen=True)
class Published:
    """The current plan with what is looked up in it."""

    plan: Plan
    version: int
    at: datetime

    @cached_property
    def shares(self) -> Mapping[str, WorkloadPlan]:
        """Each workload's share, by id."""
        return {w.workload_id: w for w in self.plan.workloads}

    @cached_property
    def unplaced(self) -> Mapping[str, Unplaced]:
        """What could not be placed in time, by workload."""
        return {u.workload_id: u for u in self.plan.unplaced}

    @cached_property
    def rows(self) -> Mapping[PoolKey, tuple[SlotRow, ...]]:
        """Slots by pool, in time."""
        found: defaultdict[PoolKey, list[SlotRow]] = defaultdict(list)
        for row in self.plan.slots:
            found[row.site, row.pool].append(row)
        return {key: tuple(sorted(rows, key=lambda r: r.start)) for key, rows in found.items()}

    @cached_property
    def power(self) -> Mapping[str, tuple[PowerRow, ...]]:
        """What each site draws, in time."""
        found: defaultdict[str, list[PowerRow]] = defaultdict(list)
        for row in self.plan.power:
            found[row.site].append(row)
        return {site: tuple(sorted(rows, key=lambda r: r.start)) for site, rows in found.items()}

    @cached_property
    def allocations(self) -> Mapping[str, tuple[Allocation, ...]]:
        """Each workload's allocations, in time."""
        found: defaultdict[str, list[Allocation]] = defaultdict(list)
        for a in self.plan.allocations:
            found[a.workload_id].append(a)
        return {
            key: tuple(sorted(of, key=lambda a: (a.start, a.site, a.pool, a.end)))
            for key, of in found.items()
        }

    def row_at(self, key: PoolKey, now: datetime) -> SlotRow | None:
        """What a pool holds in the slot of this moment; None outside the plan."""
        return _at(self.rows.get(key, ()), now)

    def power_at(self, site: str, now: datetime) -> PowerRow | None:
        """What a site draws in the slot of this moment; None outside the plan."""
        return _at(self.power.get(site, ()), now)


def _at(rows: Sequence[Row], now: datetime) -> Row | None:
    if not rows:
        return None
    i = (now - rows[0].start) // (rows[0].end - rows[0].start)
    return rows[i] if 0 <= i < len(rows) else None


@dataclass
class State:
    """Written by `Core.change`, under `changed`; each value in it is immutable, so readers copy references.

    What is only remembered of the answers that were given (`admitted`, `apart`) is in no store.
    """

    changed: threading.Condition = field(default_factory=threading.Condition)
    records: dict[str, WorkloadRecord] = field(default_factory=dict)
    published: Published | None = None
    overrides: tuple[Override, ...] = ()
    worded: tuple[Override, ...] | None = None
    """The overrides under which the reasons of all live records were put into words by this process."""
    grid_events: tuple[GridEvent, ...] = ()
    measured: dict[PoolKey, TelemetrySample] = field(default_factory=dict)
    """The last sample of real-time load of each pool that ever reported."""
    arrived: Mapping[PoolKey, Arrived] = field(default_factory=dict)
    """The last traffic that each pool was told of since the start: the store keeps the highest of five minutes."""
    levels: dict[PoolKey, Level] = field(default_factory=dict)
    """What the real-time load of each of these pools is taken to be."""
    there: Mapping[PoolKey, int] = field(default_factory=dict)
    """Accelerators that there were at the last beat, of pools of which that was told."""
    planned_levels: dict[PoolKey, float] = field(default_factory=dict)
    """The level of each pool at its last sample: only a higher one is reason for another plan."""
    missing: dict[PoolKey, Level] = field(default_factory=dict)
    """The same of accelerators that there are, below zero: what is lost counts at once, what is back late."""
    real_levels: dict[tuple[str, str, str], Level] = field(default_factory=dict)
    """While a drill is on: both levels without it, by site, pool and what is told."""
    available: dict[PoolKey, TelemetrySample] = field(default_factory=dict)
    """The last sample of each pool that told how many of its accelerators there are."""
    aside: Mapping[tuple[str, str, str], TelemetrySample] = field(default_factory=dict)
    """By pool and field, what a meter last told before a drill spoke in its place."""
    pressed: Mapping[PoolKey, tuple[str, float]] = field(default_factory=dict)
    """Where work yields: the plan in force when that was last looked at, and accelerators that real-time load left."""
    measured_import: dict[str, TelemetrySample] = field(default_factory=dict)
    """The last sample of the import of each site that ever reported."""
    meters: Mapping[str, Meter] = field(default_factory=dict)
    """What each site has drawn, as far as it is counted."""
    courses: Mapping[str, Course] = field(default_factory=dict)
    """What each site imports by the current plan."""
    telemetry_stale: frozenset[PoolKey] = frozenset()
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    alive_at: datetime | None = None
    """The daemon's last sign of life."""
    alive_kept_at: datetime | None = None
    """The last of these that is in the store."""
    generation: int = 0
    """How often `records` changed."""
    standing: Standing | None = None
    """Who held what by lease when that was last asked."""
    yielded: Mapping[str, Mapping[str, Mapping[PoolKey, int]]] = field(default_factory=dict)
    """Accelerators of their slots that workloads were last told to leave to real-time load, by site and workload."""
    left: Mapping[str, Mapping[str, Mapping[PoolKey, int]]] = field(default_factory=dict)
    """What they were left there then, likewise."""
    stopping: Mapping[str, Stopping] = field(default_factory=dict)
    """Who was told to leave accelerators, and has not said that it did."""
    freed: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """How long that took of late, by site [s]."""
    admitted: dict[str, AdmissionState] = field(default_factory=dict)
    """What each live workload was told at the last tick, for `admission.changed`."""
    let_in: dict[str, tuple[Allocation, ...]] = field(default_factory=dict)
    """What each live workload was last told to run in, by whoever asked; no entry where nobody asked yet."""
    kept_let_in: dict[str, LetIn] = field(default_factory=dict)
    """What the store knows of that."""
    apart: frozenset[str] = frozenset()
    """Workloads that at the last tick were not let into what their leases hold, or into something else."""
    planned_ids: frozenset[str] = frozenset()
    """Workloads that the current plan knew of when it was made."""
    last_cycle: CycleView | None = None
    sources: dict[str, SourceView] = field(default_factory=dict)
    learnt: dict[tuple[str, Signal], LearntView] = field(default_factory=dict)
    """What was learnt from vintages of each zone and signal."""
    candidate: dict[tuple[str, Signal], LearntView] = field(default_factory=dict)
    """The same by the rules that are on trial."""
    faults: dict[str, str] = field(default_factory=dict)
    """What is wrong now, by subject; empty when all is well."""
    forecast_known_at: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When the newest vintage in use was learnt, by zone and signal."""
