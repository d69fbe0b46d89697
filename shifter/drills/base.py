"""What drills have in common: what they aim at, what they say beforehand, what they saw, and what they take back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Protocol

from shifter.client import Client
from shifter.connection import Json
from shifter.domain.fleet import Fleet, PoolKey
from shifter.drills.stopped import Stopped, stopped_since
from shifter.errors import NotFound, NotReady, ShifterError

ACTOR = "drill"
AT_ONCE_S = 5.0
"""[real s] A stop is told within this."""
SETTLED_S = 10.0
"""[real s] In which a plan comes after a drill."""
Tell = Callable[[str, float], None]
"""Called with what it waits for, and how much of that is over (0..1)."""


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "workload"), counted(3, "time")
    ('1 workload', '3 times')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def stop_in_words(accelerators: int, workloads: int, seconds: float) -> str:
    """
    >>> stop_in_words(12, 3, 330)
    '12 accelerators of up to 3 workloads will stop for up to 6 minutes.'
    >>> stop_in_words(0, 3, 330)
    'Nothing has to stop for that.'
    """
    if accelerators <= 0:
        return "Nothing has to stop for that."
    whose, long = counted(workloads, "workload"), counted(math.ceil(seconds / 60), "minute")
    return f"{counted(accelerators, 'accelerator')} of up to {whose} will stop for up to {long}."


@dataclass(frozen=True)
class Check:
    """One promise, what was seen of it, and whether it was kept; None where nothing could be seen of it."""

    promise: str
    seen: str
    kept: bool | None
    figures: dict[str, float] = field(default_factory=dict)
    """What was measured, each by a name that ends in its unit."""


@dataclass(frozen=True)
class Outcome:
    """What a drill did, and what came of it."""

    drill: str
    promise: str
    did: str
    checks: tuple[Check, ...]
    undone: tuple[str, ...]
    stopped: tuple[Stopped, ...] = ()
    """Work of others that was told to stop or wait meanwhile."""

    @property
    def kept(self) -> bool:
        """Whether nothing that was promised was seen to be broken."""
        return all(check.kept is not False for check in self.checks)


@dataclass(frozen=True)
class Options:
    """What a person asked for."""

    site: str | None = None
    pool: str | None = None
    hours: float = 3.0
    with_work: bool = True


@dataclass(frozen=True)
class Clock:
    """The daemon's clock, as it is seen from here."""

    at: datetime
    seen_s: float
    speed: float
    simulated: bool

    def now(self) -> datetime:
        """The daemon's moment."""
        return self.at + timedelta(seconds=(time.monotonic() - self.seen_s) * self.speed)

    def real_s(self, clock_s: float) -> float:
        """Seconds of the daemon's clock in real ones."""
        return clock_s / self.speed


class Drill(Protocol):
    """One drill on one daemon."""

    promise: str

    def prepare(self) -> str:
        """What it will do, and to which work; nothing is done yet. Raises NotReady where it cannot be played."""
        ...

    def run(self) -> Iterator[Check]:
        """Do it."""
        ...


