"""Uncertain prices: what the fleet's owner wants made of them, and what a plan then says of its own risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from forecasts.series import Signal
from forecasts.trust import Skill
from shifter.domain.fields import STRICT

if TYPE_CHECKING:
    from forecasts.frame import ForecastFrame
    from forecasts.scenarios import Paths

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Trust:
    """How much of a forecast is believed from a lead time on: its skill against knowing the usual day."""

    __pydantic_config__ = STRICT

    signal: Annotated[Signal, Field(description="price or carbon")]
    lead_hours: Annotated[
        float,
        Field(ge=0, le=8_784, allow_inf_nan=False, description="[h] from when it was known to the slot"),
    ]
    skill_ratio: Annotated[
        Share, Field(description="1 = as forecast, 0 = no better than the usual day; linear in between rows")
    ]
    zone: Annotated[str, Field(min_length=1, max_length=128, description="grid zone; * = every zone")] = "*"
    source: Annotated[
        str | None, Field(min_length=1, max_length=128, description="whose forecast; null = whoever tells")
    ] = None


@dataclass(frozen=True)
class Risk:
    """How uncertain prices and carbon count. The default is not at all: the plan is for the forecast as it is."""

    __pydantic_config__ = STRICT

    cvar_weight: Annotated[
        Share, Field(description="0 = expected cost alone, 1 = the mean of its worst outcomes alone")
    ] = 0.0
    cvar_level: Annotated[
        float, Field(ge=0, lt=1, allow_inf_nan=False, description="0.9 = the worst tenth of the outcomes")
    ] = 0.9
    scenarios: Annotated[
        int, Field(ge=2, le=500, description="paths of price and carbon that are weighed")
    ] = 100
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="another seed draws other paths")] = 0
    autocorrelation_hours: Annotated[
        float | None,
        Field(gt=0, le=168, description="[h] in which a deviation decays to 37 %; null = as learnt, else 12"),
    ] = None
    price_carbon_correlation: Annotated[
        float | None,
        Field(
            ge=-1,
            le=1,
            allow_inf_nan=False,
            description="of a zone's deviations of price and carbon; null = as learnt, else 0.5",
        ),
    ] = None
    zone_correlation: Annotated[Share, Field(description="of the deviations of two zones")] = 0.5
    robust_quantile: Annotated[
        float | None,
        Field(gt=0.5, lt=1, description="plan as if all came out at this quantile, e.g. 0.9; null = not"),
    ] = None
    trust: tuple[Trust, ...] = ()

    @property
    def weight(self) -> float:
        """Weight of the risk measure against the expected cost, 0..1; 0 is the plain problem."""
        return 1.0 if self.robust_quantile is not None else self.cvar_weight

    @property
    def level(self) -> float:
        """Level of the measure, 0..1; of the one path at a quantile, none."""
        return 0.0 if self.robust_quantile is not None else self.cvar_level

    @property
    def skills(self) -> tuple[Skill, ...]:
        """`trust`, as forecasts know it."""
        return tuple(Skill(t.zone, t.signal, t.source, t.lead_hours, t.skill_ratio) for t in self.trust)

    def paths(self, frame: ForecastFrame) -> Paths | None:
        """What may come, as far as the frame's quantiles tell; None where it does not count."""
        from forecasts.scenarios import PathRules, at_quantile, scenario_paths

        if self.weight == 0:
            return None
        if self.robust_quantile is not None:
            return at_quantile(frame, self.robust_quantile)
        rules = PathRules(
            self.scenarios,
            self.seed,
            self.autocorrelation_hours,
            self.price_carbon_correlation,
            self.zone_correlation,
        )
        return scenario_paths(frame, rules)


@dataclass(frozen=True)
class RiskPath:
    """One path of price and carbon: how likely it is, how much the plan weighs it, what the plan costs on it.

    `weight_ratio` are risk-adjusted probabilities: they sum to 1 and lie on the paths that are worst for this plan.
    """

    probability: float
    weight_ratio: float
    cost: float


@dataclass(frozen=True)
class PlanRisk:
    """What a plan minimises when prices are uncertain, and what it may come to [currency].

    `objective = (1 - weight) * expected + weight * tail`: it takes the place of `cost.total` in the plan's
    `relative_gap`, and `lower_bound` is its bound. `expected` is `cost.total`; `tail` the CVaR (`measure` `cvar`) or
    the cost at the quantile (`quantile`); `worst` that of the worst path; `premium = objective - expected`.
    `prices_per_mwh` by zone, (n_slots,): the risk-adjusted cost of a MWh, carbon included [currency/MWh]: planning at
    these as if they were certain is the same problem.
    """

    measure: Literal["cvar", "quantile"]
    weight: float
    level: float
    objective: float
    expected: float
    tail: float
    worst: float
    premium: float
    paths: tuple[RiskPath, ...]
    prices_per_mwh: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
