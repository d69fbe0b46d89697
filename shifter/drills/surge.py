"""`surge`: real-time load of a pool is twice what is expected, or as much as makes work yield, for a while."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from shifter.connection import Json
from shifter.domain.fleet import PoolKey
from shifter.drills.base import Check, Scene, stop_in_words
from shifter.drills.stream import listening
from shifter.drills.target import Target, again, busiest, told_of_own_work, with_own_work
from shifter.drills.watched import (
    LATELY_S,
    Watched,
    never_over,
    no_flutter,
    on_time,
    returned_after_hold,
    stopped_at_once,
    taken_back,
)

HIGH_S, HIGH_REAL_S = 30.0, 1.0
"""[s of the daemon's clock, and real s] So long load stays high, whichever is longer."""
AFTER_REAL_S = 1.0
"""[real s] It is watched for so much longer, or for another hold where that is shorter."""


class Surge:
    """See the module."""

    promise = "Real-time load is never refused for deferrable work: what may be preempted yields at once."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._target: Target | None = None

    def prepare(self) -> str:
        """See `Drill`."""
        scene, self._target = self.scene, busiest(self.scene)
        if self._target is None:
            return told_of_own_work(scene)
        t, load = self._target, surge_of(self._target)
        stops = t.stops(load, t.there)
        return (
            f"Real-time load of {t.name} is told as {load:g} accelerators instead of {t.load:.0f}. "
            f"{stop_in_words(stops, len(t.victims), self._high_s + scene.hold_s)}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        target = again(scene, self._target) if self._target else with_own_work(scene)
        before, load, asked = scene.feasible(), surge_of(target), scene.clock.now()
        with listening(scene.client.base_url, list(target.victims)[:5]) as ears:
            watched = Watched(scene, [target.key])
            watched.look("load is high", self._high_s, lambda _: [scene.say(target.key, load)])
            low_from_s = watched.moments[-1].clock_s
            within_s = scene.hold_s + LATELY_S * scene.clock.speed + 4 * watched.step_s * scene.clock.speed
            low = min(target.load, target.expected)
            low_again = partial(_told, scene, target.key, low)
            watched.look("load is low again", within_s, low_again, lambda m: m.level[target.key] < load)
            watched.look("work is back", min(scene.hold_s, AFTER_REAL_S * scene.clock.speed), low_again)
            scene.wait_for_plan(asked)
            yield stopped_at_once(ears, watched, {target.key: target.stops(load, target.there)})
            yield never_over(watched)
            yield taken_back(ears, watched)
            yield returned_after_hold(watched, target, load, low_from_s)
            yield no_flutter(ears, watched, target.key)
            yield on_time(scene, before, ears, watched.begun_s)

    @property
    def _high_s(self) -> float:
        return max(HIGH_S, HIGH_REAL_S * self.scene.clock.speed)


def _told(scene: Scene, key: PoolKey, load: float, _: float) -> list[Json]:
    return [scene.say(key, load)]


def surge_of(target: Target) -> float:
    """Twice what is expected; at least so much that half of what may yield must, and no more than leaves what stays."""
    enough = target.there - target.let_in + math.ceil(target.yields / 2)
    return float(min(max(math.ceil(2 * target.expected), enough), target.there - target.stays))
