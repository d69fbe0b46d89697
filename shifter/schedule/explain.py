"""Why the plan is as it is: each workload's slots, what they cost against running at once, and what did not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from forecasts.slots import Floats, isoformat_z
from shifter.domain.chains import order_of
from shifter.domain.plan import LateLimit, Unplaced, WorkloadPlan
from shifter.schedule.baseline import RunNow, earliest_finish_us
from shifter.schedule.beside import Beside
from shifter.schedule.choice import choice_of_way
from shifter.schedule.classes import option_sets
from shifter.schedule.columns import Columns, Meter
from shifter.schedule.ledger import Ledger
from shifter.schedule.limits import LatePrices, in_the_way
from shifter.schedule.order import Order
from shifter.schedule.pack import Piece
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import DONE_RATIO
from shifter.schedule.problem import HOUR_US, Ints, Job, ScheduleProblem
from shifter.schedule.settle import Settled, pinned_pieces
from shifter.schedule.tenants import quota_full


class ReasonCode(StrEnum):
    """Why a workload's slots are these. The closed list; each has a line in `docs/errors.md`."""

    CHEAPER_LATER = "cheaper_later"
    NO_GAIN = "no_gain"
    NO_SLACK = "no_slack"
    LESS_RISK = "less_risk"
    MADE_ROOM = "made_room"
    PARTLY_PLACED = "partly_placed"
    UNPLACED = "unplaced"
    REST_LATER = "rest_later"
    RUNNING = "running"


@dataclass(frozen=True)
class _Words:
    """Amounts in the fleet's currency."""

    currency: str

    def money(self, amount: float) -> str:
        return f"{amount:.2f} {self.currency}"

    def unit_cost(self, per_mwh: float) -> str:
        return f"{per_mwh:.2f} {self.currency}/MWh"


def deferrable_cost(problem: ScheduleProblem, pieces: Iterable[Piece], settled: Settled) -> float:
    """What deferrable work causes: its energy and carbon, and the whole of the demand charge [currency].

    The demand charge belongs to the peak, which real-time load and deferrable work make together; it is counted here in
    full, for the plan and for running at once alike, so that their difference is exact. So are what tenants pay beyond
    their quotas, fairness, and what the terms of others cost.
    """
    _, cost, _ = Meter.of(problem).read(Columns.of(problem, pieces))
    bill = settled.cost
    return float(cost.sum()) + bill.demand_charge + (bill.over_quota + bill.fairness) + bill.further_total


@dataclass(frozen=True, eq=False)
class _Shares:
    """Each job's part of a schedule, and after the jobs that of what is pinned, (n,) each; -1 us where it has none."""

    energy_kwh: Floats
    cost: Floats
    carbon_kg: Floats
    start_us: Ints
    end_us: Ints

    @classmethod
    def of(cls, problem: ScheduleProblem, meter: Meter, pieces: Iterable[Piece]) -> _Shares:
        columns, n = Columns.of(problem, pieces), len(problem.positions)
        energy, cost, carbon = (
            np.bincount(columns.job, bill, n).astype(float) for bill in meter.read(columns)
        )
        start, end = columns.span_us(n)
        return cls(energy, cost, carbon, start, end)


def _chosen(
    problem: ScheduleProblem, meter: Meter, pieces: Sequence[Piece]
) -> dict[str, list[tuple[Piece, float]]]:
    """Of work with alternatives and of work that may be capped, its pieces and what each costs."""
    several = {
        job.id
        for job in problem.jobs
        if job.ways and (job.ways[0].model is not None or job.ways[-1].cap_kw is not None)
    }
    table = Pieces.of(problem, pieces)
    chosen = table.where(table.of_jobs(several))
    _, cost, _ = meter.read(Columns.of(problem, chosen))
    found: dict[str, list[tuple[Piece, float]]] = {}
    for piece, paid in zip(chosen, cost.tolist(), strict=True):
        found.setdefault(piece.job, []).append((piece, paid))
    return found


