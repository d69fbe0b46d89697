"""Files to plan at ten thousand, a hundred thousand and a million workloads: the whole command, a fresh process; and
what our verifier says of the file, and on `ten_k` an independent judge.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import AtMost, Figure, Options, Tell, Within, left_out
from benchmarks.judge import judged
from benchmarks.machine import shifter, watch
from benchmarks.stages import Planned, chart, files_of, planned


@dataclass(frozen=True)
class Goal:
    """What a case should take at most, on two cores."""

    wall_s: AtMost
    memory_gib: AtMost


GOALS = {
    "ten_k": Goal(AtMost(20), AtMost(1.5)),
    "hundred_k": Goal(AtMost(30), AtMost(2)),
    "million": Goal(AtMost(120), AtMost(6)),
}
GAP = AtMost(1.0)
"""The certified gap [%]: cost over the bound that the plan's own prices prove."""
JUDGED = ("ten_k",)
"""What the judge is asked about: it takes a minute or so there, and much longer on what is larger."""
AGREES = AtMost(0.01)
"""Our certified bound and the judge's from the same prices, apart by at most [%]."""
NONE = Within(0, 0)


@dataclass(frozen=True)
class Said:
    """What the plan's file says, of which nothing larger is kept: a million allocations are gigabytes."""

    total: float
    lower_bound: float
    gap: float
    """Of the cost over the bound (0..1)."""
    beside: str
    allocations: int
    workloads: int
    most_pieces: int

    @classmethod
    def of(cls, path: Path) -> Said:
        """Read a plan.json."""
        plan: dict[str, Any] = json.loads(path.read_bytes())
        pieces = Counter(a["workload_id"] for a in plan["allocations"])
        total, bound = plan["cost"]["total"], plan["lower_bound"]
        beside = (
            f"cost {total:.2f}, bound {bound:.2f} {plan['currency']}; "
            f"{plan.get('status', '')}; {len(plan['unplaced'])} not placed in time"
        )
        counts = len(plan["allocations"]), len(pieces), max(pieces.values(), default=0)
        return cls(total, bound, plan["relative_gap"], beside, *counts)


def figures(name: str, runs: Sequence[Planned], goal: Goal) -> Iterator[Figure]:
    """What the runs took: the median and the range of several; of one that was stopped, how far it came."""
    last = runs[-1]
    walls, cpus = [run.took.wall_s for run in runs], [run.took.cpu_s for run in runs]
    said = f"{_spread(cpus)} s CPU"
    if len(runs) > 1:
        said = f"median of {len(runs)} runs: {_spread(walls)} s; {said}"
    if last.plan is None:
        said = f"no plan: stopped by the limit of {last.took.stopped} while {last.now_at}; {said}"
    yield Figure(f"{name}, files to plan, wall", median(walls), "s", goal.wall_s, said, 1)
    said = "by the time it was stopped" if last.plan is None else "resident, at its highest"
    said += f"; of {len(runs)} runs" if len(runs) > 1 else ""
    highest = max(run.took.peak_mib for run in runs) / 1024
    yield Figure(f"{name}, peak memory", highest, "GiB", goal.memory_gib, said)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{min(values):.1f} to {max(values):.1f}"


def proven(name: str, said: Said) -> Iterator[Figure]:
    """What the plan says of itself."""
    yield Figure(f"{name}, certified gap", 100 * said.gap, "%", GAP, said.beside, 3)
    mean = said.allocations / max(1, said.workloads)
    beside = f"{said.allocations:,} allocations of {said.workloads:,} workloads; at most {said.most_pieces}"
    yield Figure(f"{name}, pieces per workload", mean, "", None, beside)


def verified(name: str, case: Path, plan: Path, options: Options) -> Figure:
    """`shifter plan PLAN --verify`: our verifier on the file, in a process that knows nothing of how it was made."""
    command = [*shifter(), "plan", str(plan), *files_of(case), "--verify", "--json"]
    took = watch(command, **options.limits)
    said = f"shifter plan PLAN --verify: {took.wall_s:.1f} s, {took.peak_mib / 1024:.2f} GiB"
    if took.stopped or not took.out:
        why = f"stopped by the limit of {took.stopped}" if took.stopped else took.last_word
        return Figure(f"{name}, violations, our verifier", None, "", NONE, f"no verdict: {why}; {said}", 0)
    found: list[str] = json.loads(took.out)["violations"]
    said = "; ".join([*found[:1], said])
    return Figure(f"{name}, violations, our verifier", len(found), "", NONE, said, 0)


def certified(name: str, case: Path, plan: Path, said: Said, judge: Path) -> Iterator[Figure]:
    """What an independent judge says of the file, and how far its bound is from ours. It solves nothing."""
    verdict = judged(judge, case, plan, own_bound=False)
    beside = "; ".join(filter(None, (verdict.first, f"it took {verdict.wall_s:.0f} s")))
    yield Figure(f"{name}, violations, judge", verdict.violations, "", NONE, beside, 0)
    if verdict.certificate is None:
        return
    beside = "from the plan's prices, by its own arithmetic"
    yield Figure(f"{name}, gap by the judge's certificate", verdict.certificate_gap, "%", GAP, beside, 3)
    apart = 100 * abs(said.lower_bound - verdict.certificate) / abs(verdict.certificate)
    beside = f"ours {said.lower_bound:.4f}, the judge's {verdict.certificate:.4f}"
    yield Figure(f"{name}, our bound from the judge's", apart, "%", AGREES, beside, 5)


def measured(name: str, case: Path, kept: Path, options: Options) -> Iterator[Figure]:
    """All of one case. Raises RuntimeError where the command fails."""
    runs: list[Planned] = []
    texts: set[str] = set()
    while len(runs) < options.repeat and all(run.plan for run in runs):
        run = planned(case, kept, **options.limits)
        if run.plan is None and not run.took.stopped:
            raise RuntimeError(f"{name}: shifter plan ended with {run.took.exit_code}: {run.took.last_word}")
        if run.plan is not None:
            with run.plan.open("rb") as file:
                texts.add(hashlib.file_digest(file, "sha256").hexdigest())
        runs.append(run)
    yield from figures(name, runs, GOALS[name])
    plan = runs[-1].plan
    if plan is not None:
        said = Said.of(plan)
        yield from proven(name, said)
        if len(runs) > 1:
            differ = len(texts) - 1
            yield Figure(f"{name}, plans that differ", differ, "", NONE, f"of {len(runs)}, byte for byte", 0)
        yield verified(name, case, plan, options)
        if name in JUDGED and options.judge is not None:
            yield from certified(name, case, plan, said, options.judge)
        elif name in JUDGED:
            beside = "give --judge PROGRAM (a check_plan.py)"
            yield Figure(f"{name}, the judge's figures: skipped", None, beside=beside)
    yield from chart(name, runs[-1])


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Each of the large cases that there is."""
    with tempfile.TemporaryDirectory() as made:
        folders = options.cases_or_made(tuple(GOALS), Path(made))
        for i, (name, folder) in enumerate(folders.items()):
            tell(name, i / len(folders))
            with tempfile.TemporaryDirectory() as kept:
                yield from measured(name, folder, Path(kept), options)
    yield from left_out(tuple(GOALS), folders)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("scale")
