"""What the plan says of work that it does not do in time: who, how much, why, and by when it could be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from shifter.domain.rows import Unplaced
from shifter.domain.workload import Classified
from shifter.schedule.verify.case import DONE_TOLERANCE, SLACK, Case, differs
from shifter.schedule.verify.violation import Violation, ViolationCode

HOURS_TOLERANCE = 1e-6
"""Share of a workload's work."""


def check_unplaced(case: Case) -> Iterator[Violation]:
    """Each entry is work that is due and not planned in full, listed once, with true figures."""
    listed: dict[str, Unplaced] = {}
    for late in case.plan.unplaced:
        if late.workload_id in listed:
            yield _untrue(late, "is listed twice")
        listed.setdefault(late.workload_id, late)
    for id, late in listed.items():
        if id not in case.work or id in case.pinned:
            yield _untrue(late, "is not work that was to be planned")
        elif not case.due(id):
            yield _untrue(late, "is due beyond the horizon, where it can still be planned")
        elif not case.short(id):
            yield _untrue(late, "is planned in full")
        else:
            yield from _check_figures(case, case.work[id], late)
            yield from _check_deadline(case, case.work[id], late, listed)
            yield from _check_limits(case, late)


def _untrue(late: Unplaced, why: str) -> Violation:
    return Violation(ViolationCode.UNPLACED, late.workload_id, why)


def _check_figures(case: Case, item: Classified, late: Unplaced) -> Iterator[Violation]:
    fastest = case.fastest(late.workload_id)
    if not late.reason:
        yield _untrue(late, "has no reason")
    if fastest is None:  # hours on what it could run on elsewhere
        if not 0 < late.accelerator_hours < np.inf:
            yield _untrue(late, f"says {late.accelerator_hours} accelerator-hours")
        return
    hours = (item.remaining - case.done(late.workload_id)) / fastest
    if differs(late.accelerator_hours, hours, HOURS_TOLERANCE * item.remaining / fastest):
        yield _untrue(late, f"says {late.accelerator_hours} accelerator-hours, and it is {hours}")


def _check_limits(case: Case, late: Unplaced) -> Iterator[Violation]:
    """Each limit is one that may be in its way, named as its kind is, and would do something.

    How much it would do is the planner's word: the prices that say so are those of another program than the bound's.
    """
    keys = {way.key for way in case.usable(late.workload_id)}
    budgets = {f"budgets[{i}]" for i in range(len(case.fleet.objective.budgets))}
    ramped = {site.name for site in case.fleet.sites if site.ramp_limit_kw_per_minute is not None}
    own = case.fleet.by_tenant.get(case.work[late.workload_id].workload.tenant)
    quotas = {own.name} if own is not None and own.quota_accelerators is not None else set()
    for limit in late.limits:
        named = limit.site, limit.pool, limit.name
        known = {
            "capacity": named[:2] in keys and limit.name is None,
            "reserve": named[:2] in keys and limit.name is None,
            "power": limit.site in {site for site, _ in keys} and named[1:] == (None, None),
            "ramp": limit.site in {site for site, _ in keys} & ramped and named[1:] == (None, None),
            "quota": limit.name in quotas and named[:2] == (None, None),
            "budget": limit.name in budgets and named[:2] == (None, None),
            "deadline": named == (None, None, None),
            "max_accelerators": named == (None, None, None),
        }
        if not known.get(limit.kind, False) or not limit.text:
            yield _untrue(late, f"names a limit that is not in its way: {limit.kind} {named}")
        most = late.accelerator_hours if limit.kind in {"deadline", "max_accelerators"} else np.inf
        if not 0 < limit.saves_accelerator_hours <= most * (1 + 1e-9) or np.isinf(
            limit.saves_accelerator_hours
        ):
            yield _untrue(late, f"says that {limit.kind} would do {limit.saves_accelerator_hours} hours more")


def _check_deadline(
    case: Case, item: Classified, late: Unplaced, listed: dict[str, Unplaced]
) -> Iterator[Violation]:
    """Later than the one that is missed, and with room for all of it until then, after what it waits for."""
    asked = late.earliest_feasible_deadline
    if asked is None:
        return
    if item.deadline is not None and asked <= item.deadline:
        yield _untrue(late, f"could be done by {asked}, it says, which is in time")
    if asked > case.grid.end + SLACK:
        yield _untrue(late, f"could be done by {asked}, it says, which is beyond what was planned")
    start = max(item.earliest_start, case.now)
    for other in item.workload.depends_on:
        if other in case.work and case.short(other):
            before = listed[other].earliest_feasible_deadline if other in listed else None
            start = max(start, before or asked)
    if _most_between(case, item, start, asked) < item.remaining * (1 - DONE_TOLERANCE):
        yield _untrue(late, f"could be done by {asked}, it says, and there is no room for it by then")


def _most_between(case: Case, item: Classified, start: datetime, end: datetime) -> float:
    """The most of a workload that could be done in `[start, end)`, all else staying where it is [its unit].

    In fractions, and without load time, replicas and power: no plan does more.
    """
    id, grid, soft = item.workload.id, case.grid, item.workload.preemptible
    slots = np.arange(grid.n_slots)
    share = np.clip(np.minimum(slots + 1, grid.position(end)) - np.maximum(slots, grid.position(start)), 0, 1)
    own = case.mean_use(case.columns_of(case.own(id)))
    left, done = item.workload.max_accelerators * share, 0.0
    taken_of = {key: np.zeros(grid.n_slots) for key in case.fleet.pools}
    for way in sorted(case.usable(id), key=lambda way: -way.rate):
        key = way.key
        room = case.count(key) - (case.kept(key) if soft else case.reserved(key))
        beside = case.any_room[key] / case.rest_ratio - (case.used[key] - case.held[key] - own[key])
        taken = np.clip(np.minimum(room * share, beside) - taken_of[key], 0.0, left)
        left, taken_of[key] = left - taken, taken_of[key] + taken
        done += way.rate * float(taken.sum()) * grid.slot_hours
    return done
