"""What was announced stands, and what is new is placed in the room beside it, without a solver.

Between two plans little changes: one more workload, half an hour. The last plan's prices prove the next one as well as
they proved that, as long as they are about right; how well, its bound says. So whoever calls this looks at the gap, and
has the problem solved anew where a new plan could save more than it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from forecasts.slots import Floats
from shifter.domain.plan import HELD
from shifter.schedule.announced import AnnouncedWork
from shifter.schedule.beside import Beside
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.jobs import HOUR_US, Job, Way
from shifter.schedule.ledger import Ledger
from shifter.schedule.made import Schedule
from shifter.schedule.mend import (
    bare_peaks,
    beside_batteries,
    charged_to_floor,
    energy_prices,
    site_faults,
    sites_beside,
    without_stranded,
)
from shifter.schedule.pack import Piece, merge_pieces
from shifter.schedule.parts import parted
from shifter.schedule.pieces import Pieces
from shifter.schedule.place import Prices, place, top_up, work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.runs import in_runs
from shifter.schedule.scaled import cell_prices
from shifter.schedule.settle import BatteryTrace
from shifter.schedule.shaped import room_us
from shifter.schedule.standing import Own, is_done
from shifter.schedule.tenants import NOBODY
from shifter.schedule.tidy import below_peak


def hold(problem: ScheduleProblem, announced: AnnouncedWork, *, time_limit_s: float) -> Schedule | None:
    """The plan that moves nothing but what no longer fits; None where something would not be done in time.

    New work goes where its energy and carbon cost least, below the peaks that there are; where it does not fit there,
    where it costs least at the announced prices. There is none either where a term is in use whose prices are not those
    of slots, or tenants are told apart: those prices are the solver's to know.
    """
    if announced.held is None or further_terms(problem) or problem.risk is not None or problem.tenants:
        return None
    at_announced = replace(cell_prices(problem, announced.prices), peaks=bare_peaks(problem))
    problem = parted(problem, at_announced, beside_batteries(problem))
    own = _whole(problem, announced.fitting(problem))
    batteries: Mapping[int, BatteryTrace] = charged_to_floor(problem)
    low, free = below_peak(problem, _all(own), Beside(batteries)), beside_batteries(problem)
    tries = ((low, energy_prices(problem)), (free, at_announced))
    for ledger, at in tries:
        ledger.hold(_all(own))
        found = _with_missing(problem, announced, own, ledger, at)
        if found is not None:
            break
    else:
        return None
    pieces = without_stranded(problem, _all(found))
    if announced.thawed(pieces):
        return None
    if problem.has_batteries:
        beside = sites_beside(problem, pieces, time_limit_s)
        if beside is None:
            return None
        batteries = beside.batteries
    said = site_faults(problem, batteries)
    made = Schedule(Pieces.of(problem, pieces).in_order(), batteries, announced.prices, HELD, said)
    return replace(made, held=announced.held)


def _all(own: Own) -> list[Piece]:
    return [piece for pieces in own.values() for piece in pieces]


def _whole(problem: ScheduleProblem, own: Own) -> Own:
    """With what falls short only where it can be added to: work with a shape would be loaded again elsewhere."""
    jobs = {job.id: job for job in problem.jobs}
    return {
        id: pieces
        for id, pieces in own.items()
        if jobs[id].plain or len(pieces) == 1 or is_done(jobs[id], pieces)
    }


def _with_missing(
    problem: ScheduleProblem, announced: AnnouncedWork, own: Own, ledger: Ledger, at: Prices
) -> Own | None:
    """`own`, and what it lacks; None where that has no room. `ledger` is written to."""
    found, until_us = dict(own), _until_us(problem, own)
    missing = [job for job in problem.jobs if not is_done(job, own.get(job.id, ()))]
    for job in sorted(missing, key=lambda j: (j.plain, room_us(j), -j.hours, j.id)):
        may_lack = job.open_ended or job.id in announced.short
        until = min(job.due_us, until_us.get(job.id, job.due_us))
        pieces = _completed(problem, job, own.get(job.id, []), ledger, at, may_lack=may_lack, until_us=until)
        if not (may_lack or is_done(job, pieces)):
            return None
        if pieces:
            found[job.id] = pieces
    return found


def _until_us(problem: ScheduleProblem, own: Own) -> dict[str, int]:
    """Of each step that others wait for, the first moment at which one of those runs, or may.

    What is announced of that one stays, where it is all of it; else it may run in its part of the chain's time.
    """
    found: dict[str, int] = {}
    for job in problem.jobs:
        pieces = own.get(job.id, ()) if job.depends_on else ()
        begins_us = min(p.start_us for p in pieces) if pieces and is_done(job, pieces) else job.start_us
        for before in job.depends_on:
            found[before] = min(found.get(before, begins_us), begins_us)
    return found


def _completed(
    problem: ScheduleProblem,
    job: Job,
    own: Sequence[Piece],
    ledger: Ledger,
    at: Prices,
    *,
    may_lack: bool,
    until_us: int,
) -> list[Piece]:
    """A job's pieces and what they lack, as far as there is room. `ledger` is written to."""
    left = job.hours - work_hours(job, own)
    if own and (longer := _extended(job, own, left, ledger, until_us)) is not None:
        return longer
    if own and job.plain:
        return merge_pieces([*own, *top_up(job, ledger, own, left, at)])
    if own and may_lack:  # another place for its shape would be a move
        return list(own)
    if job.plain:
        price_of = partial(_price, problem, at)
        if (runs := in_runs(job, ledger, price_of, problem.run_price)) is not None:
            ledger.hold(runs)
            return runs
    return merge_pieces(place(job, ledger, at))


def _price(problem: ScheduleProblem, at: Prices, way: Way, firm: bool) -> Floats:
    return at.of_way(way, problem.pools[way.pool].site, firm, NOBODY)


def _extended(
    job: Job, own: Sequence[Piece], hours: float, ledger: Ledger, until_us: int
) -> list[Piece] | None:
    """The pieces, one of them longer by so much work, where that is little and has room; the last that has it.
    None where there is none that may end by `until_us`.

    What began late lacks a little.
    """
    for piece in sorted(own, key=lambda p: (-p.end_us, p)):
        way = job.ways[piece.way]
        end_us = piece.end_us + int(-(-hours * HOUR_US // (piece.accelerators * way.speed)))
        if end_us > min(until_us, piece.end_us + ledger.problem.slot_us):
            continue
        first, last = ledger.problem.cells_touched(piece.end_us, end_us)
        free = ledger.most(job, way)[first:last]
        beside = _highest_beside(own, piece, piece.end_us, end_us)
        if (free >= piece.accelerators).all() and beside + piece.accelerators <= job.max_accelerators:
            ledger.take(job, piece.way, piece.end_us, end_us, piece.accelerators)
            return merge_pieces([*(p for p in own if p is not piece), piece._replace(end_us=end_us)])
    return None


def _highest_beside(own: Sequence[Piece], piece: Piece, start_us: int, end_us: int) -> int:
    """At most what the job's other pieces hold at one time between two moments."""
    return sum(p.accelerators for p in own if p is not piece and p.start_us < end_us and p.end_us > start_us)
