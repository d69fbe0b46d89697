"""`curtail`: the grid asks for a quarter less: quoted, accepted, kept by the plan, and withdrawn at the end."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from shifter.connection import Json
from shifter.domain.capping import import_kw
from shifter.domain.grid_event import GridEvent, check_hours, most_kw
from shifter.drills.base import Check, Scene, counted
from shifter.errors import Conflict, NotFound

CUT_RATIO = 0.25
LEAST_RATIO = 0.001
"""Less is no cut."""
NOTICE = timedelta(minutes=15)
REBOUND = timedelta(hours=1)
KW = 1e-3
"""A figure of a plan is rounded to so much."""
PLAN_WITHIN_S = 60.0


def moment(text: str) -> datetime:
    """A time as the interface writes it."""
    return datetime.fromisoformat(text)


class Curtail:
    """See the module."""

    promise = "A limit that the grid sets is kept with real-time load untouched, or it is said beforehand what can be."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> str:
        """See `Drill`. Raises InputError where there is no such window."""
        scene = self.scene
        hours = scene.options.hours
        check_hours(hours)
        self._cut = CUT_RATIO
        first = self._quote = self._chosen()
        if (
            not first["met"]
            and (offered := (first["would_meet"] or {}).get("cut_ratio") or 0.0) >= LEAST_RATIO
        ):
            self._cut = math.floor(1e4 * offered) / 1e4
            self._quote = scene.client.quote_grid_event(self._event())
        asked, q = self._event(), self._quote
        payers = [w for w in q["workloads"] if w["later_minutes"] > 0 or w["cost"] > 0]
        until = "through to its end" if scene.clock.simulated else "until there is a plan with it"
        instead = (
            "" if q is first else f" ({100 * CUT_RATIO:g} % cannot be met; the quote says that this can)"
        )
        return (
            f"A grid event asks {self._site} to draw {100 * self._cut:g} % less{instead} for {scene.options.hours:g} h "
            f"from {asked['start'].replace('+00:00', 'Z')} on; it is watched {until}, and withdrawn. By its quote "
            f"{counted(len(payers), 'workload')} would be later or dearer, and it costs {q['extra_cost']:.2f} "
            f"{q['currency']}."
        )

    def _chosen(self) -> Json:
        """The site: that which was asked for, else the one that draws most of those where it can be met; its quote."""
        scene, now = self.scene, self.scene.clock.now()
        asked = {key[0] for key in scene.pools}
        rows = [r for r in scene.client.plan()["power"] if r["site"] in asked]
        rows = [r for r in rows if moment(r["start"]) <= now < moment(r["end"])]
        sites = [r["site"] for r in sorted(rows, key=lambda r: -r["import_kw"])]
        quotes: dict[str, Json] = {}
        for self._site in sites or sorted(asked):
            quotes[self._site] = scene.client.quote_grid_event(self._event())
            if quotes[self._site]["met"]:
                break
        else:
            self._site = next(iter(quotes))
        return quotes[self._site]

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        yield self._quoted()
        asked = scene.clock.now()
        event = self._event()
        began_s = time.monotonic()
        scene.undoing(f"grid event {event['id']} is withdrawn", lambda: self._withdraw(event["id"]))
        accepted = scene.client.add_grid_event(event)
        plan = scene.wait_for_plan(asked, PLAN_WITHIN_S)
        took_s = time.monotonic() - began_s
        promise = "A new plan knows of it, before it begins"
        if plan is None:
            yield Check(promise, f"no new plan came within {PLAN_WITHIN_S:g} s", False)
            return
        told = TypeAdapter(GridEvent).validate_python(accepted)
        in_time = moment(plan["created_at"]) <= told.start
        yield Check(
            promise, f"published after {took_s:.1f} s", in_time, {"planned_after_s": round(took_s, 2)}
        )
        yield self._kept(plan, told)
        yield self._untouched()
        if scene.clock.simulated:
            yield from self._through(told)
        report = scene.client.grid_event_report(event["id"])
        metered = report.get("metered_ratio") or 0.0
        seen = f"{counted(len(report['slots']), 'slot')}, {100 * metered:.0f} % of the window was metered"
        yield Check(
            "Afterwards it is told what the meter saw, and nothing is made up", seen, bool(report["slots"])
        )

    def _event(self) -> Json:
        """From the first slot's edge that is at least the notice ahead."""
        scene = self.scene
        row = scene.client.slots(self._site)[0]
        length = moment(row["end"]) - moment(row["start"])
        edge = moment(row["end"])
        while edge < scene.clock.now() + NOTICE:
            edge += length
        hours = timedelta(hours=scene.options.hours)
        return {
            "id": f"drill-{uuid.uuid4().hex[:8]}",
            "site": self._site,
            "start": edge.isoformat(),
            "end": (edge + hours).isoformat(),
            "cut_ratio": self._cut,
            "notice_minutes": NOTICE / timedelta(minutes=1),
            "rebound_minutes": min(REBOUND, hours) / timedelta(minutes=1),
            "rebound_ratio": 1.0,
        }

    def _quoted(self) -> Check:
        q = self._quote
        promise = "The quote says whether it can be met; where it cannot, what can be"
        if q["met"]:
            late = "no workload late" if q["on_time"] else "some work late, and named"
            seen = f"met, {late}, {q['extra_cost']:.2f} {q['currency']} more"
            return Check(promise, seen, True, {"not_drawn_kwh": round(q["not_drawn_kwh"], 2)})
        instead = q["would_meet"]
        seen = f"not met by {q['missing_kw']:.2f} kW; "
        seen += "nothing else could be" if instead is None else f"{instead['limit_kw']:.1f} kW could be"
        return Check(promise, seen, instead is not None, {"missing_kw": round(q["missing_kw"], 3)})

    def _over_kw(self, row: Json, event: GridEvent) -> float | None:
        """By how much a slot of a plan exceeds what the event allows in it, with real-time load at its quantile [kW].

        None where it allows as much as ever. Counted here from the fleet and the event, not taken from the plan.
        """
        site = self.scene.fleet.by_site[self._site]
        start, end = (moment(row[name]) for name in ("start", "end"))
        limit = event.limit_of(start, end, most_kw(site))
        if limit >= most_kw(site):
            return None
        more = sum(
            import_kw(site, pool, None) * (slot["realtime_q"] - slot["realtime_p50"])
            for pool in site.pools
            for slot in self._slots
            if slot["pool"] == pool.name and slot["start"] == row["start"]
        )
        found: float = row["import_kw"] + more - limit
        return found

    def _kept(self, plan: Json, event: GridEvent) -> Check:
        promise = "The plan keeps the limit in every slot, with real-time load at its quantile"
        self._slots = [row for row in plan["slots"] if row["site"] == self._site]
        found = (self._over_kw(row, event) for row in plan["power"] if row["site"] == self._site)
        over = [kw for kw in found if kw is not None]
        if not over:
            return Check(promise, "the plan does not reach that far", None)
        most = max(over)
        seen = (
            f"{counted(len(over), 'slot')}, the closest {abs(most):.2f} kW {'over' if most > KW else 'below'}"
        )
        if not self._quote["met"]:
            return Check(promise, f"{seen}; it was said beforehand that it cannot be met", None)
        return Check(promise, seen, most <= KW, {"over_kw": round(max(0.0, most), 3)})

    def _untouched(self) -> Check:
        promise = "Real-time load holds what it held"
        rows = self.scene.client.slots(self._site)
        short = [
            r for r in rows if r["realtime_q"] > r["count"] + 1e-6 or r["reserved"] < r["realtime_q"] - 1e-6
        ]
        moves = "; what is held for other sites moves" if self._quote["reserve_moves"] else ""
        seen = f"{counted(len(rows), 'slot')}, in {len(short)} of them less than its quantile is held{moves}"
        return Check(promise, seen, not short)

    def _through(self, event: GridEvent) -> Iterator[Check]:
        """Watch each slot as it comes, by the plan that is in force then, to the end of the rebound."""
        scene = self.scene
        seen: dict[str, float] = {}
        plans: set[str] = set()
        whole_s = (event.holds_until - event.start).total_seconds()
        while (now := scene.clock.now()) < event.holds_until:
            plan = scene.client.plan()
            plans.add(plan["plan_id"])
            self._slots = [row for row in plan["slots"] if row["site"] == self._site]
            for row in plan["power"]:
                start, end = (moment(row[name]) for name in ("start", "end"))
                if row["site"] == self._site and start <= now < end:
                    over = self._over_kw(row, event)
                    if over is not None:
                        seen[row["start"]] = max(seen.get(row["start"], -math.inf), over)
            scene.tell("the window", (now - event.start).total_seconds() / whole_s)
            time.sleep(min(0.5, max(0.02, scene.clock.real_s(60))))
        promise = (
            "The limit, and that of the rebound, are kept to the end by every plan that is made meanwhile"
        )
        broken = [kw for kw in seen.values() if kw > KW]
        words = (
            f"{counted(len(seen), 'slot')} under {counted(len(plans), 'plan')}, {len(broken)} of them over it"
        )
        if not self._quote["met"]:
            yield Check(promise, f"{words}; it was said beforehand that it cannot be met", None)
        else:
            yield Check(promise, words, bool(seen) and not broken, {"over_kw": round(max([0.0, *broken]), 3)})

    def _withdraw(self, event_id: str) -> None:
        with suppress(NotFound, Conflict):  # it never came to be, or is over by itself
            self.scene.client.withdraw_grid_event(event_id)
