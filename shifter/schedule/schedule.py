"""From a problem to pieces, by the best way to plan that there is time and memory for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from shifter.domain.effort import Effort
from shifter.domain.plan import COARSE, GREEDY, OPTIMAL
from shifter.errors import SolverFailed
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.beside import Beside, sources_within_limits
from shifter.schedule.classes import n_columns, plain_and_shaped
from shifter.schedule.exact import TIDY_JOBS, WHOLE_BY, exact
from shifter.schedule.exchange import exchange
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.jobs import Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.made import Known, Schedule, still_to_place
from shifter.schedule.mend import (
    beside_batteries,
    charged_to_floor,
    energy_prices,
    settle_shape,
    site_faults,
    sites_beside,
    without_stranded,
)
from shifter.schedule.pack import Piece, merge_pieces
from shifter.schedule.parts import parted, with_spans
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import Prices, place
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.rungs import SIMPLEX_COLUMNS
from shifter.schedule.scaled import Relaxed, cell_prices, relax, spread
from shifter.schedule.shaped import place_shaped
from shifter.schedule.shortage import burden, suits_tenants
from shifter.schedule.standing import Own
from shifter.schedule.tidy import tidy

EXACT_COLUMNS = 200_000
"""Up to this many variables the program is solved exactly, uncertain prices counted by `RISK_EFFORT`."""

RISK_EFFORT = 2.0
"""Where paths of prices count, each variable is as much effort as so many. Measured with 60 jobs over 8 pools and 336
slots: 7 s plain, 21 s with 100 paths."""

ROUGH_SHARE = 0.2
"""Of the time: what the coarser program may take of it before the whole one."""

BETTER_RATIO = 1e-3
"""Of what is minimised: a coarser plan is no better than the whole program's unless by this much."""

DIED = "the planning process ended in the midst of it, which a want of memory may cause."

GREEDY_S = 10.0
"""What the sites do beside a greedy schedule is a small program: it has this long [s]."""


def schedule(
    problem: ScheduleProblem,
    *,
    announced: AnnouncedWork | None = None,
    time_limit_s: float = 60.0,
    effort: Effort = Effort.WHOLE,
) -> Schedule:
    """The cheapest schedule found. Never raises for want of a solver, of time or of memory: it falls back, and says so.

    First a coarser program, whose prices are kept for the case that the whole one fails; then the program whole, unless
    it is too large for that; then none. What was `announced` stays where moving it does not pay. The time is shared out
    in advance, so that each has its turn; what one leaves is another's.
    """
    known, failed = Known(), "" if effort is Effort.WHOLE else f"the whole program: {DIED}"
    rough: Relaxed | None = None
    if effort is Effort.WHOLE and _whole_effort(problem) <= EXACT_COLUMNS:
        ends = time.monotonic() + WHOLE_BY * time_limit_s
        try:
            rough = _rough(problem, ROUGH_SHARE * time_limit_s)
            made = exact(problem, known, announced, rough, ends - time.monotonic(), time_limit_s)
            return _better(problem, made, rough, announced, 0.1 * time_limit_s)
        except (SolverFailed, MemoryError) as failure:
            failed = f"the whole program: {_why(failure)}"
    if effort is Effort.GREEDY:
        return _greedy(
            problem, known, announced, f"planned without the solver, by price order, after {failed}"
        )
    try:
        share, fine = 0.25 if failed else 0.7, effort is Effort.WHOLE
        spans, solve_s = with_spans(problem), share * time_limit_s
        rough = rough or relax(spans, Capacity.of(problem), time_limit_s=solve_s, fine=fine)
        made = _large(problem, known, rough, announced, share * time_limit_s, 0.1 * time_limit_s)
        said = (f"planned by a coarser program, after {failed}",) if failed else ()
        return replace(made, warnings=(*said, *made.warnings))
    except (SolverFailed, MemoryError) as failure:
        failed += f"{' ' if failed else ''}a coarser program: {_why(failure)}"
    return _greedy(problem, known, announced, f"planned without the solver, by price order, after {failed}")


def _why(failure: SolverFailed | MemoryError) -> str:
    return failure.detail if isinstance(failure, SolverFailed) else "there was too little memory."


def _whole_effort(problem: ScheduleProblem) -> float:
    """How much the whole program is to solve, in variables of a plain one."""
    risky = problem.risk is not None and problem.risk.n_paths > 1
    return n_columns(problem) * (RISK_EFFORT if risky else 1.0)


def _rough(problem: ScheduleProblem, time_limit_s: float) -> Relaxed | None:
    """A coarser program, solved before the whole one; None where it fails, or is of no use."""
    if further_terms(problem) and n_columns(problem) <= SIMPLEX_COLUMNS:
        return None
    try:
        return relax(with_spans(problem), Capacity.of(problem), time_limit_s=time_limit_s)
    except SolverFailed:
        return None


