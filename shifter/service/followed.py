"""Grid events that are followed: whoever told them may change them and take them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from shifter.domain.grid_event import GridEvent
from shifter.service.core import Change, Core
from shifter.service.grid_events import facts_of, take_back, tell_created
from shifter.store import grid_events as rows
from shifter.views import EventKind


@dataclass(frozen=True)
class Followed:
    """How many events changed, and which ids are another's."""

    changed: int
    taken: Mapping[str, str]
    """By id, who told the event that has it."""


def follow_grid_events(
    core: Core, source: str, wanted: Sequence[GridEvent], undecided: Callable[[GridEvent], bool]
) -> Followed:
    """Make the grid events of `source` that are not over those that are `wanted`.

    One by one under its id: what is new comes in, what is said otherwise now is changed, and what is not wanted any
    more is withdrawn, but for those that are `undecided`, which stand as they were. All of it in one transaction with
    the events and the audit; nothing is written where nothing differs. One that has begun ends now when it is
    withdrawn, one that lies ahead never was. An id that another's event has which is not over stays theirs, but for
    ids that begin with `source:`. Raises NotReady.
    """
    with core.writing:  # nobody comes between looking and writing
        now = core.now()
        with core.reading() as db:
            told = {event.id: event for event in rows.told_by(db, source, now)}
            asked = {event.id: event for event in wanted if event.end > now}
            holders = {i: _holder(db, i, source, now) for i in asked.keys() - told.keys()}
        taken = {i: by for i, by in holders.items() if by is not None}
        gone = [e for e in told.values() if e.id not in asked and not undecided(e)]
        new = [e for e in asked.values() if e.id not in told and e.id not in taken]
        other = [e for e in asked.values() if e.id in told and not _same(e, told[e.id], now)]
        if not (gone or new or other):
            return Followed(0, taken)
        with core.change() as change:
            kept = {event.id: event for event in core.state.grid_events}
            for event in new:
                _create(change, event, source)
            for event in other:
                _change(change, told[event.id], event, source)
            for event in gone:
                take_back(change, event, source)
                kept.pop(event.id, None)
            kept |= {event.id: event for event in (*new, *other)}
            change.set(grid_events=tuple(kept.values()))
            change.replan = "grid event"
    return Followed(len(gone) + len(new) + len(other), taken)


def _holder(db: Connection, event_id: str, source: str, now: datetime) -> str | None:
    """Who else told an event of this id that is not over; None where nobody did, or the id is `source`'s own."""
    if event_id.startswith(f"{source}:"):  # whoever took it may not keep a limit of the grid out
        return None
    kept = rows.find(db, event_id)
    if kept is None or kept.created_by == source[:256] or kept.event.holds_until <= now:
        return None
    return kept.created_by


def _same(event: GridEvent, told: GridEvent, now: datetime) -> bool:
    """Whether both say the same from now on; when one that runs began does not matter any more."""
    begun = replace(told, start=event.start) if max(event.start, told.start) <= now else told
    return event in (begun, begun.as_asked)


def _create(change: Change, event: GridEvent, source: str) -> None:
    rows.drop(change.db, event.id)  # of this id, and over or ours by its name
    rows.add(change.db, event, change.at, source)
    tell_created(change, event, source)


def _change(change: Change, before: GridEvent, event: GridEvent, source: str) -> None:
    rows.change(change.db, event)
    change.event(EventKind.GRID_EVENT_CHANGED, **facts_of(event))
    was = {"start": before.start, "end": before.end, "limit_kw": before.limit_kw}
    change.audit(source, "grid_event.change", event.id, **facts_of(event), was=was)
