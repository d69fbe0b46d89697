"""What operators decided over the policy: which override is in force, and which could have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shifter.classify.policy import Policy
from shifter.domain.workload import Override
from shifter.errors import InputError


@dataclass(frozen=True)
class InForce:
    """The newest override of each workload (by id) and of each rule (by name)."""

    workloads: Mapping[str, Override] = field(default_factory=dict)
    rules: Mapping[str, Override] = field(default_factory=dict)


def in_force(overrides: Iterable[Override], now: datetime) -> InForce:
    """The newest override for each workload and rule that was made by `now`; of two at once, the later given.

    `decided` None takes an earlier override of a workload back; of a rule, it switches the rule off.
    """
    workloads: dict[str, Override] = {}
    rules: dict[str, Override] = {}
    for override in sorted((o for o in overrides if o.at <= now), key=lambda o: o.at):
        if override.workload_id is not None:
            workloads[override.workload_id] = override
        elif override.rule is not None:
            rules[override.rule] = override
    return InForce(workloads, rules)


def check_override(override: Override, policy: Policy) -> None:
    """Raises InputError for an override that could have no effect; for whoever takes overrides in."""
    if (override.workload_id is None) is (override.rule is None):
        raise InputError(
            "an override is for one workload or for one rule.",
            field="workload_id",
            hint="Give either workload_id or rule.",
        )
    names = [rule.name for rule in policy.ordered]
    if override.rule is not None and override.rule not in names:
        guards = "A guard cannot be switched off. " if override.rule.startswith("guard.") else ""
        raise InputError(
            f"the policy has no rule {override.rule}.",
            field="rule",
            hint=f"{guards}Its rules are: {', '.join(names)}.",
        )