def _moment(problem: ScheduleProblem, us: int) -> datetime:
    return problem.grid.start + timedelta(microseconds=us)


def explain_workloads(
    problem: ScheduleProblem,
    pieces: Sequence[Piece],
    done: Mapping[str, float],
    baseline: RunNow,
    currency: str,
    weighed: ScheduleProblem | None = None,
) -> tuple[WorkloadPlan, ...]:
    """One row a job: when it runs, what that costs, what running at once would have cost, and why.

    `weighed` is the problem at its risk-adjusted prices, where uncertain ones count.
    """
    meter = Meter.of(problem)
    own, at_once = _Shares.of(problem, meter, pieces), _Shares.of(problem, meter, baseline.pieces)
    window_cost = _window_unit_cost(problem)
    safer = np.zeros(len(own.cost)) if weighed is None else _safer(weighed, pieces, baseline)
    words = _Words(currency)
    chosen = _chosen(problem, meter, pieces)
    rows = []
    columns = (own.energy_kwh, own.cost, own.carbon_kg, own.start_us, own.end_us)
    beside = (at_once.cost, at_once.carbon_kg, at_once.end_us, window_cost, safer)
    every = zip(problem.jobs, *(c.tolist() for c in (*columns, *beside)), strict=False)
    for job, kwh, cost, kg, start, end, now_cost, now_kg, now_end, usual, less in every:
        paid = 1000 * cost / kwh if kwh else 0.0
        code, text = _why(
            problem, job, done[job.id], paid, usual, cost, now_cost if now_end >= 0 else None, words
        )
        if less > 0.005 * abs(now_cost) and code in {ReasonCode.NO_GAIN, ReasonCode.MADE_ROOM}:
            code, text = ReasonCode.LESS_RISK, _less_risk(cost - now_cost, less, words)
        if job.id in chosen:
            text += choice_of_way(job, chosen[job.id], words.money)
        rows.append(
            WorkloadPlan(
                job.id,
                _moment(problem, start) if start >= 0 else None,
                _moment(problem, end) if start >= 0 else None,
                kwh,
                cost,
                kg,
                now_cost,
                now_kg,
                _moment(problem, now_end) if now_end >= 0 else None,
                code,
                text,
            )
        )
    text = "It is running and may not be interrupted, so it stays where it is."
    held = _Shares.of(problem, meter, pinned_pieces(problem))
    for i, piece in enumerate(problem.pinned, start=len(problem.jobs)):
        kwh, cost, kg = float(held.energy_kwh[i]), float(held.cost[i]), float(held.carbon_kg[i])
        start, finish = _moment(problem, piece.start_us), _moment(problem, piece.end_us)
        # At once, it would be there just the same.
        rows.append(
            WorkloadPlan(piece.id, start, finish, kwh, cost, kg, cost, kg, finish, ReasonCode.RUNNING, text)
        )
    return tuple(rows)