class Scene:
    """The daemon that a drill is played on. `undo` holds what takes back what was done; `close` does it."""

    def __init__(self, client: Client, options: Options, tell: Tell = lambda what, share: None) -> None:
        self.client, self.options, self.tell = client, options, tell
        self.health = client.health()
        self.clock = Clock(
            datetime.fromisoformat(self.health["now"]),
            time.monotonic(),
            self.health["speed"],
            self.health["simulated_clock"],
        )
        self.hold_s = float(self.health["guard_hold_s"])
        self.max_age_s = float(self.health["telemetry_max_age_s"])
        self.undone: list[str] = []
        self.own: set[str] = set()
        """Workloads that the drill handed in."""
        self._last_event_id: int | None = None
        self._undo = ExitStack()
        self._played: set[PoolKey] = set()
        self._told: set[PoolKey] = set()
        self._over_at: datetime | None = None

    # What is there ---------------------------------------------------------------------------------------

    @cached_property
    def fleet(self) -> Fleet:
        """As the plan in force was made for. Raises NotReady."""
        from shifter.files import parse_fleet

        found: Json = self.client.plan_inputs(self.client.plan()["plan_id"])["fleet"]
        return parse_fleet(found)

    @cached_property
    def pools(self) -> tuple[PoolKey, ...]:
        """Those that were asked for. Raises NotFound."""
        site, pool = self.options.site, self.options.pool
        if site is not None and site not in self.fleet.by_site:
            known = ", ".join(self.fleet.by_site)
            raise NotFound(f"there is no site {site}.", field="--site", hint=f"Sites are {known}.")
        found = tuple(key for key in self.fleet.pools if site in (None, key[0]) and pool in (None, key[1]))
        if not found:
            known = ", ".join(f"{s}/{p}" for s, p in self.fleet.pools)
            raise NotFound(f"there is no pool {pool}.", field="--pool", hint=f"Pools are {known}.")
        return found

    def capacity(self, key: PoolKey) -> Json:
        """Of a pool, now."""
        return self.client.capacity(*key)

    def row(self, key: PoolKey) -> Json:
        """What the plan holds in a pool now. Raises NotReady."""
        now = self.clock.now()
        rows = self.client.slots(*key, start=now, end=now + timedelta(seconds=1))
        if not rows:
            raise NotReady("the plan does not reach this moment.", hint="See `shifter status`.")
        return rows[0]

    def feasible(self) -> dict[str, Json]:
        """Live deferrable workloads, by id."""
        views = self.client.workloads(limit=100_000, decided="deferrable")
        return {v["id"]: v for v in views if v["state"] in {"accepted", "planned", "running", "late"}}

    # What is done ----------------------------------------------------------------------------------------

    def say(
        self, key: PoolKey, load: float | None = None, there: int | None = None, at: datetime | None = None
    ) -> Json:
        """A sample of a pool, marked as played."""
        sample = {
            "site": key[0],
            "pool": key[1],
            "at": (at or self.clock.now()).isoformat(),
            "realtime_accelerators": load,
            "available_accelerators": there,
            "drill": True,
        }
        return {name: value for name, value in sample.items() if value is not None}

    def play(self, *samples: Json) -> None:
        """Send them; that they are taken back is seen to first."""
        for key in {(s["site"], s["pool"]) for s in samples} - self._played:
            self._played.add(key)
            self.undoing(f"what was played of {key[0]}/{key[1]} is forgotten", partial(self._over, key))
        self._send(samples)

    def _over(self, key: PoolKey) -> None:
        self._played.discard(key)
        self._send([self.say(key)])

    def _send(self, samples: Sequence[Json]) -> None:
        for s in samples:
            key = (s["site"], s["pool"])
            if "realtime_accelerators" in s or "available_accelerators" in s:
                self._told.add(key)
            elif key in self._told:
                self._told.discard(key)
                self._over_at = self.clock.now()
        self.client.telemetry(samples)

    def undoing(self, what: str, how: Callable[[], Any]) -> None:
        """Do this at the end, whatever happens until then; the last is done first."""

        def undo() -> None:
            how()
            self.undone.append(what)

        self._undo.callback(undo)

    def close(self) -> None:
        """Take back what was done. Raises what the last of it that failed raised, after all was tried."""
        self._undo.close()

    def settle(self) -> None:
        """Wait for a plan that knows nothing more of what was played, for so long as it may well take: whoever looks
        next, or plays the next drill, finds the daemon as it was.
        """
        if self._over_at is not None:
            self.wait_for_plan(self._over_at, SETTLED_S)

    def begin(self) -> None:
        """From now on, what is told to stop counts."""
        newest = self.client.newest_events(1)
        self._last_event_id = newest[-1]["id"] if newest else 0

    def stopped(self) -> tuple[Stopped, ...]:
        """Work of others that was told to stop or wait since it began."""
        since = self._last_event_id
        return () if since is None else stopped_since(self.client, since, self.own)

    # Waiting ---------------------------------------------------------------------------------------------

    def wait_for_plan(
        self, since: datetime, within_s: float = 60.0, counts: Mapping[PoolKey, int] | None = None
    ) -> Json | None:
        """The first plan that was begun after a moment and has so many accelerators in these pools now; None where
        none came within so many real seconds. One may have been begun for another reason before they counted.
        """
        wanted = counts or {}
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            with suppress(NotReady):
                plan = self.client.plan()
                if datetime.fromisoformat(plan["created_at"]) >= since and all(
                    self.row(key)["count"] == n for key, n in wanted.items()
                ):
                    return plan
            self.tell("a new plan", 1 - (ends - time.monotonic()) / within_s)
            time.sleep(0.1)
        return None


@contextmanager
def played(scene: Scene) -> Iterator[Scene]:
    """A scene that is left as it was found. What cannot be taken back is told, with when it ends by itself."""
    scene.begin()
    try:
        yield scene
    finally:
        try:
            scene.close()
        except ShifterError as error:
            error.add_note(
                "Not all of the drill could be taken back. What it told of load and hardware is forgotten an hour "
                "later; see `shifter grid-events list` and `shifter workloads` for what else it left."
            )
            raise
    scene.settle()
