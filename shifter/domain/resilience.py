"""What real-time load must survive, and what is away while it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from shifter.domain.fields import STRICT, Count, Minutes, Name, Utc

T = TypeVar("T")

Share = Annotated[
    float,
    Field(
        ge=0.001, le=1000, allow_inf_nan=False, description="of real-time load, carried by one accelerator"
    ),
]
"""In any unit, the same for all accelerators of a group."""


@dataclass(frozen=True)
class Maintenance:
    """Accelerators of a pool that are away for a while: nothing runs on them, and nothing is held on them."""

    __pydantic_config__ = STRICT

    start: Utc
    end: Utc
    accelerators: Annotated[
        Count, Field(description="how many are away; of windows that overlap, all of them")
    ]
    powered: Annotated[
        bool,
        Field(description="whether they draw what idle ones draw; false: switched off, and draw nothing"),
    ] = True


def most_away(windows: Iterable[Maintenance], start: datetime, end: datetime) -> int:
    """The most accelerators that are away at any moment of `[start, end)`."""
    return max(_away(windows, start, end))


def always_off(windows: Iterable[Maintenance], start: datetime, end: datetime) -> int:
    """The fewest that are away and switched off at any moment of `[start, end)`."""
    return min(_away([w for w in windows if not w.powered], start, end))


def _away(windows: Iterable[Maintenance], start: datetime, end: datetime) -> list[int]:
    """How many are away from each moment on at which that changes."""
    near = [w for w in windows if w.start < end and w.end > start]
    moments = {start, *(edge for w in near for edge in (w.start, w.end) if start < edge < end)}
    return [sum(w.accelerators for w in near if w.start <= at < w.end) for at in moments]


@dataclass(frozen=True)
class Resilience:
    """What real-time load must survive at a site."""

    __pydantic_config__ = STRICT

    quantile: Annotated[float, Field(gt=0, lt=1, description="of real-time load that is reserved for it")] = (
        0.99
    )
    lose_domains: Annotated[
        int, Field(ge=0, le=10_000_000, description="failure domains that may be lost at once")
    ] = 0
    ride_through_minutes: Annotated[
        Minutes | None,
        Field(
            description="of real-time load at the quantile, on battery and UPS; null = until what there is takes over"
        ),
    ] = 0
    mode: Annotated[
        Literal["shared", "strict"],
        Field(
            description="shared: preemptible work may stand in the redundancy margin, reserved - quantile; strict: the "
            "reserve is idle, and no deferrable work stands in it"
        ),
    ] = "shared"
    preemption_seconds: Annotated[
        float,
        Field(ge=0, le=86_400, description="[s] what preemptible work takes to stop when it is told to"),
    ] = 30.0

    def kept(self, quantile: T, reserved: T) -> T:
        """What no deferrable work may stand in, be it preemptible."""
        return reserved if self.mode == "strict" else quantile


@dataclass(frozen=True)
class FailoverGroup:
    """Sites that take real-time load over from each other, near enough and under one law: the operator's choice."""

    __pydantic_config__ = STRICT

    name: Name
    sites: Annotated[tuple[Name, ...], Field(min_length=1, description="two or more, each in no other group")]
    survive: Annotated[
        Literal["site", "zone"],
        Field(description="the loss of any one site, or of every site of the group in any one grid zone"),
    ] = "site"
    equivalent: Annotated[
        Mapping[str, Share] | None,
        Field(
            description="by accelerator, what real-time load one carries, in any unit; null = as the fleet's models run"
        ),
    ] = None
    within_minutes: Annotated[Minutes, Field(description="until the others carry what a lost site did")] = 0.0
    data_boundary: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="jurisdictions that its load may be in; null = those of its sites"),
    ] = None
