"""Work with a shape, one job after the other at the program's prices, beside what sites do for it.

Batteries and plants are the program's to run, and it runs them once more when this work stands. Until then, what they
leave is not known. Beside batteries that only charge up to what they must hold, most runs have the room that they need.
Where some do not, what the program had the sites do for the same work, were it without a shape, may give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shifter.schedule.beside import Beside
from shifter.schedule.jobs import HOUR_US, Job
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import DONE_RATIO, Prices, place, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import BatteryTrace, Sources


def room_us(job: Job) -> float:
    """How much longer a job's window is than the job at full width."""
    return job.end_us - job.start_us - job.hours / job.max_accelerators * HOUR_US


def _free_ratio(job: Job) -> float:
    """The share of its window that a job at full width leaves; less than none where it does not fit."""
    return room_us(job) / max(1, job.end_us - job.start_us)


def place_shaped(shaped: Sequence[Job], ledger: Ledger, at: Prices) -> list[Piece]:
    """Jobs with a shape: first those in one piece, which no two gaps make up for; of each kind what needs most of its
    window, then the largest, since small ones find a gap where a large one does not."""
    pieces: list[Piece] = []
    for job in sorted(shaped, key=lambda j: (not j.contiguous, _free_ratio(j), -j.hours, j.id)):
        pieces += place(job, ledger, at)
    return pieces


def shaped_beside(
    problem: ScheduleProblem,
    shaped: Sequence[Job],
    held: Sequence[Piece],
    besides: Sequence[Beside],
    at: Prices,
) -> tuple[list[Piece], Ledger]:
    """Pieces beside what is `held` and the first of `besides` where all of the work has room, else where least of it
    falls short; and the ledger that holds all pieces. Another may do what each of them does, or less."""
    found: list[tuple[float, list[Piece], Ledger]] = []
    for beside in besides:
        ledger = Ledger(problem)
        ledger.hold_beside(beside)
        ledger.hold(held)
        pieces = place_shaped(shaped, ledger, at)
        found.append((_short_hours(shaped, pieces), pieces, ledger))
        if found[-1][0] <= 0:
            break
    _, pieces, ledger = min(found, key=lambda one: one[0])
    return pieces, ledger


def _short_hours(jobs: Sequence[Job], pieces: Sequence[Piece]) -> float:
    own: dict[str, list[Piece]] = {job.id: [] for job in jobs}
    for piece in pieces:
        own[piece.job].append(piece)
    lacking = ((job.hours, job.hours - work_hours(job, own[job.id])) for job in jobs)
    return sum((left for hours, left in lacking if left > hours * DONE_RATIO), 0.0)


def without_savings(problem: ScheduleProblem, beside: Beside) -> Beside:
    """What of it sites can do whatever work is placed where it leaves power: a plant may be curtailed and a battery
    discharge less, but what is to run cannot be powered down.

    Under a ramp limit, nothing: what is kept there hangs on all else that the site does.
    """
    batteries = {i: trace for i, trace in beside.batteries.items() if problem.sites[i].ramp_kw is None}
    if beside.sources is None:
        return Beside(batteries)
    steady = np.array([site.ramp_kw is None for site in problem.sites])
    generated_kw = np.where(steady[:, None], beside.sources.generated_kw, 0.0)
    return Beside(batteries, replace(Sources.none(problem), generated_kw=generated_kw))


def most_beside(problem: ScheduleProblem) -> Beside | None:
    """The most that sites might do for work in any one slot: not in all of them. None where there is nothing."""
    n = problem.grid.n_slots
    batteries, sources = {}, Sources.none(problem)
    for i, site in enumerate(problem.sites):
        if site.ramp_kw is not None:
            continue
        if site.battery is not None:
            full_kw = np.full(n, float(site.battery.power_kw))
            batteries[i] = BatteryTrace(np.zeros(n), full_kw, np.full(n, float(site.battery.initial_kwh)))
        if site.generation_kw is not None:
            sources.generated_kw[i] = site.generation_kw
    return Beside(batteries, sources) if batteries or sources.generated_kw.any() else None
