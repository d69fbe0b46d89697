"""A week of production traffic to language models, drawn once: ServeGen's m-large, week 1.

Its interactive clients (those whose day is like the day before) are real-time load at the sites that they are shared
out to, its batch clients deferrable and preemptible work, an hour's requests at a time, due a day later at any site.
Within ten minutes requests are drawn from the inter-arrival times that were fitted to each client, with a seed.
Accelerator-seconds of a request are what Splitwise measured of Llama 2 70B on eight H100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.llm_traces import (
    ACCELERATORS,
    WINDOW_S,
    lognormal,
    measured_profile,
    parquet,
    renewals,
)
from forecasts.slots import Floats
from shifter.domain.serving import ServingProfile
from shifter.domain.workload import Workload

NAME = "llm_servegen_m_large_week1"
"""The folder of the data."""
START = datetime(2021, 9, 6, tzinfo=UTC)
"""A Monday; the data do not say which week it was."""
DAYS = 7
STEP_S = 30
STEPS_AN_HOUR, STEPS_A_DAY = 3600 // STEP_S, 86_400 // STEP_S
STEP, HOUR, DAY = timedelta(seconds=STEP_S), timedelta(hours=1), timedelta(days=1)
INTERACTIVE, BATCH = 0.5, 0.2
"""Correlation with the day before: above is real-time load, below is batch."""
TENANTS = 4
BATCH_SIZE = 32
"""Sequences that a replica decodes at once where its share of an accelerator-second is counted."""
LONGEST_STEPS = 60
"""Of decoding one request."""
LENGTHS_S = 21_600
"""For which lengths of requests are told at a time."""
SEED = 1
Loads = Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Trace:
    """Accelerators that real-time load uses by site, (n_steps,) each; and the work of each hour."""

    realtime: Loads
    work: tuple[Workload, ...]

    def by_step(self) -> dict[int, list[Workload]]:
        """The work by the step in which it comes."""
        found: dict[int, list[Workload]] = {}
        for w in self.work:
            assert w.earliest_start is not None
            found.setdefault((w.earliest_start - START) // STEP, []).append(w)
        return found


def trace_of(data: Path, sites: Sequence[str], most: float) -> Trace:
    """The week at these sites, each of which serves no more than `most` accelerators."""
    cost = _Cost.of(measured_profile(data / "gpu_power"))
    clients: Any = pd.read_csv(data / NAME / "client_summary.csv.gz").set_index("client")
    lengths = _Lengths(parquet(data / NAME / "client_tokens_6h.parquet"))
    rng = np.random.default_rng(SEED)
    interactive = clients.index[clients["autocorr_24h"] > INTERACTIVE]
    interactive = clients.loc[interactive].sort_values("mean_rps", ascending=False).index
    site_of = {client: sites[i % len(sites)] for i, client in enumerate(interactive)}
    tenant_of = {
        client: i % TENANTS for i, client in enumerate(clients.index[clients["autocorr_24h"] < BATCH])
    }
    load = {site: np.zeros(DAYS * STEPS_A_DAY + LONGEST_STEPS + 4) for site in sites}
    hours = np.zeros((TENANTS, DAYS * 24))
    for row in parquet(data / NAME / "clients_10min.parquet").itertuples():
        if row.client in site_of:
            _serve(load[site_of[row.client]], row, lengths.of(row.client, row.t_s), cost, rng)
        elif row.client in tenant_of:
            known = lengths.of(row.client, row.t_s)
            each_s = cost.seconds(known["input_tokens_mean"], known["output_tokens_mean"])
            hours[tenant_of[row.client], row.t_s // 3600] += row.rate_rps * WINDOW_S * each_s / 3600
    realtime = {site: np.minimum(values[: DAYS * STEPS_A_DAY], most) for site, values in load.items()}
    return Trace(realtime, tuple(_work(hours)))


@dataclass(frozen=True)
class _Cost:
    """What a token of a prompt and of an answer takes [accelerator-seconds], and how long one of an answer [ms]."""

    prompt_s: float
    token_s: float
    iteration_ms: float

    @classmethod
    def of(cls, profile: ServingProfile) -> _Cost:
        iteration_ms = profile.base_ms + profile.ms_per_sequence * BATCH_SIZE
        token_s = ACCELERATORS * iteration_ms / 1000 / BATCH_SIZE
        return cls(ACCELERATORS / profile.prefill_tokens_per_s, token_s, iteration_ms)

    def seconds(self, prompts: Any, answers: Any) -> Any:
        """Of requests of such lengths."""
        return self.prompt_s * prompts + self.token_s * answers


class _Lengths:
    """Of a client's requests: as told of its six hours, else as of its week, else as of the middle of all clients."""

    def __init__(self, table: Any) -> None:
        self._told = table.set_index(["client", "t_s"])
        self._usual = self._told.groupby(level=0).median()
        self._middle = self._usual.median()

    def of(self, client: Any, t_s: int) -> Any:
        usual = self._middle
        if client in self._usual.index:
            usual = self._usual.loc[client].fillna(self._middle)
        at = (client, t_s // LENGTHS_S * LENGTHS_S)
        return self._told.loc[at].fillna(usual) if at in self._told.index else usual


def _serve(load: Floats, row: Any, known: Any, cost: _Cost, rng: np.random.Generator) -> None:
    """Draw a client's requests of ten minutes, and add what they take.

    A request is decoded for as long as its answer takes; its accelerator-seconds are spread over that.
    """
    times = row.t_s + renewals(rng, row.rate_rps, row.dist, row.p1)
    prompts, answers = (
        lognormal(
            rng, known[f"{k}_tokens_mean"], known[f"{k}_tokens_p95"], known[f"{k}_tokens_p50"], len(times)
        )
        for k in ("input", "output")
    )
    lasts = (
        np.maximum(1, np.ceil(answers * cost.iteration_ms / 1000 / STEP_S)).astype(int).clip(1, LONGEST_STEPS)
    )
    share = cost.seconds(prompts, answers) / STEP_S / lasts
    first = (times // STEP_S).astype(int)
    for k in range(int(lasts.max(initial=0))):
        np.add.at(load, first[lasts > k] + k, share[lasts > k])


def _work(hours: Floats) -> Iterator[Workload]:
    """What each tenant's requests of an hour take, (n_tenants, n_hours), once that hour is over."""
    n_tenants, n_hours = hours.shape
    for hour in range(n_hours):
        for tenant in range(n_tenants):
            if hours[tenant, hour] > 0.01:
                yield Workload(
                    f"{tenant}-{hour:03d}",
                    tenant=f"tenant-{tenant}",
                    accelerator_hours=float(round(hours[tenant, hour], 3)),
                    earliest_start=START + (hour + 1) * HOUR,
                    deadline=START + (hour + 25) * HOUR,
                    max_accelerators=64,
                    preemptible=True,
                    mode="batch",
                )
