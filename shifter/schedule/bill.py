"""What the sites pay for a load, slot by slot, and what it costs more or less where a job moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.columns import Columns, slot_means
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.sites import SiteArrays, supplies


@dataclass(eq=False)
class Bill:
    """Energy, carbon, own plants, export and risk of a load [kW], (n_sites, n_slots): all that moves below the peaks.

    Batteries do what they do. A plant gives what pays in each slot.
    """

    problem: ScheduleProblem
    load_kw: Floats
    cost: Floats
    """Of each site and slot [currency], without risk."""
    more: Floats
    """What it costs more on each path of prices than at the forecast, (n_paths,) [currency]; empty without risk."""

    @classmethod
    def of(cls, problem: ScheduleProblem, pieces: Sequence[Piece], beside: Beside) -> Bill:
        """Of these pieces, what is pinned and what batteries do."""
        load_kw = problem.median_kw + _drawn_kw(problem, pieces)
        for i, trace in beside.batteries.items():
            load_kw[i] += trace.charge_kw - trace.discharge_kw
        cost, imports, exports = _paid(problem, load_kw)
        return cls(problem, load_kw, cost, _on_paths(problem, imports, exports))

    @property
    def total(self) -> float:
        """All of it, with what the peaks cost [currency]."""
        imports = _paid(self.problem, self.load_kw)[1]
        peaks = sum(
            site.demand_charge_per_kw * max(0.0, float(row.max()) - site.peak_so_far_kw)
            for site, row in zip(self.problem.sites, imports, strict=True)
        )
        risk = self.problem.risk
        return float(self.cost.sum()) + peaks + (0.0 if risk is None else risk.weight * risk.tail(self.more))

    def change(self, gone: Sequence[Piece], come: Sequence[Piece]) -> float:
        """What the bill would rise by with these pieces in the place of those [currency]; infinite if it may not be."""
        cost, more = self._after(gone, come)[1:]
        rise = float((cost - self.cost).sum())
        risk = self.problem.risk
        return rise if risk is None else rise + risk.weight * (risk.tail(more) - risk.tail(self.more))

    def move(self, gone: Sequence[Piece], come: Sequence[Piece]) -> None:
        """Put these pieces in the place of those."""
        self.load_kw, self.cost, self.more = self._after(gone, come)

    def _after(self, gone: Sequence[Piece], come: Sequence[Piece]) -> tuple[Floats, Floats, Floats]:
        load_kw = self.load_kw + _drawn_kw(self.problem, come) - _drawn_kw(self.problem, gone)
        cost, imports, exports = _paid(self.problem, load_kw)
        return load_kw, cost, _on_paths(self.problem, imports, exports)


def _drawn_kw(problem: ScheduleProblem, pieces: Sequence[Piece]) -> Floats:
    columns = Columns.of(problem, pieces)
    site = np.array([pool.site for pool in problem.pools], dtype=np.int64)[columns.pool]
    return slot_means(problem, columns, site, columns.drawn_kw, len(problem.sites))


def _on_paths(problem: ScheduleProblem, imports: Floats, exports: Floats) -> Floats:
    return (
        np.zeros(0) if problem.risk is None else problem.risk.costs(imports, exports, problem.grid.slot_hours)
    )


def _paid(problem: ScheduleProblem, load_kw: Floats) -> tuple[Floats, Floats, Floats]:
    """What each site pays for its load in each slot [currency], what it imports and what it exports [kW], (n_sites,
    n_slots) each."""
    rows = [_least(site, row) for site, row in zip(problem.sites, load_kw, strict=True)]
    cost, imports, exports = (np.array(columns) for columns in zip(*rows, strict=True))
    return cost * problem.grid.slot_hours, imports, exports


def _least(site: SiteArrays, load_kw: Floats) -> tuple[Floats, Floats, Floats]:
    """The least that a load costs an hour, its import and its export, with the plant used as pays best."""
    if site.generation_kw is None and site.export_price_per_kwh is None:
        return site.unit_cost_per_kwh * load_kw, load_kw, np.zeros_like(load_kw)
    none = np.zeros_like(load_kw)
    cost, imports, export = supplies(
        load_kw,
        unit_cost_per_kwh=site.unit_cost_per_kwh,
        available_kw=none if site.generation_kw is None else site.generation_kw,
        own_cost_per_kwh=site.generation_cost_per_kwh,
        earned_per_kwh=none if site.export_price_per_kwh is None else site.export_price_per_kwh,
        export_limit_kw=site.export_limit_kw,
    )
    cost = np.where(export > site.export_limit_kw + 1e-9, np.inf, cost)
    best, at = cost.argmin(axis=0), np.arange(len(load_kw))
    return cost[best, at], imports[best, at], export[best, at]
