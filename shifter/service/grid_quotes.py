"""What a grid event would cost, and who would pay it: the same `plan_cycle`, with and without it, on one snapshot.

Both plans are solved anew, so that neither gains by keeping what was announced. Where the event cannot be met, or makes
work late, what could be met is looked for in the same way: by planning it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

from forecasts.slots import isoformat_z
from shifter.cycle import CycleInputs
from shifter.domain.capping import import_kw
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.errors import InputError
from shifter.service import baselines, snapshot
from shifter.service.core import Core
from shifter.service.grid_eased import SEEN_HOURS, EventOnSnapshot, new_late
from shifter.service.grid_events import checked, known_as, not_over
from shifter.service.grid_plans import EventPlans
from shifter.service.grid_sentences import sentences, verdict
from shifter.service.met import same_reserve
from shifter.service.survived import survives_less
from shifter.store import grid_events
from shifter.store.snapshots import inputs_to_json
from shifter.views.grid import EventPayer, EventSide, GridEventQuote

HOUR = timedelta(hours=1)
SEEN_MONEY, SEEN_KWH = 0.005, 0.005
"""The fleet's currency, and kWh at the meter, from which on a difference is one."""
LOOKS_FOR_S = 240.0
"""[real s] So long from its beginning on, a quote looks for what would be met; a client waits for it 300 s."""
AFTERWARDS = timedelta(hours=4)
"""So long after the window, or over the rebound's where that is longer, its peak is looked at."""


def quote(core: Core, event: GridEvent) -> GridEventQuote:
    """See `Service.quote_grid_event`."""
    began_s = monotonic()
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

    def plan(given: CycleInputs, within_s: float) -> Plan:
        deadline_s = min(within_s, core.config.cycle_deadline_s)
        return core.quote_planner.plan(inputs_to_json(given), deadline_s)

    return Quoted(event, EventPlans(inputs, event.id, plan, began_s + LOOKS_FOR_S)).answer()


def afterwards(event: GridEvent) -> datetime:
    """Until when what comes after an event is looked at."""
    return max(event.rebound_end, event.end + AFTERWARDS)


@dataclass(frozen=True, eq=False)
class Quoted(EventOnSnapshot):
    """What is answered of it."""

    eased_in_time: bool = True
    """Whether something weaker is looked for where the event makes work late, which takes a few plans more."""

    def answer(self) -> GridEventQuote:
        """All of it."""
        event, now = self.event, self.inputs.now
        without, made = self._side(self.without), self._side(self.made)
        not_drawn = without.drawn_kwh - made.drawn_kwh
        extra = made.cost - without.cost
        payers = tuple(sorted(self._payers(), key=lambda p: (-p.cost, p.workload_id)))
        met, on_time = self.missing_kw == 0.0, not any(p.late_accelerator_hours > SEEN_HOURS for p in payers)
        notice = max(timedelta(0), event.start - now) / timedelta(minutes=1)
        less = survives_less(self.made, self.without, self.inputs.fleet)
        as_asked = met and (on_time or not self.eased_in_time)
        instead, all_tried = (None, True) if as_asked else self.would_meet(met)
        ratios = [s.realtime_kw / s.limit_kw for s in self.window if s.limit_kw > 0]
        answer = GridEventQuote(
            event=event,
            quoted_at=now,
            currency=self.inputs.fleet.currency,
            synthetic=self.made.synthetic,
            met=met,
            missing_kw=self.missing_kw,
            on_time=on_time,
            realtime_untouched=not less,
            reserve_moves=not same_reserve(self.without, self.made),
            survives_less=less,
            realtime_limit_ratio=max(ratios) if ratios and len(ratios) == len(self.window) else None,
            notice_minutes=notice,
            notice_kept=None if event.notice_minutes is None else notice >= event.notice_minutes,
            asked_kwh=self._asked_kwh(),
            not_drawn_kwh=not_drawn,
            extra_cost=extra,
            extra_carbon_kg=made.carbon_kg - without.carbon_kg,
            cost_per_kwh_not_drawn=extra / not_drawn if not_drawn > SEEN_KWH else None,
            without=without,
            with_event=made,
            afterwards_until=afterwards(event),
            slots=self.slots,
            workloads=payers,
            in_the_way=() if met else self._in_the_way(),
            would_meet=instead,
            all_tried=all_tried,
            verdict=(),
            sentences=(),
        )
        return replace(answer, verdict=tuple(verdict(answer)), sentences=tuple(sentences(answer)))

    def _asked_kwh(self) -> float | None:
        """Of the slots of the window that lie ahead, as far as they lie in it."""
        if any(s.baseline_kw is None for s in self.window):
            return None
        return sum(
            ((s.baseline_kw or 0.0) - s.limit_kw) * (self._inside(s.start, s.end) / HOUR) for s in self.window
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
        late = new_late(self.without, self.made)
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
            seen = abs(cost) > SEEN_MONEY or max(abs(moved), short) > SEEN_HOURS
            if not seen and not later:
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
                deadline_kept=short <= SEEN_HOURS,
                late_accelerator_hours=short,
            )

    def _window_hours(self, plan: Plan) -> dict[str, float]:
        """Accelerator-hours at the site in the window, by workload."""
        found: dict[str, float] = {}
        for a in plan.allocations:
            if a.site == self.event.site and (time := self._inside(a.start, a.end)):
                found[a.workload_id] = found.get(a.workload_id, 0.0) + a.accelerators * (time / HOUR)
        return found

    def _in_the_way(self) -> tuple[str, ...]:
        fleet = self.inputs.fleet
        kw = {
            a.workload_id: a.accelerators * import_kw(*fleet.pools[a.site, a.pool], a.cap_kw)
            for a in self.blocking()
        }
        return tuple(sorted(kw, key=lambda id: (-kw[id], id)))
