"""How far plans of the cases are from the best possible, by our certified bound and an independent judge; in how many
pieces their work is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import read_case
from benchmarks.figure import AtMost, Figure, Options, Tell, Within
from shifter.cycle import plan_cycle, verify_plan
from shifter.files import write_plan

GAP = {"small": AtMost(0.5), "gang": AtMost(3.0), "quarter": AtMost(0.5), "fleet": AtMost(0.5)}
"""Of the cost above the bound [%]."""
PIECES = {"quarter": AtMost(4.0), "fleet": AtMost(4.0)}
"""A workload that is planned, in the mean."""
JUDGE_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Verdict:
    """What the judge says: violations, and gaps [%] to its own bound and to that of the plan's prices."""

    violations: int
    first: str
    gap: float | None
    certificate_gap: float | None


def judged(judge: Path, case: Path, plan: Path) -> Verdict:
    """Run a check_plan.py: `CASE_DIR plan.json`, JSON on stdout. Raises RuntimeError without a verdict."""
    command = [sys.executable, str(judge), str(case), str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=JUDGE_TIMEOUT_S, check=False)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"the judge gave no verdict on {case.name}: {last}") from None

    def percent(key: str) -> float | None:
        return None if said.get(key) is None else 100 * float(said[key])

    return Verdict(said["violations"], "; ".join(said["first"]), percent("gap"), percent("certificate_gap"))


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Gaps of each case; with a judge its violations and gaps too."""
    folders = options.case_folders()
    for i, folder in enumerate(folders):
        name, target = folder.name, GAP.get(folder.name)
        tell(f"planning {name}", i / len(folders))
        inputs = read_case(folder)
        wall, cpu = time.perf_counter(), time.process_time()
        plan = plan_cycle(inputs)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        gap = 100 * plan.relative_gap
        saved = 100 * (1 - plan.deferrable_total / plan.baseline.deferrable_total)
        said = (
            f"cost {plan.cost.total:.2f}, bound {plan.lower_bound:.2f} {plan.currency}; deferrable "
            f"{saved:.1f} % below at once; {len(plan.unplaced)} not placed; "
            f"{wall:.1f} s wall, {cpu:.1f} s CPU"
        )
        yield Figure(f"{name}, gap to our bound", gap, "%", target, said, 3)
        pieces = Counter(a.workload_id for a in plan.allocations)
        most = max(pieces.values(), default=0)
        said = f"{len(plan.allocations)} allocations of {len(pieces)} workloads; at most {most}"
        mean = len(plan.allocations) / max(1, len(pieces))
        yield Figure(f"{name}, pieces per workload", mean, "", PIECES.get(name), said)
        if options.judge is None:
            count = len(verify_plan(plan, inputs))
            yield Figure(f"{name}, violations, our verifier", count, "", Within(0, 0), "no --judge given", 0)
            continue
        tell(f"judging {name}", (i + 0.5) / len(folders))
        with tempfile.TemporaryDirectory() as kept:
            path = Path(kept) / "plan.json"
            write_plan(plan, path)
            verdict = judged(options.judge, folder, path)
        count = len(verify_plan(plan, inputs))
        said = verdict.first or f"our own verifier: {count}"
        yield Figure(f"{name}, violations, judge", verdict.violations, "", Within(0, 0), said, 0)
        if verdict.gap is not None:
            other = verdict.certificate_gap
            said = "" if other is None else f"by our prices, judge's arithmetic: {other:.3f} %"
            yield Figure(f"{name}, gap to the judge's bound", verdict.gap, "%", target, said, 3)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("plan_quality")
