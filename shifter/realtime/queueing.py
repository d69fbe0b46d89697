"""How long requests take on replicas that batch continuously: the share that is answered in time, and quantiles.

**One replica.** An iteration over `x` sequences takes `tau(x) = base + x * each` and gives each a token; prompts are
read first come, first served, and before any iteration, `c = prompt / prefill rate` each. So `x` requests of `N`
iterations end at the rate

    f(x) = x / (N tau(x) + x c),    x <= M, the most in a batch (or in the cache);    f(x) = f(M) beyond.

That is a limited processor-sharing server whose rate depends on its load (Gupta and Zhang 2014; Inoue 2021 has the same
law of times for batches that are served as a whole, Yang, Xu and Jiao 2024 language models in batches). How many are
being served depends on the law of lengths by its mean alone (Kelly 1979; Cohen 1979), and is that of a birth-death
chain; where some wait for a place, that is exact for exponential lengths. Without `M` it is negative binomial, and a
request takes on average what it would take alone over `1 - utilisation`.

**R replicas** that share their requests evenly (join the shortest queue) end `R f(n/R)` of `n`, `f` linear between
whole numbers.

**Bunched arrivals and uneven lengths.** The chain moves in clumps of `z` in place of one: Hayward's approximation of
peaked traffic (Fredericks 1980; Whitt 1984). In the batch `z = 1 + (a - 1) / (1 + s)`, and where requests wait outside
`z = (a + s) / 2`, with `a` and `s` the squared coefficients of variation of times between arrivals and of outputs: so
the chain decays as the diffusion limit of limited processor sharing does (Zhang, Dai and Zwart 2011). Who arrives in a
clump finds `z - 1` more than there are on average, as in GI/M/infinity.

**Prompts** wait for one another as in a queue of one server (Kingman 1961; Whitt 1983): not at all with probability
`1 - p`, `p = rate * c / R`, else exponentially with mean `c (b + s_prompt) / (2 (1 - p))`. The shortest queue makes of
`b` something between dealing out in turn, `a / R`, and at random: the lesser of `(a + 1) / R` and `1 + (a - 1) / R`.

**A request** that finds `n` then takes, to its first and to its last token,

    first = W(n) + tau + w;    last = W(n) + tau + (w + N tau(x)) / (1 - p),    w = prompts before it + its own,

`x = n / R + 1` at most `M`, `W` the wait for a place: prompts that arrive while it waits, is read and runs go before
its iterations; and the batch is taken to stay as it was found, which is on the safe side.

**A rate that varies** more slowly than requests take is at each moment taken to have been so for long (the pointwise
stationary approximation; Green and Kolesar 1991). Requests find it at levels of a gamma law of squared coefficient of
variation `v`, weighted by themselves: there are the more of them the higher it is.

Attainment falls in the rate and grows in `R`, for the chain does so in the order of likelihood ratios (Shaked and
Shanthikumar 2007), and all else term by term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

from shifter.domain.serving import ServingProfile
from shifter.realtime.traffic import Floats, Traffic

Metric = Literal["ttft", "latency"]

_BATCHES = 17
"""Sizes of a batch at which what a request takes is worked out; in between it is interpolated."""
_PROMPTS: dict[Metric, int] = {"ttft": 161, "latency": 15}
"""Lengths of prompts that stand for all; more where the prompt decides, for the tail."""
_WAITS, _WAIT_STEP = 9, 0.75
"""Levels of an exponential wait that stand for all, and how far apart they are, in means of it."""
_FINENESS = 1e-4
"""Of a time that is searched for: [ms], and part of it."""
_LEAST_WORK_MS = 1e-6
"""Of a request: there is none that is no work at all."""
_SCORES = 3.6
"""Prompts, and rates that vary, are looked at up to so many standard deviations of a normal law."""
_PACES = 41
"""Levels of a rate that varies."""
_FOREVER_MS = 1e12


@dataclass(frozen=True)
class Replicas:
    """`count` replicas of one profile before one kind of traffic. All times are [ms], rates in requests per s."""

    profile: ServingProfile
    traffic: Traffic
    count: int

    @cached_property
    def reading_ms(self) -> float:
        """`c`: to read a mean prompt."""
        return 1000 * self.traffic.prompt_tokens / self.profile.prefill_tokens_per_s

    @cached_property
    def sequences(self) -> int:
        """`M`: the most in one batch. Where the cache binds, those that stay longest hold most of it."""
        held = self.traffic.prompt_tokens + self.traffic.output_tokens * (1 + self.traffic.output_scv)
        fit = math.inf if self.profile.kv_cache_tokens is None else self.profile.kv_cache_tokens / held
        return max(1, int(min(self.profile.max_sequences, fit)))

    def iteration_ms(self, sequences: Floats | float) -> Floats | float:
        """`tau(x)`."""
        return self.profile.base_ms + self.profile.ms_per_sequence * sequences

    @cached_property
    def most_per_s(self) -> float:
        """The rate at which they would be busy all the time with full batches: what the mean alone would size by."""
        each_ms = self.traffic.iterations * float(self.iteration_ms(self.sequences)) / self.sequences
        return 1000 * self.count / max(_LEAST_WORK_MS, self.reading_ms + each_ms)

    def utilisation(self, requests_per_s: float) -> float:
        """Of what they can at most, 0..1."""
        return requests_per_s / self.most_per_s

    def attainment(self, requests_per_s: float, metric: Metric, limit_ms: float) -> float:
        """The share of requests with their first token, or all of them, within `limit_ms`; 0 where it is not stable."""
        paces, weights = pace_levels(self.traffic.rate_scv)
        shares = [self.steady_attainment(requests_per_s * pace, metric, limit_ms) for pace in paces]
        return float(weights @ np.array(shares))

    def steady_attainment(self, requests_per_s: float, metric: Metric, limit_ms: float) -> float:
        """The same while the rate stands still."""
        if requests_per_s >= self.most_per_s:
            return 0.0
        return self._share_in_time(self._found(requests_per_s), requests_per_s, metric, limit_ms)

    def quantile_ms(self, requests_per_s: float, metric: Metric, quantile: float) -> float:
        """What that share of requests takes at most; infinite where more of them find what is not stable."""
        paces, weights = pace_levels(self.traffic.rate_scv)
        rates = [requests_per_s * pace for pace in paces if requests_per_s * pace < self.most_per_s]
        if weights[: len(rates)].sum() < quantile:
            return math.inf
        found = [(self._found(rate), rate, weight) for rate, weight in zip(rates, weights, strict=False)]

        def spare(limit_ms: float) -> float:
            return float(sum(w * self._share_in_time(f, r, metric, limit_ms) for f, r, w in found)) - quantile

        high = max(1e-3, self.reading_ms + self.traffic.iterations * self.profile.base_ms)
        while spare(high) < 0 and high < _FOREVER_MS:
            high *= 2
        if spare(high) < 0:
            return math.inf
        if spare(0.0) >= 0:
            return 0.0
        found_ms: float = brentq(spare, 0.0, high, xtol=_FINENESS, rtol=_FINENESS)
        return found_ms + _FINENESS * (1 + found_ms)

    def _share_in_time(self, found: _Found, requests_per_s: float, metric: Metric, limit_ms: float) -> float:
        batches = np.linspace(1, self.sequences, _BATCHES)
        in_time = self._in_time(requests_per_s, metric, limit_ms, batches, np.zeros(1))[:, 0]
        share = float(found.shares @ np.interp(found.batches, batches, in_time))
        if found.full_share > 0:
            levels, weights = _exponential_levels()
            full, waits_ms = np.array([float(self.sequences)]), found.full_wait_ms * levels
            late = self._in_time(requests_per_s, metric, limit_ms, full, waits_ms)[0]
            share += found.full_share * float(late @ weights)
        return min(1.0, share)

    @cached_property
    def _clump(self) -> float:
        a, s = self.traffic.arrival_scv, self.traffic.output_scv
        return max(_LEAST_CLUMP, 1 + (a - 1) / (1 + s))

    @cached_property
    def _places(self) -> Floats:
        """How many requests there may be without one waiting for a place, clump by clump."""
        last = max(1, int(self.count * self.sequences / self._clump))
        return self._clump * np.arange(last + 1, dtype=np.float64)

    @cached_property
    def _log_weights(self) -> Floats:
        """Logarithm of each state's weight at one request per ms."""
        n = self._places[1:] / self.count
        below = np.floor(n)
        low, high = self._ended_per_ms(below), self._ended_per_ms(below + 1)
        per_ms = self.count * (low + (n - below) * (high - low))
        return np.concatenate([[0.0], np.cumsum(-np.log(per_ms))])

    def _ended_per_ms(self, sequences: Floats) -> Floats:
        """`f(x)` of one replica."""
        ended: Floats = sequences / (
            self.traffic.iterations * self.iteration_ms(sequences) + sequences * self.reading_ms
        )
        return ended

    def _reading_share(self, requests_per_s: float) -> float:
        return requests_per_s * self.reading_ms / (1000 * self.count)

    def _found(self, requests_per_s: float) -> _Found:
        """How many an arrival finds."""
        if self.traffic.iterations <= 0 or requests_per_s <= 0:
            return _Found(np.ones(1), np.ones(1), 0.0, 0.0)
        logs = self._log_weights + np.arange(len(self._places)) * math.log(requests_per_s / 1000)
        weights = np.exp(logs - logs.max())
        ratio = self.utilisation(requests_per_s)
        beyond = float(weights[-1]) * ratio / (1 - ratio)
        a, s = self.traffic.arrival_scv, self.traffic.output_scv
        step = max(_LEAST_CLUMP, (a + s) / 2)
        wait_ms = 1000 * step / (self.most_per_s * -math.log(ratio))
        total = float(weights.sum()) + beyond
        found = (self._places + max(0.0, self._clump - 1)) / self.count + 1
        batches = np.minimum(found, self.sequences)
        return _Found(weights / total, batches, beyond / total, wait_ms)

    def _in_time(
        self, requests_per_s: float, metric: Metric, limit_ms: float, batches: Floats, waits_ms: Floats
    ) -> Floats:
        """The share in time of those that find such batches, after such waits for a place: (n_batches, n_waits)."""
        share = self._reading_share(requests_per_s)
        bunched = min(
            1 + (self.traffic.arrival_scv - 1) / self.count, (self.traffic.arrival_scv + 1) / self.count
        )
        mean_ms = self.reading_ms * (bunched + self.traffic.prompt_scv) / (2 * (1 - share))
        lengths, weights = self._prompts(_PROMPTS[metric])
        tau = np.asarray(self.iteration_ms(batches))[:, None, None]
        running = np.minimum(1.0, batches - 1)[:, None, None]  # nothing runs before who comes first
        before = waits_ms[None, :, None] + running * tau
        left = limit_ms - before - self.reading_ms * lengths
        if metric == "ttft" or self.traffic.iterations <= 0:
            waiting = share * np.exp(-np.maximum(0.0, left) / mean_ms) if mean_ms > _LEAST_WORK_MS else 0.0
            found: Floats = np.where(left >= 0, 1 - waiting, 0.0) @ weights
            return found
        some, of_some = _exponential_levels()
        levels, chances = np.append(0.0, mean_ms * some), np.append(1 - share, share * of_some)
        # what arrives while a prompt waits and is read is read before its iterations, and while they run, too
        work = (limit_ms - before)[..., None] * (1 - share) - (self.reading_ms * lengths)[:, None] - levels
        iterations = work / tau[..., None]
        done: Floats = (self._at_most(iterations) @ chances) @ weights
        return done

    def _prompts(self, count: int) -> tuple[Floats, Floats]:
        """Lengths of prompts over their mean, longest last, and how much each stands for: (count,)."""
        scores, weights = _scores(count)
        levels, mean = self.traffic.prompt_levels, self.traffic.prompt_tokens
        if levels and mean > 0:
            return np.interp(ndtr(scores), _probabilities(len(levels)), levels) / mean, weights
        sigma = math.sqrt(math.log1p(self.traffic.prompt_scv))
        return np.exp(sigma * scores - sigma**2 / 2), weights

    def _at_most(self, iterations: Floats) -> Floats:
        """The share of requests with at most so many iterations after their first token."""
        mean, levels = self.traffic.output_tokens, self.traffic.output_levels
        sigma = math.sqrt(math.log1p(self.traffic.output_scv))
        tokens = iterations + 1
        if levels:
            share = np.interp(tokens, levels, _probabilities(len(levels)), left=0.0, right=1.0)
        elif sigma < 1e-6:
            share = np.where(tokens >= mean - 1e-9, 1.0, 0.0)
        else:
            with np.errstate(divide="ignore"):
                share = ndtr((np.log(np.maximum(tokens, 0.0) / mean) + sigma**2 / 2) / sigma)
        return np.where(iterations >= 0, share, 0.0)


