"""The job-by-job scheduler on a fleet small enough to be worked out by hand, and what is said of it beside a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figure import Options, Skipped, flat, quiet
from benchmarks.job_by_job import (
    Policy,
    added_up,
    alone,
    job_by_job,
    no_job,
    only_what_is_left,
    within_limits,
)
from benchmarks.peers import run
from shifter.cycle import CycleInputs
from shifter.domain.fleet import Model, Pool, PowerWindow
from shifter.domain.resilience import Resilience
from tests.schedule.build import at, cycle_inputs, site, work

PRICES = [40.0, 10.0, 30.0, 20.0]
CARBON = [100.0, 400.0, 300.0, 200.0]


def _two_jobs(**over: Any) -> CycleInputs:
    """Two jobs of 12 accelerator-hours on at most 8 of ten 1 kW accelerators, four hours."""
    jobs = [work("a", 12, 4, max_accelerators=8), work("b", 12, 4, max_accelerators=8, preemptible=False)]
    return cycle_inputs(jobs, sites=[site(**over)], prices=PRICES, carbon=CARBON, carbon_price=50.0, hours=4)


def test_a_job_alone_takes_its_cheapest_slots_and_its_cleanest() -> None:
    inputs = _two_jobs()
    job = inputs.submissions[0].workload
    # energy and carbon of a kWh: 0.045, 0.030, 0.045, 0.030; then the first of the two cheapest is filled first
    assert [list(a) for a in alone(job, inputs, Policy.CHEAPEST)[0].values()] == [[0, 8, 0, 4]]
    assert [list(a) for a in alone(job, inputs, Policy.CLEANEST)[0].values()] == [[8, 0, 0, 4]]
    assert [list(a) for a in alone(job, inputs, Policy.SOONEST)[0].values()] == [[8, 4, 0, 0]]


def test_what_all_of_them_together_cost_and_break() -> None:
    inputs = _two_jobs(
        pue=1.5,
        power_limit_kw=20.0,
        power_limits=(PowerWindow(at(3), at(4), 10.0),),
        demand_charge_per_kw=2.0,
        peak_so_far_kw=15.0,
        pools=(Pool("p", "X", count=10, failure_domains=2, idle_kw=0.0, busy_kw=1.0),),
        resilience=Resilience(0.99, lose_domains=1),
    )
    taken = job_by_job(inputs, Policy.CHEAPEST)
    found = added_up(inputs, taken)
    # 16 and 8 accelerators in hours 1 and 3: 24 kW and 12 kW of import
    assert found.peak_kw == {"a": 24.0}
    assert found.demand_charge == pytest.approx(2 * (24 - 15))
    assert found.cost == pytest.approx(0.030 * 24 + 0.030 * 12 + 18)
    assert found.carbon_kg == pytest.approx(0.4 * 24 + 0.2 * 12)
    assert found.over_power == 2  # 24 of 20 kW, and 12 of 10 kW
    assert found.over_capacity == 1  # 16 of ten
    assert found.in_reserve == 0  # b's 8 are under ten, and nothing is reserved
    assert found.worst_ratio == pytest.approx(1.6)
    assert found.done_hours == pytest.approx(24)
    # ten of 16 have room in hour 1, 15 kW under 20; of 12 kW in hour 3 ten do
    cut = within_limits(inputs, taken)
    left = added_up(inputs, cut)
    assert left.broken == 0 < found.broken
    assert left.done_hours == pytest.approx(10 + 8 * 10 / 12)
    assert left.cost == pytest.approx(0.030 * 15 + 0.030 * 10)
    same = only_what_is_left(inputs, Policy.CHEAPEST, taken, cut)
    assert [s.done for s in same.submissions] == pytest.approx([12 - 8 * 10 / 16 - 4 * 10 / 12] * 2)
    assert added_up(inputs, no_job(inputs)).cost == 0


def test_real_time_load_counts_at_its_median_in_the_bill_and_at_its_quantile_under_the_limits() -> None:
    pool = Pool("p", "X", count=10, failure_domains=2, idle_kw=0.2, busy_kw=1.0)
    inputs = cycle_inputs(
        [work("a", 4, 4, max_accelerators=4, preemptible=False)],
        sites=[site(pools=(pool,), power_limit_kw=9.0, resilience=Resilience(0.99, 1))],
        prices=PRICES,
        carbon=CARBON,
        load={("a", "p"): {0.5: 2.0, 0.99: 4.0}},
        hours=4,
    )
    taken = job_by_job(inputs, Policy.CHEAPEST)
    found = added_up(inputs, taken)
    idle_kw, median_kw = 0.2 * 10, 0.8 * 2
    assert found.peak_kw["a"] == pytest.approx(idle_kw + median_kw + 0.8 * 4)
    assert found.cost == pytest.approx((idle_kw + median_kw) * 0.1 + 0.8 * 4 * 0.01)
    # 2 + 0.8 * (4 + 4) = 8.4 kW is under 9; 4 + 4 is under ten; after a lost half, 8 are reserved and 4 + 8 is not
    assert (found.over_power, found.over_capacity, found.in_reserve) == (0, 0, 1)
    assert found.worst_ratio == pytest.approx(0.6)
    assert added_up(inputs, within_limits(inputs, taken)).done_hours == pytest.approx(2)


def test_a_window_inside_a_slot_and_whole_replicas_in_the_pool_that_is_best_for_the_work() -> None:
    model = Model("m", {"X": 1000.0, "Y": 100.0}, {"X": 4})
    pools = (Pool("p", "X", count=10), Pool("q", "Y", count=10, busy_kw=0.05))
    amount = 3600.0 * 1000 * 6
    job = work(
        "a",
        0,
        4,
        accelerator_hours=None,
        model="m",
        tokens=amount,
        earliest_start=at(0.5),
        max_accelerators=7,
    )
    inputs = cycle_inputs([job], sites=[site(pools=pools)], models=[model], prices=PRICES, hours=4)
    # per token, a kW at 1000 tokens/s is dearer than 0.05 kW at 100: but of those, 7 do 0.7 h of work in an hour
    taken, left = alone(job, inputs, Policy.CHEAPEST)
    assert left == pytest.approx(6 - 0.7 * 3.5)
    assert list(taken["a", "q"]) == [3.5, 7, 7, 7]
    assert not taken["a", "p"].any()
    taken, left = alone(job, inputs, Policy.SOONEST)
    assert left == 0
    assert list(taken["a", "p"]) == [2, 4, 0, 0]  # four of seven: one replica, from the half hour on


def test_without_cases_it_says_what_to_give_and_without_one_case_the_other_still_runs(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="--generator"):
        list(run(Options(), quiet))
    maker = tmp_path / "maker.py"
    maker.write_text("raise SystemExit('no such kind')\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="the generator made no case fleet: no such kind"):
        list(run(Options(generator=maker), quiet))


@pytest.mark.usefixtures("here")
def test_beside_a_plan_of_a_case(tmp_path: Path, tiny_case: Path) -> None:
    maker = tmp_path / "maker.py"
    copy = f"import shutil, sys\nshutil.copytree({json.dumps(str(tiny_case))}, sys.argv[3])\n"
    maker.write_text(f"{copy}sys.exit(sys.argv[1] == 'fleet' and sys.argv[2] != '1')\n", encoding="utf-8")
    figures = {f.name: f for f in flat(run(Options(generator=maker), quiet))}
    assert figures["fleet, ours, limits broken"].met is True
    assert figures["tight, cheapest, limits broken"].met is False
    assert (figures["fleet, cheapest, peaks over ours"].measured or 0) > 1.5
    in_time, late, each, same = (
        figures[f"tight, cheapest, {name}"].measured or 0.0
        for name in (
            "done in time",
            "late, or without room",
            "cost of an hour in time",
            "ours, for the same work",
        )
    )
    assert in_time + late == pytest.approx(figures["tight, ours, done in time"].measured)
    assert 0 < same < each
