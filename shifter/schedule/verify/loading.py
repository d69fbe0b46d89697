"""What is left of loading where an allocation goes on with what ran before the plan: it was loaded there, or partly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shifter.domain.announced import Announced
from shifter.domain.rows import Allocation
from shifter.schedule.verify.ways import Way, WayKey, key_of

NOTHING = timedelta(0)


def left_to_load(
    begun: Mapping[int, Allocation],
    announced: Announced | None,
    now: datetime,
    ways: Mapping[str, Mapping[WayKey, Way]],
) -> dict[int, timedelta]:
    """Of the allocations that begin `now`, by their row, those that go on with what was announced, and its time left.

    As many accelerators of a workload go on in a way as ran in it, the widest allocation first, then the longest. All
    of them are as far as the last that began.
    """
    ran: defaultdict[tuple[str, WayKey], list[Allocation]] = defaultdict(list)
    for a in () if announced is None else announced.allocations:
        if a.start < now < a.end:
            ran[a.workload_id, key_of(a)].append(a)
    left: dict[int, timedelta] = {}
    room = {which: sum(a.accelerators for a in own) for which, own in ran.items()}
    for row, a in sorted(begun.items(), key=lambda item: _width_and_end(item[1]), reverse=True):
        which = a.workload_id, key_of(a)
        way = ways[a.workload_id].get(which[1])
        if way is not None and which in room and a.accelerators <= room[which]:
            room[which] -= a.accelerators
            left[row] = max(NOTHING, _last_start(ran[which]) + way.load - now)
    return left


def _width_and_end(a: Allocation) -> tuple[int, datetime]:
    return a.accelerators, a.end


def _last_start(allocations: Iterable[Allocation]) -> datetime:
    return max(a.start for a in allocations)