_LEAST_CLUMP = 0.25
"""Streams more even than that are taken to be like this."""


@dataclass(frozen=True, eq=False)
class _Found:
    """What an arrival finds: shares of each batch (itself with it), and of all full; then its mean wait for a place."""

    shares: Floats
    batches: Floats
    full_share: float
    full_wait_ms: float


@cache
def _exponential_levels() -> tuple[Floats, Floats]:
    """Levels of an exponential variable of mean 1, each the mean of its part, and how much each stands for."""
    edges = np.append(_WAIT_STEP * np.arange(_WAITS), np.inf)
    heads = np.exp(-edges)
    beyond = np.append((edges[:-1] + 1) * heads[:-1], 0.0)  # what is beyond an edge, times how likely that is
    weights = heads[:-1] - heads[1:]
    return (beyond[:-1] - beyond[1:]) / weights, weights


def _scores(count: int) -> tuple[Floats, Floats]:
    """Standard normal scores, ascending, and how much each stands for: (count,)."""
    edges = np.linspace(-_SCORES, _SCORES, count + 1)
    heads = ndtr(edges)
    heads[0], heads[-1] = 0.0, 1.0
    return (edges[:-1] + edges[1:]) / 2, np.diff(heads)


def _probabilities(count: int) -> Floats:
    return (np.arange(count) + 0.5) / count


@lru_cache(maxsize=64)
def pace_levels(rate_scv: float) -> tuple[Floats, Floats]:
    """The rate over its mean as requests find it, ascending, and how many find it so: (n,), 1 where it stands still."""
    if rate_scv < 1e-9:
        return np.ones(1), np.ones(1)
    scores, weights = _scores(_PACES)
    paces = np.asarray(rate_scv * gammaincinv(1 / rate_scv + 1, ndtr(scores)), dtype=np.float64)
    return paces, weights
