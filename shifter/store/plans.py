"""Published plans and the inputs that each was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from shifter.domain.plan import Plan
from shifter.store import tables as t
from shifter.store.snapshots import text_id
from shifter.store.types import compressed

REJECTED_KEPT = 50
"""Inputs of rejected plans, the newest: a cycle that keeps failing is tried again every two minutes."""


@dataclass(frozen=True)
class Kept:
    """A plan with what it was made from, ready to be written: `plan.inputs_id` is the sha256 of the inputs' text."""

    plan: Plan
    body: bytes
    inputs: bytes

    @classmethod
    def of(cls, plan: Plan, inputs_text: str) -> Kept:
        """Putting it into words takes long: it is done before a transaction that everything else waits for."""
        plan = plan.made_from(text_id(inputs_text))
        return cls(plan, compressed(plan.to_json()), compressed(inputs_text))


def inputs_text(db: Connection, inputs_id: str) -> str | None:
    """The snapshot's text, or None when it was never kept, or pruned."""
    text: str | None = db.execute(
        select(t.cycle_inputs.c.body).where(t.cycle_inputs.c.id == inputs_id)
    ).scalar()
    return text


def add(db: Connection, kept: Kept, at: datetime) -> int:
    """Keep a plan as the newest, and its inputs once; answers its version. The same plan again is that plan, made
    current again.
    """
    plan, key = kept.plan, kept.plan.inputs_id
    _add_inputs(db, key, kept.inputs, at)
    version = int(db.execute(select(func.coalesce(func.max(t.plans.c.version), 0))).scalar_one()) + 1
    db.execute(delete(t.plans).where(t.plans.c.plan_id == plan.plan_id))
    row = {"plan_id": plan.plan_id, "version": version, "inputs_id": key, "published_at": at}
    db.execute(insert(t.plans), {**row, "body": kept.body})
    return version


def add_rejected(db: Connection, key: str, inputs: bytes, at: datetime) -> None:
    """Keep what a plan that was rejected was made from, `compressed`, under its `text_id`; forget the oldest such."""
    _add_inputs(db, key, inputs, at)
    made = t.cycle_inputs.c
    without_plan = made.id.not_in(select(t.plans.c.inputs_id))
    old = select(made.id).where(without_plan).order_by(made.created_at.desc(), made.id).offset(REJECTED_KEPT)
    gone = db.execute(old).scalars().all()
    db.execute(delete(t.cycle_inputs).where(made.id.in_(gone)))


def _add_inputs(db: Connection, key: str, inputs: bytes, at: datetime) -> None:
    if db.execute(select(t.cycle_inputs.c.id).where(t.cycle_inputs.c.id == key)).scalar() is None:
        db.execute(insert(t.cycle_inputs), {"id": key, "created_at": at, "body": inputs})


def newest(db: Connection) -> tuple[Plan, int, datetime] | None:
    """The last plan that was published, its version, and when that was."""
    row = db.execute(select(t.plans).order_by(t.plans.c.version.desc()).limit(1)).first()
    if row is None:
        return None
    return Plan.from_json(row.body), row.version, row.published_at


def in_force_at(db: Connection, at: datetime) -> Plan | None:
    """The plan that was the current one at that moment, or None where it is not kept."""
    query = (
        select(t.plans.c.body).where(t.plans.c.published_at <= at).order_by(t.plans.c.version.desc()).limit(1)
    )
    body = db.execute(query).scalar()
    return None if body is None else Plan.from_json(body)


def read(db: Connection, plan_id: str) -> Plan | None:
    """A plan that was published, or None."""
    body = db.execute(select(t.plans.c.body).where(t.plans.c.plan_id == plan_id)).scalar()
    return None if body is None else Plan.from_json(body)


def inputs_id_of(db: Connection, plan_id: str) -> str | None:
    """What a plan was made from, or None."""
    key: str | None = db.execute(select(t.plans.c.inputs_id).where(t.plans.c.plan_id == plan_id)).scalar()
    return key


def prune(db: Connection, before: datetime) -> int:
    """Forget plans published before `before`, and inputs that no plan stands on; never the newest plan."""
    last = db.execute(select(func.max(t.plans.c.version))).scalar() or 0
    gone = db.execute(
        delete(t.plans).where(t.plans.c.published_at < before, t.plans.c.version < last)
    ).rowcount
    used = select(t.plans.c.inputs_id)
    db.execute(
        delete(t.cycle_inputs).where(t.cycle_inputs.c.created_at < before, t.cycle_inputs.c.id.not_in(used))
    )
    return gone
