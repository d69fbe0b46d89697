"""What the parts of the service share: the state, the store, and the one way to change both.

A change is staged, written in one transaction, and only then seen: what was answered is durable, and what
could not be written never happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from forecasts.store import ForecastStore
from shifter.classify.policy import Policy
from shifter.clock import Clock
from shifter.domain.fleet import Fleet
from shifter.errors import NotFound, NotReady
from shifter.planner import Planner
from shifter.realtime.load import RealtimeLoad
from shifter.service import leases
from shifter.service.config import ServiceConfig
from shifter.service.state import State
from shifter.store import log
from shifter.store.db import Database
from shifter.store.workloads import WorkloadRecord
from shifter.telemetry import Metrics, get_logger
from shifter.views import EventKind

logger = get_logger("shifter.service")

DATABASE = "database"
"""The fault's name while the store cannot be reached."""


class FrameMaker(Protocol):
    """Every zone's forecasts on a grid, from what was known at `as_of`."""

    def __call__(self, grid: SlotGrid, as_of: datetime) -> ForecastFrame:
        """Raises ForecastRejected, NotReady."""
        ...


RealtimeMaker = Callable[[SlotGrid], RealtimeLoad]
"""Real-time load on a grid, or on its first slots where no more is known: the answer's own grid says how far.
Raises InputError where not even the first slot is known.
"""


@dataclass
class Change:
    """One transaction under way: what it writes with `db`, and what is seen once it is committed."""

    db: Connection
    at: datetime
    puts: dict[str, WorkloadRecord] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    happened: list[log.Happened] = field(default_factory=list)
    deeds: list[log.Deed] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    replan: str = ""
    """Why a new plan is asked for after the commit; empty where nothing that a plan depends on has changed."""

    def put(self, records: Iterable[WorkloadRecord]) -> None:
        """These are seen after the commit; writing them is the caller's."""
        self.puts.update((r.id, r) for r in records)

    def set(self, **values: Any) -> None:
        """Fields of the state as they are after the commit."""
        self.values.update(values)

    def event(self, kind: EventKind, **data: Any) -> None:
        """Tell what happened."""
        self.happened.append((kind, data))

    def audit(
        self,
        actor: str,
        action: str,
        subject: str,
        inputs_id: str | None = None,
        **detail: Any,
    ) -> None:
        """Record who did or decided it."""
        self.deeds.append(log.Deed(actor, action, subject, inputs_id, detail))


@dataclass
class Core:
    """Everything that the parts of the service work on."""

    config: ServiceConfig
    fleet: Fleet
    policy: Policy
    db: Database
    forecasts: ForecastStore
    clock: Clock
    frame: FrameMaker
    realtime: RealtimeMaker
    planner: Planner
    quote_planner: Planner
    metrics: Metrics
    version: str = "0"
    started_at: datetime | None = None
    state: State = field(default_factory=State)
    replan: Callable[[str], None] = lambda reason: None
    """Ask for a new plan, soon; the daemon sets it."""
    next_replan_at: Callable[[], datetime | None] = lambda: None
    """When the next plan begins by itself; the daemon sets it."""
    has_daemon: bool = False
    """Whether something makes plans by itself, so that waiting for one makes sense."""
    stopping: bool = False
    """Whether cycles are being given up on purpose."""
    writing: threading.RLock = field(default_factory=threading.RLock)
    _lost_at: datetime | None = None
    """Since when the store cannot be reached."""

    def now(self) -> datetime:
        """The moment, by the injected clock."""
        return self.clock.now()

    def record(self, workload_id: str) -> WorkloadRecord:
        """The record of that id. Raises NotFound."""
        found = self.state.records.get(workload_id)
        if found is None:
            hint = "Look at GET /v1/workloads."
            raise NotFound(f"there is no workload {workload_id}.", field="id", hint=hint)
        return found

    def done(self, record: WorkloadRecord, at: datetime | None = None) -> float:
        """Work done by now (or `at` a moment), in its unit; what was planned counts only while leases held."""
        vouched = leases.vouched(self.state, self.config.lease_ttl, at or self.now())
        return leases.done_at(record, self.fleet, vouched)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One change of store and state, all or nothing. Raises NotReady when the store cannot be reached."""
        with self.writing:
            try:
                with self.db.write() as connection:
                    change = Change(connection, self.now())
                    yield change
                    events = log.add_events(connection, change.at, change.happened)
                    log.add_audit(connection, change.at, change.deeds)
            except NotReady as error:
                self.lost_database(error)
                raise
            with self.state.changed:
                self.state.records.update(change.puts)
                for gone in change.forgotten:
                    self.state.records.pop(gone, None)
                self.state.generation += bool(change.puts or change.forgotten)
                for name, value in change.values.items():
                    setattr(self.state, name, value)
                self.state.events.extend(events)
                self.state.changed.notify_all()
            for event in events:
                self.metrics.events.labels(kind=str(event.kind)).inc()
            self.found_database()
        if change.replan:
            self.replan(change.replan)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A look into the store. Raises NotReady when it cannot be reached."""
        try:
            with self.db.read() as connection:
                yield connection
        except NotReady as error:
            self.lost_database(error)
            raise

    def lost_database(self, error: NotReady) -> None:
        """Remember that the store cannot be reached, until a transaction succeeds again."""
        if error.field == "" and "database" in error.detail:
            with self.state.changed:
                self.state.faults[DATABASE] = error.detail
                first = self._lost_at is None
                self._lost_at = self._lost_at or self.now()
            if first:
                logger.error("the store cannot be reached", error=error.detail)

    def found_database(self) -> None:
        """The store answers; where it did not before, that is told and a new plan is asked for."""
        with self.state.changed:
            self.state.faults.pop(DATABASE, None)
            lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            logger.info("the store can be reached again")
            self.tell(EventKind.FAULT, subject=DATABASE, since=lost_at, until=self.now(), over=True)
            self.replan("store recovered")

    def set_fault(self, subject: str, text: str | None) -> bool:
        """Something is wrong, or (None) well again; answers whether that is news."""
        with self.state.changed:
            before = self.state.faults.get(subject)
            if text is None:
                self.state.faults.pop(subject, None)
            else:
                self.state.faults[subject] = text
            return (before is None) is not (text is None)

    def tell(self, kind: EventKind, **data: Any) -> None:
        """An event by itself; dropped where the store is away, since an event that is not kept has no id."""
        try:
            with self.change() as change:
                change.event(kind, **data)
        except NotReady:
            pass


def facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of an error that an event can carry."""
    return {k: v for k, v in values.items() if isinstance(v, str | int | float | bool | list | tuple | None)}
