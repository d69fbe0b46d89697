r"""Ties broken towards few runs: each class of jobs leans to one moment in each pool that it would use.

An optimum is rarely the only one: hours of equal price, and limits that many jobs share, leave the solver free to tear
every job into crumbs at no cost. Where a job would go by itself is known beforehand, roughly, from everybody's answer
to the prices of the coarse problem. A price far below any that counts,

    LEAN * typical price * (distance of the cell from that moment, in days)

and the same again for pools that the job would not use, makes the solver choose, of all optima, one in which each job
keeps together. On two fleets of some hundred jobs it halved the pieces or better, and cost less than 0.001 %.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.classes import WorkClass
from shifter.schedule.jobs import HOUR_US
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import LinearProgram, TermInputs
from shifter.schedule.scaled import Relaxed, spread

LEAN = 0.002
"""Of what an accelerator's energy costs: a day away from its moment, work costs this much more to the solver."""

ELSEWHERE_DAYS = 0.5
"""A pool that the job would not use counts as this far away."""

LEAST_RATIO = 0.02
"""Less than this share of its work in a pool is none."""


@dataclass(frozen=True, eq=False)
class AnchorTerm:
    """`moments` (n_classes, n_pools): around when each class works there [h from the grid's start]; NaN where never."""

    moments: Floats
    name = "anchors"

    @classmethod
    def of(
        cls, problem: ScheduleProblem, classes: Sequence[WorkClass], pieces: Iterable[Piece]
    ) -> AnchorTerm:
        """Where these pieces are: what jobs would do by themselves."""
        owner = {job.id: k for k, one in enumerate(classes) for job in one.jobs}
        used: defaultdict[tuple[int, int], list[Piece]] = defaultdict(list)
        total = np.zeros(len(classes))
        for piece in pieces:
            if piece.job in owner:
                used[owner[piece.job], piece.pool].append(piece)
                total[owner[piece.job]] += piece.hours
        moments = np.full((len(classes), len(problem.pools)), np.nan)
        for (k, pool), own in used.items():
            if sum(piece.hours for piece in own) > LEAST_RATIO * total[k]:
                moments[k, pool] = _middle(own)
        return cls(moments)

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Add the lean."""
        problem, work = given.problem, given.work
        middle = (problem.edges_us[:-1] + problem.edges_us[1:]) / 2 / HOUR_US
        anchor = self.moments[work.work_class, work.pool]
        days = np.where(
            np.isnan(anchor), ELSEWHERE_DAYS, np.abs(middle[work.cell] - np.nan_to_num(anchor)) / 24
        )
        typical = float(np.median([np.abs(site.unit_cost_per_kwh).mean() for site in problem.sites]))
        program.add_cost(work.column, LEAN * typical * work.import_kw * problem.cell_hours[work.cell] * days)


def by_themselves(problem: ScheduleProblem, relaxed: Relaxed) -> Sequence[Piece]:
    """Where plain jobs would go by themselves, at the coarse problem's prices."""
    ledger = Ledger(problem)
    ledger.hold_beside(relaxed.beside)
    return spread(problem, [job for job in problem.jobs if job.plain], relaxed, ledger)


def _middle(pieces: Sequence[Piece]) -> float:
    """When half of the work is done [h from the grid's start]."""
    ordered = sorted(pieces, key=lambda p: p.start_us)
    done = np.cumsum([piece.hours for piece in ordered])
    piece = ordered[int(np.searchsorted(done, done[-1] / 2))]
    return (piece.start_us + piece.end_us) / 2 / HOUR_US
