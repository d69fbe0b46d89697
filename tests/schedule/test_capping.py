"""Power caps: less power, less throughput, and energy saved where the measured curve is concave."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.capping import used_caps
from shifter.domain.fleet import Model, Pool, PowerCap
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.rows import Allocation
from shifter.domain.workload import Alternative
from shifter.schedule import build
from shifter.schedule import schedule as scheduling
from shifter.service.peaks import courses
from tests.schedule.build import START, at, cycle_inputs, site, work
from tests.schedule.test_risk import busy

CURVE = (PowerCap(0.5, 0.8), PowerCap(0.4, 0.5))
"""Half the power does four fifths; the second point lies below the line from idle to the first."""


def pool(*caps: PowerCap, count: int = 10, idle_kw: float = 0.0) -> Pool:
    return Pool("p", "X", count, idle_kw=idle_kw, busy_kw=1.0, power_caps=caps)


def capped(plan: Plan) -> set[float | None]:
    return {a.cap_kw for a in plan.allocations}


def hours(plan: Plan) -> float:
    return sum(a.accelerators * (a.end - a.start) / timedelta(hours=1) for a in plan.allocations)


def test_only_corners_of_the_concave_hull_are_used() -> None:
    assert used_caps(pool(*CURVE)) == (PowerCap(0.5, 0.8),)
    assert used_caps(pool(PowerCap(0.8, 0.8), PowerCap(0.2, 0.2))) == (), (
        "a straight line is gained by idling too"
    )
    both = (PowerCap(0.7, 0.95), PowerCap(0.4, 0.7))
    assert used_caps(pool(*both)) == both
    assert used_caps(pool(PowerCap(0.5, 0.9), PowerCap(0.6, 0.8))) == (PowerCap(0.5, 0.9),)
    assert used_caps(pool(PowerCap(0.5, 1.0))) == (PowerCap(0.5, 1.0),)
    # From idle at 0.3 kW, half the throughput for 0.5 kW is above the line; for 0.7 kW below it.
    assert used_caps(pool(PowerCap(0.5, 0.5), idle_kw=0.3)) == (PowerCap(0.5, 0.5),)
    assert used_caps(pool(PowerCap(0.7, 0.5), idle_kw=0.3)) == ()


def test_where_there_is_time_the_cap_saves_energy() -> None:
    inputs = cycle_inputs([work("w", 8, 20)], sites=[site(pools=(pool(*CURVE),))])
    plan = plan_cycle(inputs)
    assert capped(plan) == {0.5}
    assert hours(plan) == pytest.approx(10.0)
    assert plan.cost.energy == pytest.approx(10 * 0.5 * 0.05)
    assert plan.relative_gap == pytest.approx(0.0, abs=1e-6)
    assert plan.baseline.total == pytest.approx(8 * 0.05), "at once, it would run at full power"
    told = plan.workloads[0].reason
    assert (
        "100 % of it runs capped to 0.5 kW an accelerator, which takes 10 accelerator-hours and 0.25 EUR;"
        in told
    )
    assert "at full power it would take 8 and 0.40 EUR in these slots." in told
    assert {a["cap_kw"] for a in plan.to_dict()["allocations"]} == {0.5}
    assert Plan.from_dict(plan.to_dict()) == plan


def test_where_time_is_short_caps_and_full_power_share_it() -> None:
    inputs = cycle_inputs([work("w", 36, 4)], sites=[site(pools=(pool(*CURVE),))])
    plan = plan_cycle(inputs)
    assert capped(plan) == {None, 0.5}
    assert hours(plan) == pytest.approx(40.0)  # 20 at full power, 20 capped
    assert plan.cost.energy == pytest.approx((20 + 20 * 0.5) * 0.05)


def test_under_a_power_limit_caps_do_more() -> None:
    """Two kilowatts carry two accelerators at full power, or four at half of it."""
    inputs = cycle_inputs([work("w", 12, 4)], sites=[site(pools=(pool(*CURVE),), power_limit_kw=2.0)])
    plan = plan_cycle(inputs)
    assert not plan.unplaced
    assert max(r.import_kw for r in plan.power) <= 2.0 + 1e-6
    without = plan_cycle(cycle_inputs([work("w", 12, 4)], sites=[site(pools=(pool(),), power_limit_kw=2.0)]))
    assert without.unplaced[0].accelerator_hours == pytest.approx(4.0)


def test_at_negative_prices_nothing_is_capped() -> None:
    inputs = cycle_inputs([work("w", 8, 20)], sites=[site(pools=(pool(*CURVE),))], prices=[-50.0] * 24)
    plan = plan_cycle(inputs)
    # Less work done for more power is what pays, but all of the work is done: at full power it draws most.
    assert capped(plan) == {None}
    assert plan.cost.energy == pytest.approx(-8 * 0.05)


@pytest.mark.parametrize("interruptible", [True, False])
def test_shapes_run_under_a_cap(interruptible: bool) -> None:
    model = Model("m", {"X": 1000.0}, {"X": 4}, load_minutes=30)
    job = work(
        "w",
        0,
        20,
        accelerator_hours=None,
        tokens=8 * 3600e3,
        model="m",
        interruptible=interruptible,
    )
    plan = plan_cycle(cycle_inputs([job], sites=[site(pools=(pool(*CURVE),))], models=[model]))
    [held] = plan.allocations
    assert (held.cap_kw, held.accelerators, held.end - held.start) == (0.5, 4, timedelta(hours=3))


def test_real_time_load_is_never_capped() -> None:
    load = {("a", "p"): {0.5: 4.0, 0.99: 4.0}}
    plan = plan_cycle(cycle_inputs([], sites=[site(pools=(pool(*CURVE),))], load=load))
    assert {r.import_kw for r in plan.power} == {4.0}


def test_what_runs_under_a_cap_stays_under_it() -> None:
    job = work("w", 8, 20, interruptible=False)
    inputs = cycle_inputs([job, work("v", 4, 20)], sites=[site(pools=(pool(*CURVE),))], now=at(0.5))
    held = Allocation("w", "a", "p", START, at(2), 4, cap_kw=0.5)
    plan = plan_cycle(replace(inputs, pinned=(held,)))
    [row] = [r for r in plan.workloads if r.workload_id == "w"]
    assert row.energy_kwh == pytest.approx(1.5 * 4 * 0.5)
    assert [a.cap_kw for a in plan.allocations if a.workload_id == "w"] == [0.5]


def test_caps_count_under_risk_too() -> None:
    inputs = busy(cvar_weight=0.5, scenarios=20)
    fleet = inputs.fleet
    pools = tuple(replace(p, power_caps=(PowerCap(0.7 * p.busy_kw, 0.9),)) for p in fleet.sites[0].pools)
    fleet = replace(fleet, sites=(replace(fleet.sites[0], pools=pools), *fleet.sites[1:]))
    inputs = replace(inputs, fleet=fleet)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert {a.cap_kw for a in plan.allocations if a.site == "a"} & {0.7, 0.35}


def test_a_capped_plans_course_is_what_its_rows_say() -> None:
    inputs = cycle_inputs([work("w", 36, 4)], sites=[site(pools=(pool(*CURVE, idle_kw=0.1),))], now=at(0.25))
    plan = plan_cycle(inputs)
    course = courses(plan, inputs.fleet)["a"]
    drawn = [course.drawn_kwh(row.start, row.end) for row in plan.power]
    assert drawn == pytest.approx([row.import_kw for row in plan.power])
    first = plan.power[0]
    assert course.drawn_kwh(first.start, at(0.25)) < course.drawn_kwh(at(0.25), at(0.5)), (
        "nothing of it ran before"
    )
    assert capped(plan) == {None, 0.5}


@st.composite
def cases(draw: st.DrawFn) -> tuple[CycleInputs, CycleInputs]:
    """A fleet with power caps and its work, and the same without caps."""
    curve = tuple(
        PowerCap(kw, ratio)
        for kw, ratio in draw(
            st.dictionaries(
                st.sampled_from([0.2, 0.3, 0.45, 0.6, 0.8]),
                st.sampled_from([0.1, 0.35, 0.5, 0.75, 0.95, 1.0]),
            )
        ).items()
    )
    pools = (
        replace(pool(*curve, count=6), idle_kw=draw(st.sampled_from([0.0, 0.1]))),
        Pool("q", "Y", 4, busy_kw=0.5, power_caps=(PowerCap(0.3, 0.9),)),
    )
    over: dict[str, Any] = {
        "power_limit_kw": draw(st.sampled_from([None, 4.0, 6.0])),
        "demand_charge_per_kw": draw(st.sampled_from([0.0, 0.05])),
        "battery": draw(st.sampled_from([None, Battery(4.0, 2.0, initial_kwh=2.0)])),
    }
    events = draw(st.sampled_from([[], [GridEvent("e", "a", at(2), at(3), 2.5)]]))
    prices = [float(draw(st.integers(-3, 12))) * 10 for _ in range(8)]
    models = [Model("m", {"X": 1000.0, "Y": 700.0}), Model("n", {"Y": 1500.0})]
    jobs = []
    for i in range(draw(st.integers(1, 4))):
        tokens = draw(st.sampled_from([0.7, 2.0, 3.3])) * 3600e3
        jobs.append(
            work(
                f"w{i}",
                0,
                draw(st.sampled_from([3.0, 5.25, 8.0])),
                accelerator_hours=None,
                tokens=tokens,
                model="m",
                alternatives=draw(st.sampled_from([(), (Alternative("n", 1.4 * tokens),)])),
                preemptible=draw(st.booleans()),
                interruptible=draw(st.sampled_from([True, True, False])),
                max_accelerators=draw(st.integers(1, 6)),
            )
        )
    now = at(draw(st.sampled_from([0.0, 0.3])))
    made = [
        cycle_inputs(
            jobs,
            sites=[site(pools=fleet, **over)],
            models=models,
            prices=prices,
            hours=8,
            events=events,
            now=now,
            load={("a", "p"): {0.5: 1.0, 0.99: 1.6}},
        )
        for fleet in (pools, tuple(replace(p, power_caps=()) for p in pools))
    ]
    return made[0], made[1]


@given(cases())
@settings(max_examples=40, deadline=None)
def test_every_condition_holds_and_caps_never_cost_more(case: tuple[CycleInputs, CycleInputs]) -> None:
    inputs, plain = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "RUN_RATIO", 0.0)  # runs are worth something, and so may cost something
        plan, without = plan_cycle(inputs), plan_cycle(plain)
    assert verify_plan(plan, inputs) == []
    assert capped(without) <= {None}
    shaped = any(not s.workload.interruptible for s in inputs.submissions)
    if not without.unplaced and not shaped:  # else it may cost more, and do more
        assert not plan.unplaced
        assert plan.cost.total <= without.cost.total + 1e-3 * max(1.0, abs(without.cost.total))


@given(cases())
@settings(max_examples=25, deadline=None)
def test_large_plans_keep_every_condition_too(case: tuple[CycleInputs, CycleInputs]) -> None:
    inputs, _ = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduling, "EXACT_COLUMNS", 0)
        assert verify_plan(plan_cycle(inputs), inputs) == []
