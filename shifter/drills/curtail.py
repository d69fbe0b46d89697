"""`curtail`: the grid asks for less: quoted, accepted, kept by the plan, and withdrawn at the end.

A quarter less, where some site can do that with room to spare. Else a limit that can be kept, and that takes most.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from shifter.connection import Json
from shifter.domain.capping import import_kw
from shifter.domain.grid_event import GridEvent, check_hours, most_kw
from shifter.drills.asked import CUT_RATIO, REBOUND_RATIO, has_room, roomy, taken_kw, with_room
from shifter.drills.base import Check, Scene, counted
from shifter.drills.battery import unspent_kwh
from shifter.errors import Conflict, NotFound

NOTICE = timedelta(minutes=15)
REBOUND = timedelta(hours=1)
KW = 1e-3
"""A figure of a plan is rounded to so much."""
PLAN_WITHIN_S = 60.0
MOST_SITES = 3
"""That are asked what they could do: each answer takes several plans."""


def moment(text: str) -> datetime:
    """A time as the interface writes it."""
    return datetime.fromisoformat(text)


@dataclass
class Seen:
    """Slots of a limit as they came, by their start, and by how much each was over it [kW]."""

    slots: set[str] = field(default_factory=set)
    broken_kw: dict[str, float] = field(default_factory=dict)
    load_alone_kw: dict[str, float] = field(default_factory=dict)
    """Where real-time load alone was: it goes first, nothing else stood there, and the battery gave all that it may."""

    def look(self, row: Json, slots: Sequence[Json], over_kw: float, unspent_kwh: float = 0.0) -> None:
        """One power row of a plan, with what its site's pools hold in that slot, and what its battery could give more.

        That is in this slot, and would still have left what is given in those to come.
        """
        start = row["start"]
        self.slots.add(start)
        if over_kw > KW:
            stands = any(s["deferrable"] for s in slots) or row["charge_kw"] or unspent_kwh > KW
            over = self.broken_kw if stands else self.load_alone_kw
            over[start] = max(over.get(start, 0.0), over_kw)

    @property
    def kept(self) -> bool | None:
        """None where nobody could have kept it in every slot."""
        if self.broken_kw or not self.slots:
            return False
        return None if self.load_alone_kw else True

    @property
    def figures(self) -> dict[str, float]:
        """The most by which a slot was over it, and the most of that by real-time load alone."""
        most = {"over_kw": self.broken_kw, "load_alone_kw": self.load_alone_kw}
        return {name: round(max([0.0, *over.values()]), 3) for name, over in most.items()}

    def words(self, n_plans: int) -> str:
        """All of it."""
        n_over = len(self.broken_kw.keys() | self.load_alone_kw.keys())
        told = (
            f"{counted(len(self.slots), 'slot')} under {counted(n_plans, 'plan')}, {n_over} of them over it"
        )
        if not self.load_alone_kw:
            return told
        most_kw = max(self.load_alone_kw.values())
        return f"{told}; {len(self.load_alone_kw)} by real-time load alone, by up to {most_kw:.2f} kW"


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
        self._took_s = 0.0
        asked, quote = self._chosen()
        self._quote = quote or self._quoted_now(asked)
        if not self._quote["met"] and (instead := self._quote["would_meet"]) is not None:
            after_kw = instead["rebound_limit_kw"]
            asked = {**asked, "limit_kw": roomy(instead["limit_kw"])}
            asked |= {} if after_kw is None else {"rebound_limit_kw": roomy(after_kw)}
            self._quote = self._quoted_now(asked)
        self._asked = asked
        q, start = self._quote, self._event["start"].replace("+00:00", "Z")
        payers = [w for w in q["workloads"] if w["later_minutes"] > 0 or w["cost"] > 0]
        until = "through to its end" if scene.clock.simulated else "until there is a plan with it"
        what = f"{100 * CUT_RATIO:g} % less"
        if "limit_kw" in asked:
            what = f"at most {asked['limit_kw']:g} kW ({what} would leave real-time load no room to grow)"
        return (
            f"A grid event asks {self._site} to draw {what} for {hours:g} h from {start} on; it is watched {until}, "
            f"and withdrawn. By its quote {counted(len(payers), 'workload')} would be later or dearer, and it costs "
            f"{q['extra_cost']:.2f} {q['currency']}."
        )

    def _chosen(self) -> tuple[Json, Json | None]:
        """What is asked, and of which of the sites that were asked for; with its quote, where there is one.

        A quarter less at the one that draws most of those that can do so with room to spare. Where none of the three
        that draw most can: a limit with that room, at the one of them where it takes most of what is drawn otherwise.
        """
        scene, now = self.scene, self.scene.clock.now()
        known = {key[0] for key in scene.pools}
        rows = [r for r in scene.client.plan()["power"] if r["site"] in known]
        rows = [r for r in rows if moment(r["start"]) <= now < moment(r["end"])]
        sites = [r["site"] for r in sorted(rows, key=lambda r: -r["import_kw"])]
        cut = {"cut_ratio": CUT_RATIO, "rebound_ratio": REBOUND_RATIO}
        limits: dict[str, Json] = {}
        takes_kw: dict[str, float] = {}
        for self._site in (sites or sorted(known))[:MOST_SITES]:
            quote = self._quoted_now(cut)
            if has_room(quote):
                return cut, quote
            limits[self._site] = with_room(quote)
            takes_kw[self._site] = taken_kw(quote, limits[self._site]["limit_kw"])
        self._site = max(takes_kw, key=takes_kw.__getitem__)
        return limits[self._site], None

    def _quoted_now(self, asked: Json) -> Json:
        """The quote of what may be accepted next."""
        began_s = time.monotonic()
        self._event = self._from_now(asked)
        quote = self.scene.client.quote_grid_event(self._event)
        self._took_s = max(self._took_s, time.monotonic() - began_s)
        return quote

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene = self.scene
        if scene.clock.now() + NOTICE > moment(self._event["start"]):  # somebody took long to agree
            self._quote = self._quoted_now(self._asked)
        yield self._quoted()
        asked, event = scene.clock.now(), self._event
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

    def _from_now(self, asked: Json) -> Json:
        """From the first slot's edge that is at least the notice ahead, when its quote is made."""
        scene = self.scene
        row = scene.client.slots(self._site)[0]
        length = moment(row["end"]) - moment(row["start"])
        edge = moment(row["end"])
        ahead = NOTICE + timedelta(seconds=2 * self._took_s * scene.clock.speed)
        while edge < scene.clock.now() + ahead:
            edge += length
        hours = timedelta(hours=scene.options.hours)
        return {
            "id": f"drill-{uuid.uuid4().hex[:8]}",
            "site": self._site,
            "start": edge.isoformat(),
            "end": (edge + hours).isoformat(),
            "notice_minutes": NOTICE / timedelta(minutes=1),
            "rebound_minutes": min(REBOUND, hours) / timedelta(minutes=1),
            **asked,
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
        seen += (
            "nothing was found that could be" if instead is None else f"{instead['limit_kw']:.1f} kW could be"
        )
        said = True if instead is not None else False if q["all_tried"] else None
        return Check(promise, seen, said, {"missing_kw": round(q["missing_kw"], 3)})

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
        seen, plans = Seen(), set[str]()
        begun = scene.clock.now()
        whole_s = (event.holds_until - begun).total_seconds()
        until = event.holds_until.isoformat().replace("+00:00", "Z")
        minutes = counted(math.ceil(scene.clock.real_s(whole_s) / 60), "minute")
        waits = f"the limit is watched until {until}, for up to {minutes}"
        while (now := scene.clock.now()) < event.holds_until:
            plan = scene.client.plan()
            plans.add(plan["plan_id"])
            self._slots = [row for row in plan["slots"] if row["site"] == self._site]
            here = [row for row in plan["power"] if row["site"] == self._site]
            for row in (r for r in here if moment(r["start"]) <= now < moment(r["end"])):
                if (over_kw := self._over_kw(row, event)) is not None:
                    held = [s for s in self._slots if s["start"] == row["start"]]
                    seen.look(row, held, over_kw, self._unspent_kwh(row, here, event))
            scene.tell(waits, (now - begun).total_seconds() / whole_s)
            time.sleep(min(0.5, max(0.02, scene.clock.real_s(60))))
        promise = (
            "The limit, and that of the rebound, are kept to the end by every plan that is made meanwhile"
        )
        words, kept = seen.words(len(plans)), seen.kept
        if not self._quote["met"]:
            words, kept = f"{words}; it was said beforehand that it cannot be met", None
        yield Check(promise, words, kept, seen.figures)

    def _unspent_kwh(self, row: Json, rows: Sequence[Json], event: GridEvent) -> float:
        """What a plan has the battery give less in a slot than it could, until the event limits nothing any more."""
        fleet = self.scene.fleet
        site = fleet.by_site[self._site]
        ahead = [r for r in rows if row["end"] <= r["start"] and moment(r["start"]) <= event.holds_until]
        return unspent_kwh(fleet, site, row, ahead, self._slots)

    def _withdraw(self, event_id: str) -> None:
        with suppress(NotFound, Conflict):  # it never came to be, or is over by itself
            self.scene.client.withdraw_grid_event(event_id)
