"""What a rule may ask of a workload: declarative conditions, validated by pydantic at the edges.

A value that is missing satisfies no condition but `present: false`: a rule never decides by what it does
not know.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, Field

from shifter.domain.fields import STRICT


class Condition(Protocol):
    """One condition on one field."""

    def holds(self, value: Any) -> bool:
        """Whether `value` (None where it is not given) satisfies it."""
        ...

    def __str__(self) -> str:
        """In words, as in `at most 60000`."""
        ...


def _lone(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[
    tuple[str, ...], BeforeValidator(_lone, json_schema_input_type=str | tuple[str, ...]), Field(min_length=1)
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True)
class _Operators:
    """The operators that are given must all hold."""

    __pydantic_config__ = STRICT

    present: Annotated[Flag | None, Field(description="whether the field is given at all")] = None

    def __post_init__(self) -> None:
        given = self.given
        if not given:
            names = ", ".join(f.name for f in fields(self))
            raise ValueError(f"a condition needs at least one of: {names}")
        if self.present is False and len(given) > 1:
            raise ValueError("`present: false` stands alone: what is not given cannot be compared")

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """Operators that are set, with their operands."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: operand for name, operand in values if operand is not None}

    def holds(self, value: Any) -> bool:
        """Whether all its operators hold for `value`."""
        if value is None:
            return self.present is False
        return self.present is not False and all(
            self._test(name, operand, value) for name, operand in self.given.items() if name != "present"
        )

    def _test(self, name: str, operand: Any, value: Any) -> bool:
        raise NotImplementedError

    def __str__(self) -> str:
        if self.present is not None and len(self.given) == 1:
            return "given" if self.present else "not given"
        words = (f"{name.replace('_', ' ')} {_words(operand)}" for name, operand in self.given.items())
        return " and ".join(word for word in words if not word.startswith("present "))


def _words(operand: Any) -> str:
    if isinstance(operand, tuple):
        return ", ".join(operand)
    return f"{operand:.12g}" if isinstance(operand, float) else str(operand)


@dataclass(frozen=True)
class PresenceCondition(_Operators):
    """Whether a field is given. A bare true or false stands for `present`."""


@dataclass(frozen=True)
class TextCondition(_Operators):
    """Conditions on a name. A bare text stands for `equals`, a list for `one_of`."""

    equals: str | None = None
    one_of: Texts | None = None
    none_of: Texts | None = None
    matches: Annotated[Texts | None, Field(description="glob, or a list of which one must match")] = None

    def _test(self, name: str, operand: Any, value: Any) -> bool:
        if name == "equals":
            return bool(value == operand)
        if name == "matches":
            return any(fnmatchcase(value, pattern) for pattern in operand)
        return (value in operand) is (name == "one_of")


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "equals": operator.eq,
    "at_least": operator.ge,
    "at_most": operator.le,
    "more_than": operator.gt,
    "less_than": operator.lt,
}


@dataclass(frozen=True)
class NumberCondition(_Operators):
    """Conditions on a number. A bare number stands for `equals`."""

    equals: Finite | None = None
    at_least: Finite | None = None
    at_most: Finite | None = None
    more_than: Finite | None = None
    less_than: Finite | None = None

    def _test(self, name: str, operand: Any, value: Any) -> bool:
        return _COMPARE[name](value, operand)


@dataclass(frozen=True)
class NamesCondition(_Operators):
    """Conditions on a list of names. A bare text or list stands for `includes`."""

    includes: Annotated[Texts | None, Field(description="at least one of these is in the list")] = None
    within: Annotated[Texts | None, Field(description="nothing but these is in the list")] = None

    def _test(self, name: str, operand: Any, value: Any) -> bool:
        return bool(set(value) & set(operand)) if name == "includes" else set(value) <= set(operand)


def _short(text: str, many: str, accepts: Any) -> BeforeValidator:
    """Let a bare value stand for the operator `text`, a list for `many`; `accepts` is for the JSON Schema."""

    def expand(value: Any) -> Any:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return {text: value}
        return {many: value} if isinstance(value, list | tuple) else value

    return BeforeValidator(expand, json_schema_input_type=accepts)


