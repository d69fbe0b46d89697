"""`lose-domain`: the largest failure domains of a pool are lost, as many as its site says that it survives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from shifter.drills.base import Check, Scene, counted, stop_in_words
from shifter.drills.stream import listening
from shifter.drills.surge import HIGH_REAL_S, HIGH_S
from shifter.drills.target import (
    OWN,
    Target,
    again,
    beside_load,
    fresh,
    targets,
    told_of_own_work,
    with_own_work,
)
from shifter.drills.watched import Watched, never_over, no_flutter, on_time, stopped_at_once, taken_back
from shifter.errors import NotReady


class LoseDomain:
    """See the module."""

    promise = (
        "When failure domains are lost, real-time load keeps what it needs, and plans count without them."
    )

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> str:
        """See `Drill`."""
        found = sorted(
            targets(self.scene), key=lambda t: (t.stale, t.there - self._lost(t) - t.load - t.let_in)
        )
        self._target = t = fresh(found[0])
        lost, domains = self._lost(t), self._domains(t)
        stops = t.stops(t.load, t.there - lost)
        self._own = self._own_work(t)
        work = (
            told_of_own_work(self.scene, self._own)
            if self._own
            else stop_in_words(stops, len(t.victims), self._high_s + self.scene.hold_s)
        )
        return (
            f"{t.name} is told to have lost {lost} of its {t.there} accelerators "
            f"({counted(domains, 'failure domain')}). {work}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene, target = self.scene, again(self.scene, self._target)
        if self._own and not target.yields:
            with suppress(NotReady):  # then nothing has to stop
                with_own_work(scene, [target.key], lambda t: min(self._own, self._own_work(t)))
            target = again(scene, target)
        left = target.there - self._lost(target)
        before, asked = scene.feasible(), scene.clock.now()
        with listening(scene.client.base_url, list(target.victims)[:5]) as ears:
            watched = Watched(scene, [target.key])

            def lost(_: float) -> list[dict[str, object]]:
                return [scene.say(target.key, there=left)]

            watched.look("domains are lost", self._high_s, lost)
            yield self._still_held(target, left)
            yield stopped_at_once(ears, watched, {target.key: target.stops(target.load, left)})
            yield never_over(watched)
            yield taken_back(ears, watched)
            yield self._planned_with(asked, target, left, "A new plan counts without them")
            back = scene.clock.now()
            # They count once they have been there for the whole hold.
            back_s = scene.hold_s + self._high_s
            watched.look("domains are back", back_s, lambda _: [scene.say(target.key, there=target.there)])
            yield self._planned_with(back, target, target.there, "A new plan counts with them again")
            yield no_flutter(ears, watched, target.key)
            yield on_time(scene, before, ears, watched.begun_s)

    @property
    def _high_s(self) -> float:
        return max(HIGH_S, HIGH_REAL_S * self.scene.clock.speed)

    def _own_work(self, target: Target) -> int:
        """Accelerators of its own work, so many that some of them have to stop; 0 where none is brought, and where
        there is no room for so many, as in a strict site, which plans nothing in the margin.
        """
        if target.yields or not self.scene.options.with_work:
            return 0
        unharmed = math.floor(target.there - self._lost(target) - target.load - target.let_in)
        wide = min(beside_load(self.scene, target), unharmed + OWN)
        return wide if wide > unharmed else 0

    def _domains(self, target: Target) -> int:
        site, pool = self.scene.fleet.pools[target.key]
        return min(max(1, site.resilience.lose_domains), len(pool.domain_sizes))

    def _lost(self, target: Target) -> int:
        """Accelerators of the largest domains; no more than there are."""
        _, pool = self.scene.fleet.pools[target.key]
        sizes = sorted(pool.domain_sizes, reverse=True)[: self._domains(target)]
        return min(target.there, math.ceil(sum(sizes)))

    def _still_held(self, target: Target, left: int) -> Check:
        site, _ = self.scene.fleet.pools[target.key]
        promise = "What is left holds real-time load at its quantile"
        seen = f"{left} are left for {target.quantile:.1f} (p{100 * site.resilience.quantile:g})"
        asked = site.resilience.lose_domains > 0
        if not asked:
            seen += f"; {site.name} does not ask for the loss of a domain to be survived"
        kept: bool | None = left >= target.quantile - 1e-6 if asked else None
        over = target.load - left
        if target.metered and over > 1e-6:
            kept = None
            seen += f"; the load of this moment is more than is left by {over:.1f}: no reserve could hold it"
        return Check(promise, seen, kept, {"left": left, "quantile": round(target.quantile, 3)})

    def _planned_with(self, since: datetime, target: Target, count: int, promise: str) -> Check:
        plan = self.scene.wait_for_plan(since, counts={target.key: count})
        row = self.scene.row(target.key)
        seen = f"the plan's slot has {row['count']} accelerators, {count} are there"
        return Check(promise, seen if plan is not None else f"after a minute, {seen}", plan is not None)
