"""The bound of any terms: from the prices of work alone, valid whatever they are; the formula's where it has one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import plan_cycle, problem_of, verify_plan
from shifter.schedule.bound import SlotPrices, lower_bound, slot_prices, with_work_prices
from shifter.schedule.classes import merge
from shifter.schedule.fleet_bound import further_terms
from shifter.schedule.program import Capacity
from shifter.schedule.solve import linear_program, solve
from tests.schedule.spoil import codes, priced
from tests.schedule.test_bound import fleet_case

CASE = fleet_case()
PROBLEM = problem_of(CASE)
PLAN = plan_cycle(CASE)
FREE = tuple(
    np.array([getattr(pool, name) for pool in PROBLEM.pools], dtype=float)
    for name in ("any_capacity", "firm_capacity")
)
DONE = {job.id: job.hours for job in PROBLEM.jobs}


def bound(prices: SlotPrices) -> float:
    return lower_bound(PROBLEM, prices, (FREE[0], FREE[1]), DONE)


SOLUTION = solve(PROBLEM, merge(PROBLEM.jobs), Capacity.of(PROBLEM), time_limit_s=30)


def own_prices() -> tuple[SlotPrices, SlotPrices]:
    """The program's duals, for the formula and for whatever terms there are."""
    plain = slot_prices(PROBLEM, SOLUTION.duals)
    return plain, with_work_prices(PROBLEM, plain, SOLUTION)


def test_plain_terms_have_a_formula() -> None:
    assert further_terms(PROBLEM) == ()
    assert not PLAN.duals.work
    assert "work" not in PLAN.to_dict()["duals"]


def test_at_the_program_s_prices_it_is_the_program_s_optimum() -> None:
    plain, full = own_prices()
    assert full.work is not None
    program, _ = linear_program(PROBLEM, merge(PROBLEM.jobs), Capacity.of(PROBLEM))
    optimum = sum(program.cost[block] @ SOLUTION.values[name] for name, block in program.columns.items())
    assert bound(full) == pytest.approx(optimum, rel=1e-9)
    # The formula lets a battery charge and discharge at full power at once, and so proves a little less.
    assert 0.998 * optimum < bound(plain) <= optimum
    np.testing.assert_allclose(full.capacity, plain.capacity, atol=1e-7)
    np.testing.assert_allclose(full.reserve, plain.reserve, atol=1e-7)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_any_prices_of_work_give_a_valid_bound(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    _, full = own_prices()
    assert full.work is not None
    noise = [rng.normal(size=p.shape) * scale for p in (full.capacity, full.reserve, full.work)]
    prices = replace(
        full,
        capacity=np.maximum(0, full.capacity + noise[0]),
        reserve=np.maximum(0, full.reserve + noise[1]),
        work=full.work + 0.1 * noise[2],
    )
    assert bound(prices) <= PLAN.cost.total + 1e-6


def test_the_verifier_computes_it_with_arithmetic_of_its_own() -> None:
    _, full = own_prices()
    assert full.work is not None
    keys = [pool.key for pool in PROBLEM.pools]
    duals = replace(
        PLAN.duals,
        capacity=dict(zip(keys, map(tuple, full.capacity.tolist()), strict=True)),
        reserve=dict(zip(keys, map(tuple, full.reserve.tolist()), strict=True)),
        work={"a": tuple(full.work[0].tolist())},
    )
    proven = bound(full)
    plan = priced(replace(PLAN, duals=duals), lower_bound=proven)
    assert codes(plan, CASE) == set()
    # The formula is not looked at where there are prices of work, and more than they prove is found.
    assert codes(priced(plan, lower_bound=proven + 0.01 * abs(proven)), CASE) == {"bound"}
    assert codes(replace(plan, duals=replace(duals, work={"a": (float("nan"),) * 24})), CASE) == {"duals"}
    assert codes(replace(plan, duals=replace(duals, work={"b": duals.work["a"]})), CASE) == {"duals"}
    assert verify_plan(PLAN, CASE) == []
