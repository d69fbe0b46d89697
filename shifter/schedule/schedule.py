"""From a problem to pieces: the program's prices, what it cannot express placed at those prices, the rest packed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.domain.chains import order_of
from shifter.domain.effort import Effort
from shifter.domain.plan import COARSE, GREEDY, OPTIMAL, ROUNDED, Held
from shifter.errors import SolverFailed
from shifter.schedule.anchors import AnchorTerm, by_themselves
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.beside import Beside, sources_within_limits
from shifter.schedule.bound import SlotPrices, proof_prices, slot_prices
from shifter.schedule.classes import WorkClass, merge, option_sets, plain_and_shaped, work_ratios
from shifter.schedule.fleet_bound import further_terms, load_prices
from shifter.schedule.late import FewLate, apart, is_late, steps_behind
from shifter.schedule.ledger import Ledger
from shifter.schedule.order import Order
from shifter.schedule.pack import Piece, merge_pieces, pack
from shifter.schedule.parts import has_parts, parted, with_spans
from shifter.schedule.peaks import Peaks
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import DONE_RATIO, Prices, done_hours, place, top_up, work_hours
from shifter.schedule.problem import Job, ScheduleProblem
from shifter.schedule.program import EXCESS, Capacity, Term
from shifter.schedule.release import released, short_hours
from shifter.schedule.resting import idle_room
from shifter.schedule.rungs import SIMPLEX_COLUMNS, SIMPLEX_FIRST, Rung
from shifter.schedule.scaled import Relaxed, cell_prices, relax, spread
from shifter.schedule.settle import BatteryTrace, Sources, idle_batteries
from shifter.schedule.shaped import most_beside, place_shaped, shaped_beside, without_savings
from shifter.schedule.shortage import burden, short_of_shaped, suits_tenants
from shifter.schedule.solve import Solution, solve
from shifter.schedule.standing import Own, is_done
from shifter.schedule.tenants import quota_prices
from shifter.schedule.terms.registry import installed_terms
from shifter.schedule.tidy import tidy

TIDY_JOBS = 1_000
"""Up to this many jobs are placed once more for fewer runs, which takes some milliseconds each."""

EXACT_COLUMNS = 200_000
"""Up to this many variables the program is solved exactly, uncertain prices counted by `RISK_EFFORT`."""

RISK_EFFORT = 2.0
"""Where paths of prices count, each variable is as much effort as so many. Measured with 60 jobs over 8 pools and 336
slots: 7 s plain, 21 s with 100 paths."""

WHOLE_BY = 0.6
"""Of the time, what the coarser program left of this much is for the whole one."""

ROUGH_SHARE = 0.2
"""Of the time: what the coarser program may take of it before the whole one."""

BETTER_RATIO = 1e-3
"""Of what is minimised: a coarser plan is no better than the whole program's unless by this much."""

CUTS, CUT_RATIO = 3, 1e-3
"""Chains are cut so many times at the most, and not again where that costs less than this share more than no order."""

SHORT_HOURS = 0.01
"""Less than this is no work that falls short [accelerator-hours]."""

DIED = "the planning process ended in the midst of it, which a want of memory may cause."

FEW_LATE_BY = 0.7
"""Of the time, what the solves before them left of this much is for chains, and an optimum in which few are late."""

GREEDY_S = 10.0
"""What the sites do beside a greedy schedule is a small program: it has this long [s]."""

