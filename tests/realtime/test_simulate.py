"""The simulation beside one that goes iteration by iteration, and beside what can be worked out by hand."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.domain.serving import ServingProfile
from shifter.errors import InputError
from shifter.realtime.simulate import Requests, draw, simulate
from tests.realtime.serving import CHAT, PROFILE


def requests(*rows: tuple[float, int, int]) -> Requests:
    return Requests(*(np.array(column, dtype=float) for column in zip(*rows, strict=True)))


def step_by_step(given: Requests, profile: ServingProfile) -> list[tuple[float, float]]:
    """One replica, each iteration by itself: first and last token [s]."""
    rows = list(zip(given.arrival_s, given.prompt_tokens, given.output_tokens, strict=True))
    to_come, waiting = deque(range(len(rows))), deque[int]()
    left: dict[int, int] = {}
    first, last = [0.0] * len(rows), [0.0] * len(rows)
    now = 0.0
    while to_come or waiting or left:
        while to_come and rows[to_come[0]][0] <= now + 1e-12:
            waiting.append(to_come.popleft())
        held = sum(rows[i][1] + rows[i][2] for i in left)
        fits = waiting and held + sum(rows[waiting[0]][1:]) <= (profile.kv_cache_tokens or np.inf)
        if fits and len(left) < profile.max_sequences:
            i = waiting.popleft()
            now += rows[i][1] / profile.prefill_tokens_per_s
            first[i] = now
            left[i] = int(rows[i][2]) - 1
        elif left:
            now += (profile.base_ms + profile.ms_per_sequence * len(left)) / 1000
            left = {i: n - 1 for i, n in left.items()}
        else:
            now = rows[to_come[0]][0]
        for i in [i for i, n in left.items() if n <= 0]:
            last[i] = now
            del left[i]
    return list(zip(first, last, strict=True))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 3000), st.integers(1, 30)), min_size=1, max_size=25),
    st.integers(1, 5),
    st.none() | st.integers(4000, 9000),
)
def test_it_is_what_goes_iteration_by_iteration(
    rows: list[tuple[float, int, int]], most: int, cache: int | None
) -> None:
    moments = np.cumsum([row[0] + 1e-3 for row in rows])
    given = requests(*((float(t), p, n) for t, (_, p, n) in zip(moments, rows, strict=True)))
    profile = replace(PROFILE, max_sequences=most, kv_cache_tokens=None if cache is None else float(cache))
    ran, known = simulate(given, profile, 1), step_by_step(given, profile)
    assert ran.ttft_ms / 1000 + given.arrival_s == pytest.approx([a for a, _ in known])
    assert ran.latency_ms / 1000 + given.arrival_s == pytest.approx([b for _, b in known])


def test_one_request_takes_its_prompt_and_its_iterations() -> None:
    ran = simulate(requests((3.0, 2000, 11)), PROFILE, 1)
    assert ran.ttft_ms == pytest.approx([200])
    assert ran.latency_ms == pytest.approx([200 + 10 * 30.3])


def test_a_prompt_waits_for_the_iteration_and_goes_before_the_next() -> None:
    ran = simulate(requests((0.0, 1000, 100), (0.110, 1000, 2)), PROFILE, 1)
    # the first iteration runs from 100 to 130.3 ms; the prompt is read to 230.3 ms
    assert ran.ttft_ms == pytest.approx([100, 120.3])
    assert ran.latency_ms[0] == pytest.approx(100 + 99 * 30.3 + 100 + 0.3)


def test_requests_join_the_replica_with_the_fewest() -> None:
    rows = [(0.001 * i, 1000, 50) for i in range(3)]
    three, one = simulate(requests(*rows), PROFILE, 3), simulate(requests(*rows), PROFILE, 1)
    assert three.latency_ms == pytest.approx([100 + 49 * 30.3] * 3)
    assert one.ttft_ms == pytest.approx([100, 199, 298])


def test_it_is_the_same_again_and_fast() -> None:
    begun = time.process_time()
    drawn = draw(CHAT, 20, 100_000, seed=1)
    ran = simulate(drawn, PROFILE, 8)
    assert time.process_time() - begun < 15
    assert np.array_equal(
        simulate(draw(CHAT, 20, 1000, 7), PROFILE, 8).ttft_ms,
        simulate(draw(CHAT, 20, 1000, 7), PROFILE, 8).ttft_ms,
    )
    assert drawn.per_s == pytest.approx(20, rel=0.02)
    assert np.all(ran.latency_ms >= ran.ttft_ms)
    assert np.all(ran.ttft_ms > 0)


def test_a_request_that_no_cache_holds_is_refused() -> None:
    with pytest.raises(InputError, match=r"a request of 1,100 tokens is more than the cache of 1,000"):
        simulate(requests((0.0, 1000, 100)), replace(PROFILE, kv_cache_tokens=1000.0), 1)


def test_even_arrivals() -> None:
    drawn = draw(replace(CHAT, arrival_scv=0.0), 2.0, 10, seed=1)
    assert np.diff(drawn.arrival_s) == pytest.approx([0.5] * 9)
