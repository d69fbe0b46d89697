"""Work with a shape: not interruptible, loaded first, in replicas; one after the other at the program's prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.fleet import Budget, Model, Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.workload import Workload
from shifter.store.snapshots import inputs_from_json, inputs_to_json
from tests.schedule.build import START, at, cycle_inputs, site, with_budgets, work


def runs(plan: Plan, id: str = "w") -> list[tuple[float, float, int]]:
    """Start and end [h], and accelerators, of a workload's pieces."""
    own = [a for a in plan.allocations if a.workload_id == id]
    return [(hours(a.start), hours(a.end), a.accelerators) for a in own]


def hours(moment: object) -> float:
    return (moment - at(0)).total_seconds() / 3600  # type: ignore[operator]


def test_work_in_one_piece_pays_the_demand_charge_for_no_more_than_it_needs() -> None:
    """With the charge spread over the slots, all widths cost the same by the slot; the peak is of the widest."""
    inputs = cycle_inputs([work("w", 10, 2, interruptible=False)], sites=[site(demand_charge_per_kw=5.0)])
    plan = plan_cycle(inputs)
    assert runs(plan) == [(0, 2, 5)]
    assert plan.cost.demand_charge == pytest.approx(25.0)
    assert plan.relative_gap == pytest.approx(0.0, abs=1e-9)


def test_a_peak_that_is_there_anyway_may_be_filled() -> None:
    """Up to the peak so far a wide run in the cheap hour costs nothing more; beyond it, the charge is the dearer."""
    charged = site(demand_charge_per_kw=5.0, peak_so_far_kw=8.0)
    inputs = cycle_inputs(
        [work("w", 8, 4, interruptible=False)], sites=[charged], prices=[50, 10, 50, 50] * 6
    )
    assert runs(plan_cycle(inputs)) == [(1, 2, 8)]
    inputs = cycle_inputs(
        [work("w", 10, 4, interruptible=False)], sites=[charged], prices=[50, 10, 50, 50] * 6
    )
    (run,) = runs(plan_cycle(inputs))
    assert run[2] <= 8


def test_of_equal_runs_the_narrowest_is_taken_and_the_width_that_just_fits_is_tried() -> None:
    """Of 150 widths not all are tried, but the one that its window needs is: 134 hours in two are 67."""
    wide = site(pools=(Pool("p", "X", count=200, idle_kw=0.0, busy_kw=1.0),), demand_charge_per_kw=5.0)
    job = work("w", 134, 7, interruptible=False, max_accelerators=150, earliest_start=at(5))
    plan = plan_cycle(cycle_inputs([job], sites=[wide]))
    assert runs(plan) == [(5, 7, 67)]
    assert plan.relative_gap == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_shape_pays_double_for_the_peak(seed: int) -> None:
    """Whatever is beside it, work with a shape is near the bound of work without one."""
    jobs = [
        work(f"c{i}", 5 + (7 * i + 3 * seed) % 11, 24, interruptible=False, max_accelerators=6)
        for i in range(4)
    ]
    jobs += [work(f"w{i}", 6, 24, max_accelerators=4) for i in range(4)]
    inputs = cycle_inputs(jobs, sites=[site(demand_charge_per_kw=2.0)])
    plan = plan_cycle(inputs)
    assert plan.relative_gap < 0.1
    assert verify_plan(plan, inputs) == []


MODEL = Model("m", {"X": 1.0}, load_minutes=20)


def loaded(deadline: float, hours: float = 2 * (5 - 1 / 3)) -> Workload:
    """Work of a model that takes 20 minutes to load: five hours on two accelerators."""
    return Workload(
        "w", model="m", tokens=3600 * hours, earliest_start=at(0), deadline=at(deadline),
        max_accelerators=2, preemptible=True,
    )  # fmt: skip


