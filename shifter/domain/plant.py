"""What stands behind a site's meter: its battery, what carries it while the grid is away, and its own generation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from forecasts.slots import Floats
from shifter.domain.fields import STRICT, Minutes, NonNegative, Positive, Ratio, Utc

NONE = timedelta(0)


@dataclass(frozen=True)
class Battery:
    """A battery behind the site's meter."""

    __pydantic_config__ = STRICT

    energy_kwh: Annotated[Positive, Field(description="the most that it holds")]
    power_kw: Annotated[Positive, Field(description="the most that it charges or discharges with")]
    charge_efficiency: Annotated[Ratio, Field(description="of what is charged, the part that is stored")] = (
        0.95
    )
    discharge_efficiency: Annotated[
        Ratio, Field(description="of what is taken from store, the part that arrives")
    ] = 0.95
    initial_kwh: Annotated[NonNegative, Field(description="what it holds now")] = 0.0
    min_kwh: Annotated[NonNegative, Field(description="what must stay in it")] = 0.0
    wear_cost_per_kwh: Annotated[NonNegative, Field(description="currency per kWh discharged")] = 0.0


@dataclass(frozen=True)
class Ups:
    """A battery for outages alone: always full, and no part of the schedule."""

    __pydantic_config__ = STRICT

    energy_kwh: Annotated[Positive, Field(description="what it gives before it is empty, at the meter")]
    power_kw: Annotated[Positive, Field(description="the most that it gives at a time")]

    def carried_kwh(self, load_kw: Floats, hours: float) -> Floats:
        """What it gives of a load that it carries for so long, (n_slots,) [kWh]."""
        return np.minimum(self.energy_kwh, hours * np.minimum(self.power_kw, load_kw))


def most_carried_kwh(battery: Battery | None, ups: Ups | None, load_kw: Floats, hours: float) -> Floats:
    """The most of a load that a full battery and the UPS carry together for so long, (n_slots,) [kWh].

    Each gives what it holds, as slowly as that takes, and never more than its power: so an empty UPS leaves the whole
    load to the battery, and of the battery only what arrives counts.
    """
    together_kwh = 0.0 if ups is None else min(ups.energy_kwh, hours * ups.power_kw)
    if battery is not None:
        together_kwh += min(battery.energy_kwh * battery.discharge_efficiency, hours * battery.power_kw)
    return np.minimum(hours * load_kw, together_kwh)


def held_for_outage_kwh(ups: Ups | None, load_kw: Floats, hours: float) -> Floats:
    """What a battery must hold to carry a load for so long beside a UPS, (n_slots,) [kWh]."""
    needed_kwh: Floats = hours * load_kw
    return needed_kwh if ups is None else needed_kwh - ups.carried_kwh(load_kw, hours)


@dataclass(frozen=True)
class Generator:
    """What takes the site over while the grid is away, for as long as that lasts; it never runs by the schedule."""

    __pydantic_config__ = STRICT

    power_kw: Annotated[Positive, Field(description="the most that it gives")]
    start_minutes: Annotated[Minutes, Field(description="until it carries the load")]


@dataclass(frozen=True)
class GenerationWindow:
    """What the site's own plant could give for a while, as forecast."""

    __pydantic_config__ = STRICT

    start: Utc
    end: Utc
    available_kw: Annotated[NonNegative, Field(description="[kW] at the meter, mean of the window")]


@dataclass(frozen=True)
class Generation:
    """Generation behind the site's meter. It may be curtailed at no cost, and emits nothing."""

    __pydantic_config__ = STRICT

    windows: Annotated[
        tuple[GenerationWindow, ...],
        Field(min_length=1, description="its forecast; outside them there is none"),
    ]
    cost_per_kwh: Annotated[NonNegative, Field(description="currency per kWh that is used")] = 0.0

    def mean_kw(self, start: datetime, end: datetime) -> float:
        """What is available in `[start, end)`, mean [kW]."""
        overlaps = ((min(end, w.end) - max(start, w.start), w.available_kw) for w in self.windows)
        return sum((kw * (overlap / (end - start)) for overlap, kw in overlaps if overlap > NONE), 0.0)
