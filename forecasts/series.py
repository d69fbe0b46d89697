"""One vintage of one signal of one zone: what a source said, when it was known, in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np

from forecasts.slots import Floats, Times

CARBON_UNIT = "gCO2e/kWh"
POWER_UNIT = "MW"


class Signal(StrEnum):
    """What is forecast. Prices are `<CUR>/MWh`, carbon is `gCO2e/kWh`, the others `MW`; `units` converts to these.

    Schedules are made from the first two (`PLANNED`). The others are a zone's whole load, wind and solar power, kept
    for whoever foresees the first two; our own models do not look at them yet.
    """

    PRICE = "price"
    CARBON = "carbon"
    LOAD = "load"
    WIND = "wind"
    SOLAR = "solar"


PLANNED = (Signal.PRICE, Signal.CARBON)
"""The signals that a frame holds and a schedule is made from."""


class Basis(StrEnum):
    """What a carbon figure means. Two that differ are never mixed in one series, nor compared."""

    AVERAGE = "average"
    MARGINAL = "marginal"


class Kind(StrEnum):
    """How much a value is worth, from a fact to a guess."""

    ACTUAL = "actual"  # measured, after the fact
    CLEARED = "cleared"  # an auction's result: no uncertainty left
    FORECAST = "forecast"  # published by the source
    MODEL = "model"  # our own extension beyond what was published
    SYNTHETIC = "synthetic"  # made up for a demonstration; never the real grid
    MISSING = "missing"  # nobody said anything: the value is NaN


FACTS = frozenset({Kind.ACTUAL, Kind.CLEARED})
"""Kinds of which no uncertainty is left."""


@dataclass(frozen=True, eq=False)
class ForecastSeries:
    """Half-open intervals `[start, end)`, sorted, not overlapping, each with a finite value.

    `start`, `end` (n,) `datetime64[us]` in UTC; `values` (n,) and each of `quantiles` (n,) in `unit`;
    `quantiles` by probability 0..1. `known_at` is when we learnt it (it gates every replay);
    `issued_at` is what the source says; `note` is what we had to leave out of it, for the log: it is not stored.
    Raises nothing itself: `checks.check_series` judges.
    """

    zone: str
    signal: Signal
    unit: str
    source: str
    known_at: datetime
    start: Times
    end: Times
    values: Floats
    kind: Kind = Kind.FORECAST
    basis: Basis | None = None
    issued_at: datetime | None = None
    quantiles: Mapping[float, Floats] = field(default_factory=dict)
    licence: str = ""
    attribution: str = ""
    restricted: bool = False  # the licence forbids passing the values on: show them, never export them
    note: str = ""

    @property
    def key(self) -> str:
        """`source:zone:signal`, the name of the series whose vintage this is."""
        return f"{self.source}:{self.zone}:{self.signal}"

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        if not len(self):
            return f"{self.key} (empty)"
        step = int(np.median((self.end - self.start).astype("timedelta64[m]").astype(int)))
        first, last = (np.datetime_as_string(t, unit="m") for t in (self.start[0], self.end[-1]))
        span = f"{first}Z..{last}Z"
        return f"{self.key} {span} every {step} min, {len(self)} values [{self.unit}], {self.kind}"
