"""Accelerators for real requests by the queueing model, beside the least that a simulation shows to be enough.

Requests come as they did in each trace, and once more eight times as fast, to replicas of a model whose times somebody
measured. A first token may take three times as long as alone, a whole answer one and a half times, both at the
quantile. The model is told the mean rate, how much it varies, and the laws of lengths. Beside it sizing by the mean
throughput of full batches, and by the M/M/1 queue of that rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, Options, Row, Tell, Within
from benchmarks.llm_traces import ACCELERATORS, azure, faster, measured_profile, mooncake, servegen
from shifter.domain.serving import LatencySlo, Serving, ServingProfile
from shifter.realtime.queueing import Replicas
from shifter.realtime.simulate import Requests, Simulated, simulate
from shifter.realtime.sizing import replicas_for
from shifter.realtime.traffic import Floats, Traffic

QUANTILES = (0.95, 0.99)
TTFT_TIMES, LATENCY_TIMES = 3.0, 1.5
SKIPPED = 0.05
"""Of the first requests, which find replicas empty."""

TRACES: tuple[tuple[str, str, Callable[[Path], Requests], tuple[float, ...]], ...] = (
    ("Azure code", "llm_azure_2023", lambda folder: azure(folder, "code"), (1.0, 8.0)),
    ("Azure conversation", "llm_azure_2023", lambda folder: azure(folder, "conv"), (1.0, 8.0)),
    ("Mooncake", "llm_mooncake", mooncake, (1.0, 8.0)),
    ("ServeGen", "llm_servegen_m_large_week1", servegen, (1.0,)),
)
RATIO = Within(1.15, 0.15)
"""Sized over least: nothing too few, and not a third too many."""


@dataclass(frozen=True)
class Case:
    """Requests, and what is asked of their replicas."""

    requests: Requests
    profile: ServingProfile
    slo: LatencySlo

    def attained(self, replicas: int) -> float:
        """The share in time when they are simulated, of what is worse."""
        ran = simulate(self.requests, self.profile, replicas)
        assert self.slo.ttft_ms is not None
        assert self.slo.latency_ms is not None
        return min(_share(ran.ttft_ms, self.slo.ttft_ms), _share(ran.latency_ms, self.slo.latency_ms))

    def least(self, enough: int) -> int:
        """The fewest replicas that are enough, by bisection."""
        low, high = 0, max(1, enough)
        while self.attained(high) < self.slo.quantile:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.attained(middle) >= self.slo.quantile else (middle, high)
        return high


def _share(times_ms: Floats, limit_ms: float) -> float:
    return float(np.mean(times_ms[int(SKIPPED * len(times_ms)) :] <= limit_ms))


def alone(requests: Requests, profile: ServingProfile) -> Simulated:
    """What each request takes where there is no other."""
    ttft_ms = 1000 * requests.prompt_tokens / profile.prefill_tokens_per_s
    rest_ms = (requests.output_tokens - 1) * (profile.base_ms + profile.ms_per_sequence)
    return Simulated(ttft_ms, ttft_ms + rest_ms)


def objective(requests: Requests, profile: ServingProfile, quantile: float) -> LatencySlo:
    """What is asked: so many times of what the quantile takes alone."""
    by_itself = alone(requests, profile)
    ttft_ms, latency_ms = (float(np.quantile(t, quantile)) for t in (by_itself.ttft_ms, by_itself.latency_ms))
    return LatencySlo(TTFT_TIMES * ttft_ms, LATENCY_TIMES * latency_ms, quantile)


def traffic_of(requests: Requests, slo: LatencySlo) -> Traffic:
    """What the model is told of them: how the rate varies from one span of the latency that is allowed to the next."""
    assert slo.latency_ms is not None
    window_s = slo.latency_ms / 1000
    return Traffic.of(requests.arrival_s, requests.prompt_tokens, requests.output_tokens, window_s)


def by_mm1(replicas: Replicas, slo: LatencySlo, rate: float) -> int:
    """Replicas as M/M/1 queues, each with its share of requests, served one by one at the rate of a full batch."""
    each, late = replicas.most_per_s, 1 - slo.quantile
    count = max(1, math.ceil(rate / each))
    while True:
        spare = each - rate / count
        if spare > 0 and slo.ttft_ms is not None and slo.latency_ms is not None:
            waits_s = max(0.0, -math.log(late * each / (rate / count)) / spare)
            in_time = 1000 * waits_s + replicas.reading_ms <= slo.ttft_ms
            if in_time and -1000 * math.log(late) / spare <= slo.latency_ms:
                return count
        count += 1


def rows(name: str, requests: Requests, profile: ServingProfile) -> Iterator[Row]:
    """A row a quantile."""
    rate = requests.per_s
    for quantile in QUANTILES:
        slo = objective(requests, profile, quantile)
        traffic = traffic_of(requests, slo)
        one = Replicas(profile, traffic, 1)
        case = Case(requests, profile, slo)
        sized = int(replicas_for(Serving(profile), traffic, slo, rate))
        least = case.least(sized)
        naive = {"mean throughput": math.ceil(rate / one.most_per_s), "M/M/1": by_mm1(one, slo, rate)}
        figures = [
            Figure("sized", ACCELERATORS * sized, digits=0),
            Figure("least", ACCELERATORS * least, digits=0),
            Figure("sized / least", sized / least, target=RATIO),
            Figure("in time", 100 * case.attained(sized), "%", digits=1),
        ]
        for how, count in naive.items():
            figures.append(Figure(f"{how} / least", count / least))
            figures.append(Figure("in time", 100 * case.attained(count), "%", digits=1))
        said = (
            f"{rate:.1f} requests per s, {traffic.prompt_tokens:.0f} and {traffic.output_tokens:.0f} tokens, scv "
            f"{traffic.prompt_scv:.1f} and {traffic.output_scv:.1f}, of the rate {traffic.rate_scv:.2f}; first token "
            f"{slo.ttft_ms:.0f} ms, whole {slo.latency_ms:.0f} ms"
        )
        yield Row(f"{name}, p{100 * quantile:g}", tuple(figures), said)


def run(options: Options, tell: Tell) -> Iterator[Row]:
    """Accelerators sized and least, the share in time, and what cruder sizing comes to."""
    profile = measured_profile(options.data_folder("gpu_power"))
    todo = [(name, folder, read, times) for name, folder, read, all_times in TRACES for times in all_times]
    for i, (name, folder, read, times) in enumerate(todo):
        tell(name, i / len(todo))
        said = name if times == 1 else f"{name} x {times:g}"
        yield from rows(said, faster(read(options.data_folder(folder)), times), profile)


if __name__ == "__main__":
    from benchmarks.runner import alone as only

    only("sizing")
