"""What is to run soon is not moved: the frozen window, and what excuses a move all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import numpy as np

from forecasts.slots import Floats
from shifter.domain.fleet import PoolKey
from shifter.domain.rows import Allocation
from shifter.schedule.verify.case import SLACK, Case
from shifter.schedule.verify.churn import announced_until, moved_hours
from shifter.schedule.verify.columns import Flags
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.pools import over_pools
from shifter.schedule.verify.tenants import TenantUse, counted
from shifter.schedule.verify.violation import Violation, ViolationCode
from shifter.schedule.verify.ways import key_of

MOVED_HOURS = 1e-3
"""Accelerator-hours that are the noise of sums."""
OVER = 5e-7
"""By more than this a limit is exceeded [accelerators, kW]."""


def check_frozen(case: Case, loads: Sequence[SiteLoad], tenants: Sequence[TenantUse]) -> Iterator[Violation]:
    """Nothing moves that was announced to run within `frozen_minutes` from now, and could.

    It could not where its window, its replicas or its place in a chain are others now, or where all that was announced
    exceeds a limit. Where a site's limits are not of slots alone (battery, own plant, ramps, budgets), nobody says so.
    """
    minutes = case.fleet.objective.frozen_minutes
    if minutes <= 0 or case.fleet.objective.budgets:
        return
    soon = announced_until(case, case.now + timedelta(minutes=minutes))
    moved = {id: hours for id, old in soon.items() if (hours := moved_hours(old, case.own(id))) > MOVED_HOURS}
    if not moved:
        return
    before = {id for item in case.work.values() for id in item.workload.depends_on}
    crowded = _crowded(case, loads, tenants, soon)
    for id, hours in moved.items():
        own, item, ways = soon[id], case.work[id], case.ways[id]
        excused = (
            id in before
            or bool(item.workload.depends_on)
            or any(a.start < item.earliest_start - SLACK for a in own)
            or (item.deadline is not None and any(a.end > item.deadline + SLACK for a in own))
            or any(a.accelerators % ways[key_of(a)].replica for a in own)
            or any(crowded[a.site, a.pool][_slots(case, a)].any() for a in own)
        )
        if not excused:
            said = f"{hours:.3g} accelerator-hours move of what was to run within {minutes:g} minutes"
            yield Violation(ViolationCode.FROZEN, id, said)


def _slots(case: Case, a: Allocation) -> slice:
    first, last = (case.grid.position(moment) for moment in (a.start, a.end))
    return slice(int(first), int(np.ceil(last)))


def _crowded(
    case: Case,
    loads: Sequence[SiteLoad],
    tenants: Sequence[TenantUse],
    soon: Mapping[str, Sequence[Allocation]],
) -> dict[PoolKey, Flags]:
    """Slots of each pool in which what was announced exceeds a limit of now, or nobody says whether it does."""
    columns = case.columns_of([a for own in soon.values() for a in own] + list(case.pinned.values()))
    firm = columns.where(~case.about.soft[columns.work])
    over = np.maximum(over_pools(case, columns, case.kept), over_pools(case, firm, case.reserved)) > OVER
    used_kw = case.mean_use(columns, case.step_kw(columns))
    crowded: dict[PoolKey, Flags] = {}
    for load in loads:
        site = load.site
        added: Floats = sum((used_kw[site.name, p.name] for p in site.pools), np.zeros(case.grid.n_slots))
        slots = load.quantile_kw + added * case.rest_ratio > load.limit_kw + OVER
        if site.battery or site.generation or site.ramp_limit_kw_per_minute is not None:
            slots[:] = True
        crowded.update({(site.name, pool.name): slots.copy() for pool in site.pools})
    for i, key in enumerate(case.fleet.pools):
        crowded[key] |= over[i]
    for one in tenants:
        if one.left is not None and one.price is None:
            named = one.tenant.name
            own = [a for id, group in soon.items() if case.work[id].workload.tenant == named for a in group]
            slots = counted(case, one.tenant, case.columns_of(own)) > one.bounded + OVER
            for key, (_, pool) in case.fleet.pools.items():
                crowded[key] |= slots & one.tenant.counts(pool.accelerator)
    return crowded
