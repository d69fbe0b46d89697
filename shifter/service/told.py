"""What grids and forecasters tell: checked, kept, and reason for a new plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from forecasts.checks import check_series
from forecasts.series import ForecastSeries, Kind
from forecasts.slots import SlotGrid, floor_to_slot, isoformat_z
from shifter.errors import ForecastRejected, InputError, NotFound, NotReady
from shifter.service.core import Core
from shifter.views import EventKind, LearntView

MAX_SLOTS = 10_000
AT_ONCE = 50
"""Vintages of the past in one transaction: some tens of milliseconds."""
PUSHED = "push:"
"""What the name of every source begins with that was pushed; no registered one has a colon in its name."""


def push_forecasts(core: Core, series: Sequence[ForecastSeries], actor: str) -> int:
    """See `Service.push_forecasts`. `known_at` becomes now: nobody can write what was known in the past.

    The source becomes `push:<name>`: nobody can speak in the name of a source that is polled, nor take its place.
    """
    now = core.now()
    given = [replace(s, known_at=now, source=f"{PUSHED}{s.source}") for s in series]
    first: dict[str, int] = {}
    try:
        for i, s in enumerate(given):
            if (same := first.setdefault(s.key, i)) != i:
                raise InputError(
                    f"the {s.signal} of {s.zone} by {s.source} is given twice, first by [{same}].",
                    field=f"[{i}].source",
                    hint="Send one vintage of each, or name the sources apart.",
                )
            if s.zone not in core.fleet.zones:
                raise InputError(
                    f"no site of the fleet is in the zone {s.zone}.",
                    field=f"[{i}].zone",
                    hint=f"Zones are {', '.join(core.fleet.zones)}.",
                )
            with core.db.errors():
                check_series(s, core.forecasts.latest(s.key, now), now=now)
        # Another may have spoken since: what only the store can tell is refused here, and nothing was kept.
        return keep_series(core, given, "push", actor)
    except ForecastRejected as error:
        core.tell(EventKind.FORECAST_REJECTED, source="push", error=str(error), by=actor)
        raise


def keep_series(
    core: Core, series: Sequence[ForecastSeries], source: str, actor: str, *, replan: bool = True
) -> int:
    """Append checked vintages, all or none; how many said something new. Raises ForecastRejected, NotReady.

    In one transaction with what tells of them: a vintage that nobody was told of would never cause a plan. `replan`:
    whether a plan may be made of them. What was measured changes none: it is in the audit alone.
    """
    with core.change() as change:
        done = core.forecasts.append_all(series, within=change.db)
        fresh = [s for s, one in zip(series, done, strict=True) if one.status == "new"]
        if told := [s.key for s in fresh if s.kind is not Kind.ACTUAL]:
            notes = {"notes": cut} if (cut := [s.note for s in series if s.note]) else {}
            change.event(EventKind.FORECAST_INGESTED, source=source, series=told, **notes)
            change.replan = "forecast" if replan else ""
        if fresh:
            change.audit(actor, "forecast.append", source, series=[s.key for s in fresh])
    return len(fresh)


def keep_history(core: Core, series: Sequence[ForecastSeries], source: str, actor: str) -> int:
    """Append checked vintages of the past; how many said something new. Raises ForecastRejected, NotReady.

    There may be thousands: they are written some at a time, so that leases are renewed in between, and told of once.
    """
    ordered = sorted(series, key=lambda s: s.known_at)
    new: Counter[str] = Counter()
    for first in range(0, len(ordered), AT_ONCE):
        with core.change() as change:
            done = core.forecasts.append_all(ordered[first : first + AT_ONCE], within=change.db)
        new.update(one.key for one in done if one.status == "new")
    if new:
        with core.change() as change:
            change.event(EventKind.FORECAST_INGESTED, source=source, series=sorted(new), history=new.total())
            change.audit(actor, "forecast.history", source, series=sorted(new), vintages=new.total())
    return new.total()


def forecasts(
    core: Core, zone: str, start: datetime | None, end: datetime | None, as_of: datetime | None
) -> dict[str, Any]:
    """See `Service.forecasts`."""
    _check_zone(core, zone)
    now, minutes = core.now(), core.config.slot_minutes
    first = floor_to_slot(start or now, minutes)
    last = end or first + timedelta(hours=core.config.horizon_hours)
    if last <= first:
        raise InputError(
            f"the window ends at {isoformat_z(last)}, not after {isoformat_z(first)}.",
            field="end",
            hint="Windows are [start, end).",
        )
    if last - first > timedelta(minutes=minutes * MAX_SLOTS):
        raise InputError(f"the window holds more than {MAX_SLOTS} slots.", field="end", hint="Ask for less.")
    try:
        with core.db.errors():
            frame = core.frame(SlotGrid.covering(first, last - first, minutes), min(as_of or now, now))
    except NotReady as error:
        core.lost_database(error)
        raise
    of_zone = replace(frame, signals=tuple(s for s in frame.signals if s.zone == zone))
    return (of_zone if core.config.share_restricted else of_zone.shareable()).to_dict()


def learnt(core: Core, zone: str | None) -> list[LearntView]:
    """See `Service.learnt`."""
    if zone is not None:
        _check_zone(core, zone)
    views = [*core.state.learnt.values(), *core.state.candidate.values()]
    return sorted((v for v in views if zone in {None, v.zone}), key=lambda v: (v.zone, v.signal, v.name))


def _check_zone(core: Core, zone: str) -> None:
    if zone not in core.fleet.zones:
        known = ", ".join(core.fleet.zones)
        raise NotFound(
            f"no site of the fleet is in the zone {zone}.", field="zone", hint=f"Zones are {known}."
        )
