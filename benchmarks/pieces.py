"""What few pieces cost: the gap, and the pieces of a workload in the mean and at most, by what it is worth to run in
one run less (`objective.cost_per_run`), from nothing to four times the default.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import read_case
from benchmarks.figure import Figure, Line, Options, Row, Tell, left_out
from benchmarks.machine import apart
from benchmarks.one_plan import OnePlan, timed
from benchmarks.plan_quality import GAP, PIECES
from shifter.cycle import problem_of

NAMES = ("quarter", "fleet")
TIMES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""The default."""


def planned_at(folder: Path, times: float) -> tuple[float, OnePlan]:
    """`times` the default price of a run [currency], and the plan that it makes; to be called in a fresh process."""
    inputs = read_case(folder)
    price = times * problem_of(inputs).run_price
    objective = replace(inputs.fleet.objective, cost_per_run=price)
    return price, timed(replace(inputs, fleet=replace(inputs.fleet, objective=objective)))


def row(name: str, times: float, price: float, made: OnePlan) -> Row:
    """One price on one case."""
    plan = made.plan
    pieces = Counter(a.workload_id for a in plan.allocations)
    return Row(
        f"{name}, {times:g} × the default",
        (
            Figure("price of a run", price, plan.currency, digits=4),
            Figure("pieces", len(plan.allocations) / max(1, len(pieces)), "", PIECES.get(name)),
            Figure("most pieces", max(pieces.values(), default=0), digits=0),
            Figure("gap: our bound", 100 * plan.relative_gap, "%", GAP.get(name), digits=3),
            Figure("cost", plan.cost.total, plan.currency),
            Figure("wall", made.wall_s, "s", digits=1),
            Figure("CPU", made.cpu_s, "s", digits=1),
            Figure("memory", made.peak_mib, "MiB", digits=0),
        ),
    )


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each case at each price."""
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made(NAMES, Path(kept))
        todo = [(name, folder, times) for name, folder in folders.items() for times in TIMES]
        for i, (name, folder, times) in enumerate(todo):
            tell(f"{name}, {times:g} × the default", i / len(todo))
            yield row(name, times, *apart(planned_at, folder, times))
    yield from left_out(NAMES, folders)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("pieces")
