"""One case of a replay: a fleet, its work, what was known of the grid and when, and what came of it.

A case is plain data and small, so that it can be sent to another process or machine. A unit is a case and the name of
the policy that is replayed on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from forecasts.ageing import MaxAge
from forecasts.assemble import Preference
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.series import ForecastSeries
from forecasts.slots import Floats, SlotGrid
from shifter.backtest.learnt import Learnt
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.workload import Workload
from shifter.realtime.load import RealtimeLoad

MICROSECOND = timedelta(microseconds=1)
HOUR_US = 3_600_000_000
FORMAT = 3
"""Of results: raised whenever the same inputs come to other figures, so that no old result is taken for a new one."""


@dataclass(frozen=True)
class Rules:
    """How a replay goes. Planning is as the daemon does it by default."""

    replan_minutes: int = 30
    """[min] Policies decide so often, a whole number of slots, and when work has come."""
    horizon_hours: float = 48.0
    """[h] How far ahead is looked, or to the last deadline where that is later, up to `max_horizon_hours`."""
    max_horizon_hours: float = 168.0
    deadline_margin_minutes: float = 15.0
    hold_gap_ratio: float = 0.0025
    threshold_quantile: float = 0.3
    """Of the next 24 h of costs: the policy `threshold` runs work in slots that cost no more than this."""
    learn_hours: int = 0
    """[h] How often is learnt from what came (`forecasts.outlook`), a divisor of 24; every 6 in the daemon. 0: not."""
    order: Preference = field(default_factory=dict)
    """Sources by zone and signal, the best first, "*" for every zone without its own entry."""
    max_age: MaxAge = timedelta(hours=48)
    """What is older yields to another source."""
    learning: Learning = BY_DEFAULT
    """How is learnt, where it is."""
    time_limit_s: float = 300.0
    """[s] For one plan's solver. It is far more than any should take: a limit that binds makes results depend on the
    machine."""


@dataclass(frozen=True)
class Task:
    """A deferrable workload, when it was submitted, and its window once its chain is taken into account."""

    workload: Workload
    submitted_at: datetime
    earliest_start: datetime
    deadline: datetime


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a zone: price [currency/MWh] and carbon [gCO2e/kWh], each (n_slots,) of the case's `reach`.

    NaN where it is not known: only after the replayed slots, but for `assumed_slots` of those, in which it is taken to
    be as at the same time of the day before.
    """

    price_per_mwh: Floats
    carbon_g_per_kwh: Floats
    assumed_slots: int = 0


@dataclass(frozen=True, eq=False)
class Case:
    """What is replayed.

    `grid` holds the replayed slots: `billed_slots` of the month, and after them those in which its work is still under
    way, of which only what this work adds is billed. `reach` starts with it and goes on as far as plans look.
    """

    group: str
    month: str
    fleet: Fleet
    tasks: tuple[Task, ...]
    vintages: tuple[ForecastSeries, ...]
    outcomes: Mapping[str, Outcome]
    expected: RealtimeLoad
    """Real-time load as it was expected, on `reach`."""
    measured: Mapping[PoolKey, Floats]
    """Real-time load as it came [accelerators], (n_slots,) of `grid` each."""
    grid: SlotGrid
    billed_slots: int
    rules: Rules
    learnt: Learnt = field(default_factory=Learnt)
    """What months of vintages taught by then."""
    synthetic: bool = False
    """Whether any price or carbon that it is replayed with is made up, forecast or come."""

    @property
    def reach(self) -> SlotGrid:
        """The grid of `expected` and `outcomes`."""
        return self.expected.grid

    @property
    def name(self) -> str:
        """`DE-LU 2020-03`."""
        return f"{self.group} {self.month}"

    def us(self, moment: datetime) -> int:
        """A moment in microseconds since the grid's start."""
        return (moment - self.grid.start) // MICROSECOND

    def moment(self, us: int) -> datetime:
        """The inverse of `us`."""
        return self.grid.start + us * MICROSECOND


@dataclass(frozen=True, eq=False)
class Unit:
    """A case, and the policy that is replayed on it."""

    case: Case
    policy: str

    @property
    def name(self) -> str:
        """`DE-LU 2020-03 ours`."""
        return f"{self.case.name} {self.policy}"

    def digest(self) -> str:
        """A hash of all that the result depends on, but for the code: the same inputs have the same one anywhere."""
        said = hashlib.sha256()
        for part in (f"{FORMAT} {self.policy}".encode(), *_content(self.case)):
            said.update(len(part).to_bytes(8, "big") + part)
        return said.hexdigest()[:24]


def _content(case: Case) -> Iterator[bytes]:
    """All of a case, in a fixed order. Domain objects are frozen dataclasses: their repr says all that they hold."""
    for value in (case.group, case.month, case.fleet, case.tasks, case.grid, case.billed_slots, case.rules):
        yield repr(value).encode()
    for s in case.vintages:
        said = (s.key, s.unit, s.known_at, s.issued_at, s.kind, s.basis)
        yield repr(said).encode()
        for array in (s.start, s.end, s.values):
            yield array.tobytes()
        for p, band in sorted(s.quantiles.items()):
            yield repr(p).encode() + band.tobytes()
    for zone, found in sorted(case.outcomes.items()):
        yield repr((zone, found.assumed_slots)).encode()
        yield found.price_per_mwh.tobytes() + found.carbon_g_per_kwh.tobytes()
    yield from case.learnt.content()
    yield repr((case.reach, case.synthetic)).encode()
    for key, load in sorted(case.expected.quantiles.items()):
        for p, values in sorted(load.items()):
            yield repr((key, p)).encode() + np.asarray(values, dtype=float).tobytes()
    for key, measured in sorted(case.measured.items()):
        yield repr(key).encode() + np.asarray(measured, dtype=float).tobytes()
