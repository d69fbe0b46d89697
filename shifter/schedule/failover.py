"""What failover groups hold, placed with all work in one program, and turned into each pool's reserve.

`terms.failover` says what is held for each loss; its program is solved first, and is convex. What it holds, slot by
slot, then is part of what its pools reserve, and everything after it (classes, packing, prices, the bound) is as
without groups: work that stays stands outside of it. Where that program is too large or fails, a coarser one places it;
else it is filled in as if there were no work (`failover_fill`). It is enough in each case, as far as there is any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from forecasts.slots import Floats
from shifter.domain.effort import Effort
from shifter.domain.failover import Loss
from shifter.domain.fleet import Fleet
from shifter.errors import SolverFailed
from shifter.realtime.failover import Demand, demands
from shifter.realtime.reserve import Envelope
from shifter.schedule.classes import WorkClass, merge, n_columns
from shifter.schedule.clusters import Clusters
from shifter.schedule.coarse import coarsen, coarsest_minutes
from shifter.schedule.failover_fill import fill
from shifter.schedule.jobs import Ints
from shifter.schedule.parts import with_spans
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS, Capacity
from shifter.schedule.scaled import CLUSTERS
from shifter.schedule.schedule import EXACT_COLUMNS
from shifter.schedule.solve import Solution, solve
from shifter.schedule.terms.failover import FailoverTerm, LostLoad
from shifter.schedule.terms.registry import installed_terms

SHARE = 0.6
"""Of the time that is left: what a program may take of it that others can stand in for."""

PROGRAM, COARSE, WITHOUT_WORK, ALL = "program", "coarse", "without_work", "all"


@dataclass(frozen=True, eq=False)
class Placing:
    """One program that places what is held: the whole one, or a coarser one.

    `slot_of` (n_slots,) says which of its slots holds each true one.
    """

    how: str
    problem: ScheduleProblem
    work: Sequence[WorkClass]
    capacity: Capacity
    term: FailoverTerm
    slot_of: Ints

    def solved(self, time_limit_s: float) -> Solution:
        """Its optimum. Raises SolverFailed."""
        terms = [*installed_terms(), self.term]
        return solve(self.problem, self.work, self.capacity, time_limit_s=time_limit_s, terms=terms)

    def again(self, problem: ScheduleProblem, term: FailoverTerm | None = None) -> Placing:
        """The same program of a problem whose sites and pools leave something else to work, or hold by another term."""
        if self.how == PROGRAM:
            same = replace(self.problem, pools=problem.pools, sites=problem.sites)
            return replace(self, problem=same, capacity=Capacity.of(problem), term=term or self.term)
        minutes = self.problem.grid.slot_minutes
        other = coarsen(problem, Capacity.of(problem), self.work, slot_minutes=minutes)
        own = self.term if term is None else _on_hours(term, self.slot_of)
        return replace(self, problem=other.problem, capacity=other.capacity, term=own)

    def bill(self, solution: Solution) -> tuple[float, float]:
        """What its optimum costs without late work and broken limits [currency], and how much work is late [h]."""
        short = solution.values["short"] if "short" in solution.values else np.zeros(len(self.work))
        price = np.array([self.problem.price_of_leaving_undone(one.open_ended) for one in self.work])
        held = solution.values["held"].reshape(-1, self.problem.grid.n_slots).sum(axis=1)
        beside = float(price @ short) + float(self.term.held_prices(self.problem) @ held)
        return solution.cost - solution.relief_cost - beside, float(short.sum())


@dataclass(frozen=True, eq=False)
class Held:
    """What is held: accelerators (n_pools, n_slots) and their draw (n_sites, n_slots) [kW]; of each lost load, what is
    `missing` (n_lost, n_slots), NaN where nobody knows; and the most that work which stays uses beside it, (n_pools,
    n_slots)."""

    accelerators: Floats
    kw: Floats
    missing: Floats
    firm: Floats

    @classmethod
    def of(cls, placing: Placing, solution: Solution) -> Held:
        """As a program's optimum has it, on the true slots."""
        problem, term, slot_of = placing.problem, placing.term, placing.slot_of
        n = problem.grid.n_slots
        accelerators, kw = np.zeros((len(problem.pools), n)), np.zeros((len(problem.sites), n))
        missing = np.array([solution.values[f"missing.{k}"] for k in range(len(term.lost))]).reshape(-1, n)
        for _, group in groupby(enumerate(term.lost), key=lambda pair: pair[1].loss):
            taken, taken_kw = np.zeros_like(accelerators), np.zeros_like(kw)
            for k, one in group:
                for p in one.rates:
                    taken[p] += solution.values[f"taken.{k}.{p}"]
                    taken_kw[problem.pools[p].site] += (
                        problem.pools[p].import_kw * solution.values[f"taken.{k}.{p}"]
                    )
            accelerators, kw = np.maximum(accelerators, taken), np.maximum(kw, taken_kw)
        return cls(*(one[:, slot_of] for one in (accelerators, kw, missing, _firm_use(placing, solution))))

    @classmethod
    def filled(cls, problem: ScheduleProblem, term: FailoverTerm) -> Held:
        """Without a program, and without looking at work."""
        made = fill(problem, term)
        return cls(made.accelerators, made.kw, made.missing, np.zeros_like(made.accelerators))

    def where(self, slots: NDArray[np.bool_], other: Held) -> Held:
        """That of another in some slots."""
        mine, others = (vars(one).values() for one in (self, other))
        return Held(*(np.where(slots, b, a) for a, b in zip(mine, others, strict=True)))