def midst(
    job: Workload, now: float, prices: list[float], *, frozen_minutes: float = 0.0, hold_gap: float = -1.0
) -> tuple[CycleInputs, Plan]:
    """The inputs of a cycle in the midst of the first piece of a plan made at 0:00, all of it done as planned."""
    given: dict[str, Any] = {"models": [MODEL], "prices": prices, "hours": len(prices)}
    before = plan_cycle(cycle_inputs([job], **given))
    [(begin, end, count)] = runs(before)
    assert begin < now < end
    done = {"w": 3600 * count * max(0.0, now - begin - 1 / 3)}
    inputs = cycle_inputs([job], now=at(now), done=done, **given)
    objective = replace(inputs.fleet.objective, frozen_minutes=frozen_minutes)
    fleet = replace(inputs.fleet, objective=objective)
    return replace(inputs, fleet=fleet, announced=Announced.of(before, at(now)), hold_gap=hold_gap), before


@pytest.mark.parametrize("hold_gap", [-1.0, 0.01])
@pytest.mark.parametrize("now", [0.1, 1 / 3, 0.5])
def test_what_runs_is_not_loaded_again(now: float, hold_gap: float) -> None:
    """Exactly on plan, with not a minute to spare, nothing is late and nothing moves."""
    inputs, _ = midst(loaded(5), now, [50.0] * 8, hold_gap=hold_gap)
    plan = plan_cycle(inputs)
    assert plan.unplaced == ()
    [run] = runs(plan)
    assert run == pytest.approx((now, 5, 2))
    assert verify_plan(plan, inputs) == []
    text = inputs_to_json(inputs)
    assert plan_cycle(inputs_from_json(text)).to_json() == plan.to_json(), "a replay is the same plan"


def test_what_is_frozen_and_loaded_needs_nothing_more() -> None:
    inputs, before = midst(loaded(20), 0.5, [10.0] * 6 + [50.0] * 18, frozen_minutes=600)
    plan = plan_cycle(inputs)
    assert [a.end for a in plan.allocations] == [a.end for a in before.allocations]
    assert plan.cost.churn == 0


def test_what_fell_behind_goes_on_without_loading_rather_than_begin_anew() -> None:
    """A quarter of an hour less was done than was planned, and there is just that much time."""
    inputs, _ = midst(loaded(5.25), 0.5, [50.0] * 8)
    job = replace(loaded(5.25), tokens=3600 * 2 * (5.25 - 1 / 3))
    submissions = tuple(replace(s, workload=job) for s in inputs.submissions)
    plan = plan_cycle(replace(inputs, submissions=submissions))
    assert plan.unplaced == ()
    [run] = runs(plan)
    assert run == pytest.approx((0.5, 5.25, 2))


def test_nobody_claims_a_load_that_was_not_announced() -> None:
    """Where nothing ran, or less of it, the same plan does less work than it says."""
    inputs, _ = midst(loaded(5), 0.5, [50.0] * 8)
    plan, announced = plan_cycle(inputs), inputs.announced
    assert announced is not None
    [own] = announced.allocations
    for other in (
        replace(own, start=at(0.5)),
        replace(own, accelerators=1),
        replace(own, start=at(0.25)),
        replace(own, workload_id="v"),
    ):
        spoiled = replace(inputs, announced=replace(announced, allocations=(other,)))
        assert any(v.subject == "w" for v in verify_plan(plan, spoiled))


def test_a_second_piece_beside_what_runs_is_loaded() -> None:
    """One of two accelerators goes on: a plan that has two from now on loads one of them."""
    inputs, _ = midst(loaded(5), 0.5, [50.0] * 8)
    plan, announced = plan_cycle(inputs), inputs.announced
    assert announced is not None
    [row] = plan.allocations
    halves = replace(plan, allocations=(replace(row, accelerators=1),) * 2).named()
    one = replace(announced, allocations=(replace(announced.allocations[0], accelerators=1),))
    assert not any(v.subject == "w" for v in verify_plan(halves, inputs))
    assert any(v.subject == "w" for v in verify_plan(halves, replace(inputs, announced=one)))


HELP: dict[str, dict[str, Any]] = {
    "battery": {"battery": Battery(energy_kwh=20, power_kw=5, initial_kwh=15)},
    "plant": {"generation": Generation((GenerationWindow(at(0), at(6), 5.0),))},
}


