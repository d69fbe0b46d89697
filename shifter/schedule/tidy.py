"""Fewer runs: each plain job placed once more beside all others, where that costs less with a price on every run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.bill import Bill
from shifter.schedule.columns import Columns, highest_levels
from shifter.schedule.exchange import exchange
from shifter.schedule.fleet_bound import CLOSED_FORM, further_terms
from shifter.schedule.jobs import Job, Way
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.runs import in_runs
from shifter.schedule.settle import settle

PASSES = 3
"""Below the peaks that there are; once more below higher ones."""

RISE = 0.25
"""By how many accelerators, of the pool that draws most, a site's peak may rise where that pays."""

KNOWN = CLOSED_FORM | {"generation", "export"}
"""Terms whose cost and limits a job that moves alone can keep and pay: under any other, nothing moves."""

TIE = 1e-9
"""Costs that differ by less are the same [currency]."""


def tidy(
    problem: ScheduleProblem,
    jobs: Sequence[Job],
    pieces: list[Piece],
    beside: Beside,
    weights: Floats | None,
) -> list[Piece]:
    """The same work in fewer pieces, or these very pieces. No limit is met less than before.

    Plain ones of these `jobs` move, in their windows, and `exchange` who runs when. Slots are looked at by their energy
    and carbon, at `weights` of the paths where prices are uncertain: capacity that others leave free serves nobody else
    any more. What is accepted is what lowers the bill, risk in it, with a price on every run. First no peak rises; then
    it may by a part of an accelerator, so that many a fraction of one becomes whole, where that pays.
    """
    plain = [job for job in jobs if job.plain]
    if not KNOWN.issuperset(further_terms(problem)):
        return exchange(plain, pieces)
    below = exchange(plain, _each_anew(problem, plain, pieces, beside, weights, passes=PASSES))
    if not problem.charged_sites:
        return below
    above = exchange(plain, _each_anew(problem, plain, below, beside, weights, passes=1, rise=RISE))
    paid = [Bill.of(problem, one, beside).total + problem.run_price * len(one) for one in (below, above)]
    return above if paid[1] < paid[0] - TIE else below


def _each_anew(
    problem: ScheduleProblem,
    jobs: Sequence[Job],
    pieces: list[Piece],
    beside: Beside,
    weights: Floats | None,
    *,
    passes: int,
    rise: float = 0.0,
) -> list[Piece]:
    """Each job placed once more, those in most pieces first; peaks may rise by so many accelerators."""
    own: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        own[piece.job].append(piece)
    ledger = below_peak(problem, pieces, beside, rise)
    ledger.hold(pieces)
    bill = Bill.of(problem, pieces, beside)
    price_of = partial(_energy_price, problem.at_prices(weights))
    done = done_hours(problem, pieces)
    whole = {job.id: job for job in jobs if done[job.id] >= job.hours * (1 - 1e-6)}
    changed = False
    for _ in range(passes):
        better = False
        for id in sorted(whole, key=lambda i: (-len(own[i]), i)):
            if len(own[id]) < 2:
                break
            ledger.release(own[id])
            _free_beside(ledger, [piece for other, group in own.items() if other != id for piece in group])
            found = in_runs(whole[id], ledger, price_of, problem.run_price)
            if found is not None:
                paid, fewer = bill.change(own[id], found), len(own[id]) - len(found)
                if paid < problem.run_price * fewer - TIE or (paid <= TIE and fewer > 0):
                    bill.move(own[id], found)
                    own[id], better = found, True
            ledger.hold(own[id])
        changed |= better
        if not better:
            break
    return [piece for group in own.values() for piece in group] if changed else pieces


def _free_beside(ledger: Ledger, pieces: Sequence[Piece]) -> None:
    """What these pieces together leave: two that share an accelerator in turns hold it once."""
    problem, whole = ledger.problem, Capacity.of(ledger.problem)
    table = Columns.of(problem, pieces)
    firm = table.where(np.flatnonzero(table.firm))
    ledger.any = whole.any - highest_levels(problem, table, table.pool, len(whole.any))
    ledger.firm = whole.firm - highest_levels(problem, firm, firm.pool, len(whole.firm))


def below_peak(
    problem: ScheduleProblem, pieces: Sequence[Piece], beside: Beside, rise: float = 0.0
) -> Ledger:
    """What is free beside what sites do, below the limits and, where it has a price, the peak that there is.

    Or one that is higher, by `rise` accelerators of the site's pool that draws most.
    """
    ledger = Ledger(problem)
    ledger.hold_beside(beside)
    imports = settle(problem, pieces, beside.batteries, beside.sources).import_kw
    if problem.n_quotas:  # nor is more borrowed in any slot than now
        used = Ledger(problem)
        used.hold(pieces)
        for quota, tenant in enumerate(problem.tenants[: problem.n_quotas]):
            if not tenant.hard:
                ledger.quota_left[quota] = np.maximum(tenant.left, used.of_quotas[quota])
    for i, site in enumerate(problem.sites):
        if site.demand_charge_per_kw > 0:
            peak_kw = max(float(imports[i].max()), site.peak_so_far_kw)
            peak_kw += rise * max((problem.pools[p].import_kw for p in site.pools), default=0.0)
            below = peak_kw - site.median_kw - ledger.beside_kw[i]
            ledger.headroom_kw[i] = np.minimum(ledger.headroom_kw[i], below)
    return ledger


def _energy_price(problem: ScheduleProblem, way: Way, firm: bool) -> Floats:
    site = problem.sites[problem.pools[way.pool].site]
    price: Floats = way.import_kw * site.unit_cost_per_kwh[problem.cell_slot] * problem.cell_hours
    return price
