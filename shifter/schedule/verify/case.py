"""What every check looks at: the plan beside its inputs, and the sums that several checks need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from forecasts.frame import ForecastFrame
from forecasts.slots import Floats, SlotGrid
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet, GridEvent, PoolKey
from shifter.domain.plan import Allocation, Plan
from shifter.domain.workload import Classified
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.verify.ways import Way, WayKey, key_of, step_kw, ways_of

HOUR, NO_TIME = timedelta(hours=1), timedelta(0)
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

    @property
    def grid(self) -> SlotGrid:
        """The slots of the inputs."""
        return self.frame.grid

    @cached_property
    def by_workload(self) -> Mapping[str, list[Allocation]]:
        """What the plan allocates to each workload; nothing to those that it does not know."""
        groups: defaultdict[str, list[Allocation]] = defaultdict(list)
        for a in self.plan.allocations:
            groups[a.workload_id].append(a)
        return groups

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
        return self._done.get(id, 0.0)

    @cached_property
    def _done(self) -> Mapping[str, float]:
        done: dict[str, float] = {}
        for id, own in self.by_workload.items():
            used = ((a, self.ways[id].get(key_of(a))) for a in own)
            done[id] = sum(
                a.accelerators * way.rate * (max(NO_TIME, a.end - a.start - way.load) / HOUR)
                for a, way in used
                if way is not None
            )
        return done

    def short(self, id: str) -> bool:
        """Whether less than all of a workload's work is planned. What is pinned is as done as it will be."""
        return id not in self.pinned and self.done(id) < self.work[id].remaining * (1 - DONE_TOLERANCE)

    def due(self, id: str) -> bool:
        """Whether a workload must be done inside the horizon; what is due later can still be planned later."""
        deadline = self.work[id].deadline
        return deadline is None or deadline <= self.grid.end

    def quantile(self, key: PoolKey) -> Floats:
        """Real-time load at the quantile of its site [accelerators]."""
        return self.realtime.at(key, self.fleet.pools[key][0].resilience.quantile)

    def reserved(self, key: PoolKey) -> Floats:
        """What must be kept so that the load at the quantile survives the loss of domains [accelerators]."""
        site, pool = self.fleet.pools[key]
        kept = 1 - site.resilience.lose_domains / pool.failure_domains
        needed = self.quantile(key) / kept if kept > 0 else np.full(self.grid.n_slots, np.inf)
        return np.minimum(needed, pool.count)

    @cached_property
    def used(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators of all allocations."""
        return mean_use(self, self.plan.allocations)

    @cached_property
    def busy_kw(self) -> Mapping[PoolKey, Floats]:
        """What all allocations add to their site's import, by pool [kW]."""
        return self._drawn_kw(self.plan.allocations, self.used)

    @cached_property
    def held_kw(self) -> Mapping[PoolKey, Floats]:
        """What pinned work adds to it."""
        return self._drawn_kw(list(self.pinned.values()), self.held)

    @cached_property
    def held(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators of what is pinned."""
        return mean_use(self, self.pinned.values())

    def _drawn_kw(
        self, allocations: Sequence[Allocation], used: Mapping[PoolKey, Floats]
    ) -> dict[PoolKey, Floats]:
        """Their mean accelerators at full power, less what those under a cap save."""
        capped = [a for a in allocations if a.cap_kw is not None]
        saved = mean_use(
            self, capped, [self.step_kw(replace(a, cap_kw=None)) - self.step_kw(a) for a in capped]
        )
        return {
            key: step_kw(site, pool, None) * used[key] - saved[key]
            for key, (site, pool) in self.fleet.pools.items()
        }

    def step_kw(self, a: Allocation) -> float:
        """What one accelerator of an allocation adds to its site's import [kW]."""
        return step_kw(*self.fleet.pools[a.site, a.pool], a.cap_kw)

    @cached_property
    def off(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators that the plan powers down; 0 where its row says nothing."""
        groups: defaultdict[PoolKey, list[float]] = defaultdict(list)
        for row in self.plan.slots:
            groups[row.site, row.pool].append(row.off or 0.0)
        return {key: np.array(groups[key]) for key in self.fleet.pools}

    @cached_property
    def any_room(self) -> Mapping[PoolKey, Floats]:
        """Mean accelerators that real-time load and pinned work leave."""
        return {key: self._room(key, firm=False) for key in self.fleet.pools}

    @cached_property
    def firm_room(self) -> Mapping[PoolKey, Floats]:
        """The same for work that may not be preempted, and so may not stand in the reserve."""
        return {key: self._room(key, firm=True) for key in self.fleet.pools}

    def _room(self, key: PoolKey, *, firm: bool) -> Floats:
        kept = self.reserved(key) if firm else self.quantile(key)
        room = np.maximum(0.0, self.fleet.pools[key][1].count - kept)
        left = room.copy()
        beside = [a for a in self.pinned.values() if (a.site, a.pool) == key]
        if firm:
            beside = [a for a in beside if not self.work[a.workload_id].workload.preemptible]
        for start, end, level, _ in levels(beside):
            slots = slots_between(self.grid, start, end)
            at = np.arange(slots.start, slots.stop)
            share = np.minimum(at + 1, self.grid.position(end)) - np.maximum(at, self.grid.position(start))
            left[at] -= share * np.minimum(room[at], level)
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


def mean_use(
    case: Case, allocations: Iterable[Allocation], weight: Sequence[float] | None = None
) -> dict[PoolKey, Floats]:
    """Mean accelerators by slot, of every pool; or of what each of them counts as.

    An allocation that ends in slot j has used, of all time up to there, the part of j before its end and all slots
    before j; what it has used by its start is taken off again.
    """
    n = case.grid.n_slots
    row = {key: i * (n + 1) for i, key in enumerate(case.fleet.pools)}
    given = list(allocations)
    place = np.array([row[a.site, a.pool] for a in given], dtype=np.int64)
    count = np.array([a.accelerators for a in given], dtype=float)
    if weight is not None:
        count = count * np.array(weight, dtype=float)
    inside, whole = np.zeros(len(row) * (n + 1)), np.zeros(len(row) * (n + 1))
    for moments, sign in (([a.end for a in given], 1.0), ([a.start for a in given], -1.0)):
        at = positions(case.grid, moments)
        slot = np.clip(np.floor(at), 0, n).astype(np.int64)
        np.add.at(inside, place + slot, sign * count * (at - slot))
        np.add.at(whole, place + slot, sign * count)
    # Whole slots: those before the end less those before the start, counted from the last slot backwards.
    after = np.cumsum(whole.reshape(-1, n + 1)[:, ::-1], axis=1)[:, ::-1] - whole.reshape(-1, n + 1)
    use = (inside.reshape(-1, n + 1) + after)[:, :n]
    noise = 1e-14 * float(np.abs(count).sum())  # of adding and taking off again
    return {key: np.where(np.abs(use[i]) <= noise, 0.0, use[i]) for i, key in enumerate(row)}


def positions(grid: SlotGrid, moments: Iterable[datetime]) -> Floats:
    """Where moments lie, in slots from the grid's start."""
    start = grid.start
    since = (moment - start for moment in moments)
    microseconds = np.array(
        [(d.days * 86_400 + d.seconds) * 1_000_000 + d.microseconds for d in since], dtype=np.int64
    )
    return microseconds / (grid.slot // timedelta(microseconds=1))


def slots_between(grid: SlotGrid, start: datetime, end: datetime) -> range:
    """Slots of the grid that `[start, end)` touches."""
    first, last = (start - grid.start) // grid.slot, -((grid.start - end) // grid.slot)
    return range(max(0, first), max(0, min(grid.n_slots, last)))


def levels(
    allocations: Iterable[Allocation], pinned: Container[str] = ()
) -> Iterator[tuple[datetime, datetime, int, int]]:
    """Accelerators in use between one change and the next, and how many of them are not `pinned`."""
    changes: defaultdict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for a in allocations:
        free = 0 if a.workload_id in pinned else a.accelerators
        for moment, sign in ((a.start, 1), (a.end, -1)):
            changes[moment][0] += sign * a.accelerators
            changes[moment][1] += sign * free
    level = of_plan = 0
    for moment, following in pairwise(sorted(changes)):
        level, of_plan = level + changes[moment][0], of_plan + changes[moment][1]
        if level:
            yield moment, following, level, of_plan


def differs(said: ArrayLike, real: ArrayLike, tolerance: ArrayLike) -> bool:
    """Whether any of the figures is off by more than its tolerance, or is no number."""
    return not bool((np.abs(np.subtract(said, real)) <= tolerance).all())
