"""Workloads and their leases as rows; whoever calls holds the transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from shifter.domain.rows import Allocation
from shifter.domain.workload import Reason, Workload, WorkloadClass, work_left
from shifter.store import tables as t
from shifter.store.snapshots import adapter, plain
from shifter.store.types import dumps
from shifter.views import ProgressSource, WorkloadState, to_plain

Serving = tuple[str, str, str]
"""Site, pool, and the model that runs there; empty where there is only one that it could be."""


@dataclass(frozen=True)
class LeaseRecord:
    """What a workload holds, and how often that has changed."""

    version: int = 0
    plan_id: str | None = None
    changed_at: datetime | None = None
    allocations: tuple[Allocation, ...] = ()


@dataclass(frozen=True)
class WorkloadRecord:
    """A workload and everything that is known of it. `state` is never `running`: that depends on
    the moment.
    """

    workload: Workload
    content_hash: str
    submitted_at: datetime
    submitted_by: str
    state: WorkloadState
    decided: WorkloadClass
    reason: Reason
    window_start: datetime
    window_deadline: datetime | None
    done_at: datetime
    done: float = 0.0
    progress_source: ProgressSource = "planned"
    serving: Mapping[Serving, datetime] = field(default_factory=dict)
    """What runs of it at `done_at`, and since when without a break."""
    ended_at: datetime | None = None
    lease: LeaseRecord = field(default_factory=LeaseRecord)

    @property
    def id(self) -> str:
        """The workload's."""
        return self.workload.id

    @property
    def remaining(self) -> float:
        """Work left at `done_at`, in the workload's unit."""
        return work_left(self.workload.amount, self.done)


@dataclass(frozen=True)
class LetIn:
    """What a workload was told to run in, and when."""

    allocations: tuple[Allocation, ...]
    at: datetime


def content_hash(workload: Workload) -> str:
    """Of what was asked for: two texts that mean the same workload have the same hash.

    What a store of an older version has hashed without alternatives keeps its hash.
    """
    body = plain(workload)
    if not workload.alternatives:
        del body["alternatives"]
    return hashlib.sha256(dumps(body).encode()).hexdigest()


def add(db: Connection, records: Iterable[WorkloadRecord]) -> None:
    """Keep new workloads."""
    rows = [_row(r) for r in records]
    if rows:
        db.execute(insert(t.workloads), rows)


def save(db: Connection, records: Iterable[WorkloadRecord]) -> None:
    """Write what changed of workloads that are kept already; not their leases."""
    rows = [{"row_id": r.id, **_row(r)} for r in records]
    if rows:
        names = [name for name in rows[0] if name not in ("row_id", "id")]
        query = update(t.workloads).where(t.workloads.c.id == bindparam("row_id"))
        db.execute(query.values({name: bindparam(name) for name in names}), rows)


def save_leases(db: Connection, records: Iterable[WorkloadRecord]) -> None:
    """Write the leases of workloads that are kept already."""
    rows = [_lease_row(r) for r in records]
    if rows:
        ids = [row["workload_id"] for row in rows]
        for i in range(0, len(ids), 500):
            db.execute(delete(t.leases).where(t.leases.c.workload_id.in_(ids[i : i + 500])))
        db.execute(insert(t.leases), rows)


def save_let_in(db: Connection, told: Mapping[str, LetIn]) -> None:
    """Write what workloads that are kept already were told to run in."""
    if told:
        query = update(t.workloads).where(t.workloads.c.id == bindparam("row_id"))
        values = [
            {"row_id": i, "told": [to_plain(a) for a in one.allocations], "told_at": one.at}
            for i, one in told.items()
        ]
        db.execute(query.values(let_in=bindparam("told"), let_in_at=bindparam("told_at")), values)


def let_in(db: Connection) -> dict[str, LetIn]:
    """What each workload was last told to run in; without those that nobody told anything."""
    query = select(t.workloads.c.id, t.workloads.c.let_in, t.workloads.c.let_in_at)
    return {
        id: LetIn(tuple(adapter(Allocation).validate_python(a) for a in told), at)
        for id, told, at in db.execute(query.where(t.workloads.c.let_in_at.is_not(None)))
    }


def load(db: Connection, live_only: bool = False) -> list[WorkloadRecord]:
    """Every workload that is kept, in the order of submission."""
    query = (
        select(t.workloads, t.leases)
        .outerjoin(t.leases, t.leases.c.workload_id == t.workloads.c.id)
        .order_by(t.workloads.c.submitted_at, t.workloads.c.id)
    )
    if live_only:
        query = query.where(t.workloads.c.state.in_(["accepted", "planned", "real_time"]))
    return [_record(row) for row in db.execute(query)]


def prune(db: Connection, before: datetime, awaited: Collection[str] = ()) -> int:
    """Forget workloads that ended before `before`, but none that is `awaited` by another; answers how many."""
    ended, name = t.workloads.c.ended_at, t.workloads.c.id
    gone = [id for (id,) in db.execute(select(name).where(ended.is_not(None), ended < before))]
    gone = [id for id in gone if id not in awaited]
    for i in range(0, len(gone), 500):
        db.execute(delete(t.workloads).where(name.in_(gone[i : i + 500])))
    return len(gone)


def _row(record: WorkloadRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "tenant": record.workload.tenant,
        "content_hash": record.content_hash,
        "body": plain(record.workload),
        "submitted_at": record.submitted_at,
        "submitted_by": record.submitted_by,
        "state": str(record.state),
        "decided": str(record.decided),
        "reason": to_plain(record.reason),
        "window_start": record.window_start,
        "window_deadline": record.window_deadline,
        "done": record.done,
        "done_at": record.done_at,
        "progress_source": record.progress_source,
        "serving": [
            [site, pool, to_plain(since), *([model] if model else [])]
            for (site, pool, model), since in record.serving.items()
        ],
        "ended_at": record.ended_at,
    }


def _lease_row(record: WorkloadRecord) -> dict[str, Any]:
    lease = record.lease
    return {
        "workload_id": record.id,
        "version": lease.version,
        "plan_id": lease.plan_id,
        "changed_at": lease.changed_at or record.submitted_at,
        "allocations": [to_plain(a) for a in lease.allocations],
    }


def _record(row: Row[Any]) -> WorkloadRecord:
    reason = row.reason
    lease = LeaseRecord()
    if row.version is not None:
        held = tuple(adapter(Allocation).validate_python(a) for a in row.allocations)
        lease = LeaseRecord(row.version, row.plan_id, row.changed_at, held)
    return WorkloadRecord(
        workload=adapter(Workload).validate_python(row.body),
        content_hash=row.content_hash,
        submitted_at=row.submitted_at,
        submitted_by=row.submitted_by,
        state=WorkloadState(row.state),
        decided=WorkloadClass(row.decided),
        reason=Reason(reason["rule"], reason["text"], reason["evidence"]),
        window_start=row.window_start,
        window_deadline=row.window_deadline,
        done_at=row.done_at,
        done=row.done,
        progress_source=row.progress_source,
        serving={
            (site, pool, model[0] if model else ""): datetime.fromisoformat(since)
            for site, pool, since, *model in row.serving
        },
        ended_at=row.ended_at,
        lease=lease,
    )
