"""`silence`: a meter that reported falls silent. That reads neither as no demand nor as free capacity."""

from __future__ import annotations

import time
from collections.abc import Iterator

from shifter.drills.base import Check, Scene, counted
from shifter.drills.stream import listening
from shifter.drills.target import fresh, targets
from shifter.drills.watched import LATELY_S, Watched, never_over
from shifter.errors import NotReady

BEAT_S = 5.0
"""[real s] The daemon looks for silent meters at least this often."""


class Silence:
    """See the module."""

    promise = "A meter that falls silent reads neither as no demand nor as free capacity."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> str:
        """See `Drill`. Raises NotReady where all pools have meters of their own: those cannot be silenced from here."""
        found = [t for t in targets(self.scene) if self.scene.capacity(t.key)["last_sample_at"] is None]
        if not found:
            raise NotReady(
                "every pool there has a meter that reports, and that cannot be made silent from here.",
                hint="Stop the meter of a pool for a while, and look at `shifter status` and `shifter capacity`. That "
                "of the demo is part of it: play this on a daemon without meters, as docs/concepts/demo.md shows.",
            )
        self._target = fresh(found[0])
        return (
            f"The real-time load of {self._target.name} is told once, as {self._target.load:.1f} accelerators, and "
            f"then nothing for {self.scene.max_age_s:g} s. Nothing stops, but for what that load leaves no room for."
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene, key = self.scene, self._target.key
        with listening(scene.client.base_url) as ears:
            watched = Watched(scene, [key])
            told: list[float] = []

            def once(_: float) -> list[dict[str, object]]:
                if told:
                    return []
                told.append(self._target.load)
                return [scene.say(key, self._target.load)]

            lasts = scene.max_age_s + LATELY_S * scene.clock.speed
            watched.look("the meter is silent", lasts, once, until=lambda m: m.stale[key])
            yield self._stale(watched)
            yield self._load_counts(watched)
            yield never_over(watched)
            named = self._named(time.monotonic() + BEAT_S + LATELY_S)
            promise = "The health of the daemon names the pool"
            yield Check(promise, named or "no fault names it", bool(named))
            stale = ears.since(watched.begun_s, "telemetry.stale")
            here = [h for h in stale if (h.data["site"], h.data["pool"]) == key]
            yield Check(
                "The stream of events tells it once", f"told {counted(len(here), 'time')}", len(here) == 1
            )

    def _stale(self, watched: Watched) -> Check:
        key, limit = self._target.key, self.scene.max_age_s
        promise = f"Its capacity reads as stale after {limit:g} s, and not before"
        after = next(
            (m.answered_s - watched.moments[0].clock_s for m in watched.moments if m.stale[key]), None
        )
        if after is None:
            return Check(promise, "it does not; does another meter of the pool report?", False)
        figures = {"stale_after_s": round(after, 1)}
        return Check(promise, f"stale after {after:.0f} s", after >= limit - watched.slack_s, figures)

    def _load_counts(self, watched: Watched) -> Check:
        """That no less load counts than was last told."""
        key = self._target.key
        least = min(m.level[key] for m in watched.moments)
        promise = "No less load counts than was last measured, so that nothing is free because nobody speaks"
        seen = f"never less than {least:.1f} of {self._target.load:.1f}"
        return Check(
            promise, seen, least >= self._target.load - 1e-3, {"least_accelerators": round(least, 3)}
        )

    def _named(self, until_s: float) -> str:
        name = "/".join(self._target.key)
        while True:
            faults = [f for f in self.scene.client.health()["faults"] if f.startswith(f"{name} ")]
            if faults or time.monotonic() > until_s:
                return str(faults[0]) if faults else ""
            self.scene.tell("the daemon's next beat", 0.5)
            time.sleep(0.1)
