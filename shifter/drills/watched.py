"""What was seen while real-time load pressed on pools, and what of the guard's promises that shows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shifter.connection import Json
from shifter.domain.fleet import PoolKey
from shifter.drills.base import AT_ONCE_S, Check, Scene, counted
from shifter.drills.stream import Ears
from shifter.drills.target import ROUNDING, Target, targets
from shifter.errors import NotFound, NotReady

SHORTEST_S, LONGEST_S = 0.05, 1.0
"""[real s] Between two looks."""
SLACK_REAL_S = 0.05
MOST_NAMED = 5
LATELY_S = 2.0
"""[real s] What comes within this is taken to come at once, where only the daemon's beat can tell it."""


@dataclass(frozen=True)
class Moment:
    """One look at the pools, right after they were told something: when that was said, and when it was answered
    [s of the daemon's clock].
    """

    clock_s: float
    answered_s: float
    told: Mapping[PoolKey, float]
    there: Mapping[PoolKey, int]
    let_in: Mapping[PoolKey, int]
    level: Mapping[PoolKey, float]
    """What the daemon says that real-time load is."""
    stale: Mapping[PoolKey, bool]
    told_there: Mapping[PoolKey, int] = field(default_factory=dict)
    """Accelerators that they were told to have."""
    stays: Mapping[PoolKey, int] = field(default_factory=dict)
    """Of what is let in, what may not be stopped, in pools that are over."""


@dataclass
class Watched:
    """All looks, in time."""

    scene: Scene
    keys: Sequence[PoolKey]
    begun_s: float = field(default_factory=time.monotonic)
    moments: list[Moment] = field(default_factory=list)

    @property
    def step_s(self) -> float:
        """[real s] Between two looks: a thirtieth of the hold."""
        return min(LONGEST_S, max(SHORTEST_S, self.scene.clock.real_s(self.scene.hold_s) / 30))

    @property
    def slack_s(self) -> float:
        """[s of the daemon's clock] Its clock is not known here any better."""
        return SLACK_REAL_S * self.scene.clock.speed

    @property
    def clock_s(self) -> float:
        """How long it has been watched, by the daemon's clock."""
        return (time.monotonic() - self.begun_s) * self.scene.clock.speed

    def look(
        self,
        what: str,
        for_s: float,
        samples: Callable[[float], Sequence[Json]],
        until: Callable[[Moment], bool] = lambda moment: False,
    ) -> None:
        """Tell and look, again and again for so long [s of the daemon's clock], or until something is so."""
        begun = self.clock_s
        while (since := self.clock_s - begun) < for_s:
            given = samples(since)
            if given:
                self.scene.play(*given)
            moment = self._moment(begun + since, given)
            self.moments.append(moment)
            self.moments[-1] = replace(moment, stays=self._stays(moment))
            self.scene.tell(what, since / for_s)
            if until(moment):
                return
            time.sleep(self.step_s)

    def _moment(self, said_s: float, given: Sequence[Json]) -> Moment:
        told, there = (
            {(s["site"], s["pool"]): s[name] for s in given if name in s}
            for name in ("realtime_accelerators", "available_accelerators")
        )
        now = {key: self.scene.capacity(key) for key in self.keys}
        return Moment(
            said_s,
            self.clock_s,
            told,
            {key: of["available_accelerators"] for key, of in now.items()},
            {key: of["deferrable_accelerators"] for key, of in now.items()},
            {key: of["realtime_accelerators"] for key, of in now.items()},
            {key: of["stale"] for key, of in now.items()},
            there,
        )

    def _stays(self, moment: Moment) -> Mapping[PoolKey, int]:
        """What may not be stopped, in pools that are over. It is looked at when one comes to be that: work may have
        been let in since the drill began; what is let in later, with no room there, is not excused.
        """
        before = self.moments[-2].stays if len(self.moments) > 1 else {}
        over = [key for key in self.keys if moment.let_in[key] and self.over(key, moment) > ROUNDING]
        new = [key for key in over if key not in before]
        found = {t.key: t.stays for t in targets(self.scene, new)} if new else {}
        return {key: before[key] if key in before else found[key] for key in over}

    def load(self, key: PoolKey, at: Moment) -> float:
        """What counts as load at a look, by what was told or by the daemon [accelerators]."""
        return max(self.highest_told(key, at), at.level[key])

    def over(self, key: PoolKey, at: Moment) -> float:
        """By how much load and what is let in exceed what is there [accelerators]."""
        return self.load(key, at) + at.let_in[key] - at.there[key]

    def highest_told(self, key: PoolKey, at: Moment) -> float:
        """What this drill told of a pool, at its highest, within the hold before a look was answered."""
        since = at.answered_s - self.scene.hold_s + self.slack_s
        return max(
            (m.told.get(key, 0.0) for m in self.moments if since < m.clock_s <= at.clock_s), default=0.0
        )

    def fewest_told(self, key: PoolKey, at: Moment) -> float:
        """The same of accelerators, at their fewest."""
        since = at.answered_s - self.scene.hold_s + self.slack_s
        told = (m.told_there for m in self.moments if since < m.clock_s <= at.clock_s)
        return min((there[key] for there in told if key in there), default=math.inf)


