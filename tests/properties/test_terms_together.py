"""Uncertain prices, power caps and alternatives on top of all that a site may have: each holds beside the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import shifter.schedule.schedule as planning
from forecasts.series import Signal
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Model, PowerCap
from shifter.domain.workload import Alternative, Workload
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
    models = (*inputs.fleet.models, Model("small", {"X": 1500.0, "Y": 1200.0}, {"X": 3}))
    inputs = replace(inputs, fleet=replace(inputs.fleet, sites=capped, models=models))
    inputs = replace(
        inputs,
        submissions=tuple(
            replace(s, workload=with_alternative(s.workload, draw(st.sampled_from([None, 0.7, 2.0]))))
            for s in inputs.submissions
        ),
    )
    widths = {("Z", Signal.PRICE): draw(st.floats(0, 80)), ("Y", Signal.PRICE): draw(st.floats(0, 80))}
    return risky(inputs, widths, **draw(st.sampled_from(RISKS)))


def with_alternative(workload: Workload, ratio: float | None) -> Workload:
    """Work in tokens may be done by the smaller model, with `ratio` as many of them."""
    if workload.tokens is None or ratio is None:
        return workload
    return replace(workload, alternatives=(Alternative("small", ratio * workload.tokens),))


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
