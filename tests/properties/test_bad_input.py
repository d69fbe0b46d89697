"""What nobody should send, through the command that everybody uses: a clear error, or an honest plan."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shifter.cli.main import main
from shifter.cycle import plan_cycle, verify_plan
from shifter.domain.fleet import Pool
from tests.schedule.build import at, cycle_inputs, site, work

DATA = Path(__file__).parents[1] / "cli" / "data"
FILES = {
    "fleet": "fleet.yaml",
    "workloads": "workloads.jsonl",
    "forecasts": "forecasts.csv",
    "realtime": "realtime.csv",
}
WINDOW = ("--start", "2026-01-10T00:00:00Z", "--horizon", "24h", "--slot", "60min")
HOURS: dict[str, Any] = {
    "id": "w",
    "accelerator_hours": 6,
    "accelerators": ["H100-SXM"],
    "earliest_start": "2026-01-10T00:00:00Z",
    "deadline": "2026-01-11T00:00:00Z",
    "max_accelerators": 4,
    "preemptible": True,
}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def planned(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`shifter plan --verify --json` of 24 hours: its exit code, stdout and stderr.

    `work` stands in for the workloads; each of `swaps` is (file, old text, new text).
    """
    for name in ("COLUMNS", "NO_COLOR", "SHIFTER_CONFIG", "SHIFTER_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def run(
        work: Sequence[Mapping[str, Any]] = (), swaps: Sequence[tuple[str, str, str]] = ()
    ) -> tuple[int, str, str]:
        args = []
        for name, file in FILES.items():
            shutil.copy(DATA / file, tmp_path / file)
            args += [f"--{name}", str(tmp_path / file)]
        if work:
            (tmp_path / FILES["workloads"]).write_text("".join(json.dumps(w) + "\n" for w in work))
        for name, old, new in swaps:
            path = tmp_path / FILES[name]
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["plan", *args, *WINDOW, "--verify", "--json"])
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, " ".join(shown.err.split())

    return run


def honest(answer: tuple[int, str, str]) -> dict[str, Any]:
    """The plan that was printed: verified by the command itself, every number in it finite."""
    code, out, err = answer
    assert code == 0, err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in a plan")

    plan: dict[str, Any] = json.loads(out, parse_constant=refuse)
    assert plan["lower_bound"] <= plan["cost"]["total"] + 1e-6 * (1 + abs(plan["cost"]["total"]))
    return plan


def clear(answer: tuple[int, str, str], *told: str) -> None:
    """An error: exit code 2, nothing on stdout, and each of `told` in its words."""
    code, out, err = answer
    assert (code, out) == (2, ""), err
    for words in told:
        assert words in err
    assert "Traceback" not in err


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
    assert any("real-time load alone causes more than 0" in w for w in plan["warnings"])
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


@given(
    hours=st.floats(min_value=1e-12, max_value=1e300, allow_subnormal=False),
    width=st.integers(1, 10_000_000),
    kw=st.floats(1e-9, 1e9),
    price=st.floats(-1e4, 1e4),
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_any_size_that_is_a_number_gets_a_plan_that_keeps_the_contract(
    hours: float, width: int, kw: float, price: float
) -> None:
    pool = Pool("p", "X", count=10, idle_kw=0.0, busy_kw=kw)
    jobs = [work("odd", hours, 4, max_accelerators=width), work("plain", 4, 6, max_accelerators=2)]
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


def _rows(name: str) -> list[str]:
    return (DATA / FILES[name]).read_text().splitlines()[1:]


def _hours(allocation: Mapping[str, Any]) -> float:
    return (
        datetime.fromisoformat(allocation["end"]) - datetime.fromisoformat(allocation["start"])
    ).total_seconds() / 3600
