"""Chains: one latency for all steps, divided so that they need the fewest accelerators."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from shifter.domain.serving import LatencySlo, MeasuredRate, Serving, ServingProfile
from shifter.errors import InputError
from shifter.realtime.agents import Step, chain_accelerators, split
from shifter.realtime.simulate import draw, simulate
from shifter.realtime.sizing import replicas_for
from shifter.realtime.traffic import Traffic
from tests.realtime.serving import CHAT, SERVING

SMALL = ServingProfile(prefill_tokens_per_s=20_000, base_ms=8, ms_per_sequence=0.2, max_sequences=32)
STEPS = (
    Step("plan", SERVING, Traffic(500, 80), 8),
    Step("search", Serving(SMALL), Traffic(300, 40), 1),
    Step("answer", SERVING, CHAT, 8),
)
LIMIT_MS, QUANTILE = 45_000.0, 0.95


def test_the_parts_sum_to_what_is_allowed_and_each_step_is_sized_for_its_own() -> None:
    parts = split(STEPS, LIMIT_MS, QUANTILE, 20.0)
    assert sum(parts) == pytest.approx(LIMIT_MS)
    found = chain_accelerators(STEPS, LIMIT_MS, QUANTILE, 20.0)
    alone = [
        replicas_for(s.serving, s.traffic, LatencySlo(None, ms, QUANTILE), 20.0) * s.accelerators_per_replica
        for s, ms in zip(STEPS, parts, strict=True)
    ]
    assert found.tolist() == alone


def test_no_other_division_needs_fewer() -> None:
    least = int(chain_accelerators(STEPS, LIMIT_MS, QUANTILE, 20.0).sum())
    for a, b in product(np.linspace(0.1, 0.6, 6), np.linspace(0.02, 0.2, 4)):
        parts = (a * LIMIT_MS, b * LIMIT_MS, (1 - a - b) * LIMIT_MS)
        try:
            other = sum(
                int(replicas_for(s.serving, s.traffic, LatencySlo(None, ms, QUANTILE), 20.0))
                * s.accelerators_per_replica
                for s, ms in zip(STEPS, parts, strict=True)
            )
        except InputError:
            continue
        assert least <= other


def test_more_chains_never_need_fewer_and_none_need_none() -> None:
    found = chain_accelerators(STEPS, LIMIT_MS, QUANTILE, np.linspace(0, 40, 30))
    assert found.shape == (3, 30)
    assert np.all(np.diff(found, axis=1) >= 0)
    assert found[:, 0].tolist() == [0, 0, 0]
    assert chain_accelerators(STEPS, LIMIT_MS, QUANTILE, [0.0]).tolist() == [[0], [0], [0]]


def test_chains_are_in_time_when_their_steps_are_simulated() -> None:
    rate = 12.0
    found = chain_accelerators(STEPS, LIMIT_MS, QUANTILE, rate)
    total = np.zeros(12_000)
    for seed, (step, accelerators) in enumerate(zip(STEPS, found, strict=True)):
        assert step.serving.profile is not None
        count = int(accelerators) // step.accelerators_per_replica
        total += simulate(draw(step.traffic, rate, 12_000, seed), step.serving.profile, count).latency_ms
    assert np.mean(total <= LIMIT_MS) >= QUANTILE


def test_a_chain_of_one_step_is_that_step() -> None:
    one = (Step("chat", SERVING, CHAT, 8),)
    alone = replicas_for(SERVING, CHAT, LatencySlo(None, LIMIT_MS, QUANTILE), [1.0, 30.0]) * 8
    assert chain_accelerators(one, LIMIT_MS, QUANTILE, [1.0, 30.0])[0].tolist() == alone.tolist()


def test_a_chain_that_is_too_slow_says_by_how_much() -> None:
    with pytest.raises(
        InputError, match=r"plan \+ search \+ answer fast enough: 95 of 100 chains .* more than the 5,000"
    ):
        split(STEPS, 5000.0, QUANTILE, 1.0)


def test_a_table_is_for_one_latency_and_no_part_of_it() -> None:
    with pytest.raises(InputError, match="has no profile, and a measured table is right for one latency"):
        split((Step("m", Serving(measured=(MeasuredRate(1, 2.0),)), CHAT),), 1000.0, 0.9, 1.0)
