"""The reserve of the contract: what real-time load holds back, and what that leaves."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.slots import SlotGrid
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.resilience import Resilience
from shifter.errors import InputError
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.reserve import reserve, reserved_accelerators

GRID = SlotGrid(datetime(2026, 1, 10, tzinfo=UTC), 30, 4)
KEY = ("s", "p")

loads = st.lists(st.floats(0, 200), min_size=4, max_size=4).map(np.array)


def fleet(pool: Pool, resilience: Resilience) -> Fleet:
    return Fleet("EUR", (Site("s", "GB", (pool,), resilience=resilience),))


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, Resilience]:
    domains = draw(st.integers(1, 16))
    pool = Pool("p", "H100", domains * draw(st.integers(1, 12)), failure_domains=domains)
    return pool, Resilience(quantile=0.99, lose_domains=draw(st.integers(0, 17)))


def test_the_formula_of_the_contract() -> None:
    pool, resilience = Pool("p", "H100", 64, failure_domains=8), Resilience(lose_domains=1)
    reserved = reserved_accelerators(np.array([0.0, 14.0, 56.0, 64.0]), pool, resilience)
    assert reserved.tolist() == [0.0, 16.0, 64.0, 64.0]


@given(pools(), loads)
def test_the_load_is_still_there_after_the_domains_are_lost(
    drawn: tuple[Pool, Resilience], q: np.ndarray
) -> None:
    pool, resilience = drawn
    reserved = reserved_accelerators(q, pool, resilience)
    k, d = resilience.lose_domains, pool.failure_domains
    assert np.all(reserved <= pool.count)
    assert np.all(reserved >= np.minimum(q, pool.count))
    fits = q <= pool.count * max(0.0, 1 - k / d)
    left = reserved * max(0.0, 1 - k / d)
    assert np.all(left[fits] >= q[fits] - 1e-9)
    assert np.all(reserved[~fits] == pool.count)  # all of it is held back, and that is the best there is


@given(pools(), loads, loads)
def test_what_is_left(drawn: tuple[Pool, Resilience], m: np.ndarray, q: np.ndarray) -> None:
    pool, resilience = drawn
    load = RealtimeLoad(GRID, {KEY: {0.5: m, 0.99: q}})
    held = reserve(load, fleet(pool, resilience))[KEY]
    assert np.all(held.quantile >= held.median)
    assert np.all(held.any_capacity >= held.firm_capacity)
    assert np.all(held.firm_capacity >= 0)
    assert np.all(held.any_capacity + held.quantile >= pool.count - 1e-9)
    fits = held.quantile <= pool.count
    assert np.all(held.any_capacity[fits] + held.quantile[fits] <= pool.count + 1e-9)
    assert np.all(held.firm_capacity + held.reserved <= pool.count + 1e-9)
    assert np.array_equal(held.shortfall > 0, ~fits)


@given(pools(), loads, st.floats(0, 20))
def test_more_load_never_leaves_more(drawn: tuple[Pool, Resilience], q: np.ndarray, more: float) -> None:
    pool, resilience = drawn
    house = fleet(pool, resilience)
    low = reserve(RealtimeLoad(GRID, {KEY: {0.5: q, 0.99: q}}), house)[KEY]
    high = reserve(RealtimeLoad(GRID, {KEY: {0.5: q, 0.99: q + more}}), house)[KEY]
    assert np.all(high.firm_capacity <= low.firm_capacity)
    assert np.all(high.any_capacity <= low.any_capacity)


def test_a_pool_without_real_time_load_is_free() -> None:
    held = reserve(
        RealtimeLoad(GRID), fleet(Pool("p", "H100", 8, failure_domains=2), Resilience(lose_domains=1))
    )
    assert held[KEY].firm_capacity.tolist() == [8.0] * 4


def test_the_next_higher_quantile_stands_in_for_a_missing_one() -> None:
    load = RealtimeLoad(GRID, {KEY: {0.5: np.full(4, 1.0), 0.9: np.full(4, 2.0), 0.99: np.full(4, 3.0)}})
    assert load.at(KEY, 0.95).tolist() == [3.0] * 4
    with pytest.raises(InputError, match=r"s/p is given up to p99 only.*p99\.9"):
        load.at(KEY, 0.999)
