"""Weights on the worst outcomes, compared over days: what chooses and what judges, and days that add up to the bill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shifter.backtest.case import Case, Unit
from shifter.backtest.cases import cut
from shifter.backtest.executors import Serial, carry_out
from shifter.backtest.results import Result
from shifter.backtest.tuning import daily_costs, tune_risk, with_weight
from shifter.domain.risk import Risk
from shifter.errors import InputError
from tests.backtest.world import DAY, START, day_ahead, everything, fleet, job, site

DAYS = 30
Cost = Callable[[float, "np.ndarray[Any, Any]"], Any]
"""What work costs on each of the days, by weight and a draw of each day."""


def case(days: int = DAYS) -> Case:
    """A month of nothing much."""
    [found] = cut(
        everything([job("one", 4, 1, 24)], days=days, of=fleet(site(demand_charge_per_kw=2.0)))
    ).cases
    return found


class AsIf:
    """Results of which each day's cost is made up; of the rest, as it came."""

    def __init__(self, cost: Cost, seed: int = 0, done: Callable[[float], float] = lambda _: 100.0) -> None:
        self._cost, self._done, self.asked = cost, done, list[float]()
        self._rng = np.random.default_rng(seed)

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        """As an executor does it, the last first."""
        n = units[0].case.billed_slots
        draw = self._rng.normal(0, 1, DAYS)
        template = carry_out(replace(units[0], policy="run_now"))
        for unit in reversed(units):
            weight = unit.case.fleet.objective.risk.cvar_weight
            self.asked.append(weight)
            cost = np.asarray(self._cost(weight, draw))
            slots: dict[str, Any] = {**template.slots}
            nothing, imported = np.zeros(len(slots["start"])), np.zeros(len(slots["start"]))
            imported[:n] = np.repeat(cost, n // DAYS) / 24
            slots |= {"carbon_g_per_kwh": nothing, "base_kw": nothing, "import_kw": imported}
            slots["price_per_mwh"] = nothing + 1000.0
            row = replace(template.row, cost=float(cost.sum()), base_cost=0.0, done_hours=self._done(weight))
            yield unit, Result(row, slots)


def test_the_weight_that_spares_the_dearest_days_is_found() -> None:
    """It costs a little more on most days, and much less on the worst."""

    def cost(weight: float, draw: Any) -> Any:
        tail = {0.0: 60.0, 0.25: 45.0, 0.5: 10.0, 1.0: 30.0}[weight]
        return 100 + weight + draw + np.where(np.arange(DAYS) % 4 == 1, tail, 0.0)

    found = tune_risk([case()], lambda: [case()], AsIf(cost))
    assert (found.present, found.chosen) == (0.0, 0.5)
    assert found.suggests
    assert found.judged is not None
    was, is_ = found.judged
    assert is_.worst < was.worst - 40
    assert found.verdict.startswith("change cvar_weight from 0 to 0.5: a day's cost, half of it that of the")


def test_luck_is_not_suggested() -> None:
    def cost(weight: float, draw: Any) -> Any:
        return 100 + np.random.default_rng([int(100 * weight), int(1e6 * abs(draw[0]))]).normal(0, 10, DAYS)

    found = [tune_risk([case()], lambda: [case()], AsIf(cost, seed)) for seed in range(10)]
    assert sum(one.suggests for one in found) <= 1
    assert sum(one.chosen != one.present for one in found) >= 3


def test_only_the_one_in_force_and_the_one_chosen_are_judged() -> None:
    executor = AsIf(lambda weight, draw: 100 - 10 * (weight == 1.0) + draw)
    of = with_weight(case().fleet, 0.3)
    found = tune_risk([replace(case(), fleet=of)], lambda: [replace(case(), fleet=of)], executor)
    assert sorted(executor.asked[:5]) == [0.0, 0.25, 0.3, 0.5, 1.0]
    assert sorted(executor.asked[5:]) == [0.3, 1.0]
    assert [one.weight for one in found.tried] == [0.3, 0.0, 0.25, 0.5, 1.0]


def test_what_leaves_work_undone_is_not_suggested() -> None:
    executor = AsIf(
        lambda weight, draw: 100 - 20 * weight + draw, done=lambda weight: 100.0 if weight < 1 else 99.0
    )
    found = tune_risk([case()], lambda: [case()], executor)
    assert found.chosen == 1.0
    assert not found.suggests
    assert found.verdict == "keep: cvar_weight from 0 to 1 leaves more work undone"


def test_the_loss_is_half_the_cost_and_half_that_of_the_dearest_days() -> None:
    found = tune_risk([case()], lambda: [case()], AsIf(lambda _, draw: np.arange(DAYS) + 1.0), weights=())
    [only] = found.tried
    assert only.cost == pytest.approx(15.5)
    assert only.worst == pytest.approx((30 + 29 + 28) / 3)
    assert (
        found.verdict
        == "keep: all weights came to the same plans, as where nobody knows how far forecasts err"
    )


def test_a_fleet_that_plans_for_a_quantile_is_told_so() -> None:
    of = fleet(risk=Risk(robust_quantile=0.9))
    with pytest.raises(InputError, match="the fleet plans for a quantile"):
        tune_risk([replace(case(), fleet=of)], list, Serial())


def test_days_add_up_to_the_bill_and_plans_are_replayed() -> None:
    vintages = [
        replace(s, quantiles={0.1: s.values - 40, 0.9: s.values + 40}) if s.source == "told" else s
        for s in day_ahead(5)
    ]
    work = [job(f"w{i}", 10, 7 * i, 20) for i in range(4)]
    of = fleet(site(demand_charge_per_kw=2.0))
    [given] = cut(everything(work, vintages=vintages, of=of)).cases
    found = tune_risk([given], lambda: [given], Serial(), weights=(1.0,))
    assert [one.weight for one in found.tried] == [0.0, 1.0]
    assert all(one.done_hours == pytest.approx(40, abs=0.1) for one in found.tried)
    unit = Unit(given, "ours")
    result = carry_out(unit)
    costs = daily_costs(given, result)
    assert min(costs) == START.date()
    assert len(costs) == -(-(given.grid.end - START) // DAY)
    assert sum(costs.values()) == pytest.approx(result.row.cost - result.row.base_cost)
    assert result.row.demand_charge > 0
    assert timedelta(days=len(costs)) >= 2 * DAY
