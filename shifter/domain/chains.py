"""Chains of workloads: what `depends_on` says about when each step may and must run.

`propagate` hands deadlines back and starts forward through the graph, so that each step has the slack of
its chain. `split_windows` then shares that slack out into windows that do not overlap: whatever is planned
in them keeps the order, without a constraint between workloads. Both look at nothing but their arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

from shifter.domain.fleet import Fleet
from shifter.domain.options import least_run
from shifter.domain.workload import Classified, Workload, WorkloadClass
from shifter.errors import InputError

NO_TIME = timedelta(0)
NONE_RUNNING: Mapping[str, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Window:
    """When a workload may run: `[earliest_start, deadline)`. `inherited`: the deadline is not its own."""

    earliest_start: datetime
    deadline: datetime | None
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One workload as its chain sees it.

    `run` is a time in which no plan does all of it, `left` the same for what is left of it; None means that
    it is done and nothing waits for it any more. `at_once`: it runs as it arrives, so it is not late
    because time passed. `possible`: there is a pool that may run it.
    """

    id: str
    earliest_start: datetime
    deadline: datetime | None
    run: timedelta
    left: timedelta | None
    depends_on: tuple[str, ...] = ()
    at_once: bool = False
    possible: bool = True
    ends_at: datetime | None = None
    """It is running and stays where it is until then, and what waits for it starts then."""


