"""What each promise of resilience costs: the program that places what is held, with it and without it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from forecasts.slots import Floats
from shifter.domain.effort import Effort
from shifter.domain.failover import Loss, losses
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Plan
from shifter.domain.survival import DOMAINS, RIDE_THROUGH, PlanResilience, Promise, own_promises
from shifter.errors import SolverFailed
from shifter.realtime.reserve import Envelope
from shifter.schedule.failover import PROGRAM, Failover, Placing, asked_of, hold
from shifter.schedule.outages import LEAST, missing_kwh
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS, Rows
from shifter.schedule.promise_words import (
    AT_MOST,
    FREE,
    NO_MONEY,
    SOLVED,
    Own,
    costs_in_words,
    in_words,
)
from shifter.schedule.rooms import with_envelope
from shifter.schedule.solve import Solution, linear_program
from shifter.schedule.terms.registry import installed_terms

SOLVED_COLUMNS = 200_000
"""Up to this many variables over all promises each is solved without; beyond, its price is what is known of it."""

PLACING_SHARE, PRICING_SHARE = 0.2, 0.1
"""Of the time: what placing what is held may take of it, and what pricing promises may. The schedule
has the rest, and what they leave of it."""

LATE_HOURS = 0.05
"""Work that is late by less is not told [accelerator-hours]."""


@dataclass(frozen=True, eq=False)
class _Priced:
    """What a promise costs over the horizon [currency], how that is known, and how much work is late for it [h]."""

    cost: float | None = None
    basis: str | None = None
    late_hours: float = 0.0


@dataclass(frozen=True, eq=False)
class Kept:
    """The problem and the envelope with what failover groups hold in them, what the plan says of it, and the time that
    is left for planning [s]. All as it was, and nothing said, of a fleet without groups."""

    problem: ScheduleProblem
    envelope: Envelope
    left_s: float
    resilience: PlanResilience | None = None
    warnings: tuple[str, ...] = ()
    late_hours: float = 0.0
    """Work that the program which placed what is held leaves late [accelerator-hours]."""

    def told(self, plan: Plan) -> Plan:
        """The plan, in which no promise costs nothing where more is late than in the program that says so.

        Whole accelerators may not keep what a program promises. Whether they would without it, nobody knows.
        """
        more = sum(one.accelerator_hours for one in plan.unplaced) - self.late_hours
        if plan.resilience is None or more < LATE_HOURS:
            return plan
        by_program = f"{FREE} in the program that placed it, and the plan leaves {more:.1f} accelerator-hours more late"
        promises = (replace(p, text=p.text.replace(FREE, by_program)) for p in plan.resilience.promises)
        return replace(plan, resilience=replace(plan.resilience, promises=tuple(promises))).named()


def held_for(
    problem: ScheduleProblem, fleet: Fleet, envelope: Envelope, *, time_limit_s: float, effort: Effort
) -> Kept:
    """What the groups hold, reserved. Never raises for want of a solver or of time."""
    began = time.monotonic()
    made = hold(problem, fleet, envelope, time_limit_s=PLACING_SHARE * time_limit_s, effort=effort)
    if made is None:
        return Kept(problem, envelope, time_limit_s)
    said = resilience_of(made, problem, fleet, envelope, time_limit_s=PRICING_SHARE * time_limit_s)
    spent_s = min(time.monotonic() - began, (PLACING_SHARE + PRICING_SHARE) * time_limit_s)
    warnings = tuple(warnings_of(made, problem, fleet))
    late = 0.0 if made.placing is None or made.solution is None else made.placing.bill(made.solution)[1]
    raised, left_s = with_envelope(problem, fleet, made.envelope), time_limit_s - spent_s
    return Kept(raised, made.envelope, left_s, said, warnings, late)


def resilience_of(
    made: Failover, problem: ScheduleProblem, fleet: Fleet, envelope: Envelope, *, time_limit_s: float
) -> PlanResilience:
    """What the plan says of it. `problem` and `envelope` are those without what groups hold."""
    asked: list[Own | Loss] = [*(Own(kind, site) for kind, site in own_promises(fleet)), *losses(fleet)]
    priced = [_Priced()] * len(asked)
    joint = None
    if made.placing is not None and made.solution is not None:
        joint, _ = made.placing.bill(made.solution)
        few = len(asked) * len(made.solution.values["work"]) <= SOLVED_COLUMNS
        each_s = time_limit_s / len(asked) if few and made.how == PROGRAM else 0.0
        pricing = _Pricing(made.placing, made.solution, each_s, time.monotonic() + time_limit_s)
        priced = [pricing.of(_without(one, made, problem, fleet, envelope)) for one in asked]
    ahead = 1.0 - problem.now_us / (problem.grid.n_slots * problem.slot_us)
    days = max(ahead * problem.grid.n_slots * problem.grid.slot_hours / 24, 1e-9)
    pairs = zip(asked, priced, strict=True)
    promises = (_promise(one, made, found, days, fleet, problem) for one, found in pairs)
    return PlanResilience(made.how, None if joint is None else round(joint, 6) + 0.0, tuple(promises))


def _without(
    one: Own | Loss, made: Failover, problem: ScheduleProblem, fleet: Fleet, envelope: Envelope
) -> Placing:
    """The program in which one promise is not made: of domains, nothing is reserved; of a ride-through, nothing is
    stored for it; of an idle reserve, it is shared; of a loss, nothing is lost."""
    placing = made.placing
    assert placing is not None
    if isinstance(one, Loss):
        gone = {k for k, demand in enumerate(made.lost) if demand.loss == one}
        left = [replace(x, load=0.0 * x.load) if k in gone else x for k, x in enumerate(placing.term.lost)]
        return replace(placing, term=replace(placing.term, lost=left))
    if one.kind == RIDE_THROUGH:
        freely = (replace(x, ride_through_hours=0.0) if x.name == one.site.name else x for x in problem.sites)
        return placing.again(replace(problem, sites=tuple(freely)))
    own = {(one.site.name, pool.name) for pool in one.site.pools}
    freed = {key: replace(envelope[key], kept=envelope[key].quantile) for key in own}
    if one.kind == DOMAINS:
        freed = {key: replace(held, reserved=held.quantile) for key, held in freed.items()}
        return placing.again(with_envelope(problem, fleet, {**envelope, **freed}))
    bare = with_envelope(problem, fleet, {**envelope, **freed})
    shared = replace(one.site, resilience=replace(one.site.resilience, mode="shared"))
    sites = tuple(shared if site is one.site else site for site in fleet.sites)
    return placing.again(bare, asked_of(bare, replace(fleet, sites=sites), envelope, made.lost))


@dataclass(frozen=True, eq=False)
class _Pricing:
    """Promises priced by a program that keeps all of them, and its optimum.

    Each is solved without for `each_s` at the most; no program is built for one after `ends` [s, monotonic clock].
    """

    placing: Placing
    solution: Solution
    each_s: float
    ends: float

    def of(self, less: Placing) -> _Priced:
        """By solving the program without it, where there is time for that; else by the prices of the one with it."""
        cost, late = self.placing.bill(self.solution)
        if self.each_s > 0:
            try:
                without, late_without = less.bill(less.solved(self.each_s))
                return _Priced(cost - without, SOLVED, max(0.0, late - late_without))
            except SolverFailed:
                pass
        if late > EXCESS or any(over > EXCESS for over in self.solution.excess.values()):
            return _Priced()  # what late work or a broken limit costs the program is in its prices
        gain = None if self._beyond_prices(less) else self._gain(less)
        return _Priced() if gain is None else _Priced(gain, AT_MOST)

    def _beyond_prices(self, less: Placing) -> bool:
        """Where prices say nothing of it: other work counts in the rows themselves; or the battery cannot hold what is
        asked of it, and what that costs the program is in its prices.
        """
        pairs = zip(self.placing.problem.sites, less.problem.sites, strict=True)
        short = (
            self.solution.values[f"short_kwh.{i}"].max()
            for i, (site, other) in enumerate(pairs)
            if site.battery is not None and site.ride_through_hours > other.ride_through_hours
        )
        rows_differ = (self.placing.term.strict != less.term.strict)[self.placing.term.pools].any()
        return bool(rows_differ) or any(kwh > EXCESS for kwh in short)

    def _gain(self, less: Placing) -> float | None:
        """What the prices say that it costs at the most [currency]; None where the time is over.

        The optimum is a convex function of what stands on the right of rows, and the duals are a subgradient of it:
        with `more` on the right it is at least the optimum less `dual @ more`.
        """
        duals = self.solution.duals
        if less.problem is self.placing.problem:  # of a loss, nothing differs but what is lost
            pairs = zip(self.placing.term.lost, less.term.lost, strict=True)
            more = [np.empty(0), *(one.load - other.load for one, other in pairs)]
            return float(duals["failover_load"] @ np.concatenate(more))
        if time.monotonic() > self.ends:
            return None
        rows, freed = self._rows, _rows(less)
        return sum(float(dual @ (freed[name].limit - rows[name].limit)) for name, dual in duals.items())

    @cached_property
    def _rows(self) -> Mapping[str, Rows]:
        return _rows(self.placing)


def _rows(placing: Placing) -> Mapping[str, Rows]:
    terms = [*installed_terms(), placing.term]
    return linear_program(placing.problem, placing.work, placing.capacity, terms)[0].rows


def _promise(
    one: Own | Loss, made: Failover, priced: _Priced, days: float, fleet: Fleet, problem: ScheduleProblem
) -> Promise:
    cost = None if priced.cost is None else round(max(0.0, priced.cost) / days, 6) + 0.0
    late = round(priced.late_hours, 6) if priced.late_hours > EXCESS else 0.0
    missing: Floats | None = np.zeros(1)
    if isinstance(one, Loss):
        missing, kind, name, group = made.missing(one), str(one.group.survive), one.name, one.group.name
    else:
        kind, name, group = one.kind, one.site.name, None
    short = 0 if missing is None else int((missing > EXCESS).sum())
    most = None if missing is None else round(float(missing.max(initial=0.0)) if short else 0.0, 6)
    costs = costs_in_words(cost, priced.basis, fleet.currency)
    if late and costs == FREE:
        costs = NO_MONEY
    text = f"{in_words(one, fleet)} {costs}"
    if late:
        text += (
            f", {'but' if costs == NO_MONEY else 'and'} {late:.1f} accelerator-hours of work are late for it"
        )
    if short:
        text += f"; up to {most:.1f} accelerators of it are held by nobody, in {short} slots"
    basis = priced.basis if cost is not None else None
    promise = Promise(kind, name, group, cost, basis, late, most, short, text)
    return _as_carried(promise, fleet, problem) if kind == RIDE_THROUGH else promise


def _as_carried(promise: Promise, fleet: Fleet, problem: ScheduleProblem) -> Promise:
    """A ride-through with what it lacks."""
    [arrays] = (site for site in problem.sites if site.name == promise.name)
    short = missing_kwh(arrays, fleet.by_site[promise.name])
    slots, most = int((short > LEAST).sum()), round(float(short.max()), 6)
    if not slots:
        return promise
    text = f"{promise.text}; up to {most:.1f} kWh of it are missing, in {slots} slots"
    return replace(promise, missing_kwh=most, missing_slots=slots, text=text)


def warnings_of(made: Failover, problem: ScheduleProblem, fleet: Fleet) -> Iterator[str]:
    """Losses that cannot be held whole, and why what is held is not placed better."""
    yield from made.notes
    for loss in losses(fleet):
        missing = made.missing(loss)
        what = f"failover group {loss.group.name}: the loss of {loss.group.survive} {loss.name}"
        if missing is None:
            yield f"{what} has all that real-time load leaves held for it; whether that is enough nobody says."
            continue
        slots: Sequence[int] = np.flatnonzero(missing > EXCESS).tolist()
        if slots:
            since = problem.grid.edges[slots[0]]
            yield (
                f"{what} is not held whole in {len(slots)} slots from {since:%Y-%m-%d %H:%M}Z on: up to "
                f"{missing.max():.1f} of its accelerators are missing elsewhere, whatever is planned."
            )
