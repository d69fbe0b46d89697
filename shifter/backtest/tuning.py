"""Which weight on the worst outcomes (`objective.risk.cvar_weight`) would have served a fleet best, by replay of plans.

As in `forecasts.tuning` an earlier time chooses, and a later one judges, once. A day's loss is half what its work came
to cost, and half how dear the dearest days are:

    loss = (c + a + max(0, c - a) / (1 - level)) / 2

whose mean is the mean of the cost and its CVaR over days, where `a` is the quantile `level` of daily costs (Rockafellar
and Uryasev, J. Risk 2 (2000) 21-41). All weights are measured by one `a`, that of their costs together, which favours
none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from forecasts.gain import Gain, gain
from forecasts.slots import Floats
from shifter.backtest.case import Case, Unit
from shifter.backtest.executors import Executor
from shifter.backtest.results import Result
from shifter.domain.fleet import Fleet
from shifter.errors import InputError

WEIGHTS = (0.0, 0.25, 0.5, 1.0)
"""What is tried beside the weight in force."""
WORTH = 0.002
"""What is better by a smaller share is not preferred."""
REACH_DAYS = 2
"""[d] Over which a plan moves work."""
LEFT_UNDONE = 0.001
"""What leaves a larger share of work undone than the weight in force is not suggested: undone work costs nothing."""


@dataclass(frozen=True)
class Weighed:
    """A weight over some days: what its work cost a day and on the dearest of them, the share `1 - level` [currency];
    `gain` is of the loss of both, against the weight in force.
    """

    weight: float
    cost: float
    worst: float
    done_hours: float
    """Work done in time [accelerator-hours]."""
    gain: Gain


@dataclass(frozen=True)
class RiskTuning:
    """What came of it: every weight on the days that choose, the one in force first; on the days that judge it and the
    one that was chosen, None where they are the same.
    """

    currency: str
    level: float
    present: float
    chosen: float
    tried: tuple[Weighed, ...]
    judged: tuple[Weighed, Weighed] | None

    @property
    def suggests(self) -> bool:
        """Whether another weight is better by more than noise, and gets the work done."""
        return self.judged is not None and self.judged[1].gain.is_sure and not self._leaves_undone

    @property
    def _leaves_undone(self) -> bool:
        if self.judged is None:
            return False
        present, chosen = (one.done_hours for one in self.judged)
        return chosen < (1 - LEFT_UNDONE) * present

    @property
    def verdict(self) -> str:
        """In words."""
        if self.judged is None:
            if all(one.gain.ratio == 0 for one in self.tried):
                return "keep: all weights came to the same plans, as where nobody knows how far forecasts err"
            n = self.tried[0].gain.n_days
            return f"keep: no other cvar_weight did better by {100 * WORTH:g} % on the {n} days that choose"
        what = f"cvar_weight from {self.present:g} to {self.chosen:g}"
        told = f"a day's cost, half of it that of the dearest days, {self.judged[1].gain.words}"
        if self.suggests:
            return f"change {what}: {told}"
        if self._leaves_undone:
            return f"keep: {what} leaves more work undone"
        return f"keep: no cvar_weight is better by more than noise; {what} has {told}"


def tune_risk(
    choosing: Sequence[Case],
    judging: Callable[[], Sequence[Case]],
    executor: Executor,
    told: Callable[[str], None] = lambda _: None,
    weights: Sequence[float] = WEIGHTS,
) -> RiskTuning:
    """Replay the cases of an earlier time with each weight, and those of a later one with the weight in force and the
    one that was chosen. `told` is called for each replay.

    Raises InputError where the fleet plans for a quantile.
    """
    risk = choosing[0].fleet.objective.risk
    if risk.robust_quantile is not None:
        raise InputError(
            "the fleet plans for a quantile, and cvar_weight does not count beside it.",
            field="objective.risk.robust_quantile",
            hint="Leave it out of the fleet file to compare weights.",
        )
    present, level = risk.cvar_weight, risk.cvar_level
    spent = _spent(choosing, [present, *(w for w in weights if w != present)], executor, told)
    tried = _weighed(spent, present, level)
    best = min(tried, key=lambda one: one.gain.ratio)
    if best.gain.ratio >= -WORTH:
        return RiskTuning(choosing[0].fleet.currency, level, present, present, tried, None)
    was, is_ = _weighed(_spent(judging(), [present, best.weight], executor, told), present, level)
    return RiskTuning(choosing[0].fleet.currency, level, present, best.weight, tried, (was, is_))


def _weighed(spent: Mapping[float, _Spent], present: float, level: float) -> tuple[Weighed, ...]:
    """Each weight against the one in force, on the same days."""
    days = sorted({day for one in spent.values() for day in one.cost})
    costs = {weight: np.array([one.cost.get(day, 0.0) for day in days]) for weight, one in spent.items()}
    at = float(np.quantile(np.concatenate(list(costs.values())), level))
    losses = {weight: 0.5 * (c + at + np.maximum(0.0, c - at) / (1 - level)) for weight, c in costs.items()}
    return tuple(
        Weighed(
            weight,
            float(costs[weight].mean()),
            _worst(costs[weight], level),
            one.done_hours,
            gain(losses[weight], losses[present], overlap_days=REACH_DAYS),
        )
        for weight, one in spent.items()
    )


def with_weight(fleet: Fleet, weight: float) -> Fleet:
    """The fleet with another weight on the worst outcomes."""
    risk = replace(fleet.objective.risk, cvar_weight=weight)
    return replace(fleet, objective=replace(fleet.objective, risk=risk))


@dataclass(frozen=True)
class _Spent:
    """What work cost by UTC day [currency], and how much was done."""

    cost: Mapping[date, float]
    done_hours: float


def _spent(
    cases: Iterable[Case], weights: Sequence[float], executor: Executor, told: Callable[[str], None]
) -> dict[float, _Spent]:
    units = {
        (i, weight): Unit(replace(case, fleet=with_weight(case.fleet, weight)), "ours_uncertain")
        for i, case in enumerate(cases)
        for weight in weights
    }
    results: dict[tuple[int, float], _Spent] = {}
    key_of = {id(unit): key for key, unit in units.items()}
    for unit, result in executor.map(list(units.values())):
        results[key_of[id(unit)]] = _Spent(daily_costs(unit.case, result), result.row.done_hours)
        told(f"{unit.case.name}, cvar_weight {key_of[id(unit)][1]:g}")
    found = {}
    for weight in weights:
        mine = [results[key] for key in sorted(results) if key[1] == weight]
        cost: dict[date, float] = {}
        for one in mine:
            for day, spent in one.cost.items():
                cost[day] = cost.get(day, 0.0) + spent
        found[weight] = _Spent(cost, sum(one.done_hours for one in mine))
    return found


def daily_costs(case: Case, result: Result) -> dict[date, float]:
    """What work cost on each UTC day, at what came [currency]: it adds up to the bill, less that of real-time load.

    What is of no slot (a demand charge; battery wear, refill, plant, export) falls on the day of the highest import.
    """
    slots, hours = result.slots, case.grid.slot_hours
    carbon_price = case.fleet.objective.carbon_price_per_tonne
    unit = (
        np.asarray(slots["price_per_mwh"]) / 1e3 + carbon_price * np.asarray(slots["carbon_g_per_kwh"]) / 1e6
    )
    imported = np.asarray(slots["import_kw"])
    spent = (imported - np.asarray(slots["base_kw"])) * hours * unit
    days = [start.date() for start in slots["start"]]
    cost = dict.fromkeys(days, 0.0)
    for day, one in zip(days, spent, strict=True):
        cost[day] += float(one)
    whole = result.row.cost - result.row.base_cost
    cost[days[int(imported.argmax())]] += whole - float(spent.sum())
    return cost


def _worst(costs: Floats, level: float) -> float:
    """CVaR: the mean of the dearest days, the last of them in part."""
    n = (1 - level) * len(costs)
    dearest = np.sort(costs)[::-1]
    share = np.clip(n - np.arange(len(costs)), 0.0, 1.0)
    return float((dearest * share).sum() / n)
