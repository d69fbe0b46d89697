"""Why the plan is as it is, in words."""

from __future__ import annotations

import pytest

from shifter.cycle import plan_cycle
from shifter.schedule.baseline import run_now
from shifter.schedule.explain import explain_workloads
from shifter.schedule.pack import Piece
from tests.schedule.build import cycle_inputs, work
from tests.schedule.problems import problem_of

HOUR_US = 3_600_000_000
DEAR_AT_FIRST = [100.0] * 2 + [10.0] * 22
CHEAP_AT_FIRST = [10.0] * 2 + [100.0] * 22


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        (
            DEAR_AT_FIRST,
            "slots cost 10.00 EUR/MWh with carbon, its window 17.50 EUR/MWh on average; saves 1.80 EUR",
        ),
        (CHEAP_AT_FIRST, "Costs 1.80 EUR more than at once"),
        ([50.0] * 24, "its slots cost 50.00 EUR/MWh with carbon, its window 50.00 EUR/MWh on average."),
    ],
)
def test_money_is_told_in_the_fleets_currency(prices: list[float], told: str) -> None:
    problem = problem_of(cycle_inputs([work("w", 20, 24)], prices=prices))
    pieces = [Piece("w", 0, 0, 20 * HOUR_US, 22 * HOUR_US, 10)]
    done = {"w": 20.0}
    [row] = explain_workloads(problem, pieces, done, run_now(problem, done), "EUR")
    assert told in row.reason


def test_one_accelerator_is_one() -> None:
    plan = plan_cycle(cycle_inputs([work("w", 20, 4, max_accelerators=1)]))
    assert (
        plan.unplaced[0].reason == "At 1 accelerator it needs 20.0 h, and 4.0 h are left until its deadline."
    )
