"""Real-time or deferrable: the policy's rules applied to workloads, with the reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from shifter.classify import reasons
from shifter.classify.conditions import Condition
from shifter.classify.facts import Facts, facts_of
from shifter.classify.guards import Guard, tripped
from shifter.classify.overrides import InForce, check_override, in_force
from shifter.classify.policy import Policy, Rule
from shifter.domain.chains import (
    NO_TIME,
    NONE_RUNNING,
    Step,
    Window,
    in_chains,
    order_of,
    propagate_steps,
    release,
    step_of,
)
from shifter.domain.fleet import Fleet
from shifter.domain.options import least_run, shortest_run
from shifter.domain.workload import Classified, Override, Reason, Workload, WorkloadClass, work_left
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


class _Verdict(NamedTuple):
    """What was decided of a workload, by which override, and how to say why."""

    decided: WorkloadClass
    override: Override | None
    why: Callable[[], Reason]


class _Choice(NamedTuple):
    """How the policy decided: `passed` are the rules that did not, each with its first condition that failed.

    None in place of a condition: the rule matched, and an override has switched it off.
    """

    decided: WorkloadClass
    rule: Rule | None
    guard: Guard | None
    override: Override | None
    passed: tuple[tuple[Rule, tuple[str, Condition | bool] | None], ...]


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
    # Work that stands alone keeps its own window.
    windows = {
        key: Window(release(i.workload, i.submitted_at), i.workload.deadline) for key, i in by_id.items()
    }
    chained = in_chains({key: item.workload.depends_on for key, item in by_id.items()})
    steps = [step_of(by_id[key].workload, fleet, by_id[key].submitted_at) for key in chained]
    windows |= propagate_steps(steps)
    decisions = _decide_all(by_id, windows, runs, _Deciding(policy, in_force(overrides, now)))
    # What is left of a step moves the windows of its chain.
    left = [_with_progress(step, by_id[step.id], decisions[step.id].decided, fleet) for step in steps]
    left = [_with_end(step, running[step.id], now) if step.id in running else step for step in left]
    windows |= propagate_steps(left, now)
    return tuple(
        _classified(item, decisions[item.workload.id], windows[item.workload.id]) for item in submissions
    )


def _with_progress(step: Step, item: Submitted, decided: WorkloadClass, fleet: Fleet) -> Step:
    at_once = decided is WorkloadClass.REAL_TIME
    if not item.done or not item.workload.amount:
        return replace(step, at_once=at_once)
    remaining = work_left(item.workload.amount, item.done)
    left = least_run(item.workload, fleet, remaining) or NO_TIME if remaining > 0 else None
    return replace(step, left=left, at_once=at_once)


def _with_end(step: Step, end: datetime, now: datetime) -> Step:
    return replace(step, left=max(NO_TIME, end - now), ends_at=end)


def _decide_all(
    by_id: Mapping[str, Submitted],
    windows: Mapping[str, Window],
    runs: Mapping[str, timedelta | None],
    deciding: _Deciding,
) -> dict[str, _Verdict]:
    """Dependents first: whether a real-time step waits for a workload is evidence on it."""
    waiting: dict[str, list[str]] = {}
    for key, item in by_id.items():
        for other in item.workload.depends_on:
            waiting.setdefault(other, []).append(key)
    decisions: dict[str, _Verdict] = {}
    for key in reversed(order_of({key: item.workload.depends_on for key, item in by_id.items()})):
        dependents = tuple(sorted(waiting[key])) if key in waiting else ()
        urgent = tuple(d for d in dependents if decisions[d].decided is WorkloadClass.REAL_TIME)
        known = _Known(by_id[key].workload, windows[key], runs[key], bool(dependents), urgent)
        decisions[key] = deciding.decide(known)
    return decisions


class _Known(NamedTuple):
    """All that a decision looks at."""

    workload: Workload
    window: Window
    run: timedelta | None
    has_dependents: bool
    real_time_dependents: tuple[str, ...]

    def facts(self) -> Facts:
        return {
            **facts_of(self.workload, self.window, self.run, has_dependents=self.has_dependents),
            "real_time_dependents": self.real_time_dependents,
        }


_FIGURES = frozenset(
    {"window_hours", "shortest_run_hours", "slack_hours", "slack_ratio", "latency_slo_ms", "tokens"}
    | {"accelerator_hours", "max_accelerators"}
)
"""Facts that hardly two workloads share."""


class _Deciding:
    """The policy and the overrides in force, with what they decided for workloads that are alike to them.

    Most of many workloads differ only in figures that no rule or guard had to look at. What was decided for one of them
    holds for all; each one's reason, which names its own figures, is put into words when somebody asks.
    """

    def __init__(self, policy: Policy, overrides: InForce) -> None:
        self.policy, self.overrides = policy, overrides
        tested = {name for rule in policy.ordered for name in rule.when.tested}
        own = {f.name for f in fields(Workload)} - _FIGURES - {"deadline"}
        self._own_facts = attrgetter("tenant", "mode", *sorted(tested & own))
        self._comparable = not (overrides.workloads or overrides.rules or any("." in name for name in tested))
        self._decided: dict[object, WorkloadClass] = {}

    def decide(self, known: _Known) -> _Verdict:
        key = self._likeness(known)
        decided = self._decided.get(key)
        if decided is not None:
            return _Verdict(decided, None, partial(self._reason, known))
        facts = _Watched(known.facts())
        decided, override = _decide(known.workload, facts, self.policy, self.overrides)
        if (
            self._comparable
            and facts.looked_at.isdisjoint(_FIGURES)
            and known.workload.latency_slo_ms is None
        ):
            self._decided[key] = decided
        return _Verdict(decided, override, partial(self._reason, known))

    def _likeness(self, known: _Known) -> object:
        """Equal for workloads that differ in nothing but figures."""
        w, window = known.workload, known.window
        given = (w.latency_slo_ms is None, w.tokens is None, w.accelerator_hours is None, w.deadline is None)
        empty = w.deadline is not None and w.earliest_start is not None and w.deadline <= w.earliest_start
        chain = (known.has_dependents, bool(w.depends_on), bool(known.real_time_dependents), window.inherited)
        return self._own_facts(w), given, empty, chain, window.deadline is None, bool(known.run)

    def _reason(self, known: _Known) -> Reason:
        return _reason(known.workload, known.facts(), self.policy, self.overrides)


class _Watched(dict[str, Any]):
    """Facts that remember which values were looked at; that one is not known, or is, is no value."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.looked_at: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key, default)
        if found is not None:
            self.looked_at.add(key)
        return found


