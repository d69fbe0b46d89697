"""How a host is borne with: how often it is asked, how long it is tried, and when it is left in peace."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

HOST_RATES: Mapping[str, float] = {
    "api.carbonintensity.org.uk": 1.0,
    "api.energy-charts.info": 1 / 25,
    "api.watttime.org": 10.0,
    "oasis.caiso.com": 1 / 6,  # "retry your request after 5 seconds"
}
"""Requests a second that a host bears; 1 where it is not listed."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try. A `Retry-After` beyond `longest_s` is reported, not slept through.

    After so many calls in a row that failed a host is left in peace for `rest_s`: `failures_to_open`, or
    `unreached_to_open` where there was no connection in the last of them.
    """

    attempts: int = 4
    first_s: float = 1.0
    longest_s: float = 60.0
    failures_to_open: int = 5
    unreached_to_open: int = 5
    rest_s: float = 300.0


@dataclass(frozen=True)
class Retry:
    """A call failed, and is made again in `wait_s`, `left` times at most. `why` is in words, and holds no secret."""

    host: str
    why: str
    wait_s: float
    left: int


class TokenBucket:
    """`rate` [1/s] tokens, of which `burst` may be saved up."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self.tokens, self.at = float(burst), clock()

    def take(self) -> float:
        """Take one; answers how long to wait [s] before using it."""
        now = self.clock()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate) - 1
        self.at = now
        return max(0.0, -self.tokens / self.rate)

    def put_back(self) -> None:
        """One that was taken and not used."""
        self.tokens = min(self.burst, self.tokens + 1)


@dataclass
class Host:
    """What is remembered of a host."""

    bucket: TokenBucket
    failures: int = 0
    open_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn_s(self) -> float:
        """How long to wait [s] before asking it."""
        with self.lock:
            return self.bucket.take()

    def spared(self) -> None:
        """It was to be asked, and never heard of it."""
        with self.lock:
            self.bucket.put_back()


_ends: ContextVar[float] = ContextVar("ends", default=math.inf)  # of `time.monotonic`


@contextmanager
def in_haste(within_s: float) -> Iterator[None]:
    """Meanwhile what this thread asks, of any host, is tried once, and about `within_s` are left for all of it. That it
    fails is not held against the host, which had little time.
    """
    token = _ends.set(time.monotonic() + within_s)
    try:
        yield
    finally:
        _ends.reset(token)


def left_s() -> float:
    """How long whoever asks has left, infinite where there is no haste."""
    return _ends.get() - time.monotonic()
