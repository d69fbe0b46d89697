"""What the daemon says while a drill is played, as a client hears it: the stream of events, and a lease's long poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shifter.client import Client
from shifter.connection import Json
from shifter.errors import ShifterError

LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class Heard:
    """An event, and when it was heard here [s, monotonic]."""

    at_s: float
    event: Json

    @property
    def kind(self) -> str:
        """As the event names it."""
        return str(self.event["kind"])

    @property
    def data(self) -> Json:
        """What it says."""
        data: Json = self.event["data"]
        return data


@dataclass
class Ears:
    """What was heard so far."""

    events: list[Heard] = field(default_factory=list)
    woken: dict[str, float] = field(default_factory=dict)
    """By workload, when its long poll came back with a new version [s, monotonic]."""
    watched: tuple[str, ...] = ()

    def since(self, at_s: float, *kinds: str) -> Iterator[Heard]:
        """Those of these kinds that were heard after a moment."""
        return (h for h in list(self.events) if h.at_s >= at_s and (not kinds or h.kind in kinds))


@contextmanager
def listening(url: str, leases: Iterable[str] = ()) -> Iterator[Ears]:
    """Hear all events from now on, and wait for a new version of these leases, each on a connection of its own."""
    clients: list[Client] = []
    done = threading.Event()

    def client() -> Client:
        clients.append(Client(url, actor="drill"))
        return clients[-1]

    def follow(own: Client, after: int) -> None:
        try:
            for event in own.events(after, follow=True):
                ears.events.append(Heard(time.monotonic(), event))
                if done.is_set():
                    return
        except ShifterError:
            return  # whoever plays the drill hears of it on a connection of their own

    def poll(own: Client, workload_id: str, version: int) -> None:
        try:
            while not done.is_set() and workload_id not in ears.woken:
                lease = own.allocations(workload_id, wait_s=LONGEST_WAIT_S, after_version=version)
                if lease["version"] > version:
                    ears.woken[workload_id] = time.monotonic()
        except ShifterError:
            return

    ears = Ears(watched=tuple(leases))
    first = client()
    newest = first.newest_events(1)
    _begin(follow, first, newest[-1]["id"] if newest else 0)
    for workload_id in ears.watched:
        own = client()
        _begin(poll, own, workload_id, own.allocations(workload_id)["version"])
    try:
        yield ears
    finally:
        done.set()
        for one in clients:
            one.close()


def _begin(target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, name="drill-ears", daemon=True).start()
