"""Real-time or deferrable: the policy's rules applied to workloads, with the reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from shifter.classify import reasons
from shifter.classify.facts import Facts, facts_of
from shifter.classify.guards import tripped
from shifter.classify.overrides import InForce, check_override, in_force
from shifter.classify.policy import Policy
from shifter.domain.chains import NO_TIME, NONE_RUNNING, Step, Window, order_of, propagate_steps, release
from shifter.domain.fleet import Fleet
from shifter.domain.workload import Classified, Override, Reason, Workload, WorkloadClass, shortest_run
from shifter.errors import InputError

__all__ = ["Submitted", "check_override", "classify"]


class Submitted(Protocol):
    """A workload as it was accepted (`shifter.cycle.Submission`)."""

    @property
    def workload(self) -> Workload:
        """What was submitted."""
        ...

    @property
    def submitted_at(self) -> datetime:
        """When; slack is measured from here, so that a class does not drift as time passes."""
        ...

    @property
    def done(self) -> float:
        """Work done so far, in the workload's unit."""
        ...


@dataclass(frozen=True)
class _Decision:
    decided: WorkloadClass
    reason: Reason
    override: Override | None = None


def classify(
    submissions: Sequence[Submitted],
    policy: Policy,
    fleet: Fleet,
    now: datetime,
    overrides: Iterable[Override] = (),
    running: Mapping[str, datetime] = NONE_RUNNING,
) -> tuple[Classified, ...]:
    """The class of every workload, with its reason and its window, in the order given.

    The class depends on what was submitted, the policy, and the overrides that were made up to `now`; never
    on progress or on the passing of time. The windows are those after the chain (`shifter.domain.chains`);
    only where a chain no longer fits do they depend on `now` and on what is left to do. What waits for a
    workload that is `running` and stays where it is (id -> its end) may start at that end. A `depends_on` that
    is not among `submissions` counts as done. A real-time workload keeps the deadline that it came with, if
    any. Raises InputError for two workloads of one id, and for a cycle.
    """
    by_id = {item.workload.id: item for item in submissions}
    if len(by_id) < len(submissions):
        twice = Counter(item.workload.id for item in submissions).most_common(1)[0][0]
        hint = "Give each workload an id of its own."
        raise InputError(f"the workload {twice} is given twice.", field=twice, hint=hint)
    runs = {item.workload.id: shortest_run(item.workload, fleet) for item in submissions}
    steps = [_step(item, runs[item.workload.id]) for item in submissions]
    decisions = _decide_all(by_id, propagate_steps(steps), runs, policy, in_force(overrides, now))
    left = [_with_progress(step, by_id[step.id], decisions[step.id].decided, fleet) for step in steps]
    left = [_with_end(step, running[step.id], now) if step.id in running else step for step in left]
    windows = propagate_steps(left, now)
    return tuple(
        _classified(item, decisions[item.workload.id], windows[item.workload.id]) for item in submissions
    )


def _step(item: Submitted, run: timedelta | None) -> Step:
    workload = item.workload
    start = release(workload, item.submitted_at)
    return Step(workload.id, start, workload.deadline, run or NO_TIME, run or NO_TIME, workload.depends_on)


def _with_progress(step: Step, item: Submitted, decided: WorkloadClass, fleet: Fleet) -> Step:
    at_once = decided is WorkloadClass.REAL_TIME
    if not item.done or not item.workload.amount:
        return replace(step, at_once=at_once)
    remaining = item.workload.amount - item.done
    left = shortest_run(item.workload, fleet, remaining) or NO_TIME if remaining > 0 else None
    return replace(step, left=left, at_once=at_once)


def _with_end(step: Step, end: datetime, now: datetime) -> Step:
    return replace(step, left=max(NO_TIME, end - now), ends_at=end)


def _decide_all(
    by_id: Mapping[str, Submitted],
    windows: Mapping[str, Window],
    runs: Mapping[str, timedelta | None],
    policy: Policy,
    overrides: InForce,
) -> dict[str, _Decision]:
    """Dependents first: whether a real-time step waits for a workload is evidence on it."""
    waiting: dict[str, list[str]] = {}
    for key, item in by_id.items():
        for other in item.workload.depends_on:
            waiting.setdefault(other, []).append(key)
    decisions: dict[str, _Decision] = {}
    for key in reversed(order_of({key: item.workload.depends_on for key, item in by_id.items()})):
        workload, dependents = by_id[key].workload, sorted(waiting.get(key, ()))
        facts = {
            **facts_of(workload, windows[key], runs[key], has_dependents=bool(dependents)),
            "real_time_dependents": tuple(
                other for other in dependents if decisions[other].decided is WorkloadClass.REAL_TIME
            ),
        }
        decisions[key] = _decide(workload, facts, policy, overrides)
    return decisions


def _decide(workload: Workload, facts: Facts, policy: Policy, overrides: InForce) -> _Decision:
    """An operator's word on the workload, else the policy's. An operator yields to hard guards only."""
    by_policy = _by_policy(facts, policy, overrides)
    asked = overrides.workloads.get(workload.id)
    if asked is None or asked.decided is None:
        return by_policy
    guard = tripped(facts, hard_only=True) if asked.decided is WorkloadClass.DEFERRABLE else None
    if guard is not None:
        return _Decision(WorkloadClass.REAL_TIME, reasons.refused(asked, guard, facts), asked)
    return _Decision(asked.decided, reasons.by_operator(asked, asked.decided, facts, by_policy.reason), asked)


def _by_policy(facts: Facts, policy: Policy, overrides: InForce) -> _Decision:
    """The first rule that matches and is not switched off decides, unless a guard overrules it.

    The override that is recorded is the one of the rule that decided, else of the first that would have.
    """
    considered: dict[str, str] = {}
    switched_off: Override | None = None
    for rule in policy.ordered:
        asked = overrides.rules.get(rule.name)
        failing = rule.when.first_failing(facts)
        if failing is not None:
            considered[rule.name] = reasons.why_not(failing, facts)
            continue
        if asked is not None and asked.decided is None:
            considered[rule.name] = f"switched off by {asked.by}: {asked.reason}"
            switched_off = switched_off or asked
            continue
        decided = rule.then if asked is None or asked.decided is None else asked.decided
        recorded = asked or switched_off
        guard = tripped(facts) if decided is WorkloadClass.DEFERRABLE else None
        if guard is not None:
            reason = reasons.overruled(rule, guard, facts, considered)
            return _Decision(WorkloadClass.REAL_TIME, reason, recorded)
        return _Decision(decided, reasons.by_rule(rule, decided, facts, considered, asked), recorded)
    return _Decision(WorkloadClass.REAL_TIME, reasons.no_rule(considered), switched_off)


def _classified(item: Submitted, decision: _Decision, window: Window) -> Classified:
    deferrable = decision.decided is WorkloadClass.DEFERRABLE
    return Classified(
        workload=item.workload,
        decided=decision.decided,
        reason=decision.reason,
        earliest_start=window.earliest_start,
        deadline=window.deadline if deferrable else item.workload.deadline,
        override=decision.override,
        done=item.done,
    )
