"""How far plans of the cases are from the best possible, by our certified bound and an independent judge; in how many
pieces a workload is, in the mean and at most; how many are not placed in time; how much cheaper deferrable work is than
at once; and what `plan_cycle` takes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import read_case
from benchmarks.figure import CASES, AtMost, Figure, Line, Options, Row, Tell, Within, left_out
from benchmarks.judge import gap_of_what_is_done, judged
from benchmarks.one_plan import planned_apart
from shifter.cycle import CycleInputs, verify_plan
from shifter.domain.plan import Plan
from shifter.files import write_plan

GAP = {"small": AtMost(0.5), "gang": AtMost(3.0), "quarter": AtMost(0.5), "fleet": AtMost(0.5)}
"""Of the cost above the bound [%], by kind of case."""
PIECES = {"quarter": AtMost(4.0), "fleet": AtMost(4.0)}
"""A workload that is planned, in the mean."""
NONE = Within(0, 0)


def quality(name: str, kind: str, folder: Path, judge: Path | None, *, own_bound: bool = True) -> Row:
    """A case, planned in a process of its own, checked and judged. Without `own_bound` the judge solves nothing."""
    made, inputs = planned_apart(folder), read_case(folder)
    plan, goal = made.plan, GAP.get(kind)
    count = float(len(verify_plan(plan, inputs)))
    opinion: tuple[Figure, ...] = ()
    said = ""
    if judge is not None:
        opinion, said = _opinion(judge, folder, plan, inputs, goal, own_bound=own_bound)
    pieces = Counter(a.workload_id for a in plan.allocations)
    mean = len(plan.allocations) / max(1, len(pieces))
    saved = 100 * (1 - plan.deferrable_total / plan.baseline.deferrable_total)
    return Row(
        name,
        (
            Figure("violations: verifier", count, "", NONE, digits=0),
            *opinion,
            Figure("gap: our bound", 100 * plan.relative_gap, "%", goal, digits=3),
            Figure("pieces", mean, "", PIECES.get(kind), digits=1),
            Figure("most pieces", max(pieces.values(), default=0), digits=0),
            Figure("not placed", len(plan.unplaced), digits=0),
            Figure("below at once", saved, "%", digits=1),
            Figure("wall", made.wall_s, "s", digits=1),
            Figure("CPU", made.cpu_s, "s", digits=1),
            Figure("memory", made.peak_mib, "MiB", digits=0),
        ),
        said,
    )


def _opinion(
    judge: Path, folder: Path, plan: Plan, inputs: CycleInputs, goal: AtMost | None, *, own_bound: bool
) -> tuple[tuple[Figure, ...], str]:
    """The judge's figures, and the first violations that it names."""
    with tempfile.TemporaryDirectory() as kept:
        path = Path(kept) / "plan.json"
        write_plan(plan, path)
        verdict = judged(judge, folder, path, own_bound=own_bound)
        certified = verdict.certificate_gap
        if plan.unplaced:
            certified = gap_of_what_is_done(judge, folder, path, inputs, plan.unplaced)
    solved = (Figure("gap: judge's bound", verdict.gap, "%", goal, digits=3),) if own_bound else ()
    return (
        Figure("violations: judge", verdict.violations, "", NONE, digits=0),
        *solved,
        Figure("gap: judge's certificate", certified, "%", goal, digits=3),
    ), verdict.first


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """A row for each case; with a judge, its violations and gaps too."""
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made(CASES, Path(kept))
        for i, (name, folder) in enumerate(folders.items()):
            tell(name, i / len(folders))
            yield quality(name, name, folder, options.judge)
    yield from left_out(CASES, folders)
    if options.judge is None:
        yield Figure("the judge's figures: skipped", None, beside="give --judge PROGRAM (a check_plan.py)")


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("plan_quality")
