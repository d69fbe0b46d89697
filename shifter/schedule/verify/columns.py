"""A plan's allocations, and the work that they are of, as columns: a million of them are checked at once.

Moments are whole microseconds from the grid's start. Each column is read from its objects once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats, SlotGrid
from shifter.domain.fleet import PoolKey
from shifter.domain.rows import Allocation
from shifter.domain.workload import Classified
from shifter.schedule.verify.ways import Way, WayKey, key_of

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

HOUR_US = 3_600_000_000
NEVER_US = 2**62
"""Beyond all moments."""
_NEVER = timedelta(microseconds=NEVER_US)


def microseconds(span: timedelta) -> int:
    """A span in whole microseconds."""
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def since_us(grid: SlotGrid, moments: Iterable[datetime | None]) -> Ints:
    """Moments from the grid's start on [us]; none is `NEVER_US`."""
    spans = [_NEVER if moment is None else moment - grid.start for moment in moments]
    us = [(s.days * 86_400 + s.seconds) * 1_000_000 + s.microseconds for s in spans]
    return np.array(us, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class WorkColumns:
    """What was to be planned and what is pinned, one row each, (n_work,) each column."""

    earliest_us: Ints
    deadline_us: Ints
    """As its chain leaves it; `NEVER_US` without one."""
    own_deadline_us: Ints
    """What it came with, if any."""
    remaining: Floats
    """[its unit]"""
    most: Ints
    """Accelerators at once."""
    soft: Flags
    """It may be preempted."""
    pinned: Flags
    kind: Ints
    """Equal for work that may be done in the same ways."""

    @classmethod
    def of(
        cls,
        work: Collection[Classified],
        ways: Iterable[Mapping[WayKey, Way]],
        pinned: Collection[str],
        grid: SlotGrid,
    ) -> WorkColumns:
        """Equal `ways`, one mapping for each item of work, are the same object."""
        numbers: dict[int, int] = {}
        plain = [item.workload for item in work]
        return cls(
            since_us(grid, (item.earliest_start for item in work)),
            since_us(grid, (item.deadline for item in work)),
            since_us(grid, (w.deadline for w in plain)),
            np.array([item.remaining for item in work], dtype=float),
            np.array([w.max_accelerators for w in plain], dtype=np.int64),
            np.array([w.preemptible for w in plain], dtype=bool),
            np.array([w.id in pinned for w in plain], dtype=bool),
            np.array([numbers.setdefault(id(w), len(numbers)) for w in ways], dtype=np.int64),
        )


@dataclass(frozen=True, eq=False)
class Columns:
    """Allocations, one row each, (n,) each column; `work` and `pool` count the work and the fleet's pools."""

    work: Ints
    pool: Ints
    start_us: Ints
    end_us: Ints
    accelerators: Ints
    said: Ints
    """Which of `keys` the allocation names."""
    keys: tuple[WayKey, ...]

    @classmethod
    def of(
        cls,
        allocations: Sequence[Allocation],
        position: Mapping[str, int],
        pools: Iterable[PoolKey],
        grid: SlotGrid,
    ) -> Columns:
        """`position` is that of each workload by its id. Raises KeyError for what nobody knows."""
        keys: dict[WayKey, int] = {}
        said = np.array([keys.setdefault(key_of(a), len(keys)) for a in allocations], dtype=np.int64)
        index = {key: i for i, key in enumerate(pools)}
        return cls(
            np.array([position[a.workload_id] for a in allocations], dtype=np.int64),
            np.array([index[key] for key, _, _ in keys], dtype=np.int64)[said],
            since_us(grid, (a.start for a in allocations)),
            since_us(grid, (a.end for a in allocations)),
            np.array([a.accelerators for a in allocations], dtype=np.int64),
            said,
            tuple(keys),
        )

    def where(self, chosen: Flags) -> Columns:
        """Some of them."""
        return Columns(
            self.work[chosen],
            self.pool[chosen],
            self.start_us[chosen],
            self.end_us[chosen],
            self.accelerators[chosen],
            self.said[chosen],
            self.keys,
        )

    def span_us(self, n_work: int) -> tuple[Ints, Ints]:
        """Start of the first and end of the last allocation of each workload; `NEVER_US` where it has none."""
        first, last = np.full(n_work, NEVER_US), np.full(n_work, -NEVER_US)
        np.minimum.at(first, self.work, self.start_us)
        np.maximum.at(last, self.work, self.end_us)
        return first, np.where(last == -NEVER_US, NEVER_US, last)

    def mean_use(self, grid: SlotGrid, n_pools: int, weight: Floats | None = None) -> Floats:
        """Mean accelerators by pool and slot, (n_pools, n_slots); or of what each of them counts as.

        An allocation that ends in slot j has used, of all time up to there, the part of j before its end and all slots
        before j; what it has used by its start is taken off again.
        """
        n, slot_us = grid.n_slots, microseconds(grid.slot)
        count = self.accelerators.astype(float) if weight is None else self.accelerators * weight
        inside, whole = (np.zeros((n_pools, n + 1)) for _ in range(2))
        for moments, sign in ((self.end_us, 1.0), (self.start_us, -1.0)):
            slot = np.clip(moments // slot_us, 0, n)
            np.add.at(inside, (self.pool, slot), sign * count * (moments / slot_us - slot))
            np.add.at(whole, (self.pool, slot), sign * count)
        # Whole slots: those before the end less those before the start, counted from the last slot backwards.
        after = np.cumsum(whole[:, ::-1], axis=1)[:, ::-1] - whole
        use = (inside + after)[:, :n]
        noise = 1e-14 * float(np.abs(count).sum())  # of adding and taking off again
        return np.where(np.abs(use) <= noise, 0.0, use)


@dataclass(frozen=True, eq=False)
class Levels:
    """What is in use in each row between one change and the next, where that is anything, (n,) each."""

    row: Ints
    start_us: Ints
    end_us: Ints
    level: Ints
    part: Ints
    """Of the level, what was counted as a part of it."""

    @classmethod
    def of(cls, columns: Columns, row: Ints, part: Flags | None = None) -> Levels:
        """Of these allocations, each in its `row`; `part` says which are counted as the part."""
        count = columns.accelerators
        some = count if part is None else np.where(part, count, 0)
        rows, moment = np.tile(row, 2), np.concatenate([columns.start_us, columns.end_us])
        order = np.lexsort((moment, rows))
        rows, moment = rows[order], moment[order]
        # Every row ends with nothing in use, so sums may run on from one to the next.
        level, of_part = (np.cumsum(np.concatenate([n, -n])[order]) for n in (count, some))
        last = np.flatnonzero((np.diff(rows, append=-1) != 0) | (np.diff(moment, append=-1) != 0))
        goes_on = np.append(rows[last][1:] == rows[last][:-1], False)[: len(last)]
        at, following = last[goes_on], last[np.flatnonzero(goes_on) + 1]
        used = level[at] > 0
        at, following = at[used], following[used]
        return cls(rows[at], moment[at], moment[following], level[at], of_part[at])

    def slots(self, grid: SlotGrid) -> tuple[Ints, Ints]:
        """Every slot of the grid that a level lasts in, and which level that is, (n_pairs,) each."""
        slot_us = microseconds(grid.slot)
        first = np.clip(self.start_us // slot_us, 0, grid.n_slots)
        count = np.clip(-(-self.end_us // slot_us), first, grid.n_slots) - first
        which = np.repeat(np.arange(len(first)), count)
        begin = np.cumsum(count) - count
        return first[which] + np.arange(len(which)) - begin[which], which
