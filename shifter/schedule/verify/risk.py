"""What the plan says of its risk: its bill on every path that prices may take, the measure over them, the weights.

With weights q of the paths that sum to 1, each at most its probability over the tail's, the mean cost by q is at most
the CVaR (its dual form; Rockafellar, Uryasev and Zabarankin 2006). So the bound may be computed at the prices that q
makes, whoever found q.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasts.series import Signal
from forecasts.slots import Floats
from shifter.domain.risk import PlanRisk
from shifter.domain.rows import Cost
from shifter.schedule.verify.case import Case, differs
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.money import money_tolerance
from shifter.schedule.verify.violation import Violation, ViolationCode

WEIGHT_TOLERANCE = 1e-6
"""Of a path's weight, and of their sum."""
PRICE_TOLERANCE = 1e-6
"""Share of a price, and currency per MWh where it is below 1."""


@dataclass(frozen=True, eq=False)
class _Paths:
    """What a kWh may cost more than forecast, by zone, (n_paths, n_slots), with carbon at its price and without; the
    same for every path's probability."""

    count: int
    more_per_kwh: dict[str, Floats]
    price_more_per_kwh: dict[str, Floats]

    def earned_more(self, load: SiteLoad) -> Floats:
        """What a kWh of export earns more than at the forecast, (n_paths, n_slots): at most the path's price."""
        if not load.site.export_limit_kw > 0:
            return np.zeros((self.count, len(load.price_per_kwh)))
        on_paths = load.price_per_kwh + self.price_more_per_kwh[load.site.zone]
        earned: Floats = np.minimum((load.site.export_price_per_mwh or 0.0) / 1000, on_paths)
        return earned - load.export_price_per_kwh


def _paths(case: Case) -> _Paths | None:
    """None where the plan is to be for the forecast as it is."""
    objective = case.fleet.objective
    found = objective.risk.paths(case.frame)
    if found is None or not found.offsets:
        return None
    n, per_kg = case.grid.n_slots, objective.carbon_price_per_tonne / 1000
    price = {zone: found.of(zone, Signal.PRICE, n) / 1000 for zone in case.fleet.zones}
    more = {zone: price[zone] + per_kg * found.of(zone, Signal.CARBON, n) / 1000 for zone in price}
    return _Paths(found.count, more, price)


def check_risk(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Every figure of `risk`, and that there is one exactly where one is asked for."""
    paths, said = _paths(case), case.plan.risk
    if paths is None or said is None:
        if (paths is None) is not (said is None):
            what = "is not told" if said is None else "is told, and none is asked for"
            yield Violation(ViolationCode.RISK, "plan", what)
        return
    yield from _check_figures(case, loads, paths, said)
    weights = np.array([path.weight_ratio for path in said.paths])
    if not _valid(case, paths, weights):
        yield Violation(
            ViolationCode.RISK_WEIGHTS, "plan", "the weights of the paths are none that the measure may take"
        )
        return
    for zone, row in said.prices_per_mwh.items():
        real = _unit_prices(case, paths, loads, weights).get(zone)
        if real is None or len(row) != len(real) or differs(row, real, _price_slack(real)):
            yield Violation(ViolationCode.RISK, zone, "the risk-adjusted prices are not those of the weights")
    if said.prices_per_mwh.keys() != set(case.fleet.zones):
        yield Violation(ViolationCode.RISK, "plan", "has not the risk-adjusted prices of every zone")


def _check_figures(
    case: Case, loads: Sequence[SiteLoad], paths: _Paths, said: PlanRisk
) -> Iterator[Violation]:
    risk, expected = case.fleet.objective.risk, case.plan.cost.total
    hours = case.grid.slot_hours
    costs = np.full(paths.count, expected)
    for load in loads:
        costs += hours * paths.more_per_kwh[load.site.zone] @ load.import_kw
        costs -= hours * paths.earned_more(load) @ load.export_kw
    measure = "cvar" if risk.robust_quantile is None else "quantile"
    if (said.measure, said.weight, said.level) != (measure, risk.weight, risk.level):
        yield Violation(ViolationCode.RISK, "plan", "its measure, weight or level is not what was asked for")
    # The least over every path's cost as the level eta: where the minimum of a piecewise linear function lies.
    over = np.maximum(0.0, costs - costs[:, None]).mean(axis=1) / (1.0 - risk.level)
    tail = float((costs + over).min())
    objective = (1.0 - risk.weight) * expected + risk.weight * tail
    figures = {
        "objective": objective,
        "expected": expected,
        "tail": tail,
        "worst": float(costs.max()),
        "premium": objective - expected,
    }
    allowed = money_tolerance(Cost(abs(expected), float(np.abs(costs).max())))
    for name, real in figures.items():
        if differs(getattr(said, name), real, 2 * allowed):
            detail = f"{name} says {getattr(said, name):.6f}, and it is {real:.6f}"
            yield Violation(ViolationCode.RISK, "plan", detail)
    told = np.array([(path.cost, path.probability) for path in said.paths]).reshape(-1, 2)
    even = np.full(paths.count, 1.0 / paths.count)
    if len(told) != paths.count or differs(told[:, 0], costs, 2 * allowed):
        yield Violation(ViolationCode.RISK, "paths", "their costs are not what the plan costs on them")
    elif differs(told[:, 1], even, WEIGHT_TOLERANCE):
        yield Violation(ViolationCode.RISK, "paths", "are not equally likely")


def _valid(case: Case, paths: _Paths, weights: Floats) -> bool:
    most = 1.0 / (paths.count * (1.0 - case.fleet.objective.risk.level))
    return (
        len(weights) == paths.count
        and bool((weights >= 0).all() and (weights <= most + WEIGHT_TOLERANCE).all())
        and abs(float(weights.sum()) - 1.0) <= WEIGHT_TOLERANCE
    )


def at_risk(case: Case, loads: Sequence[SiteLoad]) -> list[SiteLoad]:
    """The sites at the risk-adjusted prices of the plan's weights; as they are where it has no valid ones, which
    `check_risk` reports.
    """
    paths, said = _paths(case), case.plan.risk
    if paths is None or said is None:
        return list(loads)
    weights = np.array([path.weight_ratio for path in said.paths])
    if not _valid(case, paths, weights):
        return list(loads)
    per_kwh = {z: p / 1000 for z, p in _unit_prices(case, paths, loads, weights).items()}
    weight = case.fleet.objective.risk.weight
    return [
        replace(
            load,
            unit_cost_per_kwh=per_kwh[load.site.zone],
            unit_export_per_kwh=load.export_price_per_kwh + weight * (weights @ paths.earned_more(load)),
        )
        for load in loads
    ]


def _unit_prices(case: Case, paths: _Paths, loads: Sequence[SiteLoad], weights: Floats) -> dict[str, Floats]:
    """By zone, (n_slots,) [currency/MWh], carbon included."""
    weight = case.fleet.objective.risk.weight
    unit = {load.site.zone: load.unit_cost_per_kwh for load in loads}
    return {z: 1000 * (unit[z] + weight * (weights @ more)) for z, more in paths.more_per_kwh.items()}


def _price_slack(prices: Floats) -> Floats:
    slack: Floats = PRICE_TOLERANCE * np.maximum(1.0, np.abs(prices))
    return slack
