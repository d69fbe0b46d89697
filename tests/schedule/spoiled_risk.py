"""Plans that say something untrue of their risk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from forecasts.series import Signal
from shifter.domain.risk import PlanRisk
from shifter.domain.rows import Allocation
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.risky import risky
from tests.schedule.spoil import Spoiled, made_of, priced, row

PRICES = [30.0 + 20 * (i % 5) for i in range(24)]


def plan(**risk: Any) -> Spoiled:
    inputs = cycle_inputs([work("w", 8, 20)], sites=[site(demand_charge_per_kw=1.0)], prices=PRICES)
    given = {"cvar_weight": 0.5, "scenarios": 4, "cvar_level": 0.5, **risk}
    uncertain = risky(inputs, {("Z", Signal.PRICE): [5.0 + i for i in range(24)]}, **given)
    return made_of(uncertain, [Allocation("w", "a", "p", at(2), at(4), 4)]), uncertain


def told(change: Callable[[PlanRisk], PlanRisk | None]) -> Callable[[], Spoiled]:
    """What the plan says of its risk, changed; the gap follows."""

    def spoiled() -> Spoiled:
        good, inputs = plan()
        assert good.risk is not None
        return priced(replace(good, risk=change(good.risk))), inputs

    return spoiled


def weighed(*weights: float) -> Callable[[], Spoiled]:
    return told(
        lambda r: replace(
            r,
            paths=tuple(replace(p, weight_ratio=w) for p, w in zip(r.paths, weights, strict=True)),
        )
    )


def unasked() -> Spoiled:
    good, inputs = plan()
    objective = replace(inputs.fleet.objective, risk=type(inputs.fleet.objective.risk)())
    return good, replace(inputs, fleet=replace(inputs.fleet, objective=objective))


def too_high() -> Spoiled:
    """A bound between the expected cost, which it could not exceed, and what is minimised."""
    good, inputs = plan()
    assert good.risk is not None
    return priced(replace(good, lower_bound=0.5 * (good.cost.total + good.risk.objective))), inputs


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "its risk is not told": ({"risk"}, told(lambda _: None)),
    "its risk is told, and none is asked for": ({"risk"}, unasked),
    "its objective is lower, it says": ({"risk"}, told(lambda r: replace(r, objective=r.objective - 0.001))),
    "its tail is lower, it says": ({"risk"}, told(lambda r: replace(r, tail=r.tail - 0.001))),
    "its worst is no number": ({"risk"}, told(lambda r: replace(r, worst=float("nan")))),
    "its premium is lower, it says": ({"risk"}, told(lambda r: replace(r, premium=0.0))),
    "it weighs risk less": ({"risk"}, told(lambda r: replace(r, weight=0.4))),
    "it is another measure": ({"risk"}, told(lambda r: replace(r, measure="quantile"))),
    "a path costs less, it says": (
        {"risk"},
        told(lambda r: replace(r, paths=row(r.paths, 0, cost=r.paths[0].cost - 0.001))),
    ),
    "a path is likelier, it says": (
        {"risk"},
        told(lambda r: replace(r, paths=row(row(r.paths, 0, probability=0.3), 1, probability=0.2))),
    ),
    "a path is missing": ({"risk", "risk_weights"}, told(lambda r: replace(r, paths=r.paths[:-1]))),
    "a path weighs more than it may": ({"risk_weights"}, weighed(0.6, 0.4, 0.0, 0.0)),
    "a path weighs less than nothing": ({"risk_weights"}, weighed(0.5, 0.5, 0.5, -0.5)),
    "the weights are not one together": ({"risk_weights"}, weighed(0.5, 0.4, 0.0, 0.0)),
    "the weights are no numbers": ({"risk_weights"}, weighed(float("nan"), 0.5, 0.5, 0.0)),
    "the prices are those of other weights": ({"risk"}, weighed(0.5, 0.5, 0.0, 0.0)),
    "a price is missing": (
        {"risk"},
        told(lambda r: replace(r, prices_per_mwh={z: v[:-1] for z, v in r.prices_per_mwh.items()})),
    ),
    "a zone is missing": ({"risk"}, told(lambda r: replace(r, prices_per_mwh={}))),
    "the bound exceeds what the weights prove": ({"bound"}, too_high),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "a plan with risk": plan,
    "a plan by a quantile": lambda: plan(cvar_weight=0.0, robust_quantile=0.9),
}
