"""Work that cannot be done in time: how much, why, and by when it could be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from forecasts.slots import isoformat_z
from shifter.domain.chains import order_of
from shifter.domain.rows import LateLimit, Unplaced
from shifter.schedule.baseline import earliest_finish_us
from shifter.schedule.beside import Beside
from shifter.schedule.jobs import HOUR_US, Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.limits import LatePrices, in_the_way
from shifter.schedule.order import Order
from shifter.schedule.pack import Piece
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import DONE_RATIO
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.tenants import quota_full


def unplaced_work(
    problem: ScheduleProblem,
    pieces: Iterable[Piece],
    done: Mapping[str, float],
    beside: Beside,
    paid: LatePrices | None = None,
) -> tuple[Unplaced, ...]:
    """What cannot be done in time, why, and by when it could be, everything else staying where it is.

    `paid` is what the program paid for its limits, where one was solved: it says which are in the way.
    """
    short = [job for job in problem.jobs if job.hours - done[job.id] > job.hours * DONE_RATIO]
    if not short:
        return ()
    ledger = Ledger(problem)
    ledger.hold_beside(beside)
    if paid is not None:
        budgets = zip(problem.budgets, ledger.budgets_left(), strict=True)
        broken = frozenset(budget.name for budget, left in budgets if left < 0)
        late = sum(job.hours - done[job.id] for job in short)
        paid = replace(paid, late_hours=late, broken=broken)
    table = Pieces.of(problem, pieces)
    ledger.hold(table)
    own: dict[str, list[Piece]] = {}
    for piece in table.where(table.of_jobs(job.id for job in short)):
        own.setdefault(piece.job, []).append(piece)
    order = Order.of(problem, table)
    short = [order.between(job) for job in short]
    finishes = _finishes(short, own, done, ledger)
    waiting = _waiting(problem, done)
    found = []
    for job in short:
        if job.open_ended:
            continue
        finish, left = finishes[job.id], job.hours - done[job.id]
        limits = () if paid is None or job.id in waiting else paid.limits(job, left)
        found.append(
            Unplaced(
                job.id,
                left,
                _why_not(problem, job, left, waiting.get(job.id), limits, ledger) + _for_others(problem, job),
                None if finish is None else problem.moment(finish),
                limits,
            )
        )
    return tuple(found)


def _for_others(problem: ScheduleProblem, job: Job) -> str:
    """Why it is due before its own deadline, with a space before it; else nothing."""
    if job.due_us >= job.true_end_us:
        return ""
    return f" It must end by {isoformat_z(problem.moment(job.due_us))}, for what waits for it."


def _waiting(problem: ScheduleProblem, done: Mapping[str, float]) -> dict[str, str]:
    """Jobs that wait for one that is not done in full, and for which."""
    short = {job.id for job in problem.jobs if done[job.id] < job.hours * (1 - DONE_RATIO)}
    return {job.id: first for job in problem.jobs for first in [d for d in job.depends_on if d in short][:1]}


def _finishes(
    short: Sequence[Job],
    pieces: Mapping[str, list[Piece]],
    done: Mapping[str, float],
    ledger: Ledger,
) -> dict[str, int | None]:
    """By when each job could be done, after what it waits for; None where that is not in the horizon."""
    jobs = {job.id: job for job in short}
    finishes: dict[str, int | None] = {}
    for id in order_of({job.id: job.depends_on for job in short}):
        job, own = jobs[id], pieces.get(id, ())
        before = [finishes[other] for other in job.depends_on if other in finishes]
        after = [moment for moment in before if moment is not None]
        finish = None
        if job.ways and len(after) == len(before):
            left = job.hours - done[id]
            finish = earliest_finish_us(job, own, left, ledger, max(after, default=0))
            if finish is not None and finish <= job.due_us:
                # A heuristic left room that was there in time. What is said is a later deadline, which holds too.
                finish = earliest_finish_us(job, own, left, ledger, max([job.due_us, *after]))
        finishes[id] = finish
    return finishes


def _why_not(
    problem: ScheduleProblem,
    job: Job,
    left: float,
    waits_for: str | None,
    limits: tuple[LateLimit, ...],
    ledger: Ledger,
) -> str:
    if not job.ways:
        return "No pool in the fleet may run it."
    if waits_for:
        return f"It waits for {waits_for}, which is not done in full in time."
    hours = (job.end_us - job.start_us) / HOUR_US
    needed = job.least_us / HOUR_US
    if hours <= 0:
        return "Its deadline is past, or before anything it depends on can be done."
    if needed > hours * (1 + 1e-9):
        spare = hours * job.max_accelerators - (job.hours - left)
        # All of its width would not do, and the quota may not even leave that.
        if spare > job.hours * DONE_RATIO and (
            full := quota_full(problem, job, left, ledger.quota_left, spare)
        ):
            return full
        width = f"{job.max_accelerators} accelerator{'' if job.max_accelerators == 1 else 's'}"
        until = "its deadline" if job.due_us < problem.edges_us[-1] else "the end of what is planned"
        return f"At {width} it needs {needed:.1f} h, and {hours:.1f} h are left until {until}."
    return (
        _used_up(problem, job, left, ledger)
        or quota_full(problem, job, left, ledger.quota_left)
        or _tightest_limit(problem, job, limits)
    )


def _used_up(problem: ScheduleProblem, job: Job, hours: float, ledger: Ledger) -> str | None:
    """The budget that has too little left for `hours` of the job's work even where it uses least of it."""
    first, last = job.start_us // problem.slot_us, -(-job.end_us // problem.slot_us)
    for budget, left in zip(problem.budgets, ledger.budgets_left(), strict=True):
        rates = [
            way.import_kw
            / way.speed
            * budget.bought[problem.pools[way.pool].site, first:last].min(initial=np.inf)
            for way in job.ways
        ]
        least = hours * min(rates) / problem.grid.slot_hours
        if least > max(0.0, left) and least > 0:
            return (
                f"It would break {budget.name}: the rest of it causes at least {least:.3g} {budget.unit}, and "
                f"{max(0.0, left):.3g} of {budget.limit:g} are left."
            )
    return None


