"""The arrays of a cycle, for tests of the parts of the schedule."""

from __future__ import annotations

from shifter.classify.rules import classify
from shifter.cycle import CycleInputs, deferrable
from shifter.domain.chains import split_windows
from shifter.realtime.reserve import reserve
from shifter.schedule.build import build
from shifter.schedule.problem import ScheduleProblem


def problem_of(inputs: CycleInputs) -> ScheduleProblem:
    """The problem that `plan_cycle` would solve."""
    classified = classify(inputs.submissions, inputs.policy, inputs.fleet, inputs.now, inputs.overrides)
    windows = split_windows(classified, inputs.fleet, inputs.now)
    return build(
        inputs.frame,
        deferrable(classified),
        reserve(inputs.realtime, inputs.fleet),
        inputs.fleet,
        inputs.now,
        windows={id: (w.earliest_start, w.deadline) for id, w in windows.items() if w.deadline is not None},
        grid_events=inputs.grid_events,
    )