MOST_HELPED = 10
"""So many jobs with a shape that fall short are tried beside all that their sites might do: each asks a solver."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Pieces of whole accelerators, what the batteries do, and the prices that prove it.

    `status` is that of the plan (`Plan.status`); `warnings` says why it is not a better one that was tried. `prices`
    are those of the program that was solved, None where none was.
    """

    pieces: Sequence[Piece]
    batteries: Mapping[int, BatteryTrace]
    prices: SlotPrices | None
    status: str
    warnings: tuple[str, ...] = ()
    weights: Floats | None = None
    """Of the paths that prices may take, (n_paths,): with `prices` they prove the plan. None: as likely as they are."""
    sources: Sources | None = None
    held: Held | None = None
    """The plan whose prices these are, where what it announced stands."""
    further_prices: tuple[SlotPrices, ...] = ()
    """Other prices that may prove more."""


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
    known, failed = _Known(), "" if effort is Effort.WHOLE else f"the whole program: {DIED}"
    rough: Relaxed | None = None
    if effort is Effort.WHOLE and _whole_effort(problem) <= EXACT_COLUMNS:
        ends = time.monotonic() + WHOLE_BY * time_limit_s
        try:
            rough = _rough(problem, ROUGH_SHARE * time_limit_s)
            made = _exact(problem, known, announced, rough, ends - time.monotonic(), time_limit_s)
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


@dataclass(eq=False)
class _Known:
    """What the last program that was solved says: of what cells cost, and of what proves a plan. None before."""

    at: Prices | None = None
    proof: SlotPrices | None = None
    weights: Floats | None = None

    def learn(self, at: Prices, proof: SlotPrices, weights: Floats | None) -> None:
        """For whoever comes next, also after a failure."""
        self.at, self.proof, self.weights = at, proof, weights


def _whole_effort(problem: ScheduleProblem) -> float:
    """How much the whole program is to solve, in variables of a plain one."""
    risky = problem.risk is not None and problem.risk.n_paths > 1
    return n_columns(problem) * (RISK_EFFORT if risky else 1.0)


def _rough(problem: ScheduleProblem, time_limit_s: float) -> Relaxed | None:
    """A coarser program, solved before the whole one; None where that is small and its jobs lean nowhere, or where it
    fails."""
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
        other = _followed(problem, _Known(), rough, None, settle_s)
    except SolverFailed:
        return made
    whole, coarse = (burden(problem, m.pieces, m.batteries, m.sources) for m in (made, other))
    if coarse >= whole * (1 - BETTER_RATIO):
        return made
    why = (
        f"planned by a coarser program, at whose prices work with a shape came out {whole - coarse:.2f} cheaper than "
        "at those of the whole one."
    )
    further = () if other.prices is None else (other.prices,)
    warnings = (why, *other.warnings)
    return replace(other, warnings=warnings, prices=made.prices, weights=made.weights, further_prices=further)


