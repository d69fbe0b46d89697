"""What pieces cost at the prices of the shared limits: their power, the room that they take, and their quotas."""

from __future__ import annotations

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.bound import SlotPrices, per_kw
from shifter.schedule.columns import Columns, passed, up_to
from shifter.schedule.problem import ScheduleProblem


def priced(problem: ScheduleProblem, prices: SlotPrices, columns: Columns) -> Floats:
    """What each piece costs [currency], (n_pieces,)."""
    site = np.array([pool.site for pool in problem.pools], dtype=np.int64)[columns.pool]
    cost = columns.drawn_kw * passed(problem, up_to(per_kw(problem, prices)), site, columns)
    room = passed(problem, up_to(prices.capacity), columns.pool, columns)
    margin = columns.firm * passed(problem, up_to(prices.reserve), columns.pool, columns)
    cost = cost + columns.accelerators * (room + margin)
    if prices.quota is not None:
        quota = problem.quota_of[columns.job]
        counted = (quota >= 0) & problem.quota_counts[quota, columns.pool]
        cost = cost + columns.accelerators * counted * passed(problem, up_to(prices.quota), quota, columns)
    return cost
