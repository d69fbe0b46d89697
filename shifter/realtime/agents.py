"""Agent chains: several steps, each a request to a model, one after the other, and one latency for all of them.

The steps' times add up, so the time that is allowed is divided among them. Each step is sized for its part, at the
quantile of the whole: that is exact where slow steps come together (a comonotone sum; Dhaene et al. 2002), and on the
safe side where they do not, at high quantiles of times that are not extremely uneven.

With `t_i(A)` the time of step i on `A` accelerators, which falls in `A`, the parts are those of

    minimise sum of A_i    such that    sum of t_i(A_i) <= allowed,

found by merging, step by step, the pairs (accelerators, time) that no other pair beats in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from shifter.domain.serving import LatencySlo, Serving, ServingProfile
from shifter.errors import InputError
from shifter.realtime.queueing import Replicas
from shifter.realtime.sizing import POOLED, Counts, replicas_for
from shifter.realtime.traffic import Traffic

_FINENESS = 10
"""Numbers of replicas that are tried grow by a tenth, or by one."""
_FLAT = 0.004
"""Where more replicas make a step faster by less than this part of what is allowed, no more are tried."""


@dataclass(frozen=True)
class Step:
    """One request of a chain: of which model, how that serves, what the request is like, accelerators a replica."""

    name: str
    serving: Serving
    traffic: Traffic
    accelerators_per_replica: int = 1


@dataclass(frozen=True)
class Option:
    """A number of accelerators for the steps so far, and the time that each step takes with its share [ms]."""

    accelerators: int
    times_ms: tuple[float, ...]

    @property
    def total_ms(self) -> float:
        """What they add up to."""
        return sum(self.times_ms)


def split(
    steps: Sequence[Step], latency_ms: float, quantile: float, chains_per_s: float
) -> tuple[float, ...]:
    """The time [ms] for each step with which the chain needs the fewest accelerators at this rate; they sum to
    `latency_ms`.

    Raises InputError for a step without a profile, and where no accelerators are enough, by how much.
    """
    best = [Option(0, ())]
    for step in steps:
        ways = _options(step, latency_ms, quantile, chains_per_s)
        sums = [Option(a.accelerators + b.accelerators, a.times_ms + b.times_ms) for a in best for b in ways]
        best = _unbeaten(sums)
    fitting = [option for option in best if option.total_ms <= latency_ms]
    if not fitting:
        least_ms = min(option.total_ms for option in best)
        raise InputError(
            f"no number of replicas makes {' + '.join(step.name for step in steps)} fast enough: {100 * quantile:g} of "
            f"100 chains would take up to {least_ms:,.0f} ms, {least_ms - latency_ms:,.0f} ms more than the "
            f"{latency_ms:,.0f} ms allowed.",
            field="latency_slo.latency_ms",
            hint="Allow more, ask for a lower quantile, or serve the steps on something faster.",
            least_ms=least_ms,
            allowed_ms=latency_ms,
        )
    found = min(fitting, key=lambda option: (option.accelerators, option.total_ms))
    return tuple(ms * latency_ms / found.total_ms for ms in found.times_ms)


def chain_accelerators(
    steps: Sequence[Step], latency_ms: float, quantile: float, chains_per_s: ArrayLike
) -> Counts:
    """Accelerators of each step, for each rate of chains [per s]: (n_steps, *its shape). A chain needs their sum.

    The time is divided as is best at the highest rate, where it matters most, and so for all: what is needed never
    falls as the rate grows. Raises InputError as `split` and `replicas_for`.
    """
    rates = np.asarray(chains_per_s, dtype=float)
    most = float(rates.max(initial=0.0))
    parts = split(steps, latency_ms, quantile, most) if 0 < most < np.inf else (latency_ms,) * len(steps)
    return np.array(
        [
            replicas_for(
                replace(s.serving, measured=()), s.traffic, LatencySlo(None, ms, quantile), rates, s.name
            )
            * s.accelerators_per_replica
            for s, ms in zip(steps, parts, strict=True)
        ]
    )


def _profile(step: Step) -> ServingProfile:
    if step.serving.profile is None:
        raise InputError(
            f"{step.name} has no profile, and a measured table is right for one latency and no part of it.",
            field=f"models[{step.name}].serving",
            hint="A step of a chain needs a profile.",
        )
    return step.serving.profile


@lru_cache(maxsize=128)
def _options(step: Step, latency_ms: float, quantile: float, rate: float) -> list[Option]:
    """What a step's accelerators buy: from the fewest that are stable to where more make no difference."""
    profile = _profile(step)
    count = max(1, step.serving.min_replicas, int(rate / Replicas(profile, step.traffic, 1).most_per_s))
    options: list[Option] = []
    while True:
        pooled = min(count, POOLED)
        replicas = Replicas(profile, step.traffic, pooled)
        ms = replicas.quantile_ms(rate * pooled / count, "latency", quantile)
        if ms < np.inf:
            options.append(Option(count * step.accelerators_per_replica, (ms,)))
        if len(options) > 1 and options[-2].total_ms - ms < _FLAT * latency_ms:
            return _unbeaten(options)
        count += max(1, count // _FINENESS)


def _unbeaten(options: Sequence[Option]) -> list[Option]:
    """Those that are faster than all with as few accelerators."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda o: (o.accelerators, o.total_ms)):
        if not kept or option.total_ms < kept[-1].total_ms:
            kept.append(option)
    return kept