def _exact(
    problem: ScheduleProblem,
    known: _Known,
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
    at, proof = _cell_prices(problem, solution), proof_prices(problem, solution)
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
        at = at.towards(_cell_prices(cut, solution), 1 / (n + 1))
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


def n_columns(problem: ScheduleProblem) -> int:
    """Variables of the exact program: one for each class of jobs, way and cell."""
    jobs = problem.jobs
    if not jobs:
        return 0
    start, end = (np.array([getattr(job, f) for job in jobs], dtype=np.int64) for f in ("start_us", "end_us"))
    ratio = work_ratios(jobs)
    kind = np.array(option_sets(jobs)) * 4 + np.array([2 * job.firm + job.open_ended for job in jobs])
    kind = kind * (len(problem.tenants) + 1) + np.array([job.tenant + 1 for job in jobs])
    order = np.lexsort((ratio, kind, end, start))
    differs = np.zeros(len(jobs), dtype=bool)
    differs[0] = True
    for trait in (start, end, kind, ratio):
        differs[1:] |= np.diff(trait[order]) != 0
    one = order[differs]
    edges = problem.edges_us
    cells = np.searchsorted(edges, end[one], side="right") - 1 - np.searchsorted(edges, start[one])
    ways = np.array([len(jobs[i].ways) for i in one])
    return int((np.maximum(0, cells) * ways).sum())


def _large(
    problem: ScheduleProblem,
    known: _Known,
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
    known: _Known,
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
    jobs = _rest(problem, announced, stays)
    plain, shaped = plain_and_shaped(jobs)
    placed = place_shaped(shaped, ledger, at)
    packed = spread(problem, plain, relaxed, ledger).beside([*held, *merge_pieces(placed)])
    pieces, beside = _settle_shape(problem, packed, relaxed.beside, stays, settle_s, rough=True)
    said = (*relaxed.notes, *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, pieces).in_order(), beside.batteries, relaxed.prices, COARSE, said)
    return replace(made, weights=relaxed.weights, sources=beside.sources)


def _rest(problem: ScheduleProblem, announced: AnnouncedWork | None, stays: Own) -> list[Job]:
    """What is still to be placed beside what stays. Announced work that moves does so behind the frozen window."""
    if announced is None:
        return list(problem.jobs)
    rest = []
    for job in problem.jobs:
        own = stays.get(job.id)
        if own is None:
            later = _behind(announced, job)
            rest.append(later if later.least_us <= later.end_us - later.start_us else job)
        elif not (is_done(job, own) or job.contiguous):
            rest.append(replace(_behind(announced, job, own), hours=job.hours - work_hours(job, own)))
    return rest


def _behind(announced: AnnouncedWork, job: Job, own: Sequence[Piece] = ()) -> Job:
    """The job behind the frozen window and what stays of it, where it was announced."""
    if job.id not in announced.own:
        return job
    after_us = max([job.start_us, announced.frozen_us, *(piece.end_us for piece in own)])
    return replace(job, start_us=min(after_us, job.end_us))


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
        plain, shaped = plain_and_shaped(_rest(problem, announced, stays))
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
    # Costs of further terms are in no price that `tidy` knows.
    if len(problem.jobs) <= TIDY_JOBS and not further_terms(problem):
        tidied = tidy(problem.at_prices(problem.weights(relaxed.duals)), packed, beside.batteries, stays)
    rough = tidied is not packed
    pieces, beside = _settle_shape(problem, tidied, beside, stays, 0.1 * time_limit_s, rough=rough)
    said = (*dict.fromkeys((*relaxed.notes, *solution.notes)), *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, pieces).in_order(), beside.batteries, None, status, said)
    return replace(made, sources=beside.sources)


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


def _settle_shape(
    problem: ScheduleProblem,
    packed: Sequence[Piece],
    beside: Beside,
    stays: Own,
    time_limit_s: float,
    *,
    rough: bool = False,
) -> tuple[Sequence[Piece], Beside]:
    """Second tries for work that fell short, no work for steps that could not start, and sites that fit both.

    What sites do in a `rough` one is that of another grid or other work, and is decided anew in any case.
    """
    kept = without_stranded(problem, packed)
    mended = _repair(problem, kept, beside, stays, time_limit_s)
    further = bool(further_terms(problem))
    if not (problem.has_batteries or further):
        return mended, beside
    for pieces in (mended, kept):
        if not (rough or further) and sorted(pieces) == sorted(packed):
            return pieces, beside
        # Batteries and plants were to carry other work: decide anew what they do beside these pieces.
        if (anew := sites_beside(problem, pieces, time_limit_s)) is not None:
            return pieces, anew
    raise SolverFailed("nothing that the sites could do beside what was planned keeps their limits.")


def sites_beside(problem: ScheduleProblem, pieces: Sequence[Piece], time_limit_s: float) -> Beside | None:
    """The best that the sites can do beside these pieces; None where no solver says, or they do not keep a limit."""
    held = Ledger(problem)
    held.hold(pieces)
    try:
        may_rest = {p: room[2] for p, room in idle_room(problem, pieces).items()}
        anew = solve(problem, (), replace(held.left(), may_rest=may_rest), time_limit_s=time_limit_s)
    except SolverFailed:
        return None
    broken = any(over > EXCESS for name, over in anew.excess.items() if not name.startswith("short_kwh"))
    return None if broken else Beside.of(problem, anew.values)


