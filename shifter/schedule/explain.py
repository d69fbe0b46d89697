"""Why the plan is as it is: each workload's slots, what they cost against running at once, and what did not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from shifter.domain.chains import order_of
from shifter.domain.plan import Unplaced, WorkloadPlan
from shifter.schedule.baseline import RunNow, earliest_finish_us
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.problem import HOUR_US, Job, ScheduleProblem
from shifter.schedule.schedule import DONE_RATIO
from shifter.schedule.settle import BatteryTrace, Settled, pinned_pieces, slot_shares


class ReasonCode(StrEnum):
    """Why a workload's slots are these. The closed list; each has a line in `docs/errors.md`."""

    CHEAPER_LATER = "cheaper_later"
    NO_GAIN = "no_gain"
    NO_SLACK = "no_slack"
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
    full, for the plan and for running at once alike, so that their difference is exact.
    """
    return sum((_bill(problem, piece)[1] for piece in pieces), 0.0) + settled.cost.demand_charge


def _bill(problem: ScheduleProblem, piece: Piece) -> tuple[float, float, float]:
    """Energy [kWh], cost of energy and carbon [currency], carbon [kg] of one piece."""
    site = problem.sites[problem.pools[piece.pool].site]
    slots, share = slot_shares(problem, piece)
    import_kw = problem.ways[piece.job][piece.way].import_kw
    kwh = piece.accelerators * import_kw * share * problem.grid.slot_hours
    return (
        float(kwh.sum()),
        float(kwh @ site.unit_cost_per_kwh[slots]),
        float(kwh @ site.carbon_kg_per_kwh[slots]),
    )


def _bills(problem: ScheduleProblem, pieces: Iterable[Piece]) -> tuple[float, float, float]:
    rows = [_bill(problem, piece) for piece in pieces]
    kwh, cost, kg = (float(sum(column)) for column in zip(*rows, strict=True)) if rows else (0.0, 0.0, 0.0)
    return kwh, cost, kg


def _moment(problem: ScheduleProblem, us: int) -> datetime:
    return problem.grid.moment(us / problem.slot_us)


def explain_workloads(
    problem: ScheduleProblem,
    pieces: Mapping[str, list[Piece]],
    done: Mapping[str, float],
    baseline: RunNow,
    currency: str,
) -> tuple[WorkloadPlan, ...]:
    """One row a job: when it runs, what that costs, what running at once would have cost, and why."""
    words = _Words(currency)
    rows = []
    for job in problem.jobs:
        own, at_once = pieces.get(job.id, []), baseline.pieces.get(job.id, ())
        kwh, cost, kg = _bills(problem, own)
        _, now_cost, now_kg = _bills(problem, at_once)
        code, text = _why(problem, job, own, list(at_once), done[job.id], cost, now_cost, words)
        rows.append(
            WorkloadPlan(
                workload_id=job.id,
                start=_moment(problem, min(p.start_us for p in own)) if own else None,
                finish=_moment(problem, max(p.end_us for p in own)) if own else None,
                energy_kwh=kwh,
                cost=cost,
                carbon_kg=kg,
                run_now_cost=now_cost,
                run_now_carbon_kg=now_kg,
                run_now_finish=_moment(problem, max(p.end_us for p in at_once)) if at_once else None,
                reason_code=code,
                reason=text,
            )
        )
    rows += [_running(problem, piece) for piece in pinned_pieces(problem)]
    return tuple(rows)


def _running(problem: ScheduleProblem, piece: Piece) -> WorkloadPlan:
    """Work that stays where it is: at once, it would be there just the same."""
    kwh, cost, kg = _bill(problem, piece)
    start, finish = _moment(problem, piece.start_us), _moment(problem, piece.end_us)
    text = "It is running and may not be interrupted, so it stays where it is."
    bill = (kwh, cost, kg, cost, kg)
    return WorkloadPlan(piece.job, start, finish, *bill, finish, ReasonCode.RUNNING, text)


def _why(
    problem: ScheduleProblem,
    job: Job,
    own: list[Piece],
    at_once: list[Piece],
    done: float,
    cost: float,
    now_cost: float,
    words: _Words,
) -> tuple[ReasonCode, str]:
    if job.open_ended and done < job.hours * (1 - DONE_RATIO):
        return (
            ReasonCode.REST_LATER,
            f"{100 * done / job.hours:.0f} % of it fits before the plan ends; the rest is planned later.",
        )
    if not own:
        return (
            ReasonCode.UNPLACED,
            "Nothing of it fits in its window; see `unplaced` for the earliest deadline that works.",
        )
    if done < job.hours * (1 - DONE_RATIO):
        return (
            ReasonCode.PARTLY_PLACED,
            f"{100 * done / job.hours:.0f} % of it fits in its window, as early as there is room.",
        )
    window = job.end_us - job.start_us
    if job.least_us > 0.95 * window:
        return ReasonCode.NO_SLACK, "It needs nearly all of its window, so there is no choice of slots."
    mean_own = words.unit_cost(_mean_unit_cost(problem, own))
    mean_window = words.unit_cost(_window_unit_cost(problem, job))
    saved = now_cost - cost
    figures = f"its slots cost {mean_own} with carbon, its window {mean_window} on average"
    if at_once and saved > 0.005 * abs(now_cost):
        share = f" ({100 * saved / abs(now_cost):.0f} %)" if now_cost else ""
        return (
            ReasonCode.CHEAPER_LATER,
            f"Moved to cheaper or cleaner slots: {figures}; saves {words.money(saved)}{share}.",
        )
    if saved < -0.005 * abs(now_cost):
        return (
            ReasonCode.MADE_ROOM,
            f"Costs {words.money(-saved)} more than at once, to make room or to keep the peak down: {figures}.",
        )
    return ReasonCode.NO_GAIN, f"No slot of its window is worth waiting for: {figures}."


def _mean_unit_cost(problem: ScheduleProblem, pieces: list[Piece]) -> float:
    kwh, cost, _ = _bills(problem, pieces)
    return 1000 * cost / kwh if kwh else 0.0


def _window_unit_cost(problem: ScheduleProblem, job: Job) -> float:
    """Mean price with carbon over the window, over the sites that may run it [currency/MWh]."""
    first, last = job.true_start_us // problem.slot_us, -(-job.true_end_us // problem.slot_us)
    sites = sorted({problem.pools[way.pool].site for way in job.ways})
    if not sites or last <= first:
        return 0.0
    return 1000 * float(np.mean([problem.sites[s].unit_cost_per_kwh[first:last].mean() for s in sites]))


def unplaced_work(
    problem: ScheduleProblem,
    pieces: Mapping[str, list[Piece]],
    done: Mapping[str, float],
    batteries: Mapping[int, BatteryTrace],
) -> tuple[Unplaced, ...]:
    """What cannot be done in time, why, and by when it could be, everything else staying where it is."""
    short = [job for job in problem.jobs if job.hours - done[job.id] > job.hours * DONE_RATIO]
    finishes = _finishes(problem, short, pieces, done, batteries) if short else {}
    return tuple(
        Unplaced(
            job.id,
            job.hours - done[job.id],
            _why_not(problem, job, done),
            None if finish is None else _moment(problem, finish),
        )
        for job in short
        if not job.open_ended
        for finish in [finishes[job.id]]
    )


def _finishes(
    problem: ScheduleProblem,
    short: Sequence[Job],
    pieces: Mapping[str, list[Piece]],
    done: Mapping[str, float],
    batteries: Mapping[int, BatteryTrace],
) -> dict[str, int | None]:
    """By when each job could be done, after what it waits for; None where that is not in the horizon."""
    ledger = Ledger(problem)
    ledger.hold(p for group in pieces.values() for p in group)
    ledger.hold_batteries(batteries)
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


def _why_not(problem: ScheduleProblem, job: Job, done: Mapping[str, float]) -> str:
    if not job.ways:
        return "No pool in the fleet may run it."
    hours_of = {other.id: other.hours for other in problem.jobs}
    waits_for = [d for d in job.depends_on if d in hours_of and done[d] < hours_of[d] * (1 - DONE_RATIO)]
    if waits_for:
        return f"It waits for {waits_for[0]}, which is not done in full in time."
    hours = (job.end_us - job.start_us) / HOUR_US
    needed = job.least_us / HOUR_US
    if hours <= 0:
        return "Its deadline is past, or before anything it depends on can be done."
    if needed > hours * (1 + 1e-9):
        width = f"{job.max_accelerators} accelerator{'' if job.max_accelerators == 1 else 's'}"
        until = "its deadline" if job.true_end_us < problem.edges_us[-1] else "the end of what is planned"
        return f"At {width} it needs {needed:.1f} h, and {hours:.1f} h are left until {until}."
    return _tightest_limit(problem, job)


def _tightest_limit(problem: ScheduleProblem, job: Job) -> str:
    """Which limit leaves it no room: power, the redundancy margin, or plain capacity."""
    first, last = job.start_us // problem.slot_us, -(-job.end_us // problem.slot_us)
    by_power = by_margin = True
    for way in job.ways:
        pool = problem.pools[way.pool]
        site = problem.sites[pool.site]
        free = (pool.any_capacity if not job.firm else pool.firm_capacity)[first:last]
        headroom = np.maximum(0.0, site.limit_kw - site.quantile_kw)[first:last]
        by_power &= bool((headroom < free * way.import_kw).mean() > 0.5)
        by_margin &= job.firm and bool(pool.any_capacity[first:last].sum() > 1.5 * free.sum())
    if by_power:
        return "The power limit of the sites that may run it leaves too little room in its window."
    if by_margin:
        return "It may not be preempted, and outside the redundancy margin too little room is left in its window."
    return "Too few accelerators are free of real-time load and of other work in its window."
