"""The fleet: sites, pools of accelerators, batteries, models, and what the schedule is to minimise.

One definition serves file, API and solver: frozen dataclasses whose annotations pydantic validates at the edges
(`shifter.files`). Units are in the names; the meaning of each field is the contract's.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from shifter.domain.fields import (
    STRICT,
    Count,
    Minutes,
    Name,
    NonNegative,
    Positive,
    Ratio,
    Total,
    Utc,
)
from shifter.domain.model import Model as Model  # noqa: PLC0414 - part of a fleet, and looked for here
from shifter.domain.plant import Battery, Generation, Generator, Ups
from shifter.domain.resilience import FailoverGroup, Maintenance, Resilience, always_off, most_away
from shifter.domain.risk import Risk
from shifter.domain.tenant import Tenant

NONE = timedelta(0)
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class PowerCap:
    """What one accelerator draws and does under a power cap, as measured."""

    __pydantic_config__ = STRICT

    busy_kw: Annotated[Positive, Field(description="[kW] per accelerator under the cap, at full load")]
    throughput_ratio: Annotated[Ratio, Field(description="of the throughput without a cap, 0..1")]


@dataclass(frozen=True)
class Pool:
    """Equal accelerators of one site."""

    __pydantic_config__ = STRICT

    name: Name
    accelerator: Name
    count: Annotated[Count, Field(description="how many there are")]
    failure_domains: Annotated[
        Count, Field(description="equal groups that fail together (host, rack, feed)")
    ] = 1
    idle_kw: Annotated[NonNegative, Field(description="[kW] per accelerator, powered and idle")] = 0.0
    busy_kw: Annotated[Positive, Field(description="[kW] per accelerator, at full load")] = 1.0
    off_kw: Annotated[
        NonNegative | None,
        Field(description="[kW] per accelerator that is powered down; null = none may be"),
    ] = None
    power_caps: Annotated[
        tuple[PowerCap, ...],
        Field(
            description="caps that deferrable work may run under, as measured; those on the concave hull of the curve "
            "are used"
        ),
    ] = ()
    failure_domain_sizes: Annotated[
        tuple[Count, ...],
        Field(description="accelerators of each group where they are not equal; empty = equal groups"),
    ] = ()
    maintenance: Annotated[
        tuple[Maintenance, ...], Field(description="windows in which accelerators are away")
    ] = ()

    def present(self, start: datetime, end: datetime | None = None) -> int:
        """How many are not away for maintenance, at the fewest of `[start, end)`; without an end, at that moment."""
        if not self.maintenance:
            return self.count
        return max(0, self.count - most_away(self.maintenance, start, end or start + MOMENT))

    def powered(self, start: datetime, end: datetime) -> int:
        """How many draw power at some moment of `[start, end)`: all but those that are switched off throughout."""
        return (
            max(0, self.count - always_off(self.maintenance, start, end)) if self.maintenance else self.count
        )

    @property
    def domain_sizes(self) -> tuple[float, ...]:
        """Accelerators of each failure domain."""
        equal = (self.count / self.failure_domains,) * self.failure_domains
        return self.failure_domain_sizes or equal

    @property
    def dynamic_kw(self) -> float:
        """What one accelerator draws more when it is busy [kW]."""
        return self.busy_kw - self.idle_kw


@dataclass(frozen=True)
class PowerWindow:
    """A tighter power limit for a while: a curtailment notice, a demand response."""

    __pydantic_config__ = STRICT

    start: Utc
    end: Utc
    limit_kw: Annotated[NonNegative, Field(description="highest import in the window, slot mean")]


@dataclass(frozen=True)
class Site:
    """A place with a grid connection."""

    __pydantic_config__ = STRICT

    name: Name
    zone: Annotated[Name, Field(description="grid zone: the key into the forecasts")]
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    tier: Literal["central", "regional", "edge"] = "central"
    jurisdiction: Annotated[
        str | None, Field(description="what a workload's data_boundary is matched against")
    ] = None
    pue: Annotated[float, Field(ge=1, le=5, allow_inf_nan=False, description="facility kW per IT kW")] = 1.0
    power_limit_kw: Annotated[
        Positive | None, Field(description="highest import, slot mean; null = no limit")
    ] = None
    power_limits: tuple[PowerWindow, ...] = ()
    demand_charge_per_kw: Annotated[
        NonNegative, Field(description="currency per kW of the period's highest slot-mean import")
    ] = 0.0
    peak_so_far_kw: Annotated[
        NonNegative,
        Field(
            description="the highest slot-mean import of this calendar month (UTC) up to now; the daemon counts on "
            "from it, and drops it when the month ends"
        ),
    ] = 0.0
    battery: Battery | None = None
    generation: Generation | None = None
    ramp_limit_kw_per_minute: Annotated[
        Positive | None,
        Field(description="most that import less export may change, between means of successive slots"),
    ] = None
    export_limit_kw: Annotated[
        NonNegative, Field(description="highest export, slot mean; 0 = nothing may be exported")
    ] = 0.0
    export_price_per_mwh: Annotated[
        NonNegative | None,
        Field(description="what an exported MWh earns, at most what importing one costs in that slot"),
    ] = None
    resilience: Resilience = field(default_factory=Resilience)
    ups: Ups | None = None
    generator: Generator | None = None


@dataclass(frozen=True)
class Budget:
    """A hard limit on what the plan causes in a while: carbon of what is imported, or money for it."""

    __pydantic_config__ = STRICT

    kind: Annotated[
        Literal["carbon_kg", "money"],
        Field(description="CO2e of the import; or what it costs at its price, less what export earns"),
    ]
    limit: Annotated[Total, Field(description="[kg] or currency, of real-time load and deferrable work")]
    start: Utc
    end: Utc
    sites: Annotated[tuple[Name, ...] | None, Field(description="that it counts; null = all")] = None

    def counts(self, site: str) -> bool:
        """Whether it counts this site."""
        return self.sites is None or site in self.sites

    def share(self, start: datetime, end: datetime) -> float:
        """The part of `[start, end)` that it counts, 0 to 1."""
        return max(NONE, min(end, self.end) - max(start, self.start)) / (end - start)


@dataclass(frozen=True)
class Objective:
    """What the schedule minimises, next to the bill."""

    __pydantic_config__ = STRICT

    carbon_price_per_tonne: Annotated[
        NonNegative, Field(description="currency per tonne of CO2e; 0 = cost only")
    ] = 0.0
    cost_per_run: Annotated[
        NonNegative | None,
        Field(
            description="what it is worth that a workload runs in one run less: a restart, a checkpoint, somebody's "
            "attention; null = 2 % of what the energy of an average workload costs"
        ),
    ] = None
    risk: Annotated[
        Risk, Field(description="how uncertain prices count; default: the forecast is taken as it is")
    ] = field(default_factory=Risk)
    budgets: tuple[Budget, ...] = ()
    churn_cost_per_accelerator_hour: Annotated[
        NonNegative | None,
        Field(
            description="announced work moves where that saves more than this; null = 0.5 % of what the energy of an "
            "accelerator-hour costs on average"
        ),
    ] = None
    frozen_minutes: Annotated[
        Minutes, Field(description="[min] what is announced to run so soon is not moved")
    ] = 0.0
    fairness_cost_per_accelerator_hour: Annotated[
        NonNegative,
        Field(
            description="currency by which an hour of late work costs more where all of a tenant's work is late than "
            "where none is, at weight 1; 0 = whose work is late does not matter"
        ),
    ] = 0.0


PoolKey = tuple[str, str]
"""(site, pool), the name of a pool in the fleet."""


@dataclass(frozen=True)
class Fleet:
    """Everything that can run work."""

    __pydantic_config__ = STRICT

    currency: Annotated[
        str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217, the one currency of all money")
    ]
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    models: tuple[Model, ...] = ()
    objective: Objective = field(default_factory=Objective)
    tenants: Annotated[
        tuple[Tenant, ...],
        Field(description="those with a weight or a quota; any other has weight 1 and no quota"),
    ] = ()
    failover_groups: Annotated[
        tuple[FailoverGroup, ...],
        Field(description="sites that take real-time load over from each other where one is lost"),
    ] = ()

    @cached_property
    def memory(self) -> dict[Hashable, Any]:
        """What was worked out of this fleet, which never changes."""
        return {}

    @cached_property
    def pools(self) -> dict[PoolKey, tuple[Site, Pool]]:
        """Every pool with its site, in the file's order."""
        return {(site.name, pool.name): (site, pool) for site in self.sites for pool in site.pools}

    @cached_property
    def by_model(self) -> dict[str, Model]:
        """Models by name."""
        return {model.name: model for model in self.models}

    @cached_property
    def by_tenant(self) -> dict[str, Tenant]:
        """Listed tenants by name."""
        return {tenant.name: tenant for tenant in self.tenants}

    @cached_property
    def by_site(self) -> dict[str, Site]:
        """Sites by name."""
        return {site.name: site for site in self.sites}

    def ride_through_minutes(self, site: Site) -> float:
        """How long a site's real-time load is to be carried without the grid: as it says, or until what there is takes
        over; 0 where nothing does."""
        asked = site.resilience.ride_through_minutes
        takes_over = [group.within_minutes for group in self.failover_groups if site.name in group.sites]
        takes_over += [] if site.generator is None else [site.generator.start_minutes]
        return asked if asked is not None else min(takes_over, default=0.0)

    @property
    def zones(self) -> tuple[str, ...]:
        """Grid zones of the sites, sorted."""
        return tuple(sorted({site.zone for site in self.sites}))