@dataclass(frozen=True, eq=False)
class Failover:
    """What the groups hold, and with it the envelope in which the schedule is made.

    `placing` and `solution` are what placed it, None where that looked at no work.
    """

    envelope: Envelope
    lost: tuple[Demand, ...]
    how: str
    held: Held
    notes: tuple[str, ...]
    placing: Placing | None = None
    solution: Solution | None = None

    def missing(self, loss: Loss) -> Floats | None:
        """Accelerators that nobody holds for a loss, (n_slots,); None where nobody knows."""
        own = [k for k, one in enumerate(self.lost) if one.loss == loss]
        missing: Floats = np.sum(self.held.missing[own], axis=0)
        return None if np.isnan(missing).any() else missing


def hold(
    problem: ScheduleProblem,
    fleet: Fleet,
    envelope: Envelope,
    *,
    time_limit_s: float,
    effort: Effort = Effort.WHOLE,
) -> Failover | None:
    """What the fleet's groups hold; None where it has none. Never raises for want of a solver."""
    if not fleet.failover_groups:
        return None
    lost = demands(fleet, envelope)
    term = asked_of(problem, fleet, envelope, lost)
    notes: tuple[str, ...] = ()
    ends = time.monotonic() + time_limit_s
    for placing in _placings(problem, term, effort):
        try:
            solution = placing.solved(SHARE * max(0.0, ends - time.monotonic()))
        except (SolverFailed, MemoryError) as failure:
            why = failure.detail if isinstance(failure, SolverFailed) else "there was too little memory."
            notes += (f"what failover holds was not placed by the program `{placing.how}`: {why}",)
            continue
        held = Held.of(placing, solution)
        if placing.how == COARSE and held.missing.max(initial=0.0) > EXCESS:
            # An hour has the room of its tightest slot there: where that is too little, the slots are asked.
            held = held.where(np.any(held.missing > EXCESS, axis=0), Held.filled(problem, term))
        raised = _raised(problem, fleet, envelope, term, held)
        return Failover(raised, lost, placing.how, held, notes, placing, solution)
    held = Held.filled(problem, term)
    how = ALL if np.isnan(held.missing).any() else WITHOUT_WORK
    return Failover(_raised(problem, fleet, envelope, term, held), lost, how, held, notes)


def _placings(problem: ScheduleProblem, term: FailoverTerm, effort: Effort) -> Iterator[Placing]:
    """The programs that may place it, the best one first."""
    if effort is Effort.GREEDY:
        return
    if effort is Effort.WHOLE and n_columns(problem) <= EXACT_COLUMNS:
        spans = with_spans(problem)
        each = np.arange(problem.grid.n_slots)
        yield Placing(PROGRAM, spans, merge(spans.jobs), Capacity.of(problem), term, each)
    yield _coarse(problem, term)


def _coarse(problem: ScheduleProblem, term: FailoverTerm) -> Placing:
    """On hours, each with the most that is lost in any of its slots, and the least room."""
    minutes = coarsest_minutes(problem.grid.slot_minutes)
    work = Clusters(with_spans(problem).jobs).about(CLUSTERS)
    coarse = coarsen(problem, Capacity.of(problem), work, slot_minutes=minutes)
    on_hours = _on_hours(term, coarse.slot_of)
    return Placing(COARSE, coarse.problem, coarse.work, coarse.capacity, on_hours, coarse.slot_of)


