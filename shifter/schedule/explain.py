"""Why the plan is as it is: each workload's slots, and what they cost against running at once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.domain.rows import WorkloadPlan
from shifter.schedule.baseline import RunNow
from shifter.schedule.bound import SlotPrices
from shifter.schedule.choice import choice_of_way
from shifter.schedule.classes import option_sets
from shifter.schedule.columns import Columns, Meter
from shifter.schedule.instead import Instead, instead
from shifter.schedule.jobs import Ints
from shifter.schedule.pack import Piece
from shifter.schedule.pieces import Pieces
from shifter.schedule.priced import priced
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.reasons import MATERIAL, Compared, ReasonCode, Words, why
from shifter.schedule.settle import Settled, Sources, pinned_pieces


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
    def of(cls, problem: ScheduleProblem, meter: Meter, columns: Columns) -> _Shares:
        n = len(problem.positions)
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


@dataclass(frozen=True, eq=False)
class Context:
    """What a plan is, besides its pieces, that says why these are where they are."""

    settled: Settled
    sources: Sources | None = None
    prices: SlotPrices | None = None
    """What its limits are worth, at the prices of `weighed`."""
    weighed: ScheduleProblem | None = None
    """The problem at its risk-adjusted prices, where uncertain ones count."""
    kept: Container[str] = ()
    """Jobs that are where an earlier plan announced them."""
    frozen: Container[str] = ()
    """Jobs of which something is frozen there."""


def explain_workloads(
    problem: ScheduleProblem,
    pieces: Sequence[Piece],
    done: Mapping[str, float],
    baseline: RunNow,
    currency: str,
    plan: Context,
) -> tuple[WorkloadPlan, ...]:
    """One row a job: when it runs, what that costs, what running at once would have cost, and why."""
    meter, words = Meter.of(problem), Words(currency)
    columns = Columns.of(problem, pieces), Columns.of(problem, baseline.pieces)
    own, at_once = (_Shares.of(problem, meter, one) for one in columns)
    chosen = _chosen(problem, meter, pieces)
    rows = []
    figures = (own.energy_kwh, own.cost, own.carbon_kg, own.start_us, own.end_us)
    now_figures = (at_once.cost, at_once.carbon_kg, at_once.end_us)
    every = zip(problem.jobs, *(c.tolist() for c in (*figures, *now_figures)), strict=False)
    compared = _compared(problem, columns, (own, at_once), plan, words)
    for (job, kwh, cost, kg, start, end, now_cost, now_kg, now_end), of in zip(every, compared, strict=True):
        code, text = why(job, done[job.id], of, words)
        if job.id in chosen:
            text += choice_of_way(job, chosen[job.id], words.money)
        rows.append(
            WorkloadPlan(
                job.id,
                problem.moment(start) if start >= 0 else None,
                problem.moment(end) if start >= 0 else None,
                kwh,
                cost,
                kg,
                now_cost,
                now_kg,
                problem.moment(now_end) if now_end >= 0 else None,
                code,
                text,
            )
        )
    return (*rows, *_pinned(problem, meter))


def _pinned(problem: ScheduleProblem, meter: Meter) -> Iterator[WorkloadPlan]:
    text = "It is running and may not be interrupted, so it stays where it is."
    held = _Shares.of(problem, meter, Columns.of(problem, pinned_pieces(problem)))
    for i, piece in enumerate(problem.pinned, start=len(problem.jobs)):
        share = float(held.energy_kwh[i]), float(held.cost[i]), float(held.carbon_kg[i])
        start, finish = problem.moment(piece.start_us), problem.moment(piece.end_us)
        # At once, it would be there just the same.
        yield WorkloadPlan(piece.id, start, finish, *share, *share[1:], finish, ReasonCode.RUNNING, text)


def _compared(
    problem: ScheduleProblem,
    columns: tuple[Columns, Columns],
    shares: tuple[_Shares, _Shares],
    plan: Context,
    words: Words,
) -> Iterator[Compared]:
    """Every job in its slots and at once, in their order."""
    n, (own, at_once) = len(problem.jobs), shares
    placed = at_once.end_us[:n] >= 0
    swapped = instead(problem, columns, (own.cost[:n], at_once.cost[:n]), plan.settled, plan.sources)

    def saved(cost: Callable[[Columns], Floats]) -> Floats:
        there, now = (np.bincount(one.job, cost(one), n) for one in columns)
        return np.where(placed, now - there, 0.0)

    weighed, prices, none = plan.weighed, plan.prices, np.zeros(n)
    safer = none if weighed is None else saved(lambda one: Meter.of(weighed).read(one)[1])
    worth = none if prices is None else saved(lambda one: priced(weighed or problem, prices, one))
    paid = np.divide(1000 * own.cost, own.energy_kwh, where=own.energy_kwh > 0, out=0.0 * own.cost)
    figures = [
        *(paid, _window_unit_cost(problem), own.cost, swapped.there, swapped.at_once, swapped.powering),
        *(at_once.cost, safer, worth),
    ]
    rows = zip(*(column[:n].tolist() for column in figures), strict=True)
    flags = zip(placed.tolist(), (own.end_us > at_once.end_us)[:n].tolist(), strict=True)
    for i, (job, row, (is_placed, waits)) in enumerate(zip(problem.jobs, rows, flags, strict=True)):
        per_mwh, usual, cost, there, then, powering, now_cost, less, more = row
        yield Compared(
            paid_per_mwh=per_mwh,
            usual_per_mwh=usual,
            cost=cost,
            now_cost=now_cost if is_placed else None,
            there=there,
            at_once=then,
            powering=powering,
            safer=less,
            priced=more,
            over_budget=_over_budget(problem, swapped, i) if problem.budgets else "",
            over_quota=_over_quota(problem, swapped, i, words) if problem.n_quotas else "",
            kept=job.id in plan.kept,
            frozen=job.id in plan.frozen,
            waits=waits,
        )


def _over_budget(problem: ScheduleProblem, swapped: Instead, job: int) -> str:
    """The budget that a job would break at once, in words; nothing where there is none."""
    broken = swapped.breaks(problem, job)
    if broken is None:
        return ""
    budget, more, left = broken
    return (
        f"Moved to keep {budget.name}: at once it would use {more:.3g} {budget.unit} more, and {left:.3g} of "
        f"{budget.limit:g} are left."
    )


def _over_quota(problem: ScheduleProblem, swapped: Instead, job: int, words: Words) -> str:
    """The same of its tenant's quota."""
    hours = float(swapped.over_quota_hours[job])
    if hours <= MATERIAL * problem.jobs[job].hours:
        return ""
    tenant = problem.tenants[problem.jobs[job].tenant]
    price = "" if tenant.hard else f", for {words.money(hours * tenant.over_price)}"
    return (
        f"Moved to keep the quota of tenant {tenant.name}: at once it would use {hours:.3g} accelerator-hours more "
        f"beyond it{price}."
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