def in_chains(depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """The ids that wait for another one of them, or that another one waits for, in the order given."""
    waited_for = {other for others in depends_on.values() for other in others}
    return [id for id, others in depends_on.items() if others or id in waited_for]


def check_chains(workloads: Iterable[Workload], known_ids: Collection[str] = ()) -> None:
    """Raises InputError for a `depends_on` that names nothing in `workloads` or `known_ids`, and for a cycle.

    For whoever takes workloads in: `propagate` has no way to tell a finished workload from a misspelt one.
    """
    given = list(workloads)
    ids = {workload.id for workload in given} | set(known_ids)
    for workload in given:
        for i, other in enumerate(workload.depends_on):
            if other not in ids:
                raise InputError(
                    f"{workload.id} depends on {other}, which is not a workload here.",
                    field=f"{workload.id}.depends_on[{i}]",
                    hint="Submit it first, or together with this one, or take it out of depends_on.",
                )
    order_of({workload.id: workload.depends_on for workload in given})


def order_of(depends_on: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The ids with each after all that it depends on; ids that are not keys are left out.

    Raises InputError that names the workloads of a cycle.
    """
    waiting = {key: [d for d in others if d in depends_on] for key, others in depends_on.items() if others}
    if not waiting:
        return tuple(depends_on)
    sorter = TopologicalSorter(waiting)
    try:
        ordered = tuple(sorter.static_order())
        return tuple(dict.fromkeys([*(key for key in depends_on if key not in waiting), *ordered]))
    except CycleError as error:
        loop: list[str] = error.args[1][:-1]
        first = loop.index(min(loop))
        # graphlib lists what is waited for before what waits: turned round it reads "depends on"
        path = [*loop[first::-1], *loop[:first:-1], loop[first]]
        raise InputError(
            f"these workloads wait for one another: {' -> '.join(path)}.",
            field=f"{loop[first]}.depends_on",
            hint="Take one of them out of depends_on.",
            cycle=path,
        ) from None


def propagate(
    workloads: Sequence[Workload],
    fleet: Fleet,
    *,
    released: Mapping[str, datetime] | None = None,
    done_ids: Collection[str] | None = None,
    now: datetime | None = None,
) -> dict[str, Window]:
    """The window of every workload after its chain is taken into account, by id.

    `released` [id -> moment] stands in for an `earliest_start` that is not given, and no workload starts
    before it. Ids in `done_ids` are done. An id in `depends_on` that is not among `workloads` counts as
    done where `done_ids` is None (the usual case: `workloads` is what is left to do), and must otherwise be
    in it. Raises InputError for a cycle, for such an id, and for a workload of which no start is known.
    """
    if done_ids is not None:
        check_chains(workloads, done_ids)
    steps = []
    for workload in workloads:
        step = step_of(workload, fleet, (released or {}).get(workload.id))
        steps.append(replace(step, left=None) if workload.id in (done_ids or ()) else step)
    return propagate_steps(steps, now)


def step_of(workload: Workload, fleet: Fleet, submitted_at: datetime | None) -> Step:
    """A workload of which nothing is done yet. Raises InputError where no start is known."""
    start, run = release(workload, submitted_at), least_run(workload, fleet)
    time, waits_for = run or NO_TIME, workload.depends_on
    return Step(workload.id, start, workload.deadline, time, time, waits_for, possible=run is not None)


def release(workload: Workload, submitted_at: datetime | None) -> datetime:
    """The earliest moment at which it may start: when it says, and not before it was submitted."""
    given = [moment for moment in (workload.earliest_start, submitted_at) if moment is not None]
    if not given:
        raise InputError(
            f"nothing says when {workload.id} may start.",
            field=f"{workload.id}.earliest_start",
            hint="Give earliest_start, or the moment at which it was submitted.",
        )
    return max(given)


def propagate_steps(steps: Sequence[Step], now: datetime | None = None) -> dict[str, Window]:
    """`propagate` for steps whose run times are known.

    Forward, for i before j:  E_j = max(E_j, min(E_i + run_i, max(now, E_i) + left_i))
    Backward:                 L_i = min(D_i, L_j - left_j over all j that wait for i)

    So E_j does not move as time passes, but for what waits for a step that is ahead of that.

    But L_i is never moved below the time at which i can be done if all before it run at once from `now` on
    (nor above D_i): where a chain does not fit, its first steps keep the time that they need and the last
    ones come short, because what waits for an unfinished step could not run at all. A step without a
    deadline of its own takes the one that those after it leave it, or has none. One that no pool may run
    leaves its own to those alone: it asks for nothing of steps that have a deadline.
    """
    chained = {step.id: step for step in steps if step.depends_on}
    if not chained:
        return {step.id: Window(step.earliest_start, step.deadline) for step in steps}
    by_id = {step.id: step for step in steps}
    order = order_of({step.id: step.depends_on for step in steps})
    earliest: dict[str, datetime] = {}
    ready: dict[str, datetime] = {}
    for key in order:
        step = by_id[key]
        before = [by_id[d] for d in step.depends_on if d in by_id and by_id[d].left is not None]
        earliest[key] = max([step.earliest_start, *(_done_from(b, earliest[b.id], now) for b in before)])
        floor = earliest[key] if now is None or step.at_once else max(earliest[key], now)
        ready[key] = max([floor, *(b.ends_at or ready[b.id] + (b.left or NO_TIME) for b in before)])
    return _backward(order, by_id, earliest, ready)


def _done_from(step: Step, earliest: datetime, now: datetime | None) -> datetime:
    """Before this, no plan has done all of a step that could start at `earliest`."""
    if step.ends_at is not None:
        return step.ends_at
    whole, rest = earliest + step.run, max(earliest, now or earliest) + (step.left or NO_TIME)
    return whole if now is None else min(whole, rest)


def _backward(
    order: Sequence[str],
    by_id: Mapping[str, Step],
    earliest: Mapping[str, datetime],
    ready: Mapping[str, datetime],
) -> dict[str, Window]:
    handed: dict[str, datetime] = {}  # the latest finish that those after a step leave it
    end: dict[str, datetime] = {}  # and when the last of them must be done
    windows: dict[str, Window] = {}
    for key in reversed(order):
        step = by_id[key]
        left = step.left or NO_TIME
        own, asked = step.deadline, handed.get(key)
        latest = own
        if asked is not None:
            hard = own if own is not None else end[key]
            latest = max(min(hard, asked), min(hard, ready[key] + left))
        windows[key] = Window(earliest[key], latest, inherited=own is None and latest is not None)
        if latest is None or step.left is None:
            continue
        last = min(own, end.get(key, own)) if own is not None else end[key]
        for other in step.depends_on:
            if other not in by_id or (not step.possible and by_id[other].deadline is not None):
                continue
            handed[other] = min(handed.get(other, latest - left), latest - left)
            end[other] = min(end.get(other, last), last)
    return {key: windows[key] for key in by_id}


def split_windows(
    items: Sequence[Classified], fleet: Fleet, now: datetime, running: Mapping[str, datetime] = NONE_RUNNING
) -> dict[str, Window]:
    """Disjoint windows for what is left of each deferrable workload, by id: inside its own, and after `now`.

    In topological order, with start_i the later of E_i, now and the ends of the windows it waits for, L_i its
    (propagated) deadline, own_i its shortest run and tail_i the longest sum of shortest runs after it:

        end_i = min(L_i, start_i + (L_i + tail_i - start_i) * own_i / (own_i + tail_i))

    so a chain's slack goes to its steps as their work does, and every chain that fits still fits. Where L_i
    leaves less than own_i, the window ends at L_i (and never before it starts), and the plan shows the
    shortfall. A real-time step has no window: it is taken to run at once when what it waits for is done.
    Nor has one that is `running` (id -> its end) and stays where it is: what waits for it starts then.
    """
    by_id = {
        item.workload.id: item
        for item in items
        if item.remaining > 0 or not item.workload.amount or item.workload.id in running
    }
    order = order_of({key: item.workload.depends_on for key, item in by_id.items()})
    chained = {x for key, i in by_id.items() if i.workload.depends_on for x in (key, *i.workload.depends_on)}
    own = dict.fromkeys(by_id, NO_TIME)  # only chains need it
    for key in chained & by_id.keys():
        own[key] = least_run(by_id[key].workload, fleet, by_id[key].remaining) or NO_TIME
    tail = dict.fromkeys(order, NO_TIME)
    for key in reversed(order):
        for other in by_id[key].workload.depends_on:
            if other in tail:
                tail[other] = max(tail[other], own[key] + tail[key])

    windows: dict[str, Window] = {}
    ends: dict[str, datetime] = {}
    for key in order:
        item = by_id[key]
        if key in running:
            ends[key] = running[key]
            continue
        start = max([item.earliest_start, *(ends[d] for d in item.workload.depends_on if d in ends)])
        if item.decided is WorkloadClass.REAL_TIME or item.deadline is None:
            ends[key] = start + own[key]
            continue
        start = max(start, now)
        ends[key] = max(start, _share(start, item.deadline, own[key], tail[key]))
        windows[key] = Window(start, ends[key], inherited=item.workload.deadline is None)
    return windows


def _share(start: datetime, latest: datetime, own: timedelta, tail: timedelta) -> datetime:
    """The end of a step's part of `[start, latest + tail)`; microseconds are rounded away from harm."""
    if not tail or latest - start <= own:
        return latest
    return min(latest, max(start + own, start + (latest + tail - start) * (own / (own + tail))))