def _better(
    problem: ScheduleProblem,
    made: Schedule,
    rough: Relaxed | None,
    announced: AnnouncedWork | None,
    settle_s: float,
) -> Schedule:
    """This plan of the whole program, or the one by the coarser, where that is the better of the two.

    Only where work with a shape was placed at prices may it be: an optimum is one.
    """
    if made.status == OPTIMAL or rough is None or announced is not None or problem.tenants:
        return made
    try:
        other = _followed(problem, Known(), rough, None, settle_s)
    except SolverFailed:
        return made
    whole, coarse = (
        burden(problem, m.pieces, m.batteries, m.sources) + problem.run_price * len(m.pieces)
        for m in (made, other)
    )
    if coarse >= whole * (1 - BETTER_RATIO):
        return made
    why = (
        f"planned by a coarser program, at whose prices work with a shape came out {whole - coarse:.2f} cheaper than "
        "at those of the whole one, with a price on runs."
    )
    further = () if other.prices is None else (other.prices,)
    warnings = (why, *other.warnings)
    return replace(other, warnings=warnings, prices=made.prices, weights=made.weights, further_prices=further)


def _large(
    problem: ScheduleProblem,
    known: Known,
    relaxed: Relaxed,
    announced: AnnouncedWork | None,
    time_limit_s: float,
    settle_s: float,
) -> Schedule:
    """Not solved whole: every job placed at the prices of a coarser problem. Raises SolverFailed.

    Where tenants have something to say about it, once more at prices that tell them apart; the better one is taken.
    """
    made = _followed(problem, known, relaxed, announced, settle_s)
    if not problem.tenants or suits_tenants(problem, made.pieces, n_columns(problem)):
        return made
    try:
        told = relax(with_spans(problem), Capacity.of(problem), time_limit_s=0.5 * time_limit_s, tell=True)
        both = made, _followed(problem, known, told, announced, settle_s)
    except SolverFailed as failure:
        why = f"planned as if tenants were one, since telling them apart failed: {failure.detail}"
        return replace(made, warnings=(*made.warnings, why))
    best, other = sorted(both, key=lambda m: burden(problem, m.pieces, m.batteries, m.sources))
    return replace(best, further_prices=() if other.prices is None else (other.prices,))


def _followed(
    problem: ScheduleProblem,
    known: Known,
    relaxed: Relaxed,
    announced: AnnouncedWork | None,
    settle_s: float,
) -> Schedule:
    """What stays, and every other job placed at the prices of a coarser problem. Raises SolverFailed."""
    at = replace(cell_prices(problem.at_prices(relaxed.weights), relaxed.prices), peaks=relaxed.peaks)
    known.learn(at, relaxed.prices, relaxed.weights)
    problem = parted(problem, at, beside_batteries(problem))
    stays: Own = {}
    if announced is not None:
        stays = announced.staying(problem.at_prices(relaxed.weights), relaxed.prices)
    held = [piece for pieces in stays.values() for piece in pieces]
    ledger = Ledger(problem)
    ledger.hold_beside(relaxed.beside)
    ledger.hold(held)
    jobs = still_to_place(problem, announced, stays)
    plain, shaped = plain_and_shaped(jobs)
    placed = place_shaped(shaped, ledger, at)
    packed: Sequence[Piece] = spread(problem, plain, relaxed, ledger).beside([*held, *merge_pieces(placed)])
    if len(problem.jobs) <= TIDY_JOBS:
        moving = [job for job in plain if job.id not in stays]
        if problem.has_batteries or further_terms(problem):  # what sites do beside is not known on true slots
            packed = exchange(moving, list(packed))
        else:
            packed = tidy(problem, moving, list(packed), relaxed.beside, relaxed.weights)
    pieces, beside = settle_shape(problem, packed, relaxed.beside, stays, settle_s, rough=True)
    said = (*relaxed.notes, *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, pieces).in_order(), beside.batteries, relaxed.prices, COARSE, said)
    return replace(made, weights=relaxed.weights, sources=beside.sources)


def _greedy(problem: ScheduleProblem, known: Known, announced: AnnouncedWork | None, why: str) -> Schedule:
    """What was announced stays; the rest by deadline, each in its cheapest slots at the prices that are known.

    Batteries only charge up to their floor.
    """
    batteries = charged_to_floor(problem)
    at = energy_prices(problem) if known.at is None else known.at
    problem = parted(problem, at, beside_batteries(problem))
    ledger = beside_batteries(problem)
    stays: Own = {} if announced is None else announced.complete(problem, ledger)
    pieces = [piece for own in stays.values() for piece in own]
    ledger.hold(pieces)
    jobs = sorted(still_to_place(problem, announced, stays), key=lambda j: (j.end_us, -j.hours, j.id))
    kept = _in_order(problem, pieces, jobs, ledger, at)
    beside = sites_beside(problem, kept, GREEDY_S) if further_terms(problem) else None
    if beside is None:
        beside = Beside(batteries, sources_within_limits(problem, kept, batteries))
    said = (why, *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, kept).in_order(), beside.batteries, known.proof, GREEDY, said)
    return replace(made, sources=beside.sources, weights=known.weights)


def _in_order(
    problem: ScheduleProblem, stays: list[Piece], jobs: Sequence[Job], ledger: Ledger, at: Prices
) -> Sequence[Piece]:
    """What stays, and the jobs one after the other. All are placed anew without steps that could not start: what they
    held may be what a ramp limit hangs on, and is room for others."""
    while True:
        free = ledger.copy()
        placed = merge_pieces([*stays, *(piece for job in jobs for piece in place(job, free, at))])
        kept = without_stranded(problem, placed)
        gone = {piece.job for piece in placed} - {piece.job for piece in kept}
        if not gone.intersection(job.id for job in jobs):
            return kept
        jobs = [job for job in jobs if job.id not in gone]
