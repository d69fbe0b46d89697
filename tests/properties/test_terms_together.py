"""Uncertain prices and power caps on top of all that a site may have: each term holds beside the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import shifter.schedule.schedule as planning
from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import PowerCap
from tests.properties.test_plans import cases
from tests.schedule.risky import risky

SETTINGS = settings(
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a plan takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

RISKS: list[dict[str, Any]] = [{"cvar_weight": 0.5}, {"cvar_weight": 1.0}, {"robust_quantile": 0.8}]


@st.composite
def everything(draw: st.DrawFn) -> CycleInputs:
    inputs = draw(cases())
    capped = tuple(
        replace(
            site,
            pools=tuple(
                replace(
                    pool, power_caps=(PowerCap((pool.idle_kw + pool.busy_kw) / 2, draw(st.floats(0.3, 0.9))),)
                )
                for pool in site.pools
            ),
        )
        for site in inputs.fleet.sites
    )
    inputs = replace(inputs, fleet=replace(inputs.fleet, sites=capped))
    widths = {("Z", Signal.PRICE): draw(st.floats(0, 80)), ("Y", Signal.PRICE): draw(st.floats(0, 80))}
    return risky(inputs, widths, **draw(st.sampled_from(RISKS)))


@given(everything())
@SETTINGS
def test_a_plan_of_all_terms_keeps_the_contract(inputs: CycleInputs) -> None:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.risk is not None
    assert plan_cycle(inputs).to_json() == plan.to_json()


@given(everything())
@SETTINGS
def test_a_large_plan_of_all_terms_keeps_it_too(inputs: CycleInputs) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "EXACT_COLUMNS", 0)
        plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
