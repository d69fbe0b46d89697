"""Which accelerators may be powered down: those that neither real-time load, its reserve nor work needs, instant by
instant.

A mean over a slot is not enough to say so. Where preemptible work stands in the margin for half of a slot and firm work
outside it for the other half, either mean may leave room that no instant has: the mean of a minimum is at most the
minimum of the means. The program works with means, which is a relaxation; what is powered down in the end keeps to
this.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem


def idle_room(problem: ScheduleProblem, pieces: Iterable[Piece] = ()) -> dict[int, Floats]:
    """By pool that rests, mean idle accelerators from now on beside what is pinned and these pieces, (3, n_slots).

    Beside all of them; beside what is firm, outside the reserve; and beside both at every instant.
    """
    firm = {job.id: job.firm for job in problem.jobs}
    held = [(p.pool, p.start_us, p.end_us, p.accelerators, firm[p.job]) for p in pieces]
    held += [(p.pool, p.start_us, p.end_us, p.accelerators, p.firm) for p in problem.pinned]
    return {
        p: _room(problem, spare, [piece[1:] for piece in held if piece[0] == p])
        for p in problem.pools_that_rest
        if (spare := problem.pools[p].spare) is not None
    }


def _room(problem: ScheduleProblem, spare: Floats, held: list[tuple[int, int, int, bool]]) -> Floats:
    n, slot_us = problem.grid.n_slots, problem.slot_us
    start, end, count, firm = np.array(held, dtype=np.int64).reshape(-1, 4).T
    edges = np.unique(np.concatenate([np.arange(n + 1) * slot_us, [problem.now_us], start, end]))
    slot = edges[:-1] // slot_us
    room = []
    for capacity, level in ((spare[0], count), (spare[1], count * firm)):
        change = np.zeros(len(edges))
        np.add.at(change, np.searchsorted(edges, start), level)
        np.add.at(change, np.searchsorted(edges, end), -level)
        room.append(capacity[slot] - np.cumsum(change)[:-1])
    room.append(np.minimum(room[0], room[1]))
    lengths = np.where(edges[:-1] >= problem.now_us, np.diff(edges), 0) / slot_us
    return np.array([np.bincount(slot, np.maximum(0.0, one) * lengths, n) for one in room])
