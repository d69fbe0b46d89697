"""Files to plan at ten thousand, a hundred thousand and a million workloads: the whole command, a fresh process."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import AtMost, Figure, Options, Skipped, Tell
from benchmarks.stages import Planned, chart, planned


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


def figures(name: str, found: Planned, goal: Goal) -> Iterator[Figure]:
    """What it took and what the plan says; of one that was stopped, how far it came."""
    took = found.took
    if found.plan is None and not took.stopped:
        raise RuntimeError(f"{name}: shifter plan ended with {took.exit_code}: {took.last_word}")
    said = f"{took.cpu_s:.1f} s CPU"
    if found.plan is None:
        said = f"no plan: stopped by the limit of {took.stopped} while {found.now_at}; {said}"
    yield Figure(f"{name}, files to plan, wall", took.wall_s, "s", goal.wall_s, said, 1)
    said = "by the time it was stopped" if found.plan is None else "resident, at its highest"
    yield Figure(f"{name}, peak memory", took.peak_mib / 1024, "GiB", goal.memory_gib, said)
    if found.plan is not None:
        plan = found.plan
        pieces = Counter(a["workload_id"] for a in plan["allocations"])
        said = (
            f"cost {plan['cost']['total']:.2f}, bound {plan['lower_bound']:.2f} {plan['currency']}; "
            f"{plan.get('status', '')}; {len(plan['unplaced'])} not placed in time"
        )
        yield Figure(f"{name}, certified gap", 100 * plan["relative_gap"], "%", GAP, said, 3)
        mean, most = len(plan["allocations"]) / max(1, len(pieces)), max(pieces.values(), default=0)
        said = f"{len(plan['allocations']):,} allocations of {len(pieces):,} workloads; at most {most}"
        yield Figure(f"{name}, pieces per workload", mean, "", None, said)
    yield from chart(name, found)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Each of the large cases that there is."""
    missing = []
    with tempfile.TemporaryDirectory() as kept:
        for i, (name, goal) in enumerate(GOALS.items()):
            tell(name, i / len(GOALS))
            folder = options.case_or_made(name, Path(kept))
            if folder is None:
                missing.append(name)
                continue
            limits = {"time_limit_s": options.time_limit_s, "memory_limit_mib": options.memory_limit_mib}
            yield from figures(name, planned(folder, **limits), goal)
    if len(missing) == len(GOALS):
        raise Skipped(f"needs one of {', '.join(GOALS)} among the cases: give --cases PATH, or --generator.")
    for name in missing:
        yield Figure(f"{name}: skipped", None, beside=f"there is no {name}: give --cases or --generator")


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("scale")
