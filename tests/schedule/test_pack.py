"""Whole accelerators: any fractional usage within the limits becomes pieces that keep them at every instant."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import problem_of
from shifter.schedule import pack as packing
from shifter.schedule.classes import merge
from shifter.schedule.decompose import Need, decompose
from shifter.schedule.jobs import Job, Way
from shifter.schedule.pack import Piece, merge_pieces, pack
from shifter.schedule.program import Capacity
from shifter.schedule.solve import Solution
from tests.schedule.build import cycle_inputs

LENGTH = 3_600_000_000


def job(name: str, pools: tuple[int, ...], most: int, *, firm: bool = False) -> Job:
    return Job(
        name,
        1.0,
        tuple(Way(p, 1.0, 1.0) for p in pools),
        0,
        LENGTH,
        0,
        LENGTH,
        most,
        firm,
    )


@st.composite
def one_cell(draw: st.DrawFn) -> tuple[list[Job], list[list[float]], list[int], list[int]]:
    """Jobs, their usage by way in one cell, and each pool's capacity, in all and for firm work, just enough.

    Some have two ways in one pool.
    """
    n_pools = draw(st.integers(1, 3))
    jobs, usage = [], []
    for i in range(draw(st.integers(1, 7))):
        pools = tuple(w % n_pools for w in range(n_pools + draw(st.integers(0, 2))))
        row = [draw(st.integers(0, 30)) / 10 for _ in pools]
        most = max(1, int(np.ceil(sum(row) - 1e-9)))
        jobs.append(job(f"j{i}", pools, most, firm=draw(st.booleans())))
        usage.append(row)
    every, firm = np.zeros(n_pools), np.zeros(n_pools)
    for one, row in zip(jobs, usage, strict=True):
        for way, used in zip(one.ways, row, strict=True):
            every[way.pool] += used
            firm[way.pool] += used * one.firm
    return jobs, usage, [int(np.ceil(v - 1e-9)) for v in every], [int(np.ceil(v - 1e-9)) for v in firm]


def peak(pieces: list[Piece]) -> int:
    """The highest level at any instant."""
    changes: defaultdict[int, int] = defaultdict(int)
    for p in pieces:
        changes[p.start_us] += p.accelerators
        changes[p.end_us] -= p.accelerators
    level = highest = 0
    for moment in sorted(changes):
        level += changes[moment]
        highest = max(highest, level)
    return highest


def check(
    pieces: list[Piece], jobs: list[Job], usage: list[list[float]], limit: list[int], firm_limit: list[int]
) -> None:
    is_firm = {j.id: j.firm for j in jobs}
    for p in range(len(limit)):
        inside = [x for x in pieces if x.pool == p]
        assert peak(inside) <= limit[p]
        assert peak([x for x in inside if is_firm[x.job]]) <= firm_limit[p]
        assert all(x.pool == next(j for j in jobs if j.id == x.job).ways[x.way].pool for x in inside)
    for one, row in zip(jobs, usage, strict=True):
        own = [x for x in pieces if x.job == one.id]
        assert peak(own) <= one.max_accelerators
        for w, used in enumerate(row):
            done = sum(x.accelerators * (x.end_us - x.start_us) for x in own if x.way == w)
            assert done == pytest.approx(used * LENGTH, abs=1000)


@given(one_cell())
@settings(deadline=None, max_examples=300)
def test_any_usage_within_the_limits_is_packed(
    case: tuple[list[Job], list[list[float]], list[int], list[int]],
) -> None:
    jobs, usage, limit, firm_limit = case
    problem = problem_of(cycle_inputs([], hours=1))
    classes = [merge([one])[0] for one in jobs]
    capacity = Capacity(np.array([[v] for v in limit]), np.array([[v] for v in firm_limit]), np.zeros((1, 1)))
    solution = Solution({}, {}, tuple((0, np.array([[v] for v in row])) for row in usage))
    check(pack(problem, classes, solution, capacity), jobs, usage, limit, firm_limit)


@given(one_cell())
@settings(deadline=None, max_examples=60)
def test_the_exact_decomposition_packs_what_the_quick_one_may_not(
    case: tuple[list[Job], list[list[float]], list[int], list[int]],
) -> None:
    jobs, usage, limit, firm_limit = case
    capacity = Capacity(np.array([[v] for v in limit]), np.array([[v] for v in firm_limit]), np.zeros((1, 1)))
    needs = [
        Need(one, p, *divmod(round(v * LENGTH), LENGTH))
        for one, row in zip(jobs, usage, strict=True)
        for p, v in enumerate(row)
        if v
    ]
    pieces = [Piece(n.job.id, n.pool, n.way, 0, LENGTH, n.whole) for n in needs if n.whole]
    pieces += [Piece(n.job.id, n.pool, n.way, a, b, 1) for n, a, b in decompose(needs, capacity, 0, LENGTH)]
    check(pieces, jobs, usage, limit, firm_limit)


def test_two_and_two_fifths_are_two_for_all_of_the_slot_and_a_third_for_two_fifths_of_it() -> None:
    problem = problem_of(cycle_inputs([], hours=1))
    one = job("w", (0,), 3)
    capacity = Capacity(np.array([[3]]), np.array([[3]]), np.zeros((1, 1)))
    pieces = pack(problem, [merge([one])[0]], Solution({}, {}, ((0, np.array([[2.4]])),)), capacity)
    assert pieces == [Piece("w", 0, 0, 0, LENGTH * 2 // 5, 1), Piece("w", 0, 0, 0, LENGTH, 2)]


def test_the_exact_decomposition_is_used_where_laying_end_to_end_leaves_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "_lay", lambda *_: None)
    problem = problem_of(cycle_inputs([], hours=1))
    jobs = [job("a", (0, 1), 1), job("b", (0, 1), 1)]
    usage = [[0.3, 0.7], [0.7, 0.3]]
    capacity = Capacity(np.array([[1], [1]]), np.array([[1], [1]]), np.zeros((1, 1)))
    solution = Solution({}, {}, tuple((0, np.array([[v] for v in row])) for row in usage))
    check(pack(problem, [merge([j])[0] for j in jobs], solution, capacity), jobs, usage, [1, 1], [1, 1])


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10), st.integers(1, 4)), max_size=12))
def test_merging_changes_nothing_at_any_instant_and_leaves_no_seam(spans: list[tuple[int, int, int]]) -> None:
    before = [Piece("w", 0, 0, a, a + n, k) for a, n, k in spans]
    after = merge_pieces(before)

    def level(pieces: list[Piece], t: int) -> int:
        return sum(p.accelerators for p in pieces if p.start_us <= t < p.end_us)

    assert [level(before, t) for t in range(31)] == [level(after, t) for t in range(31)]
    assert len(after) <= max(1, len(before)) + len(before)
    for first, second in pairwise(after):
        assert (first.end_us, first.accelerators) != (
            second.start_us,
            second.accelerators,
        ) or first.start_us == second.start_us
