"""The naive model finds the optimum of the contract's relaxation, and what does not survive its limits says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.cases import read_case, window_share
from benchmarks.figure import Options, quiet
from benchmarks.machine import watch
from benchmarks.naive import run
from benchmarks.naive_model import NaiveModel, measure_naive
from benchmarks.one_plan import measure_plan
from shifter.domain.fleet import Pool
from shifter.domain.resilience import Resilience
from tests.schedule.build import at, cycle_inputs, site, work


def _optimum(inputs) -> float:
    model = NaiveModel(inputs)
    model.problem.solve(solver="HIGHS")
    assert model.problem.status == "optimal"
    return float(model.problem.value)


def test_by_hand_cheapest_hours_under_a_limit_and_a_demand_charge() -> None:
    jobs = [work("a", 6, 3)]
    one = site(power_limit_kw=4.0)
    inputs = cycle_inputs(jobs, sites=[one], prices=[50, 10, 30], carbon=[0.0001] * 3, hours=3)
    assert _optimum(inputs) == pytest.approx((4 * 10 + 2 * 30) / 1000)
    charged = site(demand_charge_per_kw=1.0, peak_so_far_kw=1.0)
    inputs = cycle_inputs(jobs, sites=[charged], prices=[50, 10, 30], carbon=[0.0001] * 3, hours=3)
    assert _optimum(inputs) == pytest.approx(2 * (50 + 10 + 30) / 1000 + 1.0)


def test_by_hand_only_preemptible_work_stands_in_the_reserve() -> None:
    pool = Pool("p", "X", count=10, failure_domains=2, idle_kw=0.0, busy_kw=1.0)
    jobs = [work("firm", 2, 2, preemptible=False), work("soft", 6, 2)]
    inputs = cycle_inputs(
        jobs,
        sites=[site(pools=(pool,), resilience=Resilience(0.99, 1))],
        prices=[10, 50],
        load={("a", "p"): {0.5: 0.0, 0.99: 4.0}},
        hours=2,
    )
    # six may be used in an hour, two of them by firm work: all of it in the first hour, two of the soft in the second
    assert _optimum(inputs) == pytest.approx((6 * 10 + 2 * 50) / 1000)


def test_a_window_inside_a_slot_is_a_share_of_it() -> None:
    job = work("a", 1, 2.25, earliest_start=at(0.5))
    edges = [at(h) for h in range(4)]
    assert list(window_share(job, edges, at(0))) == [0.5, 1.0, 0.25]
    assert list(window_share(job, edges, at(0.75))) == [0.25, 1.0, 0.25]


def test_it_agrees_with_our_bound(tiny_case: Path) -> None:
    naive, ours = measure_naive(tiny_case), measure_plan(tiny_case)
    assert ours["lower_bound"] <= naive["total"] + 1e-6
    assert naive["total"] == pytest.approx(ours["lower_bound"], rel=1e-4)
    assert naive["total"] <= ours["total"] + 1e-6
    assert measure_naive(tiny_case, 2)["total"] < naive["total"]
    assert len(read_case(tiny_case, first=2).submissions) == 2


def test_what_does_not_survive_is_stopped_and_said(tmp_path: Path, tiny_case: Path) -> None:
    tiny_case.rename(tmp_path / "small")
    figures = {f.name: f for f in run(Options(cases=tmp_path), quiet)}
    assert figures["small, naive optimum above our bound"].met is True
    assert "small (" in figures["naive, largest case that it survives"].beside
    figures = {f.name: f for f in run(Options(cases=tmp_path, memory_limit_mib=1.0), quiet)}
    assert figures["small, naive"].measured is None
    assert "stopped by the limit of memory" in figures["small, naive"].beside
    assert figures["naive, largest case that it survives"].beside.startswith("none, within")


def test_a_command_is_watched() -> None:
    took = watch([sys.executable, "-c", "print('a' * 3); import sys; sys.exit('why')"], time_limit_s=60)
    assert (took.out, took.last_word, took.exit_code, took.stopped) == ("aaa\n", "why", 1, "")
    took = watch([sys.executable, "-c", "import time; time.sleep(60)"], time_limit_s=0.2)
    assert took.stopped == "time"
    assert took.wall_s < 30
    hungry = "import time; kept = b'x' * 300_000_000; time.sleep(60)"
    took = watch([sys.executable, "-c", hungry], time_limit_s=60, memory_limit_mib=150)
    assert took.stopped == "memory"
    assert took.peak_mib > 150
