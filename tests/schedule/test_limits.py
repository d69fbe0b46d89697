"""What one more of a limit would do for late work: as the prices say, so it is when planned again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.fleet import Budget, Model, Pool
from shifter.domain.plan import Plan
from shifter.domain.rows import LateLimit
from shifter.domain.tenant import Tenant
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work

PRICES = [40.0 + 30 * np.sin(h / 3) for h in range(24)]


def late_hours(plan: Plan) -> float:
    return sum(u.accelerator_hours for u in plan.unplaced)


def limit_of(plan: Plan, id: str, kind: str) -> LateLimit:
    (entry,) = (u for u in plan.unplaced if u.workload_id == id)
    (limit,) = (limit for limit in entry.limits if limit.kind == kind)
    return limit


def crowded(**over: Any) -> dict[str, Any]:
    """Jobs that may run all day, and need more than ten accelerators can do in it."""
    jobs = [work(f"w{i}", 40 + i, 24, max_accelerators=4 + i % 3) for i in range(8)]
    return {"workloads": jobs, "prices": PRICES, **over}


def inputs_of(case: dict[str, Any]) -> CycleInputs:
    return cycle_inputs(case.pop("workloads"), **case)


def test_one_more_accelerator() -> None:
    load = {("a", "p"): {0.5: 1.0, 0.99: 2.0}}
    plan = plan_cycle(inputs_of(crowded(load=load)))
    said = limit_of(plan, plan.unplaced[0].workload_id, "capacity")
    assert (said.site, said.pool) == ("a", "p")
    assert said.saves_accelerator_hours == pytest.approx(24, rel=0.1)
    wider = plan_cycle(inputs_of(crowded(load={("a", "p"): {0.5: 0.0, 0.99: 1.0}})))
    assert late_hours(plan) - late_hours(wider) == pytest.approx(said.saves_accelerator_hours, rel=0.1)


@pytest.mark.parametrize("more_kw", [0.25, 1.0])
def test_one_more_kilowatt(more_kw: float) -> None:
    plant = site(power_limit_kw=6.5, pools=(Pool("p", "X", 10, 1, 0.0, 0.8),))
    plan = plan_cycle(inputs_of(crowded(sites=[plant])))
    said = limit_of(plan, plan.unplaced[0].workload_id, "power")
    assert said.saves_accelerator_hours == pytest.approx(24 / 0.8, rel=0.1)
    assert "power limit" in plan.unplaced[0].reason
    wider = plan_cycle(inputs_of(crowded(sites=[replace(plant, power_limit_kw=6.5 + more_kw)])))
    gained = late_hours(plan) - late_hours(wider)
    assert gained == pytest.approx(more_kw * said.saves_accelerator_hours, rel=0.1)


def test_one_more_accelerator_outside_the_redundancy_margin() -> None:
    """Six of ten are reserved and two of them are free to work that may be preempted; firm work may not stand there."""
    plant = site(pools=(Pool("p", "X", 10, 5, 0.0, 1.0),))
    plant = replace(plant, resilience=replace(plant.resilience, lose_domains=1))
    jobs = [work(f"w{i}", 40, 24, preemptible=False) for i in range(4)]

    def planned(load: float) -> Plan:
        load_of = {("a", "p"): {0.5: load, 0.99: load}}
        return plan_cycle(cycle_inputs(jobs, sites=[plant], prices=PRICES, load=load_of))

    plan = planned(4.8)
    said = limit_of(plan, plan.unplaced[0].workload_id, "reserve")
    assert "may not be preempted" in plan.unplaced[0].reason
    assert late_hours(plan) - late_hours(planned(4.0)) == pytest.approx(said.saves_accelerator_hours, rel=0.1)


def test_one_more_hour_and_one_more_accelerator_at_a_time() -> None:
    def planned(deadline: float = 3, width: int = 4) -> Plan:
        jobs = [work("w", 40, deadline, max_accelerators=width), work("v", 10, 24)]
        return plan_cycle(cycle_inputs(jobs, prices=PRICES))

    plan = planned()
    kinds = [limit.kind for limit in plan.unplaced[0].limits]
    assert kinds == ["deadline", "max_accelerators"]
    for limit, again in zip(plan.unplaced[0].limits, (planned(deadline=4), planned(width=5)), strict=True):
        assert late_hours(plan) - late_hours(again) == pytest.approx(limit.saves_accelerator_hours, rel=0.02)


def test_one_more_of_a_budget() -> None:
    def planned(limit: float) -> Plan:
        case = cycle_inputs([work("w", 100, 24)], carbon=[300.0 + h for h in range(24)])
        grid = case.frame.grid
        return plan_cycle(with_budgets(case, Budget("carbon_kg", limit, grid.start, grid.end)))

    plan = planned(12.0)
    said = limit_of(plan, "w", "budget")
    assert said.name == "budgets[0]"
    assert late_hours(plan) - late_hours(planned(13.0)) == pytest.approx(
        said.saves_accelerator_hours, rel=0.05
    )


def test_an_hour_more_does_nothing_where_the_budget_is_used_up() -> None:
    jobs = [work("w", 80, 20), work("v", 40, 20)]
    case = cycle_inputs(jobs, prices=PRICES, carbon=[300.0 + 10 * (h % 7) for h in range(24)])
    plan = plan_cycle(with_budgets(case, Budget("carbon_kg", 5.0, at(0), at(24))))
    assert {limit.kind for limit in plan.unplaced[0].limits} == {"budget"}


@pytest.mark.parametrize(("hours", "width"), [(60, 10), (20, 4)])
def test_one_more_accelerator_of_a_quota(hours: float, width: int) -> None:
    """Two of the quota for four hours; the pool has ten, and an hour or an accelerator more only what the quota has."""

    def planned(quota: float = 2.0, deadline: float = 4.0, width: int = width) -> Plan:
        jobs = [work("w", hours, deadline, tenant="t", max_accelerators=width)]
        return plan_cycle(with_tenants(cycle_inputs(jobs), Tenant("t", quota_accelerators=quota)))

    plan = planned()
    assert {limit.kind for limit in plan.unplaced[0].limits} == {"quota", "deadline"}
    assert "quota of tenant t" in plan.unplaced[0].reason
    for kind, again in (("quota", planned(quota=3.0)), ("deadline", planned(deadline=5.0))):
        said = limit_of(plan, "w", kind)
        assert late_hours(plan) - late_hours(again) == pytest.approx(said.saves_accelerator_hours, rel=0.02)
    assert limit_of(plan, "w", "quota").name == "t"
    assert late_hours(planned(width=width + 1)) == late_hours(plan)
    assert "At 10 accelerators" in planned(quota=10.0).unplaced[0].reason if width == 10 else True


@pytest.mark.parametrize("fairness", [0.0, 0.1, 5.0, 50.0, 500.0])
@pytest.mark.parametrize("hours", [80, 73])
def test_one_more_accelerator_where_late_hours_cost_more_the_more_there_are(
    fairness: float, hours: float
) -> None:
    def planned(count: int) -> Plan:
        jobs = [work("w", hours, 4, tenant="t", max_accelerators=40), work("v", 30, 4, tenant="u")]
        case = cycle_inputs(jobs, sites=[site(pools=(Pool("p", "X", count, 1, 0.0, 1.0),))])
        return plan_cycle(with_tenants(case, Tenant("t", 2.0), Tenant("u"), fairness=fairness))

    plan = planned(10)
    gained = late_hours(plan) - late_hours(planned(11))
    assert limit_of(plan, "w", "capacity").saves_accelerator_hours == pytest.approx(gained, rel=0.03)


def test_an_hour_more_brings_no_more_than_there_is_room_for() -> None:
    def planned(deadline: float) -> Plan:
        return plan_cycle(cycle_inputs([work("w", 80, deadline, max_accelerators=40)]))

    plan = planned(4)
    said = limit_of(plan, "w", "deadline").saves_accelerator_hours
    assert said == pytest.approx(late_hours(plan) - late_hours(planned(5)), rel=0.02)


def test_one_more_kilowatt_from_slot_to_slot() -> None:
    """Up from nothing by 2 kW an hour from the fourth on, and down again until the eighth: 2, 4, 4, 2."""

    def planned(ramp_kw: float) -> Plan:
        plant = site(ramp_limit_kw_per_minute=ramp_kw / 60)
        return plan_cycle(cycle_inputs([work("w", 40, 8, earliest_start=at(4))], sites=[plant]))

    plan = planned(2.0)
    said = limit_of(plan, "w", "ramp")
    assert said.site == "a"
    gained = late_hours(plan) - late_hours(planned(2.5))
    assert gained == pytest.approx(0.5 * said.saves_accelerator_hours, rel=0.02)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0))
@example(33433, 0.5)
@settings(deadline=None, max_examples=15)
def test_no_more_is_gained_than_said_and_never_less_than_nothing(seed: int, more_kw: float) -> None:
    """What can be done is concave in a limit: its price is the most that more of it could bring.

    Where one more kW brings all that is late, a part of it may.
    """
    rng = np.random.default_rng(seed)
    jobs = [
        work(
            f"w{i}", float(rng.uniform(2, 30)), 24, max_accelerators=int(rng.integers(1, 6)),
            preemptible=bool(rng.integers(2)), accelerators=(("X",), ("Y",), ("X", "Y"))[rng.integers(3)],
        )
        for i in range(12)
    ]  # fmt: skip
    pools = (Pool("p", "X", 6, 1, 0.0, 1.0), Pool("q", "Y", 4, 1, 0.1, 0.6))
    limit_kw = float(rng.uniform(3, 8))
    plant = site(pools=pools, power_limit_kw=limit_kw)
    prices = rng.uniform(-10, 90, 24).tolist()
    plan = plan_cycle(cycle_inputs(jobs, sites=[plant], prices=prices))
    limits = [limit for u in plan.unplaced for limit in u.limits if limit.kind == "power"]
    assume(limits)
    wider = replace(plant, power_limit_kw=limit_kw + more_kw)
    gained = late_hours(plan) - late_hours(plan_cycle(cycle_inputs(jobs, sites=[wider], prices=prices)))
    saves = limits[0].saves_accelerator_hours
    kws = more_kw if saves < 0.999 * late_hours(plan) else max(1.0, more_kw)
    assert -1e-3 <= gained <= 1.12 * kws * saves + 1e-3


def test_work_that_waits_and_work_that_only_its_shape_keeps_out_have_none() -> None:
    jobs = [work("first", 100, 4), work("then", 10, 8, depends_on=("first",))]
    plan = plan_cycle(cycle_inputs(jobs))
    assert plan.unplaced[0].limits
    assert plan.unplaced[1].limits == ()
    # Ten accelerators: 3 + 3 + 3 leave one, and work in replicas of four finds no room that is in no fraction's way.
    model = Model("m", {"X": 1000.0}, accelerators_per_replica={"X": 4})
    whole = [work(f"w{i}", 6, 2, interruptible=False, max_accelerators=3) for i in range(3)]
    odd = work("odd", 0, 2, accelerator_hours=None, model="m", tokens=1000.0 * 3600 * 2, max_accelerators=4)
    plan = plan_cycle(cycle_inputs([*whole, odd], models=[model]))
    assert [(u.workload_id, u.limits) for u in plan.unplaced] == [("odd", ())]


def test_what_is_said_is_in_the_plan_and_comes_back_from_it() -> None:
    plan = plan_cycle(inputs_of(crowded()))
    assert Plan.from_dict(plan.to_dict()) == plan
    assert "one more accelerator of a/p" in plan.to_json().lower()
    easy = plan_cycle(cycle_inputs([work("w", 5, 24)]))
    assert "limits" not in easy.to_json()
