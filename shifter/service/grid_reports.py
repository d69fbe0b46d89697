"""What was delivered against what was requested: each slot of a grid event as its site's meter had it.

What was not metered is said to be so, and never filled in: neither by the plan nor by what came before. A slot that was
metered in part is judged by that part, and counts for it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from shifter.domain.fleet import Site
from shifter.domain.grid_event import Baseline, GridEvent, most_kw
from shifter.domain.metered import LOOK_BACK_DAYS, Metered
from shifter.errors import InputError
from shifter.service import baselines, metering
from shifter.service.core import Core
from shifter.service.grid_events import find
from shifter.service.met import TOLERANCE_KW, part_between
from shifter.store import grid_events as rows
from shifter.store import plans
from shifter.views.grid import GridEventReport, Part, ReportSlot, Verdict

HOUR = timedelta(hours=1)
OVER_RATIO = 1e-3
"""A slot is over its limit from this part of it on: meters are no better."""


def report(core: Core, event_id: str) -> GridEventReport:
    """See `Service.grid_event_report`."""
    now, kept = core.now(), find(core, event_id)
    event = kept.event
    with core.reading() as db:
        metered = metering.metered(core, db, event.site, event.start)
        others = rows.ending_after(db, event.start - timedelta(days=LOOK_BACK_DAYS + 1))
    baseline, why = _baseline(core, event, kept.created_at, metered, others)
    site = core.fleet.by_site.get(event.site)
    edges = baselines.edges_of(core, event.start, _shown_until(event))
    slots = tuple(_slots(event, site, edges, metered, baseline, now))
    inside = [s for s in slots if s.part == "event"]
    counted = [s for s in inside if s.metered_kw is not None and s.requested_kw is not None]
    requested = sum((s.requested_kw or 0.0) * _metered_hours(s, now) for s in counted)
    delivered = sum(s.delivered_kwh or 0.0 for s in counted)
    notice = max(timedelta(0), event.start - kept.created_at) / timedelta(minutes=1)
    verdicts = [s.verdict for s in inside]
    after = [s.metered_kw for s in slots if s.start >= event.end and s.metered_kw is not None]
    return GridEventReport(
        event=event,
        reported_at=now,
        state=_state(event, now),
        accepted_at=kept.created_at,
        notice_minutes=notice,
        notice_kept=None if event.notice_minutes is None else notice >= event.notice_minutes,
        baseline_method=None if baseline is None else baseline.method,
        baseline_source=why,
        requested_kwh=requested if counted else None,
        delivered_kwh=delivered if counted else None,
        delivered_ratio=delivered / requested if counted and requested > 0 else None,
        metered_ratio=metered.drawn(event.start, min(now, event.end))[1],
        slots_kept=verdicts.count("kept"),
        slots_exceeded=verdicts.count("exceeded"),
        slots_unmetered=verdicts.count("unmetered"),
        slots_ahead=verdicts.count("ahead"),
        highest_over_kw=max((_over_kw(s) for s in slots), default=0.0),
        rebound_peak_kw=max(after, default=None),
        slots=slots,
    )


def _shown_until(event: GridEvent) -> datetime:
    """The end of its rebound, or as long again as the window: what comes after a cut is part of the story."""
    return max(event.rebound_end, event.end + (event.end - event.start))


def _state(event: GridEvent, now: datetime) -> Literal["ahead", "running", "over"]:
    if now < event.start:
        return "ahead"
    return "running" if now < event.end else "over"


def _baseline(
    core: Core, event: GridEvent, accepted_at: datetime, metered: Metered, others: list[GridEvent]
) -> tuple[Baseline | None, str]:
    """What the site would have drawn: as whoever sent the event says; as days like it were metered, where there are
    enough of them; else as it was frozen, or as the plan had it that was in force when the event came.
    """
    given = event.frozen_baseline
    if given is not None and given.method == "given":
        return given, given.source or "as it was sent"
    why = ""
    for until in (_shown_until(event), event.end):  # what comes after the window may not be metered as well
        try:
            found = baselines.of_days(core, event, until, metered, others)
            return found, found.source
        except InputError as error:
            why = f"No metered baseline: {error.detail}"
    if given is not None:
        return given, f"{given.source}. {why}"
    site = core.fleet.by_site.get(event.site)
    with core.reading() as db:
        plan = plans.in_force_at(db, accepted_at)
    if plan is None or site is None:
        return None, why
    try:
        found = baselines.of_plan(plan, site, max(event.start, plan.horizon.start), event.end)
    except InputError as error:
        return None, f"{why} {error.detail}"
    return found, f"{found.source}. {why}"


def _slots(
    event: GridEvent,
    site: Site | None,
    edges: list[datetime],
    metered: Metered,
    baseline: Baseline | None,
    now: datetime,
) -> Iterator[ReportSlot]:
    cuts = sorted({*edges, *(at for at in (event.end, event.rebound_end) if edges[0] < at < edges[-1])})
    highest_kw = float("inf") if site is None else most_kw(site)
    for start, end in pairwise(cuts):
        base_kw = None if baseline is None else baseline.mean_kw(start, end)
        limit_kw = _allowed_kw(event, start, end, base_kw, highest_kw)
        kw, ratio = metered.mean_kw(start, min(end, now)) if start < now else (None, 0.0)
        part = part_between(event, start, end)
        told = ReportSlot(
            start=start,
            end=end,
            part=part,
            limit_kw=limit_kw if limit_kw < float("inf") else None,
            baseline_kw=base_kw,
            requested_kw=_requested_kw(event, part, start, end, base_kw),
            metered_kw=kw,
            metered_ratio=ratio,
            delivered_kw=base_kw - kw if base_kw is not None and kw is not None else None,
            delivered_kwh=None,
            verdict=_verdict(kw, limit_kw, ahead=start >= now),
        )
        energy = None if told.delivered_kw is None else told.delivered_kw * _metered_hours(told, now)
        yield replace(told, delivered_kwh=energy)


def _allowed_kw(
    event: GridEvent, start: datetime, end: datetime, base_kw: float | None, highest_kw: float
) -> float:
    """What a meter may show. Of a cut, the baseline less the cut: a plan's limit has room for more real-time load."""
    requested_kw = event.requested_kw(start, end)
    if requested_kw is None or base_kw is None:
        return event.limit_of(start, end, highest_kw)
    return max(0.0, base_kw - requested_kw)


def _requested_kw(
    event: GridEvent, part: Part, start: datetime, end: datetime, base_kw: float | None
) -> float | None:
    if part != "event" or event.limit_kw is None:
        return event.requested_kw(start, end)
    return None if base_kw is None else max(0.0, base_kw - event.limit_kw)


def _metered_hours(s: ReportSlot, now: datetime) -> float:
    return s.metered_ratio * ((min(s.end, now) - s.start) / HOUR)


def _verdict(kw: float | None, limit_kw: float, *, ahead: bool) -> Verdict:
    if ahead or kw is None:
        return "ahead" if ahead else "unmetered"
    if limit_kw == float("inf"):
        return "unlimited"
    return "exceeded" if kw > limit_kw * (1 + OVER_RATIO) + TOLERANCE_KW else "kept"


def _over_kw(s: ReportSlot) -> float:
    return (s.metered_kw or 0.0) - (s.limit_kw or 0.0) if s.verdict == "exceeded" else 0.0
