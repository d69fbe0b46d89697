"""Drawing a week of traffic from four clients: rates and lengths come out as accelerators, batch work as told."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.llm_week import DAYS, HOUR, NAME, START, STEPS_A_DAY, Trace, trace_of

PROMPT, ANSWER = 1000.0, 200.0
RATES = {0: 3.0, 1: 1.0, 2: 0.5, 3: 9.0}
"""Two that are interactive, one of batch, and one that is neither; requests a second."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of them; a replica reads 10,000 tokens a second, an iteration of 32 takes 38 ms."""
    data = tmp_path_factory.mktemp("data")
    for name in (NAME, "gpu_power"):
        (data / name).mkdir()
    head = "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,tensor_parallel"
    timed = [f"llama2-70b,h100-80gb,{500 * n},{n},128,{50 * n},{30 + 0.25 * n},8" for n in (1, 2, 32)]
    with gzip.open(data / "gpu_power" / "splitwise_perf_model.csv.gz", "wt") as out:
        out.write("\n".join([head, *timed]) + "\n")
    alike = {0: 0.9, 1: 0.6, 2: 0.1, 3: 0.3}
    clients = {"client": list(RATES), "mean_rps": list(RATES.values()), "autocorr_24h": list(alike.values())}
    pd.DataFrame(clients).to_csv(data / NAME / "client_summary.csv.gz", index=False)
    lengths = {
        f"{k}_tokens_{what}": n
        for k, n in (("input", PROMPT), ("output", ANSWER))
        for what in ("mean", "p50", "p95")
    }
    pd.DataFrame([{"client": c, "t_s": 0, **lengths} for c in (0, 2, 3)]).to_parquet(
        data / NAME / "client_tokens_6h.parquet"
    )
    drawn = [
        {"client": c, "t_s": t, "rate_rps": rate, "dist": "Gamma", "p1": 1.0}
        for t in range(0, 86_400, 600)
        for c, rate in RATES.items()
    ]
    pd.DataFrame(drawn).to_parquet(data / NAME / "clients_10min.parquet")
    return data


EACH_S = 8 * (PROMPT / 10_000 + ANSWER * 0.038 / 32)
"""Accelerator-seconds of a request."""


def test_interactive_clients_are_shared_out_to_sites_and_take_what_their_requests_take(data: Path) -> None:
    trace = trace_of(data, ("a", "b"), 1000)
    day = {site: load[:STEPS_A_DAY] for site, load in trace.realtime.items()}
    assert day["a"].mean() == pytest.approx(RATES[0] * EACH_S, rel=0.02)
    assert day["b"].mean() == pytest.approx(
        RATES[1] * EACH_S, rel=0.02
    )  # its lengths are not told: those of others
    for load in trace.realtime.values():
        assert len(load) == DAYS * STEPS_A_DAY
        assert not load[STEPS_A_DAY + 60 :].any()


def test_an_hour_of_batch_requests_is_work_from_its_end_and_due_a_day_later(data: Path) -> None:
    work = trace_of(data, ("a", "b"), 1000).work
    assert len(work) == 24
    assert {w.tenant for w in work} == {"tenant-0"}
    for i, w in enumerate(work):
        assert w.accelerator_hours == pytest.approx(RATES[2] * EACH_S, abs=0.001)
        assert w.earliest_start == START + (i + 1) * HOUR
        assert w.deadline == w.earliest_start + timedelta(days=1)


def test_the_same_week_is_drawn_each_time_and_no_site_serves_more_than_it_can(data: Path) -> None:
    one, again, most = trace_of(data, ("a",), 9), trace_of(data, ("a",), 9), trace_of(data, ("a",), 3)
    assert np.array_equal(one.realtime["a"], again.realtime["a"])
    assert one.work == again.work
    assert np.array_equal(most.realtime["a"], np.minimum(one.realtime["a"], 3))
    assert one.realtime["a"].max() > 3


def test_work_is_found_by_the_step_in_which_it_comes(data: Path) -> None:
    trace = trace_of(data, ("a",), 9)
    found = Trace(trace.realtime, trace.work[:2]).by_step()
    assert found == {120: [trace.work[0]], 240: [trace.work[1]]}
