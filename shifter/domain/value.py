"""What one more of something would be worth, by a plan's own prices: kW, accelerators, battery, time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Span:
    """`[start, end)`."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Worth:
    """What one more of something would save at the most [currency]: by so much the plan's lower bound would fall."""

    horizon: float
    """Over what is ahead of the plan's horizon. Below 0 it would cost more than it saves."""
    per_day: float
    """The same, over 24 hours on average."""
    bound_hours: float
    """[h] For how long the limit costs anything."""
    binds: tuple[Span, ...]
    """When that is."""
    values: tuple[float, ...]
    """By slot of the plan; they sum to `horizon`."""
    late_accelerator_hours: float = 0.0
    """Late work that one more would do in time [accelerator-hours]; in no figure of money."""


@dataclass(frozen=True)
class PoolWorth:
    """Of one pool, per accelerator."""

    pool: str
    count: int
    accelerator: Worth
    """One more of them, less what it draws when it is idle."""
    held_back: Worth
    """One fewer held back for real-time load; of what is not held back beyond the quantile, one fewer needed."""


@dataclass(frozen=True)
class PromiseWorth:
    """What a site promises real-time load by itself, and what it would save at the most not to [currency]."""

    kind: str
    """`domains`, `ride_through` or `strict`, as in `resilience` of a plan."""
    horizon: float | None
    """Over what is ahead of the plan's horizon; None where that could not be worked out."""
    per_day: float | None
    """The same, over 24 hours on average."""
    text: str


@dataclass(frozen=True)
class SiteWorth:
    """Of one site."""

    site: str
    kw: Worth | None
    """One kW more of power limit; None where there is none."""
    peak: Worth | None
    """One kW more of highest import that is paid for already, once; at most the demand charge. None where there is no
    demand charge."""
    battery: Worth | None
    """One kWh more of battery; None where that could not be worked out."""
    new_battery: bool
    """Whether there is no battery yet: it is then of one that is supposed."""
    pools: tuple[PoolWorth, ...]
    promises: tuple[PromiseWorth, ...] = ()
    """None where the fleet has failover groups: then the plan says in `resilience` what each costs."""


@dataclass(frozen=True)
class Energise:
    """A step that the fleet could grow by, and what it would save at the most."""

    site: str
    kind: Literal["power", "pool"]
    pool: str | None
    amount: float
    """[kW] of connection, or accelerators like those of the pool."""
    per_day: float
    horizon: float
    bound_hours: float
    late_accelerator_hours: float


@dataclass(frozen=True)
class FleetWorth:
    """What one more would be worth at every site, by the prices of one plan."""

    plan_id: str
    currency: str
    start: datetime
    end: datetime
    slot_start: datetime
    """Of the first of the slots that `values` count; `start` lies in it."""
    slot_minutes: int
    above_bound: float
    """What the plan costs above its bound [currency]: a plan with one more may gain that, too, for nothing."""
    sites: tuple[SiteWorth, ...]
    energise_next: tuple[Energise, ...]
    """What is worth most first."""
    notes: tuple[str, ...] = ()
    """What the figures do not count; all that there is where no program was solved."""


@dataclass(frozen=True)
class Slack:
    """What a workload's deadline costs, at the plan's prices [currency]. None where its work does not fit."""

    workload_id: str
    tenant: str
    deadline: datetime
    planned_cost: float
    """Of the hours that it holds, at the plan's prices: its power, and what others would pay for the room."""
    least_cost: float | None
    """Of the cheapest hours in its window at these prices."""
    hour_later_saves: float | None
    """What an hour more would save at the most."""
    deadline_costs: float | None
    """What it would save at the most, were it due at the horizon's end."""
    text: str
