"""What a meter is, and what all kinds of it share.

A meter is asked again and again. It answers what real-time load it has measured since, or it raises: what it could not
measure is no zero, and nothing is told of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from forecasts.errors import SourceUnavailable
from forecasts.sources.http import HttpClient
from forecasts.sources.pace import RetryPolicy
from shifter.views import ModelTraffic, TelemetrySample

MAX_BYTES = 8 * 2**20
AGAIN = "It is asked again soon."
OFTEN = 1000.0
"""[1/s] No meter's host is spared: it is one's own."""
ONCE = RetryPolicy(attempts=1, failures_to_open=10**9, unreached_to_open=10**9)
"""Asked again by the schedule, and never left in peace: what counts is what arrives now."""


@dataclass(frozen=True)
class Told:
    """One sample, and where in the meter's own words it stands (`load.csv:17.`)."""

    sample: TelemetrySample
    where: str = ""
    more: bool = False
    """Whether it was told before and has grown since: by another model, say."""


class Meter(Protocol):
    """Asked by one thread at a time."""

    name: str
    """Its own among all meters: faults and logs call it so."""
    every_s: float
    """[s] How often it is asked."""
    pool: tuple[str, str] | None
    """Site and pool whose load of now it tells, all of it or of one model; None: it tells moments of any pool."""

    def read(self, now: datetime) -> Sequence[Told]:
        """What it has measured since it was asked last; nothing where that takes a second look.

        Raises SourceUnavailable and InputError for what it could not measure.
        """
        ...


@dataclass(frozen=True)
class Place:
    """Of which requests a meter tells: to one model, as they arrive at a pool; and how they are taken to vary."""

    site: str
    pool: str
    model: str
    prompt_scv: float = 1.0
    output_scv: float = 1.0
    arrival_scv: float = 1.0

    def told(
        self, now: datetime, requests_per_s: float, prompt_tokens: float | None, output_tokens: float | None
    ) -> list[Told]:
        """A sample of now, with mean lengths [tokens]; None where nothing arrives."""
        traffic = ModelTraffic(
            self.model,
            requests_per_s,
            prompt_tokens,
            None if output_tokens is None else max(1.0, output_tokens),
            self.prompt_scv,
            self.output_scv,
            self.arrival_scv,
        )
        return [Told(TelemetrySample(self.site, now, self.pool, traffic=(traffic,)))]


def client(timeout_s: float) -> HttpClient:
    """What meters ask by: once, and not for longer than this for one answer."""
    return HttpClient(
        retry=ONCE,
        rates=_Often(),
        max_bytes=MAX_BYTES,
        timeout_s=(timeout_s, timeout_s),
        body_timeout_s=timeout_s,
        hint=AGAIN,
    )


class _Often(dict[str, float]):
    """The same rate for every host."""

    def get(self, host: str, default: Any = None) -> Any:
        return OFTEN


def sound(value: float, what: str) -> float:
    """The value. Raises SourceUnavailable where no count and no rate is like it."""
    if not math.isfinite(value) or value < 0:
        raise SourceUnavailable(
            f"{what} is {value:g}.", hint="That is no amount of load: look at what says so."
        )
    return value
