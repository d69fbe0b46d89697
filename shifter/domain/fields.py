"""The types of the domain's fields, which pydantic checks at the edges: names, moments, and numbers with two ends.

Every number is finite and has an upper bound, well beyond anything real and well within what a solver with 16 digits
can add up: a field that somebody adds later cannot be without one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from forecasts.slots import to_utc

STRICT = ConfigDict(extra="forbid")

Utc = Annotated[AwareDatetime, AfterValidator(to_utc)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Count = Annotated[int, Field(ge=1, le=10_000_000)]

NonNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A power [kW], an energy [kWh], or a price of one unit, in any currency: no grid has 1e9 kW."""
Positive = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]
"""The same where there must be some: what is smaller could not be divided by."""
Total = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""What a whole fleet causes in a period: money, or CO2e [kg]."""
Ratio = Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)]
"""A part that is left, 0..1: an efficiency, a throughput."""
Minutes = Annotated[float, Field(ge=0, le=10_080, allow_inf_nan=False)]
"""Up to a week [min]."""
TokensPerSecond = Annotated[float, Field(ge=0.001, le=1e9, allow_inf_nan=False)]
"""Of one accelerator [tokens/s]."""
Tokens = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]
"""Of one workload."""
AcceleratorHours = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
"""Of one workload [accelerator-hours]."""
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
"""Of work, in a workload's unit."""
Value = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
"""Of a forecast, in whatever unit; what is plausible is asked once it is converted."""
Milliseconds = Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)]
"""Up to four months [ms]."""
