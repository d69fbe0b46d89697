"""The benchmark of sizing on requests that are drawn: its least is the least, and its peers are what they say."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figure import Options, Skipped, quiet
from benchmarks.llm_traces import faster, measured_profile
from benchmarks.sizing import Case, by_mm1, objective, rows, run
from shifter.domain.serving import LatencySlo
from shifter.realtime.queueing import Replicas
from shifter.realtime.simulate import draw
from tests.realtime.serving import CHAT, PROFILE

DRAWN = draw(CHAT, 12.0, 4000, seed=1)


def test_the_least_is_enough_and_one_fewer_is_not() -> None:
    case = Case(DRAWN, PROFILE, objective(DRAWN, PROFILE, 0.95))
    least = case.least(3)
    assert case.attained(least) >= 0.95 > case.attained(least - 1)
    assert case.least(40) == least


def test_a_row_tells_all_of_a_trace() -> None:
    first, _ = rows("chat", DRAWN, PROFILE)
    told = {figure.name: figure.measured for figure in first.figures[:4]}
    assert told["sized"] is not None
    assert told["least"] is not None
    assert told["sized / least"] == pytest.approx(told["sized"] / told["least"])
    assert first.figures[2].met
    assert told["in time"] is not None
    assert told["in time"] >= 95


def test_mm1_is_sized_by_its_exponential_sojourn() -> None:
    one = Replicas(PROFILE, CHAT, 1)
    late, limit_s = 0.05, 10.0
    found = by_mm1(one, LatencySlo(1e9, 1000 * limit_s, 1 - late), 20.0)
    assert math.exp(-(one.most_per_s - 20.0 / found) * limit_s) <= late
    assert math.exp(-(one.most_per_s - 20.0 / (found - 1)) * limit_s) > late


def test_faster_is_the_same_requests_sooner() -> None:
    twice = faster(DRAWN, 2)
    assert twice.per_s == pytest.approx(2 * DRAWN.per_s)
    assert np.array_equal(twice.output_tokens, DRAWN.output_tokens)


def test_a_profile_is_fitted_to_what_was_timed(tmp_path: Path) -> None:
    head = "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,tensor_parallel"
    lines = [head, "other,h100-80gb,1,1,1,1,1,8"]
    lines += [f"llama2-70b,h100-80gb,{500 * n},{n},128,{50 * n},{30 + 0.25 * n},8" for n in (1, 2, 32)]
    with gzip.open(tmp_path / "splitwise_perf_model.csv.gz", "wt") as out:
        out.write("\n".join(lines) + "\n")
    fitted = measured_profile(tmp_path)
    assert fitted.prefill_tokens_per_s == pytest.approx(10_000)
    assert (fitted.base_ms, fitted.ms_per_sequence) == pytest.approx((30, 0.25))
    assert fitted.max_sequences == 32


def test_without_data_it_says_so() -> None:
    with pytest.raises(Skipped, match="needs the data"):
        list(run(Options(), quiet))
