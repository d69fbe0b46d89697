"""One planning cycle: a pure function from an immutable snapshot to a plan.

The daemon, `shifter plan`, quotes, replays and tests all call `plan_cycle`, and nothing else plans. It reads no
clock, no file and no store, so the same inputs give the same plan, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from forecasts.frame import ForecastFrame
from forecasts.trust import discounted
from shifter.classify.policy import Policy, default_policy
from shifter.classify.rules import classify
from shifter.domain.announced import Announced
from shifter.domain.chains import in_chains, split_windows
from shifter.domain.effort import Effort
from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import Classified, Override, Workload, WorkloadClass
from shifter.errors import InputError, PlanRejected
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.reserve import Envelope, reserve

if TYPE_CHECKING:
    from shifter.schedule.made import Schedule
    from shifter.schedule.problem import ScheduleProblem
    from shifter.schedule.verify import Violation


@dataclass(frozen=True, slots=True)
class Submission:
    """A workload as it was accepted: when, and how much of it is done [its unit]."""

    workload: Workload
    submitted_at: datetime
    done: float = 0.0


@dataclass(frozen=True, eq=False)
class CycleInputs:
    """Everything one cycle looks at. `now` is the moment of planning; nothing starts before it.

    `frame` and `realtime` are on the same grid, whose first slot holds `now`.
    """

    now: datetime
    fleet: Fleet
    frame: ForecastFrame
    realtime: RealtimeLoad
    submissions: tuple[Submission, ...] = ()
    policy: Policy = field(default_factory=default_policy)
    overrides: tuple[Override, ...] = ()
    grid_events: tuple[GridEvent, ...] = ()
    time_limit_s: float = 60.0
    deadline_margin_s: float = 0.0
    """Work that has time to spare is planned to end this much before its deadline."""
    pinned: tuple[Allocation, ...] = ()
    """What running submissions that may not be interrupted hold, one each: it goes on as it stands.

    It began before `now`. A plan's row for it is clipped to what the plan is about: from `now` to the grid's end.
    """
    announced: Announced | None = None
    """The plan in force, which is to be kept where moving it does not pay; None where there is none."""
    hold_gap: float = 0.0
    """What was announced stands as it is while its gap is at most this much above that of the last plan that was
    solved; below 0, every cycle is solved."""

    @cached_property
    def classified(self) -> tuple[Classified, ...]:
        """Every submission with its class, the reason and its window."""
        return classify(self.submissions, self.policy, self.fleet, self.now, self.overrides, self.running)

    @cached_property
    def running(self) -> dict[str, datetime]:
        """Workloads that are pinned, and when each ends."""
        return {a.workload_id: a.end for a in self.pinned}

    @cached_property
    def believed(self) -> ForecastFrame:
        """The forecasts that are planned by: as they were told, shrunk where their skill is known to be small."""
        return discounted(self.frame, self.fleet.objective.risk.skills)

    @cached_property
    def envelope(self) -> Envelope:
        """What real-time load holds back, and so what deferrable work may use."""
        return reserve(self.realtime, self.fleet)


def plan_cycle(inputs: CycleInputs, effort: Effort = Effort.WHOLE) -> Plan:
    """The plan for these inputs. Raises PlanRejected when it breaks a condition of the contract: never publish such.

    `effort` is the best way of planning that is tried: less than all where that died of it before.
    """
    from shifter.schedule.announced import AnnouncedWork
    from shifter.schedule.assemble import assemble
    from shifter.schedule.baseline import run_now
    from shifter.schedule.calm import hold
    from shifter.schedule.place import done_hours
    from shifter.schedule.promises import held_for
    from shifter.schedule.schedule import schedule

    # 1 to 4. The convex problem: arrays and named terms; what failover groups hold of it, placed with all work.
    kept = held_for(
        problem_of(inputs), inputs.fleet, inputs.envelope, time_limit_s=inputs.time_limit_s, effort=effort
    )
    problem, limit_s = kept.problem, kept.left_s
    announced = AnnouncedWork.of(problem, inputs.announced, inputs.fleet)

    def planned(made: Schedule) -> Plan:
        # 6. The same work at once, to compare with; and the plan, with its cost, its reasons and its proof.
        plan = assemble(
            problem,
            made,
            run_now(problem, done_hours(problem, made.pieces)),
            now=inputs.now,
            fleet=inputs.fleet,
            frame=inputs.believed,
            envelope=kept.envelope,
            announced=announced,
            time_limit_s=limit_s,
            resilience=kept.resilience,
            warnings=kept.warnings,
        )
        return kept.told(plan)

    # 5. What was announced stands while its proof is about as good as it was; else all is solved, and packed.
    plan = None
    if announced is not None and inputs.hold_gap >= 0:
        held = hold(problem, announced, time_limit_s=0.1 * limit_s)
        plan = None if held is None else planned(held)
        if plan is not None and plan.held is not None:
            plan = plan if plan.relative_gap <= plan.held.relative_gap + inputs.hold_gap else None
    if plan is None:
        plan = planned(schedule(problem, announced=announced, time_limit_s=limit_s, effort=effort))
    # 7. Checked by what did not make it.
    violations = verify_plan(plan, inputs)
    if violations:
        raise PlanRejected(
            f"the plan breaks {len(violations)} conditions, the first: {violations[0]}.",
            hint="It is not published; the last good plan stays. Report this with its inputs.",
            violations=[str(v) for v in violations],
        )
    return plan


def problem_of(inputs: CycleInputs) -> ScheduleProblem:
    """What the schedule is computed from: steps 1 to 4 of the cycle. Raises InputError where inputs do not match."""
    from shifter.schedule.announced import with_running
    from shifter.schedule.build import build

    # 1. One grid, checked; forecasts as far as they are believed.
    _check(inputs)
    # 2. Real-time or deferrable, each with its reason; chains hand their slack to their steps.
    classified, running = inputs.classified, inputs.running
    chained = set(in_chains({c.workload.id: c.workload.depends_on for c in classified}))
    steps = [c for c in classified if c.workload.id in chained]
    windows = split_windows(steps, inputs.fleet, inputs.now, running)
    # 3. What real-time load holds back (`envelope`). 4. Arrays.
    problem = build(
        inputs.believed,
        deferrable(classified, running),
        inputs.envelope,
        inputs.fleet,
        inputs.now,
        windows={id: (w.earliest_start, w.deadline) for id, w in windows.items() if w.deadline is not None},
        parted=_parted(steps),
        grid_events=inputs.grid_events,
        deadline_margin=timedelta(seconds=inputs.deadline_margin_s),
        pinned=_firm(inputs),
        tenant_of={s.workload.id: s.workload.tenant for s in inputs.submissions if s.workload.id in running},
    )
    return with_running(problem, inputs.announced)


def verify_plan(plan: Plan, inputs: CycleInputs) -> list[Violation]:
    """Every condition of the contract that the plan breaks for these inputs; empty when it may be published."""
    from shifter.schedule.verify import verify

    classified, running = inputs.classified, inputs.running
    pinned = [c for c in classified if c.workload.id in running]
    return verify(
        plan,
        (*deferrable(classified, running), *pinned),
        now=inputs.now,
        fleet=inputs.fleet,
        frame=inputs.believed,
        realtime=inputs.realtime,
        grid_events=inputs.grid_events,
        pinned=inputs.pinned,
        announced=inputs.announced,
        hold_gap=inputs.hold_gap,
    )


def deferrable(classified: Iterable[Classified], running: Container[str] = ()) -> tuple[Classified, ...]:
    """What is to be planned: deferrable work with something left to do, that is not `running` and pinned."""
    return tuple(
        c
        for c in classified
        if c.decided is WorkloadClass.DEFERRABLE and c.remaining > 0 and c.workload.id not in running
    )


def _parted(steps: Collection[Classified]) -> set[str]:
    """Steps of chains whose part may be moved: not those next to real-time ones, which this plan does not order."""
    at_once = {c.workload.id for c in steps if c.decided is WorkloadClass.REAL_TIME}
    beside = {id for c in steps if c.workload.id in at_once for id in c.workload.depends_on}
    after = {c.workload.id for c in steps if at_once.intersection(c.workload.depends_on)}
    return {c.workload.id for c in steps} - beside - after


def _firm(inputs: CycleInputs) -> dict[Allocation, bool]:
    """Pinned allocations, and whether each may not be preempted."""
    firm = {s.workload.id: not s.workload.preemptible for s in inputs.submissions}
    return {a: firm[a.workload_id] for a in inputs.pinned}


def _check(inputs: CycleInputs) -> None:
    grid = inputs.frame.grid
    if inputs.realtime.grid != grid:
        raise InputError(
            "the forecasts and the real-time load are on different grids.", hint="Build both on one grid."
        )
    if not grid.start <= inputs.now < grid.start + grid.slot:
        raise InputError(f"the grid starts at {grid.start}, and its first slot does not hold {inputs.now}.")
    ids = {s.workload.id for s in inputs.submissions}
    if len(inputs.running) < len(inputs.pinned):
        raise InputError("a workload is pinned twice.", field="pinned")
    for a in inputs.pinned:
        if a.workload_id not in ids or (a.site, a.pool) not in inputs.fleet.pools:
            raise InputError(f"{a.workload_id} is pinned, and it or its pool is not among the inputs.")
        if not a.start <= inputs.now < a.end:
            raise InputError(f"{a.workload_id} is pinned, and is not running at {inputs.now}.")
    if inputs.frame.currency != inputs.fleet.currency:
        raise InputError(
            f"forecasts are in {inputs.frame.currency}, the fleet in {inputs.fleet.currency}.",
            field="currency",
            hint="Convert the forecasts to the fleet's currency.",
        )
