"""The thread that makes plans: one at a time; requests close together are answered by one plan."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shifter.telemetry import get_logger
from shifter.views import CycleView

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 120.0

log = get_logger("shifter.replanner")


class Replanner:
    """Calls `cycle(trigger)` after `request`s. Seconds are real.

    A request waits `debounce_s` for others to join it; one that comes while a cycle runs causes another cycle
    after it. A cycle that fails is tried again by itself, later and later.
    """

    def __init__(self, cycle: Callable[[str], CycleView], debounce_s: float) -> None:
        self._cycle = cycle
        self._debounce_s = debounce_s
        self._wanted: dict[str, None] = {}
        self._due = 0.0
        self._state = threading.Condition()
        self._stopping = False
        self._retry_s = FIRST_RETRY_S
        self._thread = threading.Thread(target=self._run, name="shifter-replanner", daemon=True)

    def start(self) -> None:
        """Begin to answer requests."""
        self._thread.start()

    def request(self, reason: str) -> None:
        """A new plan, soon. The first of several requests sets the time: a stream cannot put it off."""
        with self._state:
            if not self._wanted:
                self._due = time.monotonic() + self._debounce_s
            else:
                self._due = min(self._due, time.monotonic() + self._debounce_s)
            self._wanted[reason] = None
            self._state.notify_all()

    def due_in_s(self) -> float | None:
        """Real seconds until the cycle that is asked for; None while none is."""
        with self._state:
            return max(0.0, self._due - time.monotonic()) if self._wanted else None

    def stop(self, timeout_s: float) -> bool:
        """Take no more requests; whether the thread has ended in time."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (trigger := self._next()) is not None:
            view = self._cycle(trigger)
            if view.outcome == "published":
                self._retry_s = FIRST_RETRY_S
            else:
                self._again(view.outcome)

    def _next(self) -> str | None:
        """What to plan for, once it is due; None when it is time to stop."""
        with self._state:
            while not self._stopping:
                left = self._due - time.monotonic() if self._wanted else None
                if left is not None and left <= 0:
                    trigger = ", ".join(self._wanted)
                    self._wanted.clear()
                    return trigger
                self._state.wait(left)
        return None

    def _again(self, outcome: str) -> None:
        with self._state:
            if not self._wanted:
                self._wanted[f"retry after a {outcome} cycle"] = None
                self._due = time.monotonic() + self._retry_s
            self._retry_s = min(LONGEST_RETRY_S, self._retry_s * 2)
