"""Generation behind the meter, and export: used first, sold where that pays, and never both bought and sold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.rows import PowerRow
from tests.schedule.build import at, cycle_inputs, site, work

SUN = Generation((GenerationWindow(at(10), at(14), 6.0),))


def planned(inputs: CycleInputs) -> Plan:
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.duals.work
    return Plan.from_dict(json.loads(plan.to_json()))


def case(*jobs: Any, prices: Any = 50.0, carbon_price: float = 0.0, **over: Any) -> CycleInputs:
    given = prices if isinstance(prices, list) else [prices] * 24
    return cycle_inputs(jobs, sites=[site(**over)], prices=given, carbon_price=carbon_price)


def rows(plan: Plan) -> list[PowerRow]:
    return list(plan.power)


def test_work_goes_where_the_sun_shines_and_costs_nothing() -> None:
    plan = planned(case(work("w", 20, 24), generation=SUN))
    assert plan.cost.total == pytest.approx(0, abs=1e-9)
    assert plan.carbon_kg == pytest.approx(0, abs=1e-9)
    assert [r.generated_kw for r in rows(plan)[:10]] == [0.0] * 10
    assert sum(r.generated_kw or 0 for r in rows(plan)) == pytest.approx(20)
    assert all(at(10) <= a.start and a.end <= at(14) for a in plan.allocations)


def test_what_is_too_much_for_the_plant_is_bought() -> None:
    plan = planned(case(work("w", 30, 24), generation=SUN))
    assert plan.cost.energy == pytest.approx(6 * 0.05)
    assert plan.cost.total == pytest.approx(plan.lower_bound, rel=1e-6)


def test_a_dear_plant_runs_only_where_the_grid_is_dearer() -> None:
    dear = Generation((GenerationWindow(at(0), at(24), 4.0),), cost_per_kwh=0.06)
    prices = [50.0] * 12 + [90.0] * 12
    plan = planned(case(work("w", 24, 24, earliest_start=at(12)), prices=prices, generation=dear))
    assert plan.cost.generation == pytest.approx(24 * 0.06)
    assert plan.cost.energy == pytest.approx(0, abs=1e-9)
    idle = planned(case(work("w", 24, 12), prices=prices, generation=dear))
    assert idle.cost.generation == 0
    assert "generation" not in idle.to_dict()["cost"]


def test_the_sun_is_sold_where_that_earns_more_than_the_night_costs() -> None:
    prices = [20.0] * 10 + [80.0] * 14
    plan = planned(
        case(work("w", 20, 24), prices=prices, generation=SUN, export_limit_kw=5.0, export_price_per_mwh=60)
    )
    # One kW of the sun cannot be sold, and is used at once.
    assert plan.cost.energy == pytest.approx(16 * 0.02)
    assert plan.cost.export == pytest.approx(-4 * 5 * 0.06)
    assert [r.export_kw for r in rows(plan)[10:14]] == [5.0] * 4
    assert plan.cost.total == pytest.approx(16 * 0.02 - 1.2)
    assert plan.relative_gap == pytest.approx(0, abs=1e-6)


def test_the_price_of_carbon_keeps_it_at_home() -> None:
    """Sold, a kWh earns 0.06; used, it saves 0.02 and 300 g at 200 per tonne."""
    over: Any = {"generation": SUN, "export_limit_kw": 6.0, "export_price_per_mwh": 60}
    prices = [20.0] * 10 + [80.0] * 14
    plan = planned(case(work("w", 20, 24), prices=prices, carbon_price=200.0, **over))
    assert all(a.start >= at(10) for a in plan.allocations)
    assert plan.carbon_kg == pytest.approx(0, abs=1e-9)


def test_export_priced_above_import_counts_at_the_price_of_import_and_says_so() -> None:
    plan = planned(case(generation=SUN, export_limit_kw=9.0, export_price_per_mwh=400, prices=50.0))
    assert plan.cost.export == pytest.approx(-4 * 6 * 0.05)
    assert any("export is priced above import in 24 slots" in w for w in plan.warnings)
    assert all(r.import_kw == 0 or r.export_kw == 0 for r in rows(plan))


EXPORTING: Any = {"export_limit_kw": 10.0, "export_price_per_mwh": 1000.0}
DEAR_EVENING = [10.0] * 12 + [300.0] * 12


@pytest.mark.parametrize("load", [0.0, 2.0])
def test_a_battery_discharges_at_most_what_its_site_draws(load: float) -> None:
    """At the median of real-time load, which is what the site is billed for; its quantile is twice that."""
    battery = Battery(60, 5, 0.9, 0.9, initial_kwh=0)
    real_time = {("a", "p"): {0.5: load, 0.99: 2 * load}}
    inputs = cycle_inputs([], sites=[site(battery=battery, **EXPORTING)], prices=DEAR_EVENING, load=real_time)
    plan = planned(inputs)
    assert sum(r.export_kw or 0.0 for r in rows(plan)) == 0
    assert [r.discharge_kw for r in rows(plan)[12:]] == pytest.approx([load] * 12)
    assert plan.relative_gap == pytest.approx(0, abs=1e-6)


def test_beside_a_battery_the_plant_alone_is_sold() -> None:
    """It carries the load in the plant's place, which is sold whole, and no more is."""
    evening = Generation((GenerationWindow(at(12), at(24), 1.5),))
    inputs = cycle_inputs(
        [work("w", 6, 24, earliest_start=at(18), max_accelerators=1)],
        sites=[site(battery=Battery(60, 5, 0.9, 0.9, initial_kwh=0), generation=evening, **EXPORTING)],
        prices=DEAR_EVENING,
        load={("a", "p"): {0.5: 2.0, 0.99: 4.0}},
    )
    plan = planned(inputs)
    assert [r.export_kw for r in rows(plan)[12:]] == pytest.approx([1.5] * 12)
    assert [r.discharge_kw for r in rows(plan)[12:]] == pytest.approx([2.0] * 6 + [3.0] * 6)


