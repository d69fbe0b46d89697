"""`lose-site`: all accelerators of a site are lost, and its real-time load comes to the sites that are left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress

from shifter.connection import Json
from shifter.domain.failover import Loss, carried, losses
from shifter.domain.fleet import PoolKey
from shifter.drills.base import Check, Scene, counted, stop_in_words
from shifter.drills.stream import Ears, listening
from shifter.drills.surge import HIGH_REAL_S, HIGH_S
from shifter.drills.target import OWN, Target, beside_load, targets, told_of_own_work, with_own_work
from shifter.drills.watched import (
    Watched,
    never_over,
    no_more_in_time,
    on_time,
    some,
    stopped_at_once,
    unnamed,
)
from shifter.errors import InputError, NotReady

Kinds = defaultdict[str, float]
"""Accelerators of each kind."""


def of_kinds(accelerators: Mapping[str, float]) -> str:
    """Each kind in its own number: an accelerator of one is no accelerator of another.

    >>> of_kinds({"H100": 34.2, "L40S": 23.7}), of_kinds({"H100": 0.0})
    ('34.2 H100 + 23.7 L40S', 'nothing')
    """
    return " + ".join(f"{n:.1f} {kind}" for kind, n in accelerators.items() if n > 1e-3) or "nothing"


class LoseSite:
    """See the module."""

    promise = (
        "When a site is lost, those that take over hold its real-time load, and deferrable work makes room."
    )

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> str:
        """See `Drill`. Raises InputError for a pool, NotReady where there is no other site."""
        scene = self.scene
        if scene.options.pool is not None:
            raise InputError("a whole site is lost.", field="--pool", hint="Give --site alone.")
        if len(scene.fleet.sites) < 2:
            raise NotReady(
                "the fleet has one site, so nothing is left to take over.", hint="Play `lose-domain`."
            )
        self._loss = self._chosen()
        name = self._loss.sites[0] if self._loss else scene.pools[0][0]
        self._sites = self._loss.sites if self._loss else (name,)
        self._look()
        self._brings = scene.options.with_work and any(map(self._own_work, self._lost.values()))
        stops = sum(t.yields for t in self._lost.values()) + sum(
            t.stops(t.load + self._more[k], t.there) for k, t in self._left.items()
        )
        workloads = {i for t in (*self._lost.values(), *self._left.values()) for i in t.victims}
        where = ", ".join(
            f"{self._more[k]:.1f} in {t.name}" for k, t in self._left.items() if self._more[k] > 0
        )
        words = told_of_own_work(scene) if self._brings else ""
        if stops or not self._brings:
            words += " " * bool(words) + stop_in_words(stops, len(workloads), self._high_s + scene.hold_s)
        return (
            f"All accelerators of {', '.join(self._sites)} are told to be lost, and its real-time load is told "
            f"elsewhere ({where or 'it has none'}). {words}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        if self._brings:
            with suppress(NotReady):  # then nothing has to stop there
                with_own_work(scene, list(self._lost), self._own_work)
        self._look()
        before, asked = scene.feasible(), scene.clock.now()
        keys = [*self._lost, *self._left]
        yield self._held()
        with listening(scene.client.base_url) as ears:
            watched = Watched(scene, keys)

            def lost(_: float) -> list[dict[str, object]]:
                gone = [scene.say(key, there=0) for key in self._lost]
                return gone + [
                    scene.say(k, t.load + self._more[k]) for k, t in self._left.items() if self._more[k] > 0
                ]

            watched.look("the site is lost", self._high_s, lost)
            must = {k: t.yields for k, t in self._lost.items()}
            must |= {k: t.stops(t.load + self._more[k], t.there) for k, t in self._left.items()}
            yield stopped_at_once(ears, watched, must)
            yield never_over(watched)
            plan = scene.wait_for_plan(asked, counts=dict.fromkeys(self._lost, 0))
            yield self._planned_elsewhere(plan, before, ears, watched.begun_s)
        for key in keys:
            scene.play(scene.say(key))  # it is back
        there = {key: t.there for key, t in self._lost.items()}
        back = scene.wait_for_plan(scene.clock.now(), counts=there)
        seen = f"{counted(sum(there.values()), 'accelerator')} are there"
        seen += " and in the plan" if back is not None else "; after a minute, no plan counts with them"
        yield Check("A new plan has it again", seen, back is not None)
        yield on_time(scene, before, ears, watched.begun_s)

    @property
    def _high_s(self) -> float:
        return max(HIGH_S, HIGH_REAL_S * self.scene.clock.speed)

    def _chosen(self) -> Loss | None:
        """The loss that a failover group survives, of the site that was asked for, or the first; None: no group."""
        site = self.scene.options.site
        return next((loss for loss in losses(self.scene.fleet) if site is None or site in loss.sites), None)

    def _look(self) -> None:
        """Which pools are lost, which are left, and what these are given, as they are now."""
        fleet = self.scene.fleet
        found = {t.key: t for t in targets(self.scene, fleet.pools)}
        self._lost = {key: t for key, t in found.items() if key[0] in self._sites}
        takers = self._loss.left(fleet) if self._loss else [k for k in found if k not in self._lost]
        self._left = {key: found[key] for key in takers if not found[key].stale}
        self._more, self._beyond, self._nowhere = self._taken_over()

    def _own_work(self, target: Target) -> int:
        """Accelerators of its own work, where nothing at the lost site may be preempted."""
        if any(t.yields for t in self._lost.values()):
            return 0
        return min(OWN, beside_load(self.scene, target))

    def _taken_over(self) -> tuple[Mapping[PoolKey, float], Kinds, Kinds]:
        """What each pool that is left is given; and of what is lost, by its kind, what finds room there beyond what is
        held, and what finds none: reserves first, then what is free.
        """
        fleet, more = self.scene.fleet, dict.fromkeys(self._left, 0.0)
        beyond, nowhere = Kinds(float), Kinds(float)
        for key, gone in self._lost.items():
            kind, need = fleet.pools[key][1].accelerator, min(gone.load, gone.count)
            for held_only in (True, False):
                for k, t in self._left.items():
                    by = self._carries(kind, fleet.pools[k][1].accelerator)
                    most = t.there - t.stays - t.load
                    room = (min(t.reserved - t.load, most) if held_only else most) - more[k]
                    if by <= 0 or room <= 0 or need <= 1e-9:
                        continue
                    gives = min(need, room * by)
                    need, more[k] = need - gives, more[k] + gives / by
                    beyond[kind] += 0.0 if held_only else gives
            nowhere[kind] += max(0.0, need)
        return more, beyond, nowhere

    def _carries(self, lost: str, by: str) -> float:
        """What one accelerator of a kind stands for of a lost one."""
        if self._loss is not None:
            return carried(self.scene.fleet, self._loss.group, lost, by)
        return 1.0 if lost == by else 0.0

    def _held(self) -> Check:
        """What the plan's reserves hold for it; None where the plan said beforehand that nobody holds all of it."""
        sites = ", ".join(self._sites)
        promise = f"What the others hold carries the real-time load of {sites}"
        asked, room = Kinds(float), Kinds(float)
        for (site, pool), t in self._lost.items():
            asked[self.scene.fleet.pools[site, pool][1].accelerator] += min(t.load, t.count)
        if self._loss is None:
            room |= {kind: asked[kind] - self._nowhere[kind] for kind in asked}
            return Check(
                promise,
                f"no failover group has {sites}, so nothing is held for its load of {of_kinds(asked)}; "
                f"room is found all the same for {of_kinds(room)}",
                None,
            )
        seen = f"load of {of_kinds(asked)}; without room: {of_kinds(self._nowhere)}; beyond what is held: "
        seen += of_kinds(self._beyond)
        missing = sum(self._nowhere.values()) + sum(self._beyond.values())
        kept: bool | None = missing <= 1e-3
        if not kept and (said := self._said_beforehand(self._loss)):
            seen, kept = f"{seen}; the plan said beforehand: {said}", None
        return Check(promise, seen, kept, {"missing_accelerators": round(missing, 3)})

    def _said_beforehand(self, loss: Loss) -> str:
        """What the plan in force says of this loss, where it does not say that all of it is held; else nothing."""
        wanted = (loss.group.survive, loss.name, loss.group.name)
        for one in (self.scene.client.plan().get("resilience") or {}).get("promises", ()):
            if (one["kind"], one["name"], one["group"]) == wanted:
                if one["missing_accelerators"] is None:
                    return f"{one['text']}; whether all of it is held, nobody knows"
                return str(one["text"]) if one["missing_slots"] else ""
        return ""

    def _planned_elsewhere(
        self, plan: Json | None, before: Mapping[str, Json], ears: Ears, since_s: float
    ) -> Check:
        """That no work is planned where nothing is, in the slots after the one that runs."""
        promise = "Deferrable work of the lost site is moved, or named"
        if plan is None:
            return Check(promise, "no plan without it came within a minute", False)
        rows = [row for key in self._lost for row in self.scene.client.slots(*key)]
        still = sum(row["deferrable"] for row in rows if row["start"] > self.scene.clock.now().isoformat())
        cannot = no_more_in_time(before, self.scene.feasible())
        silent = unnamed(self.scene, cannot, ears, since_s)
        seen = f"{still:g} accelerators are planned there; {counted(len(cannot), 'workload')} cannot be done in time"
        seen += f", and nobody named why: {some(silent)}" if silent else ""
        stays = sum(t.stays for t in targets(self.scene, list(self._lost)))
        return Check(promise, seen, not silent and still <= stays * len(rows))
