"""Names and rows that match, and what each workload asks: where, when, in what shape, in what order, how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from shifter.domain.plan import PowerRow, SlotRow
from shifter.schedule.verify.case import SLACK, Case, levels
from shifter.schedule.verify.violation import Violation, ViolationCode
from shifter.schedule.verify.ways import caps_of, key_of, outcomes


def check_id(case: Case) -> Iterator[Violation]:
    """The plan's name is the hash of what it says, so that nothing of it was changed since it was made."""
    if case.plan.plan_id != (real := case.plan.content_id()):
        yield Violation(ViolationCode.PLAN_ID, case.plan.plan_id, f"the hash of what the plan says is {real}")


def check_known(case: Case) -> Iterator[Violation]:
    """Grid, moment, currency, names and rows are those of the inputs. Without that nothing else can be compared."""
    plan, horizon, grid = case.plan, case.plan.horizon, case.grid
    if (horizon.start, horizon.end, horizon.slot_minutes) != (grid.start, grid.end, grid.slot_minutes):
        yield Violation(ViolationCode.GRID, "horizon", "the plan's horizon is not that of its inputs")
    if plan.created_at != case.now:
        yield Violation(
            ViolationCode.CREATED_AT, plan.created_at.isoformat(), f"its inputs are of {case.now.isoformat()}"
        )
    if plan.currency != case.fleet.currency:
        yield Violation(
            ViolationCode.CURRENCY, plan.currency, f"the fleet's currency is {case.fleet.currency}"
        )
    made_up = any(signal.synthetic for signal in case.frame.signals)
    if plan.synthetic != made_up:
        detail = f"says {plan.synthetic}, and its forecasts are {'' if made_up else 'not '}made up"
        yield Violation(ViolationCode.SYNTHETIC, "plan", detail)
    for a in plan.allocations:
        if a.workload_id not in case.work:
            yield Violation(
                ViolationCode.UNKNOWN_WORKLOAD, a.workload_id, "is not deferrable work of these inputs"
            )
        if (a.site, a.pool) not in case.fleet.pools:
            yield Violation(ViolationCode.UNKNOWN_POOL, f"{a.site}/{a.pool}", "is not in the fleet")
    yield from _check_rows(case)


def _check_rows(case: Case) -> Iterator[Violation]:
    """One row a slot, in order, for each pool and each site, with finite figures, and no other row."""
    pools = {key: [r for r in case.plan.slots if (r.site, r.pool) == key] for key in case.fleet.pools}
    sites = {site.name: [r for r in case.plan.power if r.site == site.name] for site in case.fleet.sites}
    for key, slots in pools.items():
        figures = [(r.realtime_p50, r.realtime_q, r.reserved, r.deferrable, r.preemptible) for r in slots]
        if not (_in_order(case, slots) and np.isfinite(figures).all()):
            yield _bad_rows(ViolationCode.SLOT_ROW, "/".join(key))
    for name, power in sites.items():
        kw = [(r.import_kw, r.charge_kw, r.discharge_kw, r.stored_kwh) for r in power]
        if not (_in_order(case, power) and np.isfinite(kw).all()):
            yield _bad_rows(ViolationCode.POWER_ROW, name)
    if len(case.plan.slots) > sum(map(len, pools.values())):
        yield Violation(ViolationCode.SLOT_ROW, "slots", "has rows of pools that the fleet does not have")
    if len(case.plan.power) > sum(map(len, sites.values())):
        yield Violation(ViolationCode.POWER_ROW, "power", "has rows of sites that the fleet does not have")


def _in_order(case: Case, rows: Sequence[SlotRow | PowerRow]) -> bool:
    edges = case.grid.edges
    spans: list[tuple[datetime, datetime]] = [(r.start, r.end) for r in rows]
    return spans == list(pairwise(edges))


def _bad_rows(code: ViolationCode, subject: str) -> Violation:
    return Violation(code, subject, "rows are missing, out of order, or not finite")


