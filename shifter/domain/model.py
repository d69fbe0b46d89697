"""A model: how fast it works where, and how it serves real-time requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from shifter.domain.fields import STRICT, Count, Minutes, Name, TokensPerSecond
from shifter.domain.serving import LatencySlo, Serving


def _is_empty(value: Any) -> bool:
    return not value  # a fleet that says nothing of it is written as it was before there was such a thing


def _is_none(value: Any) -> bool:
    return value is None


@dataclass(frozen=True)
class Model:
    """A model and how fast it runs where."""

    __pydantic_config__ = STRICT

    name: Name
    throughput_tokens_per_s: Annotated[
        Mapping[str, TokensPerSecond],
        Field(min_length=1, description="of one accelerator; absent = cannot run there"),
    ]
    accelerators_per_replica: Annotated[
        Mapping[str, Count], Field(description="it runs on multiples of this; default 1")
    ] = field(default_factory=dict)
    load_minutes: Annotated[
        Minutes, Field(description="from allocated to serving: the first minutes of a piece do no work")
    ] = 0.0
    serving: Annotated[
        Mapping[str, Serving],
        Field(
            description="by accelerator: how one replica serves real-time requests; absent = its load is given in "
            "accelerators",
            exclude_if=_is_empty,
        ),
    ] = field(default_factory=dict)
    latency_slo: Annotated[
        LatencySlo | None,
        Field(description="how fast real-time requests must be answered", exclude_if=_is_none),
    ] = None

    def replica(self, accelerator: str) -> int:
        """How many accelerators one replica takes."""
        return self.accelerators_per_replica.get(accelerator, 1)
