"""The one clock of a process: the system's, or a simulated one that is marked wherever its time is shown.

>>> clock = parse_clock("2026-01-10T00:00:00Zx60")
>>> clock.simulated, clock.speed, clock.real_s(120.0)
(True, 60.0, 2.0)
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from forecasts.slots import isoformat_z, to_utc
from shifter.errors import InputError

MAX_SPEED = 100_000.0


class Clock(Protocol):
    """What time it is, and how fast it runs. `speed` is simulated seconds per real second."""

    @property
    def simulated(self) -> bool:
        """Whether this is a simulation: whatever shows its time says so."""
        ...

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        ...

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...

    def real_s(self, clock_s: float) -> float:
        """How many real seconds `clock_s` seconds of this clock take."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The machine's clock."""

    simulated: bool = field(default=False, init=False)
    speed: float = field(default=1.0, init=False)

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return datetime.now(UTC)

    def real_s(self, clock_s: float) -> float:
        """The same: its seconds are real."""
        return clock_s

    def __str__(self) -> str:
        return "system clock"


@dataclass(frozen=True)
class SimulatedClock:
    """A clock that starts at `start` when it is made, and runs `speed` times as fast as the real one.

    It runs on the monotonic clock, so that a correction of the machine's time never moves it backwards.
    """

    start: datetime
    speed: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    simulated: bool = field(default=True, init=False)
    _origin_s: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.speed <= MAX_SPEED:
            raise InputError(
                f"a clock cannot run {self.speed:g} times as fast.",
                field="clock",
                hint=f"Give a speed above 0, at most {MAX_SPEED:g}.",
            )
        object.__setattr__(self, "start", to_utc(self.start))
        object.__setattr__(self, "_origin_s", self.monotonic())

    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return self.start + timedelta(seconds=(self.monotonic() - self._origin_s) * self.speed)

    def real_s(self, clock_s: float) -> float:
        """Simulated seconds in real ones."""
        return clock_s / self.speed

    def __str__(self) -> str:
        return f"simulated clock from {isoformat_z(self.start)} at {self.speed:g}x"


@dataclass
class ManualClock:
    """A clock that stands still until it is moved: for tests and replays that step by hand."""

    moment: datetime
    simulated: bool = True
    speed: float = 1.0

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    def real_s(self, clock_s: float) -> float:
        """As the system clock's: waiting is real, even where time stands still."""
        return clock_s

    def advance(self, **delta: float) -> datetime:
        """Move it on, by the arguments of `timedelta`."""
        self.moment += timedelta(**delta)
        return self.moment


_CLOCK = re.compile(r"^(?P<start>.+?)(?:\s*[x×](?P<speed>[0-9.]+))?$")


def parse_clock(text: str | None) -> Clock:
    """`T` or `TxN` as a simulated clock from T at N times the speed; None or "" is the system's clock.

    Raises InputError where it cannot be read, or where the time has no zone.
    """
    if not text:
        return SystemClock()
    found = _CLOCK.match(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        start = datetime.fromisoformat(found["start"])
        speed = float(found["speed"] or 1.0)
    except ValueError:
        raise InputError(
            f"{text!r} is no clock.", field="clock", hint="Write T or TxN, such as 2026-01-10T00:00:00Zx60."
        ) from None
    return SimulatedClock(to_utc(start), speed)
