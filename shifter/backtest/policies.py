"""Policies that look at one job at a time, and what every policy is: a decision about what is to run from now on.

They are what people do without a planner. None knows of the others' work, of the reserve, or of a peak that is paid
for: the machines keep their limits for them (`machines`), and what does not fit waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from forecasts.frame import ForecastFrame
from forecasts.series import Signal
from forecasts.slots import Floats
from shifter.backtest.case import HOUR_US, Case
from shifter.backtest.jobs import Job, Request, plain_options
from shifter.backtest.knowledge import Known
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.options import Option

DAY_HOURS = 24


@dataclass(frozen=True)
class SiteSlot:
    """What is to happen beside the work in one slot: batteries [kW] and accelerators that are powered down."""

    charge_kw: Mapping[str, float] = field(default_factory=dict)
    discharge_kw: Mapping[str, float] = field(default_factory=dict)
    off: Mapping[PoolKey, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What is to run, in order of priority, and what is to happen beside it by slot of the case."""

    requests: Sequence[Request] = ()
    beside: Mapping[int, SiteSlot] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class State:
    """What a policy sees: what is known, the fleet as it stands, the work that has come and is not over."""

    known: Known
    fleet: Fleet
    jobs: Sequence[Job]
    by_id: Mapping[str, Job]
    now_us: int
    next_us: int
    """When it is asked again at the latest."""


class Policy(Protocol):
    """One way to decide. An instance lives for one replay."""

    def decide(self, state: State) -> Decision:
        """What runs from now on, until it is asked again."""
        ...


class RunNow:
    """Everything as soon as it comes, first come, first served."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def decide(self, state: State) -> Decision:
        """Every job from its earliest start on, wherever it runs fastest."""
        return Decision(
            [
                Request(job.workload.id, tuple(options), job.earliest_us, job.deadline_us)
                for job in sorted(state.jobs, key=lambda j: (j.earliest_us, j.workload.id))
                if (options := plain_options(job.workload, state.fleet))
            ]
        )


class CheapestWindow:
    """Each job alone, once: whole, where its energy costs least by the forecast at its submission.

    It is put where it ends in time at its full width, without a break; from its start on it runs, or waits for room.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._chosen: dict[str, Request] = {}

    def decide(self, state: State) -> Decision:
        """Those that are new choose; all stand by what they chose."""
        for job in state.jobs:
            if job.workload.id not in self._chosen and plain_options(job.workload, state.fleet):
                self._chosen[job.workload.id] = self._choice(job, state)
        found = [self._chosen[job.workload.id] for job in state.jobs if job.workload.id in self._chosen]
        return Decision(sorted(found, key=lambda r: (r.start_us, r.job)))

    def _choice(self, job: Job, state: State) -> Request:
        grid = state.known.grid(self._case.moment(job.deadline_us))
        frame = state.known.near if grid == state.known.near.grid else state.known.frame(grid)
        edges = state.now_us + np.arange(grid.n_slots + 1) * (grid.slot_minutes * 60_000_000)
        ready = max(job.earliest_us, state.now_us)
        best: tuple[float, int, Request] | None = None
        for option, width in plain_options(job.workload, state.fleet):
            run_us = job.run_us(option, width)
            starts = np.unique(np.append(edges[edges >= ready], ready))
            starts = starts[starts + run_us <= min(job.deadline_us, int(edges[-1]))]
            if not len(starts):
                starts = np.array([ready])
            total = np.append(0.0, np.cumsum(unit_cost(frame, state.fleet, option)))
            begin, end = (np.interp(at, edges, total) for at in (starts, starts + run_us))
            costs = (end - begin) * width * option.import_kw
            at = int(costs.argmin())
            found = Request(job.workload.id, ((option, width),), int(starts[at]), job.deadline_us)
            if best is None or (float(costs[at]), found.start_us) < best[:2]:
                best = float(costs[at]), found.start_us, found
        assert best is not None
        return best[2]


class Threshold:
    """Each job alone, in every slot that is cheap against the next 24 hours, and once it must to be done in time."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def decide(self, state: State) -> Decision:
        """Until the next decision."""
        if not state.jobs:
            return Decision()
        frame, found = state.known.near, []
        slot_us = self._case.grid.slot_minutes * 60_000_000
        for job in sorted(state.jobs, key=lambda j: (j.deadline_us, j.workload.id)):
            options = plain_options(job.workload, state.fleet)
            if not options:
                continue
            option, width = min(options, key=lambda one: _per_work(frame, state.fleet, one[0]))
            latest_us = job.deadline_us - job.run_us(*options[0])
            if latest_us < state.next_us:  # it cannot wait until it is asked again
                found.append(Request(job.workload.id, tuple(options), job.earliest_us, job.deadline_us))
                continue
            costs = unit_cost(frame, state.fleet, option)
            day = costs[: max(1, round(DAY_HOURS * HOUR_US / slot_us))]
            limit = float(np.quantile(day, self._case.rules.threshold_quantile))
            for i in range((state.next_us - state.now_us) // slot_us):
                if i < len(costs) and costs[i] <= limit:
                    start = state.now_us + i * slot_us
                    found.append(Request(job.workload.id, ((option, width),), start, start + slot_us))
        return Decision(found)


def unit_cost(frame: ForecastFrame, fleet: Fleet, option: Option) -> Floats:
    """What a kWh is foreseen to cost at an option's site, carbon at its price included [currency/kWh], (n_slots,)."""
    zone = fleet.by_site[option.key[0]].zone
    carbon_price = fleet.objective.carbon_price_per_tonne
    costs: Floats = frame.assumed(zone, Signal.PRICE) / 1e3 + (
        carbon_price * frame.assumed(zone, Signal.CARBON) / 1e6
    )
    return costs


def _per_work(frame: ForecastFrame, fleet: Fleet, option: Option) -> float:
    """What a unit of work costs in the slot that begins now."""
    return float(unit_cost(frame, fleet, option)[0]) * option.import_kw / option.rate
