"""Who yields where real-time load outgrows the plan, where accelerators are lost, or where a limit falls.

Without the solver: sums and one sorted list. Nothing that real-time load needs is refused for deferrable work; what
runs and may not be preempted stays, for whoever said so said that it cannot stop within seconds.

The order is that of least cost. What is not let in yet waits, which costs it nothing but time; of what runs, first
what loses least by loading again; among equals what has the most time to spare. What has less time to spare than it
would have to wait comes after all others, since it would be late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shifter.domain.capping import import_kw
from shifter.domain.fleet import PoolKey, Site
from shifter.domain.grid_event import limits_in_force
from shifter.domain.options import option_of
from shifter.domain.rows import Allocation
from shifter.service import leases
from shifter.store.workloads import WorkloadRecord

if TYPE_CHECKING:
    from shifter.service.gate import Gate

NOTHING = timedelta(0)
ENDLESS = timedelta(days=36_500)
MOMENT = timedelta(microseconds=1)
ROUNDING = 1e-6
"""A plan's figures are rounded: that much is no load, and in kW no power."""

Yields = dict[str, dict[PoolKey, int]]
"""Accelerators that workloads leave, by workload and pool."""


@dataclass
class _Need:
    """What is over at a site: accelerators by pool, and import [kW]."""

    accelerators: dict[PoolKey, int]
    kw: float

    @property
    def is_met(self) -> bool:
        return self.kw <= ROUNDING and all(over <= 0 for over in self.accelerators.values())


def yields_at(site: Site, gate: Gate) -> Yields:
    """What workloads leave at a site now, of what their leases let them run in."""
    holders = gate.standing.holders.get(site.name, ())
    if not holders:
        return {}
    held, over_kw = gate.standing.held[site.name], _over_kw(site, gate)
    if _Need({key: over(gate, key, n) for key, n in held.items()}, over_kw).is_met:
        return {}
    stands = {
        r.id: tuple(
            a for a in gate.stands_in(r) if a.site == site.name and (a.site, a.pool) in gate.fleet.pools
        )
        for r in holders
    }
    over_kw -= sum(_undrawn_kw(site, r, gate) for r in holders if not stands[r.id])
    need = _Need({key: over(gate, key, _standing(stands.values(), key)) for key in held}, over_kw)
    found: Yields = {}
    for record in _cheapest_first(holders, gate) if not need.is_met else ():
        given = dict(_given(record, stands[record.id], need, gate))
        if given:
            found[record.id] = given
        if need.is_met:
            break
    return found


def over(gate: Gate, key: PoolKey, held: int) -> int:
    """How many accelerators are too few in a pool for its real-time load beside work that holds so many."""
    return math.ceil(_load(gate, key) + held - gate.count(key) - ROUNDING) if key in gate.fleet.pools else 0


def _load(gate: Gate, key: PoolKey) -> float:
    """Real-time load as measured. Without a meter the plan has made room for it, but not where accelerators are lost
    since: there what was planned for is what counts, and the whole pool where no plan says that.
    """
    measured, there = gate.measured(key), gate.count(key)
    if measured is not None or there >= gate.fleet.pools[key][1].present(gate.now):
        return measured or 0.0
    published = gate.state.published
    row = published.row_at(key, gate.now) if published is not None else None
    return float(there) if row is None else row.realtime_q


def _over_kw(site: Site, gate: Gate) -> float:
    """By how much the import exceeds the limit in force, with real-time load as it is measured [kW].

    Of the plan's own import at the load's quantile: that keeps to the limits that it was made for, as a mean over its
    slot. What is measured changes it, and so does a limit that is new.
    """
    published = gate.state.published
    row = published.power_at(site.name, gate.now) if published is not None and not gate.stale else None
    limit_kw = limits_in_force(site, gate.state.grid_events, gate.now, gate.now + MOMENT)
    if published is None or row is None or math.isinf(limit_kw):
        return 0.0
    more_kw = 0.0
    for pool in site.pools:
        key = (site.name, pool.name)
        slot, measured = published.row_at(key, gate.now), gate.measured(key)
        if slot is not None:
            load = slot.realtime_q if measured is None else measured
            more_kw += import_kw(site, pool, None) * (load - slot.realtime_p50)
    return row.import_kw + more_kw - limit_kw - ROUNDING * max(1.0, limit_kw)