def _tightest_limit(problem: ScheduleProblem, job: Job, limits: tuple[LateLimit, ...]) -> str:
    """Which limit leaves it no room, by its price where it has one: else power, the redundancy margin, or capacity."""
    kind = in_the_way(limits, max(way.import_kw for way in job.ways)) or _likely(problem, job)
    if kind == "power":
        return "The power limit of the sites that may run it leaves too little room in its window."
    if kind == "ramp":
        return "The ramp limit of the sites that may run it leaves too little room in its window."
    if kind == "quota":
        return f"The quota of tenant {problem.tenants[job.tenant].name} leaves too little room in its window."
    if kind == "reserve" and job.firm:
        return "It may not be preempted, and outside the redundancy margin too little room is left in its window."
    return "Too few accelerators are free of real-time load and of other work in its window."


def _likely(problem: ScheduleProblem, job: Job) -> str:
    """The same without prices, by what is free in its window."""
    first, last = job.start_us // problem.slot_us, -(-job.end_us // problem.slot_us)
    by_power = by_margin = True
    for way in job.ways:
        pool = problem.pools[way.pool]
        site = problem.sites[pool.site]
        free = (pool.any_capacity if not job.firm else pool.firm_capacity)[first:last]
        headroom = np.maximum(0.0, site.limit_kw - site.quantile_kw + site.own_kw)[first:last]
        by_power &= bool((headroom < free * way.import_kw).mean() > 0.5)
        by_margin &= job.firm and bool(pool.any_capacity[first:last].sum() > 1.5 * free.sum())
    return "power" if by_power else "reserve" if by_margin else "capacity"
