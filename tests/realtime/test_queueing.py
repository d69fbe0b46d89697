"""The queueing model beside what is known exactly, and beside a simulation that shares no arithmetic with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import lognorm, nbinom

from shifter.domain.serving import ServingProfile
from shifter.realtime.queueing import Metric, Replicas, pace_levels
from shifter.realtime.simulate import draw, simulate
from shifter.realtime.traffic import Traffic
from tests.realtime.serving import CHAT, CODE, PROFILE, profiles, traffics


def test_without_a_most_the_number_in_service_is_negative_binomial() -> None:
    wide = replace(PROFILE, max_sequences=4096)
    one = Replicas(wide, CHAT, 1)
    work_ms, alone_ms = CHAT.iterations * 0.3 + one.reading_ms, CHAT.iterations * 30
    rate = 0.8 * 1000 / work_ms
    found = one._found(rate)
    expected = nbinom.pmf(np.arange(400), alone_ms / work_ms + 1, 1 - rate * work_ms / 1000)
    assert found.shares[:400] == pytest.approx(expected, abs=1e-9)
    mean = float(found.shares @ np.arange(len(found.shares)))
    # Little: the mean time is the time alone over 1 - utilisation
    assert 1000 * mean / rate == pytest.approx((alone_ms + work_ms) / (1 - 0.8), rel=1e-6)


def test_alone_a_request_takes_what_its_tokens_take() -> None:
    alone = Replicas(PROFILE, replace(CHAT, prompt_scv=0.0), 1)
    sigma = math.sqrt(math.log(1.6))
    tokens = lognorm(sigma, scale=200 * math.exp(-(sigma**2) / 2)).ppf(0.99)
    assert alone.quantile_ms(1e-6, "ttft", 0.99) == pytest.approx(100, rel=1e-3)
    assert alone.quantile_ms(1e-6, "latency", 0.99) == pytest.approx(100 + (tokens - 1) * 30.3, rel=1e-3)


def test_more_than_they_can_do_is_never_in_time() -> None:
    two = Replicas(PROFILE, CHAT, 2)
    assert two.attainment(two.most_per_s, "ttft", 1e9) == 0
    assert two.quantile_ms(two.most_per_s, "ttft", 0.5) == math.inf
    assert two.utilisation(two.most_per_s) == 1


def test_answers_of_one_token_take_no_iterations() -> None:
    embed = Replicas(PROFILE, Traffic(500, 1, 0, 0), 1)
    assert embed.most_per_s == pytest.approx(20)
    assert embed.quantile_ms(1e-6, "latency", 0.99) == pytest.approx(50, rel=1e-3)
    # a queue of one server with equal services: Kingman's wait
    half = embed.quantile_ms(18, "latency", 0.9)
    assert half == pytest.approx(50 + 250 * math.log(9), rel=0.2)


def test_the_cache_binds_where_it_holds_less_than_the_batch() -> None:
    held = replace(PROFILE, kv_cache_tokens=26_400)  # 1000 + 200 * 1.6 a sequence
    assert Replicas(held, CHAT, 1).sequences == 20
    assert Replicas(replace(held, kv_cache_tokens=10.0), CHAT, 1).sequences == 1
    assert Replicas(PROFILE, CHAT, 1).sequences == 64


@pytest.mark.parametrize(
    ("traffic", "count", "utilisation"),
    [
        (CHAT, 1, 0.6),
        (CHAT, 4, 0.85),
        (CHAT, 16, 0.9),
        (replace(CHAT, arrival_scv=4.0), 3, 0.7),
        (CODE, 3, 0.6),
        (CODE, 16, 0.7),
    ],
    ids=["one", "four", "sixteen", "bunched", "code", "code on sixteen"],
)
def test_the_simulation_agrees(traffic: Traffic, count: int, utilisation: float) -> None:
    model = Replicas(PROFILE, traffic, count)
    rate = utilisation * model.most_per_s
    ran = simulate(draw(traffic, rate, 30_000, seed=5), PROFILE, count)
    times: dict[Metric, np.ndarray] = {"ttft": ran.ttft_ms[3000:], "latency": ran.latency_ms[3000:]}
    margins: dict[Metric, tuple[float, float]] = {"latency": (0.9, 1.2), "ttft": (0.85, 1.4)}
    for metric, (lowest, highest) in margins.items():
        for q in (0.9, 0.95, 0.99):
            ratio = model.quantile_ms(rate, metric, q) / float(np.quantile(times[metric], q))
            assert lowest < ratio < highest, (metric, q)


def test_a_rate_that_varies_slowly_is_at_each_moment_what_it_is() -> None:
    paces, weights = pace_levels(0.2)
    assert weights.sum() == pytest.approx(1)
    assert weights @ paces == pytest.approx(1.2, rel=1e-3), "of requests, more find it high"
    traffic = replace(CHAT, rate_scv=0.05)
    model = Replicas(PROFILE, traffic, 8)
    rate = 0.5 * model.most_per_s
    ran = simulate(draw(traffic, rate, 60_000, seed=4, window_s=120), PROFILE, 8)
    for q in (0.9, 0.95):
        assert model.quantile_ms(rate, "latency", q) == pytest.approx(
            np.quantile(ran.latency_ms, q), rel=0.15
        )
    wild = Replicas(PROFILE, replace(CHAT, rate_scv=3.0), 8)
    assert wild.quantile_ms(rate, "ttft", 0.99) == math.inf, (
        "more than one in a hundred find more than can be done"
    )
    assert wild.attainment(rate, "ttft", 1e9) < 0.99


def test_lengths_that_are_known_stand_over_the_log_normal() -> None:
    known = replace(CHAT, output_levels=tuple(np.linspace(100, 300, 401)), prompt_levels=(1000.0,) * 5)
    alone = Replicas(PROFILE, known, 1)
    assert alone.quantile_ms(1e-6, "ttft", 0.99) == pytest.approx(100, rel=1e-3)
    assert alone.quantile_ms(1e-6, "latency", 0.75) == pytest.approx(100 + 249 * 30.3, rel=2e-3)


@settings(max_examples=25)
@given(profiles, traffics, st.integers(1, 20), st.floats(0.01, 0.95), st.floats(0.3, 20))
def test_attainment_falls_with_the_rate_and_grows_with_replicas_and_time(
    profile: ServingProfile, traffic: Traffic, count: int, utilisation: float, limit_ratio: float
) -> None:
    few, more = Replicas(profile, traffic, count), Replicas(profile, traffic, count + 1)
    rate = utilisation * few.most_per_s
    limit_ms = limit_ratio * (few.reading_ms + traffic.iterations * profile.base_ms + 1)
    metrics: tuple[Metric, ...] = ("ttft", "latency")
    for metric in metrics:
        share = few.attainment(rate, metric, limit_ms)
        assert 0 <= share <= 1
        assert few.attainment(0.9 * rate, metric, limit_ms) >= share - 1e-9
        assert more.attainment(rate, metric, limit_ms) >= share - 1e-9
        assert few.attainment(rate, metric, 1.1 * limit_ms) >= share - 1e-9
