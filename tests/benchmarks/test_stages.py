"""The stopwatch counts each second once, its stages are where it looks for them, and a command that was stopped
still tells what it was at.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

import shifter.schedule.schedule
from benchmarks.cases import read_case
from benchmarks.figure import Options, Skipped, quiet
from benchmarks.profiled import REST, STAGES, Stopwatch, wrapped
from benchmarks.scale import run as run_scale
from benchmarks.scale import verified
from benchmarks.stages import bar, planned, run
from shifter.cycle import plan_cycle


def test_a_stage_inside_another_takes_its_time_from_it() -> None:
    seen: list[str] = []
    before = time.perf_counter()
    watch = Stopwatch(lambda w: seen.append(w.now_at))
    begun = time.perf_counter()
    with watch.of("packing"):
        time.sleep(0.02)
        with watch.of("solving"):
            time.sleep(0.05)
        time.sleep(0.02)
    ended = time.perf_counter()
    watch.turn()
    after = time.perf_counter()
    assert watch.seconds["solving"] >= 0.05
    assert watch.seconds["packing"] >= 0.04
    assert ended - begun <= sum(watch.seconds.values()) <= after - before
    assert seen == ["packing", "solving", "packing", REST]


def test_every_stage_is_where_the_stopwatch_looks_for_it_and_is_put_back(
    tiny_case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = read_case(tiny_case)
    watch = Stopwatch()
    with wrapped(watch):  # a step that was moved or renamed fails here: mend STAGES
        plan_cycle(inputs)
        monkeypatch.setattr(shifter.schedule.schedule, "EXACT_COLUMNS", 0)
        plan_cycle(replace(inputs))
    planning = set(STAGES) - {"reading", "writing", "showing"}
    assert planning == set(watch.calls)
    calls = dict(watch.calls)
    plan_cycle(inputs)
    assert dict(watch.calls) == calls


def test_a_whole_command_in_stages(tmp_path: Path, tiny_case: Path) -> None:
    found = planned(tiny_case, tmp_path, time_limit_s=100)
    assert found.plan is not None
    assert json.loads(found.plan.read_text())["allocations"]
    assert set(STAGES) < set(found.seconds)
    assert all(found.seconds[stage] > 0 for stage in STAGES if stage != "pricing")
    assert sum(found.seconds.values()) < found.took.wall_s
    tiny_case.rename(tmp_path / "small")
    figures = list(run(Options(cases=tmp_path), quiet))
    whole, parts = figures[0].measured, [f.measured or 0.0 for f in figures[1:]]
    assert sum(parts) == pytest.approx(whole)


def test_a_command_that_fails_or_is_stopped(tmp_path: Path, tiny_case: Path) -> None:
    tiny_case.rename(tmp_path / "small")
    [whole, *_] = run(Options(cases=tmp_path, time_limit_s=0.01), quiet)
    assert "stopped by the limit of time while importing" in whole.beside
    (tmp_path / "small" / "fleet.yaml").write_text("currency: EUR\n")
    with pytest.raises(RuntimeError, match="small: "):
        list(run(Options(cases=tmp_path), quiet))


def test_large_cases_beside_their_targets(tmp_path: Path, tiny_case: Path) -> None:
    with pytest.raises(Skipped, match="ten_k or hundred_k or million"):
        list(run_scale(Options(cases=tmp_path), quiet))
    tiny_case.rename(tmp_path / "ten_k")
    judge = tmp_path / "judge.py"
    judge.write_text(
        "import json, sys\n"
        "bound = 1.5 * json.load(open(sys.argv[2]))['lower_bound']\n"
        "said = {'violations': 0, 'first': [], 'certificate': bound, 'certificate_gap': 0.003}\n"
        "print(json.dumps(said))\n"
    )
    options = Options(cases=tmp_path, judge=judge, repeat=2)
    figures = {f.name: f for f in run_scale(options, quiet)}
    for name in ("files to plan, wall", "peak memory", "certified gap"):
        assert figures[f"ten_k, {name}"].met is True
    for name in ("violations, our verifier", "violations, judge", "plans that differ"):
        assert figures[f"ten_k, {name}"].measured == 0
    assert "median of 2 runs" in figures["ten_k, files to plan, wall"].beside
    assert figures["ten_k, our bound from the judge's"].measured == pytest.approx(100 / 3)
    assert figures["ten_k, our bound from the judge's"].met is False
    assert figures["ten_k, pieces per workload"].measured is not None
    assert figures["million: skipped"].measured is None
    figures = {f.name: f for f in run_scale(Options(cases=tmp_path, time_limit_s=0.01), quiet)}
    assert "no plan: stopped by the limit of time" in figures["ten_k, files to plan, wall"].beside
    assert "ten_k, certified gap" not in figures


def test_a_plan_that_breaks_a_condition_or_cannot_be_checked(tmp_path: Path, tiny_case: Path) -> None:
    found = planned(tiny_case, tmp_path, time_limit_s=100)
    assert found.plan is not None
    raw = json.loads(found.plan.read_text())
    raw["allocations"][0]["accelerators"] += 1
    found.plan.write_text(json.dumps(raw))
    figure = verified("ten_k", tiny_case, found.plan, Options())
    assert figure.met is False
    assert "shifter plan PLAN --verify: " in figure.beside
    figure = verified("ten_k", tiny_case, found.plan, Options(time_limit_s=0.01))
    assert figure.measured is None
    assert "no verdict: stopped by the limit of time" in figure.beside


def test_bars() -> None:
    assert bar(0.5) == "█" * 20 + " " * 20 + "  50 %"
    assert bar(0.0).strip() == "0 %"