# What that shows ------------------------------------------------------------------------------------------


def stopped_at_once(ears: Ears, watched: Watched, must: Mapping[PoolKey, int]) -> Check:
    """That the stop is on the stream of events within `AT_ONCE_S`, in every pool where something had to yield."""
    promise = f"What has to stop is told so on the stream of events within {AT_ONCE_S:g} s"
    wanted = {key: n for key, n in must.items() if n > 0}
    if not wanted:
        return Check(promise, "nothing had to stop", None)
    heard: dict[PoolKey, tuple[float, int]] = {}
    for h in ears.since(watched.begun_s, "guard.yielded"):
        key = (h.data["site"], h.data["pool"])
        heard.setdefault(key, (h.at_s - watched.begun_s, h.data["yielded_accelerators"]))
    unheard = [f"{key[0]}/{key[1]}" for key in wanted if key not in heard]
    if unheard:
        return Check(promise, f"nothing was told of {', '.join(unheard)}", False)
    slowest = max(heard[key][0] for key in wanted)
    stopped = sum(heard[key][1] for key in wanted)
    seen = f"{counted(stopped, 'accelerator')} told to stop after {slowest:.2f} s"
    return Check(
        promise, seen, slowest <= AT_ONCE_S, {"stopped_after_s": round(slowest, 3), "accelerators": stopped}
    )


def never_over(watched: Watched) -> Check:
    """That at every look what is let in fits beside what was told, but for what may not be stopped, and where load
    alone is more than there is: there no more can be promised than that nothing else could yield.
    """
    promise = "At every moment real-time load and what is let in fit into the accelerators there are"
    worst, where, stay = float("-inf"), "", 0
    most, alone = 0.0, ""
    for moment in watched.moments:
        for key in watched.keys:
            load, held, there = watched.load(key, moment), moment.let_in[key], moment.there[key]
            over = watched.over(key, moment)
            if held <= moment.stays.get(key, 0):  # nothing is in there that could yield
                stay = max(stay, math.ceil(min(over, held)))
                if load > there + ROUNDING:
                    if load - there > most:
                        most = load - there
                        alone = f"{load:.1f} of {there} in {key[0]}/{key[1]}"
                    continue
                over = min(over, 0.0)
            if over > worst:
                worst = over
                where = f"{load:.4g} + {held} of {there} in {key[0]}/{key[1]}"
    seen = counted(len(watched.moments), "look") + (f"; closest: {where}" if where else "")
    if alone:
        promise = "Nothing that may yield stands in the way of real-time load"
        seen += f"; load alone needs {alone}" + (": nothing more could yield" if worst <= ROUNDING else "")
    if stay > 0:
        seen += f"; {counted(stay, 'accelerator')} of work that may not be stopped stayed in the way"
    return Check(promise, seen, worst <= ROUNDING, {"over_accelerators": round(max(0.0, worst), 3)})


def taken_back(ears: Ears, watched: Watched) -> Check:
    """That leases of who yielded moved on, and woke who waited for that."""
    promise = "Leases are taken back, and who waits for a change of them is woken"
    yielded = {i for h in ears.since(watched.begun_s, "guard.yielded") for i in h.data["workloads"]}
    waited = [i for i in ears.watched if i in yielded]
    if not waited:
        return Check(promise, "no lease that was waited for had to yield", None)
    slept = [i for i in waited if i not in ears.woken]
    if slept:
        return Check(promise, f"nobody was woken of {', '.join(slept)}", False)
    after = max(ears.woken[i] - watched.begun_s for i in waited)
    return Check(
        promise,
        f"{len(waited)} of {len(waited)} woken, the last after {after:.2f} s",
        after <= AT_ONCE_S,
        {"woken_after_s": round(after, 3)},
    )


def returned_after_hold(watched: Watched, target: Target, told: float, low_from_s: float) -> Check:
    """That nothing is let in where load was before it has been low for the whole hold, and something may be then.

    `low_from_s`: when the high load was told for the last time [s of the watch].
    """
    hold = watched.scene.hold_s
    promise = f"Work comes back when load has been low for {hold:g} s, and not before"
    key = target.key
    after = [m for m in watched.moments if m.clock_s >= low_from_s]
    free = next((m.answered_s - low_from_s for m in after if m.level[key] < told - 1e-6), None)
    back = next(
        (m.answered_s - low_from_s for m in after if m.let_in[key] > max(target.stays, m.there[key] - told)),
        None,
    )
    if free is None:
        return Check(promise, f"{told:g} accelerators still counted as load at the end", False)
    early = min(free, back if back is not None else free) < hold - watched.slack_s
    seen = f"the room was free again after {free:.0f} s, "
    seen += (
        "and the new plan had no need of it" if back is None else f"work was back in it after {back:.0f} s"
    )
    figures = {"free_after_s": round(free, 1)} | ({} if back is None else {"back_after_s": round(back, 1)})
    late_s = LATELY_S * watched.scene.clock.speed
    return Check(promise, seen, not early and free <= hold + late_s, figures)


