"""What a grid event would cost, and who would pay it: the same `plan_cycle`, with and without it, on one snapshot.

Both plans are solved anew, so that neither gains by keeping what was announced. Where the event cannot be met, or makes
work late, what could be met is looked for in the same way: by planning it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from forecasts.slots import isoformat_z
from shifter.cycle import CycleInputs
from shifter.domain.capping import import_kw
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.errors import InputError
from shifter.service import baselines, snapshot
from shifter.service.core import Core
from shifter.service.grid_events import checked, known_as, not_over
from shifter.service.grid_sentences import sentences
from shifter.service.met import event_slots, missing_kw, same_reserve, survives_less
from shifter.store import grid_events
from shifter.store.snapshots import inputs_to_json
from shifter.views.grid import EventPayer, EventSide, EventSlot, GridEventQuote, WouldMeet

HOUR = timedelta(hours=1)
AFTERWARDS = timedelta(hours=4)
"""So long after the window, or over the rebound's where that is longer, its peak is looked at."""
STEPS = 5
"""Plans that a search makes: it is within 1/32 of what was asked."""
LEAST_RATIO, LEAST_KW = 0.001, 1e-3
"""The least that an event may cut."""
SEEN = 0.005
"""Money, or accelerator-hours, from which on a difference is one."""

MakePlan = Callable[[CycleInputs], Plan]


def quote(core: Core, event: GridEvent) -> GridEventQuote:
    """See `Service.quote_grid_event`."""
    checked(core, event)
    not_over(event, core.now())
    with core.reading() as db:
        known = known_as(grid_events.find(db, event.id), event)
    event = known or baselines.frozen(core, event)  # of one that is in force already, what it was cut from
    inputs = snapshot.take(core, reach=afterwards(event))
    if inputs.frame.grid.end < event.end:
        raise InputError(
            f"plans reach to {isoformat_z(inputs.frame.grid.end)}, and the window ends later.",
            field="end",
            hint="Ask nearer to its time.",
        )

    def plan(given: CycleInputs) -> Plan:
        return core.quote_planner.plan(inputs_to_json(given), core.config.cycle_deadline_s)

    return Quoted(event, inputs, plan).answer()


def afterwards(event: GridEvent) -> datetime:
    """Until when what comes after an event is looked at."""
    return max(event.rebound_end, event.end + AFTERWARDS)


