"""What a grid event would do, before it is accepted; and what was delivered, afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shifter.domain.grid_event import GridEvent
from shifter.domain.survival import Promise

Part = Literal["ramp", "event", "rebound", "after"]


@dataclass(frozen=True)
class EventSlot:
    """One slot in which an event limits the import [kW, means over the slot]."""

    start: datetime
    end: datetime
    part: Part
    """The window itself, the ramp around it, the rebound after it, or what comes after that."""
    limit_kw: float
    """Highest import that the event allows, with real-time load at the site's quantile."""
    baseline_kw: float | None
    """What the cut is taken from; null outside of it."""
    requested_kw: float | None
    """What is to be drawn less than that; null of a limit."""
    realtime_kw: float
    """What real-time load at the site's quantile takes of the limit, with all that is idle, whatever is planned."""
    without_kw: float
    """Import of the plan without the event."""
    with_kw: float
    """Import of the plan with it."""
    at_quantile_kw: float
    """The same with real-time load at the quantile: this is what keeps the limit."""
    over_kw: float
    """By how much that exceeds the limit; 0 where it is met."""


@dataclass(frozen=True)
class EventSide:
    """The plan with the event, or the one without it, on the same snapshot."""

    cost: float
    """What is paid, in the fleet's currency: the plan's total without what calm and fairness are worth."""
    carbon_kg: float
    drawn_kwh: float
    """Import of the site in the event's window."""
    battery_kwh: float
    """What its battery discharges in the window."""
    peak_afterwards_kw: float
    """Highest import of the site after the window, as far as `afterwards_until`."""
    late_workloads: int
    """Workloads that find no room for all of their work before their deadline."""


@dataclass(frozen=True)
class EventPayer:
    """A workload that the event changes something for."""

    workload_id: str
    tenant: str
    out_of_window_accelerator_hours: float
    """Work of it at the site that leaves the window; negative where some comes in."""
    cost: float
    """What it costs more, in the fleet's currency; negative where it gains."""
    carbon_kg: float
    finish: datetime | None
    """When it would be done with the event."""
    later_minutes: float
    """So much later than without it; negative where it is earlier."""
    deadline: datetime | None
    deadline_kept: bool
    late_accelerator_hours: float
    """Work of it that finds no room in time because of the event."""


@dataclass(frozen=True)
class WouldMeet:
    """What can be met instead, in the same window unless it says so."""

    limit_kw: float
    """Of a limit, the lowest that is met in every slot of the window; of a cut, the highest that it leaves in any."""
    cut_kw: float | None
    """The largest cut below the baseline; null where there is no baseline."""
    cut_ratio: float | None
    """The same as a part of the baseline, 0..1."""
    late_workloads: int
    """Workloads that even this makes late."""
    window_start: datetime | None
    """The longest window inside this one in which what was asked can be met; null where there is none."""
    window_end: datetime | None
    from_start: datetime | None
    """With more notice: from when on nothing that runs and may not be interrupted stands in its way; null where none
    does.
    """
    rebound_limit_kw: float | None = None
    """What it takes after the window, where what was asked of the rebound cannot be kept; null where it can."""
    without_ramp: bool = False
    """Whether the ramp that was asked cannot be kept, and this is without one."""


