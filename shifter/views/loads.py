"""What real-time load is expected, on what basis, and how often what was said of it held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class LoadSlot:
    """The real-time load of one slot by quantile [accelerators], by names such as `p50` and `p99`."""

    start: datetime
    end: datetime
    accelerators: Mapping[str, float]


@dataclass(frozen=True)
class LoadCoverage:
    """How often the load stayed within what was held, as it was said so many hours ahead."""

    lead_hours_from: int
    lead_hours_to: int
    steps: int
    """Of five minutes, that were measured and of which was said ahead; one counts each time that it was."""
    held_ratio: float | None
    """The share of them in which the load was no higher, 0..1; null where there is none."""


@dataclass(frozen=True)
class ModelLoad:
    """What arrived for one model at a pool, in one sample."""

    model: str
    requests_per_s: float
    prompt_tokens: float | None
    """Mean of a request; null where nothing arrived and nothing was told."""
    output_tokens: float | None
    """The same of an answer."""
    accelerators: float
    """That it needs as it is sized now, whole replicas."""


@dataclass(frozen=True)
class LoadView:
    """The real-time load of one pool: what a plan made now would hold, and what that stands on."""

    site: str
    pool: str
    basis: str
    """In words."""
    history_days: float
    """[d] Measured, as far as it is learnt from."""
    last_sample_at: datetime | None
    last_sample_age_s: float | None
    silent: bool
    """Whether the meter has stopped reporting; silence is no absence of load."""
    quantile: float
    """What the site holds: its `resilience.quantile`."""
    coverage_days: int
    """[d] Over which `coverage` is."""
    coverage: tuple[LoadCoverage, ...]
    """At `quantile`; empty while nothing is measured."""
    slots: tuple[LoadSlot, ...]
    by_model: tuple[ModelLoad, ...] = ()
    """What arrived last, where telemetry told traffic within an hour; empty where it told accelerators, or nothing."""
    measured_accelerators: float | None = None
    """What was measured at `last_sample_at`; null where nothing ever was."""
    realtime_accelerators: float | None = None
    """What counts now, as in `Capacity`."""
    by_model_at: datetime | None = None
    """When that arrived; of before the daemon's start, when the five minutes began of which it was the highest."""


@dataclass(frozen=True)
class AnnouncementView:
    """Real-time load that is announced: in `[start, end)` it is `factor` times what it would be, and
    `added_accelerators` more in each pool that is concerned.
    """

    id: str | None
    """null: it stands in the settings, and only they take it back."""
    name: str
    start: datetime
    end: datetime
    factor: float
    added_accelerators: float
    site: str | None
    """Of this site only; null: of all."""
    pool: str | None
    """Of the pools of this name only; null: of all."""
    fixed: bool
    """Whether it stands in the settings."""
    heeded: bool
    """Whether plans hold it: not where `realtime.profile` is no longer `measured`, or its pools are no more."""
    created_at: datetime | None
    created_by: str | None