def _repair(
    problem: ScheduleProblem, pieces: Sequence[Piece], beside: Beside, stays: Own, time_limit_s: float
) -> Sequence[Piece]:
    """Try once more what fell short, as early as there is room beside the others and what the sites do.

    Work with a shape of its own is placed anew where none of it `stays`, other work is topped up, in the window that
    was asked for. Where work with a shape still falls short, it is tried beside all that its sites might do, which
    they are then asked for. Steps of a chain go between those before and after them, and those that wait for one that
    still falls short stay out.
    """
    done = done_hours(problem, pieces)
    jobs = {job.id: job for job in problem.jobs if job.hours - done[job.id] > job.hours * DONE_RATIO}
    if not jobs:
        return pieces
    table = Pieces.of(problem, pieces)
    lacking = table.of_jobs(jobs)
    others, by_job = table.where(~lacking), {id: list[Piece]() for id in jobs}
    for piece in table.where(lacking):
        by_job[piece.job].append(piece)
    order, short = Order.of(problem, table), set[str]()
    full: Ledger | None = None
    helped = [id for id, job in jobs.items() if not job.plain][:MOST_HELPED]
    for id in order_of({job.id: job.depends_on for job in problem.jobs}):
        if id not in jobs:
            continue
        job, own = order.between(jobs[id]), by_job[id]
        left = job.hours - done[id]
        if short.isdisjoint(job.depends_on):
            if job.plain:
                full = full or _holding(others, by_job, beside)
                by_job[id] = merge_pieces([*own, *top_up(job, full, own, left)])
            elif id not in stays:
                again = merge_pieces(place(job, _holding(others, by_job, beside, without=id), None))
                if id in helped and not is_done(job, again):
                    again, beside = _helped(job, again, others, by_job, beside, time_limit_s)
                if work_hours(job, again) > job.hours - left:
                    by_job[id], full = again, None
        order.move(id, by_job[id])
        if work_hours(job, by_job[id]) < job.hours * (1 - DONE_RATIO):
            short.add(id)
    return others.beside(piece for group in by_job.values() for piece in group)


def _helped(
    job: Job,
    again: list[Piece],
    others: Pieces,
    by_job: dict[str, list[Piece]],
    beside: Beside,
    time_limit_s: float,
) -> tuple[list[Piece], Beside]:
    """Pieces that do more than `again` where the sites do all that they might for them, and what those then do; else
    what there is."""
    most = most_beside(others.problem)
    if most is None:
        return again, beside
    trial = merge_pieces(place(job, _holding(others, by_job, most, without=job.id), None))
    if (
        work_hours(job, trial)
        <= max(work_hours(job, group) for group in (again, by_job[job.id])) + SHORT_HOURS
    ):
        return again, beside
    pieces = (piece for group in (by_job | {job.id: trial}).values() for piece in group)
    anew = sites_beside(others.problem, others.beside(pieces), time_limit_s)
    return (again, beside) if anew is None else (trial, anew)


def _holding(others: Pieces, by_job: Mapping[str, list[Piece]], beside: Beside, without: str = "") -> Ledger:
    """A ledger that holds what sites do beside the work, and all pieces but those of one job."""
    ledger = Ledger(others.problem)
    ledger.hold_beside(beside)
    ledger.hold(others.beside(piece for id, group in by_job.items() if id != without for piece in group))
    return ledger


def beside_batteries(problem: ScheduleProblem) -> Ledger:
    """All that is free, less the power that batteries may need to charge up to what they must hold."""
    ledger = Ledger(problem)
    ledger.hold_beside(Beside(charged_to_floor(problem)))
    return ledger


