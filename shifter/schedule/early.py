"""First come, first served: each job runs as early as it can, in each cell in the way that does most there.

One job after the other takes what those before it have left, cell by cell until its work is done. Where nothing is left
for work of a kind, no later job of that kind looks again. So there is a step for each cell that a job runs in, and few
more; such steps are taken in Python's plain numbers, which numpy's are slower than, one at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.answer import Uses
from shifter.schedule.follow import LEAST, Room, kw_share
from shifter.schedule.jobs import Job, Way
from shifter.schedule.problem import ScheduleProblem

DONE = 1e-9
"""What is left of a job that is done, of its hours."""

Stock = tuple[list[float], list[int], list[float]]
"""What is left of something, written to; of which of these a cell takes; and how much an accelerator takes there."""


def run_early(problem: ScheduleProblem, jobs: Sequence[Job], hours: Floats, room: Room) -> Uses:
    """Where each of these plain jobs runs, in their order, from its start until its `hours` (n_jobs,) are done, or the
    horizon ends. `room` is not written to.
    """
    stocks, kinds = _Stocks(problem, room), dict[tuple[int, bool, int], _Kind]()
    starts = np.array([job.true_start_us for job in jobs], dtype=np.int64)
    first_cells = np.searchsorted(problem.edges_us, starts).tolist()
    found = array("d")
    for j, job in enumerate(jobs):
        key = (id(job.ways), job.firm, job.tenant)
        if (kind := kinds.get(key)) is None:
            kind = kinds[key] = _Kind(stocks, job)
        width = float(job.max_accelerators)
        for number, cell, share in kind.run(first_cells[j], float(hours[j]) / width, width):
            found.extend((j, number, cell, share))
    rows = np.frombuffer(found).reshape(-1, 4)
    job_of, way, cells = rows[:, :3].T.astype(np.int64)
    return Uses(job_of, way, cells, rows[:, 3].copy())


class _Stocks:
    """What all that run share: accelerators of each pool by cell, import of each site and quotas by slot."""

    def __init__(self, problem: ScheduleProblem, room: Room) -> None:
        self.problem = problem
        self.any, self.firm = room.any.tolist(), room.firm.tolist()
        self.import_kw, self.quota = room.import_kw.tolist(), room.quota.tolist()
        self.cells, self.slots = list(range(problem.n_cells)), problem.cell_slot.tolist()
        self.one, self.kw_share = [1.0] * problem.n_cells, kw_share(problem)

    def taken(self, way: Way, job: Job) -> list[Stock]:
        """What a job takes of when it runs in a way."""
        found = [(self.any[way.pool], self.cells, self.one)]
        if job.firm:
            found.append((self.firm[way.pool], self.cells, self.one))
        if way.import_kw > 0:
            kw = self.import_kw[self.problem.pools[way.pool].site]
            found.append((kw, self.slots, (way.import_kw * self.kw_share).tolist()))
        if 0 <= job.tenant < self.problem.n_quotas and self.problem.quota_counts[job.tenant][way.pool]:
            found.append((self.quota[job.tenant], self.slots, self.problem.cell_share.tolist()))
        return found


class _Kind:
    """Jobs that take of the same stocks."""

    def __init__(self, stocks: _Stocks, like: Job) -> None:
        hours = stocks.problem.cell_hours
        self._end = len(hours)
        order = sorted(range(len(like.ways)), key=lambda i: -like.ways[i].speed)
        # The fastest first, each its number, the work that an accelerator does in each cell [h], and what it takes.
        self._ways = [
            (i, (way.speed * hours).tolist(), stocks.taken(way, like))
            for i, way in ((i, like.ways[i]) for i in order)
        ]
        self._next = list(range(self._end + 1))

    def run(self, first: int, to_do: float, width: float) -> Iterator[tuple[int, int, float]]:
        """Way, cell and share of it in which a job runs that is so wide; each of its accelerators has `to_do` [h]."""
        done, cell = DONE * to_do, first
        while to_do > done and (cell := self._next_open(cell)) < self._end:
            most, best = 0.0, None
            for way in self._ways:
                _, work, taken = way
                free = min([left[at[cell]] / each[cell] for left, at, each in taken])
                could = min(1.0, free / width) * work[cell] if free > LEAST else 0.0
                if could > most:
                    most, best = could, way
                if free >= width:  # those that follow are slower
                    break
            if best is None:  # nor has any of these jobs room there from now on
                self._next[cell] = cell + 1
            else:
                number, work, taken = best
                share = min(most, to_do) / work[cell]
                to_do -= share * work[cell]
                for left, at, each in taken:
                    left[at[cell]] -= share * width * each[cell]
                yield number, cell, share
            cell += 1

    def _next_open(self, cell: int) -> int:
        found, next_one = cell, self._next
        while next_one[found] != found:
            found = next_one[found]
        while cell != found:  # so that the next search is shorter
            next_one[cell], cell = found, next_one[cell]
        return found