@dataclass(frozen=True, eq=False)
class Quoted:
    """One event on one snapshot; `make` plans."""

    event: GridEvent
    inputs: CycleInputs
    make: MakePlan
    eased_in_time: bool = True
    """Whether something weaker is looked for where the event makes work late, which takes a few plans more."""

    @cached_property
    def without(self) -> Plan:
        """The plan of all else."""
        return self._plan(None)

    @cached_property
    def made(self) -> Plan:
        """The plan with it."""
        return self._plan(self.event)

    @cached_property
    def slots(self) -> tuple[EventSlot, ...]:
        """What it limits."""
        return event_slots(self.event, self.inputs.fleet, self.made, self.without)

    def _plan(self, event: GridEvent | None) -> Plan:
        others = tuple(e for e in self.inputs.grid_events if e.id != self.event.id)
        events = others if event is None else (*others, event)
        return self.make(replace(self.inputs, grid_events=events, hold_gap=-1.0))

    def answer(self) -> GridEventQuote:
        """All of it."""
        event, now = self.event, self.inputs.now
        window = [s for s in self.slots if s.part == "event"]
        missing = max((s.over_kw for s in self.slots), default=0.0)
        without, made = self._side(self.without), self._side(self.made)
        not_drawn = without.drawn_kwh - made.drawn_kwh
        extra = made.cost - without.cost
        payers = tuple(sorted(self._payers(), key=lambda p: (-p.cost, p.workload_id)))
        met, on_time = missing == 0.0, not any(p.late_accelerator_hours > SEEN for p in payers)
        notice = max(timedelta(0), event.start - now) / timedelta(minutes=1)
        less = survives_less(self.made, self.without)
        ratios = [s.realtime_kw / s.limit_kw for s in window if s.limit_kw > 0]
        answer = GridEventQuote(
            event=event,
            quoted_at=now,
            currency=self.inputs.fleet.currency,
            synthetic=self.made.synthetic,
            met=met,
            missing_kw=missing,
            on_time=on_time,
            realtime_untouched=not less,
            reserve_moves=not same_reserve(self.without, self.made),
            survives_less=less,
            realtime_limit_ratio=max(ratios) if ratios and len(ratios) == len(window) else None,
            notice_minutes=notice,
            notice_kept=None if event.notice_minutes is None else notice >= event.notice_minutes,
            asked_kwh=self._asked_kwh(window),
            not_drawn_kwh=not_drawn,
            extra_cost=extra,
            extra_carbon_kg=made.carbon_kg - without.carbon_kg,
            cost_per_kwh_not_drawn=extra / not_drawn if not_drawn > SEEN else None,
            without=without,
            with_event=made,
            afterwards_until=afterwards(event),
            slots=self.slots,
            workloads=payers,
            in_the_way=() if met else self._in_the_way(),
            would_meet=None if met and (on_time or not self.eased_in_time) else self._would_meet(met),
            sentences=(),
        )
        return replace(answer, sentences=tuple(sentences(answer)))

    def _asked_kwh(self, window: list[EventSlot]) -> float | None:
        """Of the slots of the window that lie ahead, as far as they lie in it."""
        if any(s.baseline_kw is None for s in window):
            return None
        return sum(
            ((s.baseline_kw or 0.0) - s.limit_kw) * (self._inside(s.start, s.end) / HOUR) for s in window
        )

    def _inside(self, start: datetime, end: datetime) -> timedelta:
        """How much of a slot lies in the window, and ahead."""
        first, last = max(start, self.event.start, self.inputs.now), min(end, self.event.end)
        return max(timedelta(0), last - first)

    def _side(self, plan: Plan) -> EventSide:
        event = self.event
        rows = [r for r in plan.power if r.site == event.site]
        after = [r.import_kw for r in rows if event.end <= r.start < afterwards(event)]
        inside = [(r, self._inside(r.start, r.end) / HOUR) for r in rows]
        return EventSide(
            cost=plan.cost.total - plan.cost.churn - plan.cost.fairness,
            carbon_kg=plan.carbon_kg,
            drawn_kwh=sum(r.import_kw * hours for r, hours in inside),
            battery_kwh=sum(r.discharge_kw * hours for r, hours in inside),
            peak_afterwards_kw=max(after, default=0.0),
            late_workloads=len(plan.unplaced),
        )

    def _payers(self) -> Iterator[EventPayer]:
        before = {w.workload_id: w for w in self.without.workloads}
        late = _new_late(self.without, self.made)
        out, stays = self._window_hours(self.without), self._window_hours(self.made)
        of = {c.workload.id: c for c in self.inputs.classified}
        for after in self.made.workloads:
            was = before.get(after.workload_id)
            if was is None:
                continue
            moved = out.get(after.workload_id, 0.0) - stays.get(after.workload_id, 0.0)
            cost, short = after.cost - was.cost, late.get(after.workload_id, 0.0)
            later = timedelta(0)
            if after.finish is not None and was.finish is not None:
                later = after.finish - was.finish
            if max(abs(cost), abs(moved), short) <= SEEN and not later:
                continue
            c = of[after.workload_id]
            yield EventPayer(
                workload_id=after.workload_id,
                tenant=c.workload.tenant,
                out_of_window_accelerator_hours=moved,
                cost=cost,
                carbon_kg=after.carbon_kg - was.carbon_kg,
                finish=after.finish,
                later_minutes=later / timedelta(minutes=1),
                deadline=c.deadline,
                deadline_kept=short <= SEEN,
                late_accelerator_hours=short,
            )

    def _window_hours(self, plan: Plan) -> dict[str, float]:
        """Accelerator-hours at the site in the window, by workload."""
        found: dict[str, float] = {}
        for a in plan.allocations:
            if a.site == self.event.site and (time := self._inside(a.start, a.end)):
                found[a.workload_id] = found.get(a.workload_id, 0.0) + a.accelerators * (time / HOUR)
        return found

    def _blocking(self) -> list[Allocation]:
        """What runs at the site, may not be interrupted, and is there in slots that are not met."""
        over = [s for s in self.slots if s.over_kw > 0]
        here = [a for a in self.inputs.pinned if a.site == self.event.site]
        return [a for a in here if any(a.start < s.end and a.end > s.start for s in over)]

    def _in_the_way(self) -> tuple[str, ...]:
        fleet = self.inputs.fleet
        kw = {
            a.workload_id: a.accelerators * import_kw(*fleet.pools[a.site, a.pool], a.cap_kw)
            for a in self._blocking()
        }
        return tuple(sorted(kw, key=lambda id: (-kw[id], id)))

    # What could be met ---------------------------------------------------------------------------------------

    def _would_meet(self, met: bool) -> WouldMeet:
        """A weaker event that is met in every slot; and without making work late, where this one is met."""
        least = 0.0 if met else self._least_easing()
        found, weakest = self._search(least, on_time=met)
        window = [s for s in self.slots if s.part == "event"]
        cuts = [(weakest.requested_kw(s.start, s.end), s.baseline_kw) for s in window]
        known = [(kw or 0.0, base) for kw, base in cuts if base is not None]
        first, last = (None, None) if met else self._shorter(window)
        ends = [a.end for a in self._blocking()]
        return WouldMeet(
            limit_kw=max((weakest.window_kw(s.start, s.end) for s in window), default=0.0),
            cut_kw=min((kw for kw, _ in known), default=None),
            cut_ratio=min((kw / base for kw, base in known if base > 0), default=None),
            late_workloads=len(_new_late(self.without, found)),
            window_start=first,
            window_end=last,
            from_start=max(ends, default=None),
        )

    def _least_easing(self) -> float:
        """How much it must be eased to be met for sure, 0 to 1: by what the site draws at the least, slot by slot.

        A plan under a limit of zero draws the least that it can in each slot, and so also under any limit above that.
        """
        share = 1.0
        least = {s.start: s.at_quantile_kw for s in self._floor}
        for asked in (s for s in self.slots if s.part == "event"):
            top, low_kw = self._top_kw(asked), least[asked.start]
            if low_kw > asked.limit_kw:
                spread = top - asked.limit_kw
                share = min(share, (top - low_kw) / spread if spread > 0 else 0.0)
        return 1.0 - max(0.0, share)

    @cached_property
    def _floor(self) -> tuple[EventSlot, ...]:
        """The window under a limit of zero."""
        nothing = replace(self.event, limit_kw=0.0, cut_kw=None, cut_ratio=None)
        slots = event_slots(nothing, self.inputs.fleet, self._plan(nothing), self.without)
        return tuple(s for s in slots if s.part == "event")

    @property
    def _floor_kw(self) -> float:
        """A limit that is kept in every slot, whatever else is asked."""
        return max([self._highest_kw, *(s.at_quantile_kw for s in self._floor)]) + LEAST_KW

    def _search(self, ease: float, *, on_time: bool) -> tuple[Plan, GridEvent]:
        """The least easing, 0 to 1, that works, to 1/32 of all; `ease` is one that is known to keep the limit."""

        def works(plan: Plan, event: GridEvent) -> bool:
            if missing_kw(event, self.inputs.fleet, plan) > 0:
                return False
            return not on_time or not _new_late(self.without, plan)

        low, high = 0.0, ease or 1.0
        best = self._eased(high + 1e-6)
        plan = self._plan(best)
        battery = self.inputs.fleet.by_site[self.event.site].battery is not None
        if not works(plan, best):
            high, best = 1.0, self._eased(1.0)
            plan = self._plan(best)
        elif not on_time and not battery:
            return plan, best  # what the site draws at the least is exact where nothing is stored
        for _ in range(STEPS):
            tried = self._eased((low + high) / 2)
            made = self._plan(tried)
            if works(made, tried):
                high, best, plan = (low + high) / 2, tried, made
            else:
                low = (low + high) / 2
        return plan, best

    def _eased(self, ease: float) -> GridEvent:
        """The event with its limit moved by that share of the way to what the site would draw without it.

        Beyond that (real-time load at the quantile alone draws more than was forecast at the median), a limit that the
        site keeps whatever is planned.
        """
        event, keep = self.event, max(0.0, 1.0 - ease)
        if keep == 0.0:
            return replace(event, limit_kw=self._floor_kw, cut_kw=None, cut_ratio=None)
        if event.cut_ratio is not None:
            return replace(event, cut_ratio=max(LEAST_RATIO, keep * event.cut_ratio))
        if event.cut_kw is not None:
            return replace(event, cut_kw=max(LEAST_KW, keep * event.cut_kw))
        asked = event.limit_kw or 0.0
        return replace(event, limit_kw=asked + (1 - keep) * (self._highest_kw - asked))

    def _top_kw(self, slot: EventSlot) -> float:
        """What a slot's limit is once all of the event is eased."""
        if self.event.limit_kw is not None:
            return self._highest_kw
        return self.event.window_kw(slot.start, slot.end, share=0.0)

    @cached_property
    def _highest_kw(self) -> float:
        """The highest that the plan without it could draw in the window, with real-time load at the quantile."""
        slots = event_slots(self.event, self.inputs.fleet, self.without, self.without)
        drawn = [s.at_quantile_kw for s in slots if s.part == "event"]
        return max([self.event.limit_kw or 0.0, *drawn])

    def _shorter(self, window: list[EventSlot]) -> tuple[datetime | None, datetime | None]:
        """The longest run of slots that are met."""
        best: tuple[datetime | None, datetime | None] = (None, None)
        length, begun = timedelta(0), None
        for s in window:
            begun = (begun or s.start) if s.over_kw == 0 else None
            if begun is not None and s.end - begun > length:
                length, best = s.end - begun, (max(begun, self.event.start), min(s.end, self.event.end))
        return best


def _new_late(without: Plan, made: Plan) -> dict[str, float]:
    """Accelerator-hours that find no room in time with an event and did without it, by workload."""
    before = {u.workload_id: u.accelerator_hours for u in without.unplaced}
    more = {u.workload_id: u.accelerator_hours - before.get(u.workload_id, 0.0) for u in made.unplaced}
    return {id: hours for id, hours in more.items() if hours > SEEN}
