"""What real-time load must survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from shifter.domain.fields import STRICT, Minutes


@dataclass(frozen=True)
class Resilience:
    """What real-time load must survive at a site."""

    __pydantic_config__ = STRICT

    quantile: Annotated[
        float, Field(gt=0, lt=1, description="of real-time load that is held back for it")
    ] = 0.99
    lose_domains: Annotated[
        int, Field(ge=0, le=10_000_000, description="failure domains that may be lost at once")
    ] = 0
    ride_through_minutes: Annotated[
        Minutes, Field(description="of real-time load at the quantile, on battery")
    ] = 0
