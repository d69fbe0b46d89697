"""What every check looks at: the plan beside its inputs, and the sums that several checks need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Classified
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.verify.columns import (
    HOUR_US,
    Columns,
    Flags,
    Ints,
    Levels,
    WorkColumns,
    microseconds,
    since_us,
)
from shifter.schedule.verify.domains import through_loss
from shifter.schedule.verify.loading import left_to_load
from shifter.schedule.verify.ways import Way, WayKey, key_of, step_kw, ways_of

SLACK = timedelta(milliseconds=1)
"""Moments this near to each other are one: plans are in whole microseconds, files of others in seconds."""
LEVEL_TOLERANCE = 1e-4
"""Accelerators."""
DONE_TOLERANCE = 1e-4
"""Share of a workload's work: what rounding to whole microseconds may cost."""


@dataclass(frozen=True, eq=False)
class Case:
    """A plan beside its inputs. Arrays are (n_slots,), by pool."""

    plan: Plan
    work: Mapping[str, Classified]
    """By id: what was to be planned, and what is pinned."""
    now: datetime
    fleet: Fleet
    frame: ForecastFrame
    realtime: RealtimeLoad
    grid_events: tuple[GridEvent, ...]
    pinned: Mapping[str, Allocation]
    """By workload: where it runs and must stay, from `now` on and inside the horizon."""
    announced: Announced | None = None
    """What the plan before it said."""
    hold_gap: float = 0.0
    """By how much more than the plan that solved it one that holds it may be above its bound; below 0, none may."""

    @property
    def grid(self) -> SlotGrid:
        """The slots of the inputs."""
        return self.frame.grid

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Where each workload stands in columns of work, by its id."""
        return {id: row for row, id in enumerate(self.work)}

    @cached_property
    def about(self) -> WorkColumns:
        """The work as columns."""
        ways = (self.ways[id] for id in self.work)
        return WorkColumns.of(self.work.values(), ways, self.pinned, self.grid)

    @cached_property
    def columns(self) -> Columns:
        """What the plan allocates, as columns. All names must be known."""
        return self.columns_of(self.plan.allocations)

    def columns_of(self, allocations: Sequence[Allocation]) -> Columns:
        """Any allocations as columns."""
        return Columns.of(allocations, self.rows, self.fleet.pools, self.grid)

    def own(self, id: str) -> list[Allocation]:
        """What the plan allocates to a workload."""
        order, first = self._by_work
        row = self.rows[id]
        return [self.plan.allocations[i] for i in order[first[row] : first[row + 1]].tolist()]

    @cached_property
    def _by_work(self) -> tuple[Ints, Ints]:
        """Allocations in the order of their work, and where those of each begin."""
        order = np.argsort(self.columns.work, kind="stable")
        return order, np.searchsorted(self.columns.work[order], np.arange(len(self.work) + 1))

    @cached_property
    def ways(self) -> Mapping[str, Mapping[WayKey, Way]]:
        """In which ways each workload may be done."""
        alike: dict[object, Mapping[WayKey, Way]] = {}
        ways = {}
        for id, item in self.work.items():
            w = item.workload
            of_tokens = w.tokens if w.alternatives else w.tokens is None
            kind = (w.model, of_tokens, w.alternatives, w.accelerators, w.data_boundary, w.sites)
            if kind not in alike:
                alike[kind] = ways_of(w, self.fleet)
            ways[id] = alike[kind]
        return ways

    def usable(self, id: str) -> list[Way]:
        """Those of its `ways` of which it may use a whole replica."""
        most = self.work[id].workload.max_accelerators
        return [way for way in self.ways[id].values() if way.replica <= most]

    def fastest(self, id: str) -> float | None:
        """The most that an accelerator-hour can do of a workload [its unit]; None where nothing may run it."""
        return max((way.rate for way in self.ways[id].values()), default=None)

    def done(self, id: str) -> float:
        """Work that the plan does of a workload, load time taken off [its unit]."""
        return float(self.done_work[self.rows[id]])

    @cached_property
    def way_of(self) -> tuple[tuple[Way | None, ...], Ints]:
        """Ways that allocations are done in, None being none of their work's own; and which of them each is."""
        columns = self.columns
        said = self.about.kind[columns.work] * max(1, len(columns.keys)) + columns.said
        _, first, which = np.unique(said, return_index=True, return_inverse=True)
        allocations = [self.plan.allocations[i] for i in first.tolist()]
        return tuple(self.ways[a.workload_id].get(key_of(a)) for a in allocations), which

    @cached_property
    def done_work(self) -> Floats:
        """Work that the plan does, load time taken off [each in its unit], (n_work,)."""
        columns, (ways, which) = self.columns, self.way_of
        rate = np.array([0.0 if way is None else way.rate for way in ways])[which]
        load = np.array([0 if way is None else microseconds(way.load) for way in ways], dtype=np.int64)[which]
        begun = np.flatnonzero(columns.start_us == since_us(self.grid, [self.now])).tolist()
        goes_on = {i: self.plan.allocations[i] for i in begun}
        for i, left in left_to_load(goes_on, self.announced, self.now, self.ways).items():
            load[i] = microseconds(left)
        hours = np.maximum(0, columns.end_us - columns.start_us - load) / HOUR_US
        return np.bincount(columns.work, columns.accelerators * rate * hours, len(self.work)).astype(float)

    @cached_property
    def short_work(self) -> Flags:
        """Whether less than all of each workload is planned, (n_work,). What is pinned is as done as it will be."""
        short: Flags = self.done_work < self.about.remaining * (1 - DONE_TOLERANCE)
        return short & ~self.about.pinned

    def short(self, id: str) -> bool:
        """Whether less than all of a workload's work is planned."""
        return bool(self.short_work[self.rows[id]])

    def due(self, id: str) -> bool:
        """Whether a workload must be done inside the horizon; what is due later can still be planned later."""
        deadline = self.work[id].deadline
        return deadline is None or deadline <= self.grid.end

    def quantile(self, key: PoolKey) -> Floats:
        """Real-time load at the quantile of its site [accelerators]."""
        return self.realtime.at(key, self.fleet.pools[key][0].resilience.quantile)

    def reserved(self, key: PoolKey) -> Floats:
        """What must be kept so that the load at the quantile survives what it is to survive [accelerators]."""
        return self.reserves[key]

    @cached_property
    def reserves(self) -> Mapping[PoolKey, Floats]:
        """What each pool must keep; of those that take over from others, what the plan says, which is never less."""
        grouped = {name for group in self.fleet.failover_groups for name in group.sites}
        said: defaultdict[PoolKey, list[float]] = defaultdict(list)
        for row in self.plan.slots:
            said[row.site, row.pool].append(row.reserved)
        own = {key: self.through_domains(key) for key in self.fleet.pools}
        return {
            key: np.clip(said[key], least, self.count(key)) if key[0] in grouped else least
            for key, least in own.items()
        }

    def through_domains(self, key: PoolKey) -> Floats:
        """What a pool must keep so that the load at the quantile survives the loss of its own domains."""
        site, pool = self.fleet.pools[key]
        count = self.count(key)
        return np.minimum(through_loss(self.quantile(key), pool, site.resilience.lose_domains, count), count)

    def kept(self, key: PoolKey) -> Floats:
        """What no deferrable work may stand in [accelerators]."""
        strict = self.fleet.pools[key][0].resilience.mode == "strict"
        return self.reserved(key) if strict else self.quantile(key)

    def count(self, key: PoolKey) -> Floats:
        """Accelerators that are there: not away for maintenance."""
        pool = self.fleet.pools[key][1]
        return np.array([pool.present(a, b) for a, b in pairwise(self.grid.edges)], dtype=float)

    def mean_use(self, columns: Columns, weight: Floats | None = None) -> dict[PoolKey, Floats]:
        """Mean accelerators of allocations by slot, of every pool; or of what each of them counts as."""
        use = columns.mean_use(self.grid, len(self.fleet.pools), weight)
        return dict(zip(self.fleet.pools, use, strict=True))

    @cached_property
    def used(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators of all allocations."""
        return self.mean_use(self.columns)

    @cached_property
    def busy_kw(self) -> Mapping[PoolKey, Floats]:
        """What all allocations add to their site's import, by pool [kW]."""
        return self.mean_use(self.columns, self.step_kw(self.columns))

    @cached_property
    def held_columns(self) -> Columns:
        """What is pinned, as columns."""
        return self.columns_of(list(self.pinned.values()))

    @cached_property
    def held_kw(self) -> Mapping[PoolKey, Floats]:
        """What pinned work adds to it."""
        return self.mean_use(self.held_columns, self.step_kw(self.held_columns))

    @cached_property
    def held(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators of what is pinned."""
        return self.mean_use(self.held_columns)

    def step_kw(self, columns: Columns) -> Floats:
        """What one accelerator of each allocation adds to its site's import [kW]."""
        steps = [step_kw(*self.fleet.pools[key], cap_kw) for key, _, cap_kw in columns.keys]
        return np.array(steps, dtype=float)[columns.said]

    @cached_property
    def off(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators that the plan powers down; 0 where its row says nothing."""
        groups: defaultdict[PoolKey, list[float]] = defaultdict(list)
        for row in self.plan.slots:
            groups[row.site, row.pool].append(row.off or 0.0)
        return {key: np.array(groups[key]) for key in self.fleet.pools}

    @cached_property
    def any_room(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators that real-time load and pinned work leave, in what is left of each slot."""
        return {key: self._room(key, firm=False) for key in self.fleet.pools}

    @cached_property
    def firm_room(self) -> Mapping[PoolKey, Floats]:
        """The same for work that may not be preempted, and so may not stand in the reserve."""
        return {key: self._room(key, firm=True) for key in self.fleet.pools}

    def _room(self, key: PoolKey, *, firm: bool) -> Floats:
        kept = self.reserved(key) if firm else self.kept(key)
        room = np.maximum(0.0, self.count(key) - kept)
        left = room.copy()
        beside = self.held_columns.where(self.held_columns.pool == list(self.fleet.pools).index(key))
        if firm:
            beside = beside.where(~self.about.soft[beside.work])
        held, slot_us = Levels.of(beside, beside.pool), microseconds(self.grid.slot)
        slot, which = held.slots(self.grid)
        begin, end = np.maximum(slot * slot_us, held.start_us[which]), (slot + 1) * slot_us
        share = (np.minimum(end, held.end_us[which]) - begin) / slot_us * self.rest_ratio[slot]
        np.subtract.at(left, slot, share * np.minimum(room[slot], held.level[which]))
        return left

    @cached_property
    def rest_ratio(self) -> Floats:
        """A slot's length against what is left of it: 1, and more in the slot that holds `now`.

        Nothing of the plan runs in the part that is gone, so under the power limit a mean over that slot counts this
        many times: what has run there drew power too.
        """
        ratio = np.ones(self.grid.n_slots)
        gone = self.now - self.grid.start
        if timedelta(0) < gone < self.grid.slot:
            ratio[0] = self.grid.slot / (self.grid.slot - gone)
        return ratio


def differs(said: ArrayLike, real: ArrayLike, tolerance: ArrayLike) -> bool:
    """Whether any of the figures is off by more than its tolerance, or is no number."""
    return not bool((np.abs(np.subtract(said, real)) <= tolerance).all())
