"""Real-time load first: a week of production traffic against the daemon's own service, plan, reserve and guard.

ServeGen's week at two sites (`llm_week`), prices and carbon of DE-LU and CAISO, as planned and with what is done to it
(`realtime_world`), through the service (`realtime_replay`). Three days teach, four are judged: a step of 30 s counts
where real-time load at any site is more than the accelerators that are left to it. The environment may say otherwise:
REALTIME_FIRST_DAYS (how many are judged), and REALTIME_FIRST_SCENARIOS (which, by their names with semicolons between).

Beside it: the same work planned without any reserve or guard (by the median), and run at once on whatever there is.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks.figure import AtLeast, AtMost, Figure, Line, Options, Row, Tell
from benchmarks.llm_week import DAYS, NAME, STEP_S, Trace, trace_of
from benchmarks.realtime_replay import Came, due, replayed
from benchmarks.realtime_world import (
    AS_PLANNED,
    BARE,
    COUNT,
    LESS_HELD,
    SCENARIOS,
    SITES,
    SURGED,
    WEEK,
    Scenario,
    Span,
)

LEAST_WORK = 90.0
"""[%] of what no reserve would do, as planned."""


def chosen(names: str) -> tuple[Scenario, ...]:
    """The scenarios of these names, all where there is none. Raises ValueError for one that there is not."""
    wanted = {name.strip() for name in names.split(";")} - {""}
    known = {s.name for s in SCENARIOS}
    if wanted - known:
        raise ValueError(
            f"there is no scenario {min(wanted - known)!r}: choose from {'; '.join(sorted(known))}"
        )
    return tuple(s for s in SCENARIOS if not wanted or s.name in wanted)


def span_of(days: str) -> Span:
    """So many days are judged, as far as the week goes. Raises ValueError for another number."""
    most = DAYS - WEEK.taught.days
    if not days.isdecimal() or not 1 <= int(days) <= most:
        raise ValueError(f"REALTIME_FIRST_DAYS is {days!r}: give 1 to {most} days")
    return Span(judged=timedelta(days=int(days)))


def at_once(trace: Trace, span: Span = WEEK) -> Came:
    """Deferrable work on whatever there is, first come first served, whoever else needs it."""
    came, arrives, all_s = (
        Came("run at once, unprotected"),
        trace.by_step(),
        float(COUNT * len(SITES) * STEP_S),
    )
    asked = {w.id for w in due(trace.work, span)}
    queue: deque[list[Any]] = deque()
    for step in range(span.planned_from, span.n_steps):
        queue += [[w.id, w.amount * 3600] for w in arrives.get(step, ())]
        left_s = all_s
        while queue and left_s > 0:
            taken_s = min(queue[0][1], left_s)
            left_s -= taken_s
            queue[0][1] -= taken_s
            came.done_hours += taken_s / 3600 if queue[0][0] in asked else 0.0
            if queue[0][1] <= 0:
                queue.popleft()
        if step >= span.judged_from:
            came.used_hours += (all_s - left_s) / 3600
            each = (all_s - left_s) / STEP_S / len(SITES)
            came.over_ratio += any(trace.realtime[site][step] > COUNT - each + 1e-6 for site in SITES)
    came.due_hours = sum(w.amount for w in trace.work if w.id in asked)
    came.over_ratio /= span.judged_steps
    return came


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each scenario a row."""
    data = options.data_folder(NAME).parent
    some = chosen(os.environ.get("REALTIME_FIRST_SCENARIOS", ""))
    span = span_of(os.environ.get("REALTIME_FIRST_DAYS", str(WEEK.judged.days)))
    tell("drawing the week", 0.01)
    trace = trace_of(data, SITES, COUNT)
    found: dict[str, Came] = {}
    with ProcessPoolExecutor(max(1, options.processes), get_context("spawn")) as pool:
        jobs = {s.name: pool.submit(partial(replayed, s, data, trace, span)) for s in some}
        for i, (name, job) in enumerate(jobs.items()):
            tell(name, 0.05 + 0.95 * i / len(jobs))
            found[name] = job.result()
    yield from rows(some, found, at_once(trace, span))


def rows(some: Sequence[Scenario], found: dict[str, Came], unprotected: Came) -> Iterator[Row]:
    """What came of each. Work done is by that without a reserve, late work is as much as planned at the most: without
    these two replays there is nothing to go by.
    """
    bare, planned = found.get(BARE.name), found.get(AS_PLANNED.name)
    for scenario in some:
        came = found[scenario.name]
        over = AtMost(scenario.target) if scenario.guard else None
        late = AtMost(float(planned.late)) if scenario.guard and planned else None
        # Back within one look of the guard and what it takes to stop.
        longest = AtMost(2.0 * STEP_S) if scenario is SURGED else None
        work = AtLeast(LEAST_WORK) if scenario in (AS_PLANNED, LESS_HELD) else None
        yield _row(came, bare, over=over, longest=longest, work=work, late=late)
    yield _row(unprotected, bare)


def _row(
    came: Came,
    bare: Came | None,
    *,
    over: AtMost | None = None,
    longest: AtMost | None = None,
    work: AtLeast | None = None,
    late: AtMost | None = None,
) -> Row:
    def of_bare(hours: float) -> float | None:
        return None if bare is None else 100 * hours / bare.done_hours

    return Row(
        came.name,
        (
            Figure("over", 100 * came.over_ratio, "% of time", over, digits=3),
            Figure("longest", came.over_longest_s, "s", longest, digits=0),
            Figure("work done", of_bare(came.done_hours), "% of no reserve", work, digits=1),
            Figure("due", of_bare(came.due_hours), "%", digits=1),
            Figure("late", came.late, "", late, digits=0),
            Figure("held", came.held_ratio, "x mean", digits=2),
            Figure("cycles", came.cycles, beside=f"{came.failed} failed", digits=0),
        ),
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("realtime_first")
