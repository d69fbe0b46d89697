"""The classification policy: an ordered list of rules, of which the first that matches decides.

A policy is data. Whatever its rules say, the guards of `shifter.classify.guards` keep a workload real-time
where the evidence is missing or contradicts itself, and a workload that no rule matches is real-time.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from shifter.classify.conditions import (
    NumberCondition,
    PresenceCondition,
    TextCondition,
    When,
)
from shifter.domain.fields import STRICT
from shifter.domain.workload import WorkloadClass
from shifter.errors import InputError

RuleName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")]

LATENCY_SLO_MS = 3_600_000.0
"""[ms] A latency SLO up to this is real-time by default: an hour is the longest slot."""

TIGHT_RATIO = 1.5
"""Window over shortest run under which work that is costly to fail is not made to wait by default."""


@dataclass(frozen=True)
class Rule:
    """A workload that satisfies all of `when` is `then`; `note` says why, in the reason that is recorded."""

    __pydantic_config__ = STRICT

    name: RuleName
    when: When
    then: WorkloadClass
    note: Annotated[str | None, Field(max_length=300, description="why, for whoever reads the reason")] = None


def _default_rules() -> tuple[Rule, ...]:
    real_time, deferrable = WorkloadClass.REAL_TIME, WorkloadClass.DEFERRABLE
    given, missing = PresenceCondition(present=True), PresenceCondition(present=False)
    talking = ("*/completions", "*/responses", "*/messages", "*/realtime*", "*/audio/*")
    return (
        Rule(
            "latency-slo",
            When(latency_slo_ms=NumberCondition(at_most=LATENCY_SLO_MS)),
            real_time,
            "Someone waits for the answer.",
        ),
        Rule(
            "interactive-mode",
            When(mode=TextCondition(equals="interactive")),
            real_time,
            "Someone waits for the answer.",
        ),
        Rule(
            "interactive-endpoint",
            When(endpoint=TextCondition(matches=talking), mode=TextCondition(present=False)),
            real_time,
            "The endpoint serves conversations, and nothing says that this is a batch.",
        ),
        Rule(
            "real-time-tier",
            When(tier=TextCondition(one_of=("realtime", "real_time", "interactive", "priority"))),
            real_time,
            "The tenant's tier buys an answer at once.",
        ),
        Rule(
            "costly-and-tight",
            When(
                cost_of_failure=TextCondition(equals="high"),
                slack_ratio=NumberCondition(less_than=TIGHT_RATIO),
            ),
            real_time,
            "What waiting could save is not worth what being late would cost.",
        ),
        Rule("no-deadline", When(deadline=missing), real_time, "Nothing says how long it may wait."),
        Rule(
            "chain-step",
            When(deadline_from=TextCondition(equals="chain")),
            deferrable,
            "It inherits the slack of its chain.",
        ),
        Rule("deadline", When(deadline=given), deferrable, "It says by when it is needed, and can wait."),
    )


DEFAULT_RULES = _default_rules()


@dataclass(frozen=True)
class Policy:
    """`rules` in order; after them, where `defaults`, those of the default rules whose name is not taken.

    So a rule of one's own goes before the default ones, and one that bears the name of a default rule
    replaces it.
    """

    __pydantic_config__ = STRICT

    rules: tuple[Rule, ...] = ()
    defaults: Annotated[bool, Field(description="whether the default rules follow")] = True

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are named {twice[0]!r}; a name says which rule decided")

    @cached_property
    def ordered(self) -> tuple[Rule, ...]:
        """The rules in the order in which they are tried."""
        names = {rule.name for rule in self.rules}
        rest = tuple(rule for rule in DEFAULT_RULES if rule.name not in names)
        return self.rules + (rest if self.defaults else ())


def default_policy() -> Policy:
    """The policy where none is configured, with every rule spelt out, so that it can be stored and shown."""
    return Policy(DEFAULT_RULES, defaults=False)


@cache
def _adapter() -> TypeAdapter[Policy]:
    return TypeAdapter(Policy)


def parse_policy(raw: Any, where: str = "policy") -> Policy:
    """A policy from plain mappings.

    Raises InputError that names the JSON path of each mistake under `where`.
    """
    try:
        return _adapter().validate_python(raw)
    except ValidationError as error:
        mistakes = [_mistake(e["loc"], e["msg"], e["type"], where) for e in error.errors(include_url=False)]
        first, *rest = mistakes
        raise InputError(first.detail, hint=first.hint, field=first.field, also=tuple(rest)) from None


def _mistake(loc: tuple[int | str, ...], message: str, kind: str, where: str) -> InputError:
    path = where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    if kind == "unexpected_keyword_argument":
        known = _known_keys(loc)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
        return InputError(f"the key {loc[-1]} is not known.", field=path, hint=hint)
    if kind == "missing":
        return InputError(f"{loc[-1]} is missing.", field=path, hint="A rule needs a name, when and then.")
    detail = message.removeprefix("Value error, ").split(" or an instance of")[0].rstrip(".")
    detail = detail.replace("Input should be a dictionary", "this should be a mapping")
    hint = "See docs/concepts/classification.md for what a policy may say."
    return InputError(f"{detail[:1].lower()}{detail[1:]}.", field=path, hint=hint)


def _known_keys(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that are known beside the last of `loc`: of the policy, a rule, its `when`, or a condition."""
    kind: Any = (Policy, Policy, Rule, When)[min(len(loc) - 1, 3)]
    if len(loc) > 4:  # rules, its index, when, the field, the operator
        hint = get_type_hints(When)[str(loc[3])]
        kind = next(arg for arg in get_args(hint) if is_dataclass(arg))
    return tuple(f.name for f in fields(kind))


def to_plain(policy: Policy) -> Mapping[str, Any]:
    """The policy as plain mappings without what is not set; `parse_policy` reads it back."""
    plain: Mapping[str, Any] = _adapter().dump_python(
        policy, mode="json", exclude_none=True, exclude_defaults=False
    )
    return plain
