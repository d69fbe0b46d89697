"""The plan: who runs where and when, in whole accelerators, what it costs, and the prices that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from itertools import islice
from math import isclose
from typing import TYPE_CHECKING, Any

from forecasts.slots import isoformat_z
from shifter.domain.risk import PlanRisk
from shifter.domain.rows import (
    Allocation,
    Baseline,
    Cost,
    Duals,
    Held,
    Horizon,
    PowerRow,
    SlotRow,
    Unplaced,
    WorkloadPlan,
)
from shifter.domain.spent import PlanBudget
from shifter.domain.survival import PlanResilience
from shifter.domain.tenant import PlanTenant

if TYPE_CHECKING:
    from pydantic import TypeAdapter


OPTIMAL, ROUNDED, COARSE, GREEDY, HELD = "optimal", "rounded", "coarse", "greedy", "held"
SOLVED = frozenset({OPTIMAL, ROUNDED, COARSE})
"""Of these plans, the prices are a program's own."""
STATUSES = SOLVED | {GREEDY, HELD}
"""All that a plan's status may be."""


@dataclass(frozen=True)
class Plan:
    """See `plan.json` in the contract; the further fields explain it."""

    plan_id: str
    inputs_id: str
    created_at: datetime
    horizon: Horizon
    currency: str
    cost: Cost
    carbon_kg: float
    lower_bound: float
    relative_gap: float
    baseline: Baseline
    slots: tuple[SlotRow, ...]
    power: tuple[PowerRow, ...]
    allocations: tuple[Allocation, ...]
    duals: Duals
    unplaced: tuple[Unplaced, ...]
    workloads: tuple[WorkloadPlan, ...] = ()
    deferrable_total: float = 0.0
    status: str = OPTIMAL
    """How it was made; how good it is says `relative_gap`. `optimal`: the fractional problem was solved, and all work
    follows its optimum, in whole accelerators. `rounded`: the same, but work with a shape of its own was placed at its
    prices, or announced work stays. `coarse`: by the prices of a coarser problem. `greedy`: without a solver, cheapest
    slots first. `held`: what was announced stands, and what is new has been placed beside it."""
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    risk: PlanRisk | None = None
    """Where uncertain prices count: what is minimised in place of `cost.total`. Not written where they do not."""
    held: Held | None = None
    """Where what was announced stands: the plan that solved it. Not written where this one did."""
    tenants: tuple[PlanTenant, ...] = ()
    """Where a quota or fairness counts: how each tenant is served. Not written where neither does."""
    budgets: tuple[PlanBudget, ...] = ()
    """Where the fleet has budgets: what is used of each, in their order. Not written where it has none."""
    resilience: PlanResilience | None = None
    """Where the fleet has failover groups: what each promise costs. Not written where it has none."""

    @property
    def minimised(self) -> float:
        """What no plan for the same work could bring below `lower_bound` [currency]."""
        return self.cost.total if self.risk is None else self.risk.objective

    def to_dict(self) -> dict[str, Any]:
        """`plan.json` of the contract, as plain JSON values in a fixed order."""
        plain: dict[str, Any] = json.loads(self.to_json())
        return plain

    def to_json(self) -> str:
        """The same plan is the same text, byte for byte."""
        return "".join(self.json_parts())

    def json_parts(self) -> Iterator[str]:
        """The text of `to_json` in parts, for whoever writes a large plan. Raises ValueError where a figure outside the
        rows is no number; in rows one that is none is null, which no reader takes."""
        figures = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ROWS}
        json.dumps(_plain(figures), allow_nan=False)
        yield _ids_text(self.plan_id, self.inputs_id)
        yield from self._body

    def content_id(self) -> str:
        """What `plan_id` must be: a hash of all else that the plan says, but for `inputs_id`, which comes later."""
        return _content_id(self._body)

    def named(self) -> Plan:
        """The same plan, its `plan_id` as it must be."""
        return self._saying_the_same(replace(self, plan_id=self.content_id()))

    def made_from(self, inputs_id: str) -> Plan:
        """The same plan, saying where its inputs are kept."""
        return self._saying_the_same(replace(self, inputs_id=inputs_id))

    def _saying_the_same(self, other: Plan) -> Plan:
        other.__dict__["_body"] = self._body
        return other

    @cached_property
    def _body(self) -> tuple[str, ...]:
        """All that the plan says after its ids, in parts. Made once, since a plan of a million allocations is long."""
        said = [f.name for f in fields(self)[2:] if f.name not in IF_GIVEN or getattr(self, f.name)]
        texts = (part for name in said for part in (",", f'"{name}":', *_texts(name, getattr(self, name))))
        return (*islice(texts, 1, None), "}")

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`. The text of a plan that is named by it stays as it is, and is not made again.

        Raises as `from_dict`, and ValueError for what is no JSON. No other thread computes while the JSON is parsed,
        which takes a tenth of a second for 100,000 rows.
        """
        from pydantic_core import from_json

        plan = cls.from_dict(from_json(text))
        ids = _ids_text(plan.plan_id, plan.inputs_id)
        if text.startswith(ids) and _content_id([text[len(ids) :]]) == plan.plan_id:
            plan.__dict__["_body"] = (text[len(ids) :],)
        return plan

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`.

        Raises pydantic's ValidationError where a field is missing or of another type (of `cost` and `duals` KeyError,
        TypeError or AttributeError), and ValueError where the cost's total is not the sum of its items: here it follows
        from them, and nothing later would see it.
        """
        body = dict(raw)
        body["cost"] = {k: v for k, v in raw["cost"].items() if k != "total"}
        body["duals"] = Duals.from_dict(raw["duals"])
        body |= {name: _rows_of(name, rows) for name, rows in raw.items() if name in _ROWS}
        plan = _plan_adapter().validate_python(body)
        total = raw["cost"].get("total", plan.cost.total)
        if not isinstance(total, float | int) or not isclose(
            total, plan.cost.total, rel_tol=1e-9, abs_tol=1e-6
        ):
            raise ValueError(f"the cost's total says {total}, and its items add up to {plan.cost.total}")
        return plan


def _ids_text(plan_id: str, inputs_id: str) -> str:
    """How the text of a plan begins; all after it is its body."""
    return json.dumps({"plan_id": plan_id, "inputs_id": inputs_id}, separators=(",", ":"))[:-1] + ","


def _content_id(body: Iterable[str]) -> str:
    said = hashlib.sha256()
    for part in body:
        said.update(part.encode())
    return said.hexdigest()[:16]


def allocations_to_rows(allocations: Sequence[Allocation]) -> list[dict[str, Any]]:
    """Plain JSON values of many; what is None is left out."""
    rows: list[dict[str, Any]] = _adapter("allocations").dump_python(
        tuple(allocations), mode="json", exclude_none=True
    )
    return rows


def allocations_from_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[Allocation, ...]:
    """The inverse of `allocations_to_rows`."""
    found: tuple[Allocation, ...] = _adapter("allocations").validate_python(rows)
    return found


ROWS_AT_ONCE = 20_000
"""Rows in one part of the text: some megabytes."""
READ_AT_ONCE = 250
"""Rows that are read in one go. No other thread computes meanwhile, and a stop may be waiting for its turn: some ms."""


def _rows_of(name: str, rows: Any) -> Any:
    """A column of rows, as they are in a plan; what is none is left for whoever says what is wrong, and where."""
    if not isinstance(rows, list):
        return rows
    from pydantic import ValidationError

    parts = (rows[at : at + READ_AT_ONCE] for at in range(0, len(rows), READ_AT_ONCE))
    try:
        return tuple(row for part in parts for row in _adapter(name).validate_python(part))
    except ValidationError:
        return rows


def _texts(name: str, value: Any) -> Iterator[str]:
    """One field as JSON, in parts. Columns of equal rows go through pydantic's serializer, the fastest there is."""
    if name not in _ROWS:
        yield json.dumps(_plain(value), separators=(",", ":"))
        return
    unused = _unused(type(value[0]), value) if value else set()
    left_out: Any = {"__all__": unused} if unused else None
    yield "["
    for at in range(0, len(value), ROWS_AT_ONCE):
        some = value[at : at + ROWS_AT_ONCE]
        rows = _adapter(name).dump_json(some, exclude=left_out, exclude_none=name == "allocations")
        yield ("," if at else "") + rows[1:-1].decode()
    yield "]"


