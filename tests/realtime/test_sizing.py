"""From rates to accelerators: monotone, from nothing to nothing, and what cannot be is said."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shifter.domain.fleet import Model
from shifter.domain.serving import LatencySlo, MeasuredRate, Serving, ServingProfile
from shifter.errors import InputError
from shifter.realtime.queueing import Replicas
from shifter.realtime.simulate import draw, simulate
from shifter.realtime.sizing import POOLED, accelerators_for, expected, most_each_per_s, replicas_for
from shifter.realtime.traffic import Traffic
from tests.realtime.serving import CHAT, CODE, PROFILE, SERVING, SLO, profiles, traffics

MODEL = Model("llama", {"H100": 160.0, "L40S": 20.0}, {"H100": 8}, serving={"H100": SERVING}, latency_slo=SLO)
TABLE = Serving(measured=(MeasuredRate(2, 10.0), MeasuredRate(3, 18.0), MeasuredRate(8, 50.0)))


def test_no_requests_need_nothing_but_what_is_kept_warm() -> None:
    assert replicas_for(SERVING, CHAT, SLO, [0.0, 0.0]).tolist() == [0, 0]
    warm = replace(SERVING, min_replicas=2)
    assert replicas_for(warm, CHAT, SLO, [0.0, 0.1, 20.0]).tolist() == [2, 2, 7]
    assert replicas_for(replace(TABLE, min_replicas=1), CHAT, None, 0.0) == 1


def test_accelerators_are_whole_replicas_and_keep_the_shape_of_the_rates() -> None:
    rates = np.array([[0.0, 1.0, 7.0], [20.0, 90.0, 400.0]])
    found = accelerators_for(MODEL, "H100", CHAT, rates)
    assert found.shape == rates.shape
    assert np.all(found % 8 == 0)
    assert np.array_equal(found, 8 * replicas_for(SERVING, CHAT, SLO, rates))


@pytest.mark.parametrize(
    "traffic", [CHAT, CODE, replace(CHAT, arrival_scv=5.0)], ids=["chat", "code", "bunched"]
)
@pytest.mark.parametrize("rate", [1.0, 6.0, 25.0])
def test_what_is_sized_is_in_time_when_it_is_simulated(traffic: Traffic, rate: float) -> None:
    slo = LatencySlo(2500, 60_000, 0.95)
    count = int(replicas_for(SERVING, traffic, slo, rate))
    ran = simulate(draw(traffic, rate, 30_000, seed=3), PROFILE, count)
    assert np.mean(ran.ttft_ms <= 2500) >= 0.94
    assert np.mean(ran.latency_ms <= 60_000) >= 0.94
    if count > 2:  # and far fewer would not do
        less = simulate(draw(traffic, rate, 30_000, seed=3), PROFILE, int(0.6 * count))
        assert min(np.mean(less.ttft_ms <= 2500), np.mean(less.latency_ms <= 60_000)) < 0.95


@settings(max_examples=4)
@given(profiles, traffics, st.floats(1.05, 10), st.floats(0.5, 0.999), st.booleans())
def test_more_load_needs_no_fewer_and_an_easier_objective_no_more(
    profile: ServingProfile, traffic: Traffic, times: float, quantile: float, first: bool
) -> None:
    alone_ms = Replicas(profile, replace(traffic, arrival_scv=1.0, rate_scv=0.0), 1).quantile_ms(
        1e-9, "ttft" if first else "latency", quantile
    )
    limit_ms = max(1.0, times * alone_ms)
    slo = LatencySlo(limit_ms, None, quantile) if first else LatencySlo(None, limit_ms, quantile)
    try:
        each = most_each_per_s(profile, traffic, slo)
    except InputError as error:
        assume(error.field != "arrival_scv")
        raise
    assert np.all(np.diff(each) >= 0)
    rates = np.linspace(0, 80 * each[-1], 200)
    assert np.all(np.diff(replicas_for(Serving(profile), traffic, slo, rates)) >= 0)

    def most(slo: LatencySlo, traffic: Traffic = traffic) -> np.ndarray:
        try:
            return most_each_per_s(profile, traffic, slo)
        except InputError:
            return np.zeros(POOLED)

    easier = replace(
        slo, ttft_ms=slo.ttft_ms and 1.2 * slo.ttft_ms, latency_ms=slo.latency_ms and 1.2 * slo.latency_ms
    )
    assert np.all(most(easier) >= each * (1 - 1e-3))
    assert np.all(most(replace(slo, quantile=max(0.5, 0.95 * quantile))) >= each * (1 - 1e-3))
    assert np.all(most(slo, replace(traffic, output_tokens=1.2 * traffic.output_tokens)) <= each * (1 + 1e-3))
    assert np.all(
        most(slo, replace(traffic, prompt_tokens=1.2 * traffic.prompt_tokens + 1)) <= each * (1 + 1e-3)
    )


def test_bursts_need_more_and_large_pools_less_for_each() -> None:
    slo = LatencySlo(1500, None, 0.99)
    calm, bunched = (most_each_per_s(PROFILE, replace(CODE, arrival_scv=a), slo) for a in (1.0, 6.0))
    assert np.all(bunched < calm)
    assert calm[15] > 1.3 * calm[0]


def test_a_rate_that_varies_needs_more_than_one_that_stands_still() -> None:
    steady, varying = (
        replicas_for(SERVING, replace(CHAT, rate_scv=v), SLO, [0.0, 1.0, 20.0, 200.0]) for v in (0.0, 0.3)
    )
    assert steady[0] == varying[0] == 0
    assert np.all(varying[2:] > steady[2:])
    count = int(varying[2])
    traffic = replace(CHAT, rate_scv=0.3)
    assert expected(PROFILE, traffic, SLO, 20.0, count).meets(SLO)
    ran = simulate(draw(traffic, 20.0, 40_000, seed=6, window_s=60), PROFILE, count)
    assert np.mean(ran.latency_ms <= 45_000) >= 0.985


def test_many_replicas_are_as_good_as_64_each() -> None:
    each = most_each_per_s(PROFILE, CHAT, SLO)
    assert replicas_for(SERVING, CHAT, SLO, 10 * POOLED * each[-1]) == 10 * POOLED
    assert replicas_for(SERVING, CHAT, SLO, 10 * POOLED * each[-1] + 0.1) == 10 * POOLED + 1


def test_a_request_that_alone_is_too_slow_says_by_how_much() -> None:
    with pytest.raises(InputError) as caught:
        replicas_for(SERVING, CHAT, LatencySlo(None, 10_000, 0.99), 5.0, "llama")
    assert caught.value.field == "latency_slo.latency_ms"
    least = caught.value.facts["least_ms"]
    assert f"alone on one, 99 of 100 requests have their answer within {least:,.0f} ms" in caught.value.detail
    assert f"{least - 10_000:,.0f} ms more than the 10,000 ms allowed" in caught.value.detail
    assert replicas_for(SERVING, CHAT, LatencySlo(None, 1.01 * least, 0.99), 5.0) >= 1
    assert replicas_for(SERVING, CHAT, LatencySlo(None, 10_000, 0.99), 0.0) == 0, "nobody is too slow"


def test_a_table_stands_in_its_place() -> None:
    rates = [0.0, 0.1, 10.0, 10.1, 14.0, 18.0, 18.1, 50.0, 50.1, 100.0, 101.0]
    assert replicas_for(TABLE, CHAT, None, rates).tolist() == [0, 2, 2, 3, 3, 3, 4, 8, 9, 16, 17]


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.1, 9)), min_size=1, max_size=6), st.floats(0, 200))
def test_a_table_is_monotone_and_never_under_what_was_measured(
    steps: list[tuple[int, float]], rate: float
) -> None:
    counts, rates = np.cumsum([s[0] for s in steps]), np.cumsum([s[1] for s in steps])
    rows = tuple(MeasuredRate(int(n), float(x)) for n, x in zip(counts, rates, strict=True))
    serving = Serving(measured=rows)
    assert replicas_for(serving, CHAT, None, rates).tolist() == counts.tolist()
    low, high = replicas_for(serving, CHAT, None, [rate, 1.1 * rate + 0.01])
    assert low <= high
    for row in rows:
        if rate >= row.requests_per_s:
            assert low >= row.replicas


@pytest.mark.parametrize("rows", [(1, 64), (2, 64), (3, 12, 40), (1, 2, 4, 8)])
@pytest.mark.parametrize(
    ("traffic", "slo"),
    [
        (Traffic(3000, 200, 1, 1, 4.0), LatencySlo(2000, None, 0.99)),
        (Traffic(3000, 200, 1, 1, 1.0), LatencySlo(1400, None, 0.95)),
        (Traffic(3000, 200, 1, 1, 8.0), LatencySlo(2500, None, 0.99)),
    ],
)
def test_a_table_of_what_the_model_serves_never_needs_fewer_than_the_model(
    traffic: Traffic, slo: LatencySlo, rows: tuple[int, ...]
) -> None:
    together = most_each_per_s(PROFILE, traffic, slo) * np.arange(1, POOLED + 1)
    table = Serving(measured=tuple(MeasuredRate(n, float(together[n - 1])) for n in rows))
    rates = np.linspace(0.0, together[rows[-1] - 1], 400)
    needed = replicas_for(table, traffic, None, rates)
    assert np.all(needed >= replicas_for(Serving(PROFILE), traffic, slo, rates))
    assert np.all(np.diff(needed) >= 0)
    assert needed.max() == rows[-1]


def test_a_row_that_serves_less_each_is_drawn_near_to_from_the_row_below() -> None:
    table = Serving(measured=(MeasuredRate(1, 10.0), MeasuredRate(4, 20.0)))
    assert replicas_for(table, CHAT, None, [10.0, 12.0, 16.0, 19.9, 20.0, 40.0]).tolist() == [
        1,
        2,
        3,
        4,
        4,
        8,
    ]


def test_two_days_of_half_hours_at_three_quantiles_of_several_pools_take_well_under_a_second() -> None:
    rates = np.random.default_rng(1).gamma(2, 30, (96, 3))
    begun = time.process_time()
    for i in range(4):
        accelerators_for(MODEL, "H100", replace(CHAT, prompt_tokens=1001.0 + i), rates)
    assert time.process_time() - begun < 3, "and a tenth of it where the machine is quiet"


def test_what_is_expected() -> None:
    count = int(replicas_for(SERVING, CHAT, SLO, 20.0))
    enough, fewer = (expected(PROFILE, CHAT, SLO, 20.0, n) for n in (count, count - 1))
    assert enough.meets(SLO)
    assert not fewer.meets(SLO)
    assert enough.latency_ms <= 45_000
    assert 0 < enough.utilisation < fewer.utilisation
    assert expected(PROFILE, CHAT, LatencySlo(2000), 20.0, count).latency_attained is None
    many, half = (expected(PROFILE, CHAT, SLO, rate, n) for rate, n in ((400.0, 128), (200.0, 64)))
    assert replace(many, replicas=64) == half


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        (lambda: accelerators_for(MODEL, "L40S", CHAT, 1.0), "models[llama].serving", "It is known for H100"),
        (lambda: accelerators_for(MODEL, "H100", CHAT, -1.0), "requests_per_s", "negative or not a number"),
        (
            lambda: accelerators_for(MODEL, "H100", CHAT, [1.0, float("nan")]),
            "requests_per_s",
            "not a number",
        ),
        (
            lambda: accelerators_for(MODEL, "H100", CHAT, 1e12),
            "requests_per_s",
            "more than 10,000,000 replicas",
        ),
        (lambda: replicas_for(SERVING, CHAT, None, 1.0, "m"), "models[m].latency_slo", "how fast m must be"),
        (
            lambda: replicas_for(SERVING, CHAT, LatencySlo(), 1.0, "m"),
            "models[m].latency_slo",
            "Give ttft_ms",
        ),
        (lambda: replicas_for(Serving(), CHAT, SLO, 1.0, "m"), "models[m].serving", "how m serves"),
        (
            lambda: replicas_for(
                SERVING, replace(CHAT, arrival_scv=1000.0, output_scv=0.0), LatencySlo(490), 1.0
            ),
            "arrival_scv",
            "in bursts that 64 replicas",
        ),
    ],
)
def test_what_cannot_be_sized_is_said(asked: object, field: str, told: str) -> None:
    assert callable(asked)
    with pytest.raises(InputError) as caught:
        asked()
    assert caught.value.field == field
    assert told in str(caught.value)
