"""The thread that keeps dispatchers up to date: at every change, and before leases end."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from shifter.dispatch.base import Dispatcher, Order, Orders
from shifter.domain.workload import WorkloadClass
from shifter.errors import ShifterError
from shifter.service import Service
from shifter.telemetry import get_logger
from shifter.views import LIVE_STATES, EventKind, WorkloadState

CHANGES = frozenset(
    {
        EventKind.PLAN_PUBLISHED,
        EventKind.ADMISSION_CHANGED,
        EventKind.WORKLOAD_ACCEPTED,
        EventKind.WORKLOAD_CANCELLED,
        EventKind.WORKLOAD_DONE,
        EventKind.WORKLOAD_LATE,
    }
)

PAGE = 1000

log = get_logger("shifter.dispatch")


class DispatchRunner:
    """Calls every dispatcher with all orders after a change, and at least every `refresh_s` real seconds.

    One that fails is logged and called again at the next turn; it does not hold up the others, nor the daemon.
    """

    def __init__(self, service: Service, dispatchers: Sequence[Dispatcher], refresh_s: float) -> None:
        self._service, self._dispatchers, self._refresh_s = service, tuple(dispatchers), refresh_s
        self._stopping = threading.Event()
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="shifter-dispatch", daemon=True)

    def start(self) -> None:
        """Begin, with what is live now."""
        if self._dispatchers:
            self._thread.start()

    def stop(self) -> None:
        """Ask it to end; the turn that it is in is its last."""
        self._stopping.set()

    def turn(self) -> None:
        """Hand everything that is live to every dispatcher, once."""
        orders = orders_now(self._service)
        for dispatcher in self._dispatchers:
            try:
                dispatcher.dispatch(orders)
            except Exception as error:  # somebody else's code: whatever it raises must not stop the others
                if dispatcher.name not in self._failing:
                    log.error("a dispatcher fails", dispatcher=dispatcher.name, error=str(error))
                self._failing.add(dispatcher.name)
            else:
                if dispatcher.name in self._failing:
                    log.info("a dispatcher works again", dispatcher=dispatcher.name)
                self._failing.discard(dispatcher.name)

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            try:
                self.turn()
                changed = False
                while not changed and not self._stopping.is_set():
                    events = self._service.wait_events(seen, self._refresh_s)
                    seen = events[-1].id if events else seen
                    changed = not events or any(event.kind in CHANGES for event in events)
            except (
                ShifterError
            ) as error:  # the store is away: what was dispatched stands until its leases end
                log.warning("nothing to dispatch from", error=str(error))
                self._stopping.wait(self._refresh_s)


def orders_now(service: Service) -> Orders:
    """Every live deferrable workload, with what it may do and what it holds."""
    health = service.health()
    ids = sorted(id for state in LIVE_STATES for id in _ids_in(service, state))
    orders = tuple(Order(service.admission(id), service.lease(id)) for id in ids)
    return Orders(health.now, health.plan_id, health.simulated_clock, orders)


def _ids_in(service: Service, state: WorkloadState) -> Iterator[str]:
    page = service.workloads(state=state, decided=WorkloadClass.DEFERRABLE, limit=PAGE)
    while page:
        yield from (view.id for view in page)
        page = service.workloads(state=state, decided=WorkloadClass.DEFERRABLE, limit=PAGE, after=page[-1].id)
