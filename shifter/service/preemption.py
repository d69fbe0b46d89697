"""How long preemptible work takes to stop: from the moment it is told to until whoever runs it says that it has.

A site whose work is slower than its `resilience.preemption_seconds` is planned as if its mode were strict: nothing
stands in the redundancy margin of real-time load that does not leave it in time. That ends by itself when work has
become faster, or when the site is told to bear it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shifter.domain.fleet import Site
from shifter.domain.rows import Allocation
from shifter.service.core import Change, Core
from shifter.store import log
from shifter.store.workloads import WorkloadRecord
from shifter.views import EventKind

KEPT = 50
"""Of the last so many at a site the time is learnt."""
FEW = 5
"""Fewer tell nothing."""
LEVEL = 0.95
"""So many of them were at least as fast."""
SLOW = "slow preemption"
"""What the names of the faults begin with while a site's work takes longer to stop than it may."""


@dataclass(frozen=True)
class Stopping:
    """A workload was told at `at` to leave what it has beyond `accelerators`."""

    at: datetime
    accelerators: int
    sites: tuple[str, ...]


def tell(
    stopping: dict[str, Stopping],
    record: WorkloadRecord,
    before: Iterable[Allocation],
    now: Iterable[Allocation],
    at: datetime,
) -> None:
    """Remember that it was told to leave a part of what it ran in; the first telling counts until it is done."""
    had, has = tuple(before), sum(a.accelerators for a in now)
    told = stopping.get(record.id)
    if told is not None and has > told.accelerators:
        del stopping[record.id]  # it was let in again: what it says now tells nothing
    elif has < sum(a.accelerators for a in had) and record.workload.preemptible:
        first = at if told is None else told.at
        stopping[record.id] = Stopping(first, has, tuple(sorted({a.site for a in had})))


def hear(core: Core, change: Change, workload_id: str, accelerators: int, at: datetime) -> None:
    """Whoever runs it says that it has so many accelerators at a moment."""
    told = core.state.stopping.get(workload_id)
    if told is None or accelerators > told.accelerators or at < told.at:
        return
    seconds = (at - told.at).total_seconds()
    change.event(EventKind.GUARD_FREED, workload_id=workload_id, sites=list(told.sites), seconds=seconds)
    change.set(
        stopping={i: s for i, s in core.state.stopping.items() if i != workload_id},
        freed=_with(core.state.freed, told.sites, seconds),
    )


def load(core: Core) -> dict[str, tuple[float, ...]]:
    """What was measured before a start, from the log of events. Raises NotReady."""
    with core.reading() as db:
        found = log.newest_events(db, KEPT * len(core.fleet.sites), [EventKind.GUARD_FREED])
    freed: Mapping[str, tuple[float, ...]] = {}
    for event in found:
        freed = _with(freed, event.data["sites"], event.data["seconds"])
    return dict(freed)


def learnt_s(core: Core, site: str) -> float | None:
    """What preemption takes at a site [s], but for a few times; None where too little was measured."""
    measured = sorted(core.state.freed.get(site, ()))
    return None if len(measured) < FEW else measured[min(len(measured) - 1, int(LEVEL * len(measured)))]


def is_slow(core: Core, site: Site) -> bool:
    """Whether it takes longer than the site may wait; tells it."""
    seconds = learnt_s(core, site.name)
    allowed = site.resilience.preemption_seconds
    slow = site.resilience.mode == "shared" and seconds is not None and seconds > allowed
    text = None
    if slow:
        text = (
            f"At {site.name} preemptible work takes {seconds:.0f} s to stop, and may take {allowed:g} s: "
            "nothing is planned in the margin of real-time load there."
        )
    core.set_fault(f"{SLOW} {site.name}", text)
    return slow


def _with(
    freed: Mapping[str, tuple[float, ...]], sites: Iterable[str], seconds: float
) -> Mapping[str, tuple[float, ...]]:
    return {**freed, **{site: (*freed.get(site, ()), seconds)[-KEPT:] for site in sites}}
