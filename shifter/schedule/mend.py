"""After packing: second tries for what fell short, no work for steps that could not start, sites that fit both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shifter.domain.chains import order_of
from shifter.domain.grid_event import kw_in_words
from shifter.errors import SolverFailed
from shifter.schedule.beside import Beside
from shifter.schedule.bound import slot_prices
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.jobs import Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.order import Order
from shifter.schedule.pack import Piece, merge_pieces
from shifter.schedule.peaks import Peaks
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import DONE_RATIO, Prices, done_hours, place, top_up, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS
from shifter.schedule.resting import idle_room
from shifter.schedule.scaled import cell_prices
from shifter.schedule.settle import BatteryTrace, idle_batteries
from shifter.schedule.shaped import most_beside
from shifter.schedule.solve import solve
from shifter.schedule.standing import Own, is_done

SHORT_HOURS = 0.01
"""Less than this is no work that falls short [accelerator-hours]."""

LEAST_OVER_KW = 1e-3
"""Less than this beyond a power limit is none, as in the plan's own check: a battery's figures are a solver's."""

MOST_HELPED = 10
"""So many jobs with a shape that fall short are tried beside all that their sites might do: each asks a solver."""


def settle_shape(
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


def sites_beside(problem: ScheduleProblem, pieces: Sequence[Piece], time_limit_s: float) -> Beside | None:
    """The best that the sites can do beside these pieces; None where no solver says, or they do not keep a limit."""
    held = Ledger(problem)
    held.hold(pieces)
    try:
        may_rest = {p: room[2] for p, room in idle_room(problem, pieces).items()}
        anew = solve(problem, (), replace(held.left(), may_rest=may_rest), time_limit_s=time_limit_s)
    except SolverFailed:
        return None
    if any(over > EXCESS for over in anew.excess.values()):
        return None
    beside = Beside.of(problem, anew.values)
    held.hold_beside(beside)
    # Real-time load alone may exceed a limit; beside work, what makes room for it there must keep it.
    crowded = (held.headroom_kw < -EXCESS) & (held.placed_kw > EXCESS)
    return None if crowded.any() else beside


def beside_batteries(problem: ScheduleProblem) -> Ledger:
    """All that is free, less the power that batteries may need to charge up to what they must hold."""
    ledger = Ledger(problem)
    ledger.hold_beside(Beside(charged_to_floor(problem)))
    return ledger


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


def bare_peaks(problem: ScheduleProblem) -> Peaks:
    """The peaks that there are without any work."""
    beside = Beside(charged_to_floor(problem))
    return Peaks.of(problem, problem.median_kw + beside.net_kw(problem), beside)


def energy_prices(problem: ScheduleProblem) -> Prices:
    """What energy and carbon cost in each cell, and what raises a peak, where nothing else is known."""
    prices = cell_prices(problem.at_prices(problem.weights({})), slot_prices(problem, {}))
    return replace(prices, peaks=bare_peaks(problem))


def site_faults(problem: ScheduleProblem, batteries: Mapping[int, BatteryTrace]) -> tuple[str, ...]:
    """What no plan can mend, said in words."""
    said = []
    beside = "with work that is running" if problem.pinned else "alone"
    for i, site in enumerate(problem.sites):
        over = site.quantile_kw - site.own_kw - site.limit_kw
        given = np.zeros_like(over)
        if i in batteries:  # as it is planned: where that keeps the limit, nothing is wrong
            given = np.maximum(0.0, batteries[i].discharge_kw - batteries[i].charge_kw)
        missing = over - given
        if (left := missing > LEAST_OVER_KW).any():
            less = ", beyond what the battery gives" if given[left].any() else ""
            said.append(
                f"{site.name}: real-time load {beside} exceeds the power limit in force by up to "
                f"{kw_in_words(float(missing.max()))} in {int(left.sum())} slots{less}; no deferrable work is planned "
                "there then."
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
