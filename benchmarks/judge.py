"""An independent opinion of a plan: any program that takes `CASE_DIR plan.json` and prints its verdict as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import hours_of
from shifter.cycle import CycleInputs
from shifter.domain.rows import Unplaced

TIMEOUT_S = 1800.0
WORK = "workloads.jsonl"


@dataclass(frozen=True)
class Verdict:
    """What the judge says: violations; gaps [%] to its own bound and to the one that it gets from the plan's prices."""

    violations: int
    first: str
    gap: float | None
    certificate_gap: float | None
    certificate: float | None
    """The bound itself [currency]."""
    wall_s: float
    """How long it took to say so."""


def judged(judge: Path, case: Path, plan: Path, *, own_bound: bool = True) -> Verdict:
    """Run a judge; without `own_bound` it is told `--no-bound`, for its linear program may take long.

    Raises RuntimeError where it gives no verdict.
    """
    command = [sys.executable, str(judge), str(case), str(plan), *(() if own_bound else ("--no-bound",))]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    wall_s = time.perf_counter() - begun
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"the judge gave no verdict on {case.name}: {last}") from None

    def number(key: str, scale: float) -> float | None:
        return None if said.get(key) is None else scale * float(said[key])

    return Verdict(
        said["violations"],
        "; ".join(said["first"]),
        number("gap", 100),
        number("certificate_gap", 100),
        number("certificate", 1),
        wall_s,
    )


def gap_of_what_is_done(
    judge: Path, case: Path, plan: Path, inputs: CycleInputs, late: Sequence[Unplaced]
) -> float:
    """The gap [%] to the judge's certificate for the work that a plan does, where some is `late`.

    A certificate bounds the cost of all the work, and so says nothing of a plan that has no room for it. The judge is
    therefore asked about the same case with each workload cut to what the plan does of it. Raises RuntimeError where
    it gives no certificate.
    """
    left = {one.workload_id: one.accelerator_hours for one in late}
    hours = {s.workload.id: hours_of(s.workload, inputs.fleet) for s in inputs.submissions}
    done_ratio = {id: max(0.0, 1 - left[id] / hours[id]) for id in left}
    with tempfile.TemporaryDirectory() as kept:
        cut = Path(kept)
        for file in case.iterdir():
            if file.name != WORK:
                (cut / file.name).symlink_to(file.resolve())
        (cut / WORK).write_text("".join(_cut(case, done_ratio)), encoding="utf-8")
        gap = judged(judge, cut, plan, own_bound=False).certificate_gap
    if gap is None:
        raise RuntimeError(f"the judge gave no certificate on {case.name}")
    return gap


def _cut(case: Path, done_ratio: Mapping[str, float]) -> Iterator[str]:
    """The lines of its workloads, as much of each as is done."""
    for line in (case / WORK).read_text(encoding="utf-8").splitlines():
        job = json.loads(line)
        ratio = done_ratio.get(job["id"], 1.0)
        for amount in {"tokens", "accelerator_hours"} & job.keys():
            job[amount] *= ratio
        if ratio > 0:
            yield json.dumps(job) + "\n"