@pytest.mark.parametrize("own", list(HELP))
@pytest.mark.parametrize("deadline", [3, 4])
def test_work_in_one_piece_runs_beside_what_the_site_can_do_for_it(own: str, deadline: float) -> None:
    """20 hours need 10 kW for two hours, or 6.7 for three, where the grid gives 6."""
    job = work("w", 20, deadline, interruptible=False, earliest_start=at(1))
    inputs = cycle_inputs([job], sites=[site(power_limit_kw=6.0, **HELP[own])], hours=6)
    plan = plan_cycle(inputs)
    assert plan.unplaced == ()
    assert len(plan.allocations) == 1
    assert max(row.import_kw for row in plan.power) <= 6 + 1e-6
    assert verify_plan(plan, inputs) == []


def test_a_run_that_no_battery_could_hold_is_late_and_keeps_the_limit() -> None:
    """The battery has power for it, and not the energy."""
    small = Battery(energy_kwh=4, power_kw=5, initial_kwh=3)
    job = work("w", 20, 3, interruptible=False, earliest_start=at(1))
    inputs = cycle_inputs([job], sites=[site(power_limit_kw=6.0, battery=small)], hours=6)
    plan = plan_cycle(inputs)
    [late] = plan.unplaced
    assert late.accelerator_hours <= 8 + 1e-6
    assert verify_plan(plan, inputs) == []


def test_what_a_plant_gives_for_nothing_is_used() -> None:
    """Eight wide for an hour would draw from the grid; four for two hours need not."""
    job = work("w", 8, 3, max_accelerators=8, interruptible=False, earliest_start=at(1))
    inputs = cycle_inputs([job], sites=[site(power_limit_kw=6.0, **HELP["plant"])], hours=6)
    assert plan_cycle(inputs).cost.total == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_large_plan_of_work_with_and_without_a_shape_keeps_a_budget(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """What has a shape does not count twice, and where it stands in other slots the rest draws less."""
    monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", 0)
    rng = np.random.default_rng(seed)
    jobs = [work(f"w{i}", float(rng.integers(5, 20)), 24, max_accelerators=4) for i in range(6)]
    jobs += [
        work(f"c{i}", float(rng.integers(5, 20)), 24, max_accelerators=4, interruptible=False)
        for i in range(6)
    ]
    prices = (50 + 20 * rng.normal(size=24)).round(1).tolist()
    carbon = (300 + 100 * rng.normal(size=24)).clip(50).round(1).tolist()
    inputs = cycle_inputs(jobs, prices=prices, carbon=carbon)
    plan = plan_cycle(with_budgets(inputs, Budget("carbon_kg", 42.0, START, at(24))))
    assert plan.status == "coarse"
    assert plan.carbon_kg <= 42 + 1e-6
    assert sum(late.accelerator_hours for late in plan.unplaced) <= 1 + 1e-6


def test_where_power_is_paid_for_the_bound_is_of_plans_that_load_again_and_again() -> None:
    """Nobody wants such a plan, and it breaks no condition: so no bound could be above what it earns."""
    job = replace(loaded(20, hours=10), max_accelerators=6)
    inputs = cycle_inputs([job], models=[MODEL], prices=[-50.0] * 24)
    plan = plan_cycle(inputs)
    assert plan.lower_bound == pytest.approx(-6.0)
    pieces = 55  # of 20 minutes to load, and a 55th of the work
    whole = replace(plan.allocations[0], accelerators=6)
    spoiled = replace(
        plan,
        allocations=tuple(
            replace(whole, start=at(20 * i / pieces), end=at(20 * (i + 1) / pieces)) for i in range(pieces)
        ),
    ).named()
    broken = {v.code for v in verify_plan(spoiled, inputs)}
    assert broken.isdisjoint({"not_done", "interval", "window", "max_accelerators", "capacity", "unplaced"})
    drawn_kwh = sum(a.accelerators * (a.end - a.start).total_seconds() / 3600 for a in spoiled.allocations)
    assert -0.05 * drawn_kwh == pytest.approx(plan.lower_bound)
