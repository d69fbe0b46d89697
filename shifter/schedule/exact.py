"""The program solved whole: its prices, what it cannot express placed at those prices, the rest packed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shifter.domain.plan import OPTIMAL, ROUNDED
from shifter.errors import SolverFailed
from shifter.schedule.anchors import AnchorTerm, by_themselves
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.beside import Beside
from shifter.schedule.bill import Bill
from shifter.schedule.bound import proof_prices, slot_prices
from shifter.schedule.build import usual_run_price
from shifter.schedule.classes import WorkClass, merge, plain_and_shaped
from shifter.schedule.fleet_bound import further_terms, load_prices
from shifter.schedule.late import FewLate, apart, is_late, steps_behind
from shifter.schedule.made import Known, Schedule, still_to_place
from shifter.schedule.mend import (
    SHORT_HOURS,
    beside_batteries,
    charged_to_floor,
    settle_shape,
    site_faults,
)
from shifter.schedule.pack import Piece, merge_pieces, pack
from shifter.schedule.parts import has_parts, parted, with_spans
from shifter.schedule.peaks import Peaks
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import Prices
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS, Capacity, Term
from shifter.schedule.release import released, short_hours
from shifter.schedule.rungs import SIMPLEX_FIRST, Rung
from shifter.schedule.scaled import Relaxed, cell_prices
from shifter.schedule.shaped import shaped_beside, without_savings
from shifter.schedule.shortage import short_of_shaped
from shifter.schedule.solve import Solution, solve
from shifter.schedule.standing import Own
from shifter.schedule.tenants import quota_prices
from shifter.schedule.terms.registry import installed_terms
from shifter.schedule.tidy import tidy

TIDY_JOBS = 1_000
"""Up to this many jobs are placed once more for fewer runs, which takes some milliseconds each."""

CUTS, CUT_RATIO = 3, 1e-3
"""Chains are cut so many times at the most, and not again where that costs less than this share more than no order."""

WHOLE_BY = 0.6
"""Of the time, what the coarser program left of this much is for the whole one."""

FEW_LATE_BY = 0.7
"""Of the time, what the solves before them left of this much is for chains, and an optimum in which few are late."""


def exact(
    problem: ScheduleProblem,
    known: Known,
    announced: AnnouncedWork | None,
    rough: Relaxed | None,
    solve_s: float,
    time_limit_s: float,
) -> Schedule:
    """The program solved whole, in at most `solve_s`. Raises SolverFailed."""
    ends = time.monotonic() + (FEW_LATE_BY - WHOLE_BY) * time_limit_s + solve_s
    capacity = Capacity.of(problem)
    # The price of work that proves a plan of further terms is the program's own for every kW: it would hold the lean.
    lean = [] if rough is None or further_terms(problem) else by_themselves(problem, rough)
    spans = with_spans(problem)
    solution = _solve(spans, merge(spans.jobs), capacity, lean, solve_s)
    at, proof = cell_prices_of(problem, solution), proof_prices(problem, solution)
    known.learn(at, proof, problem.weights(solution.duals))
    if has_parts(problem):
        problem, solution = _cut(problem, solution, at, capacity, lean, ends)
    stays: Own = {}
    if announced is not None:
        stays = announced.staying(problem.at_prices(known.weights), proof)
    made = _packed(problem, solution, at, capacity, lean, announced, stays, ends, time_limit_s)
    short, enough = short_hours(problem, made.pieces), float(solution.values["short"].sum()) + SHORT_HOURS
    if announced is not None and stays and sum(short.values()) > enough:
        # What stays is in the way of what would be done: better some of it moves that is not frozen.
        for fewer in released(problem, stays, announced.frozen(problem), short):
            made = _packed(problem, solution, at, capacity, lean, announced, fewer, ends, 0.5 * time_limit_s)
            if sum(short_hours(problem, made.pieces).values()) <= enough:
                break
    return replace(made, prices=proof, weights=known.weights)


def _cut(
    problem: ScheduleProblem,
    spans: Solution,
    at: Prices,
    capacity: Capacity,
    lean: Sequence[Piece],
    ends: float,
) -> tuple[ScheduleProblem, Solution]:
    """Chains cut into parts at these prices, and the optimum in them. Raises SolverFailed.

    Where that costs more than with `spans`, they are cut again at the mean of all prices so far: alone, each chain
    takes what is cheap, and does not see that the others do.
    """
    free = beside_batteries(problem)
    best: tuple[ScheduleProblem, Solution] | None = None
    for n in range(1, CUTS + 1):
        began = time.monotonic()
        cut = parted(problem, at, free)
        try:
            solution = _solve(cut, merge(cut.jobs), capacity, lean, max(0.0, ends - time.monotonic()))
        except SolverFailed:
            if best is None:
                raise
            break
        if best is None or solution.cost < best[1].cost:
            best = cut, solution
        enough = best[1].cost <= spans.cost + CUT_RATIO * abs(spans.cost)
        if enough or 2 * time.monotonic() - began > ends:
            break
        at = at.towards(cell_prices_of(cut, solution), 1 / (n + 1))
    assert best is not None
    return best[0], replace(best[1], notes=tuple(dict.fromkeys((*spans.notes, *best[1].notes))))


def _solve(
    problem: ScheduleProblem,
    classes: Sequence[WorkClass],
    capacity: Capacity,
    lean: Sequence[Piece],
    time_limit_s: float,
    *further: Term,
    rungs: Sequence[Rung] | None = None,
) -> Solution:
    terms: list[Term] = [*installed_terms(), *further]
    if lean:
        terms.append(AnchorTerm.of(problem, classes, lean))
    return solve(problem, classes, capacity, time_limit_s=time_limit_s, terms=terms, rungs=rungs)


def _packed(
    problem: ScheduleProblem,
    relaxed: Solution,
    at: Prices,
    capacity: Capacity,
    lean: Sequence[Piece],
    announced: AnnouncedWork | None,
    stays: Own,
    ends: float,
    time_limit_s: float,
) -> Schedule:
    """What stays, and beside it what has a shape of its own, placed at the relaxed problem's prices; the rest solved
    beside both, and packed."""
    classes: Sequence[WorkClass] = merge(problem.jobs)
    solution = relaxed
    placed = [piece for pieces in stays.values() for piece in pieces]
    plain, shaped = plain_and_shaped(problem.jobs)
    status = ROUNDED if stays or shaped or has_parts(problem) else OPTIMAL
    if stays or shaped:
        plain, shaped = plain_and_shaped(still_to_place(problem, announced, stays))
        besides = [Beside(charged_to_floor(problem))]
        if problem.has_batteries or problem.has_sources:
            besides.append(without_savings(problem, Beside.of(problem, relaxed.values)))
        own, ledger = shaped_beside(problem, shaped, placed, besides, at)
        placed += merge_pieces(own)
        capacity = replace(ledger.left(), short_hours=short_of_shaped(problem, placed))
        classes = merge(plain)
        solution = _solve(problem, classes, capacity, lean, 0.15 * time_limit_s)
    classes, solution = _few_late(problem, classes, capacity, lean, solution, ends - time.monotonic())
    packed = placed + pack(problem, classes, solution, capacity)
    beside, tidied = Beside.of(problem, solution.values), packed
    if len(problem.jobs) <= TIDY_JOBS:
        moving = [job for job in plain if job.id not in stays]
        tidied = tidy(problem, moving, packed, beside, problem.weights(relaxed.duals))
    rough, planned = tidied is not packed, beside
    pieces, beside = settle_shape(problem, tidied, beside, stays, 0.1 * time_limit_s, rough=rough)
    said = (
        *dict.fromkeys((*relaxed.notes, *solution.notes)),
        *_given_for_runs(problem, packed, tidied, planned),
        *site_faults(problem, beside.batteries),
    )
    made = Schedule(Pieces.of(problem, pieces).in_order(), beside.batteries, None, status, said)
    return replace(made, sources=beside.sources)


def _given_for_runs(
    problem: ScheduleProblem, packed: Sequence[Piece], tidied: Sequence[Piece], beside: Beside
) -> tuple[str, ...]:
    """What fewer runs cost, where that is more than would be given for them if the fleet did not say."""
    usual = usual_run_price(problem.sites, problem.jobs)
    if tidied is packed or problem.run_price <= usual:
        return ()
    before, after = (Bill.of(problem, pieces, beside).total for pieces in (packed, tidied))
    given, fewer = after - before, len(packed) - len(tidied)
    if given <= usual * max(0, fewer) + EXCESS:
        return ()
    said = (
        f"{fewer} runs less cost {given:.4g} more, at a cost_per_run of {problem.run_price:.4g}, which is in no bill; "
        f"by default a run less is worth {usual:.4g}."
    )
    return (said,)


def _few_late(
    problem: ScheduleProblem,
    classes: Sequence[WorkClass],
    capacity: Capacity,
    lean: Sequence[Piece],
    solution: Solution,
    time_limit_s: float,
) -> tuple[Sequence[WorkClass], Solution]:
    """Where jobs fall short, an optimum in which few do; the one that is there where that is not found in time."""
    short, behind = solution.values["short"], steps_behind(problem.jobs)
    # Where fairness has a price, it says whose work is late.
    if problem.fairness_price_per_hour > 0 or not is_late(classes, short, behind):
        return classes, solution
    told = apart(classes, short)
    try:
        few = _solve(
            problem, told, capacity, lean, time_limit_s, FewLate.of(told, behind), rungs=SIMPLEX_FIRST
        )
    except SolverFailed as failure:
        return classes, replace(
            solution, notes=(*solution.notes, f"more are late than need be: {failure.detail}")
        )
    return told, few


def cell_prices_of(problem: ScheduleProblem, solution: Solution) -> Prices:
    """What all of each cell costs: energy, carbon, power and peak, and the room that an accelerator takes."""
    imports_kw = solution.values["import"].reshape(len(problem.sites), -1)
    peaks = Peaks.of(problem, imports_kw, Beside.of(problem, solution.values))
    if further_terms(problem):
        room, firm, work = load_prices(problem, solution)
        quota = quota_prices(problem, slot_prices(problem, solution.duals).quota)
        return Prices(work / problem.cell_share, problem.cell_share, room, firm, quota, peaks)
    plain = problem.at_prices(problem.weights(solution.duals))
    shape = (len(problem.pools), problem.n_cells)
    room, firm = (
        solution.duals.get(name, np.zeros(shape)).reshape(shape) for name in ("capacity", "reserve")
    )
    # Of room, the program knows more than its price by slot: cells of one slot may be short of it to different degrees.
    prices = cell_prices(plain, slot_prices(problem, solution.duals))
    return replace(prices, any=room, firm=firm, peaks=peaks)
