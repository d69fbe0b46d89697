"""The verifier: every condition of the contract, recomputed from the plan and its inputs alone.

It imports nothing of what makes plans, and an import contract keeps it so: it reads allocations in UTC and does its own
sums. What both are handed alike (classes and windows of work, believed forecasts, limits in force: the docs list it) it
takes as given. `plan_cycle` runs it on every plan before anyone sees it, `shifter plan --verify` on any plan at all.

`case` holds the plan beside its inputs, `loads` what each site draws; each other module is one family of conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from forecasts.frame import ForecastFrame
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Classified
from shifter.realtime.load import RealtimeLoad
from shifter.schedule.verify.battery import check_batteries
from shifter.schedule.verify.budgets import check_budget_rows, check_budgets
from shifter.schedule.verify.case import Case
from shifter.schedule.verify.churn import check_status
from shifter.schedule.verify.failover import check_failover
from shifter.schedule.verify.frozen import check_frozen
from shifter.schedule.verify.loads import site_loads
from shifter.schedule.verify.money import check_money, check_shares
from shifter.schedule.verify.pools import check_pools, check_powered_down, check_slots
from shifter.schedule.verify.power import check_power
from shifter.schedule.verify.proof import check_proof
from shifter.schedule.verify.risk import check_risk
from shifter.schedule.verify.tenants import check_tenants, tenants_of
from shifter.schedule.verify.unplaced import check_unplaced
from shifter.schedule.verify.violation import Violation, ViolationCode
from shifter.schedule.verify.workloads import (
    check_allocations,
    check_id,
    check_known,
    check_order,
    check_pinned,
    check_work,
)

__all__ = ["Violation", "ViolationCode", "verify"]


def verify(
    plan: Plan,
    work: Sequence[Classified],
    *,
    now: datetime,
    fleet: Fleet,
    frame: ForecastFrame,
    realtime: RealtimeLoad,
    grid_events: tuple[GridEvent, ...] = (),
    pinned: tuple[Allocation, ...] = (),
    announced: Announced | None = None,
    hold_gap: float = 0.0,
) -> list[Violation]:
    """All violations, in a fixed order; empty for a plan that may be published.

    `work` is what was to be planned, and what is `pinned`: that must be in the plan as it stands, from `now`, the
    moment of planning, to the horizon's end. It is not held to its window; and where it and real-time load alone are
    over a limit, no plan can mend it, and the plan must only not add to it. What was `announced` before has its price
    where it moves, and may be held as it is while that is at most `hold_gap` farther from its bound than it was.
    """
    stays = {
        a.workload_id: replace(a, start=max(a.start, now), end=min(a.end, frame.grid.end)) for a in pinned
    }
    by_id = {item.workload.id: item for item in work}
    case = Case(plan, by_id, now, fleet, frame, realtime, grid_events, stays, announced, hold_gap)
    altered, known = [*check_id(case), *check_status(case)], list(check_known(case))
    if known:
        return [*altered, *known]  # the rest would only repeat that names, grids or rows do not match
    loads, tenants = site_loads(case), tenants_of(case)
    return [
        *altered,
        *check_pinned(case),
        *check_allocations(case),
        *check_work(case),
        *check_order(case),
        *check_unplaced(case),
        *check_pools(case),
        *check_failover(case, loads),
        *check_powered_down(case),
        *check_slots(case),
        *check_power(case, loads),
        *check_batteries(case, loads),
        *check_budgets(case, loads),
        *check_budget_rows(case, loads),
        *check_tenants(case, tenants),
        *check_money(case, loads, tenants),
        *check_frozen(case, loads, tenants),
        *check_shares(case, loads),
        *check_risk(case, loads),
        *check_proof(case, loads, tenants),
    ]
