"""What only the wire has: bodies that are no domain value, and shapes that the documentation needs.

Answers are the views of `shifter.views` and the plan of `shifter.domain.plan`; they are not written down
again here.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
)

from forecasts.series import Basis, Kind, Signal
from forecasts.slots import to_utc
from shifter.domain.fields import Amount, Name, Value
from shifter.domain.plan import IF_GIVEN, Plan
from shifter.domain.risk import PlanRisk
from shifter.domain.workload import Workload, WorkloadClass

EARLIEST_YEAR, LATEST_YEAR = 2000, 2200
MAX_DEADLINES = 48


def iso_moment(value: Any) -> datetime:
    """An ISO 8601 time with a zone. Raises ValueError: a number, a date or a time without a zone is a
    guess.
    """
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("this is no time; write it as 2026-01-10T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("the time has no zone; write it in UTC, ending in Z")
    if not EARLIEST_YEAR <= moment.year < LATEST_YEAR:
        raise ValueError(f"the time is not between the years {EARLIEST_YEAR} and {LATEST_YEAR}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(iso_moment), AfterValidator(to_utc)]


class Strict(BaseModel):
    """A body in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ProgressReport(Strict):
    """Work done so far. Give `done` or `remaining`, in the workload's unit."""

    done: Amount | None = None
    """Work done so far, in the workload's unit."""
    remaining: Amount | None = None
    """Work still to do, in the workload's unit."""
    at: Moment | None = None
    """When that was so; default now. A report older than the last one changes nothing."""
    accelerators: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """How many it has at that moment, 0 where it has stopped: told after a stop, it says how long that took."""


class OverrideRequest(Strict):
    """An operator's decision over the policy's."""

    decided: WorkloadClass | None = Field(alias="class")
    """The class that it shall have; null lifts the override."""
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """Why; it is kept in the audit."""


class RuleOverrideRequest(Strict):
    """An operator's decision over one rule of the policy."""

    rule: Annotated[str, Field(min_length=1, max_length=128)]
    """The rule's name, as a reason's `rule` says it."""
    decided: WorkloadClass | None = Field(alias="class")
    """The class that the rule shall decide; null switches the rule off."""
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """Why; it is kept in the audit."""


class QuoteRequest(Strict):
    """What would it cost?"""

    workload: Workload
    """The work, as it would be submitted; its own deadline is one of the options."""
    deadlines: Annotated[list[Moment], Field(min_length=1, max_length=MAX_DEADLINES)] | None = None
    """Deadlines to price; default a spread from the earliest feasible one to the end of the horizon."""


class ForecastPoint(Strict):
    """A value that holds over `[start, end)`."""

    start: Moment
    end: Moment
    value: Value
    quantiles: dict[str, Value] = {}
    """By name: `p10`, `p90`."""


class ForecastPush(Strict):
    """One vintage of one signal of one zone. It counts as known from the moment that it arrives."""

    zone: Name
    signal: Signal
    unit: Annotated[str, Field(min_length=1, max_length=32)]
    """As `EUR/MWh`, `EUR/kWh`, `gCO2e/kWh`, `lb/MWh`; it is converted, never guessed."""
    points: Annotated[list[ForecastPoint], Field(min_length=1, max_length=200_000)]
    source: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")] = "push"
    """Who says so."""
    issued_at: Moment | None = None
    """When the source made it, where it says."""
    basis: Basis | None = None
    """Of carbon: `average` or `marginal`. Two that differ are never mixed."""
    kind: Kind = Kind.FORECAST
    """How much it is worth."""
    licence: Annotated[str, Field(max_length=200)] = ""
    attribution: Annotated[str, Field(max_length=500)] = ""
    restricted: bool = False
    """The licence forbids passing the values on: they are used and not handed out."""


class Accepted(BaseModel):
    """How many of them were taken; what was there already is not counted again."""

    accepted: int


class Readiness(BaseModel):
    """Whether it can answer with a plan, and why not."""

    ready: bool
    reasons: list[str] = []


class ForecastGrid(BaseModel):
    """The slots that every sequence counts."""

    start: datetime
    slot_minutes: int
    n_slots: int


class ForecastRun(BaseModel):
    """Who said `n_slots` consecutive values, when that was known, and under which terms."""

    kind: str
    source: str
    known_at: datetime | None
    attribution: str
    licence: str
    restricted: bool
    """The licence forbids passing the values on: they are null here, unless the operator shares them."""
    n_slots: int


class ForecastSignal(BaseModel):
    """One signal of one zone; each sequence has one value a slot, null where nobody said anything or
    where it is withheld.
    """

    zone: str
    signal: str
    unit: str
    basis: str | None
    values: list[float | None]
    quantiles: dict[str, list[float | None]]
    provenance: list[ForecastRun]


class Forecasts(BaseModel):
    """Every signal of a zone on one slot grid, as it was known at `as_of`."""

    grid: ForecastGrid
    as_of: datetime
    currency: str
    warnings: list[str]
    signals: list[ForecastSignal]


class PlanCost(BaseModel):
    """Money of a plan, in the plan's currency."""

    energy: float
    carbon: float
    demand_charge: float
    battery_wear: float
    generation: float = 0.0
    export: float = 0.0
    over_quota: float = 0.0
    fairness: float = 0.0
    further: dict[str, float] = {}
    total: float


class PoolPrices(BaseModel):
    """Prices of a pool's limit, one a slot."""

    site: str
    pool: str
    values: list[float]


class SitePrices(BaseModel):
    """Prices of a site's limit, one a slot."""

    site: str
    values: list[float]


class TenantPrices(BaseModel):
    """Prices of a tenant's quota, one a slot."""

    tenant: str
    values: list[float]


class PlanDuals(BaseModel):
    """Prices of the shared limits, never negative: what proves `lower_bound`. `work` may be negative, and is there only
    where a term is in use that the bound has no formula for.
    """

    capacity: list[PoolPrices]
    reserve: list[PoolPrices]
    power: list[SitePrices]
    peak: list[SitePrices]
    work: list[SitePrices] = []
    budget: list[float] = []
    quota: list[TenantPrices] = []


def _plan_fields() -> dict[str, Any]:
    """`Plan`'s fields, with those that are written differently on the wire, and those that are not always written."""
    wire = {**get_type_hints(Plan), "cost": PlanCost, "duals": PlanDuals, "risk": PlanRisk}
    not_always: dict[str, Any] = {**dict.fromkeys(IF_GIVEN), "tenants": (), "budgets": ()}
    return {f.name: (wire[f.name], not_always.get(f.name, ...)) for f in fields(Plan)}


PlanDocument: type[BaseModel] = create_model("Plan", __doc__=Plan.__doc__, **_plan_fields())
"""`plan.json` of the contract, for the documentation; `Plan.to_json` writes it."""

EventFormat = Literal["sse", "json"]