def _decide(
    workload: Workload, facts: Facts, policy: Policy, overrides: InForce
) -> tuple[WorkloadClass, Override | None]:
    """An operator's word on the workload, else the policy's. An operator yields to hard guards only."""
    asked = overrides.workloads.get(workload.id)
    if asked is None or asked.decided is None:
        choice = _choose(facts, policy, overrides)
        return choice.decided, choice.override
    if asked.decided is WorkloadClass.DEFERRABLE and tripped(facts, hard_only=True):
        return WorkloadClass.REAL_TIME, asked
    return asked.decided, asked


def _reason(workload: Workload, facts: Facts, policy: Policy, overrides: InForce) -> Reason:
    """The same in words."""
    by_policy = _in_words(_choose(facts, policy, overrides), facts, overrides)
    asked = overrides.workloads.get(workload.id)
    if asked is None or asked.decided is None:
        return by_policy
    guard = tripped(facts, hard_only=True) if asked.decided is WorkloadClass.DEFERRABLE else None
    if guard is not None:
        return reasons.refused(asked, guard, facts)
    return reasons.by_operator(asked, asked.decided, facts, by_policy)


def _choose(facts: Facts, policy: Policy, overrides: InForce) -> _Choice:
    """The first rule that matches and is not switched off decides, unless a guard overrules it.

    The override that is recorded is the one of the rule that decided, else of the first that would have.
    """
    passed: list[tuple[Rule, tuple[str, Condition | bool] | None]] = []
    switched_off: Override | None = None
    for rule in policy.ordered:
        asked = overrides.rules.get(rule.name)
        failing = rule.when.first_failing(facts)
        if failing is not None or (asked is not None and asked.decided is None):
            passed.append((rule, failing))
            if failing is None:
                switched_off = switched_off or asked
            continue
        decided = rule.then if asked is None or asked.decided is None else asked.decided
        guard = tripped(facts) if decided is WorkloadClass.DEFERRABLE else None
        if guard is not None:
            decided = WorkloadClass.REAL_TIME
        return _Choice(decided, rule, guard, asked or switched_off, tuple(passed))
    return _Choice(WorkloadClass.REAL_TIME, None, None, switched_off, tuple(passed))


def _in_words(choice: _Choice, facts: Facts, overrides: InForce) -> Reason:
    considered = {}
    for rule, failing in choice.passed:
        if failing is not None:
            considered[rule.name] = reasons.why_not(failing, facts)
        else:
            off = overrides.rules[rule.name]
            considered[rule.name] = f"switched off by {off.by}: {off.reason}"
    if choice.rule is None:
        return reasons.no_rule(considered)
    if choice.guard is not None:
        return reasons.overruled(choice.rule, choice.guard, facts, considered)
    asked = overrides.rules.get(choice.rule.name)
    return reasons.by_rule(choice.rule, choice.decided, facts, considered, asked)


def _classified(item: Submitted, decision: _Verdict, window: Window) -> Classified:
    deferrable = decision.decided is WorkloadClass.DEFERRABLE
    return Classified(
        workload=item.workload,
        decided=decision.decided,
        why=decision.why,
        earliest_start=window.earliest_start,
        deadline=window.deadline if deferrable else item.workload.deadline,
        override=decision.override,
        done=item.done,
    )
