"""What a run costs by raising its site's peak, where it is placed after the program.

The demand charge is on the highest slot alone. So no price by slot tells a wide run from a narrow one: at the program's
own, where each of its highest slots pays a part of the charge, a run costs the same however wide it is. Up to the
program's peak those prices are right. Beyond it, a run pays for what it adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.jobs import Ints
from shifter.schedule.problem import ScheduleProblem


@dataclass(frozen=True, eq=False)
class Peaks:
    """`charge_per_kw` (n_sites,) is what a kW of peak costs, and `left_kw` (n_sites, n_slots) what all work may draw
    before the peak rises, infinite where that costs nothing."""

    charge_per_kw: Floats
    left_kw: Floats

    @classmethod
    def of(cls, problem: ScheduleProblem, imports_kw: Floats, beside: Beside) -> Peaks:
        """The peaks that there are where sites import this much (n_sites, any number of slots), all work included.

        Besides work, they are to do what `beside` says.
        """
        charge = np.array([site.demand_charge_per_kw for site in problem.sites])
        so_far = np.array([site.peak_so_far_kw for site in problem.sites])
        peak_kw = np.where(charge > 0, np.maximum(so_far, imports_kw.max(axis=1)), np.inf)
        return cls(charge, peak_kw[:, None] - problem.median_kw - beside.net_kw(problem))

    def cost(
        self, site: int, drawn_kw: float, slot_us: int, start_us: Ints, length_us: int, placed_kw: Floats
    ) -> Floats:
        """What a run that draws so much would add to the demand charge, from each of these moments on [currency].

        `placed_kw` (n_slots,) is what other work draws at the site.
        """
        if not self.charge_per_kw[site]:
            return np.zeros(len(start_us))
        over = placed_kw - self.left_kw[site]
        end_us = start_us + length_us
        first, last = -(-start_us // slot_us), end_us // slot_us  # the slots that it is in from edge to edge
        highest = _highest_between(over, first, last) + drawn_kw
        for slot in (start_us // slot_us, (end_us - 1) // slot_us):
            inside = np.minimum(end_us, (slot + 1) * slot_us) - np.maximum(start_us, slot * slot_us)
            highest = np.maximum(highest, over[slot] + drawn_kw * inside / slot_us)
        raised_kw = np.maximum(0.0, highest - max(0.0, float(over.max())))
        cost: Floats = self.charge_per_kw[site] * raised_kw
        return cost


def _highest_between(values: Floats, first: Ints, last: Ints) -> Floats:
    """The highest of `values[first:last]`, (n,); minus infinity where that is empty. Of few different lengths."""
    highest = np.full(len(first), -np.inf)
    for n in np.unique(last - first):
        if n > 0:
            rows = last - first == n
            highest[rows] = np.lib.stride_tricks.sliding_window_view(values, n).max(axis=1)[first[rows]]
    return highest
