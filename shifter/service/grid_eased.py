"""One grid event on one snapshot, and what weaker one would be met where it is not: found by planning it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from shifter.cycle import CycleInputs
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.errors import PlanRejected, SolverFailed
from shifter.service.grid_plans import EventPlans
from shifter.service.met import event_slots, missing_kw
from shifter.views.grid import EventSlot, WouldMeet

STEPS = 5
"""Plans that a search makes: it is within 1/32 of what was asked."""
LEAST_RATIO, LEAST_KW = 0.001, 1e-3
"""The least that an event may cut."""
SEEN_HOURS = 0.005
"""Accelerator-hours from which on a difference is one."""


@dataclass(frozen=True, eq=False)
class EventOnSnapshot:
    """One event on one snapshot."""

    event: GridEvent
    plans: EventPlans

    @property
    def inputs(self) -> CycleInputs:
        """The snapshot."""
        return self.plans.inputs

    @property
    def without(self) -> Plan:
        """The plan of all else."""
        return self.plans.of(None)

    @property
    def made(self) -> Plan:
        """The plan with it."""
        return self.plans.of(self.event)

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

    def blocking(self) -> list[Allocation]:
        """What runs at the site, may not be interrupted, and is there in slots that are not met."""
        over = [s for s in self.slots if s.over_kw > 0]
        here = [a for a in self.inputs.pinned if a.site == self.event.site]
        return [a for a in here if any(a.start < s.end and a.end > s.start for s in over)]

    def would_meet(self, met: bool) -> tuple[WouldMeet | None, bool]:
        """A weaker event that is met in every slot, and without making work late where this one is met; and whether all
        was tried.

        None where none was found: what is told here was planned, and is kept by that plan. Where a plan fails, or the
        time is over, it is the best until then.
        """
        best: WouldMeet | None = None
        try:
            asked = self if met else self._with_edges_eased()
            for weaker in asked.search(0.0 if met else asked.least_easing(), on_time=met):
                best = self._told(weaker)
            if best is not None and not met:
                first, last = self._shorter()
                best = replace(best, window_start=first, window_end=last)
        except (SolverFailed, PlanRejected):
            return best, False
        return best, True

    def _told(self, weaker: GridEvent) -> WouldMeet:
        """One that works, which is planned."""
        cuts = [(weaker.requested_kw(s.start, s.end), s.baseline_kw) for s in self.window]
        known = [(kw or 0.0, base) for kw, base in cuts if base is not None]
        event = self.event
        return WouldMeet(
            limit_kw=max((weaker.window_kw(s.start, s.end) for s in self.window), default=0.0),
            cut_kw=min((kw for kw, _ in known), default=None),
            cut_ratio=min((kw / base for kw, base in known if base > 0), default=None),
            late_workloads=len(new_late(self.without, self.plans.of(weaker))),
            window_start=None,
            window_end=None,
            from_start=max((a.end for a in self.blocking()), default=None),
            rebound_limit_kw=None
            if weaker.rebound_limit_kw == event.rebound_limit_kw
            else weaker.rebound_limit_kw,
            without_ramp=weaker.ramp_kw_per_minute != event.ramp_kw_per_minute,
        )

    def _with_edges_eased(self) -> EventOnSnapshot:
        """With no ramp, and with a higher limit of the rebound, where those are not kept whatever its window allows."""
        event, fleet = self.event, self.inputs.fleet
        if not event.rebound_minutes and event.ramp_kw_per_minute is None:
            return self
        opened = self._eased(1.0)
        plan = self.plans.tried(opened)
        alone = opened.without_rebound()
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
        """The window under a limit of zero, and nothing asked around it."""
        nothing = replace(_limited(self.event.without_rebound(), 0.0), ramp_kw_per_minute=None)
        slots = event_slots(nothing, self.inputs.fleet, self.plans.tried(nothing), self.without)
        return tuple(s for s in slots if s.part == "event")

    @property
    def _floor_kw(self) -> float:
        """A limit that is kept in every slot, whatever else is asked."""
        return max([self._highest_kw, *(s.at_quantile_kw for s in self._floor)]) + LEAST_KW

    def search(self, ease: float, *, on_time: bool) -> Iterator[GridEvent]:
        """What works, each less eased than the one before: the last is the least, to 1/32 of all.

        `ease`, 0 to 1, is the least that the window can do with.
        """

        def works(event: GridEvent) -> bool:
            plan = self.plans.tried(event)
            if missing_kw(event, self.inputs.fleet, plan) > 0:
                return False
            return not on_time or not new_late(self.without, plan)

        if works(self.event):
            yield self.event  # all that was missed is around the window, and is eased there
            return
        low, high = 0.0, ease or 1.0
        if works(least := self._eased(high + 1e-6)):
            yield least
            if ease > 0 and self.inputs.fleet.by_site[self.event.site].battery is None:
                return  # what the site draws at the least is exact where nothing is stored
        else:
            high, opened = 1.0, self._eased(1.0)
            if not works(opened):
                return
            yield opened
        for _ in range(STEPS):
            tried = self._eased((low + high) / 2)
            if works(tried):
                high = (low + high) / 2
                yield tried
            else:
                low = (low + high) / 2

    def _eased(self, ease: float) -> GridEvent:
        """The event with its limit moved by that share of the way to what the site would draw without it.

        Beyond that (real-time load at the quantile alone draws more than was forecast at the median), a limit that the
        site keeps whatever is planned.
        """
        event, keep = self.event, max(0.0, 1.0 - ease)
        if keep == 0.0:
            return _limited(event, self._floor_kw)
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
        return best if missing_kw(alone, self.inputs.fleet, self.plans.tried(alone)) == 0 else (None, None)


def _limited(event: GridEvent, kw: float) -> GridEvent:
    return replace(event, limit_kw=kw, cut_kw=None, cut_ratio=None)


def new_late(without: Plan, made: Plan) -> dict[str, float]:
    """Accelerator-hours that find no room in time with an event and did without it, by workload."""
    before = {u.workload_id: u.accelerator_hours for u in without.unplaced}
    more = {u.workload_id: u.accelerator_hours - before.get(u.workload_id, 0.0) for u in made.unplaced}
    return {id: hours for id, hours in more.items() if hours > SEEN_HOURS}