def test_a_plant_makes_room_under_a_power_limit() -> None:
    """Real-time load alone is over the limit; with the sun there is room for work beside it."""
    inputs = cycle_inputs(
        [work("w", 4, 24)],
        sites=[site(power_limit_kw=2.0, generation=SUN)],
        load={("a", "p"): {0.5: 3.0, 0.99: 4.0}},
    )
    plan = planned(inputs)
    assert not plan.unplaced
    assert all(at(10) <= a.start and a.end <= at(14) for a in plan.allocations)
    assert any("exceeds the power limit in force by up to 2.0 kW in 20 slots" in w for w in plan.warnings)


def test_hours_of_which_nothing_is_forecast_have_no_generation_and_are_told() -> None:
    plan = planned(case(generation=SUN))
    assert any("nothing is said of its own generation in 20 slots" in w for w in plan.warnings)


def test_running_at_once_has_the_plant_too() -> None:
    plan = planned(case(work("w", 4, 24, earliest_start=at(11), max_accelerators=4), generation=SUN))
    assert plan.baseline.total == pytest.approx(0, abs=1e-9)


def test_windows_inside_a_slot_count_by_their_share() -> None:
    half = Generation((GenerationWindow(at(2.5), at(3.25), 8.0),))
    [arrays] = problem_of(case(generation=half)).sites
    assert arrays.generation_kw is not None
    assert arrays.generation_kw.tolist()[:5] == [0, 0, 4.0, 2.0, 0]


def test_a_plain_plan_says_nothing_of_it() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 2, 8)], sites=[site(pools=(Pool("p", "X", 4),))])).to_dict()
    assert set(plan["cost"]) == {"energy", "carbon", "demand_charge", "battery_wear", "total"}
    assert not {"generated_kw", "export_kw"} & set(plan["power"][0])


def test_a_large_plan_has_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.schedule.schedule.EXACT_COLUMNS", 0)
    jobs = [work(f"w{i}", 2 + i, 18 + i, max_accelerators=3) for i in range(6)]
    plan = planned(case(*jobs, generation=SUN, export_limit_kw=5.0, export_price_per_mwh=10))
    assert not plan.unplaced
    assert sum(r.generated_kw or 0 for r in rows(plan)) == pytest.approx(24)
    assert plan.lower_bound <= plan.cost.total


@pytest.mark.parametrize("deadline", [20, 30])
@pytest.mark.parametrize(
    "over",
    [
        {"generation": Generation((GenerationWindow(at(0), at(24), 2000.0),), cost_per_kwh=0.5)},
        {"battery": Battery(2600, 1000, 0.9, 0.9, initial_kwh=1000, wear_cost_per_kwh=0.9)},
    ],
)
def test_no_work_is_late_because_the_site_s_own_power_is_dear(over: Any, deadline: float) -> None:
    """An hour of work costs 65 and more, and less than that would from the grid. With what is due later, too."""
    racks = (Pool("rack", "X", count=10, idle_kw=0.0, busy_kw=130.0),)
    inputs = cycle_inputs(
        [work("w", 10, deadline, earliest_start=at(12))],
        sites=[site(pools=racks, power_limit_kw=65.0, **over)],
    )
    plan = planned(inputs) if "generation" in over else plan_cycle(inputs)
    assert not plan.unplaced
    assert sum((a.end - a.start).total_seconds() / 3600 * a.accelerators for a in plan.allocations) == (
        pytest.approx(10)
    )


def test_the_price_of_lateness_is_above_what_any_way_to_power_an_hour_costs() -> None:
    plant = Generation((GenerationWindow(at(0), at(24), 4.0),), cost_per_kwh=8.0)
    battery = Battery(10, 5, 0.8, 0.5, wear_cost_per_kwh=3.0)
    price = [
        problem_of(case(work("w", 1, deadline), **over)).price_of_leaving_undone(deadline > 24)
        for over in ({"generation": plant}, {"generation": plant, "battery": battery})
        for deadline in (20, 30)
    ]
    assert price == pytest.approx([10 * 8.0, 2 * 8.0, 10 * 23.0, 2 * 23.0])
