"""Two sites under a week of real-time load, and what is done to them: which load comes, and what is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from benchmarks.llm_week import DAY, HOUR, STEP, STEPS_A_DAY, STEPS_AN_HOUR, Trace
from shifter.domain.fleet import Fleet, Objective, Pool, Site
from shifter.domain.resilience import FailoverGroup, Resilience

SITES, PLACES = ("main", "bay"), ("DE-LU", "CAISO-NP15")
COUNT, DOMAINS = 160, 8
SURGE, LOSS = timedelta(minutes=20), HOUR


@dataclass(frozen=True)
class Span:
    """For how long the forecast is taught what load is usual, and how long after that is judged: whole hours.

    Work comes from the last day that teaches on, so that the first that is judged finds some.
    """

    taught: timedelta = 3 * DAY
    judged: timedelta = 4 * DAY

    def __post_init__(self) -> None:
        if min(self.taught, self.judged) < timedelta() or self.taught % HOUR or self.judged % HOUR:
            raise ValueError(f"{self.taught} and {self.judged} are no whole hours")

    @property
    def planned_from(self) -> int:
        """The first step with work."""
        return max(timedelta(), self.taught - DAY) // STEP

    @property
    def judged_from(self) -> int:
        """The first step that counts."""
        return self.taught // STEP

    @property
    def n_steps(self) -> int:
        """In all."""
        return (self.taught + self.judged) // STEP

    @property
    def judged_steps(self) -> int:
        """How many count."""
        return self.judged // STEP


WEEK = Span()


@dataclass(frozen=True)
class Scenario:
    """What is done to it. `lost` and `surge` hold at the hour of each day in which real-time load is highest."""

    name: str
    quantile: float = 0.99
    lose_domains: int = 1
    guard: bool = True
    failover: bool = False
    lost: str = ""
    """`domain` or `site`."""
    surge: bool = False
    target: float = 0.1
    """[%] of time, at most."""


AS_PLANNED = Scenario("as planned")
LESS_HELD = Scenario("as planned, p98 held", quantile=0.98)
"""What the time that real-time load may be over allows, where a guard stands behind it."""
SURGED = Scenario("twice the load for 20 min", surge=True)
BARE = Scenario("no reserve, no guard", quantile=0.5, lose_domains=0, guard=False)
SCENARIOS = (
    AS_PLANNED,
    LESS_HELD,
    Scenario("a failure domain lost", lost="domain", target=0.2),
    Scenario("a site lost", lost="site", failover=True, target=0.5),
    SURGED,
    BARE,
)


def fleet_of(scenario: Scenario) -> Fleet:
    """Two sites of one pool."""
    resilience = Resilience(scenario.quantile, scenario.lose_domains)
    sites = tuple(
        Site(
            name,
            zone,
            (Pool("h100", "H100", COUNT, failure_domains=DOMAINS, idle_kw=0.12, busy_kw=0.75),),
            "regional",
            pue=1.25,
            demand_charge_per_kw=2.0,
            resilience=resilience,
        )
        for name, zone in zip(SITES, PLACES, strict=True)
    )
    groups = (FailoverGroup("both", SITES),) if scenario.failover else ()
    objective = Objective(carbon_price_per_tonne=80.0)
    return Fleet("EUR", sites, objective=objective, failover_groups=groups)


@dataclass(frozen=True, eq=False)
class World:
    """What real-time load comes and what accelerators there are, step by step."""

    scenario: Scenario
    trace: Trace
    worst: dict[int, int]
    """By day, the first step of the hour in which load is highest."""
    surges: dict[tuple[str, int], float] = field(default_factory=dict)
    """What a surge comes to, by site and day: what is expected while it lasts follows it."""

    @classmethod
    def of(cls, scenario: Scenario, trace: Trace, span: Span) -> World:
        """From the trace, of what is judged."""
        load = np.sum([load[: span.n_steps] for load in trace.realtime.values()], axis=0)
        hours = load.reshape(-1, STEPS_AN_HOUR).mean(axis=1)
        worst: dict[int, int] = {}
        for hour in range(span.judged_from // STEPS_AN_HOUR, len(hours)):
            highest = worst.setdefault(hour // 24, hour)
            worst[hour // 24] = hour if hours[hour] > hours[highest] else highest
        return cls(scenario, trace, {day: hour * STEPS_AN_HOUR for day, hour in worst.items()})

    def _happens(self, step: int, lasts: timedelta) -> bool:
        first = self.worst.get(step // STEPS_A_DAY)
        return first is not None and first <= step < first + lasts // STEP

    def available(self, site: str, step: int) -> int:
        """Accelerators that there are."""
        if not self.scenario.lost or not self._happens(step, LOSS):
            return COUNT
        if self.scenario.lost == "domain":
            return COUNT - COUNT // DOMAINS
        return 0 if site == SITES[0] else COUNT

    def load(self, site: str, step: int, expected: Callable[[str], float]) -> float:
        """Accelerators that real-time load needs there."""
        own = float(self.trace.realtime[site][step])
        if self.scenario.surge and self._happens(step, SURGE):
            day = step // STEPS_A_DAY
            if (site, day) not in self.surges:
                self.surges[site, day] = 2 * expected(site)
            return min(float(COUNT), max(own, self.surges[site, day]))
        if self.scenario.lost == "site" and self._happens(step, LOSS):
            return 0.0 if site == SITES[0] else own + float(self.trace.realtime[SITES[0]][step])
        return own
