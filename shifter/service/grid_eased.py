"""One grid event on one snapshot, and what weaker one would be met where it is not: found by planning it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from shifter.cycle import CycleInputs
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.service.met import event_slots, missing_kw
from shifter.views.grid import EventSlot, WouldMeet

STEPS = 5
"""Plans that a search makes: it is within 1/32 of what was asked."""
LEAST_RATIO, LEAST_KW = 0.001, 1e-3
"""The least that an event may cut."""
SEEN = 0.005
"""Money, or accelerator-hours, from which on a difference is one."""

MakePlan = Callable[[CycleInputs], Plan]


@dataclass(frozen=True, eq=False)
class Asked:
    """One event on one snapshot; `make` plans."""

    event: GridEvent
    inputs: CycleInputs
    make: MakePlan

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

    @cached_property
    def window(self) -> list[EventSlot]:
        """Those of its window."""
        return [s for s in self.slots if s.part == "event"]

    @property
    def missing_kw(self) -> float:
        """The most by which the plan with it does not meet it; 0 where it does."""
        return max((s.over_kw for s in self.slots), default=0.0)

    def _plan(self, event: GridEvent | None) -> Plan:
        others = tuple(e for e in self.inputs.grid_events if e.id != self.event.id)
        events = others if event is None else (*others, event)
        return self.make(replace(self.inputs, grid_events=events, hold_gap=-1.0))

    def blocking(self) -> list[Allocation]:
        """What runs at the site, may not be interrupted, and is there in slots that are not met."""
        over = [s for s in self.slots if s.over_kw > 0]
        here = [a for a in self.inputs.pinned if a.site == self.event.site]
        return [a for a in here if any(a.start < s.end and a.end > s.start for s in over)]

    def would_meet(self, met: bool) -> WouldMeet | None:
        """A weaker event that is met in every slot; and without making work late, where this one is met.

        None where there is none: what is told here was planned, and is kept by that plan.
        """
        asked = self if met else self._with_edges_eased()
        found, weakest = asked.search(0.0 if met else asked.least_easing(), on_time=met)
        if missing_kw(weakest, self.inputs.fleet, found) > 0:
            return None
        cuts = [(weakest.requested_kw(s.start, s.end), s.baseline_kw) for s in self.window]
        known = [(kw or 0.0, base) for kw, base in cuts if base is not None]
        first, last = (None, None) if met else self._shorter()
        rebound_kept = asked.event.rebound_limit_kw == self.event.rebound_limit_kw
        return WouldMeet(
            limit_kw=max((weakest.window_kw(s.start, s.end) for s in self.window), default=0.0),
            cut_kw=min((kw for kw, _ in known), default=None),
            cut_ratio=min((kw / base for kw, base in known if base > 0), default=None),
            late_workloads=len(new_late(self.without, found)),
            window_start=first,
            window_end=last,
            from_start=max((a.end for a in self.blocking()), default=None),
            rebound_limit_kw=None if rebound_kept else asked.event.rebound_limit_kw,
            without_ramp=asked.event.ramp_kw_per_minute != self.event.ramp_kw_per_minute,
        )

    def _with_edges_eased(self) -> Asked:
        """With no ramp, and with a higher limit of the rebound, where those are not kept whatever its window allows."""
        event, fleet = self.event, self.inputs.fleet
        if not event.rebound_minutes and event.ramp_kw_per_minute is None:
            return self
        opened = self._eased(1.0)
        plan = self._plan(opened)
        alone = replace(opened, rebound_minutes=None, rebound_limit_kw=None, rebound_ratio=None)
        if missing_kw(alone, fleet, plan) > 0:
            event = replace(event, ramp_kw_per_minute=None)
        alone = replace(opened, ramp_kw_per_minute=None)
        if event.rebound_minutes and missing_kw(alone, fleet, plan) > 0:
            after = [s for s in event_slots(alone, fleet, plan, self.without) if s.end > event.end]
            kw = max(max(s.limit_kw, s.at_quantile_kw) for s in after) + LEAST_KW
            event = replace(event, rebound_limit_kw=kw, rebound_ratio=None)
        return self if event == self.event else replace(self, event=event)

    def least_easing(self) -> float:
        """How much it must be eased to be met for sure, 0 to 1: by what the site draws at the least, slot by slot.

        A plan under a limit of zero draws the least that it can in each slot, and so also under any limit above that.
        """
        share = 1.0
        least = {s.start: s.at_quantile_kw for s in self._floor}
        for asked in self.window:
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

    def search(self, ease: float, *, on_time: bool) -> tuple[Plan, GridEvent]:
        """The least easing, 0 to 1, that works, to 1/32 of all; `ease` is the least that the window can do with."""

        def works(plan: Plan, event: GridEvent) -> bool:
            if missing_kw(event, self.inputs.fleet, plan) > 0:
                return False
            return not on_time or not new_late(self.without, plan)

        if works(self.made, self.event):
            return self.made, self.event  # all that was missed is around the window, and is eased there
        low, high = 0.0, ease or 1.0
        best = self._eased(high + 1e-6)
        plan = self._plan(best)
        battery = self.inputs.fleet.by_site[self.event.site].battery is not None
        if not works(plan, best):
            high, best = 1.0, self._eased(1.0)
            plan = self._plan(best)
        elif ease > 0 and not battery:
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

    def _shorter(self) -> tuple[datetime | None, datetime | None]:
        """The longest run of slots that are met, where the event would be met in them alone."""
        best: tuple[datetime | None, datetime | None] = (None, None)
        length, begun = timedelta(0), None
        for s in self.window:
            begun = (begun or s.start) if s.over_kw == 0 else None
            if begun is not None and s.end - begun > length:
                length, best = s.end - begun, (max(begun, self.event.start), min(s.end, self.event.end))
        first, last = best
        if first is None or last is None:
            return best
        alone = replace(self.event, start=first, end=last)
        return best if missing_kw(alone, self.inputs.fleet, self._plan(alone)) == 0 else (None, None)


def new_late(without: Plan, made: Plan) -> dict[str, float]:
    """Accelerator-hours that find no room in time with an event and did without it, by workload."""
    before = {u.workload_id: u.accelerator_hours for u in without.unplaced}
    more = {u.workload_id: u.accelerator_hours - before.get(u.workload_id, 0.0) for u in made.unplaced}
    return {id: hours for id, hours in more.items() if hours > SEEN}
