"""What a plan says of a budget: how much of it is used, and what more of it would save."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanBudget:
    """One budget of the fleet, in the part of its period that the plan covers; `limit` and `used` are in `unit`."""

    name: str
    """Its place in the fleet: `budgets[0]` is the first."""
    unit: str
    """`kg CO2e`, or the fleet's currency."""
    limit: float
    used: float
    """What all imports cause, real-time load's too, less what export earns."""
    price: float | None
    """What one more unit would save for the work that is done [currency]; None where no program says."""
