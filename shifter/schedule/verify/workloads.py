"""Names and rows that match, and what each workload asks: where, when, in what shape, in what order, how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from shifter.domain.rows import Allocation, PowerRow, SlotRow
from shifter.schedule.verify.case import SLACK, Case
from shifter.schedule.verify.columns import NEVER_US, Levels, microseconds, since_us
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
        if case.own(id) != [stays]:
            yield Violation(
                ViolationCode.PINNED,
                id,
                f"runs in {stays.site}/{stays.pool}, and the plan does not leave it there",
            )


def check_allocations(case: Case) -> Iterator[Violation]:
    """Each piece is inside the horizon and its workload's window, in an allowed pool, by an
    allowed model, in whole replicas.
    """
    columns, about, (ways, which) = case.columns, case.about, case.way_of
    start, end, slack = columns.start_us, columns.end_us, microseconds(SLACK)
    horizon, now = since_us(case.grid, (case.grid.end, case.now))
    replica = np.array([1 if way is None else way.replica for way in ways], dtype=np.int64)[which]
    no_way = np.array([way is None for way in ways], dtype=bool)[which]
    wrong = {
        ViolationCode.INTERVAL: (end <= start) | (start < -slack) | (end > horizon + slack),
        ViolationCode.PAST: start < now - slack,
        ViolationCode.WINDOW: (start < about.earliest_us[columns.work] - slack)
        | (end > about.deadline_us[columns.work] + slack),
        ViolationCode.WAY: no_way,
        ViolationCode.REPLICA: (columns.accelerators < 1) | (columns.accelerators % replica != 0),
    }
    any_wrong = np.any(list(wrong.values()), axis=0) & ~about.pinned[columns.work]
    for i in np.flatnonzero(any_wrong).tolist():
        a = case.plan.allocations[i]
        subject = f"{a.workload_id} in {a.site}/{a.pool} at {a.start.isoformat()}"
        for code, which_are in wrong.items():
            if which_are[i]:
                yield _misplaced(case, a, code, subject)


def _misplaced(case: Case, a: Allocation, code: ViolationCode, subject: str) -> Violation:
    """What is wrong with an allocation, in words."""
    item = case.work[a.workload_id]
    known = outcomes(item.workload) if item.workload.alternatives else [None]
    capped = a.cap_kw is not None and a.cap_kw not in caps_of(case.fleet.pools[a.site, a.pool][1])
    if code is ViolationCode.WAY and a.model in known and not capped:
        code = ViolationCode.POOL_NOT_ALLOWED
    of_way = f"a cap of {a.cap_kw} kW is not one of the pool's"
    if a.model not in known:
        of_way = f"names the model {a.model}, which is none of its own"
    return Violation(
        code,
        subject,
        {
            ViolationCode.INTERVAL: "is empty, or outside the horizon",
            ViolationCode.PAST: f"starts before the moment of planning, {case.now.isoformat()}",
            ViolationCode.WINDOW: f"lies outside [{item.earliest_start}, {item.deadline})",
            ViolationCode.WAY: of_way,
            ViolationCode.POOL_NOT_ALLOWED: "by its sites, data boundary, accelerators or model",
            ViolationCode.REPLICA: f"{a.accelerators} is not a whole number of replicas",
        }[code],
    )


def check_work(case: Case) -> Iterator[Violation]:
    """Work is done or listed, on no more accelerators than it may use, and in one piece where it must be."""
    unplaced = {u.workload_id for u in case.plan.unplaced}
    about, columns = case.about, case.columns
    used = Levels.of(columns, columns.work)
    highest = np.zeros(len(case.work), dtype=np.int64)
    np.maximum.at(highest, used.row, used.level)
    due = (about.deadline_us == NEVER_US) | (about.deadline_us <= since_us(case.grid, [case.grid.end])[0])
    whole = np.array([not item.workload.interruptible for item in case.work.values()], dtype=bool)
    looked_at = ((case.short_work & due) | (highest > about.most) | whole) & ~about.pinned
    ids = list(case.work)
    for row in np.flatnonzero(looked_at).tolist():
        id = ids[row]
        item = case.work[id]
        if case.short_work[row] and due[row] and id not in unplaced:
            ratio = case.done(id) / item.remaining
            yield Violation(ViolationCode.NOT_DONE, id, f"{ratio:.2%} of it is planned, and it is not listed")
        most = item.workload.max_accelerators
        if highest[row] > most:
            yield Violation(ViolationCode.MAX_ACCELERATORS, id, f"{highest[row]} at once, over {most}")
        if whole[row] and _is_interrupted(case.own(id)):
            yield Violation(ViolationCode.INTERRUPTED, id, "may not be interrupted, moved or resized")


def _is_interrupted(own: Sequence[Allocation]) -> bool:
    pieces = sorted(own, key=lambda a: a.start)
    shapes = {(key_of(a), a.accelerators) for a in pieces}
    return len(shapes) > 1 or any(abs(b.start - a.end) > SLACK for a, b in pairwise(pieces))


def check_order(case: Case) -> Iterator[Violation]:
    """Nothing starts before all that it depends on is done, and has ended."""
    first, last = case.columns.span_us(len(case.work))
    for id, item in case.work.items():
        row = case.rows[id]
        if not item.workload.depends_on or id in case.pinned or first[row] == NEVER_US:
            continue  # it has begun, or never does
        for other in item.workload.depends_on:
            if other not in case.work:
                continue  # done already, or real-time: it is not this plan's to order
            if case.short(other):
                yield Violation(ViolationCode.ORDER, id, f"is planned, but {other} is not planned in full")
            elif first[row] < last[case.rows[other]] - microseconds(SLACK):
                yield Violation(ViolationCode.ORDER, id, f"starts before {other} ends")
