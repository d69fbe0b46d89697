"""What one more is worth, against plans that have one more: never less than they gain, and near where it should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.series import Signal
from shifter.cycle import CycleInputs, deferrable, plan_cycle
from shifter.domain.effort import Effort
from shifter.domain.fleet import Budget, Model, Objective, Pool
from shifter.domain.plan import GREEDY, Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import Maintenance, Resilience
from shifter.domain.rows import Allocation
from shifter.domain.tenant import Tenant
from shifter.domain.value import FleetWorth, Slack
from shifter.schedule.slack import most_worth_first, worth_of_slack
from shifter.schedule.storage_worth import kwh_worth, new_kwh_worth
from shifter.schedule.value import NOT_SOLVED, fleet_worth, only_site
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work
from tests.schedule.risky import risky

TOLERANCE = 2e-5
"""[currency] Of work counted as done to 1e-4 of it."""


def worth(inputs: CycleInputs, plan: Plan) -> FleetWorth:
    return fleet_worth(plan, inputs.fleet)


def slack(inputs: CycleInputs, plan: Plan) -> dict[str, Slack]:
    rows = worth_of_slack(plan, inputs.fleet, deferrable(inputs.classified))
    return {row.workload_id: row for row in rows}


def with_first_site(inputs: CycleInputs, **changed: Any) -> CycleInputs:
    first, *others = inputs.fleet.sites
    return replace(inputs, fleet=replace(inputs.fleet, sites=(replace(first, **changed), *others)))


def with_more(inputs: CycleInputs, pool: int, more: int = 1) -> CycleInputs:
    pools = list(inputs.fleet.sites[0].pools)
    pools[pool] = replace(pools[pool], count=pools[pool].count + more)
    return with_first_site(inputs, pools=tuple(pools))


def test_what_is_switched_off_for_maintenance_is_not_over_the_limit() -> None:
    """10 idle ones of 1 kW would be over 7 kW: 5 of them are off, and there is room for work."""
    away = Maintenance(at(0), at(4), 5, powered=False)
    near = site(
        "a", power_limit_kw=7.0, pools=(Pool("p", "X", 10, idle_kw=1.0, busy_kw=2.0, maintenance=(away,)),)
    )
    far = site("d", zone="V", pools=(Pool("p", "X", 10, idle_kw=0.0, busy_kw=2.0),))
    load = {("a", "p"): {0.5: 1.0, 0.99: 1.0}}
    prices = {"Z": [10.0] * 4, "V": [200.0] * 4}
    inputs = cycle_inputs([work("w", 20, 4)], sites=[near, far], prices=prices, load=load, hours=4)
    plan = plan_cycle(inputs)
    found = worth(inputs, plan)
    with_more_kw = plan_cycle(with_first_site(inputs, power_limit_kw=8.0))
    assert not [said for said in found.notes if "over the power limit" in said]
    kw = found.sites[0].kw
    assert kw is not None
    assert kw.horizon >= plan.minimised - with_more_kw.minimised - TOLERANCE > 1.0


def later(inputs: CycleInputs, index: int, hours: float) -> CycleInputs:
    submissions = list(inputs.submissions)
    one = submissions[index]
    assert one.workload.deadline is not None
    deadline = one.workload.deadline + timedelta(hours=hours)
    submissions[index] = replace(one, workload=replace(one.workload, deadline=deadline))
    return replace(inputs, submissions=tuple(submissions))


def gained(before: Plan, inputs: CycleInputs) -> float:
    """What the best plan found with one more saves."""
    return before.minimised - plan_cycle(inputs).minimised


def random_case(seed: int) -> CycleInputs:
    """Two pools that are short of room, a battery, a demand charge, a limit that binds now and then."""
    draw = np.random.default_rng(seed)
    pools = (
        Pool("p", "X", int(draw.integers(4, 8)), idle_kw=0.1, busy_kw=1.0),
        Pool("q", "Y", 3, failure_domains=3, busy_kw=0.5),
    )
    here = site(
        pools=pools,
        power_limit_kw=float(draw.uniform(4, 7)),
        demand_charge_per_kw=float(draw.choice([0.0, 0.2])),
        peak_so_far_kw=float(draw.uniform(0, 3)),
        battery=Battery(4, 2, 0.9, 0.9, initial_kwh=1, wear_cost_per_kwh=0.001),
        resilience=Resilience(quantile=0.99, lose_domains=1),
    )
    jobs = []
    for i in range(6):
        hours, due = float(draw.integers(2, 6)), int(draw.integers(7, 13))
        jobs.append(work(f"w{i}", hours, due, max_accelerators=4, preemptible=bool(draw.random() < 0.5)))
    prices = draw.uniform(-20, 160, 12).tolist()
    return cycle_inputs(
        jobs, sites=[here], prices=prices, hours=12, load={("a", "q"): {0.5: 0.4, 0.99: 0.9}}, carbon_price=50
    )


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=2)
def test_no_plan_with_one_more_gains_more_than_the_figure_and_what_the_plan_is_above_its_bound(
    seed: int,
) -> None:
    inputs = random_case(seed)
    plan = plan_cycle(inputs)
    told, here = worth(inputs, plan), inputs.fleet.sites[0]
    found = told.sites[0]
    assert here.battery is not None
    assert here.power_limit_kw is not None
    assert found.kw is not None
    assert found.battery is not None
    wider = replace(here.battery, energy_kwh=here.battery.energy_kwh + 1)
    pairs = [
        (found.kw, with_first_site(inputs, power_limit_kw=here.power_limit_kw + 1)),
        (found.battery, with_first_site(inputs, battery=wider)),
        (found.pools[0].accelerator, with_more(inputs, 0)),
    ]
    if found.peak is not None:
        pairs.append((found.peak, with_first_site(inputs, peak_so_far_kw=here.peak_so_far_kw + 1)))
    if not plan.unplaced:  # else the plan with one more does more work
        for one, more in pairs:
            assert gained(plan, more) <= one.horizon + told.above_bound + TOLERANCE
            assert sum(one.values) == pytest.approx(one.horizon, abs=1e-6)
    answers = slack(inputs, plan)
    index = seed % len(inputs.submissions)
    mine = answers[inputs.submissions[index].workload.id]
    if not plan.unplaced:
        assert mine.hour_later_saves is not None
        assert mine.deadline_costs is not None
        assert mine.deadline_costs >= mine.hour_later_saves - 1e-9 >= -1e-9
        saved = gained(plan, later(inputs, index, 1))
        assert saved <= mine.hour_later_saves + told.above_bound + TOLERANCE
        assert saved <= mine.deadline_costs + told.above_bound + TOLERANCE


CHEAP_FIRST = [10.0, 100.0, 100.0, 100.0]


def tight(**over: Any) -> CycleInputs:
    """Ten accelerators of 1 kW; 16 hours of work, of which 10 find room in the one cheap hour."""
    return cycle_inputs(
        [work("w", 16, 4, max_accelerators=20)], sites=[site(**over)], prices=CHEAP_FIRST, hours=4
    )


def test_an_accelerator_is_worth_what_it_moves_into_the_cheap_hour() -> None:
    inputs = tight()
    plan = plan_cycle(inputs)
    told = worth(inputs, plan)
    one = told.sites[0].pools[0].accelerator
    assert one.horizon == pytest.approx(0.09, abs=1e-4)  # 1 kWh at 100 becomes 1 kWh at 10
    assert one.horizon == pytest.approx(gained(plan, with_more(inputs, 0)), abs=1e-4)
    assert one.per_day == pytest.approx(6 * one.horizon, abs=1e-8)
    assert one.bound_hours == 1
    assert [(b.start, b.end) for b in one.binds] == [(at(0), at(1))]
    assert one.values == pytest.approx([0.09, 0, 0, 0], abs=1e-4)


def test_its_own_idle_draw_is_taken_off() -> None:
    pool = Pool("p", "X", 10, idle_kw=0.2, busy_kw=1.2)
    inputs = tight(pools=(pool,))
    plan = plan_cycle(inputs)
    told = worth(inputs, plan).sites[0].pools[0].accelerator
    assert told.horizon == pytest.approx(0.09 - 0.2 * sum(CHEAP_FIRST) / 1000, abs=1e-4)
    assert told.horizon == pytest.approx(gained(plan, with_more(inputs, 0)), abs=1e-4)


def test_an_idle_accelerator_that_nobody_needs_costs_its_owner_money_and_is_no_step() -> None:
    inputs = cycle_inputs([work("w", 1, 4)], sites=[site(pools=(Pool("p", "X", 10, idle_kw=0.2),))], hours=4)
    told = worth(inputs, plan_cycle(inputs))
    assert told.sites[0].pools[0].accelerator.horizon == pytest.approx(-0.2 * 4 * 0.05)
    assert told.energise_next == ()


def test_a_kw_is_worth_what_it_moves_into_the_cheap_hour_and_where_it_is_worth_most_comes_first() -> None:
    inputs = tight(power_limit_kw=6.0)
    inputs = replace(inputs, fleet=replace(inputs.fleet, sites=(*inputs.fleet.sites, site("b", zone="Y"))))
    frame = cycle_inputs([], sites=inputs.fleet.sites, prices={"Z": CHEAP_FIRST, "Y": [200.0] * 4}, hours=4)
    inputs = replace(frame, submissions=inputs.submissions)
    plan = plan_cycle(inputs)
    told = worth(inputs, plan)
    assert told.sites[0].kw is not None
    assert told.sites[0].kw.horizon == pytest.approx(0.09, abs=1e-4)
    assert gained(plan, with_first_site(inputs, power_limit_kw=7.0)) == pytest.approx(0.09, abs=1e-4)
    assert told.sites[1].kw is None
    assert [(step.site, step.kind, step.amount) for step in told.energise_next] == [("a", "power", 100.0)]
    assert told.energise_next[0].per_day == pytest.approx(100 * 6 * 0.09, rel=1e-3)
    assert only_site(told, "b").energise_next == ()
    assert [one.site for one in only_site(told, "b").sites] == ["b"]


def test_the_peak_is_worth_its_demand_charge_at_most_and_no_charge_has_none() -> None:
    inputs = tight(demand_charge_per_kw=0.05)
    told = worth(inputs, plan_cycle(inputs)).sites[0]
    assert told.peak is not None
    assert told.peak.horizon == pytest.approx(0.05, abs=1e-6)
    assert worth(tight(), plan_cycle(tight())).sites[0].peak is None


def test_what_is_held_back_is_worth_what_work_would_make_of_it() -> None:
    load = {("a", "p"): {0.5: 2.0, 0.99: 4.0}}
    jobs = [work("w", 10, 4, max_accelerators=20, preemptible=False)]
    pool = Pool("p", "X", 10, failure_domains=5)
    here = site(pools=(pool,), resilience=Resilience(quantile=0.99, lose_domains=1))
    inputs = cycle_inputs(jobs, sites=[here], prices=CHEAP_FIRST, hours=4, load=load)
    plan = plan_cycle(inputs)
    held = worth(inputs, plan).sites[0].pools[0].held_back
    assert held.horizon == pytest.approx(0.09, abs=1e-4)  # the margin of one is used by nothing that is firm
    # Without a loss to survive there is no margin: the accelerator is then one that real-time load does not need.
    bare = with_first_site(inputs, resilience=Resilience(quantile=0.99))
    told = worth(bare, plan_cycle(bare)).sites[0].pools[0].held_back
    assert told.horizon == pytest.approx(0.09, abs=1e-4)


def test_where_real_time_load_fills_the_pool_one_more_is_its_own() -> None:
    load = {("a", "p"): {0.5: 5.0, 0.99: 12.0}}
    inputs = cycle_inputs([work("w", 1, 4)], hours=4, load=load)
    found = worth(inputs, plan_cycle(inputs)).sites[0].pools[0]
    assert found.accelerator.horizon == 0.0
    assert found.held_back.horizon == 0.0


def test_where_real_time_load_alone_is_over_the_limit_a_kw_is_no_saving() -> None:
    load = {("a", "p"): {0.5: 5.0, 0.99: 6.0}}
    inputs = cycle_inputs([work("w", 1, 4)], sites=[site(power_limit_kw=3.0)], hours=4, load=load)
    told = worth(inputs, plan_cycle(inputs))
    [found] = told.sites
    assert found.kw is not None
    assert found.kw.horizon == 0.0
    assert "a: in 4 slots what runs anyway is over the power limit" in " ".join(told.notes)
    # What the limit gives way at is in no other figure either.
    assert found.battery is not None
    assert abs(found.battery.horizon) < 1
    idle = with_first_site(inputs, pools=(Pool("p", "X", 10, idle_kw=0.5, busy_kw=1.0),))
    unneeded = worth(idle, plan_cycle(idle)).sites[0].pools[0].accelerator
    assert unneeded.horizon == pytest.approx(-0.5 * 4 * 0.05)


def test_what_the_site_s_own_plant_carries_is_not_over_the_limit() -> None:
    load = {("a", "p"): {0.5: 5.0, 0.99: 6.0}}
    given_sites = [site(power_limit_kw=5.0, generation=Generation((GenerationWindow(at(0), at(4), 3.0),)))]
    inputs = cycle_inputs([work("w", 7, 4)], sites=given_sites, prices=CHEAP_FIRST, hours=4, load=load)
    told = worth(inputs, plan_cycle(inputs))
    assert told.notes == ()
    assert told.sites[0].kw is not None
    assert told.sites[0].kw.horizon > 0


def test_running_work_that_may_not_be_moved_counts_as_what_runs_anyway() -> None:
    job = work("w", 40, 4, interruptible=False, preemptible=False)
    held = Allocation("w", "a", "p", at(0), at(4), 10)
    inputs = cycle_inputs([job], sites=[site(power_limit_kw=6.0)], hours=4, now=at(0.5))
    inputs = replace(inputs, pinned=(held,))
    told = worth(inputs, plan_cycle(inputs))
    assert "a: in 4 slots what runs anyway is over the power limit" in " ".join(told.notes)
    assert told.sites[0].kw is not None
    assert told.sites[0].kw.horizon == 0.0


def test_a_pool_more_counts_what_is_left_of_it_by_real_time_load() -> None:
    load = {("a", "p"): {0.5: 5.0, 0.99: 12.0}}
    inputs = cycle_inputs([work("w", 30, 4, max_accelerators=20)], hours=4, load=load, prices=CHEAP_FIRST)
    beside = site("b", zone="Y")
    frame = cycle_inputs(
        [], sites=[*inputs.fleet.sites, beside], prices={"Z": CHEAP_FIRST, "Y": [200.0] * 4}, hours=4
    )
    inputs = replace(inputs, fleet=frame.fleet, frame=frame.frame)
    plan = plan_cycle(inputs)
    told = worth(inputs, plan)
    assert told.sites[0].pools[0].accelerator.horizon == 0.0
    saved = gained(plan, with_more(inputs, 0, 10))
    assert saved > 0.1
    step = next((step for step in told.energise_next if step.site == "a"), None)
    assert saved <= (0.0 if step is None else step.horizon) + told.above_bound + TOLERANCE


def test_late_work_is_told_in_hours_and_ranks_first() -> None:
    inputs = cycle_inputs([work("w", 60, 4, max_accelerators=20)], hours=8, prices=[50.0] * 8)
    plan = plan_cycle(inputs)
    told = worth(inputs, plan)
    assert plan.unplaced
    assert told.sites[0].pools[0].accelerator.late_accelerator_hours == pytest.approx(4.0, rel=0.01)
    assert told.energise_next[0].late_accelerator_hours == pytest.approx(40.0, rel=0.01)
    assert "20.0 accelerator-hours of work have no place in time" in told.notes[0]
    mine = slack(inputs, plan)["w"]
    assert mine.hour_later_saves is None
    assert "does not fit" in mine.text


def test_without_a_program_nothing_is_said() -> None:
    inputs = tight()
    plan = plan_cycle(inputs, Effort.GREEDY)
    assert plan.status == GREEDY
    told = worth(inputs, plan)
    assert told.sites == ()
    assert told.energise_next == ()
    assert told.notes == (NOT_SOLVED,)


def test_of_a_plan_of_another_fleet_what_both_know_is_said() -> None:
    inputs = tight()
    plan = plan_cycle(inputs)
    grown = replace(inputs.fleet, sites=(*inputs.fleet.sites, site("new", zone="Y")))
    assert [one.site for one in fleet_worth(plan, grown).sites] == ["a"]
    extra = Pool("fresh", "X", 4)
    wider = with_first_site(inputs, pools=(*inputs.fleet.sites[0].pools, extra)).fleet
    assert [one.pool for one in fleet_worth(plan, wider).sites[0].pools] == ["p"]
    other = replace(inputs.fleet, sites=(site("new", zone="Y"),))
    assert fleet_worth(plan, other).sites == ()
    [mine] = worth_of_slack(plan, other, deferrable(inputs.classified))
    assert mine.planned_cost == 0.0
    [same] = worth_of_slack(plan, inputs.fleet, deferrable(inputs.classified))
    for bigger in (grown, wider):
        assert worth_of_slack(plan, bigger, deferrable(inputs.classified)) == (same,)


def test_of_the_slot_that_is_running_what_is_left_counts() -> None:
    whole, half = tight(), replace(tight(), now=at(0.5))
    told, left = (worth(inputs, plan_cycle(inputs)).sites[0].pools[0].accelerator for inputs in (whole, half))
    assert left.horizon == pytest.approx(told.horizon / 2, abs=1e-4)
    assert left.bound_hours == 0.5


SUN = Generation((GenerationWindow(at(1), at(3), 4.0),), cost_per_kwh=0.01)


@pytest.mark.parametrize(
    "further",
    [
        {"generation": SUN},
        {"generation": SUN, "export_limit_kw": 3.0, "export_price_per_mwh": 8.0},
        {"pools": (Pool("p", "X", 10, idle_kw=0.3, off_kw=0.0),)},
        {"ramp_limit_kw_per_minute": 0.1},
    ],
    ids=["generation", "export", "powering down", "ramp"],
)
def test_where_further_terms_are_in_use_one_more_gains_no_more_either(further: dict[str, Any]) -> None:
    inputs = tight(power_limit_kw=8.0, **further)
    plan = plan_cycle(inputs)
    assert plan.duals.work
    told = worth(inputs, plan)
    [here] = told.sites
    assert here.kw is not None
    saved = gained(plan, with_first_site(inputs, power_limit_kw=9.0))
    assert saved <= here.kw.horizon + told.above_bound + TOLERANCE


def test_under_a_budget_and_under_risk_too() -> None:
    uncertain = risky(tight(), {("Z", Signal.PRICE): [5.0, 40.0, 80.0, 10.0]}, cvar_weight=0.7)
    for inputs in (with_budgets(tight(), Budget("money", 5.0, at(0), at(4))), uncertain):
        plan = plan_cycle(inputs)
        told = worth(inputs, plan)
        one = told.sites[0].pools[0].accelerator.horizon
        assert gained(plan, with_more(inputs, 0)) <= one + told.above_bound + TOLERANCE
        assert plan.duals.work or plan.risk is not None


# Batteries ---------------------------------------------------------------------------------------------------------


def test_a_kwh_of_battery_is_worth_its_best_cycles() -> None:
    prices = np.array([0.01, 0.2, 0.01, 0.2])
    battery = Battery(1, 10, 0.9, 0.9)
    each = 0.9 * 0.2 - 0.01 / 0.9
    found = kwh_worth(battery, prices, np.zeros(4), 1.0)
    assert found is not None
    assert found.sum() == pytest.approx(2 * each)
    assert found[[1, 3]] == pytest.approx(0.0)
    worn = kwh_worth(replace(battery, wear_cost_per_kwh=0.1), prices, np.zeros(4), 1.0)
    assert worn is not None
    assert worn.sum() == pytest.approx(2 * (each - 0.09))


def test_flat_prices_want_no_battery_and_what_cannot_be_filled_is_worth_nothing() -> None:
    assert new_kwh_worth(np.full(24, 0.1), 1.0).sum() == pytest.approx(0.0)
    slow = kwh_worth(Battery(100, 1), np.array([0.0, 1.0]), np.zeros(2), 1.0)
    assert slow is not None
    assert slow.sum() == pytest.approx(0.0)


def test_a_battery_that_cannot_hold_its_floor_has_no_figure_and_that_is_said() -> None:
    assert kwh_worth(Battery(2, 1), np.ones(2), np.array([0.0, 2.0]), 1.0) is None


def test_a_site_without_a_battery_is_told_what_a_supposed_one_would_bring() -> None:
    inputs = tight()
    found = worth(inputs, plan_cycle(inputs)).sites[0]
    assert found.new_battery
    assert found.battery is not None
    # Half a kW for the cheap hour, and its best use later at 100 a MWh; both ways lose 5 %.
    assert found.battery.horizon == pytest.approx(0.5 * (0.95 * 0.95 * 0.1 - 0.1), abs=0.05)
    assert found.battery.horizon >= 0


# Slack -------------------------------------------------------------------------------------------------------------


def test_an_hour_more_of_a_deadline_saves_what_the_next_hour_is_cheaper() -> None:
    inputs = cycle_inputs([work("w", 10, 2)], prices=[100.0, 100.0, 40.0, 10.0], hours=4)
    plan = plan_cycle(inputs)
    mine = slack(inputs, plan)["w"]
    assert mine.planned_cost == pytest.approx(1.0)
    assert mine.least_cost == pytest.approx(1.0)
    assert mine.hour_later_saves == pytest.approx(0.6)
    assert mine.deadline_costs == pytest.approx(0.9)
    assert gained(plan, later(inputs, 0, 1)) == pytest.approx(0.6, abs=1e-4)
    assert gained(plan, later(inputs, 0, 2)) == pytest.approx(0.9, abs=1e-4)
    assert mine.text == "w's deadline costs at most 0.90 EUR: an hour more saves at most 0.60 EUR."


def test_a_deadline_that_costs_nothing_says_so() -> None:
    inputs = cycle_inputs([work("w", 1, 2)], prices=[10.0, 100.0, 100.0, 100.0], hours=4)
    mine = slack(inputs, plan_cycle(inputs))["w"]
    assert mine.hour_later_saves == mine.deadline_costs == 0.0
    assert "costs nothing" in mine.text


def test_whose_slack_is_worth_most_comes_first_and_what_is_late_last() -> None:
    jobs = [work("small", 2, 2, max_accelerators=2), work("large", 8, 2), work("late", 900, 3)]
    inputs = cycle_inputs(jobs, prices=[100.0, 100.0, 40.0, 10.0], hours=4)
    rows = slack(inputs, plan_cycle(inputs)).values()
    assert [row.workload_id for row in most_worth_first(rows)] == ["large", "small", "late"]


def test_loads_replicas_quotas_and_firm_work_are_priced_as_the_bound_prices_them() -> None:
    model = Model("m", {"X": 1000.0}, accelerators_per_replica={"X": 2}, load_minutes=30)
    given_work = {"accelerator_hours": None, "model": "m", "tokens": 1000.0 * 3600 * 4}
    jobs = [
        work("w", 1, 2, tenant="t", preemptible=False, **given_work),
        work("v", 3, 2, tenant="t", max_accelerators=4),
    ]
    inputs = cycle_inputs(jobs, models=[model], prices=[-50.0, 100.0, 40.0, -10.0], hours=4)
    inputs = with_tenants(inputs, Tenant("t", quota_accelerators=5.0))
    plan = plan_cycle(inputs)
    told = worth(inputs, plan)
    for index, row in enumerate(slack(inputs, plan).values()):
        assert row.hour_later_saves is not None
        saved = gained(plan, later(inputs, index, 1))
        assert saved <= row.hour_later_saves + told.above_bound + TOLERANCE


def test_unknown_prices_are_what_the_plan_took_them_for() -> None:
    inputs = tight()
    plan = plan_cycle(inputs)
    rows = [replace(row, price_per_mwh=None) if i == 3 else row for i, row in enumerate(plan.power)]
    told = fleet_worth(replace(plan, power=tuple(rows)), replace(inputs.fleet, objective=Objective()))
    idle = told.sites[0].pools[0].accelerator
    assert all(np.isfinite(idle.values))
