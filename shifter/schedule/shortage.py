"""What a schedule leaves undone, and whether tenants have anything to say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.columns import Columns
from shifter.schedule.pack import Piece
from shifter.schedule.place import DONE_RATIO, done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import BatteryTrace, Sources, quota_use, settle
from shifter.schedule.tenants import served, short_hours

QUOTA_ROOM = 0.01
"""A quota of which less is left stands in the way [accelerators]."""

TOLD_COLUMNS = 500_000
"""Beyond this many variables quotas alone are not worth a second coarse program. For 10,000 jobs of seven tenants, each
with a quota of 1.5 times its mean use, the plan was 0.17 % above its bound without one; with no quotas at all it was
0.13 % above."""


def suits_tenants(problem: ScheduleProblem, pieces: Sequence[Piece], n_columns: int) -> bool:
    """Whether all work is done and no quota stands in anybody's way, so that tenants change nothing.

    Where a program that tells them apart would be large (`n_columns`, solved whole), whether all work is done.
    """
    done = done_hours(problem, pieces)
    if any(done[job.id] < job.hours * (1 - DONE_RATIO) for job in problem.jobs):
        return False
    if n_columns > TOLD_COLUMNS:
        return True
    used = quota_use(problem, Columns.of(problem, pieces))
    return not any(
        ((own > 0) & (own > tenant.left - QUOTA_ROOM)).any()
        for own, tenant in zip(used, problem.tenants, strict=False)
    )


def burden(
    problem: ScheduleProblem,
    pieces: Sequence[Piece],
    batteries: Mapping[int, BatteryTrace],
    sources: Sources | None,
) -> float:
    """What is minimised: the bill, what its risk adds, late work at its price, and fairness [currency]."""
    done = done_hours(problem, pieces)
    late = sum(
        max(0.0, job.hours - done[job.id]) * problem.price_of_leaving_undone(job.open_ended)
        for job in problem.jobs
    )
    fairness = sum(row.fairness_cost for row in served(problem, done, np.zeros(problem.n_quotas)))
    settled = settle(problem, pieces, batteries, sources)
    total = settled.cost.total + late + fairness
    if (risk := problem.risk) is not None:
        total += risk.weight * risk.tail(
            risk.costs(settled.import_kw, settled.export_kw, problem.grid.slot_hours)
        )
    return total


def short_of_shaped(problem: ScheduleProblem, placed: Sequence[Piece]) -> Floats:
    """What work with a shape, placed so, falls short by, (n_tenants,) [h]."""
    shaped = replace(problem, jobs=tuple(job for job in problem.jobs if not job.plain))
    return short_hours(shaped, done_hours(problem, placed))
