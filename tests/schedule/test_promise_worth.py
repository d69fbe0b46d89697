"""What a site's own promises cost by the plan's prices, against plans in which they are not made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.fleet import Pool
from shifter.domain.plant import Battery, Ups
from shifter.domain.resilience import FailoverGroup, Resilience
from shifter.domain.value import PromiseWorth
from shifter.schedule.storage_worth import floor_cost
from shifter.schedule.value import fleet_worth
from tests.schedule.build import cycle_inputs, site, work

TOLERANCE = 2e-5
"""[currency] Of work counted as done to 1e-4 of it."""
CHEAP_FIRST = [10.0, 100.0, 100.0, 100.0]
LOAD = {("a", "p"): {0.5: 2.0, 0.99: 4.0}}
POOL = Pool("p", "X", 10, failure_domains=5)


def case(*, preemptible: bool, **here: Any) -> CycleInputs:
    """Ten accelerators of 1 kW, of which real-time load takes four, and more work than one cheap hour has room for."""
    jobs = [work("w", 10, 4, max_accelerators=20, preemptible=preemptible)]
    sites = [site(**{"pools": (POOL,), **here})]
    return cycle_inputs(jobs, sites=sites, prices=CHEAP_FIRST, hours=4, load=LOAD)


def with_resilience(inputs: CycleInputs, **changed: Any) -> CycleInputs:
    [here] = inputs.fleet.sites
    here = replace(here, resilience=replace(here.resilience, **changed))
    return replace(inputs, fleet=replace(inputs.fleet, sites=(here,)))


def more_than_fits() -> tuple[Submission, ...]:
    late = [work(f"late{i}", 30, 4, max_accelerators=20, preemptible=False) for i in range(2)]
    return cycle_inputs(late, hours=4).submissions


def told(inputs: CycleInputs) -> dict[str, PromiseWorth]:
    [here] = fleet_worth(plan_cycle(inputs), inputs.fleet).sites
    return {one.kind: one for one in here.promises}


def saved(inputs: CycleInputs, **changed: Any) -> float:
    """What the best plan without a promise saves."""
    return plan_cycle(inputs).minimised - plan_cycle(with_resilience(inputs, **changed)).minimised


def test_surviving_a_domain_costs_the_cheap_hour_that_firm_work_has_no_room_in() -> None:
    inputs = case(preemptible=False, resilience=Resilience(lose_domains=1))
    [one] = told(inputs).values()
    assert one.kind == "domains"
    assert one.horizon == pytest.approx(0.09, abs=1e-4)  # a margin of one: 1 kWh at 100, not at 10
    assert one.horizon == pytest.approx(saved(inputs, lose_domains=0), abs=1e-4)
    assert one.per_day == pytest.approx(6 * 0.09, abs=1e-3)
    assert one.text == "surviving the loss of 1 failure domain of each pool at a costs at most 0.54 EUR a day"


def test_where_work_may_stand_in_the_margin_it_costs_nothing_and_idle_it_does() -> None:
    shared = case(preemptible=True, resilience=Resilience(lose_domains=1))
    assert told(shared)["domains"].text.endswith("at a costs nothing")
    assert set(told(shared)) == {"domains"}
    idle = case(preemptible=True, resilience=Resilience(lose_domains=1, mode="strict"))
    assert list(told(idle)) == ["domains", "strict"]
    for one in told(idle).values():  # each taken away alone frees the same margin
        assert one.horizon == pytest.approx(0.09, abs=1e-4)
    assert saved(idle, mode="shared") == pytest.approx(0.09, abs=1e-4)
    assert told(idle)["strict"].text == "keeping what is reserved at a idle costs at most 0.54 EUR a day"


def test_where_work_is_late_for_want_of_room_it_is_not_said_to_cost_nothing() -> None:
    inputs = case(preemptible=False, resilience=Resilience(lose_domains=1))
    [one] = told(replace(inputs, submissions=(*inputs.submissions, *more_than_fits()))).values()
    assert one.text.endswith(", and late work could use some of what it holds")
    assert "costs nothing" not in one.text


def test_a_ride_through_costs_what_the_battery_may_not_give_for_it() -> None:
    battery = Battery(4, 4, 1.0, 1.0, initial_kwh=4, wear_cost_per_kwh=0.001)
    inputs = case(
        preemptible=True, battery=battery, resilience=Resilience(ride_through_minutes=30), power_limit_kw=20.0
    )
    [one] = told(inputs).values()
    assert one.kind == "ride_through"
    assert one.horizon is not None
    assert one.horizon >= saved(inputs, ride_through_minutes=0) - TOLERANCE
    by_ups = case(
        preemptible=True, ups=Ups(energy_kwh=9, power_kw=9), resilience=Resilience(ride_through_minutes=30)
    )
    assert told(by_ups)["ride_through"].text.endswith("for 30 minutes without the grid costs nothing")


def test_a_floor_costs_a_battery_the_cycles_that_it_may_not_run() -> None:
    battery = Battery(4, 4, 1.0, 1.0, initial_kwh=4)
    per_kw = np.array([0.10, 0.01])  # by the hour: all of it out in the dear one, and back in the cheap one
    assert floor_cost(battery, per_kw, np.array([0.0, 0.0]), 1.0) == pytest.approx(0.0)
    assert floor_cost(battery, per_kw, np.array([0.0, 3.0]), 1.0) == pytest.approx(3 * 0.09)
    assert (
        floor_cost(replace(battery, power_kw=0.1, initial_kwh=0), per_kw, np.array([0.0, 3.0]), 1.0) is None
    )


def test_where_groups_take_over_the_plan_says_what_each_promise_costs() -> None:
    sites = [
        site(name, pools=(replace(POOL, count=20),), resilience=Resilience(lose_domains=1))
        for name in ("a", "b")
    ]
    inputs = cycle_inputs([work("w", 1, 4)], sites=sites, hours=4, load=LOAD)
    inputs = replace(inputs, fleet=replace(inputs.fleet, failover_groups=(FailoverGroup("g", ("a", "b")),)))
    plan = plan_cycle(inputs)
    assert plan.resilience is not None
    assert [one.promises for one in fleet_worth(plan, inputs.fleet).sites] == [(), ()]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=3)
def test_no_plan_without_a_promise_saves_more_than_the_figure_and_what_the_plan_is_above_its_bound(
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    here = site(
        pools=(POOL, Pool("q", "Y", 6, failure_domains=3, idle_kw=0.1, busy_kw=0.5)),
        power_limit_kw=float(draw.uniform(8, 12)),
        demand_charge_per_kw=float(draw.choice([0.0, 0.2])),
        battery=Battery(6, 3, 0.9, 0.9, initial_kwh=3, wear_cost_per_kwh=0.001),
        resilience=Resilience(
            lose_domains=1,
            ride_through_minutes=float(draw.choice([10, 25])),
            mode="strict" if draw.random() < 0.5 else "shared",
        ),
    )
    jobs = []
    for i in range(6):
        hours, due = float(draw.integers(2, 6)), int(draw.integers(7, 13))
        jobs.append(work(f"w{i}", hours, due, max_accelerators=4, preemptible=bool(draw.random() < 0.5)))
    inputs = cycle_inputs(
        jobs, sites=[here], prices=draw.uniform(-20, 160, 12).tolist(), hours=12, load=LOAD, carbon_price=50
    )
    plan = plan_cycle(inputs)
    worth = fleet_worth(plan, inputs.fleet)
    if plan.unplaced:  # the plan without a promise may do more work
        return
    without: dict[str, dict[str, Any]] = {
        "domains": {"lose_domains": 0},
        "ride_through": {"ride_through_minutes": 0},
        "strict": {"mode": "shared"},
    }
    [found] = worth.sites
    for one in found.promises:
        assert one.horizon is not None
        gained = plan.minimised - plan_cycle(with_resilience(inputs, **without[one.kind])).minimised
        assert gained <= one.horizon + worth.above_bound + TOLERANCE