@dataclass(frozen=True)
class GridEventQuote:
    """What a grid event would cost, who pays it, and whether it can be met; nothing was accepted."""

    event: GridEvent
    """As it would be accepted now, with its baseline."""
    quoted_at: datetime
    currency: str
    synthetic: bool
    """Whether prices or carbon are made up for a demonstration."""
    met: bool
    """Whether the plan keeps its limit in every slot, with real-time load at the quantile."""
    missing_kw: float
    """The most by which it does not; 0 where it is met."""
    on_time: bool
    """Whether no workload becomes late by it."""
    realtime_untouched: bool
    """Whether every loss that the fleet survives is held as well with it. The load is the same: one snapshot's."""
    reserve_moves: bool
    """Whether what failover groups hold for losses stands elsewhere, or is less, than without it."""
    survives_less: tuple[Promise, ...]
    """Losses that are held less whole with it, as the plan with it says of them; of a ride-through, sites whose battery
    has less of what it takes in some slot.
    """
    realtime_limit_ratio: float | None
    """The most of the window's limit that real-time load at the quantile takes alone; null where the limit is 0."""
    notice_minutes: float
    """From now to its start; 0 where it has begun."""
    notice_kept: bool | None
    """Whether that is the notice that was agreed; null where none was."""
    asked_kwh: float | None
    """What is to be drawn less than the baseline; null where there is no baseline."""
    not_drawn_kwh: float
    """What the plan with it draws less in the window than the one without it."""
    extra_cost: float
    """What it costs more, in the fleet's currency."""
    extra_carbon_kg: float
    cost_per_kwh_not_drawn: float | None
    """Null where nothing less is drawn."""
    without: EventSide
    with_event: EventSide
    afterwards_until: datetime
    slots: tuple[EventSlot, ...]
    workloads: tuple[EventPayer, ...]
    """Who pays, dearest first."""
    in_the_way: tuple[str, ...]
    """Workloads that run, may not be interrupted, and draw power in slots that are not met."""
    would_meet: WouldMeet | None
    """Where it is not met, or makes work late: what could be; null, too, where nothing weaker was found."""
    all_tried: bool
    """Whether it is the most that could be; false where the time was over, or a plan failed, before all was tried."""
    verdict: tuple[str, ...]
    """For a person: whether it can be met, by how much not, what is late by it, and what would be met."""
    sentences: tuple[str, ...]
    """All of this for a person."""


Verdict = Literal["kept", "exceeded", "unmetered", "ahead", "unlimited"]


@dataclass(frozen=True)
class ReportSlot:
    """One slot of an event, as metered [kW, means over what was metered of it]."""

    start: datetime
    end: datetime
    part: Part
    limit_kw: float | None
    """Highest import that keeps it: of a cut, the baseline less the cut; null where nothing was limited."""
    baseline_kw: float | None
    """What the site would have drawn; null where nobody can say."""
    requested_kw: float | None
    """The cut that was asked for, from the baseline that was frozen; of a limit, what it is below the baseline."""
    metered_kw: float | None
    """Null where nothing was metered: it is never filled in."""
    metered_ratio: float
    """The part of the slot, up to now, that was metered, 0..1."""
    delivered_kw: float | None
    """The baseline less what was metered; negative where more was drawn."""
    delivered_kwh: float | None
    """That, over the metered part alone."""
    verdict: Verdict
    """Whether what was metered kept the limit; unlimited where there was none, ahead where it is still to come."""


@dataclass(frozen=True)
class GridEventReport:
    """What was delivered against what was requested."""

    event: GridEvent
    reported_at: datetime
    state: Literal["ahead", "running", "over"]
    accepted_at: datetime
    notice_minutes: float
    """From when it was accepted to its start; 0 where it had begun."""
    notice_kept: bool | None
    """Whether that is the notice that was agreed; null where none was."""
    baseline_method: str | None
    """What delivered power is counted from: similar_days, highest_days, given, or plan where no metered one is to be
    had; null where there is none.
    """
    baseline_source: str
    """The days or the plan, or why there is no metered baseline."""
    requested_kwh: float | None
    """In the window up to now, the metered part of it."""
    delivered_kwh: float | None
    """The same; null where nothing was metered, or there is no baseline."""
    delivered_ratio: float | None
    """Delivered against requested; null where nothing was requested."""
    metered_ratio: float
    """The part of the window, up to now, that was metered, 0..1."""
    slots_kept: int
    slots_exceeded: int
    slots_unmetered: int
    slots_ahead: int
    highest_over_kw: float
    """The most by which a slot exceeded its limit."""
    rebound_peak_kw: float | None
    """Highest slot that was metered after the window, over its rebound or as long again as the window."""
    slots: tuple[ReportSlot, ...]
