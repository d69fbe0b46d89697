"""What sites do beside the work: their batteries, their own plants, what they power down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.budgets import run_for_budgets
from shifter.schedule.columns import Columns
from shifter.schedule.jobs import Ints
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import BatteryTrace, Sources, settle, usage


@dataclass(frozen=True, eq=False)
class Beside:
    """Batteries by site, and what else there is; None where there is nothing else."""

    batteries: Mapping[int, BatteryTrace]
    sources: Sources | None = None

    @classmethod
    def of(
        cls, problem: ScheduleProblem, values: Mapping[str, Floats], slot_of: Ints | None = None
    ) -> Beside:
        """As a program has it (its values by block), or one whose slots `slot_of` gives to each of the problem's."""
        at = np.arange(problem.grid.n_slots) if slot_of is None else slot_of

        def positive(name: str) -> Floats:
            return np.where(values[name] > 1e-9, values[name], 0.0)[at]

        hours = problem.grid.slot_hours
        batteries = {
            i: BatteryTrace.of(site.battery, positive(f"charge.{i}"), positive(f"discharge.{i}"), hours)
            for i, site in enumerate(problem.sites)
            if site.battery is not None
        }
        if not problem.has_sources:
            return cls(batteries)
        sources = Sources.none(problem)
        for i, site in enumerate(problem.sites):
            if site.generation_kw is not None:
                sources.generated_kw[i] = np.minimum(site.generation_kw, positive(f"generated.{i}"))
        for p in problem.pools_that_rest:
            sources.off[p] = positive(f"off.{p}")
            sources.saved_kw[problem.pools[p].site] += problem.pools[p].saved_kw * sources.off[p]
        return cls(batteries, sources)

    def net_kw(self, problem: ScheduleProblem) -> Floats:
        """What sites draw for it, less what they draw less for it, (n_sites, n_slots) [kW]."""
        net = np.zeros((len(problem.sites), problem.grid.n_slots))
        for i, trace in self.batteries.items():
            net[i] = trace.charge_kw - trace.discharge_kw
        return net if self.sources is None else net - self.sources.relief_kw


def sources_at_once(problem: ScheduleProblem, pieces: Iterable[Piece]) -> Sources | None:
    """Generation with no plan: used where it is cheaper than the grid, and exported where that pays."""
    if not problem.has_sources:
        return None
    sources = Sources.none(problem)
    drawn_kw = _drawn_kw(problem, pieces)
    for i, site in enumerate(problem.sites):
        if site.generation_kw is None:
            continue
        cost = site.generation_cost_per_kwh
        own_kw = drawn_kw[i] * (site.unit_cost_per_kwh >= cost)
        if site.export_price_per_kwh is not None:
            own_kw += site.export_limit_kw * (site.export_price_per_kwh >= cost)
        sources.generated_kw[i] = np.minimum(site.generation_kw, own_kw)
    return sources


def sources_within_limits(
    problem: ScheduleProblem, pieces: Sequence[Piece], batteries: Mapping[int, BatteryTrace]
) -> Sources | None:
    """The same, but a site with a ramp limit leaves its plant alone: what keeps within that is not looked for.

    Where that breaks a budget, plants run for the budgets, whatever they cost.
    """
    sources = sources_at_once(problem, pieces)
    if sources is None:
        return None
    sources.generated_kw[problem.ramped_sites] = 0.0
    settled = settle(problem, pieces, batteries, sources)
    net_kw = settled.import_kw - settled.export_kw
    if all(budget.used(net_kw) <= budget.limit for budget in problem.budgets):
        return sources
    return replace(sources, generated_kw=run_for_budgets(problem, _drawn_kw(problem, pieces)))


def _drawn_kw(problem: ScheduleProblem, pieces: Iterable[Piece]) -> Floats:
    """What sites draw of real-time load and of these pieces, (n_sites, n_slots)."""
    drawn: Floats = problem.median_kw + usage(problem, Columns.of(problem, pieces)).busy_kw
    return drawn