def without_stranded(problem: ScheduleProblem, pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Take out steps of a chain that wait for one which is not done in full: they could not start."""
    steps = [job for job in problem.jobs if job.depends_on]
    if not steps:
        return pieces
    done = done_hours(problem, pieces)
    unfinished = {job.id for job in problem.jobs if done[job.id] < job.hours * (1 - DONE_RATIO)}
    before = -1
    while before != len(unfinished):  # what waits for what waits, and so on
        before = len(unfinished)
        unfinished |= {job.id for job in steps if unfinished.intersection(job.depends_on)}
    stranded = {job.id for job in steps if unfinished.intersection(job.depends_on)}
    table = Pieces.of(problem, pieces)
    return table.where(~table.of_jobs(stranded))


def _greedy(problem: ScheduleProblem, known: _Known, announced: AnnouncedWork | None, why: str) -> Schedule:
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
    for job in sorted(_rest(problem, announced, stays), key=lambda j: (j.end_us, -j.hours, j.id)):
        pieces += place(job, ledger, at)
    kept = without_stranded(problem, merge_pieces(pieces))
    beside = sites_beside(problem, kept, GREEDY_S) if further_terms(problem) else None
    if beside is None:
        beside = Beside(batteries, sources_within_limits(problem, kept, batteries))
    said = (why, *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, kept).in_order(), beside.batteries, known.proof, GREEDY, said)
    return replace(made, sources=beside.sources, weights=known.weights)


def energy_prices(problem: ScheduleProblem) -> Prices:
    """What energy and carbon cost in each cell, and what raises a peak, where nothing else is known."""
    prices = cell_prices(problem.at_prices(problem.weights({})), slot_prices(problem, {}))
    return replace(prices, peaks=bare_peaks(problem))


def bare_peaks(problem: ScheduleProblem) -> Peaks:
    """The peaks that there are without any work."""
    beside = Beside(charged_to_floor(problem))
    return Peaks.of(problem, problem.median_kw + beside.net_kw(problem), beside)


def charged_to_floor(problem: ScheduleProblem) -> dict[int, BatteryTrace]:
    """Every battery charged as fast as its limits allow to the highest floor ahead, and then left alone."""
    traces = idle_batteries(problem)
    hours = problem.grid.slot_hours
    for i, trace in traces.items():
        site = problem.sites[i]
        assert site.battery is not None
        if site.ramp_kw is not None:
            continue  # how fast it may charge hangs on all else that the site does
        target = min(site.battery.energy_kwh, float(site.battery_floor_kwh(problem.grid.n_slots).max()))
        headroom = np.clip(site.limit_kw - site.quantile_kw, 0.0, site.battery.power_kw)
        stored = site.battery.initial_kwh
        for t in range(problem.grid.n_slots):
            trace.stored_kwh[t] = stored
            wanted_kw = max(0.0, target - stored) / (hours * site.battery.charge_efficiency)
            trace.charge_kw[t] = min(wanted_kw, float(headroom[t]))
            stored += hours * site.battery.charge_efficiency * trace.charge_kw[t]
    return traces


def _cell_prices(problem: ScheduleProblem, solution: Solution) -> Prices:
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


def site_faults(problem: ScheduleProblem, batteries: Mapping[int, BatteryTrace]) -> tuple[str, ...]:
    """What no plan can mend, said in words."""
    said = []
    beside = "with work that is running" if problem.pinned else "alone"
    for i, site in enumerate(problem.sites):
        over = site.quantile_kw - site.own_kw - site.limit_kw
        if (over > 1e-6).any():
            said.append(
                f"{site.name}: real-time load {beside} exceeds the power limit by up to {over.max():.1f} kW in "
                f"{int((over > 1e-6).sum())} slots; no deferrable work is planned there then."
            )
        if (
            site.ramp_kw is not None
            and (more := np.maximum(*site.ramps_kw) - site.ramp_kw).max(initial=0.0) > 1e-6
        ):
            said.append(
                f"{site.name}: real-time load {beside} ramps up to {more.max():.1f} kW more than the limit, "
                f"{int((more > 1e-6).sum())} times; nothing else may add to it there."
            )
        if i in batteries:
            short = site.battery_floor_kwh(problem.grid.n_slots) - batteries[i].stored_kwh
            if short.max() > 1e-3:
                said.append(
                    f"{site.name}: the battery is up to {short.max():.1f} kWh short of what it must hold."
                )
    said += [
        f"{tenant.name}: work that is running and may not be interrupted holds up to {over:.1f} accelerators more than "
        "its quota; nothing else of it is planned there."
        for tenant in problem.tenants
        if tenant.hard and (over := -tenant.left.min()) > 1e-6
    ]
    return tuple(said)
