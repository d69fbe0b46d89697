"""Reasons in words: one sentence for a person, and the values that were looked at for a program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shifter.classify.conditions import Condition
from shifter.classify.facts import Facts, evidence, plain
from shifter.classify.guards import Guard
from shifter.classify.policy import Rule
from shifter.domain.moments import in_words
from shifter.domain.workload import Override, Reason, WorkloadClass

NO_RULE = "no-rule"
"""The rule that is recorded where none of the policy's matched."""

OVERRIDE = "override"
"""The rule that is recorded where an operator decided for the workload itself."""

Considered = Mapping[str, str]
"""Earlier rules by name, with why each did not decide."""


def no_rule(considered: Considered) -> Reason:
    """No rule matched."""
    text = "Real-time because no rule of the policy matches it, and what is not known to wait does not."
    return Reason(NO_RULE, text, {"considered": considered})


def by_rule(
    rule: Rule, decided: WorkloadClass, facts: Facts, considered: Considered, flipped: Override | None
) -> Reason:
    """The first rule that matched decided; `flipped` is the operator's override of what it decides."""
    clauses = " and ".join(_holds(name, condition, facts) for name, condition in rule.when.clauses)
    text = f"{_title(decided)} because {clauses or 'the rule holds for every workload'}."
    if flipped is not None:
        text = f"{text} {flipped.by} made the rule decide so: {_sentence(flipped.reason)}"
    elif rule.note:
        text = f"{text} {_sentence(rule.note)}"
    slack = _slack(facts)
    if decided is WorkloadClass.DEFERRABLE and "slack_hours" in slack:
        text = f"{text} {_slack_words(slack['slack_hours'])}"
    found = {**evidence(facts, tuple(rule.when.tested)), **slack}
    return Reason(rule.name, text, {**found, "considered": considered})


def overruled(rule: Rule, guard: Guard, facts: Facts, considered: Considered) -> Reason:
    """A rule said deferrable and a guard overruled it."""
    text = f"Real-time, though the rule {rule.name} says deferrable, because {guard.text}."
    names = tuple(dict.fromkeys([*guard.looks_at, *rule.when.tested]))
    return Reason(
        guard.name, text, {**evidence(facts, names), "overruled": rule.name, "considered": considered}
    )


def refused(asked: Override, guard: Guard, facts: Facts) -> Reason:
    """An operator asked for deferrable, and a hard guard does not allow it."""
    text = f"Real-time, though {asked.by} asked for deferrable, because {guard.text}."
    found = {**evidence(facts, guard.looks_at), "overruled": OVERRIDE, "by": asked.by, "at": plain(asked.at)}
    return Reason(guard.name, text, found)


def by_operator(asked: Override, decided: WorkloadClass, facts: Facts, otherwise: Reason) -> Reason:
    """An operator decided for the workload; `otherwise` is the policy's reason, whichever class it led to."""
    text = f"{_title(decided)} because {asked.by} decided so: {_sentence(asked.reason)}"
    found = {
        "by": asked.by,
        "at": plain(asked.at),
        "policy_rule": otherwise.rule,
        "policy_reason": otherwise.text,
    }
    return Reason(OVERRIDE, text, {**found, **_slack(facts)})


def why_not(failing: tuple[str, Condition | bool], facts: Facts) -> str:
    """Why a rule did not match, by its first condition that does not hold."""
    name, condition = failing
    value = facts.get(name)
    if value is None:
        return f"{name} is not given"
    if str(condition) == "not given":
        return f"{name} is given"
    wanted = str(condition).lower() if isinstance(condition, bool) else str(condition)
    return f"{name} is {_show(value)}, not {wanted.removeprefix('equals ')}"


def _holds(name: str, condition: Condition | bool, facts: Facts) -> str:
    value = facts.get(name)
    if value is None:
        return f"{name} is not given"
    if isinstance(condition, bool) or str(condition) == "given" or str(condition).startswith("equals"):
        return f"{name} is {_show(value)}"
    return f"{name} is {_show(value)} ({condition})"


def _show(value: Any) -> str:
    if isinstance(value, datetime):
        return in_words(value)
    value = plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _title(decided: WorkloadClass) -> str:
    return "Deferrable" if decided is WorkloadClass.DEFERRABLE else "Real-time"


def _sentence(text: str) -> str:
    return f"{text.strip().rstrip('.')}."


def _slack(facts: Facts) -> dict[str, Any]:
    names = ("deadline", "window_hours", "shortest_run_hours", "slack_hours")
    return evidence(facts, tuple(name for name in names if facts.get(name) is not None))


def _slack_words(slack_hours: float) -> str:
    if slack_hours < 0:
        return f"Its window is {-slack_hours:.1f} h shorter than its shortest run."
    return f"It can wait {slack_hours:.1f} h."