def back_after_hold(watched: Watched, key: PoolKey, left: int) -> Check:
    """That accelerators are gone when they are told to be, and back when they have been there for the whole hold;
    `left` was the fewest.
    """
    hold = watched.scene.hold_s
    promise = f"What is lost counts at once, and what is back when it has been there for {hold:g} s"
    unheard = sum(m.there[key] > watched.fewest_told(key, m) for m in watched.moments)
    lost_s = max((m.clock_s for m in watched.moments if m.told_there.get(key) == left), default=0.0)
    back = next(
        (m.answered_s - lost_s for m in watched.moments if m.clock_s > lost_s and m.there[key] > left), None
    )
    seen = f"at {unheard} of {counted(len(watched.moments), 'look')} more counted than was left; "
    if back is None:
        return Check(promise, f"{seen}they still counted as lost at the end", False)
    in_time = hold - watched.slack_s <= back <= hold + LATELY_S * watched.scene.clock.speed
    seen += f"back {back:.0f} s after the last loss"
    return Check(promise, seen, in_time and not unheard, {"back_after_s": round(back, 1)})


def no_flutter(ears: Ears, watched: Watched, key: PoolKey) -> Check:
    """That no workload is stopped and let in again more often than once in a hold."""
    holds = max(1, -(-int(watched.clock_s) // max(1, int(watched.scene.hold_s))))
    promise = "Nothing is stopped and let in again more often than once in a hold"
    stops: dict[str, int] = {}
    returns: dict[str, int] = {}
    told: dict[str, int] = {}
    for h in ears.since(watched.begun_s, "guard.yielded", "guard.returned"):
        if (h.data["site"], h.data["pool"]) != key:
            continue
        now: Mapping[str, int] = h.data["workloads"]
        for i in told.keys() | now.keys():
            was, gives = told.get(i, 0), now.get(i, 0)
            stops[i] = stops.get(i, 0) + (gives > was == 0)
            back = h.data.get("by") != "plan"  # else a new plan holds it elsewhere
            returns[i] = returns.get(i, 0) + (back and was > gives == 0)
        told = dict(now)
    most, often = max(stops.values(), default=0), max(returns.values(), default=0)
    seen = (
        f"{counted(len(stops), 'workload')}: stopped {counted(most, 'time')} and let in {counted(often, 'time')} "
        f"at most, in {counted(holds, 'hold')}"
    )
    return Check(promise, seen, max(most, often) <= holds, {"stops": most, "returns": often, "holds": holds})


def on_time(scene: Scene, before: Mapping[str, Json], ears: Ears, since_s: float) -> Check:
    """That work which could be done in time still can, or is named, with why not."""
    promise = "Work that could be done in time still can, or is named with the reason"
    if not before:
        return Check(promise, "no deferrable work was there", None)
    lost = no_more_in_time(before, scene.feasible())
    if not lost:
        return Check(promise, f"all {sum(v['feasible'] for v in before.values())} still can", True)
    silent = unnamed(scene, lost, ears, since_s)
    seen = (
        f"can no more, and nobody named why: {some(silent)}"
        if silent
        else f"can no more, and are named: {some(lost)}"
    )
    return Check(promise, seen, not silent, {"late_workloads": len(lost), "unnamed_workloads": len(silent)})


def no_more_in_time(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """Work of others that could be done in time before, and is late now or cannot."""
    return [
        i
        for i, view in sorted(now.items())
        if i in before
        and before[i]["feasible"]
        and (not view["feasible"] or view["state"] == "late")
        and view["tenant"] != "drill"
    ]


def unnamed(scene: Scene, lost: Sequence[str], ears: Ears, since_s: float) -> list[str]:
    """Those that no stop named as endangered, and no plan since then as what does not fit, with the reason.

    Work that is late is in no plan any more, so the plan that is in force does not say all.
    """
    left = set(lost) - {i for h in ears.since(since_s, "guard.yielded") for i in h.data["endangered"]}
    made = [h.data["plan_id"] for h in ears.since(since_s, "plan.published") if h.data["unplaced"]]
    for plan_id in (None, *reversed(made)):
        if left:
            with suppress(NotReady, NotFound):
                left -= {u["workload_id"] for u in scene.client.plan(plan_id)["unplaced"] if u["reason"]}
    return [i for i in lost if i in left]


def some(ids: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(ids[:MOST_NAMED]) + (" …" if len(ids) > MOST_NAMED else "")
