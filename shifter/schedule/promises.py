"""What each promise of resilience costs: the program that places what is held, with it and without it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from shifter.domain.effort import Effort
from shifter.domain.failover import Loss, losses
from shifter.domain.fleet import Fleet, Site
from shifter.domain.plan import Plan
from shifter.domain.survival import PlanResilience, Promise
from shifter.errors import SolverFailed
from shifter.realtime.reserve import Envelope
from shifter.schedule.failover import PROGRAM, Failover, Placing, hold
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS, Capacity, Rows
from shifter.schedule.rooms import with_envelope
from shifter.schedule.solve import Solution, linear_program
from shifter.schedule.terms.registry import installed_terms

SOLVED, AT_MOST = "solved", "at_most"

SOLVED_COLUMNS = 200_000
"""Up to this many variables over all promises each is solved without; beyond, its price is what is known of it."""

PLACING_SHARE, PRICING_SHARE = 0.2, 0.1
"""Of the time: what placing what is held may take of it, and what pricing promises may. The schedule
has the rest, and what they leave of it."""

NOTHING, LEAST_SAID = 1e-4, 0.005
"""A cost below the first is none, as exactly as a program says it; one below the other is not told in figures [currency
a day]."""

LATE_HOURS = 0.05
"""Work that is late by less is not told [accelerator-hours]."""

FREE, NO_MONEY = "costs nothing", "costs no money"


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
    sites = [site for site in fleet.sites if site.resilience.lose_domains > 0]
    asked: list[Site | Loss] = [*sites, *losses(fleet)]
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
    promises = (_promise(one, made, found, days, fleet) for one, found in zip(asked, priced, strict=True))
    return PlanResilience(made.how, None if joint is None else round(joint, 6) + 0.0, tuple(promises))


def _without(
    one: Site | Loss, made: Failover, problem: ScheduleProblem, fleet: Fleet, envelope: Envelope
) -> Placing:
    """The program in which one promise is not made: of domains, nothing is reserved; of a loss, nothing is lost."""
    placing = made.placing
    assert placing is not None
    if isinstance(one, Loss):
        gone = {k for k, demand in enumerate(made.lost) if demand.loss == one}
        left = [replace(x, load=0.0 * x.load) if k in gone else x for k, x in enumerate(placing.term.lost)]
        return replace(placing, term=replace(placing.term, lost=left))
    own = {(one.name, pool.name) for pool in one.pools}
    freed = {
        key: replace(held, reserved=held.quantile, kept=held.quantile) if key in own else held
        for key, held in envelope.items()
    }
    bare = with_envelope(problem, fleet, freed)
    if placing.how == PROGRAM:
        same = replace(placing.problem, pools=bare.pools, sites=bare.sites)
        return replace(placing, problem=same, capacity=Capacity.of(bare))
    return placing.again(bare)


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
        gain = self._gain(less)
        return _Priced() if gain is None else _Priced(gain, AT_MOST)

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


def _promise(one: Site | Loss, made: Failover, priced: _Priced, days: float, fleet: Fleet) -> Promise:
    kind: str
    group: str | None
    cost = None if priced.cost is None else round(max(0.0, priced.cost) / days, 6) + 0.0
    late = round(priced.late_hours, 6) if priced.late_hours > EXCESS else 0.0
    if isinstance(one, Loss):
        missing = made.missing(one)
        kind, name, group = one.group.survive, one.name, one.group.name
        what = f"{kind} {name}"
    else:
        missing, kind, name, group = np.zeros(1), "domains", one.name, None
        n = one.resilience.lose_domains
        what = f"{n} failure domain{'s' if n > 1 else ''} of each pool at {name}"
    short = 0 if missing is None else int((missing > EXCESS).sum())
    most = None if missing is None else round(float(missing.max(initial=0.0)) if short else 0.0, 6)
    costs = _costs(cost, priced.basis, fleet.currency)
    if late and costs == FREE:
        costs = NO_MONEY
    text = f"surviving the loss of {what} {costs}"
    if late:
        text += (
            f", {'but' if costs == NO_MONEY else 'and'} {late:.1f} accelerator-hours of work are late for it"
        )
    if short:
        text += f"; up to {most:.1f} accelerators of it are held by nobody, in {short} slots"
    return Promise(
        kind, name, group, cost, priced.basis if cost is not None else None, late, most, short, text
    )


def _costs(cost: float | None, basis: str | None, currency: str) -> str:
    if cost is None:
        return "has a cost that no program says"
    if cost < NOTHING:
        return FREE
    if cost < LEAST_SAID:
        return f"costs less than 0.01 {currency} a day"
    return f"costs {'at most ' if basis == AT_MOST else ''}{cost:.2f} {currency} a day"


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
