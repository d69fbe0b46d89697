"""What the plan moves of what was announced before it, and whose prices prove what it leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from shifter.domain.plan import HELD, STATUSES
from shifter.domain.rows import Allocation
from shifter.schedule.verify.case import Case
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.violation import Violation, ViolationCode
from shifter.schedule.verify.ways import key_of

HOUR = timedelta(hours=1)

CHURN_SHARE = 0.005
"""What moving an accelerator-hour costs where the fleet does not say: of what its energy costs, mean of all pools."""


def churn_cost(case: Case, loads: Sequence[SiteLoad]) -> float:
    """What the plan pays for what it moves [currency]."""
    own = announced_until(case, case.grid.end)
    if not own:
        return 0.0
    moved = sum(moved_hours(old, new) for id, old in own.items() if (new := case.own(id)))
    asked = case.fleet.objective.churn_cost_per_accelerator_hour
    if asked is None:
        asked = CHURN_SHARE * float(np.mean(_energy_costs(loads)))
    return asked * moved


def announced_until(case: Case, end: datetime) -> dict[str, list[Allocation]]:
    """What was announced from now until a moment, by workload: of what is still to be done, in ways that there are."""
    before, own = case.announced, defaultdict[str, list[Allocation]](list)
    if before is None or before.slot_minutes != case.grid.slot_minutes:
        return own
    for a in before.allocations:
        if a.workload_id in case.work and a.workload_id not in case.pinned:
            way = case.ways[a.workload_id].get(key_of(a))
            usable = way is not None and way.replica <= case.work[a.workload_id].workload.max_accelerators
            clipped = replace(a, start=max(a.start, case.now), end=min(a.end, end, case.grid.end))
            if usable and clipped.start < clipped.end:
                own[a.workload_id].append(clipped)
    return own


def _energy_costs(loads: Sequence[SiteLoad]) -> list[float]:
    """Of a busy accelerator-hour, by pool, mean over the horizon."""
    return [
        load.site.pue * (pool.busy_kw - pool.idle_kw) * float(np.abs(load.unit_cost_per_kwh).mean())
        for load in loads
        for pool in load.site.pools
    ]


def moved_hours(old: Sequence[Allocation], new: Sequence[Allocation]) -> float:
    """Accelerator-hours that are not where they were, of those that there still are."""
    moments = sorted({moment for a in (*old, *new) for moment in (a.start, a.end)})
    was = is_ = both = 0.0
    for start, end in pairwise(moments):
        held = [_held(side, start) for side in (old, new)]
        hours = (end - start) / HOUR
        was += hours * sum(held[0].values())
        is_ += hours * sum(held[1].values())
        both += hours * sum(min(n, held[1].get(key, 0)) for key, n in held[0].items())
    return max(0.0, min(was, is_) - both)


def _held(allocations: Sequence[Allocation], moment: datetime) -> dict[object, int]:
    held: defaultdict[object, int] = defaultdict(int)
    for a in allocations:
        if a.start <= moment < a.end:
            held[key_of(a)] += a.accelerators
    return held


def check_status(case: Case) -> Iterator[Violation]:
    """It is one that a plan may have; one that holds what was announced names the plan that solved that, and is hardly
    farther from its bound."""
    plan, known = case.plan, case.announced.held if case.announced is not None else None
    if plan.status not in STATUSES:
        yield Violation(ViolationCode.STATUS, "plan", f"{plan.status} is no status of a plan")
    if (plan.status == HELD) != (plan.held is not None) or plan.held not in (None, known):
        said = f"says {plan.held}, and what was announced is of {known}"
        yield Violation(ViolationCode.HELD, "held", said)
    elif plan.held is not None:
        most = plan.held.relative_gap + case.hold_gap
        if case.hold_gap < 0 or not plan.relative_gap <= most:
            said = f"its gap is {plan.relative_gap}, and a plan is only held up to {most}"
            yield Violation(ViolationCode.HELD, "held", said)
