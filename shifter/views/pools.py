"""What pools hold, by the plan and as measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from shifter.domain.fields import STRICT, Name, NonNegative, Utc


@dataclass(frozen=True)
class Capacity:
    """Flat numbers for autoscalers and gates, at this moment. Stale reads as no free capacity."""

    site: str
    pool: str
    deferrable_accelerators: int
    """What deferrable work may hold now, by the plan and by what real-time load was last measured to need."""
    reserved_accelerators: float
    """What is reserved for real-time load now, redundancy included; the whole pool where nobody knows."""
    realtime_accelerators: float
    """What counts: the highest measured of late where telemetry is fresh, else the load at the site's quantile, and no
    less than a meter said that fell silent; the whole pool where nobody knows.
    """
    dispatch_budget: float
    """`deferrable_accelerators / count`, 0..1."""
    count: int
    version: int
    """Of the plan: grows with every plan that is published."""
    valid_until: datetime
    stale: bool
    available_accelerators: int = 0
    """Of `count`, those that there are now as telemetry told: fewer where some were lost."""
    yielded_accelerators: int = 0
    """Of their slots here, what workloads leave now to real-time load, to lost accelerators or to a power limit."""
    last_sample_at: datetime | None = None
    """When its real-time load was last measured; null where it never was, or not for a day: it is unmetered."""
    measured_accelerators: float | None = None
    """What that measured; `realtime_accelerators` is what counts, which may be more. Null where it is unmetered."""


@dataclass(frozen=True)
class SlotView:
    """What one pool holds in one slot [accelerators, means over the slot]."""

    site: str
    pool: str
    start: datetime
    end: datetime
    realtime_p50: float
    realtime_q: float
    reserved: float
    deferrable: float
    preemptible: float
    count: int
    free: float
    """What is neither reserved for real-time load nor held by deferrable work, for work that may not be
    preempted.
    """


Scv = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


@dataclass(frozen=True)
class ModelTraffic:
    """Real-time requests to one model, as they arrive at a pool; see `shifter.realtime.traffic`."""

    __pydantic_config__ = STRICT

    model: Name
    requests_per_s: NonNegative
    prompt_tokens: NonNegative | None = None
    """Mean length of a prompt [tokens]; may be left out where nothing arrives."""
    output_tokens: Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)] | None = None
    """Mean length of an answer [tokens]; may be left out where nothing arrives."""
    prompt_scv: Scv = 1.0
    """Variance over squared mean of prompt lengths."""
    output_scv: Scv = 1.0
    """The same of output lengths."""
    arrival_scv: Scv = 1.0
    """The same of times between arrivals: 1 is a Poisson stream."""


TRAFFIC = "all that arrives at the pool, by model; where no requests come, a model with requests_per_s: 0"


@dataclass(frozen=True)
class TelemetrySample:
    """What was measured at a site: real-time load of a pool, the accelerators that it has, or the site's import."""

    __pydantic_config__ = STRICT

    site: Name
    at: Utc
    pool: Name | None = None
    realtime_accelerators: NonNegative | None = None
    """In use by real-time load, in `pool`, which must then be given."""
    import_kw: NonNegative | None = None
    """Measured grid import of the site [kW]."""
    available_accelerators: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """How many accelerators `pool` has now: fewer where some were lost, until it is told that they are back. More
    than the fleet says are refused.
    """
    drill: bool = False
    """Whether this is played: it counts as any other, and is neither kept nor learnt from. Forgotten after an hour, or
    once a sample that says nothing else than `drill` and `pool` says that the drill is over.
    """
    traffic: Annotated[
        Annotated[tuple[ModelTraffic, ...], Field(min_length=1, max_length=1000)] | None,
        Field(description=TRAFFIC),
    ] = None
    """In place of `realtime_accelerators`: all that arrives at `pool`, by model, to be sized here."""
