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
from shifter.schedule.beside import Beside, sources_at_once
from shifter.schedule.bill import Bill
from shifter.schedule.bound import SlotPrices, proof_prices, slot_prices
from shifter.schedule.build import usual_run_price
from shifter.schedule.classes import WorkClass, merge, option_sets, plain_and_shaped
from shifter.schedule.exchange import exchange
from shifter.schedule.fleet_bound import further_terms, load_prices
from shifter.schedule.late import FewLate, apart, is_late
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece, merge_pieces, pack
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import DONE_RATIO, Prices, done_hours, place, top_up, work_hours
from shifter.schedule.problem import HOUR_US, Job, ScheduleProblem
from shifter.schedule.program import Capacity, Term
from shifter.schedule.resting import idle_room
from shifter.schedule.rungs import SIMPLEX_COLUMNS, SIMPLEX_FIRST, Rung
from shifter.schedule.scaled import Relaxed, cell_prices, relax, spread
from shifter.schedule.settle import BatteryTrace, Sources, idle_batteries
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

SHORT_HOURS = 0.01
"""Less than this is no work that falls short [accelerator-hours]."""

DIED = "the planning process ended in the midst of it, which a want of memory may cause."

FEW_LATE_BY = 0.7
"""Of the time, what the solves before it left of this much is for an optimum in which few are late."""

GREEDY_S = 10.0
"""What the sites do beside a greedy schedule is a small program: it has this long [s]."""

EXCESS = 1e-5
"""A limit that is broken by less [its unit] is kept: solvers have tolerances."""


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
        rough = rough or relax(problem, Capacity.of(problem), time_limit_s=share * time_limit_s, fine=fine)
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
    """A coarser program, solved before the whole one; None where it fails, or is of no use."""
    if further_terms(problem) and n_columns(problem) <= SIMPLEX_COLUMNS:
        return None
    try:
        return relax(problem, Capacity.of(problem), time_limit_s=time_limit_s)
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
    solution = _solve(problem, merge(problem.jobs), capacity, lean, solve_s)
    at, proof = _cell_prices(problem, solution), proof_prices(problem, solution)
    known.learn(at, proof, problem.weights(solution.duals))
    stays: Own = {}
    if announced is not None:
        stays = announced.staying(problem.at_prices(known.weights), proof)
    made = _packed(problem, solution, at, capacity, lean, announced, stays, ends, time_limit_s)
    if stays and _short_hours(problem, made) > float(solution.values["short"].sum()) + SHORT_HOURS:
        # What stays is in the way of what would be done: better all of it moves that is not frozen.
        frozen = announced.frozen(problem) if announced is not None else {}
        made = _packed(problem, solution, at, capacity, lean, announced, frozen, ends, time_limit_s)
    return replace(made, prices=proof, weights=known.weights)


def _short_hours(problem: ScheduleProblem, made: Schedule) -> float:
    """Work that is not done [accelerator-hours of the fastest way]."""
    done = done_hours(problem, made.pieces)
    return sum(max(0.0, job.hours * (1 - DONE_RATIO) - done[job.id]) for job in problem.jobs)


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
    ratio = np.array([round(job.hours / job.max_accelerators, 9) for job in jobs])
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
        told = relax(problem, Capacity.of(problem), time_limit_s=0.5 * time_limit_s, tell=True)
        both = made, _followed(problem, known, told, announced, settle_s)
    except SolverFailed:
        return made
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
    stays: Own = {}
    if announced is not None:
        stays = announced.staying(problem.at_prices(relaxed.weights), relaxed.prices)
    held = [piece for pieces in stays.values() for piece in pieces]
    at = cell_prices(problem.at_prices(relaxed.weights), relaxed.prices)
    known.learn(at, relaxed.prices, relaxed.weights)
    ledger = Ledger(problem)
    ledger.hold_beside(relaxed.beside)
    ledger.hold(held)
    jobs = _rest(problem, announced, stays)
    plain, shaped = plain_and_shaped(jobs)
    placed = _place_shaped(shaped, ledger, at)
    packed: Sequence[Piece] = spread(problem, plain, relaxed, ledger).beside([*held, *merge_pieces(placed)])
    if len(problem.jobs) <= TIDY_JOBS:
        moving = [job for job in plain if job.id not in stays]
        if problem.has_batteries or further_terms(problem):  # what sites do beside is not known on true slots
            packed = exchange(moving, list(packed))
        else:
            packed = tidy(problem, moving, list(packed), relaxed.beside, relaxed.weights)
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