def _known(*values: str) -> AfterValidator:
    """A text the condition names must be one that the field can have, else the rule could never match."""

    def check(condition: TextCondition | None) -> TextCondition | None:
        given = condition.given if condition else {}
        named = [v for key in ("equals", "one_of", "none_of") for v in _lone(given.get(key, ()))]
        if unknown := sorted(set(named) - set(values)):
            known = ", ".join(values)
            raise ValueError(f"{unknown[0]!r} is never a value of this field; it is one of: {known}")
        return condition

    return AfterValidator(check)


def _bare_presence(value: Any) -> Any:
    return {"present": value} if isinstance(value, bool) else value


Presence = Annotated[
    PresenceCondition, BeforeValidator(_bare_presence, json_schema_input_type=bool | PresenceCondition)
]
Text = Annotated[TextCondition, _short("equals", "one_of", str | tuple[str, ...] | TextCondition)]
Number = Annotated[NumberCondition, _short("equals", "equals", float | NumberCondition)]
Names = Annotated[NamesCondition, _short("includes", "includes", str | tuple[str, ...] | NamesCondition)]


@dataclass(frozen=True)
class When:
    """Conditions by field, which must all hold. Empty matches every workload.

    `slack_*`, `window_hours` and `deadline` are those after the chain's deadlines were handed down to its
    steps, counted from when the workload was submitted.
    """

    __pydantic_config__ = STRICT

    tenant: Text | None = None
    tier: Text | None = None
    model: Text | None = None
    endpoint: Text | None = None
    mode: Annotated[Text | None, _known("interactive", "batch")] = None
    cost_of_failure: Annotated[Text | None, _known("low", "medium", "high")] = None
    labels: Mapping[str, Text] = field(default_factory=dict)
    latency_slo_ms: Annotated[Number | None, Field(description="[ms]")] = None
    deadline: Annotated[Presence | None, Field(description="its own, or its chain's")] = None
    deadline_from: Annotated[
        Text | None, _known("own", "chain"), Field(description="own, or chain where it was handed down")
    ] = None
    window_hours: Annotated[Number | None, Field(description="[h] from earliest start to deadline")] = None
    shortest_run_hours: Annotated[Number | None, Field(description="[h] on its fastest pool")] = None
    slack_hours: Annotated[Number | None, Field(description="[h] window less shortest run")] = None
    slack_ratio: Annotated[Number | None, Field(description="window over shortest run")] = None
    tokens: Number | None = None
    accelerator_hours: Number | None = None
    max_accelerators: Number | None = None
    interruptible: Flag | None = None
    preemptible: Flag | None = None
    data_boundary: Names | None = None
    sites: Names | None = None
    accelerators: Names | None = None
    chain: Annotated[Text | None, Field(description="the agent's chain of which it is one step")] = None
    has_dependencies: Annotated[Flag | None, Field(description="it waits for another workload")] = None
    has_dependents: Annotated[Flag | None, Field(description="another workload waits for it")] = None

    @cached_property
    def clauses(self) -> tuple[tuple[str, Condition | bool], ...]:
        """(field, condition) of every condition that is given, in a fixed order."""
        given = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name != "labels"]
        labelled = [(f"labels.{key}", condition) for key, condition in sorted(self.labels.items())]
        return tuple((name, condition) for name, condition in given + labelled if condition is not None)

    @property
    def tested(self) -> Iterable[str]:
        """Names of the fields that it looks at."""
        return (name for name, _ in self.clauses)

    def first_failing(self, facts: Mapping[str, Any]) -> tuple[str, Condition | bool] | None:
        """The first clause that does not hold for `facts`; None when all do."""
        for name, condition in self.clauses:
            value = facts.get(name)
            if not (value is condition if isinstance(condition, bool) else condition.holds(value)):
                return name, condition
        return None
