"""A workload: what is to be done, by when, where it may run, and what is known about how it may be shifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from shifter.domain.fields import STRICT, AcceleratorHours, Count, Milliseconds, Name, Tokens, Utc

LEFT_RATIO = 1e-9
"""Share of a workload's work below which nothing is left to do: sums of progress are rounded."""


def work_left(amount: float, done: float) -> float:
    """What is left to do of `amount`; 0 where that is no more than rounding leaves."""
    left = amount - done
    return left if left > LEFT_RATIO * amount else 0.0


class WorkloadClass(StrEnum):
    """Whether work may be moved in time."""

    REAL_TIME = "real_time"
    DEFERRABLE = "deferrable"


@dataclass(frozen=True)
class Alternative:
    """The same useful outcome by another model or quantization: all of it takes `tokens` of that `model`."""

    __pydantic_config__ = STRICT

    model: Name
    tokens: Annotated[Tokens, Field(description="that all of the outcome takes with this model")]


@dataclass(frozen=True, slots=True)
class Workload:
    """Work as it is submitted: `tokens` of a `model`, or `accelerator_hours` on `accelerators`.

    What decides the class is evidence, not a label: `latency_slo_ms`, `mode`, `endpoint`, slack, and so on.
    """

    __pydantic_config__ = STRICT

    id: Name
    tenant: Annotated[str, Field(max_length=128)] = "default"
    model: Name | None = None
    tokens: Annotated[Tokens | None, Field(description="the work, as tokens of `model`")] = None
    accelerator_hours: Annotated[
        AcceleratorHours | None, Field(description="the work, on any one of `accelerators`")
    ] = None
    accelerators: tuple[Name, ...] | None = None
    alternatives: Annotated[
        tuple[Alternative, ...],
        Field(
            description="the same outcome by other models, each with the tokens that all of it takes there; the plan "
            "takes what costs least, and may do parts in different ways"
        ),
    ] = ()
    earliest_start: Utc | None = None
    deadline: Utc | None = None
    max_accelerators: Annotated[
        Count, Field(description="the most that it uses at one time, over all pools")
    ] = 1
    interruptible: bool = True
    preemptible: bool = False
    data_boundary: tuple[str, ...] | None = None
    sites: tuple[Name, ...] | None = None
    latency_slo_ms: Annotated[
        Milliseconds | None,
        Field(description="within which each request is answered; null = none is promised"),
    ] = None
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
        return work_left(self.workload.amount, self.done)
