"""What may stand in a fleet's `objective.risk`, and what may not."""

from __future__ import annotations

from typing import Any

import pytest

from shifter.domain.risk import Risk, Trust
from shifter.errors import InputError
from shifter.files import fleet_warnings, parse_fleet
from shifter.files.document import parse_document
from tests.files.good import FLEET, mistakes


def fleet_with(risk: Any) -> dict[str, Any]:
    raw: Any = parse_document(FLEET, "f").data
    return {**raw, "objective": {"carbon_price_per_tonne": 80, "risk": risk}}


def test_all_of_it_is_read() -> None:
    row = {"zone": "NO1", "signal": "price", "lead_hours": 24, "skill_ratio": 0.7, "source": "csv"}
    risk = parse_fleet(fleet_with({"cvar_weight": 0.3, "cvar_level": 0.8, "trust": [row]})).objective.risk
    assert risk == Risk(
        cvar_weight=0.3,
        cvar_level=0.8,
        trust=(Trust("price", 24, 0.7, "NO1", "csv"),),  # type: ignore[arg-type]
    )
    assert (risk.weight, risk.level) == (0.3, 0.8)


def test_nothing_is_the_plain_problem() -> None:
    raw: Any = parse_document(FLEET, "f").data
    assert parse_fleet(raw).objective.risk == Risk()
    assert Risk().weight == 0


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ({"cvar_weight": 1.2}, "objective.risk.cvar_weight: `cvar_weight` must be at most 1, not 1.2"),
        ({"cvar_weight": -0.1}, "must be at least 0, not -0.1"),
        ({"cvar_wieght": 0.1}, "Did you mean `cvar_weight`"),
        ({"cvar_level": 1.0}, "must be less than 1, not 1"),
        ({"scenarios": 1}, "must be at least 2, not 1"),
        ({"seed": -1}, "must be at least 0, not -1"),
        ({"autocorrelation_hours": 0}, "must be greater than 0, not 0"),
        ({"zone_correlation": -0.5}, "must be at least 0"),
        ({"price_carbon_correlation": 2}, "must be at most 1"),
        ({"robust_quantile": 0.5}, "must be greater than 0.5"),
        ({"robust_quantile": 0.9, "cvar_weight": 0.5}, "are two measures of risk, and one is minimised"),
        ({"trust": [{"signal": "prize", "lead_hours": 1, "skill_ratio": 1}]}, "trust[0].signal"),
        ({"trust": [{"signal": "price", "lead_hours": 1, "skill_ratio": 1.5}]}, "must be at most 1, not 1.5"),
        ({"trust": [{"signal": "price", "lead_hours": 1}]}, "trust[0].skill_ratio"),
        (
            {"trust": [{"signal": "price", "lead_hours": 1, "skill_ratio": 1, "zone": "NO3"}]},
            "objective.risk.trust[0].zone: no site is in the zone `NO3`. Did you mean `NO1`?",
        ),
        (
            {"trust": [{"signal": "price", "lead_hours": 6, "skill_ratio": s} for s in (0.5, 0.6)]},
            "trust[0] already says how much is believed 6 h ahead",
        ),
    ],
)
def test_what_is_wrong_is_named(risk: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_fleet(fleet_with(risk))
    assert expected in "\n".join(mistakes(caught))


@pytest.mark.parametrize(
    ("scenarios", "level", "warns"), [(12, 0.9, False), (10, 0.9, False), (12, 0.95, True)]
)
def test_a_tail_thinner_than_a_scenario_is_said(scenarios: int, level: float, warns: bool) -> None:
    risk = {"cvar_weight": 0.5, "cvar_level": level, "scenarios": scenarios}
    said = [detail for _, detail, _ in fleet_warnings(parse_fleet(fleet_with(risk)))]
    assert any("the worst 5 % of 12 scenarios is less than one of them" in d for d in said) is warns