def _why(
    problem: ScheduleProblem,
    job: Job,
    done: float,
    paid_per_mwh: float,
    usual_per_mwh: float,
    cost: float,
    now_cost: float | None,
    words: _Words,
) -> tuple[ReasonCode, str]:
    """`usual_per_mwh` is the mean of its window; `now_cost` None where running at once has no place for it."""
    if job.open_ended and done < job.hours * (1 - DONE_RATIO):
        return (
            ReasonCode.REST_LATER,
            f"{100 * done / job.hours:.0f} % of it fits before the plan ends; the rest is planned later.",
        )
    if done <= 0:
        return (
            ReasonCode.UNPLACED,
            "Nothing of it fits in its window; see `unplaced` for the earliest deadline that works.",
        )
    if done < job.hours * (1 - DONE_RATIO):
        return (
            ReasonCode.PARTLY_PLACED,
            f"{100 * done / job.hours:.0f} % of it fits in its window, as early as there is room.",
        )
    if job.least_us > 0.95 * (job.end_us - job.start_us):
        return ReasonCode.NO_SLACK, "It needs nearly all of its window, so there is no choice of slots."
    figures = (
        f"its slots cost {words.unit_cost(paid_per_mwh)} with carbon, "
        f"its window {words.unit_cost(usual_per_mwh)} on average"
    )
    saved = (now_cost or 0.0) - cost
    if now_cost is not None and saved > 0.005 * abs(now_cost):
        share = f" ({100 * saved / abs(now_cost):.0f} %)" if now_cost else ""
        return (
            ReasonCode.CHEAPER_LATER,
            f"Moved to cheaper or cleaner slots: {figures}; saves {words.money(saved)}{share}.",
        )
    if saved < -0.005 * abs(now_cost or 0.0):
        return (
            ReasonCode.MADE_ROOM,
            f"Costs {words.money(-saved)} more than at once, to make room or to keep the peak down: {figures}.",
        )
    return ReasonCode.NO_GAIN, f"No slot of its window is worth waiting for: {figures}."


def _safer(weighed: ScheduleProblem, pieces: Iterable[Piece], baseline: RunNow) -> Floats:
    """By how much each job's slots are cheaper than at once at the risk-adjusted prices [currency]."""
    meter = Meter.of(weighed)
    own, at_once = (_Shares.of(weighed, meter, p) for p in (pieces, baseline.pieces))
    saved: Floats = at_once.cost - own.cost
    return np.where(at_once.end_us >= 0, saved, 0.0)


def _less_risk(dearer: float, less: float, words: _Words) -> str:
    """Why it runs where it gains nothing at the forecast: there it is safer."""
    return (
        f"Moved to calmer slots: at the forecast they cost {words.money(max(0.0, dearer))} more than running at once, "
        f"and {words.money(less)} less with what prices may come to."
    )


def _window_unit_cost(problem: ScheduleProblem) -> Floats:
    """Mean price with carbon over each job's window, over the sites that may run it [currency/MWh], (n_jobs,)."""
    length, jobs = problem.slot_us, problem.jobs
    start, end = (
        np.array([getattr(j, f) for j in jobs], dtype=np.int64) for f in ("true_start_us", "true_end_us")
    )
    first, last = start // length, -(-end // length)
    summed = np.cumsum([site.unit_cost_per_kwh for site in problem.sites], axis=1)
    up_to = np.hstack([np.zeros((len(problem.sites), 1)), summed])
    kind = np.array(option_sets(jobs), dtype=np.int64)
    usual = np.zeros(len(jobs))
    for number in np.unique(kind):
        members = np.flatnonzero(kind == number)
        sites = sorted({problem.pools[way.pool].site for way in jobs[int(members[0])].ways})
        members = members[last[members] > first[members]]
        if sites and len(members):
            mean = (up_to[sites][:, last[members]] - up_to[sites][:, first[members]]).mean(axis=0)
            usual[members] = 1000 * mean / (last[members] - first[members])
    return usual


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
    table = Pieces.of(problem, pieces)
    ledger.hold(table)
    ledger.hold_beside(beside)
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
                None if finish is None else _moment(problem, finish),
                limits,
            )
        )
    return tuple(found)


def _for_others(problem: ScheduleProblem, job: Job) -> str:
    """Why it is due before its own deadline, with a space before it; else nothing."""
    if job.due_us >= job.true_end_us:
        return ""
    return f" It must end by {isoformat_z(_moment(problem, job.due_us))}, for what waits for it."


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
    """Which limit leaves it no room: power, the redundancy margin, or plain capacity; by its price where it has one."""
    kind = in_the_way(limits, max(way.import_kw for way in job.ways)) or _likely(problem, job)
    if kind == "power":
        return "The power limit of the sites that may run it leaves too little room in its window."
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
