"""A workload: what is to be done, by when, where it may run, and what is known about how it may be shifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from shifter.domain.fleet import STRICT, Count, Fleet, Name, PoolKey, Positive, Utc


class WorkloadClass(StrEnum):
    """Whether work may be moved in time."""

    REAL_TIME = "real_time"
    DEFERRABLE = "deferrable"


@dataclass(frozen=True)
class Workload:
    """Work as it is submitted: `tokens` of a `model`, or `accelerator_hours` on `accelerators`.

    What decides the class is evidence, not a label: `latency_slo_ms`, `mode`, `endpoint`, slack, and so on.
    """

    __pydantic_config__ = STRICT

    id: Name
    tenant: Annotated[str, Field(max_length=128)] = "default"
    model: Name | None = None
    tokens: Positive | None = None
    accelerator_hours: Positive | None = None
    accelerators: tuple[Name, ...] | None = None
    earliest_start: Utc | None = None
    deadline: Utc | None = None
    max_accelerators: Count = 1
    interruptible: bool = True
    preemptible: bool = False
    data_boundary: tuple[str, ...] | None = None
    sites: tuple[Name, ...] | None = None
    latency_slo_ms: Positive | None = None
    depends_on: tuple[Name, ...] = ()
    mode: Annotated[
        Literal["interactive", "batch"] | None, Field(description="how it is called, where the caller knows")
    ] = None
    endpoint: Annotated[
        str | None, Field(max_length=256, description="e.g. /v1/chat/completions, /v1/batches")
    ] = None
    tier: Annotated[str | None, Field(max_length=64, description="the tenant's service tier")] = None
    cost_of_failure: Annotated[
        Literal["low", "medium", "high"] | None, Field(description="if it is late")
    ] = None
    chain: Annotated[
        str | None, Field(max_length=128, description="the agent's chain of which it is one step")
    ] = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def amount(self) -> float:
        """How much work: tokens, or accelerator-hours. 0 where neither is given."""
        return self.tokens or self.accelerator_hours or 0.0

    @property
    def unit(self) -> str:
        """`tokens` or `accelerator_hours`."""
        return "accelerator_hours" if self.tokens is None else "tokens"


def work_rates(workload: Workload, fleet: Fleet) -> dict[PoolKey, float]:
    """Pools that may run it -> work done per accelerator-hour [tokens/h, or hours/h], in the fleet's order.

    Empty when nothing in the fleet may run it.
    """
    rates: dict[PoolKey, float] = {}
    model = fleet.by_model.get(workload.model or "")
    for key, (site, pool) in fleet.pools.items():
        if workload.sites is not None and site.name not in workload.sites:
            continue
        if workload.data_boundary is not None and site.jurisdiction not in workload.data_boundary:
            continue
        if workload.tokens is None:
            if not workload.accelerators or pool.accelerator in workload.accelerators:
                rates[key] = 1.0
        elif model is not None and pool.accelerator in model.throughput_tokens_per_s:
            rates[key] = model.throughput_tokens_per_s[pool.accelerator] * 3600.0
    return rates


def replica_size(workload: Workload, fleet: Fleet, key: PoolKey) -> int:
    """It runs on whole multiples of this many accelerators in that pool."""
    model = fleet.by_model.get(workload.model or "")
    return 1 if model is None else model.accelerators_per_replica.get(fleet.pools[key][1].accelerator, 1)


def load_time(workload: Workload, fleet: Fleet) -> timedelta:
    """From allocated to serving: the first part of each piece, which does no work."""
    model = fleet.by_model.get(workload.model or "")
    return timedelta(minutes=0 if model is None else model.load_minutes)


LONGEST_HOURS = 1e6
"""A run longer than this century is as good as endless, and dates end before it does."""


def shortest_run(workload: Workload, fleet: Fleet, amount: float | None = None) -> timedelta | None:
    """The least time `amount` (default: all of it) takes on its fastest pool; None when no pool can run it."""
    fastest, load = _fastest(workload, fleet)
    if not fastest:
        return None
    hours = (workload.amount if amount is None else amount) / fastest
    return timedelta(hours=min(hours, LONGEST_HOURS)) + load


def _fastest(workload: Workload, fleet: Fleet) -> tuple[float, timedelta]:
    """The most work per hour that one pool can do of it, and its load time; kept for workloads that are alike."""
    w = workload
    kind = (w.model, w.tokens is None, w.accelerators, w.data_boundary, w.sites, w.max_accelerators)
    found: tuple[float, timedelta] | None = fleet.memory.get(kind)
    if found is None:
        rates = []
        for key, rate in work_rates(w, fleet).items():
            size = replica_size(w, fleet, key)
            rates.append(rate * (min(w.max_accelerators, fleet.pools[key][1].count) // size * size))
        found = fleet.memory[kind] = max(rates, default=0.0), load_time(w, fleet)
    return found


@dataclass(frozen=True)
class Reason:
    """Why a class was decided: the rule, one sentence, and the values that it looked at."""

    rule: str
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Override:
    """An operator's decision over the policy's, for one workload (`workload_id`) or one rule (`rule`)."""

    __pydantic_config__ = STRICT

    decided: WorkloadClass | None
    by: str
    at: Utc
    reason: str
    workload_id: Name | None = None
    rule: str | None = None


@dataclass(frozen=True)
class Classified:
    """A workload with its class, the reason, and its window after what it depends on is taken into account."""

    workload: Workload
    decided: WorkloadClass
    why: Callable[[], Reason] = field(compare=False)
    """Puts the reason into words: for most of many workloads nobody asks."""
    earliest_start: datetime
    deadline: datetime | None
    override: Override | None = None
    done: float = 0.0
    """Work done so far, in the workload's unit."""

    @cached_property
    def reason(self) -> Reason:
        """Why it is of its class."""
        return self.why()

    @property
    def remaining(self) -> float:
        """Work still to do, in the workload's unit."""
        return max(0.0, self.workload.amount - self.done)
