"""`flap`: real-time load of a pool goes up and down every few seconds; work must not follow it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shifter.drills.base import Check, Scene, counted, stop_in_words
from shifter.drills.stream import listening
from shifter.drills.surge import surge_of
from shifter.drills.target import Target, again, busiest, told_of_own_work, with_own_work
from shifter.drills.watched import Watched, never_over, no_flutter, on_time, stopped_at_once

UP_DOWN_S = 10.0
"""[s of the daemon's clock] Of load up, and then of load down."""
HOLDS = 1.5
"""For so many holds."""


class Flap:
    """See the module."""

    promise = "However load flutters, nothing is stopped and let in again more often than once in a hold."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._target: Target | None = None

    def prepare(self) -> str:
        """See `Drill`."""
        self._target = busiest(self.scene)
        if self._target is None:
            return told_of_own_work(self.scene)
        t, load = self._target, surge_of(self._target)
        stops = min(t.yields, math.ceil(load + t.let_in - t.there))
        return (
            f"Real-time load of {t.name} is told as {load:g} and as {t.expected:.0f} accelerators in turn. "
            f"{stop_in_words(stops, len(t.victims), (HOLDS + 1) * self.scene.hold_s)}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        target = again(scene, self._target) if self._target else with_own_work(scene)
        before, high, low = scene.feasible(), surge_of(target), min(target.load, target.expected)
        turns = 0
        with listening(scene.client.base_url) as ears:
            watched = Watched(scene, [target.key])
            each_s = max(UP_DOWN_S, 2 * watched.step_s * scene.clock.speed)

            def samples(since_s: float) -> list[dict[str, object]]:
                nonlocal turns
                turns = int(since_s // each_s)
                return [scene.say(target.key, low if turns % 2 else high)]

            watched.look("load goes up and down", max(HOLDS * scene.hold_s, 4 * each_s), samples)
            promise = "Load went up and down, as it was to be"
            yield Check(
                promise,
                f"{counted(turns + 1, 'turn')} of {each_s:.0f} s between {low:.0f} and {high:g}",
                turns > 1,
            )
            yield stopped_at_once(ears, watched, {target.key: math.ceil(high + target.let_in - target.there)})
            yield never_over(watched, {target.key: target.stays})
            yield no_flutter(ears, watched, target.key)
            yield on_time(scene, before, ears, watched.begun_s)
