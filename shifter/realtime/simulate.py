"""Replicas that batch continuously, event by event: what the queueing model is checked against, and shares no
arithmetic with.

A request joins the replica with the fewest unfinished ones. There prompts are read one at a time, in the order of
arrival, between iterations, while the batch and the key-value cache have room; whole iterations take
`base_ms + ms_per_sequence * sequences` and give each sequence a token. Nothing is random but what arrives.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from shifter.domain.serving import ServingProfile
from shifter.errors import InputError
from shifter.realtime.traffic import Floats, Traffic


@dataclass(frozen=True, eq=False)
class Requests:
    """What arrives: moments [s] in order, and lengths [tokens]; each (n,)."""

    arrival_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats

    @property
    def per_s(self) -> float:
        """Mean rate of arrivals."""
        return (len(self.arrival_s) - 1) / float(self.arrival_s[-1] - self.arrival_s[0])


@dataclass(frozen=True, eq=False)
class Simulated:
    """When each request had its first and its last token, from its arrival [ms]; each (n,)."""

    ttft_ms: Floats
    latency_ms: Floats


def draw(
    traffic: Traffic, requests_per_s: float, count: int, seed: int, *, window_s: float = 60.0
) -> Requests:
    """Requests as a renewal stream with gamma times between, and log-normal lengths; the same for the same seed.

    Where the rate varies it is constant for `window_s` at a time, with gamma levels.
    """
    rng = np.random.default_rng(seed)
    if traffic.arrival_scv > 0:
        between = rng.gamma(1 / traffic.arrival_scv, traffic.arrival_scv / requests_per_s, count)
    else:
        between = np.full(count, 1 / requests_per_s)
    moments = np.cumsum(between)
    if traffic.rate_scv > 0:
        # as many as come in all of these windows at the mean rate, at the pace of each
        pace = rng.gamma(1 / traffic.rate_scv, traffic.rate_scv, int(3 * moments[-1] / window_s) + 100)
        edges = np.arange(len(pace) + 1) * window_s
        moments = np.interp(moments, np.concatenate([[0.0], np.cumsum(pace) * window_s]), edges)
    lengths = (
        _lognormal(rng, traffic.prompt_tokens, traffic.prompt_scv, count),
        _lognormal(rng, traffic.output_tokens, traffic.output_scv, count),
    )
    prompts, outputs = (np.maximum(1.0, np.rint(length)) for length in lengths)
    return Requests(moments, prompts, outputs)


def _lognormal(rng: np.random.Generator, mean: float, scv: float, count: int) -> Floats:
    sigma = math.sqrt(math.log1p(scv))
    return mean * np.exp(sigma * rng.standard_normal(count) - sigma**2 / 2)


_IDLE, _READING, _DECODING = 0, 1, 2


@dataclass(slots=True)
class _Replica:
    """What one replica does now, until `ends_at`."""

    doing: int = _IDLE
    begun_at: float = 0.0
    ends_at: float = 0.0
    steps: int = 0
    iteration: int = 0
    """Iterations that it has done since the beginning."""
    cache: float = 0.0
    """Tokens that its sequences may come to."""
    version: int = 0
    """Of what it does: an older one that was cut short is passed over."""
    waiting: deque[int] = field(default_factory=deque)
    batch: list[tuple[int, int]] = field(default_factory=list)
    """A heap: the iteration with which a sequence ends, and its request."""


def simulate(requests: Requests, profile: ServingProfile, replicas: int) -> Simulated:
    """What `replicas` of this profile make of these requests. All are served to their end.

    Raises InputError for a request that alone is more than the key-value cache holds.
    """
    return _Run(requests, profile, replicas).all()


class _Run:
    def __init__(self, requests: Requests, profile: ServingProfile, replicas: int) -> None:
        self.arrival_s = requests.arrival_s.tolist()
        self.outputs = [int(n) for n in requests.output_tokens]
        self.tokens = (requests.prompt_tokens + requests.output_tokens).tolist()
        self.reading_s = (requests.prompt_tokens / profile.prefill_tokens_per_s).tolist()
        self.base_s, self.each_s = profile.base_ms / 1000, profile.ms_per_sequence / 1000
        self.most, self.holds = profile.max_sequences, profile.kv_cache_tokens or math.inf
        if self.tokens and max(self.tokens) > self.holds:
            raise InputError(
                f"a request of {max(self.tokens):,.0f} tokens is more than the cache of {self.holds:,.0f}.",
                field="kv_cache_tokens",
                hint="It is of one replica: all its accelerators together.",
            )
        self.replicas = [_Replica() for _ in range(replicas)]
        self.unfinished = [0] * replicas
        self.first = [0.0] * len(self.arrival_s)
        self.last = [0.0] * len(self.arrival_s)
        self.events: list[tuple[float, int, int]] = []

    def all(self) -> Simulated:
        events, unfinished = self.events, self.unfinished
        for request, now in enumerate(self.arrival_s):
            while events and events[0][0] <= now:
                self._happen()
            i = unfinished.index(min(unfinished))
            unfinished[i] += 1
            self._arrive(i, request, now)
        while events:
            self._happen()
        arrived = np.array(self.arrival_s)
        return Simulated(1000 * (np.array(self.first) - arrived), 1000 * (np.array(self.last) - arrived))

    def _arrive(self, i: int, request: int, now: float) -> None:
        r = self.replicas[i]
        r.waiting.append(request)
        if r.doing == _IDLE:
            self._go_on(i, r, now)
        elif r.doing == _DECODING and len(r.waiting) == 1 and self._has_room(r):
            # the iteration that runs is finished, and then the prompt is read
            per_step = (r.ends_at - r.begun_at) / r.steps
            steps = max(1, math.ceil((now - r.begun_at) / per_step))
            if steps < r.steps:
                r.steps, r.ends_at = steps, r.begun_at + steps * per_step
                self._tell(i, r)

    def _has_room(self, r: _Replica) -> bool:
        return len(r.batch) < self.most and r.cache + self.tokens[r.waiting[0]] <= self.holds

    def _happen(self) -> None:
        now, i, version = heapq.heappop(self.events)
        r = self.replicas[i]
        if version != r.version:
            return
        if r.doing == _READING:
            request = r.waiting.popleft()
            self.first[request] = now
            heapq.heappush(r.batch, (r.iteration + self.outputs[request] - 1, request))
        else:
            r.iteration += r.steps
        while r.batch and r.batch[0][0] <= r.iteration:
            _, request = heapq.heappop(r.batch)
            self.last[request] = now
            self.unfinished[i] -= 1
            r.cache -= self.tokens[request]
        self._go_on(i, r, now)

    def _go_on(self, i: int, r: _Replica, now: float) -> None:
        r.begun_at = now
        if r.waiting and self._has_room(r):
            request = r.waiting[0]
            r.cache += self.tokens[request]
            r.doing, r.steps, r.ends_at = _READING, 0, now + self.reading_s[request]
        elif r.batch:
            r.doing, r.steps = _DECODING, r.batch[0][0] - r.iteration
            r.ends_at = now + r.steps * (self.base_s + self.each_s * len(r.batch))
        else:
            r.doing = _IDLE
            return
        self._tell(i, r)

    def _tell(self, i: int, r: _Replica) -> None:
        r.version += 1
        heapq.heappush(self.events, (r.ends_at, i, r.version))
