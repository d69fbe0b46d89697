"""What failover groups hold where no program places it: filled slot by slot, in a time that is known.

Each loss takes from the pools that are left, those first that carry most for a kW; those that carry alike take alike,
each in proportion to its room. What pools hold for one loss serves all others, so with n like sites it is n/(n-1) of
what one of them runs: the least that there is. Kinds of accelerators with the fewest pools to carry them come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import EXCESS
from shifter.schedule.terms.failover import LEAST_LIMIT_KW, FailoverTerm, LostLoad

LEAST_KW = 1e-9
"""An accelerator that draws less draws nothing [kW]."""


@dataclass(frozen=True, eq=False)
class Filled:
    """What pools hold, (n_pools, n_slots) accelerators and (n_sites, n_slots) kW, and what of each lost load is
    `missing`, (n_lost, n_slots): NaN where several kinds are lost that others carry, and not all of it is held. All
    that carries any of it is held there, as nobody knows whether that is enough."""

    accelerators: Floats
    kw: Floats
    missing: Floats


def fill(problem: ScheduleProblem, term: FailoverTerm) -> Filled:
    """Hold what each loss takes.

    Where one kind of accelerator is lost, what is missing is the least that is possible: in a site, what carries most
    for a kW comes first, which is the best of a knapsack in fractions (Dantzig 1957), and sites share no limit.
    """
    site_of = [pool.site for pool in problem.pools]
    kw = np.array([pool.import_kw for pool in problem.pools])
    held, held_kw = np.zeros_like(term.room), np.zeros_like(term.headroom_kw)
    missing = np.zeros((len(term.lost), problem.grid.n_slots))
    for _, group in groupby(enumerate(term.lost), key=lambda pair: pair[1].loss):
        loss = dict(group)
        left, left_kw = term.room.copy(), np.minimum(term.headroom_kw, LEAST_LIMIT_KW)
        for k in sorted(loss, key=lambda k: len(loss[k].rates)):
            missing[k] = _take(loss[k], left, left_kw, kw, site_of)
        taken = term.room - left
        carried = [k for k in loss if loss[k].rates]
        if len(carried) > 1:
            short = (missing[carried] > EXCESS).any(axis=0)
            missing[carried] = np.where(short, np.nan, missing[carried])
            for p in {p for k in carried for p in loss[k].rates}:
                taken[p] = np.where(short, term.room[p], taken[p])
        taken_kw = np.zeros_like(held_kw)
        np.add.at(taken_kw, site_of, kw[:, None] * taken)
        held, held_kw = np.maximum(held, taken), np.maximum(held_kw, taken_kw)
    return Filled(held, np.minimum(held_kw, np.minimum(term.headroom_kw, LEAST_LIMIT_KW)), missing)


def _take(one: LostLoad, left: Floats, left_kw: Floats, kw: Floats, site_of: Sequence[int]) -> Floats:
    """Take what one lost load needs from what is left, in place; what is missing then, (n_slots,)."""
    need = one.load.astype(float)
    for alike in _tiers(one, kw):
        rate = np.array([one.rates[p] for p in alike])[:, None]
        most = left[alike]
        for i in {site_of[p] for p in alike}:
            here = [j for j, p in enumerate(alike) if site_of[p] == i]
            asked_kw = (kw[alike][here, None] * most[here]).sum(axis=0)
            most[here] *= np.divide(
                left_kw[i], asked_kw, out=np.ones_like(asked_kw), where=asked_kw > left_kw[i]
            )
        carried = (rate * most).sum(axis=0)
        taken = most * np.divide(need, carried, out=np.ones_like(need), where=carried > need)
        left[alike] -= taken
        for j, p in enumerate(alike):
            left_kw[site_of[p]] = np.maximum(0.0, left_kw[site_of[p]] - kw[p] * taken[j])
        need = np.maximum(0.0, need - (rate * taken).sum(axis=0))
    return np.where(need > EXCESS, need, 0.0)


def _tiers(one: LostLoad, kw: Floats) -> Iterator[list[int]]:
    """Pools that carry as much of it for a kW as each other, the most first."""
    for_a_kw = {p: round(rate / max(kw[p], LEAST_KW), 9) for p, rate in one.rates.items()}
    order = sorted(for_a_kw, key=lambda p: (-for_a_kw[p], p))
    for _, alike in groupby(order, key=for_a_kw.__getitem__):
        yield list(alike)
