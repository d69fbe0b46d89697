"""Our own policy: `plan_cycle` at every decision, with what the daemon would give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shifter.backtest.case import MICROSECOND, Case
from shifter.backtest.jobs import Job, Request, Serving, hours_us
from shifter.backtest.knowledge import foreseen
from shifter.backtest.policies import Decision, SiteSlot, State
from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.options import option_of
from shifter.domain.plan import Plan
from shifter.domain.risk import Risk
from shifter.domain.rows import Allocation
from shifter.errors import PlanRejected, SolverFailed


class Ours:
    """Replans with the last plan announced and running work where it is. `failed` counts cycles without a plan: the
    last one stands then, as in the daemon.

    `with_risk` plans as the fleet's `objective.risk` says, else the forecast is taken as it is. `foresight` puts what
    came in the place of what was forecast.
    """

    def __init__(self, case: Case, *, with_risk: bool = False, foresight: bool = False) -> None:
        self._case, self._with_risk, self._foresight = case, with_risk, foresight
        self._plan: Plan | None = None
        self._last = Decision()
        self.failed = 0

    def decide(self, state: State) -> Decision:
        """The plan of this moment."""
        inputs = self._inputs(state)
        if not inputs.submissions and not _has_more_to_decide(state.fleet):
            return Decision()
        try:
            self._plan = plan_cycle(inputs)
        except (PlanRejected, SolverFailed):
            self.failed += 1
        else:
            self._last = _decision(self._plan, state, self._case)
        return self._last

    def _inputs(self, state: State) -> CycleInputs:
        case, now, rules = self._case, state.known.now, self._case.rules
        jobs = list(_to_plan(state))
        grid = state.known.grid(max((job.task.deadline for job in jobs), default=None))
        jobs = list(_begun_by(grid.end, jobs))
        frame = state.known.near if grid == state.known.grid() else state.known.frame(grid)
        fleet = state.fleet
        if not self._with_risk:
            fleet = replace(fleet, objective=replace(fleet.objective, risk=Risk()))
        return CycleInputs(
            now=now,
            fleet=fleet,
            frame=foreseen(frame, case) if self._foresight else frame,
            realtime=state.known.load(grid),
            submissions=tuple(Submission(j.workload, j.task.submitted_at, j.done) for j in jobs),
            time_limit_s=rules.time_limit_s,
            deadline_margin_s=60 * rules.deadline_margin_minutes,
            pinned=tuple(_pinned(jobs, state, case)),
            announced=None if self._plan is None else Announced.of(self._plan, now, _since(jobs, case)),
            hold_gap=rules.hold_gap_ratio,
        )


def _has_more_to_decide(fleet: Fleet) -> bool:
    """Whether there is something to plan where there is no work."""
    return any(site.battery is not None for site in fleet.sites) or any(
        pool.off_kw is not None for _, pool in fleet.pools.values()
    )


def _to_plan(state: State) -> Iterator[Job]:
    """What is not over, and what is late while something waits for it: that stands before it."""
    live = {job.workload.id for job in state.jobs}
    awaited = {d for job in state.jobs for d in job.workload.depends_on}
    for id, job in state.by_id.items():
        if id in live or (id in awaited and not job.is_done and job.submitted_us <= state.now_us):
            yield job


def _begun_by(end: datetime, jobs: Sequence[Job]) -> Iterator[Job]:
    """Without what may not begin within the horizon, and what waits for it."""
    later = {job.workload.id for job in jobs if job.task.earliest_start >= end}
    size = -1
    while size != len(later):
        size = len(later)
        later |= {job.workload.id for job in jobs if later.intersection(job.workload.depends_on)}
    return (job for job in jobs if job.workload.id not in later)


def _since(jobs: Sequence[Job], case: Case) -> dict[str, dict[Serving, datetime]]:
    """Since when each job runs in what."""
    return {
        job.workload.id: {lane: case.moment(held[0][0]) for lane, held in job.lanes.items() if held}
        for job in jobs
    }


def _pinned(jobs: Sequence[Job], state: State, case: Case) -> Iterator[Allocation]:
    """What runs and may not be interrupted goes on to its end, or its deadline."""
    for job in jobs:
        if (option := job.option) is None:
            continue
        begun_us = min((held[0][0] for held in job.lanes.values() if held), default=state.now_us - 1)
        load_us = max(0, begun_us + option.load // MICROSECOND - state.now_us)
        end_us = state.now_us + load_us + hours_us(job.left / (option.rate * job.width))
        yield Allocation(
            job.workload.id,
            *option.key,
            case.moment(begun_us),
            case.moment(max(state.now_us + 1, min(end_us, job.deadline_us))),
            job.width,
            option.model,
            option.cap_kw,
        )


def _decision(plan: Plan, state: State, case: Case) -> Decision:
    """A plan as requests, those that begin first before the others, and what it has batteries and idle machines do."""
    found = []
    for a in sorted(plan.allocations, key=lambda a: (a.start, a.workload_id, a.site, a.pool)):
        option = option_of(state.by_id[a.workload_id].workload, state.fleet, a)
        assert option is not None, "a plan runs work in one of its options"
        found.append(Request(a.workload_id, ((option, a.accelerators),), case.us(a.start), case.us(a.end)))
    charge, discharge, off = (defaultdict[int, dict[Any, float]](dict) for _ in range(3))
    for row in plan.power:
        slot = round(case.grid.position(row.start))
        charge[slot][row.site], discharge[slot][row.site] = row.charge_kw, row.discharge_kw
    for cell in plan.slots:
        if cell.off:
            off[round(case.grid.position(cell.start))][cell.site, cell.pool] = cell.off
    beside = {slot: SiteSlot(charge[slot], discharge[slot], off[slot]) for slot in charge}
    return Decision(found, beside)
