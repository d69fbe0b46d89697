"""What nobody should send, through the command that everybody uses: a clear error, or an honest plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shifter.cycle import plan_cycle
from tests.properties.command import DATA, FILES, HOURS, Call, clear, honest
from tests.schedule.build import cycle_inputs, work

BAD_NUMBERS = [(0, "greater than 0"), (-3, "greater than 0"), (math.nan, "finite"), (math.inf, "finite")]


@pytest.mark.parametrize(("number", "told"), BAD_NUMBERS)
@pytest.mark.parametrize("field", ["tokens", "accelerator_hours"])
def test_amounts_of_work_that_are_none(planned: Call, field: str, number: float, told: str) -> None:
    kept = {k: v for k, v in HOURS.items() if k not in {"accelerator_hours", "accelerators"}}
    whose = {"model": "llama"} if field == "tokens" else {}
    clear(
        planned([HOURS | {"id": "good"}, {**kept, **whose, field: number}]), "workloads.jsonl:2", field, told
    )


@pytest.mark.parametrize("number", [0, -1, 2.5, math.nan, math.inf, 1e300])
def test_widths_that_are_none(planned: Call, number: float) -> None:
    clear(planned([HOURS | {"max_accelerators": number}]), "workloads.jsonl:1", "max_accelerators")


@pytest.mark.parametrize(
    ("old", "field"),
    [
        ("count: 16", "count"),
        ("busy_kw: 0.7", "busy_kw"),
        ("idle_kw: 0.1", "idle_kw"),
        ("pue: 1.2", "pue"),
        ("power_limit_kw: 14", "power_limit_kw"),
        ("H100-SXM: 1000", "H100-SXM"),
        ("carbon_price_per_tonne: 80", "carbon_price_per_tonne"),
    ],
)
@pytest.mark.parametrize("number", ["-1", ".nan", ".inf", "-.inf"])
def test_quantities_of_the_fleet_that_are_none(planned: Call, old: str, field: str, number: str) -> None:
    clear(planned(swaps=[("fleet", old, f"{old.split(':', maxsplit=1)[0]}: {number}")]), "fleet.yaml:", field)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "dear"])
@pytest.mark.parametrize(("file", "old"), [("forecasts", ",60,270"), ("realtime", ",3,5\n")])
def test_forecasts_and_load_that_are_no_numbers(planned: Call, file: str, old: str, number: str) -> None:
    parts = old.strip().split(",")
    new = f",{number},{parts[2]}" + ("\n" if old.endswith("\n") else "")
    clear(planned(swaps=[(file, old, new)]), FILES[file])


@pytest.mark.parametrize(
    ("start", "deadline", "late"),
    [
        ("2026-01-08T00:00:00Z", "2026-01-09T00:00:00Z", True),  # over before the horizon begins
        ("2026-01-08T00:00:00Z", "2026-01-10T00:00:00Z", True),  # over as it begins
        ("2026-01-11T00:00:00Z", "2026-01-12T00:00:00Z", False),  # begins as it ends: planned later
        ("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z", False),
        ("2001-01-01T00:00:00Z", "2090-12-31T00:00:00Z", False),  # holds it: there is room now
    ],
)
def test_windows_outside_the_horizon(planned: Call, start: str, deadline: str, late: bool) -> None:
    plan = honest(
        planned([HOURS | {"earliest_start": start, "deadline": deadline}, HOURS | {"id": "inside"}])
    )
    placed = {a["workload_id"] for a in plan["allocations"]}
    assert "inside" in placed
    assert [u["workload_id"] for u in plan["unplaced"]] == (["w"] if late else [])
    assert ("w" in placed) is (start.startswith("2001"))
    if late:
        assert "deadline" in plan["unplaced"][0]["reason"].lower()


@pytest.mark.parametrize("n", [2, 3, 50])
def test_a_cycle_is_named(planned: Call, n: int) -> None:
    chain = [HOURS | {"id": f"w{i}", "depends_on": [f"w{(i + 1) % n}"]} for i in range(n)]
    clear(planned([HOURS, *chain]), "these workloads wait for one another: w0 -> w1", "depends_on")


def test_a_dependency_that_is_not_there_is_named(planned: Call) -> None:
    clear(planned([HOURS | {"depends_on": ["misspelt"]}]), "depends on misspelt", "depends_on[0]")


@pytest.mark.parametrize(
    "over",
    [
        {"data_boundary": ["FR"]},
        {"accelerators": ["H100-SXM"], "sites": ["hall"], "data_boundary": ["FR"]},
        {"accelerator_hours": None, "accelerators": None, "model": "elsewhere", "tokens": 1e6},
    ],
)
def test_work_that_no_pool_may_run_is_named_with_the_reason(planned: Call, over: dict[str, Any]) -> None:
    models = "  - {name: elsewhere, throughput_tokens_per_s: {TPU: 1000}}\nobjective"
    answer = planned([HOURS | {"id": "good"}, HOURS | over], swaps=[("fleet", "objective", models)])
    clear(answer, "workloads.jsonl:2", "no pool may run it: hall/h100 (")


def test_work_that_no_pool_may_run_any_more_is_told_of_by_a_cycle() -> None:
    inputs = cycle_inputs([work("nowhere", 3, 24, data_boundary=("FR",)), work("here", 3, 24)])
    plan = plan_cycle(inputs)
    assert [(u.workload_id, u.accelerator_hours, u.earliest_feasible_deadline) for u in plan.unplaced] == [
        ("nowhere", 3, None)
    ]
    assert plan.unplaced[0].reason
    assert {a.workload_id for a in plan.allocations} == {"here"}


@pytest.mark.parametrize("pools", ["pools: []\n", "pools:\n", ""])
def test_a_site_without_pools_is_an_error_that_names_it(planned: Call, pools: str) -> None:
    at_fault = f"  - name: void\n    zone: DE-LU\n{'    ' + pools if pools else ''}models:"
    clear(planned([HOURS], swaps=[("fleet", "models:", at_fault)]), "fleet.yaml:", "sites[1].pools")


@pytest.mark.parametrize("limit_kw", [0, 1, 2.5])
def test_a_limit_below_real_time_load_leaves_it_alone_and_is_told(planned: Call, limit_kw: float) -> None:
    all_day = f"start: 2026-01-10T00:00:00Z, end: 2026-01-11T00:00:00Z, limit_kw: {limit_kw}"
    window = f"power_limit_kw: 14\n    power_limits:\n      - {{{all_day}}}\n"
    plan = honest(planned([HOURS], swaps=[("fleet", "power_limit_kw: 14\n", window)]))
    assert plan["allocations"] == []
    assert any("real-time load alone exceeds the power limit" in w for w in plan["warnings"])
    assert "power limit" in plan["unplaced"][0]["reason"]


def test_a_budget_below_real_time_load_leaves_it_alone_and_is_told(planned: Call) -> None:
    day = "start: 2026-01-10T00:00:00Z, end: 2026-01-11T00:00:00Z"
    budget = f"{{carbon_price_per_tonne: 80, budgets: [{{kind: money, limit: 0, {day}}}]}}"
    plan = honest(planned([HOURS], swaps=[("fleet", "{carbon_price_per_tonne: 80}", budget)]))
    assert plan["allocations"] == []
    assert any("real-time load and idle accelerators alone cause more than 0" in w for w in plan["warnings"])
    assert "budgets[0]" in plan["unplaced"][0]["reason"]


def test_negative_prices_all_day_are_taken_and_never_chased(planned: Call, tmp_path: Path) -> None:
    swaps = [("forecasts", line, f"{line.rsplit(',', 2)[0]},-80,0") for line in _rows("forecasts")]
    plan = honest(planned([HOURS], swaps=swaps))
    assert plan["cost"]["total"] < 0
    assert plan["unplaced"] == []
    # paid to draw power, it still does the work once and nothing more
    hours = sum(a["accelerators"] * _hours(a) for a in plan["allocations"])
    assert hours == pytest.approx(6, rel=1e-3)
    assert abs(plan["relative_gap"]) <= 1e-3


def test_a_thousand_workloads_of_an_accelerator_second(planned: Call) -> None:
    second = HOURS | {"accelerator_hours": 1 / 3600, "max_accelerators": 1}
    plan = honest(planned([second | {"id": f"s{i}"} for i in range(1000)]))
    assert plan["unplaced"] == []
    done: dict[str, float] = {}
    for a in plan["allocations"]:
        done[a["workload_id"]] = done.get(a["workload_id"], 0.0) + 3600 * a["accelerators"] * _hours(a)
    assert len(done) == 1000
    assert all(seconds == pytest.approx(1, rel=2e-4) for seconds in done.values())


def test_one_workload_larger_than_the_fleet_takes_all_that_there_is_and_no_limit(planned: Call) -> None:
    plan = honest(planned([HOURS | {"accelerator_hours": 5000, "max_accelerators": 1000}]))
    [late] = plan["unplaced"]
    hours = sum(a["accelerators"] * _hours(a) for a in plan["allocations"])
    assert hours + late["accelerator_hours"] == pytest.approx(5000, rel=1e-3)
    assert late["earliest_feasible_deadline"] is None
    # 16 accelerators less real-time load at its quantile, five and then seven, all day: 14 kW carry them
    assert 1.2 * (0.1 * 16 + 0.6 * 16) < 14
    assert hours == pytest.approx(12 * (16 - 5) + 12 * (16 - 7), rel=1e-3)


def _rows(name: str) -> list[str]:
    return (DATA / FILES[name]).read_text().splitlines()[1:]


def _hours(allocation: Mapping[str, Any]) -> float:
    return (
        datetime.fromisoformat(allocation["end"]) - datetime.fromisoformat(allocation["start"])
    ).total_seconds() / 3600
