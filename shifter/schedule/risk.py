"""Uncertain prices as arrays: paths of what a kWh may cost, the measure over them, and the weights that attain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.scenarios import Paths
from forecasts.series import Signal
from forecasts.slots import Floats
from shifter.domain.fleet import Fleet
from shifter.domain.risk import PlanRisk, RiskPath

if TYPE_CHECKING:
    from shifter.schedule.jobs import Ints
    from shifter.schedule.problem import ScheduleProblem
    from shifter.schedule.settle import Settled

WEIGHT_DIGITS = 9
"""Weights of paths have this many decimals in a plan."""


@dataclass(frozen=True, eq=False)
class RiskArrays:
    """Equally likely paths: `offsets_per_kwh` (n_paths, n_sites, n_slots), what a kWh costs more on each than forecast,
    carbon at its price included [currency/kWh].

    What is minimised is `(1 - weight) * expected cost + weight * CVaR` at `level`: the mean of its worst `1 - level`.
    """

    weight: float
    level: float
    offsets_per_kwh: Floats
    export_offsets_per_kwh: Floats | None = None
    """What a kWh of export earns more on each path than at the forecast, alike; None where no site exports. On every
    path, as at the forecast, it earns what is given or the price of import, whichever is less."""

    @property
    def n_paths(self) -> int:
        """Number of paths."""
        return len(self.offsets_per_kwh)

    @cached_property
    def most(self) -> float:
        """The highest weight that a path may have: its probability over the tail's."""
        return min(1.0, 1.0 / (self.n_paths * (1.0 - self.level)))

    @property
    def even(self) -> Floats:
        """The paths' probabilities, which are weights too: those of a plan that is no better on one than on another."""
        return np.full(self.n_paths, 1.0 / self.n_paths)

    @property
    def dearest_per_kwh(self) -> float:
        """The most by which risk could change what a kWh costs [currency/kWh]."""
        return self.weight * float(np.abs(self.offsets_per_kwh).max(initial=0.0))

    def averaged(self, first: Ints, count: Ints) -> RiskArrays:
        """The same on coarser slots, which begin at `first` and hold `count` of these, (n_coarse,) each."""
        bought, sold = self.offsets_per_kwh, self.export_offsets_per_kwh
        return replace(
            self,
            offsets_per_kwh=np.add.reduceat(bought, first, axis=2) / count,
            export_offsets_per_kwh=None if sold is None else np.add.reduceat(sold, first, axis=2) / count,
        )

    def costs(self, import_kw: Floats, export_kw: Floats, slot_hours: float) -> Floats:
        """What imports less exports (n_sites, n_slots) cost more on each path than at the forecast, (n_paths,)
        [currency]."""
        more: Floats = slot_hours * np.einsum("kst,st->k", self.offsets_per_kwh, import_kw)
        if self.export_offsets_per_kwh is not None:
            more = more - slot_hours * np.einsum("kst,st->k", self.export_offsets_per_kwh, export_kw)
        return more

    def worst_weights(self, costs: Floats) -> Floats:
        """The weights that make most of `costs` (n_paths,): all that each may have, the worst path first."""
        weights = np.zeros(self.n_paths)
        order = np.argsort(-costs, kind="stable")
        before = np.arange(self.n_paths) * self.most
        weights[order] = np.clip(1.0 - before, 0.0, self.most)
        return weights

    def tail(self, costs: Floats) -> float:
        """CVaR of `costs` (n_paths,): the mean of the worst `1 - level` of them."""
        return float((self.worst_weights(costs) * costs).sum())

    def premium_per_kwh(self, weights: Floats) -> Floats:
        """What risk adds to the cost of a kWh at these weights of the paths, (n_sites, n_slots) [currency/kWh]."""
        premium: Floats = self.weight * np.einsum("k,kst->st", weights, self.offsets_per_kwh)
        return premium

    def export_premium_per_kwh(self, weights: Floats) -> Floats | None:
        """The same of what a kWh of export earns; None where no site exports."""
        if self.export_offsets_per_kwh is None:
            return None
        premium: Floats = self.weight * np.einsum("k,kst->st", weights, self.export_offsets_per_kwh)
        return premium

    def weights_of(self, duals: Mapping[str, Floats]) -> Floats:
        """The weights that the program's duals are, made valid and rounded as a plan carries them, (n_paths,)."""
        found = duals.get("risk")
        if found is None or not found.sum() > 0:
            return np.round(self.even, WEIGHT_DIGITS)
        weights = np.minimum(found / found.sum(), self.most)
        room = self.most - weights
        if room.sum() > 0:
            weights = weights + room * (1.0 - weights.sum()) / room.sum()
        rounded: Floats = np.round(weights, WEIGHT_DIGITS) + 0.0  # never -0.0
        return rounded


