"""Failure domains that are not equal: the least that survives the loss of the largest."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from shifter.cycle import plan_cycle
from shifter.domain.fleet import Pool
from shifter.domain.resilience import Resilience
from shifter.errors import InputError
from shifter.files import parse_fleet
from shifter.realtime.reserve import held_through, reserved_accelerators
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.spoil import codes, row

domains = st.lists(st.integers(1, 20), min_size=2, max_size=6)


def pool(*sizes: int) -> Pool:
    return Pool("p", "X", sum(sizes), failure_domain_sizes=sizes)


def least(q: float, sizes: list[int], lost: int) -> float | None:
    """By a linear program of how much each domain holds; None where nothing leaves q whichever are lost."""
    gone = list(combinations(range(len(sizes)), lost))
    left = np.array([[0.0 if d in out else -1.0 for d in range(len(sizes))] for out in gone])
    found: Any = linprog(
        np.ones(len(sizes)), A_ub=left, b_ub=np.full(len(gone), -q), bounds=[(0, s) for s in sizes]
    )
    return float(found.fun) if found.status == 0 else None


def test_a_large_domain_costs_more_than_its_share_and_less_than_all_of_it() -> None:
    """Of 8, 8 and 16, two accelerators in each hold 4 through the loss of any one: in proportion it would take 8."""
    assert held_through(np.array([4.0, 16.0, 17.0]), (8, 8, 16), 1).tolist() == [6.0, 24.0, np.inf]
    reserved = reserved_accelerators(np.array([4.0, 17.0]), pool(8, 8, 16), Resilience(lose_domains=1))
    assert reserved.tolist() == [6.0, 32.0]
    proportional = 4 * 32 / (32 - 16)
    assert proportional == 8.0


@given(domains, st.floats(0, 60), st.integers(0, 3))
@settings(max_examples=60)
def test_no_spread_holds_the_load_with_less(sizes: list[int], q: float, lost: int) -> None:
    lost = min(lost, len(sizes) - 1)
    found, best = float(held_through(np.array([q]), sizes, lost)[0]), least(q, sizes, lost)
    assert found == np.inf if best is None else found == pytest.approx(best, abs=1e-6)


@given(st.integers(1, 12), st.integers(1, 8), st.floats(0, 90), st.integers(0, 9))
def test_equal_sizes_are_the_contracts_formula_to_the_bit(size: int, n: int, q: float, lost: int) -> None:
    given, load = Resilience(lose_domains=lost), np.array([q])
    told = reserved_accelerators(load, pool(*[size] * n), given)
    assert told == reserved_accelerators(load, Pool("p", "X", size * n, failure_domains=n), given)


@given(domains, st.floats(0, 60), st.integers(0, 5))
def test_it_is_never_less_than_of_as_many_equal_ones(sizes: list[int], q: float, lost: int) -> None:
    kept = max(0.0, 1 - lost / len(sizes))
    formula = min(sum(sizes), q / kept if kept else np.inf)
    assert (
        reserved_accelerators(np.array([q]), pool(*sizes), Resilience(lose_domains=lost))[0] >= formula - 1e-9
    )


def test_a_plan_holds_it_and_the_verifier_sees_one_that_does_not() -> None:
    house = site(pools=(pool(2, 2, 6),), resilience=Resilience(lose_domains=1))
    inputs = cycle_inputs(
        [work("w", 30, 12, preemptible=False)], sites=[house], load={("a", "p"): {0.5: 1.0, 0.99: 3.0}}
    )
    plan = plan_cycle(inputs)
    assert {r.reserved for r in plan.slots} == {4.5}
    assert max(r.deferrable for r in plan.slots) == 5.0
    assert codes(replace(plan, slots=row(plan.slots, 0, reserved=3.75)), inputs) == {"slot_row"}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            {"failure_domain_sizes": [4, 5]},
            r"pools\[0\]\.failure_domain_sizes: the domains have 9 .* pool has 10",
        ),
        (
            {"failure_domain_sizes": [4, 6], "failure_domains": 5},
            r"failure_domains: it says 5 equal groups, and failure_domain_sizes names 2",
        ),
        ({"failure_domain_sizes": [10, 0]}, r"failure_domain_sizes\[1\]"),
    ],
)
def test_what_contradicts_itself(over: dict[str, object], said: str) -> None:
    raw = {"name": "p", "accelerator": "X", "count": 10, **over}
    with pytest.raises(InputError, match=said):
        parse_fleet({"currency": "EUR", "sites": [{"name": "a", "zone": "Z", "pools": [raw]}]})
