"""What a trace's requests are like, and what no requests can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shifter.errors import InputError
from shifter.realtime.simulate import draw
from shifter.realtime.traffic import Traffic, dispersion
from tests.realtime.serving import CHAT


def test_what_is_drawn_is_found_again() -> None:
    traffic = Traffic(1000, 200, 0.8, 0.5, rate_scv=0.3)
    drawn = draw(traffic, 50, 200_000, seed=2, window_s=10)
    found = Traffic.of(drawn.arrival_s, drawn.prompt_tokens, drawn.output_tokens, window_s=10)
    for name in ("prompt_tokens", "output_tokens", "prompt_scv", "output_scv"):
        assert getattr(found, name) == pytest.approx(getattr(traffic, name), rel=0.05)
    assert found.rate_scv == pytest.approx(0.3, rel=0.3)
    assert found.arrival_scv == 1
    assert np.mean(found.output_levels) == pytest.approx(200, rel=0.02)
    steady = draw(CHAT, 50, 50_000, seed=2)
    assert Traffic.of(steady.arrival_s, steady.prompt_tokens, steady.output_tokens, 10).rate_scv < 0.003


@pytest.mark.parametrize("scv", [0.5, 1.0, 4.0])
def test_the_dispersion_of_renewals_is_that_of_the_times_between(scv: float) -> None:
    drawn = draw(Traffic(1000, 200, arrival_scv=scv), 50, 200_000, seed=2)
    assert dispersion(drawn.arrival_s, 10) == pytest.approx(scv, rel=0.25)


def test_bursts_that_the_times_between_do_not_show() -> None:
    rng = np.random.default_rng(1)
    minutes = np.repeat(rng.choice([10, 190], 400), 1)
    moments = np.sort(np.concatenate([60 * i + 60 * rng.random(n) for i, n in enumerate(minutes)]))
    assert dispersion(moments, 60) > 50


def test_too_short_a_trace_is_taken_for_a_poisson_stream() -> None:
    assert dispersion(np.array([0.0, 1.0, 1.1]), 1.0) == 1.0
    assert dispersion(np.array([]), 1.0) == 1.0


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((-1.0, 10.0), "prompt_tokens"),
        ((10.0, 0.5), "output_tokens"),
        ((10.0, float("nan")), "output_tokens"),
        ((10.0, 10.0, -0.1), "prompt_scv"),
        ((10.0, 10.0, 1.0, 1e4), "output_scv"),
        ((10.0, 10.0, 1.0, 1.0, float("inf")), "arrival_scv"),
        ((10.0, 10.0, 1.0, 1.0, 1.0, -1.0), "rate_scv"),
        ((10.0, 10.0, 1.0, 1.0, 1.0, 0.0, (3.0, 2.0)), "prompt_levels"),
        ((10.0, 10.0, 1.0, 1.0, 1.0, 0.0, (), (1.0, float("nan"))), "output_levels"),
    ],
)
def test_what_no_requests_have_is_refused(values: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InputError) as caught:
        Traffic(*values)
    assert caught.value.field == field
    assert caught.value.hint
