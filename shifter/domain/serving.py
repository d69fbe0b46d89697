"""How one replica of a model serves real-time requests on an accelerator, and how fast each must be answered.

A replica is told by a profile, from which a queueing model sizes (`shifter.realtime.sizing`), or by a table that
somebody measured, which stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from shifter.domain.fields import STRICT, Milliseconds, Tokens, TokensPerSecond


@dataclass(frozen=True)
class ServingProfile:
    """A replica that batches continuously: prompts are read one after the other, before anything else; then every
    sequence in the batch gets one token an iteration, which takes `base_ms + ms_per_sequence * sequences`.
    """

    __pydantic_config__ = STRICT

    prefill_tokens_per_s: Annotated[
        TokensPerSecond,
        Field(description="prompt tokens that a replica reads, all its accelerators together"),
    ]
    base_ms: Annotated[
        float, Field(ge=1e-6, le=1e9, allow_inf_nan=False, description="[ms] of an iteration, however few")
    ]
    ms_per_sequence: Annotated[
        float,
        Field(ge=0, le=1e9, allow_inf_nan=False, description="[ms] by which each sequence lengthens it"),
    ]
    max_sequences: Annotated[int, Field(ge=1, le=4096, description="in the batch at once; others wait")]
    kv_cache_tokens: Annotated[
        Tokens | None,
        Field(description="that the key-value cache holds, prompt and output; null = it never binds"),
    ] = None


@dataclass(frozen=True)
class MeasuredRate:
    """One measurement: so many replicas together, so many requests within the objective."""

    __pydantic_config__ = STRICT

    replicas: Annotated[int, Field(ge=1, le=1_000_000, description="that served together")]
    requests_per_s: Annotated[
        float,
        Field(ge=1e-9, le=1e9, allow_inf_nan=False, description="most that they kept within the objective"),
    ]


@dataclass(frozen=True)
class Serving:
    """How a model serves on one kind of accelerator: a `profile`, or what was `measured`, which stands over it."""

    __pydantic_config__ = STRICT

    profile: Annotated[
        ServingProfile | None, Field(description="from which a queueing model sizes, for any tokens and SLO")
    ] = None
    measured: Annotated[
        tuple[MeasuredRate, ...],
        Field(
            description="a table that stands over it: right for the tokens and the SLO that it was measured at"
        ),
    ] = ()
    min_replicas: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="kept warm, whatever the load; 0 = none where there is none"),
    ] = 0


@dataclass(frozen=True)
class LatencySlo:
    """How fast a request must be answered; the share of requests that must be is `quantile`."""

    __pydantic_config__ = STRICT

    ttft_ms: Annotated[
        Milliseconds | None, Field(description="[ms] from arrival to the first token; null = any")
    ] = None
    latency_ms: Annotated[
        Milliseconds | None, Field(description="[ms] from arrival to the last token; null = any")
    ] = None
    quantile: Annotated[
        float, Field(ge=0.5, le=0.9999, description="share of requests within each of the two, 0.5..0.9999")
    ] = 0.99
