"""Counters of one server, looked at again and again, as what came in between: over restarts, too.

A counter that is lower than it was began anew at zero, and so did what was in flight: that of before is lost with the
process (https://prometheus.io/docs/prometheus/latest/querying/functions/#rate counts so).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

LENGTHS = 10
"""Mean lengths are over so many windows: few requests say little of them."""


@dataclass(frozen=True)
class Seen:
    """What a server has counted when it was looked at."""

    ended: float
    """Requests; 0 where it does not count them."""
    prompt_tokens: float
    output_tokens: float
    in_flight: float
    """Requests that it has and that have not ended."""


@dataclass(frozen=True)
class Came:
    """What came in a span of time."""

    seconds: float
    ended: float
    prompt_tokens: float
    output_tokens: float
    arrived: float
    """Requests: those that ended, and by how many more are in flight."""


class Window:
    """Of one server, what came in the last `window_s`, and in ten times that."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._last: tuple[float, Seen] | None = None
        self._steps: deque[tuple[float, Came]] = deque()  # by when they ended

    def add(self, at_s: float, seen: Seen) -> None:
        """One more look, at a moment of a clock that only goes forward [s]."""
        if self._last is not None:
            before_s, before = self._last
            if at_s - before_s > LENGTHS * self.window_s:
                self._steps.clear()  # what came is not known by when
            elif at_s > before_s:
                self._steps.append((at_s, _between(before, seen, at_s - before_s)))
            else:
                return
        self._last = at_s, seen
        while self._steps and self._steps[0][0] <= at_s - LENGTHS * self.window_s:
            self._steps.popleft()

    def lately(self) -> Came | None:
        """In the last window, as far as it was looked at; None before the second look."""
        return self._over(self.window_s)

    def long(self) -> Came | None:
        """In the last ten windows."""
        return self._over(LENGTHS * self.window_s)

    def _over(self, span_s: float) -> Came | None:
        if not self._steps:
            return None
        since = self._steps[-1][0] - span_s
        # a step that reaches over the edge counts whole where more than half of it is within
        steps = [c for at, c in self._steps if at - c.seconds / 2 > since] or [self._steps[-1][1]]
        return summed(steps, sum(c.seconds for c in steps))


def summed(steps: list[Came], seconds: float) -> Came:
    """All of them together, in so many seconds."""
    return Came(
        seconds,
        sum(c.ended for c in steps),
        sum(c.prompt_tokens for c in steps),
        sum(c.output_tokens for c in steps),
        sum(c.arrived for c in steps),
    )


def _between(before: Seen, after: Seen, seconds: float) -> Came:
    counted = ("ended", "prompt_tokens", "output_tokens")
    if any(getattr(after, name) < getattr(before, name) for name in counted):
        before = Seen(0.0, 0.0, 0.0, 0.0)
    ended = after.ended - before.ended
    return Came(
        seconds,
        ended,
        after.prompt_tokens - before.prompt_tokens,
        after.output_tokens - before.output_tokens,
        ended + after.in_flight - before.in_flight,
    )