def risk_of(frame: ForecastFrame, fleet: Fleet) -> tuple[RiskArrays | None, tuple[str, ...]]:
    """The paths of the fleet's sites, and what had to be assumed; None where the problem is the plain one."""
    risk = fleet.objective.risk
    paths = risk.paths(frame)
    if paths is None:
        return None, ()
    if not paths.offsets:
        return None, (*paths.warnings, "no quantiles are known, so the plan is for the forecast as it is.")
    n, carbon_price_per_kg = frame.grid.n_slots, fleet.objective.carbon_price_per_tonne / 1000
    offsets = [
        paths.of(site.zone, Signal.PRICE, n) / 1000
        + carbon_price_per_kg * paths.of(site.zone, Signal.CARBON, n) / 1000
        for site in fleet.sites
    ]
    arrays = RiskArrays(
        risk.weight, risk.level, np.stack(offsets, axis=1), _export_offsets(frame, fleet, paths)
    )
    return arrays, paths.warnings


def _export_offsets(frame: ForecastFrame, fleet: Fleet, paths: Paths) -> Floats | None:
    """What a kWh of export earns more on each path than at the forecast, (n_paths, n_sites, n_slots)."""
    if not any(site.export_limit_kw > 0 for site in fleet.sites):
        return None
    n = frame.grid.n_slots
    offsets = np.zeros((paths.count, len(fleet.sites), n))
    for i, site in enumerate(fleet.sites):
        if site.export_limit_kw > 0 and site.export_price_per_mwh is not None:
            price = frame.assumed(site.zone, Signal.PRICE)
            on_paths = np.minimum(site.export_price_per_mwh, price + paths.of(site.zone, Signal.PRICE, n))
            offsets[:, i] = (on_paths - np.minimum(site.export_price_per_mwh, price)) / 1000
    return offsets


def plan_risk(problem: ScheduleProblem, weights: Floats, settled: Settled, fleet: Fleet) -> PlanRisk:
    """What a plan says of its risk: the bill on each path, the measure over them, and the prices that it amounts to."""
    risk, expected = problem.risk, settled.cost.total
    assert risk is not None
    costs = expected + risk.costs(settled.import_kw, settled.export_kw, problem.grid.slot_hours)
    tail = risk.tail(costs)
    objective = expected + risk.weight * (tail - expected)
    of_zone = {site.zone: i for i, site in enumerate(fleet.sites)}
    sites = problem.at_prices(weights).sites
    return PlanRisk(
        measure="cvar" if fleet.objective.risk.robust_quantile is None else "quantile",
        weight=risk.weight,
        level=risk.level,
        objective=objective,
        expected=expected,
        tail=tail,
        worst=float(costs.max()),
        premium=objective - expected,
        paths=tuple(
            RiskPath(1.0 / risk.n_paths, float(q), float(c)) for q, c in zip(weights, costs, strict=True)
        ),
        prices_per_mwh={
            zone: tuple((1000 * sites[i].unit_cost_per_kwh).round(WEIGHT_DIGITS).tolist())
            for zone, i in sorted(of_zone.items())
        },
    )
