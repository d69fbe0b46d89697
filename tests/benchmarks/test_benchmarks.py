"""The benchmarks on examples of a few jobs: what they compute is right, and what they lack they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import gaia, zones
from benchmarks.figure import AtMost, Below, Figure, Options, Row, Skipped, Tell, Within, quiet
from benchmarks.hourly import HourlyJob, day_jobs, least_carbon_g
from benchmarks.machine import apart, family_mib, high_water_mib, measure, peak_mib
from benchmarks.runner import NAMES, carry_out, main
from benchmarks.table import Outcome, print_table
from shifter.cycle import plan_cycle

CARBON = np.array([300.0, 200.0, 100.0, 400.0, 50.0, 250.0, 120.0, 80.0])


def test_the_least_carbon_of_one_job_alone_takes_parts_of_hours_at_the_ends_of_its_window() -> None:
    job = HourlyJob(start=0.5, end=4.25, length_hours=1.5, cpus=2)
    # a quarter of hour 4 (50 g), all of hour 2 (100 g), a quarter of hour 1 (200 g), for 2 CPUs
    assert least_carbon_g([job], CARBON, None) == pytest.approx(2 * (0.25 * 50 + 100 + 0.25 * 200))
    assert least_carbon_g([job], CARBON, 100) == pytest.approx(least_carbon_g([job], CARBON, None))


def test_a_cap_costs_carbon_and_one_too_low_for_the_work_is_an_error() -> None:
    jobs = [HourlyJob(0, 8, 2, 1)] * 2
    assert least_carbon_g(jobs, CARBON, None) == pytest.approx(2 * (50 + 80))
    assert least_carbon_g(jobs, CARBON, 1) == pytest.approx(50 + 80 + 100 + 120)
    with pytest.raises(ValueError, match="no optimum at 1 CPUs"):
        least_carbon_g([HourlyJob(0, 3, 2, 1)] * 2, CARBON, 1)


@pytest.mark.parametrize("cap", [None, 3])
def test_the_gaia_replay_plans_the_optimum_of_jobs_on_whole_hours(cap: int | None) -> None:
    carbon = np.tile(CARBON, 8)
    jobs = tuple(gaia.Job(3600.0 * (i % 5), 3600.0 * (1 + i % 3), 1 + i % 2) for i in range(12))
    replay = gaia.Replay(jobs, datetime(2022, 10, 19, 16, tzinfo=UTC), carbon)
    plan = plan_cycle(gaia.inputs_of(replay, cap, 60))
    assert 1000 * plan.carbon_kg == pytest.approx(least_carbon_g(gaia.hourly_jobs(replay), carbon, cap))
    assert not plan.unplaced


def test_running_the_gaia_jobs_at_once_is_summed_over_parts_of_hours() -> None:
    jobs = (gaia.Job(1800.0, 3600.0, 2), gaia.Job(5400.0, 1800.0, 1))
    replay = gaia.Replay(jobs, datetime(2022, 10, 19, 16, tzinfo=UTC), CARBON)
    carbon_g, peak = gaia.at_once(replay)
    assert carbon_g == pytest.approx(2 * (0.5 * 300 + 0.5 * 200) + 0.5 * 200)
    assert peak == 2  # the first is gone when the second starts


@pytest.mark.parametrize("in_pieces", [True, False])
def test_the_zones_replay_is_the_closed_form(in_pieces: bool) -> None:
    carbon = tuple(200 + 100 * float(np.sin(i / 4)) + 7 * (i % 5) for i in range(60))
    outcomes = [zones.replay(batch) for batch in zones.batches("DE", carbon, in_pieces=in_pieces)]
    peer = day_jobs(np.array(carbon))
    assert sum(o.at_once_g for o in outcomes) == pytest.approx(peer.at_once_g)
    least = peer.pieces_g if in_pieces else peer.whole_g
    assert sum(o.planned_g for o in outcomes) == pytest.approx(least)
    if in_pieces:
        assert sum(o.bound_g for o in outcomes) == pytest.approx(least)


def test_a_year_of_zones_is_cut_into_weeks_that_hold_every_window() -> None:
    found = list(zones.batches("DE", [1.0] * 8760, in_pieces=True))
    assert sum(batch.n_jobs for batch in found) == 8737  # the last job ends with the year
    assert [len(batch.carbon_g_per_kwh) for batch in found[:2]] == [215, 215]
    assert len(found[-1].carbon_g_per_kwh) == 8760 - found[-1].first_hour


def test_targets() -> None:
    assert Figure("a", 0.9, target=Below(1.0)).met is True
    assert Figure("a", 1.0, target=Below(1.0)).met is False
    assert Figure("a", 33.2, target=Within(33.1, 0.11)).met is True
    assert Figure("a", None, target=Below(1.0)).met is None
    assert (str(Below(0.3)), str(Within(33.1, 0.1)), str(Within(0, 0))) == ("< 0.3", "33.10 ± 0.1", "0")


def test_without_data_everything_that_needs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gaia", "zones", "plan_quality", "cycle_speed"]) == 0
    said = capsys.readouterr().out
    assert said.count("skipped, it needs the data: give --data PATH") == 2
    assert said.count("among the cases: give --cases PATH, or --generator PROGRAM") == 2


def test_data_that_lacks_a_replay_is_named(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="finds no replay_gaia in"):
        list(gaia.run(Options(data=tmp_path), quiet))


def test_every_name_is_a_benchmark_and_another_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    said = capsys.readouterr().err
    assert "there is no benchmark speed" in said
    assert all(name in said for name in NAMES)


def _bench(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    def run(_options: Options, tell: Tell) -> Iterator[Figure]:
        tell("half", 0.5)
        yield Figure("[b]gap[/b]", 0.5, "%", Below(1.0), "bound 9")
        if fails:
            raise RuntimeError("no more")

    module = ModuleType("benchmarks.plan_quality", "How good\nplans are.\n\nAnd more.")
    module.__dict__["run"] = run
    monkeypatch.setitem(sys.modules, "benchmarks.plan_quality", module)


def test_json_holds_every_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _bench(monkeypatch, fails=False)
    assert main(["plan_quality", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["benchmarks"]
    assert found["figures"] == [
        {
            "figure": "[b]gap[/b]",
            "measured": 0.5,
            "unit": "%",
            "target": "< 1",
            "met": True,
            "beside": "bound 9",
        }
    ]


def test_one_that_fails_keeps_its_figures_and_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _bench(monkeypatch, fails=True)
    outcome = carry_out("plan_quality", Options())
    assert (len(outcome.lines), outcome.failed) == (1, "RuntimeError: no more")
    assert main(["plan_quality"]) == 1
    said = capsys.readouterr().out
    assert "plan_quality  How good plans are.  (0 s)" in said
    assert "[b]gap[/b]" in said
    assert "plan_quality: failed: RuntimeError: no more" in said


def test_rows_are_a_table_for_people_and_figures_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Row(
            name,
            (
                Figure("gap", gap, "%", AtMost(most)),
                Figure("pieces", pieces, "", AtMost(4), digits=1),
                Figure("cost", None, "EUR"),
            ),
            beside,
        )
        for name, gap, most, pieces, beside in (("a", 0.25, 0.5, 5.0, "slowly"), ("b", 0.75, 3.0, 2.0, ""))
    ]
    outcome = Outcome("some", "About it.", [Figure("alone", 1.0), *rows])
    print_table([outcome])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["gap", "[%]", "pieces,", "target", "≤", "4", "cost", "[EUR]"] in lines
    assert ["a", "0.25", "≤", "0.5", "✓", "5.0", "✗", "–"] in lines
    assert ["b", "0.75", "≤", "3", "✓", "2.0", "✓", "–"] in lines
    assert ["a:", "slowly"] in lines
    found = outcome.to_dict()["figures"]
    assert [f["figure"] for f in found[:3]] == ["alone", "a, gap", "a, pieces"]
    assert (found[1]["beside"], found[1]["target"], found[2]["met"]) == ("slowly", "≤ 0.5", False)


def test_what_is_called_apart_runs_in_a_process_of_its_own() -> None:
    assert apart(os.getpid) != os.getpid()
    assert 1 < apart(peak_mib) < 1000
    assert family_mib(os.getpid()) >= high_water_mib(os.getpid()) == peak_mib()


def test_a_command_is_measured() -> None:
    took = measure([sys.executable, "-c", "raise SystemExit(3)"])
    assert took.exit_code == 3
    assert 0 < took.cpu_s < 60
    assert took.wall_s > 0
    assert 1 < peak_mib() < 10_000


def test_what_is_logged_while_it_is_measured_spoils_no_json() -> None:
    """In a process of its own, as a benchmark spawns them: nothing else has configured logging there."""
    program = (
        "import benchmarks.runner; from shifter.telemetry import get_logger; log = get_logger('shifter.cycle'); "
        "log.info('plan published'); log.warning('a meter fails', meter='m'); print('{}')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"
    assert "a meter fails" in done.stderr
    assert "plan published" not in done.stderr
