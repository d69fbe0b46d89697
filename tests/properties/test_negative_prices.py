"""Prices below zero all day, with every term that could be made to earn by wasting: none does more than it may."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shifter.cli.main import main
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Model, Pool
from shifter.domain.plan import OPTIMAL, Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import Resilience
from tests.files.good import EXAMPLES
from tests.properties.test_optimum import optimum
from tests.schedule.build import START, at, cycle_inputs, site, work

POOL = Pool("p", "X", count=10, idle_kw=0.2, busy_kw=1.0)
BATTERY = Battery(20, 5, 0.9, 0.9, initial_kwh=10, min_kwh=1)
PLANT = Generation((GenerationWindow(START, at(24), 4.0),))
SOLD = {"export_limit_kw": 10.0, "export_price_per_mwh": 40.0}
RESTING = {"pools": (replace(POOL, off_kw=0.0),)}


def negative(price: float, load_minutes: float = 0.0, **terms: Any) -> CycleInputs:
    """A day at this price, no carbon counted: six hours of tokens and twenty accelerator-hours at one site."""
    tokens = work("tokens", 0, 24, accelerator_hours=None, model="m", tokens=6 * 3.6e6)
    return cycle_inputs(
        [tokens, work("firm", 20, 12, preemptible=False)],
        sites=[site(**{"pools": (POOL,), **terms})],
        models=[Model("m", {"X": 1000.0}, {}, load_minutes)],
        prices=[price] * 24,
    )


def held_hours(plan: Plan) -> dict[str, float]:
    """Accelerator-hours that each workload holds."""
    held: dict[str, float] = defaultdict(float)
    for a in plan.allocations:
        held[a.workload_id] += a.accelerators * ((a.end - a.start) / timedelta(hours=1))
    return held


@pytest.mark.parametrize("price", [-1.0, -80.0, -1000.0])
@pytest.mark.parametrize(
    "terms",
    [
        {"battery": BATTERY},
        {"generation": PLANT},
        {"generation": PLANT, **SOLD},
        {"battery": BATTERY, **SOLD},
        RESTING,
    ],
    ids=["battery", "plant", "plant that may sell", "battery that may sell", "powered down"],
)
def test_a_site_that_is_paid_to_draw_does_the_work_once_at_the_least_cost(
    terms: dict[str, Any], price: float
) -> None:
    inputs = negative(price, **terms)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert (plan.status, plan.unplaced) == (OPTIMAL, ())
    assert held_hours(plan) == pytest.approx({"tokens": 6, "firm": 20}, rel=1e-3)
    assert plan.cost.total == pytest.approx(optimum(problem_of(inputs)), rel=1e-3)
    assert plan.cost.total < 0
    for row in plan.power:
        # Its own kWh would take the place of one that earns, and rest would draw less.
        assert not row.generated_kw
        assert "battery" in terms or not row.export_kw
        assert row.import_kw >= 0
        # What a battery loses earns: it may turn over all that it can, one way at a time, and no more.
        assert row.charge_kw + row.discharge_kw <= BATTERY.power_kw + 1e-6
    assert {row.off for row in plan.slots} <= {None, 0.0}


def test_models_are_loaded_no_oftener_than_the_work_takes() -> None:
    """Loading draws power and does nothing, which earns here; each run is loaded once, and there are few."""
    inputs = negative(-80.0, load_minutes=12.0)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.unplaced == ()
    runs = [a for a in plan.allocations if a.workload_id == "tokens"]
    assert len(runs) <= 4
    loaded = sum(a.accelerators * 12 / 60 for a in runs)
    assert held_hours(plan) == pytest.approx({"tokens": 6 + loaded, "firm": 20}, rel=1e-3)


def test_everything_at_once_keeps_every_limit_and_does_all_the_work() -> None:
    everything = {"battery": BATTERY, "generation": PLANT, **SOLD, **RESTING}
    limits: dict[str, Any] = {
        "power_limit_kw": 12.0,
        "demand_charge_per_kw": 0.01,
        "ramp_limit_kw_per_minute": 0.1,
        "resilience": Resilience(0.99, ride_through_minutes=5),
    }
    inputs = negative(-80.0, load_minutes=12.0, **everything, **limits)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.unplaced == ()
    assert plan.lower_bound <= plan.cost.total < 0


def test_the_example_with_all_terms_is_planned_through_the_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COLUMNS", "NO_COLOR", "SHIFTER_CONFIG", "SHIFTER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    hours = [at(h).isoformat().replace("+00:00", "Z") for h in range(49)]
    forecasts = ["zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh"]
    forecasts += [
        f"{z},{hours[0]},{a},{b},{-60 - i % 7},0"
        for z in ("ES", "NO1")
        for i, (a, b) in enumerate(pairwise(hours))
    ]
    load = ["site,pool,start,end,accelerators_p50,accelerators_p99"]
    load += [f"{pool},{hours[0]},{hours[-1]},8,16" for pool in ("sevilla,h100", "oslo,l40s")]
    jobs = [
        {
            "id": f"{tenant}-{i}",
            "tenant": tenant,
            "model": "llama-3.1-8b",
            "tokens": 4e8,
            "earliest_start": hours[0],
            "deadline": hours[30 + 6 * i],
            "max_accelerators": 16,
            "preemptible": True,
        }
        for tenant in ("search", "research")
        for i in range(3)
    ]
    lines = {"forecasts.csv": forecasts, "realtime.csv": load, "workloads.jsonl": map(json.dumps, jobs)}
    args = ["--fleet", str(EXAMPLES / "fleet-terms.yaml"), "--start", hours[0], "--slot", "60min"]
    for name, rows in lines.items():
        file = tmp_path / name
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")
        args += [f"--{file.stem}", str(file)]
    with pytest.raises(SystemExit) as ended:
        main(["plan", *args, "--verify", "--json"])
    shown = capfd.readouterr()
    assert not ended.value.code, shown.err
    plan = json.loads(shown.out)
    assert plan["unplaced"] == []
    assert {a["workload_id"] for a in plan["allocations"]} == {job["id"] for job in jobs}
    assert plan["lower_bound"] <= plan["cost"]["total"] + 1e-6 < 0
    assert not any(row.get("generated_kw") for row in plan["power"])
    assert not any("planned by" in warning or "without the solver" in warning for warning in plan["warnings"])
