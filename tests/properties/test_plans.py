"""Whatever the fleet, the load and the work, a plan keeps the contract: `plan_cycle` verifies it, or raises."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import shifter.schedule.schedule as planning
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Budget, Model, Pool, Site
from shifter.domain.grid_event import GridEvent
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import Resilience
from shifter.domain.tenant import Tenant
from shifter.domain.workload import Workload
from tests.schedule.build import START, at, cycle_inputs, with_budgets, with_tenants

HOURS = 8


@st.composite
def sites(draw: st.DrawFn, name: str) -> Site:
    pools = tuple(
        Pool(
            f"p{i}",
            draw(st.sampled_from(["X", "Y"])),
            draw(st.integers(1, 12)),
            failure_domains=draw(st.sampled_from([1, 2, 4])),
            idle_kw=draw(st.sampled_from([0.0, 0.1])),
            busy_kw=draw(st.sampled_from([0.5, 1.0])),
            off_kw=draw(st.sampled_from([None, None, 0.0])),
        )
        for i in range(draw(st.integers(1, 2)))
    )
    full = sum(p.count * p.busy_kw for p in pools)
    battery = Battery(full, full / 3, 0.9, 0.95, initial_kwh=full / 2, wear_cost_per_kwh=0.01)
    return Site(
        name,
        draw(st.sampled_from(["Z", "Y"])),
        pools,
        jurisdiction=draw(st.sampled_from(["DE", "FR", None])),
        pue=draw(st.sampled_from([1.0, 1.3])),
        power_limit_kw=draw(st.sampled_from([None, 0.8 * full, 1.5 * full])),
        demand_charge_per_kw=draw(st.sampled_from([0.0, 0.5])),
        battery=draw(st.sampled_from([None, battery])),
        **own_plant(draw, full),
        resilience=Resilience(0.99, draw(st.sampled_from([0, 1]))),
    )


def own_plant(draw: st.DrawFn, full_kw: float) -> dict[str, Any]:
    """Sometimes generation behind the meter, sometimes export."""
    given: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        given["ramp_limit_kw_per_minute"] = draw(st.floats(0.002, 0.05)) * full_kw
    if draw(st.integers(0, 2)) == 0:
        windows = (
            GenerationWindow(at(1), at(3.2), draw(st.floats(0, 2)) * full_kw),
            GenerationWindow(at(3.2), at(6), draw(st.floats(0, 0.5)) * full_kw),
        )
        given["generation"] = Generation(windows, draw(st.sampled_from([0.0, 0.06])))
    if draw(st.integers(0, 2)) == 0:
        given |= {
            "export_limit_kw": draw(st.sampled_from([0.3, 2.0])) * full_kw,
            "export_price_per_mwh": draw(st.sampled_from([0.0, 40.0, 500.0])),
        }
    return given


@st.composite
def workloads(draw: st.DrawFn, id: str, before: list[str]) -> Workload:
    start = draw(st.integers(0, 6 * 60)) if draw(st.booleans()) else 0
    end = start + draw(st.integers(20, HOURS * 60))
    over: dict[str, Any] = {
        "earliest_start": START + timedelta(minutes=start),
        "deadline": START + timedelta(minutes=end),
        "max_accelerators": draw(st.integers(1, 8)),
        "preemptible": draw(st.booleans()),
        "interruptible": draw(st.sampled_from([True, True, True, False])),
        "data_boundary": draw(st.sampled_from([None, None, ("DE",)])),
        "tenant": draw(st.sampled_from(["default", "A", "B"])),
    }
    if draw(st.booleans()):
        over |= {"model": "m", "tokens": draw(st.floats(1e4, 2e7))}
    else:
        over["accelerator_hours"] = draw(st.floats(0.05, 30))
    if before and draw(st.integers(0, 4)) == 0:
        over["depends_on"] = (draw(st.sampled_from(before)),)
    return Workload(id, **over)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    start = draw(st.floats(-2, HOURS - 1))
    return Budget(
        draw(st.sampled_from(["carbon_kg", "money"])),
        draw(st.floats(0, 12)),
        at(start),
        at(start + draw(st.floats(0.5, HOURS))),
        draw(st.sampled_from([None, ("a",)])),
    )


@st.composite
def tenants(draw: st.DrawFn) -> tuple[Tenant, ...]:
    """Sometimes a weight, sometimes a quota of all accelerators or of some, hard or at a price."""
    return tuple(
        Tenant(
            name,
            draw(st.sampled_from([1.0, 3.0])),
            draw(st.floats(0, 8)),
            draw(st.sampled_from([None, None, ("X",)])),
            draw(st.sampled_from([None, None, 0.0, 0.05, 20.0])),
        )
        if draw(st.booleans())
        else Tenant(name, draw(st.floats(0.1, 5)))
        for name in ("A", "B")[: draw(st.integers(0, 2))]
    )


@st.composite
def cases(draw: st.DrawFn) -> CycleInputs:
    fleet = [draw(sites(name)) for name in ("a", "b")[: draw(st.integers(1, 2))]]
    jobs: list[Workload] = []
    for i in range(draw(st.integers(0, 10))):
        jobs.append(draw(workloads(f"w{i}", [j.id for j in jobs])))
    slot_minutes = draw(st.sampled_from([15, 30, 60]))
    n = HOURS * 60 // slot_minutes
    numbers = st.lists(st.floats(-50, 300), min_size=n, max_size=n)
    load = {
        (s.name, p.name): {0.5: share * p.count, 0.99: min(1.5, 2 * share) * p.count}
        for s in fleet
        for p in s.pools
        for share in [draw(st.sampled_from([0.0, 0.2, 0.6]))]
    }
    model = Model(
        "m",
        {"X": 1000.0, "Y": 300.0},
        draw(st.sampled_from([{}, {"X": 2}])),
        draw(st.sampled_from([0.0, 6.0])),
    )
    limits = [GridEvent("e", "a", at(3), at(5), draw(st.floats(0, 8)))] if draw(st.booleans()) else []
    inputs = cycle_inputs(
        jobs,
        sites=fleet,
        models=[model],
        prices={"Z": draw(numbers), "Y": draw(numbers)},
        carbon_price=draw(st.sampled_from([0.0, 100.0])),
        load=load,
        slot_minutes=slot_minutes,
        hours=HOURS,
        now=START + timedelta(minutes=draw(st.sampled_from([0, 7]))),
        events=limits,
    )
    inputs = with_budgets(inputs, *draw(st.lists(budgets(), max_size=2)))
    return with_tenants(inputs, *draw(tenants()), fairness=draw(st.sampled_from([0.0, 0.0, 0.5, 100.0])))


@given(cases())
@settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a plan takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_plan_keeps_the_contract(inputs: CycleInputs) -> None:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    planned = {a.workload_id for a in plan.allocations}
    short = {u.workload_id for u in plan.unplaced}
    for submission in inputs.submissions:
        deadline = submission.workload.deadline
        assert deadline is not None
        if submission.workload.id not in planned and deadline <= plan.horizon.end:
            assert submission.workload.id in short
    for late in plan.unplaced:
        assert late.reason
        deadline = next(s.workload.deadline for s in inputs.submissions if s.workload.id == late.workload_id)
        if late.earliest_feasible_deadline is not None and deadline is not None:
            assert late.earliest_feasible_deadline > START
    assert plan_cycle(inputs).to_json() == plan.to_json()


@given(cases())
@settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_plan_that_is_too_large_to_be_solved_exactly_keeps_it_too(inputs: CycleInputs) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "EXACT_COLUMNS", 0)
        plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