def check_pinned(case: Case) -> Iterator[Violation]:
    """What runs and may not be interrupted is in the plan as it stands, once, and nothing else of it is."""
    for id, stays in case.pinned.items():
        if case.by_workload.get(id, []) != [stays]:
            yield Violation(
                ViolationCode.PINNED,
                id,
                f"runs in {stays.site}/{stays.pool}, and the plan does not leave it there",
            )


def check_allocations(case: Case) -> Iterator[Violation]:
    """Each piece is inside the horizon and its workload's window, in an allowed pool, by an
    allowed model, in whole replicas.
    """
    grid = case.grid
    for a in case.plan.allocations:
        if a.workload_id in case.pinned:
            continue
        item = case.work[a.workload_id]
        subject = f"{a.workload_id} in {a.site}/{a.pool} at {a.start.isoformat()}"
        if a.end <= a.start or a.start < grid.start - SLACK or a.end > grid.end + SLACK:
            yield Violation(ViolationCode.INTERVAL, subject, "is empty, or outside the horizon")
        if a.start < case.now - SLACK:
            yield Violation(
                ViolationCode.PAST, subject, f"starts before the moment of planning, {case.now.isoformat()}"
            )
        if a.start < item.earliest_start - SLACK or (
            item.deadline is not None and a.end > item.deadline + SLACK
        ):
            yield Violation(
                ViolationCode.WINDOW, subject, f"lies outside [{item.earliest_start}, {item.deadline})"
            )
        way = case.ways[a.workload_id].get(key_of(a))
        known = outcomes(item.workload) if item.workload.alternatives else [None]
        if a.model not in known:
            yield Violation(
                ViolationCode.WAY, subject, f"names the model {a.model}, which is none of its own"
            )
        elif a.cap_kw is not None and a.cap_kw not in caps_of(case.fleet.pools[a.site, a.pool][1]):
            yield Violation(ViolationCode.WAY, subject, f"a cap of {a.cap_kw} kW is not one of the pool's")
        elif way is None:
            yield Violation(
                ViolationCode.POOL_NOT_ALLOWED, subject, "by its sites, data boundary, accelerators or model"
            )
        if a.accelerators < 1 or (way is not None and a.accelerators % way.replica):
            yield Violation(
                ViolationCode.REPLICA, subject, f"{a.accelerators} is not a whole number of replicas"
            )


def check_work(case: Case) -> Iterator[Violation]:
    """Work is done or listed, on no more accelerators than it may use, and in one piece where it must be."""
    unplaced = {u.workload_id for u in case.plan.unplaced}
    for id, item in case.work.items():
        if id in case.pinned:
            continue
        own = case.by_workload.get(id, [])
        if case.due(id) and case.short(id) and id not in unplaced:
            ratio = case.done(id) / item.remaining
            yield Violation(ViolationCode.NOT_DONE, id, f"{ratio:.2%} of it is planned, and it is not listed")
        highest = max((level for _, _, level, _ in levels(own)), default=0)
        most = item.workload.max_accelerators
        if highest > most:
            yield Violation(ViolationCode.MAX_ACCELERATORS, id, f"{highest} at once, over {most}")
        if not item.workload.interruptible:
            pieces = sorted(own, key=lambda a: a.start)
            shapes = {(key_of(a), a.accelerators) for a in pieces}
            apart = any(abs(b.start - a.end) > SLACK for a, b in pairwise(pieces))
            if len(shapes) > 1 or apart:
                yield Violation(ViolationCode.INTERRUPTED, id, "may not be interrupted, moved or resized")


def check_order(case: Case) -> Iterator[Violation]:
    """Nothing starts before all that it depends on is done, and has ended."""
    for id, own in case.by_workload.items():
        if id in case.pinned:
            continue  # it has begun
        first = min(a.start for a in own)
        for other in case.work[id].workload.depends_on:
            if other not in case.work:
                continue  # done already, or real-time: it is not this plan's to order
            last = max((a.end for a in case.by_workload.get(other, ())), default=None)
            if case.short(other):
                yield Violation(ViolationCode.ORDER, id, f"is planned, but {other} is not planned in full")
            elif last is None or first < last - SLACK:
                yield Violation(ViolationCode.ORDER, id, f"starts before {other} ends")
