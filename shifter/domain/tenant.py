"""Tenants: whose work it is, how many accelerators it may use, and what a plan says of how each was served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from shifter.domain.fields import STRICT, NonNegative


@dataclass(frozen=True)
class Tenant:
    """One of those who share the fleet, by the name that its workloads give as their `tenant`."""

    __pydantic_config__ = STRICT

    name: Annotated[str, Field(min_length=1, max_length=128)]
    weight: Annotated[
        float,
        Field(
            ge=0.001,
            le=1000,
            allow_inf_nan=False,
            description="where not all work can be done: with twice the weight, half as much of it is late",
        ),
    ] = 1.0
    quota_accelerators: Annotated[
        NonNegative | None,
        Field(
            description="most accelerators that its deferrable work uses, mean of a slot; null = no quota",
        ),
    ] = None
    quota_accelerator_types: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="accelerators that the quota counts, in all sites; null = every one"),
    ] = None
    over_quota_cost_per_accelerator_hour: Annotated[
        NonNegative | None,
        Field(
            description="currency for each accelerator-hour beyond the quota, where others leave room; null = the "
            "quota is a hard limit",
        ),
    ] = None

    def counts(self, accelerator: str) -> bool:
        """Whether its quota counts accelerators of this type."""
        return self.quota_accelerator_types is None or accelerator in self.quota_accelerator_types


@dataclass(frozen=True)
class PlanTenant:
    """How a plan serves one tenant, where its quota or fairness counts.

    `asked` is its deferrable work that is due in the horizon, `short` what of that is not planned, both in
    accelerator-hours of the fastest way to do each; `over_quota` those that it holds beyond its quota. The two costs
    are its parts of `cost.over_quota` and `cost.fairness`, and `next_short_hour_cost` is what fairness charges for the
    next hour that it would fall short [currency].

    Of its quota, None where it has none: `used_accelerators` is the most that it holds of it, mean of what is left of a
    slot, and `quota_price` what one more accelerator of it would save over all slots [currency], None where no program
    says.
    """

    tenant: str
    weight: float
    asked_accelerator_hours: float
    short_accelerator_hours: float
    over_quota_accelerator_hours: float
    over_quota_cost: float
    fairness_cost: float
    next_short_hour_cost: float
    quota_accelerators: float | None = None
    used_accelerators: float | None = None
    quota_price: float | None = None