def _on_hours(term: FailoverTerm, slot_of: Ints) -> FailoverTerm:
    first = np.searchsorted(slot_of, np.arange(int(slot_of[-1]) + 1))
    return replace(
        term,
        lost=[replace(one, load=np.maximum.reduceat(one.load, first)) for one in term.lost],
        room=np.minimum.reduceat(term.room, first, axis=1),
        headroom_kw=np.minimum.reduceat(term.headroom_kw, first, axis=1),
        own_kw=np.maximum.reduceat(term.own_kw, first, axis=1),
    )


def asked_of(
    problem: ScheduleProblem, fleet: Fleet, envelope: Envelope, lost: Sequence[Demand]
) -> FailoverTerm:
    """What is asked, and what real-time load and pinned work leave for it."""
    index = {pool.key: p for p, pool in enumerate(problem.pools)}
    losses = list(dict.fromkeys((one.loss.group.name, one.loss.name) for one in lost))
    strict = np.array([fleet.pools[pool.key][0].resilience.mode == "strict" for pool in problem.pools])
    free = np.array([envelope[pool.key].count - envelope[pool.key].quantile for pool in problem.pools])
    own = [
        site.own_kw
        + (0.0 if site.battery is None else site.battery.power_kw)
        + np.zeros(problem.grid.n_slots)
        for site in problem.sites
    ]
    return FailoverTerm(
        [
            LostLoad(
                losses.index((one.loss.group.name, one.loss.name)),
                one.load,
                {index[key]: rate for key, rate in one.rates.items()},
            )
            for one in lost
        ],
        np.maximum(0.0, free - _pinned(problem, strict)),
        np.array([np.maximum(0.0, site.limit_kw - site.quantile_kw) for site in problem.sites]),
        np.array(own),
        strict,
    )


def _pinned(problem: ScheduleProblem, strict: NDArray[np.bool_]) -> Floats:
    """The most accelerators that pinned work holds in each slot and that it will not give up, (n_pools, n_slots)."""
    every, firm = problem.pinned_levels
    first = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    most: Floats = np.maximum.reduceat(np.where(strict[:, None], every, firm), first, axis=1).astype(float)
    return most


def _firm_use(placing: Placing, solution: Solution) -> Floats:
    """The most that work which stays uses in any cell of each slot, (n_pools, n_slots)."""
    problem = placing.problem
    used = np.zeros((len(problem.pools), problem.n_cells))
    for one, (first, levels) in zip(placing.work, solution.usage, strict=True):
        for way, level in zip(one.ways, levels, strict=True):
            if one.firm or placing.term.strict[way.pool]:
                used[way.pool, first : first + len(level)] += level
    starts = np.searchsorted(problem.cell_slot, np.arange(problem.grid.n_slots))
    most: Floats = np.maximum.reduceat(used, starts, axis=1)
    return most


def _raised(
    problem: ScheduleProblem, fleet: Fleet, envelope: Envelope, term: FailoverTerm, held: Held
) -> Envelope:
    """The envelope with what is held in it. Work that stays keeps clear of it, and of the power that it would take."""
    room = np.maximum(0.0, term.room - held.accelerators)
    for i, site in enumerate(problem.sites):
        pools = list(site.pools)
        kw = np.array([problem.pools[p].import_kw for p in pools])[:, None]
        left_kw = np.maximum(0.0, term.headroom_kw[i] + term.own_kw[i] - held.kw[i])
        # In the power that is left, first what work uses there by the program, then as much of the rest as fits.
        planned, fits = np.minimum(held.firm[pools], room[pools]), np.zeros_like(room[pools])
        for part in (planned, room[pools] - planned):
            asked_kw = (kw * part).sum(axis=0)
            share = np.divide(left_kw, asked_kw, out=np.ones_like(left_kw), where=asked_kw > left_kw)
            fits, left_kw = fits + share * part, left_kw - share * asked_kw
        room[pools] = np.where(held.kw[i] > EXCESS, fits, room[pools])
    raised = dict(envelope)
    for p in term.pools:
        key = problem.pools[p].key
        own, resilience = envelope[key], fleet.pools[key][0].resilience
        taken = own.quantile + term.room[p] - room[p]
        reserved = np.minimum(own.count, np.maximum(own.reserved, taken))
        raised[key] = replace(own, reserved=reserved, kept=resilience.kept(own.quantile, reserved))
    return raised
