"""The same model written naively in cvxpy, one variable per workload, site, pool and slot: what it survives.

Each run is a process of its own, under a limit of time and one of memory, beside `plan_cycle` on the same case.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figure import CASES, AtMost, Figure, Options, Tell, left_out
from benchmarks.machine import Watched, watch

SIZES = (500, 1000, 2000, 5000, 10_000)
"""The first workloads of `ten_k`, more and more of them, until the naive model does not survive."""
AGREES = AtMost(0.01)
"""Its optimum less our certified bound on a case [%]: the two say the same about the same problem."""


def measured(module: str, case: Path, first: int | None, options: Options) -> tuple[Watched, dict[str, Any]]:
    """One run of `benchmarks.MODULE` on a case; what it found is empty where it did not live to tell."""
    command = [sys.executable, "-m", f"benchmarks.{module}", str(case.resolve())]
    took = watch(command if first is None else [*command, str(first)], **options.limits)
    found: dict[str, Any] = json.loads(took.out.splitlines()[-1]) if took.exit_code == 0 else {}
    return took, found


def why_not(took: Watched) -> str:
    """Why a run told nothing."""
    if took.stopped:
        return f"stopped by the limit of {took.stopped} after {took.wall_s:.0f} s at {took.peak_mib:,.0f} MiB"
    return f"ended with {took.exit_code} after {took.wall_s:.0f} s: {took.last_word}"


def compared(
    name: str, naive: dict[str, Any], took: Watched, ours: dict[str, Any], our_run: Watched
) -> Iterator[Figure]:
    """Figures of one case: times, memory, and whether the two agree."""
    beside = (
        f"{ours['wall_s']:.1f} s, {ours['peak_mib']:,.0f} MiB for plan_cycle" if ours else why_not(our_run)
    )
    if not naive or naive["total"] is None:
        said = why_not(took) if not naive else f"ended as {naive['status']}"
        yield Figure(f"{name}, naive", None, "s", beside=f"{said}; {beside}")
        return
    said = f"{naive['variables']:,} variables, {naive['built_s']:.1f} s to build; {beside}"
    yield Figure(f"{name}, naive, wall", naive["wall_s"], "s", beside=said)
    if not ours:
        return
    said = (
        f"{naive['cpu_s']:.2f} s CPU over {ours['cpu_s']:.2f} s: {naive['cpu_s'] / ours['cpu_s']:.2f} times"
    )
    yield Figure(
        f"{name}, naive over plan_cycle, wall", naive["wall_s"] / ours["wall_s"], "times", beside=said
    )
    said = f"{naive['peak_mib']:,.0f} MiB over {ours['peak_mib']:,.0f} MiB, imports included"
    yield Figure(
        f"{name}, naive over plan_cycle, memory", naive["peak_mib"] / ours["peak_mib"], "times", beside=said
    )
    apart = 100 * (naive["total"] - ours["lower_bound"]) / max(1e-9, abs(naive["total"]))
    said = f"{naive['total']:.4f}, our bound {ours['lower_bound']:.4f}, our plan {ours['total']:.4f} ({ours['status']})"
    target = AGREES if name in CASES else None
    yield Figure(f"{name}, naive optimum above our bound", apart, "%", target, said, 4)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """The cases, then more and more of `ten_k`, to the first that the naive model does not survive."""
    survived = ""
    with tempfile.TemporaryDirectory() as kept:
        folders = options.cases_or_made(CASES, Path(kept))
        ten_k = options.case_or_made("ten_k", Path(kept))
        planned: list[tuple[str, Path, int | None]] = [
            (name, folder, None) for name, folder in folders.items()
        ]
        planned += [] if ten_k is None else [(f"ten_k, first {n:,}", ten_k, n) for n in SIZES]
        for i, (name, folder, first) in enumerate(planned):
            tell(f"naive {name}", i / len(planned))
            took, naive = measured("naive_model", folder, first, options)
            tell(f"plan_cycle {name}", (i + 0.5) / len(planned))
            our_run, ours = measured("one_plan", folder, first, options)
            yield from compared(name, naive, took, ours, our_run)
            if not naive or naive["total"] is None:
                break
            survived = f"{name} ({naive['variables']:,} variables)"
    limits = f"{options.time_limit_s:g} s and {options.memory_limit_mib / 1024:g} GiB"
    yield Figure(
        "naive, largest case that it survives", None, beside=f"{survived or 'none'}, within {limits}"
    )
    made = folders if ten_k is None else {**folders, "ten_k": ten_k}
    yield from left_out((*CASES, "ten_k"), made)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("naive")
