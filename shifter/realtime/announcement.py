"""What an operator announces while the daemon runs: real-time load that is known to come, under an id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from forecasts.slots import isoformat_z
from shifter.domain.fields import STRICT, Name, NonNegative, Utc
from shifter.errors import InputError
from shifter.realtime.announced import AnnouncedLoad


@dataclass(frozen=True)
class Announcement:
    """In `[start, end)` the load is `factor` times what it would be, and `added_accelerators` more in each pool that is
    concerned: one, those of a site, those of a name, or all.
    """

    __pydantic_config__ = STRICT

    id: Name
    name: Annotated[Name, Field(description="how it is called where it is told")]
    start: Utc
    end: Utc
    factor: Annotated[
        float,
        Field(ge=0, le=1_000, allow_inf_nan=False, description="how many times the load there would be"),
    ] = 1.0
    added_accelerators: Annotated[
        NonNegative, Field(description="so many more, in each pool that is concerned")
    ] = 0.0
    site: Annotated[Name | None, Field(description="of this site only; null = of all")] = None
    pool: Annotated[Name | None, Field(description="of the pools of this name only; null = of all")] = None

    @property
    def load(self) -> AnnouncedLoad:
        """As the forecast takes it."""
        return AnnouncedLoad(
            self.name, self.start, self.end, self.factor, self.added_accelerators, self.site, self.pool
        )


def check_announcement(announcement: Announcement, now: datetime) -> None:
    """Raises InputError, with the field, for a window that is empty or over, and for one that announces nothing."""
    if announcement.end <= announcement.start:
        raise InputError(
            f"the window ends at {isoformat_z(announcement.end)}, not after {isoformat_z(announcement.start)}.",
            field="end",
            hint="Windows are [start, end).",
        )
    if announcement.end <= now:
        raise InputError(
            f"the window ended at {isoformat_z(announcement.end)}; it is {isoformat_z(now)}.",
            field="end",
            hint="Give one that lies ahead.",
        )
    if announcement.factor == 1 and announcement.added_accelerators == 0:
        raise InputError(
            "neither `factor` nor added_accelerators changes the load.",
            field="factor",
            hint="Give a factor that is not 1, as 1.8, or added_accelerators.",
        )
