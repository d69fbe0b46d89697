"""Sizing: how many accelerators real-time requests need so that they are answered within the latency objective.

For each number of replicas the most requests per s are found that they answer in time, by the model of
`shifter.realtime.queueing` or from a measured table; a rate needs the first number that does as much. So the answer
never falls as the rate grows, and a quantile of the rate becomes that quantile of accelerators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from shifter.domain.serving import LatencySlo, MeasuredRate, Serving, ServingProfile
from shifter.errors import InputError
from shifter.realtime.queueing import Metric, Replicas, pace_levels
from shifter.realtime.traffic import Floats, Traffic

if TYPE_CHECKING:
    from shifter.domain.model import Model

Counts = NDArray[np.int64]
Tables = Callable[[ServingProfile, Traffic, LatencySlo, str], Floats]

POOLED = 64
"""Replicas that are counted as sharing their requests evenly: of more, each 64 are taken to stand by themselves."""
_EXACT = (*range(1, 13), 14, 16, 20, 24, 32, 48, POOLED)
"""Numbers of replicas for which it is worked out; in between, what each serves is interpolated."""
_NEARLY_NONE = 1e-6
"""Of the highest rate: as good as alone."""
_TOLERANCE = 1e-4
_KNOWN_AT = np.concatenate(
    [[_NEARLY_NONE], np.linspace(0.1, 0.9, 9), [0.94, 0.97, 0.985, 0.995, 1 - _NEARLY_NONE]]
)
"""Utilisations at which attainment is worked out, where the rate varies."""
MOST_REPLICAS = 10_000_000


@dataclass(frozen=True)
class Expected:
    """What requests can expect of some replicas.

    Times are at the objective's quantile, infinite where more arrives than can be done; `*_attained` is the share that
    is in time, None where nothing is asked.
    """

    replicas: int
    utilisation: float
    ttft_ms: float
    latency_ms: float
    ttft_attained: float | None
    latency_attained: float | None

    def meets(self, slo: LatencySlo) -> bool:
        """Whether what is asked is kept."""
        return all(
            share is None or share >= slo.quantile for share in (self.ttft_attained, self.latency_attained)
        )


def accelerators_for(
    model: Model,
    accelerator: str,
    traffic: Traffic,
    requests_per_s: ArrayLike,
    slo: LatencySlo | None = None,
) -> Counts:
    """Accelerators that a model's real-time requests need on one kind of accelerator, for each rate: of its shape.

    `slo` stands over the model's own. Raises InputError where the fleet does not say how the model serves there or how
    fast it must answer, where no number of replicas is as fast as that, and for a rate that is none.
    """
    serving = serving_on(model, accelerator)
    return replicas_for(
        serving, traffic, slo or model.latency_slo, requests_per_s, model.name
    ) * model.replica(accelerator)


def serving_on(model: Model, accelerator: str) -> Serving:
    """How a model serves there. Raises InputError where nothing says so."""
    if accelerator not in model.serving:
        known = ", ".join(model.serving)
        raise InputError(
            f"nothing says how {model.name} serves requests on {accelerator}.",
            field=f"models[{model.name}].serving",
            hint=f"It is known for {known}." if known else "Give it a profile or a measured table.",
        )
    return model.serving[accelerator]


def replicas_for(
    serving: Serving,
    traffic: Traffic,
    slo: LatencySlo | None,
    requests_per_s: ArrayLike,
    name: str = "model",
    tables: Tables | None = None,
) -> Counts:
    """Replicas for each rate [requests per s], of its shape; never fewer than `min_replicas`, 0 for no requests.

    `tables` tells what each replica serves, None: `most_each_per_s`. Raises InputError as `accelerators_for`, in which
    `name` is the model's.
    """
    rates = np.asarray(requests_per_s, dtype=float)
    if not np.all((rates >= 0) & (rates < np.inf)):
        raise InputError(
            "a rate of requests is negative or not a number.", field="requests_per_s", hint="0 is none."
        )
    if serving.measured:
        needed = _by_table(serving.measured, rates)
    elif serving.profile is None or slo is None or (slo.ttft_ms is None and slo.latency_ms is None):
        what = "serving" if serving.profile is None else "latency_slo"
        raise InputError(
            f"nothing says how {name} serves."
            if what == "serving"
            else f"nothing says how fast {name} must be.",
            field=f"models[{name}].{what}",
            hint="Give a profile or a measured table."
            if what == "serving"
            else "Give ttft_ms, latency_ms or both.",
        )
    else:
        table = tables or most_each_per_s
        each = table(serving.profile, traffic, slo, name) if np.any(rates > 0) else None
        needed = np.zeros(rates.shape) if each is None else _by_model(each, rates)
    if np.any(needed > MOST_REPLICAS):
        raise InputError(
            f"{float(rates.max()):,.6g} requests per s would take more than {MOST_REPLICAS:,} replicas.",
            field="requests_per_s",
            hint="Is it meant per s? Is the profile of a whole replica?",
        )
    counts: Counts = np.maximum(needed, serving.min_replicas).astype(np.int64)
    return counts


def _by_table(rows: tuple[MeasuredRate, ...], rates: Floats) -> Floats:
    """Between rows each replica serves what it does in the row below, or less where the row above says so; below the
    first as many as in it, as fewer were not tried; beyond the last in proportion."""
    known = np.array([row.requests_per_s for row in rows])
    replicas = np.array([row.replicas for row in rows])
    below = np.maximum(0, np.searchsorted(known, rates, side="right") - 1)
    as_below = rates * (replicas[below] / known[below])
    as_above = np.where(rates > known[-1], np.inf, replicas[np.minimum(below + 1, len(rows) - 1)])
    # The more replicas, the more each serves, as a rule: a straight line would promise what only the row above has.
    needed = np.clip(as_below, np.interp(rates, known, replicas), as_above)
    return np.where(rates > 0, np.ceil(needed * (1 - 1e-12)), 0.0)


def _by_model(each_per_s: Floats, rates: Floats) -> Floats:
    """The first number of replicas that does as much. `each_per_s` (64,) does not fall."""
    together = each_per_s * np.arange(1, POOLED + 1)
    few = 1.0 + np.searchsorted(together, rates * (1 - 1e-12))
    many = np.ceil(rates / each_per_s[-1] * (1 - 1e-12))
    return np.where(rates > 0, np.where(few <= POOLED, few, many), 0.0)


def most_each_per_s(
    profile: ServingProfile, traffic: Traffic, slo: LatencySlo, name: str = "model"
) -> Floats:
    """The most requests per s that each of 1 to 64 replicas serves in time, together: (64,), never falling.

    Raises InputError where a request is too slow for the objective though it is alone on a replica, and by how much.
    """
    _refuse_too_slow(profile, traffic, slo, name)
    each = _most_each(profile, traffic, slo)
    if each[-1] <= 0:
        raise InputError(
            f"requests to {name} come in bursts that {POOLED} replicas do not answer in time, however few there are.",
            field="arrival_scv",
            hint=f"It is {traffic.arrival_scv:g}, where 1 is a Poisson stream; or ask for less in latency_slo.",
        )
    return each


@lru_cache(maxsize=4096)
def _most_each(profile: ServingProfile, traffic: Traffic, slo: LatencySlo) -> Floats:
    each = [_most_per_s(Replicas(profile, traffic, count), slo) / count for count in _EXACT]
    table: Floats = np.interp(np.arange(1, POOLED + 1), _EXACT, np.maximum.accumulate(each))
    table.setflags(write=False)
    return table


def _most_per_s(replicas: Replicas, slo: LatencySlo) -> float:
    """The highest rate within the objective, to a ten-thousandth (Brent 1973): attainment falls in it. 0: none."""
    low, high = _NEARLY_NONE * replicas.most_per_s, (1 - _NEARLY_NONE) * replicas.most_per_s
    spare = _spare(replicas, slo)
    if spare(low) < 0:
        return 0.0
    if spare(high) >= 0:
        return high
    fineness = _TOLERANCE * high
    found: float = brentq(spare, low, high, xtol=fineness)
    return max(low, found - fineness)


def _spare(replicas: Replicas, slo: LatencySlo) -> Callable[[float], float]:
    """By rate, the share in time beyond what is asked, of what is worse; below 0 where the objective is missed."""
    limits = _limits(slo)
    paces, weights = pace_levels(replicas.traffic.rate_scv)
    if len(paces) == 1:
        return lambda rate: min(replicas.steady_attainment(rate, m, ms) - slo.quantile for m, _, ms in limits)
    # all levels of the rate at once, between those at which it was worked out
    known = replicas.most_per_s * _KNOWN_AT
    shares = [[replicas.steady_attainment(rate, m, ms) for rate in known] for m, _, ms in limits]
    return lambda rate: min(
        float(weights @ np.interp(rate * paces, known, share, right=0.0)) - slo.quantile for share in shares
    )


def _limits(slo: LatencySlo) -> list[tuple[Metric, str, float]]:
    limits: list[tuple[Metric, str, float | None]] = [
        ("ttft", "ttft_ms", slo.ttft_ms),
        ("latency", "latency_ms", slo.latency_ms),
    ]
    return [(metric, key, ms) for metric, key, ms in limits if ms is not None]


def _refuse_too_slow(profile: ServingProfile, traffic: Traffic, slo: LatencySlo, name: str) -> None:
    alone = Replicas(profile, replace(traffic, arrival_scv=1.0, rate_scv=0.0), 1)
    rate = _NEARLY_NONE * alone.most_per_s
    for metric, key, limit_ms in _limits(slo):
        if alone.attainment(rate, metric, limit_ms) < slo.quantile:
            least_ms = alone.quantile_ms(rate, metric, slo.quantile)
            what = "first token" if metric == "ttft" else "answer"
            raise InputError(
                f"no number of replicas is fast enough for {name}: alone on one, {100 * slo.quantile:g} of 100 "
                f"requests have their {what} within {least_ms:,.0f} ms, {least_ms - limit_ms:,.0f} ms more than the "
                f"{limit_ms:,.0f} ms allowed.",
                field=f"latency_slo.{key}",
                hint="Allow more, ask for a lower quantile, or serve it on something faster.",
                least_ms=least_ms,
                allowed_ms=limit_ms,
            )


def expected(
    profile: ServingProfile, traffic: Traffic, slo: LatencySlo, requests_per_s: float, replicas: int
) -> Expected:
    """What requests can expect of `replicas` at this rate."""
    count = min(replicas, POOLED)
    group = Replicas(profile, traffic, count)
    rate = requests_per_s * count / replicas
    share = {m: group.attainment(rate, m, ms) for m, _, ms in _limits(slo)}
    ttft_ms, latency_ms = (group.quantile_ms(rate, m, slo.quantile) for m in ("ttft", "latency"))
    return Expected(
        replicas, group.utilisation(rate), ttft_ms, latency_ms, share.get("ttft"), share.get("latency")
    )