def _place_shaped(shaped: Sequence[Job], ledger: Ledger, at: Prices) -> list[Piece]:
    """Jobs with a shape: the least room to move first, then the largest, since small ones find a gap where a large
    one does not."""
    pieces: list[Piece] = []
    for job in sorted(shaped, key=lambda j: (room_us(j), -j.hours, j.id)):
        pieces += place(job, ledger, at)
    return pieces


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
    status = ROUNDED if stays or shaped else OPTIMAL
    if stays or shaped:
        ledger = beside_batteries(problem)
        ledger.hold(placed)
        plain, shaped = plain_and_shaped(_rest(problem, announced, stays))
        placed += merge_pieces(_place_shaped(shaped, ledger, at))
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
    pieces, beside = _settle_shape(problem, tidied, beside, stays, 0.1 * time_limit_s, rough=rough)
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
    short = solution.values["short"]
    # Where fairness has a price, it says whose work is late.
    if problem.fairness_price_per_hour > 0 or not is_late(classes, short):
        return classes, solution
    told = apart(classes, short)
    try:
        few = _solve(problem, told, capacity, lean, time_limit_s, FewLate.of(told), rungs=SIMPLEX_FIRST)
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
    mended = _repair(problem, kept, beside, stays)
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


def _repair(problem: ScheduleProblem, pieces: Sequence[Piece], beside: Beside, stays: Own) -> Sequence[Piece]:
    """Try once more what fell short, as early as there is room beside the others and what the sites do.

    Work with a shape of its own is placed anew where none of it `stays`, other work is topped up, in the window that
    was asked for. Steps of a chain keep to their own part of its time, and those that wait for one that still falls
    short stay out.
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
    chained = {id for job in problem.jobs if job.depends_on for id in (job.id, *job.depends_on)}
    short: set[str] = set()
    full: Ledger | None = None
    for id in order_of({job.id: job.depends_on for job in problem.jobs}):
        if id not in jobs:
            continue
        job, own = jobs[id], by_job[id]
        left = job.hours - done[id]
        if id not in chained:
            job = replace(job, start_us=job.true_start_us, end_us=job.due_us)
        if short.isdisjoint(job.depends_on):
            if job.plain:
                full = full or _holding(others, by_job, beside)
                by_job[id] = merge_pieces([*own, *top_up(job, full, own, left)])
            elif id not in stays:
                again = merge_pieces(place(job, _holding(others, by_job, beside, without=id), None))
                if work_hours(job, again) > job.hours - left:
                    by_job[id], full = again, None
        if work_hours(job, by_job[id]) < job.hours * (1 - DONE_RATIO):
            short.add(id)
    return others.beside(piece for group in by_job.values() for piece in group)


def _holding(others: Pieces, by_job: Mapping[str, list[Piece]], beside: Beside, without: str = "") -> Ledger:
    """A ledger that holds what sites do beside the work, and all pieces but those of one job."""
    ledger = Ledger(others.problem)
    ledger.hold_beside(beside)
    ledger.hold(others.beside(piece for id, group in by_job.items() if id != without for piece in group))
    return ledger


def beside_batteries(problem: ScheduleProblem) -> Ledger:
    """All that is free, less the power that batteries may need to charge up to what they must hold."""
    ledger = Ledger(problem)
    ledger.hold_batteries(charged_to_floor(problem))
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
    ledger, batteries = beside_batteries(problem), charged_to_floor(problem)
    at = energy_prices(problem) if known.at is None else known.at
    stays: Own = {} if announced is None else announced.complete(problem, ledger)
    pieces = [piece for own in stays.values() for piece in own]
    ledger.hold(pieces)
    for job in sorted(_rest(problem, announced, stays), key=lambda j: (j.end_us, -j.hours, j.id)):
        pieces += place(job, ledger, at)
    kept = without_stranded(problem, merge_pieces(pieces))
    beside = sites_beside(problem, kept, GREEDY_S) if further_terms(problem) else None
    if beside is None:
        beside = Beside(batteries, sources_at_once(problem, kept, within_ramps=True))
    said = (why, *site_faults(problem, beside.batteries))
    made = Schedule(Pieces.of(problem, kept).in_order(), beside.batteries, known.proof, GREEDY, said)
    return replace(made, sources=beside.sources, weights=known.weights)


def energy_prices(problem: ScheduleProblem) -> Prices:
    """What energy and carbon cost in each cell, where nothing else is known."""
    return cell_prices(problem.at_prices(problem.weights({})), slot_prices(problem, {}))


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


def room_us(job: Job) -> float:
    """How much longer a job's window is than the job at full width."""
    return job.end_us - job.start_us - job.hours / job.max_accelerators * HOUR_US


def _cell_prices(problem: ScheduleProblem, solution: Solution) -> Prices:
    """What all of each cell costs: energy, carbon, power and peak, and the room that an accelerator takes."""
    if further_terms(problem):
        room, firm, work = load_prices(problem, solution)
        quota = quota_prices(problem, slot_prices(problem, solution.duals).quota)
        return Prices(work / problem.cell_share, problem.cell_share, room, firm, quota)
    plain = problem.at_prices(problem.weights(solution.duals))
    shape = (len(problem.pools), problem.n_cells)
    room, firm = (
        solution.duals.get(name, np.zeros(shape)).reshape(shape) for name in ("capacity", "reserve")
    )
    # Of room, the program knows more than its price by slot: cells of one slot may be short of it to different degrees.
    return replace(cell_prices(plain, slot_prices(problem, solution.duals)), any=room, firm=firm)


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
        if site.ramp_kw is not None and (more := site.ramps_kw - site.ramp_kw).max(initial=0.0) > 1e-6:
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
