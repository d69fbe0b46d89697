"""Every field that can be written, with values that it should not have: found by its schema, so that none is forgotten.

What a schema forbids is refused in words that name the field. What it allows is planned and verified, however large.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pydantic import TypeAdapter

from shifter.api.models import ForecastPush, ProgressReport
from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import COARSE, GREEDY
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files import parse_workload
from shifter.files.fleet import FLEET as FLEET_TYPE
from shifter.files.lines import WORKLOAD as WORKLOAD_TYPE
from shifter.files.validation import Tree
from shifter.views import TelemetrySample
from tests.properties.every_term import FLEET, Loc, places, planned_by, put, workloads

TREES = {"fleet": Tree(FLEET_TYPE), "tokens": Tree(WORKLOAD_TYPE), "hours": Tree(WORKLOAD_TYPE)}
WINDOW = {"earliest_start": "2026-01-10T00:00:00Z", "deadline": "2026-01-10T08:00:00Z", "max_accelerators": 4}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "fleet": FLEET,
    "tokens": {
        "id": "w",
        "model": "m",
        "tokens": 4e6,
        "alternatives": [{"model": "small", "tokens": 5e6}],
        **WINDOW,
    },
    "hours": {"id": "w", "accelerator_hours": 3, "accelerators": ["X", "Y"], "sites": ["free"], **WINDOW},
}
EVERY_PLACE = [(kind, loc) for kind, tree in TREES.items() for loc in places(tree, DOCUMENTS[kind])]
NUMBERS = ("number", "integer")
HUGE = 1e300


def number_at(kind: str, loc: Loc) -> Mapping[str, Any] | None:
    """The schema of the number at this place; None where there is none."""
    node = TREES[kind].at(loc)
    return next((n for n in (node, *node.get("anyOf", ())) if n.get("type") in NUMBERS), None)


def allows(schema: Mapping[str, Any], value: float) -> bool:
    """Whether a number is within what the schema says."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    return bool(low <= value <= high and above < value < below)


NUMBER_PLACES = [(kind, loc) for kind, loc in EVERY_PLACE if number_at(kind, loc) is not None]


def path_of(value: Any) -> str:
    """The name of a case."""
    return ".".join(map(str, value)) if isinstance(value, tuple) else str(value)


def given(kind: str, loc: Loc, value: Any) -> CycleInputs | InputError:
    """The cycle with this value there, or what is said against it."""
    document = put(DOCUMENTS[kind], loc, value)
    try:
        if kind == "fleet":
            inputs = planned_by(document)
            if loc[0] != "failover_groups":  # to price their promises takes several programs more
                inputs = replace(inputs, fleet=replace(inputs.fleet, failover_groups=()))
        else:
            job = parse_workload(document, "workload", planned_by(FLEET).fleet)
            inputs = planned_by(FLEET, [*workloads(), job])
    except InputError as error:
        return error
    return replace(inputs, announced=announced(), hold_gap=-1.0)


@cache
def announced() -> Announced:
    """What the plan of the unchanged fleet announces: churn and the frozen window are about it."""
    inputs = planned_by(FLEET)
    return Announced.of(plan_cycle(inputs), inputs.now)


def refused(kind: str, loc: Loc, value: Any) -> bool:
    """Whether it is refused, then in words that name it; else it is planned, verified, and says how it came about."""
    inputs = given(kind, loc, value)
    if isinstance(inputs, InputError):
        assert keys_of(loc)[-1] in str(inputs), inputs
        assert inputs.hint or number_at(kind, loc) is None, inputs
        return True
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    json.dumps(plan.to_dict(), allow_nan=False)
    if plan.status in (COARSE, GREEDY):
        assert any(warning.startswith("planned ") for warning in plan.warnings)
    return False


def keys_of(loc: Loc) -> tuple[str, ...]:
    """The keys on the way to it, without the positions in lists."""
    return tuple(part for part in loc if isinstance(part, str))


@pytest.mark.parametrize(("kind", "loc"), NUMBER_PLACES, ids=path_of)
def test_every_number_is_refused_by_name_or_planned_with(kind: str, loc: Loc) -> None:
    schema = number_at(kind, loc)
    assert schema is not None
    ends = [schema[key] for key in ("minimum", "maximum") if key in schema]
    for value in dict.fromkeys((-1, 0, *ends)):
        assert refused(kind, loc, value) or allows(schema, value), value
    for value in (math.nan, math.inf, -math.inf, HUGE, -HUGE, 10**400, "many", True):
        assert refused(kind, loc, value), value


@pytest.mark.parametrize(
    ("kind", "loc"), [place for place in EVERY_PLACE if place not in NUMBER_PLACES], ids=path_of
)
def test_every_other_value_of_the_wrong_type_is_refused_by_name(kind: str, loc: Loc) -> None:
    wrong: Any = "text" if TREES[kind].at(loc).get("type") == "boolean" else 5
    assert refused(kind, loc, wrong)


def numbers_in(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every number that a schema allows."""
    if isinstance(schema, Mapping):
        if schema.get("type") in NUMBERS and "enum" not in schema:
            yield path, schema
        for key, inner in schema.items():
            yield from numbers_in(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from numbers_in(inner, f"{path}/{i}")


@pytest.mark.parametrize(
    "what",
    [Fleet, Workload, ProgressReport, TelemetrySample, GridEvent, ForecastPush],
    ids=lambda w: w.__name__,
)
def test_every_number_that_can_be_sent_has_two_ends(what: type) -> None:
    for path, schema in numbers_in(TypeAdapter(what).json_schema()):
        assert schema.keys() & {"minimum", "exclusiveMinimum"}, path
        assert schema.keys() & {"maximum", "exclusiveMaximum"}, path


def test_every_section_of_a_fleet_is_among_the_cases() -> None:
    """A key whose value holds further keys must be in the document, or what is inside is not tried."""
    tree = TREES["fleet"]
    ways = [loc for kind, loc in EVERY_PLACE if kind == "fleet"]
    tried = {keys_of(loc) for loc in ways}
    holders = {
        keys_of(loc) for loc in ways if tree.keys(loc) or tree.keys((*loc, 0)) or tree.free_values(loc)
    }
    inside = {keys[:n] for keys in tried for n in range(len(keys))}
    assert holders <= inside
