"""`flap`: accelerators of a pool come and go every few seconds, then its load does; work must follow neither."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from shifter.connection import Json
from shifter.drills.base import Check, Scene, counted, stop_in_words
from shifter.drills.stream import Ears, listening
from shifter.drills.surge import surge_of
from shifter.drills.target import Target, again, busiest, told_of_own_work, with_own_work
from shifter.drills.watched import (
    LATELY_S,
    Watched,
    back_after_hold,
    never_over,
    no_flutter,
    on_time,
    stopped_at_once,
)

UP_DOWN_S = 10.0
"""[s of the daemon's clock] Of one level, and then of the other; a quarter of the hold where that is shorter."""
HOLDS = 1.5
"""Each part lasts for so many holds."""


class Flap:
    """See the module."""

    promise = "Whatever flutters, nothing is stopped and let in again more often than once in a hold."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._target: Target | None = None

    def prepare(self) -> str:
        """See `Drill`."""
        self._target = busiest(self.scene)
        if self._target is None:
            return told_of_own_work(self.scene)
        t, load = self._target, surge_of(self._target)
        stops = max(t.stops(load, t.there), t.stops(t.load, left_of(t)))
        for_s = (2 * HOLDS + 1) * self.scene.hold_s
        return (
            f"{t.name} is told to have {left_of(t)} and {t.there} accelerators in turn, and then {load:g} and "
            f"{t.expected:.0f} of real-time load. {stop_in_words(stops, len(t.victims), for_s)}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        target = again(scene, self._target) if self._target else with_own_work(scene)
        before, begun_s = scene.feasible(), time.monotonic()
        with listening(scene.client.base_url) as ears:
            yield from _named("hardware", self._hardware(target, ears))
            yield from _named("load", self._load(again(scene, target), ears))
            yield on_time(scene, before, ears, begun_s)

    def _hardware(self, target: Target, ears: Ears) -> Iterator[Check]:
        """Accelerators come and go, and then they stay."""
        scene, key, left = self.scene, target.key, left_of(target)
        watched = Watched(scene, [key])
        yield _in_turn(
            watched,
            "Accelerators come and go",
            f"{left} and {target.there}",
            lambda first: scene.say(key, there=left if first else target.there),
        )
        lately_s = (LATELY_S + 4 * watched.step_s) * scene.clock.speed
        stay = [scene.say(key, there=target.there)]
        watched.look(
            "accelerators stay", scene.hold_s + lately_s, lambda _: stay, lambda m: m.there[key] > left
        )
        watched.look("work is back", lately_s, lambda _: stay, lambda m: m.let_in[key] >= target.let_in)
        yield stopped_at_once(ears, watched, {key: target.stops(target.load, left)})
        yield back_after_hold(watched, key, left)
        yield never_over(watched)
        yield no_flutter(ears, watched, key)

    def _load(self, target: Target, ears: Ears) -> Iterator[Check]:
        """Load goes up and down."""
        scene, key = self.scene, target.key
        high, low = surge_of(target), min(target.load, target.expected)
        watched = Watched(scene, [key])
        yield _in_turn(
            watched,
            "Load goes up and down",
            f"{low:.0f} and {high:g}",
            lambda first: scene.say(key, high if first else low),
        )
        yield stopped_at_once(ears, watched, {key: target.stops(high, target.there)})
        yield never_over(watched)
        yield no_flutter(ears, watched, key)


def _in_turn(watched: Watched, what: str, between: str, sample: Callable[[bool], Json]) -> Check:
    """Tell the one and the other in turn, for `HOLDS`."""
    scene = watched.scene
    each_s = max(min(UP_DOWN_S, scene.hold_s / 4), 2 * watched.step_s * scene.clock.speed)
    turns = 0

    def samples(since_s: float) -> list[Json]:
        nonlocal turns
        turns = int(since_s // each_s)
        return [sample(turns % 2 == 0)]

    watched.look(what, max(HOLDS * scene.hold_s, 4 * each_s), samples)
    seen = f"{counted(turns + 1, 'turn')} of {each_s:.0f} s between {between}"
    return Check(f"{what}, as it was to be", seen, turns > 1)


def left_of(target: Target) -> int:
    """So few accelerators that half of what may yield must, and enough for load and what stays."""
    enough = math.ceil(target.load) + target.let_in - math.ceil(target.yields / 2)
    return max(0, min(target.there - 1, enough))


def _named(part: str, checks: Iterable[Check]) -> Iterator[Check]:
    for check in checks:
        yield replace(check, promise=f"{check.promise} ({part})")
