"""Numbers of any size, through the command: planned with as far as it goes, or refused as nothing that is real."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Pool
from tests.properties.command import DATA, FILES, HOURS, Call, clear, honest
from tests.schedule.build import at, cycle_inputs, site, work

MOST = {"tokens": 1e18, "accelerator_hours": 1e12}


def amount(field: str, number: float) -> dict[str, Any]:
    """A workload of so much."""
    kept = {k: v for k, v in HOURS.items() if k not in {"accelerator_hours", "accelerators"}}
    return {**kept, **({"model": "llama"} if field == "tokens" else {}), field: number}


@pytest.mark.parametrize("number", [1e9, 1e12, 1e18])
@pytest.mark.parametrize("interruptible", [True, False])
@pytest.mark.parametrize("field", MOST)
def test_huge_work_is_planned_as_far_as_it_goes(
    planned: Call, field: str, interruptible: bool, number: float
) -> None:
    huge = amount(field, min(number, MOST[field])) | {"interruptible": interruptible}
    plan = honest(planned([huge, HOURS | {"id": "small"}]))
    hours = huge[field] / 3.6e6 if field == "tokens" else huge[field]
    assert hours > 24 * 4
    [late] = plan["unplaced"]
    assert (late["workload_id"], late["earliest_feasible_deadline"]) == ("w", None)
    assert late["reason"]
    assert late["accelerator_hours"] == pytest.approx(hours - 96, rel=1e-3)
    assert "small" in {a["workload_id"] for a in plan["allocations"]}


@pytest.mark.parametrize("factor", [1.001, 1e20, 1e280])
@pytest.mark.parametrize("field", MOST)
def test_more_work_than_there_is_in_the_world_is_refused(planned: Call, field: str, factor: float) -> None:
    most = f"`{field}` must be at most {MOST[field]:g}"
    clear(planned([HOURS | {"id": "good"}, amount(field, factor * MOST[field])]), "workloads.jsonl:2", most)


def test_huge_work_of_a_model_that_must_be_loaded_is_planned_as_far_as_it_goes(planned: Call) -> None:
    loaded = [("fleet", "{H100-SXM: 1000}", "{H100-SXM: 1000}, load_minutes: 6")]
    plan = honest(planned([amount("tokens", 1e18), HOURS | {"id": "small"}], loaded))
    assert {a["workload_id"] for a in plan["allocations"]} == {"w", "small"}
    assert [u["workload_id"] for u in plan["unplaced"]] == ["w"]


@pytest.mark.parametrize("price", ["19999", "-999"])
def test_prices_that_some_market_may_have_are_planned_with(planned: Call, price: str) -> None:
    first = "2026-01-10T01:00:00Z,{},270"  # two more hours have the same price
    plan = honest(planned([HOURS], swaps=[("forecasts", first.format(60), first.format(price))]))
    in_the_first_hour = [a for a in plan["allocations"] if a["start"] == "2026-01-10T00:00:00Z"]
    assert bool(in_the_first_hour) is price.startswith("-")
    assert plan["unplaced"] == []


@pytest.mark.parametrize("price", ["20001", "1e6", "1e300", "-1001", "-1e12"])
@pytest.mark.parametrize("column", ["price_per_mwh", "price_per_mwh_p90", "price_per_mwh_p10"])
def test_prices_that_no_market_has_are_refused(planned: Call, column: str, price: str) -> None:
    header, *rows = (DATA / FILES["forecasts"]).read_text().splitlines()
    columns = f"{header},price_per_mwh_p10,price_per_mwh_p90"
    first = f"{rows[0]},-10,90".split(",")
    first[columns.split(",").index(column)] = price
    banded = "\n".join([columns, ",".join(first), *(f"{row},-10,90" for row in rows[1:])])
    swap = ("forecasts", "\n".join([header, *rows]), banded)
    clear(
        planned([HOURS], [swap]),
        "forecasts.csv:2",
        column,
        "is outside -1000 to 20000 EUR/MWh",
        "the unit is",
    )


@pytest.mark.parametrize("carbon", ["2501", "1e300", "-1"])
def test_carbon_that_no_grid_has_is_refused(planned: Call, carbon: str) -> None:
    answer = planned([HOURS], swaps=[("forecasts", ",60,270", f",60,{carbon}")])
    clear(answer, "forecasts.csv:2", "carbon_g_per_kwh", "is outside 0 to 2500 gCO2e/kWh", "the unit is")


@pytest.mark.parametrize("load", ["1.1e9", "1e300", "-1"])
def test_real_time_load_that_no_pool_has_is_refused(planned: Call, load: str) -> None:
    answer = planned([HOURS], swaps=[("realtime", ",3,5\n", f",3,{load}\n")])
    clear(answer, "realtime.csv:2", "accelerators_p99", "must be a number of accelerators, 0 to 1e+09")


@pytest.mark.parametrize("load", ["1e3", "1e9"])
def test_more_real_time_load_than_the_site_has_leaves_nothing_and_says_so(planned: Call, load: str) -> None:
    swaps = [("realtime", ",3,5\n", f",3,{load}\n"), ("realtime", ",5,7\n", f",5,{load}\n")]
    plan = honest(planned([HOURS], swaps=swaps))
    assert plan["allocations"] == []
    assert [u["workload_id"] for u in plan["unplaced"]] == ["w"]
    assert any("real-time load" in w for w in plan["warnings"])


def test_a_huge_fleet_is_planned(planned: Call) -> None:
    swaps = [("fleet", "count: 16", "count: 10000000"), ("fleet", "    power_limit_kw: 14\n", "")]
    plan = honest(planned([HOURS], swaps=swaps))
    assert plan["unplaced"] == []
    clear(planned([HOURS], swaps=[("fleet", "count: 16", "count: 10000000000")]), "fleet.yaml:9", "count")


@given(
    hours=st.floats(min_value=1e-12, max_value=1e12, allow_subnormal=False),
    width=st.integers(1, 10_000_000),
    kw=st.floats(1e-9, 1e9),
    price=st.floats(-1e4, 1e4),
    interruptible=st.booleans(),
)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_any_size_that_a_file_may_say_gets_a_plan_that_keeps_the_contract(
    hours: float, width: int, kw: float, price: float, interruptible: bool
) -> None:
    pool = Pool("p", "X", count=10, idle_kw=0.0, busy_kw=kw)
    jobs = [
        work("odd", hours, 4, max_accelerators=width, interruptible=interruptible),
        work("plain", 4, 6, max_accelerators=2),
    ]
    inputs = cycle_inputs(jobs, sites=[site(pools=(pool,))], prices=[price, 20, 40, -10, 5, 30], hours=6)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    done = sum(
        a.accelerators * (a.end - a.start) / (at(1) - at(0))
        for a in plan.allocations
        if a.workload_id == "odd"
    )
    short = sum(u.accelerator_hours for u in plan.unplaced if u.workload_id == "odd")
    assert done + short == pytest.approx(hours, rel=2e-4, abs=1e-6)
