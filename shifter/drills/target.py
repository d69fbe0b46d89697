"""What a drill aims at: a pool, what is let in there, and who of that would yield."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from shifter.domain.fleet import PoolKey
from shifter.drills.base import Scene, counted
from shifter.errors import Conflict, NotFound, NotReady

MOST_ASKED = 1000
"""Running workloads whose admission is looked at; what others hold is taken for work that stays."""
OWN = 4
"""Accelerators of the drill's own work."""
OWN_FOR = timedelta(hours=2)
ROUNDING = 1e-6
SLACK_REAL_S = 2.0
"""[real s] In which its plan is made."""
PLACED_S = 30.0
"""[real s] In which it is let in."""


@dataclass(frozen=True)
class Target:
    """A pool at the moment when a drill looked at it [accelerators]."""

    key: PoolKey
    count: int
    there: int
    let_in: int
    load: float
    """Real-time load: measured, or expected at the quantile."""
    expected: float
    """Its median, by the plan."""
    quantile: float
    reserved: float
    victims: Mapping[str, int]
    """Of what is let in, that of work that may be preempted, by workload."""
    stale: bool
    metered: bool = True
    """Whether `load` was measured."""

    @property
    def name(self) -> str:
        """For a person."""
        return "/".join(self.key)

    @property
    def yields(self) -> int:
        """What may yield in all."""
        return sum(self.victims.values())

    @property
    def stays(self) -> int:
        """What runs and may not be stopped, or whose it is was not looked at."""
        return max(0, self.let_in - self.yields)

    def stops(self, load: float, there: int) -> int:
        """Of what may yield, what has to where load is so high and so many accelerators are there."""
        return max(0, min(self.yields, math.ceil(load + self.let_in - there - ROUNDING)))


def targets(scene: Scene, keys: Collection[PoolKey] | None = None) -> list[Target]:
    """These pools, or those that were asked for, the one where most may yield first."""
    let_in: dict[PoolKey, dict[str, int]] = {}
    for view in scene.client.workloads(state="running", decided="deferrable", limit=MOST_ASKED):
        if view["workload"]["preemptible"]:
            for a in scene.client.admission(view["id"])["allocations"]:
                of = let_in.setdefault((a["site"], a["pool"]), {})
                of[view["id"]] = of.get(view["id"], 0) + a["accelerators"]
    found = [_target(scene, key, let_in.get(key, {})) for key in keys or scene.pools]
    return sorted(found, key=lambda t: (t.stale, -t.yields, t.key))


def _target(scene: Scene, key: PoolKey, victims: Mapping[str, int]) -> Target:
    now, row = scene.capacity(key), scene.row(key)
    return Target(
        key=key,
        count=now["count"],
        there=now["available_accelerators"],
        let_in=max(now["deferrable_accelerators"], sum(victims.values())),  # it may have been let in just now
        load=now["realtime_accelerators"],
        expected=row["realtime_p50"],
        quantile=row["realtime_q"],
        reserved=row["reserved"],
        victims=victims,
        stale=now["stale"],
        metered=now["last_sample_at"] is not None,
    )


def again(scene: Scene, target: Target) -> Target:
    """The same pool, as it is now: a plan may have come since."""
    return next(t for t in targets(scene) if t.key == target.key)


def fresh(target: Target) -> Target:
    """The same, if its figures can be trusted. Raises NotReady."""
    if target.stale:
        raise NotReady(
            f"the figures of {target.name} are stale: its meter is silent, or nobody renews the plan.",
            hint="See `shifter status`; a drill on top of a failure shows nothing.",
        )
    return target


def busiest(scene: Scene) -> Target | None:
    """Where most may yield; None where nothing that may be preempted runs. Raises NotReady."""
    found = fresh(targets(scene)[0])
    return found if found.yields else None


def told_of_own_work(scene: Scene, most: int = OWN) -> str:
    """What is said beforehand of the work that `with_own_work` brings. Raises NotReady where none is wanted."""
    if not scene.options.with_work:
        raise NotReady(
            "nothing that may be preempted runs there now, so nothing would stop.",
            hint="Wait until something does, or let the drill bring its own: leave --no-work out.",
        )
    return (
        "Nothing that may be preempted runs there now: a workload of the drill's own, of up to "
        f"{counted(most, 'accelerator')}, is handed in, made to stop, and cancelled at the end."
    )


def outside_reserve(target: Target) -> int:
    """Accelerators for work of the drill's own, outside of what is held for real-time load."""
    return min(OWN, int(target.there - target.reserved) - target.let_in)


def beside_load(scene: Scene, target: Target) -> int:
    """Accelerators that are free for work that may be preempted, the margin included where it may stand there."""
    site, _ = scene.fleet.pools[target.key]
    kept = site.resilience.kept(max(target.quantile, target.load), target.reserved)
    return 0 if target.stale else max(0, int(target.there - kept + 1e-6) - target.let_in)


def with_own_work(
    scene: Scene,
    keys: Sequence[PoolKey] | None = None,
    wide: Callable[[Target], int] = outside_reserve,
) -> Target:
    """Hand in work that has to run now, as `wide` as that says, in one of these pools or of those that were asked for,
    and wait until it is let in. Raises NotReady where it is not.
    """
    place = next((t for t in targets(scene, keys) if not t.stale and wide(t) >= 1), None)
    if place is not None:
        workload_id = _submitted(scene, place, {key[0] for key in keys or scene.pools}, wide(place))
        ends = time.monotonic() + PLACED_S
        while time.monotonic() < ends:
            scene.tell("work of its own is let in", 1 - (ends - time.monotonic()) / PLACED_S)
            for found in targets(scene, keys):
                if workload_id in found.victims:
                    return found
            time.sleep(0.1)
    raise NotReady(
        "no room was found for work of the drill's own, outside of what real-time load holds.",
        hint="Name another pool with --site and --pool, or come when there is less to do.",
    )


def _cancel(scene: Scene, workload_id: str) -> None:
    with suppress(NotFound, Conflict):  # it was not taken, or is done
        scene.client.cancel(workload_id)


def _submitted(scene: Scene, target: Target, sites: Collection[str], accelerators: int) -> str:
    site, pool = scene.fleet.pools[target.key]
    hours = (
        OWN_FOR / timedelta(hours=1) - SLACK_REAL_S * scene.clock.speed / 3600
    )  # the whole window: it runs at once
    workload_id = f"drill-{uuid.uuid4().hex[:8]}"
    scene.own.add(workload_id)
    scene.undoing(f"workload {workload_id} is cancelled", lambda: _cancel(scene, workload_id))
    scene.client.submit(
        [
            {
                "id": workload_id,
                "tenant": "drill",
                "accelerator_hours": round(accelerators * hours, 3),
                "sites": sorted(sites),
                "accelerators": [pool.accelerator],
                "max_accelerators": accelerators,
                "deadline": (scene.clock.now() + OWN_FOR).isoformat(),
                "data_boundary": [site.jurisdiction],
                "preemptible": True,
                "mode": "batch",
                "cost_of_failure": "low",
            }
        ]
    )
    return workload_id
