"""Whether a plan meets a grid event, slot by slot: from the plan's own rows, as whoever reads it could work out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shifter.domain.fleet import Fleet, Site
from shifter.domain.grid_event import GridEvent, most_kw
from shifter.domain.plan import Plan
from shifter.domain.rows import PowerRow, SlotRow
from shifter.views.grid import EventSlot, Part

TOLERANCE_KW = 1e-3
"""And a millionth of what is larger than 1000 kW, as the plan's own check allows."""
BASED = frozenset({"event", "rebound"})
"""Parts of an event that a baseline speaks of."""


@dataclass(frozen=True)
class SiteSlot:
    """One row of a plan's power, with real-time load at the site's quantile beside it."""

    row: PowerRow
    realtime_kw: float
    """What real-time load at the quantile takes with all that is idle, alone."""
    margin_kw: float
    """What it takes more at the quantile than at its median."""

    @property
    def at_quantile_kw(self) -> float:
        """Import less export, with real-time load at the quantile: what a limit counts."""
        return self.row.import_kw - (self.row.export_kw or 0.0) + self.margin_kw


def site_slots(plan: Plan, site: Site) -> list[SiteSlot]:
    """All slots of a site, in time."""
    by_start: dict[object, list[SlotRow]] = {}
    for slot in plan.slots:
        if slot.site == site.name:
            by_start.setdefault(slot.start, []).append(slot)
    pools = {pool.name: pool for pool in site.pools}
    idle_kw = site.pue * sum(pool.idle_kw * pool.count for pool in site.pools)
    found = []
    for row in plan.power:
        if row.site == site.name:
            held = by_start.get(row.start, ())
            median, high = (
                site.pue * sum(pools[s.pool].dynamic_kw * getattr(s, name) for s in held)
                for name in ("realtime_p50", "realtime_q")
            )
            found.append(SiteSlot(row, idle_kw + high, high - median))
    return found


def part_between(event: GridEvent, start: datetime, end: datetime) -> Part:
    """What of the event a slot sees: where several, the window, then the rebound."""
    if start < event.end and end > event.start:
        return "event"
    if event.end <= start < event.rebound_end:
        return "rebound"
    return "ramp" if event.ramp_kw_per_minute is not None else "after"


def event_slots(event: GridEvent, fleet: Fleet, made: Plan, without: Plan) -> tuple[EventSlot, ...]:
    """Every slot that the event limits and the plan reaches, beside a plan without it on the same grid."""
    site = fleet.by_site[event.site]
    other_kw = {s.row.start: s.row.import_kw for s in site_slots(without, site)}
    found = []
    for s in site_slots(made, site):
        row = s.row
        limit_kw = event.limit_of(row.start, row.end, most_kw(site))
        if limit_kw == float("inf"):
            continue
        part = part_between(event, row.start, row.end)
        baseline = event.frozen_baseline
        base_kw = None if baseline is None else baseline.mean_kw(*_clipped(event, row))
        found.append(
            EventSlot(
                row.start,
                row.end,
                part,
                limit_kw,
                base_kw if part in BASED else None,
                event.requested_kw(row.start, row.end),
                s.realtime_kw,
                other_kw.get(row.start, 0.0),
                row.import_kw,
                s.at_quantile_kw,
                over_kw(s, limit_kw),
            )
        )
    return tuple(found)


def _clipped(event: GridEvent, row: PowerRow) -> tuple[datetime, datetime]:
    """The part of a slot that lies in the window, or else in the rebound; else the slot."""
    for start, end in ((event.start, event.end), (event.end, event.rebound_end)):
        first, last = max(row.start, start), min(row.end, end)
        if first < last:
            return first, last
    return row.start, row.end


def over_kw(slot: SiteSlot, limit_kw: float) -> float:
    """By how much a slot exceeds a limit; 0 within what the plan's own check tolerates."""
    over = slot.at_quantile_kw - limit_kw
    return over if over > TOLERANCE_KW * max(1.0, abs(limit_kw) / 1000) else 0.0


def missing_kw(event: GridEvent, fleet: Fleet, plan: Plan, since: datetime | None = None) -> float:
    """The most by which a plan does not meet an event, over the slots that it limits; 0 where it does.

    With `since`, over those that end after it.
    """
    site = fleet.by_site[event.site]
    ahead = [s for s in site_slots(plan, site) if since is None or s.row.end > since]
    limited = ((s, event.limit_of(s.row.start, s.row.end, most_kw(site))) for s in ahead)
    return max((over_kw(s, kw) for s, kw in limited if kw < float("inf")), default=0.0)


def same_reserve(a: Plan, b: Plan) -> bool:
    """Whether two plans reserve the same in every pool and slot.

    Two for the same load need not: what failover groups hold stands where it costs each of them least.
    """

    def reserved(plan: Plan) -> dict[object, float]:
        return {(r.site, r.pool, r.start): r.reserved for r in plan.slots}

    return reserved(a) == reserved(b)
