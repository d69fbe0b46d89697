"""What a plan does, on cases small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Model, Pool, PowerWindow
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from shifter.errors import SolverFailed
from shifter.schedule import schedule as scheduling
from shifter.schedule import solve as solving
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.solvers import answer_with, without_solvers

CHEAP_AT_NIGHT = [10.0] * 6 + [100.0] * 12 + [20.0] * 6


def slots_used(plan: Plan) -> set[int]:
    """The slots in which anything deferrable runs."""
    first = plan.horizon.start
    return {round((r.start - first) / timedelta(hours=1)) for r in plan.slots if r.deferrable > 1e-9}


def test_work_goes_to_the_cheapest_slots_and_the_bill_is_theirs() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 24)], prices=CHEAP_AT_NIGHT))
    assert slots_used(plan) <= set(range(6))
    assert plan.cost.energy == pytest.approx(20 * 10 / 1000)
    assert plan.lower_bound == pytest.approx(plan.cost.total)
    assert plan.unplaced == ()


def test_a_carbon_price_moves_work_to_cleaner_dearer_slots() -> None:
    prices, carbon = [10.0] * 12 + [20.0] * 12, [500.0] * 12 + [100.0] * 12
    by_price = plan_cycle(cycle_inputs([work("w", 20, 24)], prices=prices, carbon=carbon))
    by_carbon = plan_cycle(cycle_inputs([work("w", 20, 24)], prices=prices, carbon=carbon, carbon_price=100))
    assert max(slots_used(by_price)) < 12 <= min(slots_used(by_carbon))
    assert by_carbon.cost.carbon == pytest.approx(20 * 0.1 / 1000 * 100)


def test_negative_prices_attract_work_and_lower_the_bill() -> None:
    prices = [50.0] * 10 + [-40.0] * 2 + [50.0] * 12
    plan = plan_cycle(cycle_inputs([work("w", 15, 24)], prices=prices))
    assert slots_used(plan) == {10, 11}
    assert plan.cost.energy == pytest.approx(-15 * 40 / 1000)


def test_only_preemptible_work_stands_in_the_redundancy_margin_and_nothing_in_the_quantile() -> None:
    sites = [
        site(pools=(Pool("p", "X", 10, failure_domains=5, busy_kw=1.0),), resilience=Resilience(0.99, 1))
    ]
    load = {("a", "p"): {0.5: 2.0, 0.99: 4.0}}  # reserved = 4 / (1 - 1/5) = 5
    firm = plan_cycle(cycle_inputs([work("w", 240, 24, preemptible=False)], sites=sites, load=load))
    soft = plan_cycle(cycle_inputs([work("w", 240, 24)], sites=sites, load=load))
    assert {r.deferrable for r in firm.slots} == {5.0}
    assert {r.deferrable for r in soft.slots} == {6.0}
    assert {r.reserved for r in soft.slots} == {5.0}


def test_a_curtailment_notice_and_a_grid_event_bind_with_real_time_load_at_its_quantile() -> None:
    notice = PowerWindow(at(2), at(4), 6.0)
    event = GridEvent("e", "a", at(8), at(9), 0.5)
    sites = [site(power_limit_kw=9.0, power_limits=(notice,))]
    load = {("a", "p"): {0.5: 1.0, 0.99: 2.0}}
    plan = plan_cycle(cycle_inputs([work("w", 300, 24)], sites=sites, load=load, events=[event]))
    used = [r.deferrable for r in plan.slots]
    assert used[:5] == [7.0, 7.0, 4.0, 4.0, 7.0]
    assert used[8] == 0.0  # real-time load alone exceeds it
    assert any("real-time load alone exceeds" in w for w in plan.warnings)


def test_a_demand_charge_flattens_the_peak_down_to_the_one_already_paid_for() -> None:
    dear = [site(demand_charge_per_kw=20.0, peak_so_far_kw=3.0)]
    plan = plan_cycle(cycle_inputs([work("w", 72, 24)], sites=dear, prices=CHEAP_AT_NIGHT))
    assert max(r.import_kw for r in plan.power) == pytest.approx(3.0)
    assert plan.cost.demand_charge == pytest.approx(0.0, abs=1e-6)


def test_a_battery_buys_low_and_carries_the_load_at_the_peak() -> None:
    battery = Battery(10, 5, 1.0, 1.0, initial_kwh=0, wear_cost_per_kwh=0.001)
    load = {("a", "p"): {0.5: 2.0, 0.99: 2.0}}
    plan = plan_cycle(cycle_inputs([], sites=[site(battery=battery)], prices=CHEAP_AT_NIGHT, load=load))
    charged = sum(r.charge_kw for r in plan.power[:6])
    discharged = sum(r.discharge_kw for r in plan.power[6:18])
    assert charged == pytest.approx(10)
    assert discharged == pytest.approx(10)
    assert plan.cost.battery_wear == pytest.approx(0.01)
    assert min(r.import_kw for r in plan.power) >= -1e-9


def test_boundaries_sites_and_models_decide_where_work_may_run() -> None:
    pools = (Pool("p", "X", 10, busy_kw=1.0),)
    sites = [site("de", zone="D", pools=pools), site("fr", zone="F", jurisdiction="FR", pools=pools)]
    prices = {"D": [90.0] * 24, "F": [10.0] * 24}
    plan = plan_cycle(
        cycle_inputs(
            [
                work("free", 10, 24),
                work("german", 10, 24, data_boundary=("DE",)),
                work("here", 5, 24, sites=("de",)),
            ],
            sites=sites,
            prices=prices,
        )
    )
    assert {(a.workload_id, a.site) for a in plan.allocations} == {
        ("free", "fr"),
        ("german", "de"),
        ("here", "de"),
    }


def test_a_slower_cheaper_pool_is_used_only_when_its_work_is_cheaper() -> None:
    pools = (Pool("fast", "F", 4, busy_kw=1.0), Pool("slow", "S", 4, busy_kw=0.4))
    model = Model("m", {"F": 1000.0, "S": 500.0})
    plan = plan_cycle(
        cycle_inputs(
            [work("w", 1, 24, accelerator_hours=None, model="m", tokens=1000.0 * 3600 * 8)],
            sites=[site(pools=pools)],
            models=[model],
        )
    )
    assert {a.pool for a in plan.allocations} == {"slow"}  # 0.8 kWh for what costs the fast one 1 kWh
    assert plan.cost.energy == pytest.approx(16 * 0.4 * 50 / 1000)


def test_windows_that_start_and_end_inside_a_slot_are_kept_to_the_second() -> None:
    early = work("w", 14.9, 2.5, earliest_start=at(1.0 + 1 / 3600), max_accelerators=10)
    plan = plan_cycle(cycle_inputs([early]))
    assert min(a.start for a in plan.allocations) >= at(1.0 + 1 / 3600)
    assert max(a.end for a in plan.allocations) <= at(2.5)
    assert plan.unplaced == ()


def test_nothing_is_planned_before_now_and_the_running_slot_is_used() -> None:
    now = START + timedelta(minutes=20)
    plan = plan_cycle(cycle_inputs([work("w", 5, 24)], prices=CHEAP_AT_NIGHT[:1] + [100.0] * 23, now=now))
    assert min(a.start for a in plan.allocations) == now
    assert slots_used(plan) == {0}


def test_work_done_already_is_not_planned_again() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 24), work("all", 5, 24)], done={"w": 15.0, "all": 5.0}))
    hours = sum(a.accelerators * (a.end - a.start) / timedelta(hours=1) for a in plan.allocations)
    assert hours == pytest.approx(5)
    assert {a.workload_id for a in plan.allocations} == {"w"}


def test_impossible_work_is_planned_as_far_as_it_goes_and_told_when_it_could_be_done() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 60, 4, max_accelerators=10)]))
    (late,) = plan.unplaced
    assert late.accelerator_hours == pytest.approx(20)
    assert late.earliest_feasible_deadline == at(6)
    assert "10 accelerators" in late.reason


def test_work_that_no_deadline_in_the_horizon_could_save_says_so() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 1000, 24)]))
    assert plan.unplaced[0].earliest_feasible_deadline is None


def test_two_that_compete_come_short_by_exactly_what_does_not_fit() -> None:
    plan = plan_cycle(cycle_inputs([work("u", 30, 4), work("v", 30, 4)]))
    assert sum(u.accelerator_hours for u in plan.unplaced) == pytest.approx(20, abs=1e-3)


def test_chained_steps_run_one_after_the_other_inside_the_chain_s_deadline() -> None:
    steps = [
        work("s1", 20, 24),
        work("s2", 20, 24, depends_on=("s1",)),
        work("s3", 10, 20, depends_on=("s2",)),
    ]
    plan = plan_cycle(cycle_inputs(steps, prices=list(range(24, 0, -1))))
    spans = {
        id: (min(a.start for a in own), max(a.end for a in own))
        for id in ("s1", "s2", "s3")
        if (own := [a for a in plan.allocations if a.workload_id == id])
    }
    assert spans["s1"][1] <= spans["s2"][0]
    assert spans["s2"][1] <= spans["s3"][0] <= spans["s3"][1] <= at(20)


def test_uninterruptible_work_is_one_piece_at_one_count() -> None:
    prices = [50, 10, 50, 10, 50, 10] * 4
    plan = plan_cycle(
        cycle_inputs([work("w", 12, 24, interruptible=False, max_accelerators=4)], prices=prices)
    )
    assert len(plan.allocations) == 1
    assert plan.unplaced == ()


def test_replicas_and_load_minutes_are_kept() -> None:
    model = Model("m", {"X": 100.0}, {"X": 4}, load_minutes=30)
    job = work("w", 1, 24, accelerator_hours=None, model="m", tokens=100.0 * 3600 * 16, max_accelerators=9)
    plan = plan_cycle(cycle_inputs([job], models=[model]))
    assert all(a.accelerators % 4 == 0 for a in plan.allocations)
    lost = timedelta(minutes=30)
    assert (
        sum(a.accelerators * (a.end - a.start - lost) / timedelta(hours=1) for a in plan.allocations)
        >= 16 - 1e-3
    )


def test_unknown_prices_attract_nothing_and_are_told() -> None:
    prices = [100.0] * 12 + [float("nan")] * 6 + [20.0] * 6
    plan = plan_cycle(cycle_inputs([work("w", 20, 24)], prices=prices))
    assert slots_used(plan) <= set(range(18, 24))
    assert any("price is unknown in 6 slots" in w for w in plan.warnings)
    assert plan.power[12].price_per_mwh is None


def test_a_zone_of_which_nothing_is_known_attracts_nothing_either() -> None:
    """Its price is assumed to be the highest mean of the others: nothing looks free for want of a forecast."""
    nothing = [float("nan")] * 24
    sites = [site("a", zone="A"), site("b", zone="B")]
    given = cycle_inputs(
        [work("w", 20, 24)],
        sites=sites,
        prices={"A": [60.0] * 12 + [40.0] * 12, "B": nothing},
        carbon={"A": [300.0] * 24, "B": nothing},
        carbon_price=80.0,
    )
    plan = plan_cycle(given)
    assert {a.site for a in plan.allocations} == {"a"}
    assert slots_used(plan) <= set(range(12, 24))
    assert [r.price_per_mwh for r in plan.power if r.site == "b"] == [None] * 24
    assert (
        "B: no price is known; the highest mean of other zones is assumed, in the totals too."
        in plan.warnings
    )
    assert verify_plan(plan, given) == []


def test_where_no_price_is_known_anywhere_it_is_planned_by_carbon_alone() -> None:
    given = cycle_inputs(
        [work("w", 20, 24)],
        prices=[float("nan")] * 24,
        carbon=[300.0] * 20 + [100.0] * 4,
        carbon_price=80.0,
    )
    plan = plan_cycle(given)
    assert slots_used(plan) <= set(range(20, 24))
    assert plan.cost.energy == 0
    assert any("planned without" in w for w in plan.warnings)


def test_the_same_inputs_give_the_same_plan_byte_for_byte() -> None:
    def make() -> str:
        jobs = [work(f"w{i}", 3 + i % 5, 8 + i % 16, max_accelerators=1 + i % 4) for i in range(25)]
        return plan_cycle(cycle_inputs(jobs, prices=CHEAP_AT_NIGHT)).to_json()

    assert make() == make()


def test_a_plan_survives_json() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 24), work("late", 90, 4)], prices=CHEAP_AT_NIGHT))
    assert Plan.from_dict(plan.to_dict()) == plan


def test_running_at_once_is_the_same_work_as_early_as_it_can_be() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 24)], prices=[100.0] * 2 + [10.0] * 22))
    assert plan.baseline.total == pytest.approx(20 * 100 / 1000)
    assert plan.workloads[0].run_now_finish == at(2)
    assert plan.workloads[0].reason_code == "cheaper_later"
    assert plan.baseline.deferrable_total - plan.deferrable_total == pytest.approx(1.8)


def test_without_a_solver_the_greedy_schedule_keeps_every_limit_and_says_so() -> None:
    inputs = cycle_inputs(
        [work(f"w{i}", 5 + i, 10 + i, preemptible=bool(i % 2), max_accelerators=3) for i in range(10)],
        sites=[site(power_limit_kw=8.0)],
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
        prices=CHEAP_AT_NIGHT,
    )
    plan = plan_cycle(replace(inputs, time_limit_s=1e-9))
    assert plan.status == "greedy"
    (said,) = plan.warnings
    assert said.startswith(
        "planned without the solver, by price order, after the whole program: HiGHS' simplex ran out"
    )
    assert "a coarser program: HiGHS' simplex ran out of its" in said
    assert verify_plan(plan, inputs) == []
    assert plan.allocations


def test_the_earliest_deadline_that_would_work_keeps_to_the_width_of_the_work() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 80, 10, max_accelerators=4)]))
    assert plan.unplaced[0].earliest_feasible_deadline == at(20)


def test_a_step_that_waits_for_one_that_does_not_fit_is_not_planned_and_says_so() -> None:
    plan = plan_cycle(cycle_inputs([work("big", 500, 10), work("next", 1, 24, depends_on=("big",))]))
    assert {a.workload_id for a in plan.allocations} == {"big"}
    reasons = {u.workload_id: u.reason for u in plan.unplaced}
    assert reasons["next"] == "It waits for big, which is not done in full in time."


def test_a_limit_of_nothing_leaves_real_time_load_alone_and_is_told() -> None:
    event = GridEvent("e", "a", at(0), at(24), 0.0)
    plan = plan_cycle(
        cycle_inputs([work("w", 5, 24)], load={("a", "p"): {0.5: 1.0, 0.99: 2.0}}, events=[event])
    )
    assert plan.allocations == ()
    assert "power limit" in plan.unplaced[0].reason


def test_absurd_amounts_are_answered_not_crashed_on() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 1e300, 24)]))
    assert plan.unplaced[0].earliest_feasible_deadline is None


def test_a_battery_never_exports_what_a_stranded_step_was_to_draw() -> None:
    battery = Battery(20, 5, 1.0, 1.0, initial_kwh=10)
    steps = [work("big", 500, 10), work("next", 3, 24, depends_on=("big",))]
    plan = plan_cycle(cycle_inputs(steps, sites=[site(battery=battery)], prices=CHEAP_AT_NIGHT))
    assert min(r.import_kw for r in plan.power) >= -1e-6
    assert [u.workload_id for u in plan.unplaced] == ["big", "next"]


def test_what_has_no_place_in_time_counts_on_neither_side() -> None:
    flat = [50.0] * 24
    plan = plan_cycle(cycle_inputs([work("w", 60, 4), work("v", 10, 24, max_accelerators=1)], prices=flat))
    assert plan.unplaced[0].accelerator_hours == pytest.approx(20, abs=0.5)
    assert plan.baseline.total == pytest.approx(plan.cost.total)


def test_a_baseline_that_leaves_work_undone_says_so() -> None:
    early = [work(f"a{i}", 50, 24, max_accelerators=2) for i in range(4)]
    plan = plan_cycle(cycle_inputs([*early, work("z", 35, 24, earliest_start=at(1), max_accelerators=2)]))
    done = sum(a.accelerators * (a.end - a.start) / timedelta(hours=1) for a in plan.allocations)
    at_once = plan.baseline.total / 50 * 1000
    assert at_once + plan.baseline.unfinished_accelerator_hours == pytest.approx(done, rel=1e-3)


def test_work_with_time_to_spare_ends_before_its_deadline_and_work_without_uses_all_of_it() -> None:
    late_is_cheap = [50.0] * 20 + [10.0] * 4
    jobs = [work("spare", 4, 24), work("tight", 23, 24, max_accelerators=1)]
    inputs = replace(cycle_inputs(jobs, prices=late_is_cheap), deadline_margin_s=1800.0)
    plan = plan_cycle(inputs)
    ends = {a.workload_id: a.end for a in plan.allocations}
    assert ends["spare"] <= at(23.5)
    assert ends["tight"] == at(24)
    assert plan.unplaced == ()


def test_no_battery_carries_work_where_real_time_load_alone_is_over_the_limit() -> None:
    plant = site(battery=Battery(20, 5, 0.9, 0.9, initial_kwh=10))
    limit = GridEvent("e", "a", at(3), at(5), 0.0)
    inputs = cycle_inputs(
        [work("w", 40, 8)], sites=[plant], load={("a", "p"): {0.5: 1.5, 0.99: 3.0}}, events=[limit]
    )
    plan = plan_cycle(inputs)
    assert [r.deferrable for r in plan.slots[3:5]] == [0.0, 0.0]
    assert sum(r.discharge_kw for r in plan.power[3:5]) == pytest.approx(
        3.0
    )  # all that real-time load can take


def test_work_that_must_be_loaded_uses_every_gap_that_it_needs() -> None:
    model = Model("m", {"X": 100.0}, load_minutes=6)
    one = Pool("p", "X", count=1, busy_kw=1.0)
    closed = [
        GridEvent(f"e{i}", "a", at(a), at(b), 0.5)
        for i, (a, b) in enumerate([(3, 4), (6, 7), (9, 10), (12, 24)])
    ]

    def planned_hours(hours: float) -> float:
        job = work(
            "w", 1, 24, accelerator_hours=None, model="m", tokens=100.0 * 3600 * hours, max_accelerators=1
        )
        plan = plan_cycle(cycle_inputs([job], sites=[site(pools=(one,))], models=[model], events=closed))
        return hours - sum(u.accelerator_hours for u in plan.unplaced)

    assert planned_hours(4.6) == pytest.approx(4.6)
    assert planned_hours(7.2) == pytest.approx(7.2)
    assert planned_hours(9.0) == pytest.approx(3 + 2 + 2 + 2 - 4 * 0.1)


def test_a_battery_below_its_floor_is_charged_as_fast_as_it_can_be_with_a_solver_and_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = site(
        battery=Battery(40, 5, 1.0, 1.0, initial_kwh=10, min_kwh=20),
        resilience=Resilience(0.99, 0),
        power_limit_kw=8.0,
    )
    inputs = cycle_inputs([work("w", 60, 24)], sites=[plant], prices=CHEAP_AT_NIGHT)
    plan = plan_cycle(inputs)
    assert [r.stored_kwh for r in plan.power[:3]] == pytest.approx([10, 15, 20])
    assert any("10.0 kWh short" in w for w in plan.warnings)

    without_solvers(monkeypatch)
    greedy = plan_cycle(inputs)
    assert greedy.status == "greedy"
    assert [r.stored_kwh for r in greedy.power[:3]] == pytest.approx([10, 15, 20])
    assert any("10.0 kWh short" in w for w in greedy.warnings)


def test_a_solver_that_fails_at_the_second_call_leaves_the_prices_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = cycle_inputs(
        [work("whole", 8, 24, interruptible=False, max_accelerators=4), work("w", 20, 24)],
        prices=CHEAP_AT_NIGHT,
    )
    once = iter([solving.solve])

    def fails_later(*given: Any, **named: Any) -> Any:
        solve = next(once, None)
        if solve is None:
            raise SolverFailed("HiGHS ended as time_limit.")
        return solve(*given, **named)

    answer_with(monkeypatch, fails_later, coarser=True)
    monkeypatch.setattr(scheduling, "_rough", lambda *_: None)
    plan = plan_cycle(inputs)
    assert plan.status == "greedy"
    assert slots_used(plan) <= set(range(6))
    assert plan.relative_gap < 0.01


def test_a_deadline_beyond_the_horizon_is_not_late() -> None:
    plan = plan_cycle(
        cycle_inputs(
            [work("long", 600, 200), work("due", 60, 12), work("far", 5, 200, earliest_start=at(100))]
        )
    )
    assert plan.unplaced == ()
    codes = {w.workload_id: w.reason_code for w in plan.workloads}
    assert codes["long"] == codes["far"] == "rest_later"
    assert sum(r.deferrable for r in plan.slots) == pytest.approx(240)


def test_a_step_before_real_time_work_is_topped_up_within_the_chain_s_time_only() -> None:
    """Its own deadline is far away, that of the chain is not; a second try may not use what lies between."""
    first = work("first", 15, 20, max_accelerators=10)
    then = work("then", 10, 3, depends_on=("first",), max_accelerators=10, mode="interactive")
    beside = work("beside", 15, 2, max_accelerators=10)
    plan = plan_cycle(cycle_inputs([first, then, beside]))
    assert max(a.end for a in plan.allocations) <= at(2)
    assert {u.workload_id for u in plan.unplaced} <= {"first", "beside"}
    assert sum(u.accelerator_hours for u in plan.unplaced) == pytest.approx(10)


def test_a_bound_of_a_large_fleet_and_a_small_bill_is_proven_by_the_prices_as_printed() -> None:
    count = 100_000
    pools = (Pool("p", "X", count, 1, 0.0, 1 / 3), Pool("q", "Y", count // 3, 1, 0.0, 0.41))
    model = Model("m", {"X": 1000.0, "Y": 337.0})
    size = {"accelerator_hours": None, "model": "m", "max_accelerators": count}
    given = [
        work(f"w{i}", 0, due, tokens=3.6e6 * count * hours, **size)
        for i, (due, hours) in enumerate([(19.7, 5.1), (7.3, 2.9), (12.1, 0.7), (4.9, 1.3)])
    ]
    prices = [0.0001 * (1 + 0.3 * ((7 * hour) % 11) / 11) for hour in range(24)]
    load = {("a", "p"): {0.5: count * 0.1, 0.99: count * 0.317}}
    plan = plan_cycle(
        cycle_inputs(given, sites=[site("a", pools=pools)], prices=prices, models=[model], load=load)
    )
    assert plan.lower_bound <= plan.cost.total + 1e-9


@pytest.mark.parametrize("width", [10, 10_000])
@pytest.mark.parametrize("left_ratio", [1e-15, 1e-12, 1e-10, 2e-9, 1e-7, 1e-5])
def test_what_progress_leaves_by_rounding_keeps_nothing_waiting(left_ratio: float, width: int) -> None:
    """Less than a part in 10^9 is done; what takes less than a microsecond still has one."""
    jobs = [work("a", 5, 10, max_accelerators=width), work("b", 5, 20, depends_on=("a",))]
    pool = Pool("p", "X", 10_000, idle_kw=0.0, busy_kw=1.0)
    inputs = cycle_inputs(jobs, sites=[site(pools=(pool,))], done={"a": 5 * (1 - left_ratio)})
    plan = plan_cycle(inputs)
    assert not plan.unplaced
    planned = {a.workload_id for a in plan.allocations}
    assert planned == ({"b"} if left_ratio < 1e-9 else {"a", "b"})
    assert verify_plan(plan, inputs) == []