def _undrawn_kw(site: Site, record: WorkloadRecord, gate: Gate) -> float:
    """What of the plan's import is that of work which would run now and waits for other work: it draws nothing [kW].

    As it stands in the import: as a mean over the slot.
    """
    published = gate.state.published
    row = None if published is None else published.power_at(site.name, gate.now)
    if published is None or row is None or gate.running(record) is not None or not gate.waits_for(record):
        return 0.0
    planned = leases.current(published.allocations.get(record.id, ()), gate.now)
    return sum(
        a.accelerators
        * import_kw(*gate.fleet.pools[a.site, a.pool], a.cap_kw)
        * ((min(a.end, row.end) - max(a.start, row.start)) / (row.end - row.start))
        for a in planned
        if a.site == site.name and (a.site, a.pool) in gate.fleet.pools
    )


def _standing(stands: Iterable[Sequence[Allocation]], key: PoolKey) -> int:
    return sum(a.accelerators for of in stands for a in of if (a.site, a.pool) == key)


def _given(
    record: WorkloadRecord, stands: Sequence[Allocation], need: _Need, gate: Gate
) -> Iterator[tuple[PoolKey, int]]:
    """What one workload leaves in each pool, which is taken off the need."""
    for key in sorted({(a.site, a.pool) for a in stands}):
        here = [a for a in stands if (a.site, a.pool) == key]
        each_kw = min(import_kw(*gate.fleet.pools[key], a.cap_kw) for a in here)
        wanted = max(0, need.accelerators.get(key, 0))
        if need.kw > ROUNDING and each_kw > 0:
            wanted = max(wanted, math.ceil(need.kw / each_kw - ROUNDING))
        gives = _gives(record, here, wanted, gate)
        if gives > 0:
            need.accelerators[key] = need.accelerators.get(key, 0) - gives
            need.kw -= gives * each_kw
            yield key, gives


def _gives(record: WorkloadRecord, here: Sequence[Allocation], wanted: int, gate: Gate) -> int:
    """Of what it stands in in one pool: whole replicas, and all of it where it may not be cut."""
    if wanted <= 0:
        return 0
    most = sum(a.accelerators for a in here)
    if not record.workload.preemptible:
        key = (here[0].site, here[0].pool)
        most -= sum(a.accelerators for a in gate.let_in(record) or () if (a.site, a.pool) == key)
    if most <= 0 or not record.workload.interruptible:
        return max(0, most)
    options = (option_of(record.workload, gate.fleet, a) for a in here)
    size = max((option.replica for option in options if option is not None), default=1)
    return min(most, math.ceil(wanted / size) * size)


def _cheapest_first(holders: Sequence[WorkloadRecord], gate: Gate) -> list[WorkloadRecord]:
    def cost(record: WorkloadRecord) -> tuple[bool, bool, timedelta, timedelta, str]:
        spare, runs = spare_time(record, gate), bool(gate.let_in(record))
        held = (option_of(record.workload, gate.fleet, a) for a in record.lease.allocations) if runs else ()
        load = max((option.load for option in held if option is not None), default=NOTHING)
        return spare < gate.hold, runs, load, -spare, record.id

    return sorted(holders, key=cost)


def spare_time(record: WorkloadRecord, gate: Gate) -> timedelta:
    """How long it could stand still and still meet its deadline; as good as endless without one."""
    start = gate.latest_start(record)
    return ENDLESS if start is None else start - gate.now
