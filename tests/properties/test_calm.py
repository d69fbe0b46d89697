"""Whatever was announced, and whatever has changed since: the next plan keeps the contract, and says what it moved."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import shifter.schedule.schedule as planning
from forecasts.frame import ForecastFrame
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.plan import Plan
from tests.properties.test_plans import cases

SETTINGS = settings(
    deadline=None,
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a plan takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class NextCycle(NamedTuple):
    """A plan, and the inputs of the cycle after it. Shown without the plan, which those make again."""

    before: Plan
    inputs: CycleInputs

    def __repr__(self) -> str:
        return f"NextCycle({self.inputs!r})"


@st.composite
def next_cycles(draw: st.DrawFn) -> NextCycle:
    """A plan of some of the work, and the cycle after it: more work, perhaps less real-time capacity, other prices."""
    inputs = draw(cases())
    if draw(st.booleans()):  # terms of slots alone, whose announced prices can be held
        plain = tuple(
            replace(
                site,
                pools=tuple(replace(pool, off_kw=None) for pool in site.pools),
                generation=None,
                ramp_limit_kw_per_minute=None,
                export_limit_kw=0.0,
                export_price_per_mwh=None,
            )
            for site in inputs.fleet.sites
        )
        objective = replace(inputs.fleet.objective, budgets=())
        inputs = replace(inputs, fleet=replace(inputs.fleet, sites=plain, objective=objective))
    known = draw(st.integers(0, len(inputs.submissions)))
    before = plan_cycle(replace(inputs, submissions=inputs.submissions[:known], grid_events=()))
    objective = replace(
        inputs.fleet.objective,
        churn_cost_per_accelerator_hour=draw(st.sampled_from([None, 0.0, 0.05, 100.0])),
        frozen_minutes=draw(st.sampled_from([0.0, 47.0, 180.0])),
    )
    after = replace(
        inputs,
        fleet=replace(inputs.fleet, objective=objective),
        frame=shaken(inputs.frame, draw(st.sampled_from([0.0, 0.01, 0.5])), draw(st.integers(0, 9))),
        announced=Announced.of(before, inputs.now),
        hold_gap=draw(st.sampled_from([-1.0, 0.0025, 1e9])),
    )
    return NextCycle(before, after)


def shaken(frame: ForecastFrame, size: float, seed: int) -> ForecastFrame:
    """Other prices, by up to this share."""
    signals = tuple(
        replace(s, values=s.values * (1 + size * ((7 * seed + 3 * i) % 5 - 2) / 2))
        for i, s in enumerate(frame.signals)
    )
    return replace(frame, signals=signals)


@given(next_cycles())
@SETTINGS
def test_the_next_plan_keeps_the_contract(case: NextCycle) -> None:
    before, inputs = case
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan_cycle(inputs).to_json() == plan.to_json()
    assert plan.cost.churn >= 0
    if inputs.fleet.objective.churn_cost_per_accelerator_hour == 0:
        assert plan.cost.churn == 0
    if plan.held is not None:
        assert plan.held.plan_id == before.plan_id
        assert plan.relative_gap <= before.relative_gap + inputs.hold_gap


@given(next_cycles())
@SETTINGS
def test_a_large_next_plan_keeps_it_too(case: NextCycle) -> None:
    _, inputs = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "EXACT_COLUMNS", 0)
        plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []


@given(next_cycles())
@SETTINGS
def test_a_next_plan_without_a_solver_keeps_it_too(case: NextCycle) -> None:
    _, inputs = case
    plan = plan_cycle(replace(inputs, time_limit_s=1e-9))
    assert verify_plan(plan, inputs) == []


@given(cases())
@SETTINGS
def test_what_is_frozen_stays_where_nothing_but_prices_changes(inputs: CycleInputs) -> None:
    """All of the plan is frozen: whatever prices say, it is what it was."""
    before = plan_cycle(replace(inputs, grid_events=()))
    after = replace(
        inputs,
        frame=shaken(inputs.frame, 0.9, 3),
        fleet=replace(inputs.fleet, objective=replace(inputs.fleet.objective, frozen_minutes=10_080.0)),
        announced=Announced.of(before, inputs.now),
        hold_gap=-1.0,
        grid_events=(),
    )
    chained = {
        id
        for s in inputs.submissions
        for id in (*s.workload.depends_on, s.workload.id)
        if s.workload.depends_on
    }
    if after.fleet.objective.budgets or any(
        site.battery or site.generation or site.ramp_limit_kw_per_minute for site in after.fleet.sites
    ):
        return  # limits that hang on prices, or on what else the site does
    plan = plan_cycle(after)
    kept = {a for a in plan.allocations if a.workload_id not in chained}
    was = {a for a in before.allocations if a.workload_id not in chained}
    assert was <= kept


@given(cases())
@SETTINGS
def test_nothing_moves_where_nothing_has_changed(inputs: CycleInputs) -> None:
    before = plan_cycle(inputs)
    plan = plan_cycle(replace(inputs, announced=Announced.of(before, inputs.now), hold_gap=1e9))
    if plan.held is not None:
        assert plan.allocations == before.allocations
