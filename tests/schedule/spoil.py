"""Plans that are wrong in one way only: pieces are changed, and every figure that follows from them is made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from forecasts.slots import Floats
from shifter.classify.rules import classify
from shifter.cycle import CycleInputs, Submission, deferrable, verify_plan
from shifter.domain.chains import split_windows
from shifter.domain.plan import OPTIMAL, Plan
from shifter.domain.rows import Allocation
from shifter.realtime.reserve import reserve
from shifter.schedule.assemble import assemble
from shifter.schedule.baseline import run_now
from shifter.schedule.beside import sources_at_once
from shifter.schedule.bound import proof_prices
from shifter.schedule.build import build
from shifter.schedule.made import Schedule
from shifter.schedule.pack import Piece
from shifter.schedule.place import done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.settle import BatteryTrace, Sources, idle_batteries

MICROSECOND = timedelta(microseconds=1)


def codes(plan: Plan, inputs: CycleInputs) -> set[str]:
    """What the verifier finds, `plan_id` following from the rest."""
    return {violation.code for violation in verify_plan(sealed(plan), inputs)}


def sealed(plan: Plan) -> Plan:
    """The plan with the `plan_id` that follows from the rest."""
    return replace(plan, plan_id=plan.content_id())


def _way(problem: ScheduleProblem, a: Allocation, pool: int) -> int:
    ways = enumerate(problem.ways[a.workload_id])
    asked = (pool, a.model, a.cap_kw)
    return next(i for i, way in ways if (way.pool, way.model, way.cap_kw) == asked)


def made_of(
    inputs: CycleInputs,
    allocations: Iterable[Allocation],
    batteries: Mapping[str, ArrayLike] = {},
    generated: Mapping[str, ArrayLike] = {},
    off: Mapping[str, ArrayLike] = {},
) -> Plan:
    """What would be published of these allocations, and of these batteries (by site: charge and discharge [kW]).

    By site, too: what its plant generates [kW]; where it is not given, what the site draws or may export. By pool's
    name: how many accelerators are `off`. What is pinned is in it. Every figure follows from them; the prices of
    limits are zero, which proves little and is always valid.
    """
    problem = _problem(inputs)
    pools = {pool.key: i for i, pool in enumerate(problem.pools)}
    grid = inputs.frame.grid
    pieces = tuple(
        Piece(
            a.workload_id,
            pools[a.site, a.pool],
            _way(problem, a, pools[a.site, a.pool]),
            (a.start - grid.start) // MICROSECOND,
            (a.end - grid.start) // MICROSECOND,
            a.accelerators,
        )
        for a in allocations
    )
    traces = idle_batteries(problem)
    for i, site in enumerate(problem.sites):
        if site.name in batteries:
            traces[i] = _trace(problem, i, np.array(batteries[site.name], dtype=float))
    sources = sources_at_once(problem, pieces) or Sources.none(problem)
    for i, site in enumerate(problem.sites):
        if site.name in generated:
            sources.generated_kw[i] = generated[site.name]
    for p, pool in enumerate(problem.pools):
        if pool.key[1] in off:
            sources.off[p] = off[pool.key[1]]
            sources.saved_kw[pool.site] += pool.saved_kw * sources.off[p]
    made = Schedule(pieces, traces, proof_prices(problem), OPTIMAL, sources=sources)
    return assemble(
        problem,
        made,
        run_now(problem, done_hours(problem, pieces)),
        now=inputs.now,
        fleet=inputs.fleet,
        frame=inputs.frame,
        envelope=reserve(inputs.realtime, inputs.fleet),
    )


def _problem(inputs: CycleInputs) -> ScheduleProblem:
    classified = classify(inputs.submissions, inputs.policy, inputs.fleet, inputs.now, running=inputs.running)
    windows = split_windows(classified, inputs.fleet, inputs.now, inputs.running)
    firm = {s.workload.id: not s.workload.preemptible for s in inputs.submissions}
    return build(
        inputs.frame,
        deferrable(classified, inputs.running),
        reserve(inputs.realtime, inputs.fleet),
        inputs.fleet,
        inputs.now,
        windows={id: (w.earliest_start, w.deadline) for id, w in windows.items() if w.deadline is not None},
        grid_events=inputs.grid_events,
        pinned={a: firm[a.workload_id] for a in inputs.pinned},
        tenant_of={
            s.workload.id: s.workload.tenant for s in inputs.submissions if s.workload.id in inputs.running
        },
    )


def _trace(problem: ScheduleProblem, site: int, kw: Floats) -> BatteryTrace:
    battery = problem.sites[site].battery
    assert battery is not None
    charge, discharge = kw
    gain = battery.charge_efficiency * charge - discharge / battery.discharge_efficiency
    stored = battery.initial_kwh + np.append(0.0, np.cumsum(problem.grid.slot_hours * gain)[:-1])
    return BatteryTrace(charge, discharge, stored)


def asked(inputs: CycleInputs, id: str, **over: Any) -> CycleInputs:
    """The same inputs, in which one workload asks for something else."""

    def changed(submission: Submission) -> Submission:
        if submission.workload.id != id:
            return submission
        return replace(submission, workload=replace(submission.workload, **over))

    return replace(inputs, submissions=tuple(changed(s) for s in inputs.submissions))


def priced(plan: Plan, **over: Any) -> Plan:
    """The plan with other figures, and the gap that follows from them, where no price is negative."""
    changed = replace(plan, **over)
    cost = replace(changed.cost, fairness=0.0)
    turnover = sum(abs(getattr(cost, f.name)) for f in fields(cost) if f.name != "further")
    base = max(abs(changed.lower_bound - changed.cost.fairness), 1e-3 * turnover, 1e-9)
    return replace(changed, relative_gap=(changed.minimised - changed.lower_bound) / base)


def row(rows: Sequence[Any], i: int, **over: Any) -> tuple[Any, ...]:
    """The rows with one changed."""
    return (*rows[:i], replace(rows[i], **over), *rows[i + 1 :])


Spoiled = tuple[Plan, CycleInputs]
"""A plan, and the inputs that it is held against."""
