"""What is said of a plan's quality: by our verifier, by a judge, by seed and by the price of a run."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import pieces, plan_quality, seeds
from benchmarks.cases import hours_of, read_case
from benchmarks.figure import Options, Row, Skipped, flat, quiet
from benchmarks.judge import gap_of_what_is_done, judged
from forecasts.slots import isoformat_z
from shifter.domain.rows import Unplaced
from tests.schedule.build import at

PRINTS = "import json, sys\n"
VERDICT = {"violations": 2, "first": ["a", "b"], "gap": 0.012, "certificate_gap": None}


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """Finds nothing wrong, and says in `certificate` how much work the case has; solves nothing where told so."""
    program = tmp_path / "judge.py"
    program.write_text(
        PRINTS + "jobs = [json.loads(line) for line in open(sys.argv[1] + '/workloads.jsonl')]\n"
        "said = {'violations': 0, 'first': [], 'gap': None if '--no-bound' in sys.argv else 0.001,\n"
        "        'certificate_gap': 0.002, 'certificate': sum(job['tokens'] for job in jobs)}\n"
        "print(json.dumps(said))\n"
    )
    return program


@pytest.fixture
def generator(tmp_path: Path, tiny_case: Path) -> Path:
    """Makes the same case whatever it is asked for."""
    program = tmp_path / "maker.py"
    program.write_text(f"import shutil, sys\nshutil.copytree({json.dumps(str(tiny_case))}, sys.argv[3])\n")
    return program


def test_the_judge_is_any_program_that_prints_json(tmp_path: Path) -> None:
    program = tmp_path / "judge.py"
    program.write_text(f"import sys\nprint({json.dumps(json.dumps(VERDICT))})\nsys.exit(1)\n")
    found = judged(program, tmp_path, tmp_path / "plan.json")
    assert (found.violations, found.first, found.certificate_gap) == (2, "a; b", None)
    assert found.gap == pytest.approx(1.2)
    program.write_text("raise SystemExit('broken')\n")
    with pytest.raises(RuntimeError, match=r"gave no verdict on .*: broken"):
        judged(program, tmp_path, tmp_path / "plan.json")


def test_of_a_plan_that_leaves_work_undone_the_judge_is_asked_about_what_it_does(
    tmp_path: Path, tiny_case: Path
) -> None:
    program = tmp_path / "judge.py"
    program.write_text(
        PRINTS + "jobs = [json.loads(line) for line in open(sys.argv[1] + '/workloads.jsonl')]\n"
        "amounts = {job['id']: job['tokens'] / 3.6e6 for job in jobs}\n"
        "said = {'violations': 0, 'first': [], 'certificate_gap': amounts['w0'] + sum(amounts.values())}\n"
        "print(json.dumps(said))\n"
    )
    inputs = read_case(tiny_case)
    hours = [hours_of(s.workload, inputs.fleet) for s in inputs.submissions]
    assert hours == pytest.approx([3, 4, 5, 6, 7, 8])
    late = [Unplaced("w0", 1.0, "", None), Unplaced("w5", 8.0, "", None)]
    found = gap_of_what_is_done(program, tiny_case, tmp_path / "plan.json", inputs, late)
    assert found == pytest.approx(100 * (2 + (2 + 4 + 5 + 6 + 7)))


def test_a_row_for_each_case(tmp_path: Path, tiny_case: Path, judge: Path) -> None:
    tiny_case.rename(tmp_path / "small")
    [row, *others] = plan_quality.run(Options(cases=tmp_path, judge=judge), quiet)
    assert isinstance(row, Row)
    assert [f.name for f in flat(others)] == [f"{name}: skipped" for name in ("gang", "quarter", "fleet")]
    found = {f.name: f for f in row.figures}
    assert found["violations: judge"].met is True
    assert found["violations: verifier"].met is True
    assert found["gap: judge's bound"].measured == pytest.approx(0.1)
    assert found["gap: judge's certificate"].measured == pytest.approx(0.2)
    assert found["memory"].measured
    skipped = [f.name for f in flat(plan_quality.run(Options(cases=tmp_path), quiet))][-1]
    assert skipped == "the judge's figures: skipped"


@pytest.mark.usefixtures("here")
def test_further_seeds_of_every_kind(
    monkeypatch: pytest.MonkeyPatch, tiny_case: Path, generator: Path, judge: Path
) -> None:
    with pytest.raises(Skipped, match="give --generator"):
        list(seeds.run(Options(), quiet))
    late = json.loads((tiny_case / "workloads.jsonl").read_text().splitlines()[0])
    late |= {"id": "late", "deadline": isoformat_z(at(0) + timedelta(minutes=30)), "tokens": 3.6e7}
    with (tiny_case / "workloads.jsonl").open("a") as file:
        file.write(json.dumps(late) + "\n")
    monkeypatch.setattr(seeds, "KINDS", ("small",))
    *rows, whole = seeds.run(Options(generator=generator, judge=judge, seeds=2), quiet)
    assert [row.name for row in rows] == ["small, seed 2", "small, seed 3"]
    assert (whole.name, [f.met for f in flat([whole])]) == ("violations in 2 cases", [True])
    figures = {f.name: f.measured for f in flat(rows)}
    assert figures["small, seed 2, not placed"] == 1
    assert "small, seed 2, gap: judge's bound" not in figures


@pytest.mark.usefixtures("here")
def test_dearer_runs_are_fewer(monkeypatch: pytest.MonkeyPatch, generator: Path) -> None:
    monkeypatch.setattr(pieces, "NAMES", ("quarter",))
    monkeypatch.setattr(pieces, "TIMES", (0.0, 4.0))
    figures = {f.name: f.measured or 0.0 for f in flat(pieces.run(Options(generator=generator), quiet))}
    free, dear = "quarter, 0 × the default", "quarter, 4 × the default"
    assert figures[f"{free}, price of a run"] == 0 < figures[f"{dear}, price of a run"]
    assert figures[f"{dear}, pieces"] <= figures[f"{free}, pieces"]
    assert figures[f"{free}, gap: our bound"] <= figures[f"{dear}, gap: our bound"]