def _unused(kind: type[Any], rows: Sequence[Any]) -> set[str]:
    """Fields that speak of a term which none of these rows makes use of."""
    optional = [f for f in fields(kind) if "if_used" in f.metadata]
    return {f.name for f in optional if all(getattr(row, f.name) == _default(f) for row in rows)}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


IF_GIVEN = frozenset({"risk", "held", "tenants", "budgets", "resilience"})
"""Fields of a plan that are not written where there is nothing in them."""

_ROWS: Mapping[str, Any] = {
    "slots": tuple[SlotRow, ...],
    "power": tuple[PowerRow, ...],
    "allocations": tuple[Allocation, ...],
    "unplaced": tuple[Unplaced, ...],
    "workloads": tuple[WorkloadPlan, ...],
}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(_ROWS[name])


@cache
def _plan_adapter() -> TypeAdapter[Plan]:
    from pydantic import TypeAdapter

    return TypeAdapter(Plan)


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, datetime):
        return isoformat_z(value)
    if isinstance(value, Cost):
        unused = _unused(Cost, [value])
        said = {k: _plain(v) for k, v in vars(value).items() if k not in unused}
        return {**said, "total": value.total}
    if isinstance(value, Duals):
        return value.to_dict()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    raise TypeError(f"{type(value).__name__} has no place in a plan")
