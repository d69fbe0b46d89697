"""Lateness as priced slack: work of a class that is not done in its window, so that there is always an answer.

    lateness_price * short[k],   with   short[k] added to the work that class k does

The price stands ten times above anything that doing the work could cost (`build` says what that is), so nothing is late
that could be done in time, and as much as possible of what cannot be done in full is planned all the same. Work whose
deadline lies beyond the horizon has a fifth of that price, still twice what doing it could cost: it is done where there
is room, and yields to what is due.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, short_of


class LatenessTerm:
    """The variables `short` [accelerator-hours of the fastest pool], one a class."""

    name = "lateness"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Let every class fall short, at a price."""
        price = [given.problem.price_of_leaving_undone(bool(open_ended)) for open_ended in given.open_ended]
        program.add_cost(short_of(program, given), np.array(price))
